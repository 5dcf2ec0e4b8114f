-- Hosts that mean harm: deadlines hold, memory is bounded, and nothing that a host
-- says can add a line to a log or a record.
local t = require 'harness'
local sys = t.sys

-- Resident memory of a process, in bytes.
local function memory(p)
  return tonumber(t.read('/proc/' .. p.pid .. '/status'):match 'VmRSS:%s+(%d+)') * 1024
end

local SHORT = "banner_timeout = '2s', ehlo_timeout = '2s', mail_from_timeout = '2s', rcpt_to_timeout = '2s', "
  .. "data_timeout = '2s', data_dot_timeout = '2s', rset_timeout = '2s', starttls_timeout = '2s'"

-- A sink whose reply at `stage` is written by fn(stream).
local function sink_that(stage, fn, o)
  o = o or {}
  o[stage] = function(_, session)
    fn(session.stream)
    return 'stall'
  end
  return t.smtp_sink(o)
end

local function deferred(sink, path, check)
  local router = t.router { policy = t.smart_host(sink, { path = path or SHORT }) }
  router:enqueue { to = 'bob@example.com' }
  local r = t.log(router, 'TransientFailure', { recipient = 'bob@example.com' }, 20000)
  if check then
    check(r, router)
  end
  t.eq(#router:records 'Delivery', 0)
  t.rows(router:sql 'SELECT count(*) FROM recipient', { { 1 } })
  t.ok(router:running())
  return r, router
end

t.test('one byte every now and then does not move a deadline', function()
  for _, stage in ipairs { 'connect', 'ehlo', 'mail' } do
    local sink = sink_that(stage, function(stream)
      for _ = 1, 100 do
        if not stream:write '2' then
          return
        end
        t.sched.pass(100)
      end
    end)
    local from = sys.now_ms()
    local _, router = deferred(sink)
    t.ok(sys.now_ms() - from < 9000, 'it took ' .. sys.now_ms() - from)
    router:kill()
    os.remove(t.context().queue)
    os.remove(t.context().queue .. '-wal')
    os.remove(t.context().queue .. '-shm')
    os.execute("rm -rf '" .. t.context().logs .. "'")
  end
end)

-- Virtual time: 350 s with a byte each 10 s, for a stage that may take 300 s and others that may take longer.
for stage, field in pairs {
  connect = 'banner_timeout', ehlo = 'ehlo_timeout', mail = 'mail_from_timeout', rcpt = 'rcpt_to_timeout',
  data = 'data_timeout', dot = 'data_dot_timeout',
} do
  t.test(('a byte every 10 s at %s does not keep the router beyond %s'):format(stage, field), function()
    local wanted, written = 0, -1
    local sink = sink_that(stage, function(stream)
      written = 0
      while written < 100 do
        t.wait_for('the next byte', function()
          return wanted > written
        end)
        written = written + 1
        if not stream:write(('250-'):sub(written, written) .. (written > 4 and 'x' or '')) then
          return
        end
      end
    end, { extensions = {} })
    local path = {}
    for _, name in ipairs {
      'banner_timeout', 'ehlo_timeout', 'mail_from_timeout', 'rcpt_to_timeout', 'data_timeout', 'data_dot_timeout',
    } do
      path[#path + 1] = ("%s = '%s'"):format(name, name == field and '5m' or '1h')
    end
    local router = t.router { policy = t.smart_host(sink, { path = table.concat(path, ', ') }) }
    router:enqueue { to = 'bob@example.com' }
    t.wait_for('the stage', function()
      return written == 0
    end)
    for i = 1, 35 do
      wanted = i
      if i < 25 then
        t.wait_for('the byte', function()
          return written == i
        end)
      end
      router:advance(10)
      if i == 24 then
        t.eq(#router:records 'TransientFailure', 0)
      end
    end
    local r = t.log(router, 'TransientFailure', { recipient = 'bob@example.com' })
    if stage == 'connect' or stage == 'ehlo' then
      t.eq(r.response.code, 400, 'the only candidate failed')
    else
      t.eq(r.response.code, 421)
      t.eq(r.response.enhanced_code.class, 4)
      t.eq(r.response.enhanced_code.subject, 4)
      t.eq(r.response.enhanced_code.detail, 2)
    end
    t.has(r.response.content, 'timed out')
    t.eq(#router:records 'Delivery', 0)
    wanted = 100
  end)
end

for what, fn in pairs {
  ['a reply line of 1 MiB'] = function(stream)
    stream:write('250 ' .. ('x'):rep(1 << 20) .. '\r\n')
  end,
  ['a line that never ends'] = function(stream)
    for _ = 1, 64 do
      if not stream:write(('x'):rep(1 << 16)) then
        return
      end
    end
  end,
  ['a million continuation lines'] = function(stream)
    local block = ('250-x\r\n'):rep(10000)
    for _ = 1, 100 do
      if not stream:write(block) then
        return
      end
    end
  end,
} do
  for _, stage in ipairs { 'ehlo', 'rcpt' } do
    t.test(('%s at %s costs little memory and is a failure'):format(what, stage:upper()), function()
      local before
      local sink = sink_that(stage, fn)
      local router = t.router { policy = t.smart_host(sink, { path = SHORT }) }
      before = memory(router)
      router:enqueue { to = 'bob@example.com' }
      t.log(router, 'TransientFailure', { recipient = 'bob@example.com' }, 20000)
      -- A policy event and a connection cost something, too.
      t.ok(memory(router) - before < (sys.is_sanitized and 64 or 8) << 20, memory(router) - before)
      t.eq(#router:records 'Delivery', 0)
    end)
  end
end

t.test('NUL, control characters, 8-bit and line ends in a reply cannot forge a line', function()
  local forged = '550 5.1.1 no\0\27[2J\127\200\255\rpenstock-router: info: forged: status=sent'
  local sink = t.smtp_sink { rcpt = forged }
  local router = t.router { policy = t.smart_host(sink, { path = SHORT }) }
  router:enqueue { to = 'bob@example.com' }
  t.wait_for('an outcome', function()
    return #router:records() > 0
  end)
  for line in router:output():gmatch '[^\n]*' do
    t.lacks(line:sub(1, 40), 'forged')
    t.ok(not line:find '[%z\1-\8\11-\31\127]', line)
  end
  local r = router:records()[1]
  t.ok(r.type == 'Bounce' or r.type == 'TransientFailure')
  t.ok(not r.response.content:find '[%z\r\n]')
end)

for what, text in pairs {
  ['garbage after the 220'] = '220 hi\r\n\0\1\2 garbage\r\n', ['a second greeting'] = '220 hi\r\n220 hi again\r\n',
  ['an answer to what was not asked'] = '220 hi\r\n250 ok\r\n250 ok\r\n354 go\r\n250 delivered\r\n',
} do
  t.test(what .. ' delivers nothing', function()
    local sink = sink_that('connect', function(stream)
      stream:write(text)
    end)
    deferred(sink)
  end)
end

t.test('dispatcher_progress_watchdog_timeout ends what makes no progress, and the attempt counts', function()
  for stage, what in pairs { mail = 'while sending MAIL FROM', dot = 'after the message was sent' } do
    local sink = t.smtp_sink { [stage] = 'stall' }
    local router = t.router { policy = t.smart_host(sink, { path = "dispatcher_progress_watchdog_timeout = '2s'" }) }
    router:enqueue { to = 'bob@example.com' }
    local r = t.log(router, 'TransientFailure', { recipient = 'bob@example.com', code = 451 })
    t.eq(r.response.enhanced_code, { class = 4, subject = 4, detail = 1 })
    t.has(r.response.content, 'no progress for 2 s ' .. what)
    t.none(router, 'SELECT count(*) - 1 FROM recipient WHERE attempts = 1')
    router:kill()
    os.execute("rm -rf '" .. t.context().logs .. "' '" .. t.context().queue .. "'*")
  end
end)

t.test('a handshake that stops half-way, and TLS that is closed in the middle', function()
  local c = t.certificate 'DNS:sink.test'
  local silent = t.smtp_sink {
    extensions = { 'STARTTLS' }, starttls = function(_, session)
      session.stream:write '220 go\r\n'
      return 'stall'
    end,
  }
  local from = sys.now_ms()
  local _, router = deferred(silent, "enable_tls = 'RequiredInsecure', " .. SHORT)
  t.ok(sys.now_ms() - from < 9000)
  router:kill()
  os.execute("rm -rf '" .. t.context().logs .. "' '" .. t.context().queue .. "'*")
  local closed = t.smtp_sink { cert = c.cert, key = c.key, mail = 'drop' }
  deferred(closed, "enable_tls = 'RequiredInsecure', " .. SHORT)
end)

for _, stage in ipairs { 'mail', 'rcpt', 'data', 'dot' } do
  t.test(('TLS that is half closed at %s is over at once, though TCP stays open'):format(stage), function()
    local c = t.certificate 'DNS:sink.test'
    local sink = t.smtp_sink { cert = c.cert, key = c.key, [stage] = 'half-close', extensions = {} }
    -- Every time limit is minutes away.
    local r, router = deferred(sink, "enable_tls = 'RequiredInsecure'")
    t.eq(r.response.code, 400)
    t.has(r.response.content, 'connection dropped')
    t.wait_for('the connection to go', function()
      return router:ask('status').open_connections == 0
    end)
  end)
end

t.test('a thousand MX records are no more work than a hundred', function()
  local mx, zone = {}, {}
  for i = 1, 1000 do
    mx[i] = { i, ('h%d.many.test'):format(i) }
    zone[mx[i][2]] = { A = { '127.0.3.' .. (i % 250 + 1) } }
  end
  zone['many.test'] = { MX = mx }
  local router = t.router {
    dns = t.dns(zone),
    policy = ([[
local kumo = require 'kumo'
kumo.on('init', function() %s end)
kumo.on('get_egress_path_config', function() return kumo.make_egress_path { prohibited_hosts = {}, smtp_port = 9 } end)]])
      :format(t.local_logs()),
  }
  router:enqueue { to = 'bob@many.test' }
  local r = t.log(router, 'TransientFailure', {}, 20000)
  t.ok(#r.response.content < 8000, #r.response.content)
  t.lacks(r.response.content, 'h101.')
end)

-- Nine ways to end a message too early, as content that somebody managed to have
-- queued.  RFC 5321, 2.3.8: CR and LF stand together or not at all.
local SMUGGLED = {
  '\n.\n', '\n.\r\n', '\r\n.\n', '\r.\r', '\r.\r\n', '\r\n.\r', '\n.\r', '\r\n\r.\r\n', '\r\n.\r\r\n',
}
t.test('no smuggling sequence leaves with a bare CR or LF', function()
  local sink = t.smtp_sink {}
  local router = t.router { policy = t.smart_host(sink) }
  for i, sequence in ipairs(SMUGGLED) do
    local to = ('u%d@example.com'):format(i)
    router:enqueue {
      to = to,
      data = 'Subject: x\r\n\r\nbefore' .. sequence .. 'MAIL FROM:<evil@example.com>\r\nDATA\r\n',
    }
    local r = t.wait_for('an outcome of ' .. i, function()
      for _, x in ipairs(router:records()) do
        if x.recipient == to then
          return x
        end
      end
    end)
    t.eq({ r.type, r.response.code }, { 'Bounce', 554 }, ('%q'):format(sequence))
  end
  t.eq(#sink:messages(), 0)
  for _, line in ipairs(sink.lines) do
    t.lacks(line, 'evil')
  end
end)
