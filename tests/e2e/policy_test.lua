-- penstock test: what policy authors promise, and strangers who try to relay.
local t = require 'harness'

local SEEDS = TOP_SRCDIR .. '/tests/data/seeds/'

local POLICY = [[
local kumo = require 'kumo'
kumo.on('init', function()
  kumo.start_esmtp_listener { listen = '0.0.0.0:25', relay_hosts = { '10.0.0.0/24' } }
  kumo.configure_local_logs { log_dir = '/proc/nobody/writes/here' }
end)
kumo.on('get_listener_domain', function(domain)
  if domain == 'example.com' then
    return kumo.make_listener_domain { relay_to = true }
  end
end)
]]

-- Runs the command in the story's directory; the scripts there by their names.
local function penstock(...)
  return t.run({ t.daemons.program 'penstock', ... }, { cwd = t.dir(), env = { TMPDIR = t.dir() } })
end

local function test(script, ...)
  t.write('policy.lua', POLICY)
  t.write('it.lua', "local t = require 'penstock.test'\n" .. script)
  return penstock('--policy', 'policy.lua', 'test', 'it.lua', ...)
end

local function leftovers()
  local _, out = t.run({ 'sh', '-c', 'ls -d "$0"/penstock-test-* 2>/dev/null', t.dir() })
  return out
end

t.test('a promise that holds and one that does not', function()
  local status, out = test [[
t.test('outsiders may write to us', function()
  t.accepted((t.send { ip = '203.0.113.9', from = 'a@b.test', to = 'u@example.com' }))
  t.eq(t.stored()[1].queue, 'example.com')
end)
t.test('and nowhere else', function()
  t.accepted((t.send { ip = '203.0.113.9', from = 'a@b.test', to = 'u@far.test' }))
end)
]]
  t.eq(status, 1)
  t.match(out, 'TAP version 13\n1%.%.2\nok 1 %- outsiders may write to us\nnot ok 2 %- and nowhere else\n')
  t.match(out, '  at: it%.lua:7\n')
  t.match(out, '  got: "550 5%.7%.1 relaying not permitted for 203%.0%.113%.9"\n  want: "2"\n')
  -- What the operator would have read is shown where something failed.
  t.match(out, '\n# penstock: info: [^\n]*reject: client=203%.0%.113%.9 ')
  t.eq(leftovers(), '')
end)

t.test('all that is promised holds: exit 0, nothing of the policy is touched', function()
  local status, out = test "t.test('it', function() t.connect { ehlo = 'x.test' } end)\n"
  t.eq(status, 0, out)
  t.eq(out, 'TAP version 13\n1..1\nok 1 - it\n')
  t.eq(leftovers(), '')
end)

t.test('tests share nothing: globals, memoize, throttles, clock, queue', function()
  t.write('shared.lua', [[
local kumo = require 'kumo'
local count = kumo.memoize(function() return os.time() end, { name = 'n', ttl = '1 day', capacity = 9 })
kumo.on('get_listener_domain', function() return kumo.make_listener_domain { relay_to = true } end)
kumo.on('smtp_server_message_received', function(m) m:set_meta('at', count 'x') end)
]])
  local once = [[
  x = (x or 0) + 1
  t.eq(x, 1)
  t.eq(#t.stored(), 0)
  t.ok(t.now() < os.time() + 1000)
  t.send { to = 'u@far.test' }
  t.ok(t.stored()[1].meta.at < os.time() + 1000)
  t.advance '2 days'
  t.send { to = 'u@far.test' }
  t.ok(t.stored()[2].meta.at > os.time() + 100000)
]]
  local status, out = test(("t.policy 'shared.lua'\n" .. "t.test('a', function()\n%s end)\n"):format(once) ..
    ("t.test('b', function()\n%s end)\n"):format(once))
  t.eq(status, 0, out)
end)

t.test('a script that cannot be run: exit 64, file and line', function()
  local status, out = penstock('--policy', 'policy.lua', 'test', 'missing.lua')
  t.eq(status, 64)
  t.match(out, '^penstock: test: missing%.lua: No such file or directory\n$')
  status, out = test "t.test('it', function(\n"
  t.eq(status, 64)
  t.match(out, '^penstock: test: it%.lua:3: ')
  status, out = test "\nlocal x = nil + 1\n"
  t.eq(status, 64)
  t.match(out, '^penstock: test: it%.lua:3: attempt to perform arithmetic')
  status, out = penstock 'test'
  t.eq(status, 64)
  t.match(out, 'which FILE%?')
end)

t.test('a policy that does not load: exit 78, file and line', function()
  t.write('broken.lua', "local kumo = require 'kumo'\nkumo.on('init', function() error 'not today' end)\n")
  t.write('it.lua', "local t = require 'penstock.test'\nt.test('it', function() t.connect() end)\n")
  local status, out = penstock('--policy', 'broken.lua', 'test', 'it.lua')
  t.eq(status, 78)
  t.match(out, '\nBail out! .*broken%.lua:2: not today')
  t.match(out, '\npenstock: .*broken%.lua:2: not today')
  status, out = penstock('--policy', 'broken.lua', 'test', '--open-relay')
  t.eq(status, 78)
  t.match(out, 'broken%.lua:2: not today')
  status = penstock('--policy', 'no-such.lua', 'test', 'it.lua')
  t.eq(status, 78)
end)

t.test('options that do not fit are refused: exit 64', function()
  for _, options in ipairs {
    { '--no-such' }, { '--deadline', 'soon' }, { '--deadline', '0' }, { '--seed', '1', 'it.lua' },
    { '--open-relay', 'it.lua' }, { '--open-relay', '--seed', '-1' }, { '--open-relay', '--sessions', 'x' },
    { '--open-relay', '--trust', '10.0.0.1/24' },
  } do
    local status, out = penstock('--policy', 'policy.lua', 'test', table.unpack(options))
    t.eq(status, 64, table.concat(options, ' ') .. ': ' .. out)
    t.match(out, '^penstock: ')
  end
end)

t.test('a loop without end is a failed test, also one that cannot be interrupted', function()
  local status, out = test([[
t.test('loops', function() while true do end end)
t.test('cannot be interrupted', function()
  (('a'):rep(300)):find(('a-'):rep(50) .. 'b')
end)
t.test('goes on', function() end)
]], '--deadline', '1')
  t.eq(status, 1)
  t.match(out, 'not ok 1 %- loops\n.*the test ran over its deadline\n  at: it%.lua:2\n')
  t.match(out, 'not ok 2 .*it ran longer than 1 s and was ended\n')
  t.match(out, '\nok 3 %- goes on\n')
  t.eq(leftovers(), '')
end)

t.test('a test that crashes is one failed test', function()
  local status, out = test "t.test('dies', function() os.exit(5) end)\nt.test('lives', function() end)\n"
  t.eq(status, 1)
  t.match(out, 'not ok 1 .*ended with code 5\n.*\nok 2 %- lives\n')
end)

t.test('what is printed is a comment; --verbose shows the lines of the operator', function()
  local script = [[
t.policy_text "require('kumo').on('smtp_server_ehlo', function() require('kumo').log_warn 'spoke' print 'shown' end)"
t.test('it', function() t.connect { ehlo = 'x' } print 'said' t.match(t.log()[1], 'spoke') end)
]]
  local status, out = test(script)
  t.eq(status, 0, out)
  t.match(out, '\n# shown\n')
  t.match(out, '\n# said\n')
  t.ok(not out:find '# penstock: warning: .*spoke')
  status, out = test(script, '--verbose')
  t.eq(status, 0)
  t.match(out, '# penstock: warning: .*spoke')
end)

t.test('the examples of the manual hold as they stand', function()
  for _, name in ipairs { 'dynamic_via.lua', 'listener_params.toml', 'domain_by_user.lua', 'domain_relay_from.lua',
    'source_address.lua', 'queue_smart_host.lua' } do
    t.write(name, t.read(SEEDS .. name))
  end
  local page = t.read(TOP_SRCDIR .. '/doc/man/penstock-test.5.in')
  local count = 0
  for example in page:match('%.Sh EXAMPLES.*'):gmatch '%.Bd %-literal %-offset indent\n(.-)%.Ed\n' do
    count = count + 1
    t.write('example.lua', example)
    local status, out = penstock('test', 'example.lua')
    t.eq(status, 0, example .. out)
    t.match(out, '\nok 1 ')
  end
  t.eq(count, 6)
  -- The one at the beginning of the page is for a policy of the reader's.
  t.write('policy.lua', POLICY .. [[
kumo.on('get_queue_config', function() return kumo.make_queue_config { max_age = '1 day' } end)
]])
  t.write('example.lua', page:match '%.Bd %-literal %-offset indent\n(.-)%.Ed\n')
  local status, out = penstock('--policy', 'policy.lua', 'test', 'example.lua')
  t.eq(status, 0, out)
end)

-- ---- strangers ----

t.test('nobody may relay: exit 0, and it says how many tried', function()
  t.write('policy.lua', POLICY)
  local status, out = penstock('--policy', 'policy.lua', 'test', '--open-relay', '--sessions', '200')
  t.eq(status, 0, out)
  t.match(out, '\n%d+ sessions, %d+ recipients, seed 1: no stranger may relay\n$')
  t.match(out, '^# insiders: 10%.0%.0%.0/24 ')
  t.eq(leftovers(), '')
end)

t.test('somebody may: exit 1, with session and rule', function()
  t.write('open.lua', (POLICY:gsub("'10%.0%.0%.0/24'", "'10.0.0.0/24', '128.0.0.0/1'")))
  local status, out = penstock('--policy', 'open.lua', 'test', '--open-relay', '--sessions', '200')
  t.eq(status, 1)
  t.match(out, '^open relay: relay_hosts open%.lua:3\n')
  t.match(out, '\n +client [0-9.]+, name unknown, to 198%.51%.100%.25:25\n')
  t.match(out, '\n +EHLO [^\n]+ 250\n +MAIL FROM:<[^\n]*> +250\n +RCPT TO:<[^\n]+> +250\n')
  t.match(out, '1 rule\n$')
  local _, again = penstock('--policy', 'open.lua', 'test', '--open-relay', '--sessions', '200')
  t.eq(again, out, 'the same seed says the same')
  status = penstock('--policy', 'open.lua', 'test', '--open-relay', '--sessions', '200', '--trust', '128.0.0.0/1')
  t.eq(status, 0, 'unless they are trusted')
end)
