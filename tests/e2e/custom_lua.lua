-- Delivery by an object of the policy.
local t = require 'harness'

-- q: fields of custom_lua; path: fields of make_egress_path; body: methods of
-- `connection`.  What happens is noted line by line in the file `seen`.
local function policy(o)
  return ([[
local kumo = require 'kumo'
local function note(text)
  local f = assert(io.open('%s/seen', 'a'))
  f:write(text, '\n')
  f:close()
end
kumo.on('init', function() %s end)
kumo.on('get_queue_config', function(domain)
  return kumo.make_queue_config {
    protocol = { custom_lua = { constructor = 'make.' .. domain, %s } },
    retry_interval = '1m', %s
  }
end)
kumo.on('get_egress_path_config', function()
  return kumo.make_egress_path { %s }
end)
kumo.on('make.hook', function(domain, tenant, campaign)
  note('made ' .. domain .. ' ' .. tostring(tenant) .. ' ' .. tostring(campaign))
  local connection = {}
  %s
  return connection
end)
%s
]]):format(t.dir(), t.local_logs(), o.q or '', o.queue or '', o.path or '', o.body or '', o.more or '')
end

local function seen()
  local lines = {}
  for line in (t.read(t.dir() .. '/seen') or ''):gmatch '[^\n]+' do
    lines[#lines + 1] = line
  end
  return lines
end

local function count(pattern)
  local n = 0
  for _, line in ipairs(seen()) do
    n = n + (line:match(pattern) and 1 or 0)
  end
  return n
end

local function wait_seen(pattern, n)
  t.wait_for(n .. ' times ' .. pattern, function()
    return count(pattern) >= n
  end)
end

t.test('case 151: what send returns is the record; ten messages share a connection', function()
  local router = t.router {
    policy = policy { body = [[
      function connection:send(message)
        note('send ' .. message:recipient().email .. ' ' .. #message:get_data())
        return 'OK 7'
      end]] },
  }
  router:enqueue { to = 'u@hook', count = 10 }
  t.wait_for('10 deliveries', function()
    return #router:records 'Delivery' == 10
  end)
  local r = router:records('Delivery')[1]
  t.eq(r.response.code, 200)
  t.eq(r.response.content, 'OK 7')
  t.eq(r.delivery_protocol, 'Lua')
  t.eq(r.site, 'unspecified->hook@lua:make.hook')
  t.eq(r.peer_address.name, 'Lua via make.hook')
  t.eq(r.peer_address.addr, '0.0.0.0')
  t.eq(r.egress_source, 'unspecified')
  t.eq(count '^made hook nil nil$', 1)
  t.eq(count '^send u@hook 26$', 10)
  t.wait_for('an empty queue', function()
    return router:sql('SELECT count(*) FROM message')[1][1] == 0
  end)
end)

t.test('the message is whole: envelope, metadata, a large content; a number is a disposition, too', function()
  local router = t.router {
    policy = policy { body = [[
      function connection:send(message)
        note(message:sender().email .. ' ' .. #message:recipient_list() .. ' ' .. message:get_meta 'tenant'
          .. ' ' .. message:queue_name())
        return #message:get_data()
      end]] },
  }
  local data = 'Subject: large\r\n\r\n' .. ('0123456789abcdef\r\n'):rep(200000)
  router:enqueue { to = { 'a@hook', 'b@hook' }, data = data, meta = { tenant = 'bulk' } }
  local r = t.log(router, 'Delivery')
  t.eq(r.response.content, tostring(#data))
  t.eq(#r.recipient, 2)
  t.eq(seen()[1], 'made hook bulk nil')
  t.eq(seen()[2], 'ann@sender.test 2 bulk bulk@hook')
end)

t.test('case 152: reject 4xx is tried again, 5xx bounces, an error closes the connection', function()
  local router = t.router {
    policy = policy { body = [[
      function connection:send(message)
        local what = message:recipient().user
        note('send ' .. what)
        if what == 'later' then kumo.reject(400, 'x') end
        if what == 'never' then kumo.reject(550, '5.7.9 x') end
        if what == 'odd' then kumo.reject(250, 'x') end
        if what == 'sequence' then kumo.reject(503, 'x') end
        if what == 'boom' then error 'x' end
        if what == 'forgotten' then return end
        return 'fine'
      end]] },
  }
  router:enqueue { to = 'later@hook' }
  t.log(router, 'TransientFailure', { code = 400, recipient = 'later@hook' })
  t.wait_for('the row', function()
    return router:sql('SELECT state FROM recipient')[1][1] == 0
  end)
  local row = router:sql('SELECT due_at - unixepoch(), attempts FROM recipient')[1]
  t.ok(row[1] >= 55 and row[1] <= 63, 'due in ' .. row[1])
  t.eq(row[2], 1)

  router:enqueue { to = 'never@hook' }
  local r = t.log(router, 'Bounce', { code = 550, recipient = 'never@hook' })
  t.eq(r.response.content, 'x')
  t.eq(r.response.enhanced_code.detail, 9)
  router:enqueue { to = 'odd@hook' }
  t.log(router, 'Bounce', { code = 250, recipient = 'odd@hook' })
  router:enqueue { to = 'sequence@hook' }
  t.log(router, 'Bounce', { code = 503, recipient = 'sequence@hook' })
  t.eq(count '^made', 1)

  router:enqueue { to = 'boom@hook' }
  r = t.log(router, 'TransientFailure', { code = 400, recipient = 'boom@hook' })
  t.has(r.response.content, 'policy.lua:')
  router:enqueue { to = 'fine@hook' }
  t.log(router, 'Delivery', { recipient = 'fine@hook' })
  t.eq(count '^made', 2)
  router:enqueue { to = 'forgotten@hook' }
  r = t.log(router, 'TransientFailure', { code = 400, recipient = 'forgotten@hook' })
  t.has(r.response.content, 'must return a text')
  router:line 'tried again: send: [^\n]*policy.lua:%d+: must return a text'
end)

t.test('case 153: a constructor that nobody handles is tried again', function()
  local router = t.router { policy = policy {} }
  router:enqueue { to = 'u@nobody' }
  local r = t.log(router, 'TransientFailure', { code = 400 })
  t.has(r.response.content, 'nobody handles the event "make.nobody"')
  t.rows(router:sql 'SELECT count(*) FROM recipient', { { 1 } })
end)

t.test('a constructor that raises, or returns no table, is tried again', function()
  local router = t.router {
    policy = policy { more = [[
      kumo.on('make.raises', function() kumo.reject(550, 'no') end)
      kumo.on('make.text', function() return 'text' end)]] },
  }
  router:enqueue { to = 'u@raises' }
  t.log(router, 'TransientFailure', { code = 400, recipient = 'u@raises', content = 'no' })
  router:enqueue { to = 'u@text' }
  t.log(router, 'TransientFailure', { code = 400, recipient = 'u@text', content = 'must return a table' })
end)

local batches = [[
  function connection:send_batch(messages)
    note('batch of ' .. #messages)
    for _, m in ipairs(messages) do
      if m:recipient().user == 'never' then kumo.reject(550, 'x') end
    end
    return 'took ' .. #messages
  end]]
local in_batches = "batch_size = 10, min_batch_size = 5, max_batch_latency = '1s'"

t.test('case 154: messages go in batches, and a partial one waits for its latency', function()
  local router = t.router { policy = policy { q = in_batches, body = batches } }
  router:enqueue { to = 'u@hook', count = 10 }
  t.wait_for('10 deliveries', function()
    return #router:records 'Delivery' == 10
  end)
  t.eq(count '^batch of', count '^batch of 10$' == 1 and 1 or count '^batch of 5$')
  local before, began = #seen(), t.sys.now_ms()
  router:enqueue { to = 'u@hook', count = 3 }
  t.wait_for('13 deliveries', function()
    return #router:records 'Delivery' == 13
  end)
  t.ok(t.sys.now_ms() - began >= 900, 'after ' .. (t.sys.now_ms() - began) .. ' ms')
  t.eq(seen()[before + 1], 'batch of 3')
  router:enqueue { to = { 'u@hook' }, count = 4 }
  router:enqueue { to = { 'never@hook' }, count = 1 }
  t.wait_for('a Bounce for each message', function()
    return #router:records 'Bounce' == 5
  end)
end)

t.test('case 155: close is called once when the connection was idle for idle_timeout', function()
  local router = t.router {
    policy = policy { path = "idle_timeout = '1s'", body = [[
      function connection:send() return 'OK' end
      function connection:close() note 'close' end]] },
  }
  router:enqueue { to = 'u@hook', count = 2 }
  t.wait_for('2 deliveries', function()
    return #router:records 'Delivery' == 2
  end)
  wait_seen('^close$', 1)
  router:enqueue { to = 'u@hook' }
  wait_seen('^made', 2)
  router:stop()
  t.eq(count '^close$', 2)
end)

t.test('max_deliveries_per_connection and a reload end a connection', function()
  local text = policy { path = 'max_deliveries_per_connection = 2, connection_limit = 1', body = [[
    function connection:send() return 'OK' end
    function connection:close() note 'close' end]] }
  local router = t.router { policy = text }
  router:enqueue { to = 'u@hook', count = 5 }
  t.wait_for('5 deliveries', function()
    return #router:records 'Delivery' == 5
  end)
  t.eq(count '^made', 3)
  t.write('policy.lua', text .. '-- changed\n')
  router:reload()
  router:enqueue { to = 'u@hook' }
  t.wait_for('6 deliveries', function()
    return #router:records 'Delivery' == 6
  end)
  t.eq(count '^made', 4)
end)

t.test('dispatcher_progress_watchdog_timeout ends a send that does not come back', function()
  local router = t.router {
    policy = policy {
      path = "dispatcher_progress_watchdog_timeout = '2s'",
      body = 'function connection:send(message) kumo.sleep(60) end',
    },
  }
  router:enqueue { to = 'u@hook' }
  local r = t.log(router, 'TransientFailure', { recipient = 'u@hook', code = 451 }, 20000)
  t.eq(r.response.enhanced_code, { class = 4, subject = 4, detail = 1 })
  t.has(r.response.content, 'no progress for 2 s')
  t.none(router, 'SELECT count(*) - 1 FROM recipient WHERE attempts = 1')
end)

t.test('a slow handler slows only its own queue', function()
  local router = t.router {
    policy = policy { body = [[
      function connection:send(message) kumo.sleep(100) return 'OK' end]], more = [[
      kumo.on('make.quick', function()
        return { send = function() return 'OK' end }
      end)]] },
  }
  router:enqueue { to = 'u@hook', count = 400 }
  wait_seen('^made', 10)
  local began = t.sys.now_ms()
  for i = 1, 5 do
    router:enqueue { to = 'u' .. i .. '@quick' }
    t.log(router, 'Delivery', { recipient = 'u' .. i .. '@quick' })
  end
  t.ok(t.sys.now_ms() - began < 10000, 'took ' .. (t.sys.now_ms() - began) .. ' ms')
end)

t.test('killed while the policy has a message: it is sent again, and recorded before its row goes', function()
  local o = policy { body = [[
    function connection:send(message)
      note 'send'
      local f = io.open('%s/go')
      if not f then kumo.sleep(60) end
      return 'OK'
    end]] }
  local text = o:gsub('%%s', t.dir())
  local router = t.router { policy = text }
  router:enqueue { to = 'u@hook' }
  wait_seen('^send$', 1)
  router:kill()
  t.write('go', '')
  router = t.router { policy = text, env = { PENSTOCK_FAULT = 'outcome.after-record:1:kill' }, expect_failure = true }
  router:wait(15000)
  t.eq(#router:records 'Delivery', 1)
  t.rows(router:sql 'SELECT count(*) FROM recipient', { { 1 } })
  router = t.router { policy = text }
  t.wait_for('an empty queue', function()
    return router:sql('SELECT count(*) FROM message')[1][1] == 0
  end)
  t.eq(#router:records 'Delivery', 2)
end)

t.test('a stop gives up what the policy does not finish in time', function()
  local router = t.router { policy = policy { body = [[
    function connection:send(message) note 'send' kumo.sleep(100) return 'OK' end]] } }
  router:enqueue { to = 'u@hook' }
  wait_seen('^send$', 1)
  router:signal(15)
  router:line 'stopping'
  router:advance(31)
  t.eq(router:wait(20000), 0)
  t.rows(router:sql 'SELECT state, crashes FROM recipient', { { 0, 0 } })
end)
