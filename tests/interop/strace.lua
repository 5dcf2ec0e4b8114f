-- Killed at every write, and told by the kernel that a sync failed.
local t = require 'harness'
local sys, sched = t.sys, t.sched

-- path: calls for this file only.
local function strace(daemon, inject, path)
  local p = t.spawn { 'strace', '-f', '-q', '-o', '/dev/null', '-p', tostring(daemon.pid), '-e', 'trace=pwrite64,fdatasync,fsync',
    '-e', inject, path and '-P', path }
  t.wait_for('strace to attach', function()
    return (t.read('/proc/' .. daemon.pid .. '/status') or ''):match 'TracerPid:%s+[1-9]'
  end)
  -- Every thread has to be held, or the write may come from one that is not.
  t.wait_for('strace to hold all threads', function()
    for _, tid in ipairs(sys.list('/proc/' .. daemon.pid .. '/task') or {}) do
      if not (t.read('/proc/' .. daemon.pid .. '/task/' .. tid .. '/status') or ''):match 'TracerPid:%s+[1-9]' then
        return false
      end
    end
    return true
  end)
  return p
end

local function policy(sink)
  return t.smart_host(sink)
end

t.test('the milter killed at each write of a custody: a row if and only if it could be complete', function()
  local survived
  for n = 1, 60 do
    local milter = t.milter { policy = policy '127.0.0.1:9' }
    local before = milter:sql('SELECT count(*) FROM recipient')[1][1]
    local tracer = strace(milter, 'inject=pwrite64:signal=SIGKILL:when=' .. n)
    local mta = milter:connect { helo = 'x.test' }
    local verdict = 'closed'
    if mta and mta:mail '<a@b.test>' == 'continue' and mta:rcpt '<c@d.test>' == 'continue' then
      verdict = mta:message(t.plain)
    end
    if verdict ~= 'discard' then
      milter:wait()
    end
    survived = milter:running()
    milter:kill()
    tracer:kill()
    local rows = sys.sql(t.context().queue, 'SELECT count(*) FROM recipient')[1][1] - before
    t.ok(rows == 0 or rows == 1, 'rows: ' .. rows)
    if verdict == 'discard' then
      t.eq(rows, 1, 'write ' .. n)
    end
    t.rows(sys.sql(t.context().queue, 'PRAGMA integrity_check'), { { 'ok' } })
    if survived then
      break
    end
  end
  t.ok(survived, 'in the end no write is left to be killed at')
end)

t.test('the router killed at each write of an outcome: delivered at least once, recorded, then gone', function()
  local sink = t.smtp_sink {}
  local router = t.router { policy = policy(sink) }
  local survived
  for n = 1, 60 do
    local tracer = strace(router, 'inject=pwrite64:signal=SIGKILL:when=' .. n)
    local to = 'u' .. n .. '@example.com'
    router:enqueue { to = to }
    t.wait_for('the outcome or the end', function()
      return not router:running()
        or router:sql('SELECT count(*) FROM recipient')[1][1] == 0
    end, 30000)
    survived = router:running()
    if not survived then
      tracer:kill()
      router = t.router { policy_file = t.dir() .. '/policy.lua' }
    end
    t.wait_for('an empty queue', function()
      return router:sql('SELECT count(*) FROM recipient')[1][1] == 0
    end, 30000)
    local got = 0
    for _, m in ipairs(sink:messages()) do
      got = got + (m.to[1] == to and 1 or 0)
    end
    t.ok(got >= 1 and got <= 2, to .. ' arrived ' .. got .. ' times')
    t.log(router, 'Delivery', { recipient = to })
    t.rows(router:sql 'PRAGMA integrity_check', { { 'ok' } })
    if survived then
      tracer:kill()
      break
    end
    -- A recipient that a dying router held three times is kept for an operator;
    -- each round has one of its own.
  end
  t.ok(survived, 'in the end no write is left to be killed at')
end)

t.test('a sync that fails once loses nothing that was acknowledged', function()
  local milter = t.milter { policy = policy '127.0.0.1:9' }
  local acked = 0
  local function send(i)
    local mta = milter:connect { helo = 'x.test' }
    if not mta or mta:mail '<a@b.test>' ~= 'continue' or mta:rcpt('<u' .. i .. '@d.test>') ~= 'continue' then
      return 'refused'
    end
    local verdict = mta:message(t.plain)
    mta:quit()
    return verdict
  end
  for i = 1, 3 do
    t.eq(send(i), 'discard')
    acked = acked + 1
  end
  local tracer = strace(milter, 'inject=fdatasync:error=EIO:when=1')
  local verdict = send(4)
  t.match(verdict, '^4%d%d')
  tracer:signal(15)
  tracer:wait()
  t.wait_for('mail to be taken again', function()
    local v = send(5)
    t.ok(v == 'discard' or v == 'refused' or v:match '^4', v)
    return v == 'discard'
  end, 30000)
  acked = acked + 1
  milter:kill()
  local rows = sys.sql(t.context().queue, 'SELECT address FROM recipient')
  local have = {}
  for _, r in ipairs(rows) do
    have[r[1]] = true
  end
  for _, i in ipairs { 1, 2, 3, 5 } do
    t.ok(have['u' .. i .. '@d.test'], 'u' .. i)
  end
  t.rows(sys.sql(t.context().queue, 'PRAGMA integrity_check'), { { 'ok' } })
end)

t.test('a sync that stalls past the custody deadline: no 451 with a row, no 250 without one', function()
  local milter = t.milter {
    policy = ([[
local kumo = require 'kumo'
kumo.on('init', function()
  kumo.start_esmtp_listener { listen = '0.0.0.0:25', relay_hosts = { 'any' }, data_processing_timeout = '2s' }
  %s
end)]]):format(t.local_logs()),
  }
  local tracer = strace(milter, 'inject=fdatasync:delay_enter=5000000:when=1')
  local clients, verdicts = {}, {}
  for i = 1, 3 do
    local mta = milter:connect { helo = 'x.test' }
    t.eq(mta:mail '<a@b.test>', 'continue')
    t.eq(mta:rcpt('<u' .. i .. '@d.test>'), 'continue')
    t.eq(mta:data(), 'continue')
    t.eq(mta:content(t.plain), 'continue')
    clients[i] = mta
  end
  clients[1]:eom_begin()
  sched.pass(500) -- the first is being written; the others come behind it
  clients[2]:eom_begin()
  clients[3]:eom_begin()
  for i = 1, 3 do
    verdicts[i] = clients[i]:verdict()
  end
  tracer:signal(15)
  tracer:wait()
  milter:stop()
  local have = {}
  for _, r in ipairs(sys.sql(t.context().queue, 'SELECT address FROM recipient')) do
    have[r[1]] = true
  end
  t.eq(verdicts[1], 'discard', 'claimed before the deadline: it waits')
  for i = 1, 3 do
    t.eq(have['u' .. i .. '@d.test'] or false, verdicts[i] == 'discard', 'u' .. i .. ' ' .. verdicts[i])
  end
  t.match(verdicts[2], '^451')
end)

local BOUNCE = ('From: x@y.test\nContent-Type: multipart/report; boundary=b\n\n--b\n'
  .. 'Content-Type: message/delivery-status\n\nReporting-MTA: dns; y.test\n\n'
  .. 'Final-Recipient: rfc822; bob@y.test\nAction: failed\nStatus: 5.1.1\n--b--\n'):gsub('\n', '\r\n')

-- Of a report that is not kept the records are all there is.
t.test('a report is acknowledged when its records are synced, and not before', function()
  local milter = t.milter {
    policy = ([[
local kumo = require 'kumo'
kumo.on('init', function()
  kumo.start_esmtp_listener { listen = '0.0.0.0:25', relay_hosts = {}, data_processing_timeout = '3s' }
  %s
end)
kumo.on('get_listener_domain', function() return kumo.make_listener_domain { log_oob = 'LogThenDrop' } end)
]]):format(t.local_logs()),
  }
  local function send()
    local mta = milter:connect { helo = 'x.test' }
    t.eq(mta:mail '<>', 'continue')
    t.eq(mta:rcpt '<x@b.example>', 'continue')
    local answer = mta:message(BOUNCE)
    mta:close()
    return answer
  end
  -- The name of the file is never safe: 451, and a record of what comes again.
  local tracer = strace(milter, 'inject=fsync:error=EIO')
  t.match(send(), '^451 4%.3%.0 ')
  tracer:kill()
  milter:line 'log records are written again'
  t.eq(#milter:records 'OOB', 1)
  -- The text fails once: it goes into another file, and is acknowledged then.
  local segments = sys.list(t.context().logs)
  table.sort(segments)
  tracer = strace(milter, 'inject=fdatasync:error=EIO:when=1', t.context().logs .. '/' .. segments[#segments])
  t.eq(send(), 'discard')
  tracer:kill()
  t.eq(#milter:records 'OOB', 3)
  t.eq(send(), 'discard')
  t.eq(#milter:records 'OOB', 4)
end)
