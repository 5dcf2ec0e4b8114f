-- Less than 1 MiB of memory for a connection, whatever the host at its other end does.
local t = require 'harness'
local sys = t.sys

local MANY = 100
local MOST = MANY << 19 -- half of it, so that what grows is seen

local function status(p, what)
  return tonumber(t.read('/proc/' .. p.pid .. '/status'):match(what .. ':%s+(%d+)')) * 1024
end

-- What the router grew by at most since it began to deliver; a sanitizer needs memory of its own.
local function grew_less(router, before, most)
  local grown = status(router, 'VmHWM') - before
  t.ok(sys.is_sanitized or grown < most, ('it grew by %.1f MiB'):format(grown / (1 << 20)))
  t.ok(router:running())
end

local function recipients(n)
  local to = {}
  for i = 1, n do
    to[i] = ('bob@n%d.test'):format(i)
  end
  return to
end

-- A router of many connections to one host; all of them at once.
local function many_connections(sink, path)
  return t.router {
    policy = t.smart_host(sink, { path = ('connection_limit = %d, %s'):format(10 * MANY, path) }),
  }
end

local function all_deferred(router)
  t.wait_for('every recipient to be deferred', function()
    return #router:records 'TransientFailure' >= MANY
  end, 120000)
  t.eq(#router:records 'Delivery', 0)
  t.eq(#router:records 'Bounce', 0)
  t.rows(router:sql 'SELECT count(*) FROM recipient', { { MANY } })
end

-- A host that wants the content and never reads it.
local function that_does_not_read(o)
  local sink
  o.window, o.waiting = 1, 0
  function o.data(_, session)
    o.waiting = o.waiting + 1
    session.stream:write '354 go\r\n'
    t.wait_for('the end', function()
      return o.over
    end, 120000)
    return 'drop'
  end
  sink = t.smtp_sink(o)
  return sink
end

local line = '.' .. ('x'):rep(75) .. '\r\n'
local large = 'Subject: large\r\n\r\n' .. line:rep((40 << 20) // #line)

for _, tls in ipairs { false, true } do
  t.test(('a message of 40 MB for %d hosts that do not read it%s'):format(MANY, tls and ', in TLS' or ''), function()
    local o = {}
    if tls then
      local c = t.certificate 'DNS:sink.test'
      o.cert, o.key = c.cert, c.key
    end
    local sink = that_does_not_read(o)
    -- The rest of an hour for what the sink is slow at; the content is what nobody takes.
    local router = many_connections(sink, ("enable_tls = '%s', data_timeout = '6s'"):format(
      tls and 'RequiredInsecure' or 'Disabled'))
    local before = status(router, 'VmRSS')
    router:enqueue { to = recipients(MANY), data = large }
    all_deferred(router)
    o.over = true
    local stuck = 0
    for _, r in ipairs(router:records 'TransientFailure') do
      stuck = stuck + (r.response.content:find('while sending the message', 1, true) and 1 or 0)
    end
    t.ok(stuck > MANY // 2, stuck .. ' were sent as much as the window holds')
    t.ok(sink.most_open > MANY // 2, sink.most_open .. ' connections at once')
    grew_less(router, before, MOST)
  end)
end

for what, block in pairs {
  ['continuation lines without end'] = ('250-all of this is for you\r\n'):rep(2000),
  ['a line without end'] = ('x'):rep(65536),
} do
  t.test(('%s from %d hosts'):format(what, MANY), function()
    local sink = t.smtp_sink {
      rcpt = function(_, session)
        while session.stream:write(block) do
        end
        return 'drop'
      end,
    }
    local router = many_connections(sink, "enable_tls = 'Disabled'")
    local before = status(router, 'VmRSS')
    router:enqueue { to = recipients(MANY) }
    all_deferred(router)
    grew_less(router, before, MOST)
  end)
end

t.test(('a SOCKS5 proxy that talks without end, %d times'):format(MANY), function()
  local proxy = t.smtp_sink {
    connect = function(_, session)
      while session.stream:write(('\5\0'):rep(32768)) do
      end
      return 'drop'
    end,
  }
  local router = t.router {
    policy = t.smart_host('127.0.0.1:9', {
      source = ("socks5_proxy_server = '%s', socks5_proxy_source_address = '127.0.0.3'"):format(proxy.address),
      path = ('connection_limit = %d'):format(10 * MANY),
    }),
  }
  local before = status(router, 'VmRSS')
  router:enqueue { to = recipients(MANY) }
  all_deferred(router)
  grew_less(router, before, MOST)
end)

t.test('a host that takes one recipient at a time, and has much to say to the others', function()
  local first
  local much = '452 4.5.3 one at a time, please: ' .. ('x'):rep(3900)
  local sink = t.smtp_sink {
    mail = function()
      first = true
    end,
    rcpt = function()
      local reply = first and '250 2.1.5 ok' or much
      first = false
      return reply
    end,
  }
  local router = t.router { policy = t.smart_host(sink, { path = 'connection_limit = 1' }) }
  local to = {}
  for i = 1, 200 do
    to[i] = ('u%d@example.com'):format(i)
  end
  local before = status(router, 'VmRSS')
  router:enqueue { to = to }
  t.wait_for('every recipient to have it', function()
    return #router:records 'Delivery' >= #to
  end, 120000)
  t.eq(#sink:messages(), #to)
  t.none(router, 'SELECT count(*) FROM recipient')
  -- 15,000 such replies were heard.
  grew_less(router, before, 12 << 20)
end)

t.test('a host that refuses each of many recipients at length', function()
  local n = 0
  local sink = t.smtp_sink {
    rcpt = function()
      n = n + 1
      return ('550 5.1.1 number %d: %s'):format(n, ('y'):rep(3900))
    end,
  }
  local router = t.router { policy = t.smart_host(sink, { path = 'max_recipients_per_batch = 2000' }) }
  local to = {}
  for i = 1, 2000 do
    to[i] = ('u%d@example.com'):format(i)
  end
  local before = status(router, 'VmRSS')
  router:enqueue { to = to }
  t.wait_for('every recipient to be refused', function()
    return #router:records 'Bounce' >= #to
  end, 120000)
  t.has(router:records('Bounce')[1].response.content, ('y'):rep(3900))
  t.none(router, 'SELECT count(*) FROM recipient')
  grew_less(router, before, 24 << 20)
end)

t.test('more certificates than a handshake may have are a failed candidate', function()
  local c = t.certificate 'DNS:sink.test'
  local chain = t.write('chain.pem', t.read(c.cert):rep(200))
  local sink = t.smtp_sink { cert = chain, key = c.key }
  local router = t.router { policy = t.smart_host(sink, { path = "enable_tls = 'RequiredInsecure'" }) }
  router:enqueue { to = 'bob@example.com' }
  local r = t.log(router, 'TransientFailure', { recipient = 'bob@example.com' })
  t.eq(r.response.code, 400)
  t.has(r.response.content, 'excessive message size')
  t.eq(#sink:messages(), 0)
end)
