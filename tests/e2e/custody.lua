-- The queue's file while others look at it: long readers, full disks, large
-- messages, several milters, and what is asked of it with the daemons stopped.
local t = require 'harness'

local OPEN = "listen = '0.0.0.0:25', relay_hosts = { '203.0.113.0/24' }"

local function policy(body, listener)
  return ([[
local kumo = require 'kumo'
kumo.on('init', function()
  kumo.start_esmtp_listener { %s, %s }
  %s
end)
%s
]]):format(OPEN, listener or '', t.local_logs(), body or '')
end

local function send(milter, to, data, o)
  local mta = milter:connect(o or { helo = 'x.test' })
  if mta.connected ~= 'continue' then
    return mta.connected
  end
  local reply = mta:mail '<a@b.test>'
  if reply == 'continue' then
    reply = mta:rcpt('<' .. to .. '>')
  end
  if reply == 'continue' then
    reply = mta:message(data or t.plain)
  end
  mta:quit()
  return reply
end

-- As somebody who is nothing but a member of the queue's group.
local NOBODY, NOGROUP = '65534', '65534'

-- Only root can be somebody else.
local is_root = io.popen('id -u'):read 'a' == '0\n'

local function as_nobody(argv)
  local out = { 'setpriv', '--reuid=' .. NOBODY, '--regid=' .. NOGROUP, '--clear-groups' }
  table.move(argv, 1, #argv, 3 + 2, out)
  return t.run(out)
end

local function penstock_as_nobody(...)
  return as_nobody {
    t.daemons.program 'penstock', '--queue', t.context().queue, '--control', '/nonexistent/r.sock',
    '--milter-control', '/nonexistent/m.sock', ...,
  }
end

-- The queue belongs to nobody's group; its directory may be entered, no more.
local function share_queue()
  t.run { 'chmod', '0751', t.dir() }
  t.run { 'sh', '-c', 'chgrp ' .. NOGROUP .. ' ' .. t.context().queue .. '*' }
end

local slow = (t.read(TOP_BUILDDIR .. '/config.h') or ''):find '#define ENABLE_SANITIZER'

local function wal_size()
  local st = t.sys.stat(t.context().queue .. '-wal')
  return st and st.size or 0
end

-- A shell that keeps a SELECT open until its `finish` is called.
local function reader()
  local fifo = t.dir() .. '/fifo'
  t.run { 'mkfifo', fifo }
  local shell = t.spawn { 'sh', '-c', 'exec sqlite3 -readonly -bail ' .. t.context().queue .. ' < ' .. fifo }
  local f = io.open(fifo, 'w')
  f:write "BEGIN; SELECT 'reading', count(*) FROM recipient;\n"
  f:flush()
  t.wait_for('the reader', function()
    return shell:output():find 'reading'
  end)
  return {
    pid = shell.pid,
    finish = function()
      f:write 'COMMIT;\n'
      f:close()
      shell:wait()
    end,
  }
end

local HALF = 'Subject: half a MiB\r\n\r\n' .. ('x'):rep(72):rep(7000, '\r\n') .. '\r\n'

for _, with_router in ipairs { false, true } do
  local who = with_router and 'with a router' or 'without a router'
  t.test('a reader stops no mail until the log is too long, and again afterwards, ' .. who, function()
    -- Nobody listens on port 9.
    local text = t.smart_host('127.0.0.1:9', { queue = "retry_interval = '1h'," })
    local milter = t.milter { policy = text, args = { '--wal-limit', '4' } }
    local router = with_router and t.router { policy = text }
    local shell = reader()
    local open = milter:connect { helo = 'x.test' }
    local taken, verdict = 0, nil
    t.wait_for('the limit', function()
      verdict = send(milter, 'u@d.test', HALF)
      taken = taken + (verdict == 'discard' and 1 or 0)
      return verdict ~= 'discard'
    end)
    t.ok(taken >= 6, taken .. ' messages were taken')
    t.match(verdict, '^4[25][12] 4%.3%.[12] ')
    t.match(open:mail '<a@b.test>', '^452 4%.3%.1 ')
    t.ok(wal_size() > 4 << 20)
    t.has(milter:ask('status').paused, 'process ' .. shell.pid)
    local _, status = t.penstock 'status'
    t.has(status, tostring(shell.pid))
    shell.finish()
    local ended = t.sys.now_ms()
    t.wait_for('a short log', function()
      return wal_size() < 1 << 20
    end, 10000)
    t.wait_for('mail again', function()
      return send(milter, 'u@d.test') == 'discard'
    end, 10000 - (t.sys.now_ms() - ended))
    t.rows(milter:sql 'SELECT count(*) FROM message', { { taken + 1 } })
  end)
end

t.test('after an unclean stop the whole file is checked, and damage closes the intake', function()
  local milter = t.milter { policy = policy() }
  for i = 1, 40 do
    t.eq(send(milter, 'u' .. i .. '@d.test'), 'discard')
  end
  milter:kill()
  milter = t.milter { policy = policy() }
  milter:line 'the whole file is sound'
  local mta = milter:connect { helo = 'x.test' }
  milter:kill()
  t.sys.sql(t.context().queue, 'PRAGMA wal_checkpoint(TRUNCATE)', true)
  local root = t.sys.sql(t.context().queue, "SELECT rootpage FROM sqlite_schema WHERE name = 'content'")[1][1]
  local f = io.open(t.context().queue, 'r+b')
  f:seek('set', (root - 1) * 4096)
  f:write(('U'):rep(4096))
  f:close()
  milter = t.milter { policy = policy() }
  milter:line 'queue.db is damaged: '
  t.match(send(milter, 'u@d.test'), '^421 4%.3%.2 ')
  t.has(milter:ask('status').paused, 'is damaged')
  local status, out = t.penstock('check', '--queue-integrity')
  t.eq(status, 65, out)
  -- Not forgotten by stopping cleanly.
  t.eq(milter:stop(), 0)
  milter = t.milter { policy = policy() }
  milter:line 'queue.db is damaged: '
end)

t.test('the documented query works for a member of the group: daemons running, stopped, killed', function()
  local text = t.smart_host('127.0.0.1:9', { queue = "retry_interval = '1h'," })
  local milter, router = t.milter { policy = text }, nil
  milter:stop()
  if not is_root then
    t.skip 'only root can ask as somebody else'
  end
  share_queue()
  local function ask(when)
    local status, out = as_nobody {
      'sqlite3', '-readonly', t.context().queue, 'SELECT count(*), min(recipient) FROM v_queue',
    }
    t.eq(out, '1|u@d.test\n', when)
    t.eq(status, 0, when)
    local code, list = penstock_as_nobody('queue', '--json')
    t.eq(code, 0, when .. ': ' .. list)
    t.has(list, 'u@d.test', when)
  end
  milter, router = t.milter { policy = text }, t.router { policy = text }
  t.eq(send(milter, 'u@d.test'), 'discard')
  ask 'running'
  t.eq(milter:stop(), 0)
  t.eq(router:stop(), 0)
  ask 'stopped'
  milter, router = t.milter { policy = text }, t.router { policy = text }
  milter:kill()
  router:kill()
  ask 'killed'
  -- And the daemons take over what such a shell has left behind.
  milter = t.milter { policy = text }
  t.eq(send(milter, 'v@d.test'), 'discard')
end)

t.test('the command works with the daemons stopped, and its JSON is JSON', function()
  local milter = t.milter { policy = policy() }
  t.eq(send(milter, 'u@d.test'), 'discard')
  milter:kill()
  local id = milter:sql('SELECT uuid FROM message')[1][1]
  for _, command in ipairs { { 'queue' }, { 'summary' }, { 'show', id }, { 'show', id, '--body' }, { 'status' },
    { 'check' }, { 'check', '--queue-integrity' } } do
    local status, out = t.penstock(table.unpack(command))
    t.eq(status, 0, table.concat(command, ' ') .. ': ' .. out)
    t.ok(out ~= '', command[1] .. ' says something')
  end
  local rows = {}
  for _, command in ipairs { { 'queue' }, { 'summary' }, { 'show', id }, { 'status' }, { 'check' } } do
    local status, out = t.penstock('--json', table.unpack(command))
    t.eq(status, 0, out)
    -- Warnings go to stderr, which stands beside it here.
    for line in out:gsub('penstock: warning: [^\n]*\n', ''):gmatch '[^\n]+' do
      rows[command[1]] = t.json(line)
      -- By somebody else's reader, too.
      local quoted = line:gsub("'", "''")
      t.eq(select(2, t.run { 'sqlite3', ':memory:', "SELECT json_valid('" .. quoted .. "')" }), '1\n', line)
    end
  end
  t.eq(rows.show.id, id)
  t.eq(rows.status.queue.queued, 1)
  t.eq(rows.status.milter, nil)
  t.has(rows.status.milter_error, 'mc.sock')
  t.eq(rows.check.ok, true)
end)

t.test('what cannot be read has an exit code that says why', function()
  local milter = t.milter { policy = policy() }
  t.eq(milter:stop(), 0)
  local queue = t.context().queue
  local function all(want, run)
    for _, command in ipairs { { 'queue' }, { 'summary' }, { 'show', ('0'):rep(32) }, { 'status' },
      { 'check', '--queue-integrity' } } do
      local status, out = run(table.unpack(command))
      t.eq(status, want, table.concat(command, ' ') .. ': ' .. out)
    end
  end
  t.run { 'chmod', '0755', t.dir() }
  t.run { 'sh', '-c', 'chmod 0600 ' .. queue .. '*' }
  if is_root then
    all(77, penstock_as_nobody)
  end
  t.sys.sql(queue, 'PRAGMA user_version = 9999', true)
  t.sys.sql(queue, 'PRAGMA wal_checkpoint(TRUNCATE)', true)
  local before = t.read(queue)
  all(78, t.penstock)
  milter = t.milter { policy = policy(), expect_failure = true }
  t.eq(milter:wait(), 78)
  t.has(milter:output(), 'too old')
  t.ok(t.read(queue) == before, 'untouched')
  t.context().queue = t.write('other.db', 'Dear diary\n' .. ('x'):rep(200))
  all(65, t.penstock)
  milter = t.milter { policy = policy(), expect_failure = true }
  t.eq(milter:wait(), 65)
  t.context().queue = t.dir() .. '/other.sqlite'
  t.run { 'sqlite3', t.context().queue, 'CREATE TABLE diary(text)' }
  all(65, t.penstock)
  t.context().queue = t.dir() .. '/missing.db'
  all(66, t.penstock)
  t.eq(t.sys.stat(t.context().queue), nil, 'looking makes no queue')
end)

t.test('below the floor of free space there is 452, and the router still records what it does', function()
  local mount = t.dir() .. '/small'
  t.sys.mkdir(mount)
  -- Where nothing may be mounted the floor is put above what is free.
  local mounted = t.run { 'mount', '-t', 'tmpfs', '-o', 'size=64m,mode=0755', 'tmpfs', mount } == 0
  t.at_end(function()
    t.daemons.run(t.context(), { 'umount', '-l', mount })
  end)
  local function fill()
    t.run { 'sh', '-c', 'head -c $(( $(stat -f -c "%a * %S" ' .. mount .. ') - 2000000 )) /dev/zero > ' .. mount .. '/filler' }
  end
  t.context().queue = mount .. '/queue.db'
  local sink = t.smtp_sink {}
  local text = t.smart_host(sink)
  local milter = t.milter { policy = text }
  for i = 1, 20 do
    t.eq(send(milter, 'u' .. i .. '@d.test'), 'discard')
  end
  -- The floor of so small a file system is 5 %: 3.2 MiB.
  local open = milter:connect { helo = 'x.test' }
  if mounted then
    fill()
    t.wait_for('the look at the disk', function()
      local reply = open:mail '<a@b.test>'
      open:abort()
      return reply ~= 'continue' and reply:match '^452 4%.3%.1 '
    end)
  else
    milter:stop()
    milter = t.milter { policy = text, args = { '--free-floor', '2000000000' } }
  end
  t.match(send(milter, 'late@d.test'), '^421 4%.3%.2 ')
  t.has(milter:ask('status').paused, 'the floor is')
  local router = t.router { policy = text }
  t.wait_for('all deliveries', function()
    return milter:sql('SELECT count(*) FROM recipient')[1][1] == 0
  end)
  t.eq(#sink:messages(), 20)
  if mounted then
    os.remove(mount .. '/filler')
  else
    milter:stop()
    milter = t.milter { policy = text }
  end
  t.wait_for('mail again', function()
    return send(milter, 'again@d.test') == 'discard'
  end)
  t.wait_for('its delivery', function()
    return #sink:messages() == 21
  end)
  router:stop()
  milter:stop()
end)

local function peak_kib(pid)
  return tonumber(t.read('/proc/' .. pid .. '/status'):match 'VmHWM:%s*(%d+)')
end

local function large(mib)
  return 'Subject: large\r\n\r\n' .. ((('x'):rep(70) .. '\r\n'):rep(14563)):rep(mib)
end

t.test('a message of 40 MB adds less than 8 MB to the memory of the milter', function()
  local milter = t.milter { policy = policy('', 'max_message_size = 100000000') }
  for _ = 1, 5 do
    t.eq(send(milter, 'u@d.test', HALF), 'discard')
  end
  local before = peak_kib(milter.pid)
  t.eq(send(milter, 'u@d.test', large(40)), 'discard')
  local added = peak_kib(milter.pid) - before
  if not slow then
    t.ok(added < 8 * 1024, 'added ' .. added .. ' KiB')
  end
  t.rows(milter:sql 'SELECT max(size) > 40000000 FROM content', { { 1 } })
end)

-- How long small mail waits while three messages of 40 MB are taken.
local function p99_beside_large_mail(milter, bytes)
  local waiting = {}
  for i = 1, 3 do
    local mta = milter:connect { helo = 'x.test' }
    mta:mail '<a@b.test>'
    mta:rcpt('<big' .. i .. '@d.test>')
    t.eq(mta:data(), 'continue')
    t.eq(mta:content(bytes), 'continue')
    waiting[i] = mta
  end
  local took, left = {}, #waiting
  for _, mta in ipairs(waiting) do
    mta:eom_begin()
    t.sched.spawn(function()
      mta.timeout = 60000
      mta.said = mta:verdict()
      left = left - 1
    end)
  end
  local mta = milter:connect { helo = 'x.test' }
  repeat
    t.eq(mta:mail '<a@b.test>', 'continue')
    t.eq(mta:rcpt '<small@d.test>', 'continue')
    t.eq(mta:data(), 'continue')
    t.eq(mta:content(t.plain), 'continue')
    local begun = t.sys.now_ms()
    t.eq(mta:eom(), 'discard')
    took[#took + 1] = t.sys.now_ms() - begun
  until left == 0
  for _, big in ipairs(waiting) do
    t.eq(big.said, 'discard')
  end
  table.sort(took)
  t.ok(#took >= 5, #took .. ' small messages overtook the large ones')
  return took[math.ceil(#took * 0.99)]
end

t.test('small mail is in custody within 250 ms while messages of 40 MB arrive', function()
  local milter = t.milter { policy = policy('', 'max_message_size = 100000000') }
  local bytes, best = large(40), math.huge
  -- What else the machine does can only add to it: the best of a few counts.
  for _ = 1, 4 do
    best = math.min(best, p99_beside_large_mail(milter, bytes))
    if best < 250 then
      break
    end
  end
  t.ok(best < (slow and 1000 or 250), 'p99 is ' .. best .. ' ms')
end)

t.test('two milters and a router on one file take turns, and one that dies holds up nobody', function()
  local sink = t.smtp_sink {}
  local text = t.smart_host(sink)
  local milters = { t.milter { policy = text }, t.milter { policy = text, name = 'second' } }
  local router = t.router { policy = text }
  local taken, running = { 0, 0 }, 0
  local until_ms = t.sys.now_ms() + 3000
  local longest = 0
  local function client(i, stop)
    running = running + 1
    t.sched.spawn(function()
      local mta = milters[i]:connect { helo = 'x.test' }
      while t.sys.now_ms() < stop do
        local reply = mta:mail '<a@b.test>'
        reply = reply == 'continue' and mta:rcpt('<m' .. i .. '@d.test>') or reply
        if reply ~= 'continue' then
          break
        end
        local begun = t.sys.now_ms()
        if mta:message(t.plain) ~= 'discard' then
          break
        end
        longest = math.max(longest, t.sys.now_ms() - begun)
        taken[i] = taken[i] + 1
      end
      running = running - 1
    end)
  end
  for i = 1, 2 do
    for _ = 1, 4 do
      client(i, until_ms)
    end
  end
  t.wait_for('the clients', function()
    return running == 0
  end)
  t.ok(taken[1] > taken[2] / 3 and taken[2] > taken[1] / 3, 'taken: ' .. taken[1] .. ' and ' .. taken[2])
  t.ok(longest < 2000, 'the longest waited ' .. longest .. ' ms')
  -- One dies in the middle of its work; the other is not held up for a moment.
  until_ms = t.sys.now_ms() + 2000
  longest = 0
  for i = 1, 2 do
    for _ = 1, 4 do
      client(i, until_ms)
    end
  end
  t.sched.pass(300)
  local first = milters[1]
  first:kill()
  local before = taken[2]
  t.wait_for('the clients', function()
    return running == 0
  end)
  t.ok(taken[2] > before, 'the other goes on')
  t.ok(longest < 2000, 'the longest waited ' .. longest .. ' ms')
  router:kill()
  t.eq(send(milters[2], 'after@d.test'), 'discard')
  router = t.router { policy = text }
  t.wait_for('an empty queue', function()
    return milters[2]:sql('SELECT count(*) FROM recipient')[1][1] == 0
  end, 60000)
  t.ok(#sink:messages() >= taken[1] + taken[2] + 1, 'nothing is missing')
end)

t.test('a transaction that fails hurts nobody but those in it, and no row is left', function()
  local milter = t.milter { policy = policy(), env = { PENSTOCK_FAULT = 'custody.before-commit:2:error' } }
  t.eq(send(milter, 'first@d.test'), 'discard')
  t.match(send(milter, 'second@d.test'), '^451 4%.3%.0 ')
  t.eq(send(milter, 'third@d.test'), 'discard')
  t.rows(milter:sql 'SELECT address FROM recipient ORDER BY id', { { 'first@d.test' }, { 'third@d.test' } })
  t.rows(milter:sql 'SELECT count(*) FROM content', { { 2 } })
end)
