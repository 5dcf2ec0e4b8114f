-- The milter as a daemon: its options, reloading, and what it says of itself.
local t = require 'harness'

local function policy(body, init)
  return ([[
local kumo = require 'kumo'
kumo.on('init', function()
  kumo.start_esmtp_listener { listen = '0.0.0.0:25', relay_hosts = { '203.0.113.0/24' } }
  %s
  %s
end)
%s
]]):format(t.local_logs(), init or '', body or '')
end

t.test('case 12: --check of the milter runs validate_config, and what it finds is exit 78', function()
  local milter = t.daemons.program 'penstock-milter'
  local path = t.write('check.lua', policy [[
kumo.on('validate_config', function()
  if not _VALIDATING_CONFIG then error 'not told' end
  kumo.validation_failed()
end)]])
  local status, out = t.run { milter, '--check', '--policy', path }
  t.eq(status, 78, out)
  t.has(out, 'validation_failed')
  t.lacks(out, 'not told')
  t.write('check.lua', policy "kumo.on('validate_config', function() error 'bad' end)")
  status, out = t.run { milter, '--check', '--policy', path }
  t.eq(status, 78, out)
  t.has(out, 'check.lua:')
  t.write('check.lua', policy "kumo.on('validate_config', function() end)")
  for _, program in ipairs { milter, t.daemons.program 'penstock-router' } do
    status, out = t.run { program, '--check', '--policy', path }
    t.eq(status, 0, out)
    t.has(out, 'check.lua: ok')
  end
end)

t.test('--resolver is the name server that the policy asks', function()
  local dns = t.dns { ['known.test'] = { A = { '192.0.2.77' } } }
  local milter = t.milter {
    policy = policy [[
kumo.on('smtp_server_mail_from', function(sender)
  kumo.reject(550, '5.7.1 ' .. table.concat(kumo.dns.lookup_addr(sender.domain), ' '))
end)]],
    args = { '--resolver', dns.address },
  }
  t.eq(milter:connect({ helo = 'x.test' }):mail '<a@known.test>', '550 5.7.1 192.0.2.77')
  for _, wrong in ipairs { 'ns.test', '127.0.0.1@', '127.0.0.1@70000', '127.0.0.1:53', '' } do
    local status, out = t.run { t.daemons.program 'penstock-milter', '--check', '--resolver', wrong }
    t.eq(status, 64, wrong)
    t.has(out, '--resolver: expected ADDRESS or ADDRESS@PORT, got "' .. wrong .. '"')
  end
end)

t.test('a handler for AUTH is never called, and the milter says so when it starts', function()
  local milter = t.milter {
    policy = policy "kumo.on('smtp_server_auth_plain', function() error 'called' end)",
  }
  t.has(milter:output(), 'smtp_server_auth_plain is never called: the MTA authenticates')
  t.eq(milter:connect({ helo = 'x.test', auth = 'scott' }):mail '<a@b.test>', 'continue')
end)

t.test('a spool elsewhere than the queue is said once, and the queue stays where the option says', function()
  local milter = t.milter { policy = policy('', "kumo.define_spool { name = 'data', path = '/var/spool/elsewhere' }") }
  t.has(milter:output(), 'define_spool: path "/var/spool/elsewhere" is not used: the queue is ' .. t.context().queue)
  milter:kill()
  local router = t.router { policy_file = t.dir() .. '/policy.lua' }
  t.has(router:output(), 'define_spool: path "/var/spool/elsewhere" is not used')
  router:kill()
  milter = t.milter { policy = policy('', ("kumo.define_spool { name = 'data', path = '%s/' }"):format(t.dir())) }
  t.lacks(milter:output(), 'define_spool')
end)

t.test('an MTA may keep its connection for another client', function()
  local milter = t.milter {
    policy = policy [[
kumo.on('smtp_server_connection_accepted', function(c) c:set_meta('x_seen', (c:get_meta 'x_seen' or 0) + 1) end)
kumo.on('smtp_server_rcpt_to', function(r, c)
  if r.user == 'who' then
    kumo.reject(550, ('5.7.1 %s %s %s'):format(c:get_meta 'received_from', c:get_meta 'ehlo_domain', c:get_meta 'x_seen'))
  end
end)]],
  }
  local mta = milter:connect { helo = 'first.test' }
  for i, ip in ipairs { '203.0.113.50', '203.0.113.51', '198.51.100.7' } do
    t.eq(mta:mail '<a@b.test>', 'continue')
    t.eq(mta:rcpt '<c@d.test>', 'continue')
    -- libmilter takes the order only where no message is open.
    mta:abort()
    t.eq(mta:another_client { ip = ip, port = 4000 + i, helo = 'next' .. i .. '.test' }, 'continue')
    t.eq(mta:mail '<a@b.test>', 'continue')
    if ip:find '^203' then
      t.eq(mta:rcpt '<who@d.test>', ('550 5.7.1 %s:%d next%d.test 1'):format(ip, 4000 + i, i))
      t.eq(mta:rcpt '<c@d.test>', 'continue')
      -- With what was agreed on at the start: no reply to headers and body.
      t.eq(mta:message('X-A:no space\r\n' .. t.plain), 'discard')
      t.eq(milter:ask('status').open_connections, 1)
    else
      t.match(mta:rcpt '<c@d.test>', '^550 5%.7%.1 ', 'what the first client might do is forgotten')
    end
  end
  t.rows(milter:sql 'SELECT client_addr, helo FROM message ORDER BY id', {
    { '203.0.113.50', 'next1.test' }, { '203.0.113.51', 'next2.test' },
  })
  mta:quit()
  t.wait_for('the end of the session', function()
    return milter:ask('status').open_connections == 0
  end)
  t.eq(milter:ask('status').connections, 4)
end)

t.test('status: the same names from both daemons, and what penstock status shows', function()
  local milter = t.milter { policy = policy() }
  local router = t.router { policy_file = t.dir() .. '/policy.lua' }
  local m, r = milter:ask 'status', router:ask 'status'
  for _, name in ipairs {
    'program', 'pid', 'version', 'policy', 'queue', 'generation', 'started', 'open_connections', 'abandoned_threads',
  } do
    t.ok(m[name] ~= nil, 'the milter says ' .. name)
    t.ok(r[name] ~= nil, 'the router says ' .. name)
  end
  for _, line in ipairs { t.daemons.ask(milter.control, 'status'), t.daemons.ask(router.control, 'status') } do
    t.has(line, '"paused":null')
    t.has(line, '"last_reload_error":null')
  end
  local status, out = t.penstock 'status'
  t.eq(status, 0, out)
  t.has(out, 'penstock-milter: running')
  t.has(out, 'paused')
  t.has(out, 'custody abandoned')
end)

local COUNTER = [[
kumo.on('smtp_server_mail_from', function()
  used = (used or 0) + 1
  kumo.reject(550, '5.7.1 ' .. used)
end)]]

-- What a handler finds in a global, n times, one connection after the other.
local function counts(milter, n)
  local out = {}
  for _ = 1, n do
    local mta = milter:connect { helo = 'x.test' }
    out[#out + 1] = mta:mail '<a@b.test>':match '(%d+)$'
    mta:quit()
  end
  return table.concat(out, ' ')
end

t.test('a state of Lua is dropped at its age, after its uses, and beyond the spare ones', function()
  local milter = t.milter { policy = policy(COUNTER, 'kumo.set_max_lua_context_age(30)') }
  t.eq(counts(milter, 3), '1 2 3')
  t.advance '29 sec'
  t.eq(counts(milter, 1), '4')
  t.advance '2 sec'
  t.eq(counts(milter, 2), '1 2')
  milter:kill()
  milter = t.milter { policy = policy(COUNTER, 'kumo.set_max_lua_context_use_count(2)') }
  t.match(counts(milter, 6), '^1 2? ?1 2 1 2')
  milter:kill()
  milter = t.milter { policy = policy(COUNTER, 'kumo.set_max_spare_lua_contexts(0)') }
  t.eq(counts(milter, 4), '1 1 1 1')
end)

local function hello(milter)
  local mta = milter:connect { helo = 'x.test' }
  local reply = mta:mail '<a@b.test>'
  mta:quit()
  return reply
end

t.test('SIGUSR1, a changed file, and kumo.bump_config_epoch each load the policy again', function()
  t.write('text.lua', "return 'one'")
  local text = policy([[
package.path = ']] .. t.dir() .. [[/?.lua;' .. package.path
local said = require 'text'
kumo.on('smtp_server_mail_from', function() kumo.reject(550, '5.7.1 ' .. said) end)
kumo.on('smtp_server_ehlo', function(name) if name == 'bump.test' then kumo.bump_config_epoch() end end)]],
    "kumo.set_config_monitor_globs { '" .. t.dir() .. "/watched.*' }")
  local milter = t.milter { policy = text }
  local function becomes(want)
    t.wait_for('the policy that says ' .. want, function()
      return hello(milter) == '550 5.7.1 ' .. want
    end, 30000)
  end
  becomes 'one'
  -- Not among the patterns: noticed when asked only.
  t.write('text.lua', "return 'two'")
  milter:signal(t.daemons.SIGUSR1)
  becomes 'two'
  t.eq(milter:ask('status').generation, 2)
  t.write('text.lua', "return 'three'")
  milter:connect { helo = 'bump.test' }
  becomes 'three'
  t.write('text.lua', "return 'four'")
  t.write('watched.toml', 'a = 1')
  becomes 'four'
end)

t.test('kumo.eval_config_monitor_globs names the files that are watched', function()
  t.write('other.toml', 'a = 1')
  t.write('note.txt', 'no')
  local milter = t.milter {
    policy = policy [[
kumo.on('smtp_server_mail_from', function()
  local names = {}
  for _, path in ipairs(kumo.eval_config_monitor_globs()) do names[#names + 1] = path:match '[^/]+$' end
  table.sort(names)
  kumo.reject(550, '5.7.1 ' .. table.concat(names, ' '))
end)]],
  }
  t.eq(hello(milter), '550 5.7.1 other.toml policy.lua')
end)

t.test('open connections keep their parameters over a reload; their later events are the new policy\'s', function()
  local function text(host, answer)
    return ([[
local kumo = require 'kumo'
kumo.on('init', function()
  kumo.start_esmtp_listener { listen = '0.0.0.0:25', relay_hosts = {}, hostname = '%s' }
  %s
end)
kumo.on('get_listener_domain', function(domain)
  if domain == '%s' then return kumo.make_listener_domain { relay_to = true } end
end)]]):format(host, t.local_logs(), answer)
  end
  local milter = t.milter { policy = text('old.test', 'first.test') }
  local mta = milter:connect { helo = 'x.test' }
  t.eq(mta:mail '<a@b.test>', 'continue')
  t.eq(mta:rcpt '<u@first.test>', 'continue')
  t.write('policy.lua', text('new.test', 'second.test'))
  t.ok(milter:reload().ok)
  -- The answers that were remembered went with the old generation.
  t.match(mta:rcpt '<v@first.test>', '^550 5%.7%.1 ')
  t.eq(mta:rcpt '<v@second.test>', 'continue')
  mta:abort()
  t.eq(mta:mail '<a@b.test>', 'continue')
  t.eq(mta:rcpt '<v@second.test>', 'continue')
  t.eq(mta:message(t.plain), 'discard')
  local ref = milter:sql('SELECT uuid FROM message')[1][1]
  local _, out = t.penstock('show', ref, '--body')
  t.has(out, 'by old.test')
end)

t.test('with --user the socket is the user\'s own, so that the milter can still connect to it', function()
  local dir = t.context().dir
  local whoami = io.popen 'id -u'
  local is_root = whoami:read 'a' == '0\n'
  whoami:close()
  if not is_root then
    t.skip 'only root can become somebody else'
  end
  os.execute(('chmod 0777 %s && touch %s/x && chown -R nobody %s'):format(dir, dir, dir))
  local milter = t.milter {
    policy = t.accept_policy(), args = { '--user', 'nobody', '--socket-mode', '0600' },
  }
  local stat = io.popen(('stat -c "%%U %%a" %s'):format(milter.socket:sub(6)))
  t.eq(stat:read 'a', 'nobody 600\n')
  stat:close()
end)
