-- penstock logs: records of both daemons, as they were and as they come.
local t = require 'harness'

-- o.logs: fields of configure_local_logs
local function policy(o)
  return ([[
local kumo = require 'kumo'
kumo.on('init', function()
  kumo.start_esmtp_listener { listen = '0.0.0.0:25', relay_hosts = { '0.0.0.0/0' } }
  kumo.configure_local_logs { log_dir = '%s', %s }
end)
kumo.on('get_queue_config', function(domain)
  return kumo.make_queue_config {
    protocol = { smtp = { mx_list = { { name = 'sink.test', addr = '%s' } } } }, retry_interval = '1m',
  }
end)
kumo.on('get_egress_path_config', function() return kumo.make_egress_path { prohibited_hosts = {} } end)
]]):format(t.context().logs, o.logs or '', o.sink and o.sink.address or '127.0.0.1:9')
end

local function logs(...)
  return t.penstock('logs', ...)
end

local function lines_of(text)
  local lines = {}
  for line in text:gmatch '([^\n]*)\n' do
    lines[#lines + 1] = line
  end
  return lines
end

-- penstock logs --follow, on its own
local function follow(...)
  return t.spawn {
    t.daemons.program 'penstock', '--policy', t.dir() .. '/policy.lua', 'logs', '--follow', ...,
  }
end

local function send(milter, to)
  local mta = milter:connect { ip = '192.0.2.7', helo = 'client.test' }
  t.eq(mta:mail '<ann@sender.test>', 'continue')
  t.eq(mta:rcpt('<' .. to .. '>'), 'continue')
  t.eq(mta:message(t.plain), 'discard')
end

t.test('one line a record, of both daemons, in the order of time', function()
  local sink = t.smtp_sink { rcpt = { '550 5.1.1 no \27[2J such user' } }
  local text = policy { sink = sink }
  local milter, router = t.milter { policy = text }, t.router { policy = text }
  send(milter, 'bob@example.com')
  local bounce = t.log(router, 'Bounce')
  send(milter, 'eve@example.com')
  t.wait_for('four records', function() return #milter:records() == 4 end)

  local status, out = logs()
  t.eq(status, 0)
  local lines = lines_of(out)
  t.eq(#lines, 4)
  local kinds = {}
  for i, line in ipairs(lines) do
    kinds[i] = line:match '^%d%d%d%d%-%d%d%-%d%d %d%d:%d%d:%d%d (%a+) %x+ <ann@sender.test> <%a+@example.com> %d%d%d'
  end
  t.eq(table.concat(kinds, ' '), 'Reception Bounce Reception Bounce')
  t.has(lines[2], bounce.id .. ' <ann@sender.test> <bob@example.com> 550 5.1.1 no ?[2J such user')

  status, out = t.penstock('--json', 'logs', '--type', 'bounce')
  t.eq(status, 0)
  lines = lines_of(out)
  t.eq(#lines, 2)
  t.eq(t.json(lines[1]).id, bounce.id)
  t.eq(t.json(lines[1]).recipient, 'bob@example.com')
end)

t.test('what an operator asks for is shown, and nothing else', function()
  local sink = t.smtp_sink()
  local router = t.router { policy = policy { sink = sink } }
  router:enqueue { to = { 'bob@example.com', 'ann@example.com' }, from = 'x@a.test', meta = { tenant = 'bulk' } }
  router:enqueue { to = 'eve@example.org', from = '' }
  t.log(router, 'Delivery', { recipient = 'eve@example.org' })
  t.wait_for('all records', function()
    local status, out = logs()
    return status == 0 and out:match 'bob@' and out:match 'eve@'
  end)
  local all = #lines_of(select(2, logs()))
  local function count(...)
    local status, out = logs(...)
    t.eq(status, 0)
    return #lines_of(out)
  end
  local id = t.json(lines_of(select(2, logs('--json', '--recipient', 'eve@example.org')))[1]).id
  t.eq(count('--recipient', 'EVE@example.org'), 1)
  t.eq(count('--recipient', 'nobody@example.org'), 0)
  t.eq(count('--sender', '<>'), 1)
  t.eq(count('--sender', 'x@a.test'), all - 1)
  t.eq(count('--id', id), 1)
  t.eq(count('--id', id:sub(1, 30)), 1)
  t.eq(count('--tenant', 'bulk'), all - 1)
  t.eq(count('--tenant', 'other'), 0)
  t.eq(count('--queue', 'example.org'), 1)
  t.eq(count('--type', 'Delivery,Bounce'), all)
  t.eq(count('--type', 'Reception'), 0)
  t.eq(count('--since', '1h'), all)
  t.eq(count('--since', '2037-01-01'), 0)
  t.eq(count('--until', '1h'), 0)
  t.eq(count('--until', '2037-01-01 12:00'), all)
  t.eq(count('--since', '1h', '--until', 'now', '--type', 'Delivery', '--sender', '<>'), 1)
  t.eq(count('--dir', t.context().logs), all)
end)

t.test('a follower shows each record once, over rotations and a writer that is killed', function()
  local sink = t.smtp_sink()
  local text = policy { sink = sink, logs = 'max_file_size = 2000' }
  local router = t.router { policy = text }
  local follower = follow('--json', '--type', 'Delivery')
  local function shown()
    return lines_of(follower:output())
  end
  local function grows_to(n)
    t.wait_for(n .. ' records shown', function() return #shown() >= n end, 30000)
  end
  router:enqueue { to = 'bob@example.com', count = 20 }
  grows_to(20)
  router:enqueue { to = 'bob@example.com', count = 3 }
  grows_to(23)
  router:enqueue { to = 'bob@example.com', count = 50 }
  grows_to(30)
  router:kill()
  router = t.router { policy = text }
  t.none(router, 'SELECT count(*) FROM recipient')
  router:enqueue { to = 'bob@example.com', count = 10 }
  t.none(router, 'SELECT count(*) FROM recipient')
  local want = {}
  for _, r in ipairs(router:records 'Delivery') do
    local key = r.id .. ' ' .. r.event_time
    want[key] = (want[key] or 0) + 1
  end
  grows_to(#router:records 'Delivery')
  t.eq(#shown(), #router:records 'Delivery')
  for _, line in ipairs(shown()) do
    local r = t.json(line)
    local key = r.id .. ' ' .. r.event_time
    want[key] = want[key] - 1
    t.ok(want[key] >= 0, 'shown once: ' .. key)
  end
  t.ok(#t.sys.list(t.context().logs) > 4, 'it was rotated')
  t.eq(follower:stop(), 0)
end)

t.test('a follower waits without working, ends at Ctrl-C, and when nobody reads it', function()
  local router = t.router { policy = policy {} }
  local follower = follow()
  router:enqueue { to = 'bob@example.com' }
  t.wait_for('the record', function() return #lines_of(follower:output()) >= 1 end)
  local function ticks()
    local stat = t.read('/proc/' .. follower.pid .. '/stat'):gsub('^.*%) ', '')
    local n, fields = 0, {}
    for field in stat:gmatch '%S+' do
      n = n + 1
      fields[n] = field
    end
    return fields[12] + fields[13], fields[1]
  end
  t.wait_for('sleep', function() return select(2, ticks()) == 'S' end)
  local before = ticks()
  t.run { 'sleep', '1' }
  t.ok(ticks() - before <= 5, 'it does nothing while nothing comes')
  follower:signal(2)
  t.eq(follower:wait(), 0)

  -- head takes one line and goes; nothing more is written.
  local status, out = t.run {
    'sh', '-c', ("'%s' --policy '%s/policy.lua' logs --follow | head -n 1"):format(t.daemons.program 'penstock', t.dir()),
  }
  t.eq(status, 0)
  t.match(out, '^%S+ %S+ TransientFailure [^\n]*\n$')
end)

t.test('what a template made passes as it is', function()
  local sink = t.smtp_sink()
  local router = t.router { policy = policy { sink = sink, logs = [[per_record = {
    Delivery = { template = 'to {{ recipient }}\n', suffix = '.txt', segment_header = '# deliveries' },
  }]] } }
  router:enqueue { to = 'bob@example.com' }
  t.wait_for('the line', function() return select(2, logs()):match 'bob' end)
  t.eq(select(2, logs()), '# deliveries\nto bob@example.com\n')
  t.eq(select(2, logs '--json'), '# deliveries\nto bob@example.com\n')
  t.eq(select(2, logs('--recipient', 'bob@example.com')), '')
end)

t.test('a segment that somebody unpacked, and one that is damaged', function()
  local dir = t.dir() .. '/copy'
  t.sys.mkdir(dir)
  local record = '{"type":"Delivery","id":"a1","sender":"x","recipient":"y@z","event_time":"2026-11-21T03:24:00.000Z",'
    .. '"response":{"code":250,"enhanced_code":null,"content":"ok\\u001b[2J\\u202e","command":null}}\n'
  t.write('copy/20261121-032400.000-router.1', record)
  local status, out = logs('--dir', dir)
  t.eq(status, 0)
  t.match(out, ' Delivery a1 <x> <y@z> 250 ok\\x1b%[2J\\u{202e}\n$')
  t.write('copy/20261121-032300.000-router.1', '\x28\xb5\x2f\xfdthis is no frame')
  status, out = logs('--dir', dir)
  t.eq(status, 65)
  t.has(out, '20261121-032300.000-router.1: ')
  t.match(out, ' Delivery a1 <x> <y@z> 250 ok\\x1b%[2J\\u{202e}\n')
end)

t.test('mistakes are named', function()
  t.write('policy.lua', 'local kumo = require "kumo"')
  for _, case in ipairs {
    { 78, 'no log is configured' },
    { 66, '/nowhere', '--dir', t.dir() .. '/nowhere' },
    { 64, '"Deliver" is no type of record; there are Reception, Rejection,', '--type', 'Bounce,Deliver' },
    { 64, '--since: expected a time like', '--since', 'yesterday' },
    { 64, '--id: expected at least 6 digits', '--id', 'abc' },
    { 64, 'too many arguments', 'x' },
  } do
    local status, out = logs(table.unpack(case, 3))
    t.eq(status, case[1])
    t.has(out, case[2])
  end
end)
