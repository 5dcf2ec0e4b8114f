-- Whatever fails, the client gets 4yz: nothing is accepted, nothing relayed.
local t = require 'harness'

local function policy(body)
  return ([[
local kumo = require 'kumo'
kumo.on('init', function()
  kumo.start_esmtp_listener { listen = '0.0.0.0:25', relay_hosts = { '203.0.113.0/24' } }
  %s
end)
%s
]]):format(t.local_logs(), body or '')
end

t.test('case 8: a policy that does not load stops the daemon with file and line', function()
  local milter = t.milter { policy = 'local kumo = require "kumo"\nkumo.on(', expect_failure = true }
  t.eq(milter:wait(20000), 78)
  t.has(milter:output(), 'policy.lua:2:')
end)

t.test('case 2: an event registered twice names the first handler', function()
  local milter = t.milter {
    policy = "local kumo = require 'kumo'\nkumo.on('init', function() end)\nkumo.on('init', function() end)\n",
    expect_failure = true,
  }
  t.eq(milter:wait(20000), 78)
  t.has(milter:output(), 'init')
  t.has(milter:output(), 'policy.lua:2')
end)

local LOOPS = {
  ['an endless loop'] = 'while true do end',
  ['a loop under pcall'] = 'while true do pcall(function() while true do end end) end',
  ['a loop in a coroutine'] = 'coroutine.wrap(function() while true do end end)()',
}
for name, body in pairs(LOOPS) do
  t.test(name .. ' at RCPT gets 4yz within the deadline and hurts nobody else', function()
    local milter = t.milter {
      policy = policy("kumo.on('smtp_server_rcpt_to', function(r) if r.user == 'bad' then " .. body .. ' end end)'),
    }
    local mta = milter:connect { helo = 'x.test' }
    t.eq(mta:mail '<a@b.test>', 'continue')
    local started = t.sys.now_ms()
    mta:send('R', '<bad@d.test>\0')
    local other = milter:connect { helo = 'y.test' }
    t.eq(other:mail '<a@b.test>', 'continue')
    t.eq(other:rcpt '<good@d.test>', 'continue')
    t.eq(other:message(t.plain), 'discard')
    t.ok(t.sys.now_ms() - started < 7000, 'the other session was not held up')
    t.match(mta:verdict(), '^4%d%d 4%.')
    t.ok(t.sys.now_ms() - started < 12000, 'within the deadline and a little')
    t.rows(milter:sql 'SELECT address FROM recipient', { { 'good@d.test' } })
    t.ok(milter:running())
  end)
end

t.test('a handler without end to its memory gets 4yz', function()
  local milter = t.milter {
    policy = policy "kumo.on('smtp_server_rcpt_to', function() local x = {} while true do x[#x+1] = ('x'):rep(100000) .. #x end end)",
  }
  local mta = milter:connect { helo = 'x.test' }
  t.eq(mta:mail '<a@b.test>', 'continue')
  t.match(mta:rcpt '<a@d.test>', '^4%d%d 4%.')
  t.ok(milter:running())
end)

t.test('a milter that was killed loses nothing that it acknowledged', function()
  local milter = t.milter { policy = policy() }
  for i = 1, 20 do
    local mta = milter:connect { helo = 'x.test' }
    t.eq(mta:mail '<a@b.test>', 'continue')
    t.eq(mta:rcpt('<u' .. i .. '@d.test>'), 'continue')
    t.eq(mta:message(t.plain), 'discard')
  end
  milter:kill()
  t.rows(milter:sql 'SELECT count(*) FROM recipient', { { 20 } })
  t.rows(milter:sql 'PRAGMA integrity_check', { { 'ok' } })
end)

t.test('an operator who holds BEGIN IMMEDIATE is named, and makes mail wait or get 4yz, never lost or twice', function()
  local milter = t.milter { policy = policy() }
  local mta = milter:connect { helo = 'x.test' }
  t.eq(mta:mail '<a@b.test>', 'continue')
  t.eq(mta:rcpt '<u@d.test>', 'continue')
  t.run { 'mkfifo', t.dir() .. '/fifo' }
  local shell = t.spawn { 'sh', '-c', 'exec sqlite3 -bail ' .. t.context().queue .. ' < ' .. t.dir() .. '/fifo' }
  local f = io.open(t.dir() .. '/fifo', 'w')
  f:write "BEGIN IMMEDIATE; SELECT 'held';\n"
  f:flush()
  t.wait_for('the shell to hold the lock', function()
    return shell:output():find 'held'
  end)
  t.eq(mta:data(), 'continue')
  t.eq(mta:content(t.plain), 'continue')
  mta:eom_begin()
  t.wait_for('the milter to say who holds it', function()
    return milter:output():find 'custody waits: .*process %d+ has a transaction open'
  end, 30000)
  -- The shell lets go: what waited goes through.
  f:write 'COMMIT;\n'
  f:close()
  local verdict = mta:verdict()
  t.ok(verdict == 'discard' or verdict:match '^4', verdict)
  shell:wait()
  t.rows(milter:sql 'SELECT count(*) FROM recipient', { { verdict == 'discard' and 1 or 0 } })
end)

t.test('a message without a recipient that we know of is not let through', function()
  local milter = t.milter { policy = policy() }
  local mta = milter:connect { helo = 'x.test' }
  t.eq(mta:mail '<a@b.test>', 'continue')
  t.match(mta:rcpt '<bob>', '^550 5%.1%.3 ')
  t.match(mta:message(t.plain), '^451 4%.3%.0 ')
end)

t.test('a reload that fails keeps the last good policy and says so', function()
  local milter = t.milter { policy = policy() }
  t.write('policy.lua', 'this is not Lua')
  local answer = milter:reload()
  t.ok(not answer or not answer.ok, 'reload reports the failure')
  local mta = milter:connect { helo = 'x.test' }
  t.eq(mta:mail '<a@b.test>', 'continue')
  t.eq(mta:rcpt '<u@d.test>', 'continue')
  t.eq(mta:message(t.plain), 'discard')
  t.has(t.daemons.ask(milter.control, 'status'), 'policy.lua:1:')
  t.write('policy.lua', policy "kumo.on('smtp_server_rcpt_to', function() kumo.reject(550, '5.7.1 new') end)")
  milter:reload()
  mta = milter:connect { helo = 'x.test' }
  t.eq(mta:mail '<a@b.test>', 'continue')
  t.eq(mta:rcpt '<u@d.test>', '550 5.7.1 new')
end)

t.test('penstock reload reports the generation of each daemon, or what is wrong with the policy', function()
  local milter = t.milter { policy = policy() }
  local status, out = t.penstock 'reload'
  t.eq(status, 69, 'no router answers')
  t.has(out, 'penstock-milter: generation 2')
  local router = t.router { policy_file = t.dir() .. '/policy.lua' }
  status, out = t.penstock 'reload'
  t.eq(status, 0, out)
  t.has(out, 'penstock-milter: generation 3')
  t.has(out, 'penstock-router: generation 2')
  t.write('policy.lua', 'this is not Lua')
  status, out = t.penstock 'reload'
  t.eq(status, 78, out)
  t.has(out, 'policy.lua:1:')
  t.has(out, 'generation 3 stays in force')
end)

t.test('a queue that is not in WAL mode is refused, untouched, with what to do', function()
  t.milter({ policy = policy() }):kill()
  local copy = t.dir() .. '/copy.db'
  t.sys.sql(t.context().queue, "VACUUM INTO '" .. copy .. "'", true)
  local before = t.read(copy)
  t.context().queue = copy
  local milter = t.milter { policy_file = t.dir() .. '/policy.lua', expect_failure = true }
  t.eq(milter:wait(20000), 78)
  t.has(milter:output(), 'PRAGMA journal_mode = WAL')
  t.ok(t.read(copy) == before, 'not a byte of it changed')
end)

t.test('the queue removed under both daemons: 4yz and never 250, nothing leaves, and both say why', function()
  local milter = t.milter { policy = policy() }
  local router = t.router { policy_file = t.dir() .. '/policy.lua' }
  local mta = milter:connect { helo = 'x.test' }
  t.eq(mta:mail '<a@b.test>', 'continue')
  t.eq(mta:rcpt '<u@d.test>', 'continue')
  t.eq(os.remove(t.context().queue), true)
  t.match(mta:message(t.plain), '^4%d%d 4%.3%.')
  t.wait_for('the milter to say so', function()
    return milter:output():find('intake is closed: .*queue%.db was removed while it was in use')
  end)
  t.has(t.daemons.ask(milter.control, 'status'), 'was removed while it was in use')
  local status, out = t.penstock 'queue'
  t.eq(status, 66, out)
  router:stop()
  milter:stop()
end)

t.test('a router that does not come up says why on the terminal, also when it goes into the background', function()
  local router = t.spawn {
    t.daemons.program 'penstock-router', '--policy', t.dir() .. '/none.lua', '--queue', t.context().queue,
    '--control', t.dir() .. '/r.sock',
  }
  t.eq(router:wait(20000), 78, router:output())
  t.has(router:output(), 'none.lua: No such file or directory')
end)

t.test('SIGHUP stops no router, which says what reloads', function()
  local router = t.router { policy = policy() }
  router:signal(1)
  t.wait_for('the warning', function()
    return router:output():find 'SIGHUP does nothing; SIGUSR1 reloads'
  end)
  t.eq(router:stop(), 0)
end)
