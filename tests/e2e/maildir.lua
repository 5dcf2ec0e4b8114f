-- Delivery into maildirs.
local t = require 'harness'

local function policy(path, more)
  return ([[
local kumo = require 'kumo'
kumo.on('init', function() %s end)
kumo.on('get_queue_config', function()
  return kumo.make_queue_config { protocol = { maildir_path = '%s', %s } }
end)]]):format(t.local_logs(), path, more or '')
end

local function files(dir)
  return t.sys.list(dir) or {}
end

t.test('case 147: one file in new/, byte for byte', function()
  local router = t.router { policy = policy(t.dir() .. '/m/{{domain_part}}/{{local_part}}') }
  local data = 'Subject: x\r\n\r\nHello.\r\n.dot\r\n'
  router:enqueue { to = 'u@d.example', data = data }
  local r = t.log(router, 'Delivery', { code = 200 })
  t.eq(r.delivery_protocol, 'Maildir')
  t.eq(r.site, '')
  local dir = t.dir() .. '/m/d.example/u'
  t.eq(#files(dir .. '/new'), 1)
  t.eq(#files(dir .. '/tmp'), 0)
  t.eq(t.read(dir .. '/new/' .. files(dir .. '/new')[1]), data)
  t.none(router, 'SELECT count(*) FROM message')
end)

t.test('case 147: what the milter stored is in the file, its trace headers included', function()
  local text = policy(t.dir() .. '/m/{{local_part}}')
    .. "\nkumo.on('get_listener_domain', function() return kumo.make_listener_domain { relay_to = true } end)"
  local milter = t.milter { policy = text }
  local mta = milter:connect { helo = 'x.test' }
  t.eq(mta:mail '<ann@sender.test>', 'continue')
  t.eq(mta:rcpt '<u@d.example>', 'continue')
  t.eq(mta:message(t.plain), 'discard')
  local prefix = milter:sql('SELECT prefix FROM message')[1][1]
  t.has(prefix, 'Received: ')
  local router = t.router { policy = text }
  t.log(router, 'Delivery')
  local dir = t.dir() .. '/m/u/new'
  local stored = t.read(dir .. '/' .. files(dir)[1])
  t.eq(stored:sub(1, #prefix), prefix)
  t.has(stored:sub(#prefix + 1), '\r\n\r\n')
  t.ok(not stored:gsub('\r\n', ''):find '[\r\n]', 'lines end as they came')
end)

t.test('return_path and delivered_to put the envelope in front, and line_endings makes lines those of Unix', function()
  local router = t.router {
    policy = policy(t.dir() .. '/m/{{local_part}}', "return_path = true, delivered_to = true, line_endings = 'LF'"),
  }
  -- Large enough to be read from the queue piece by piece.
  local lines = { 'Subject: x', '' }
  for i = 1, 20000 do
    lines[#lines + 1] = ('line %d %s'):format(i, ('.'):rep(i % 60))
  end
  local unix = table.concat(lines, '\n') .. '\n'
  router:enqueue { to = { 'u@d.example', 'v@d.example' }, data = (unix:gsub('\n', '\r\n')) }
  router:enqueue { to = '"w w"@d.example', from = '<>', data = 'Subject: x\r\n\r\n' }
  t.wait_for('three deliveries', function()
    return #router:records 'Delivery' == 3
  end)
  local function stored(user)
    local names = files(t.dir() .. '/m/' .. user .. '/new')
    t.eq(#names, 1)
    local text = t.read(t.dir() .. '/m/' .. user .. '/new/' .. names[1])
    t.eq(names[1]:match ',S=(%d+)$', tostring(#text), 'the size in the name is that of the file')
    return text
  end
  for _, user in ipairs { 'u', 'v' } do
    t.ok(stored(user) == 'Return-Path: <ann@sender.test>\nDelivered-To: ' .. user .. '@d.example\n' .. unix, user)
  end
  t.eq(stored 'w w', 'Return-Path: <>\nDelivered-To: "w w"@d.example\nSubject: x\n\n')
end)

t.test('case 148: modes are exactly those of the policy, whatever the umask', function()
  local router = t.router {
    policy = policy(t.dir() .. '/m/{{local_part}}', "dir_mode = tonumber('750', 8), file_mode = tonumber('640', 8)"),
    umask = '077',
  }
  router:enqueue { to = 'u@d.example' }
  t.log(router, 'Delivery')
  local dir = t.dir() .. '/m/u'
  for _, made in ipairs { t.dir() .. '/m', dir, dir .. '/cur', dir .. '/new', dir .. '/tmp' } do
    t.eq(t.sys.stat(made).mode, tonumber('750', 8), made)
  end
  t.eq(t.sys.stat(dir .. '/new/' .. files(dir .. '/new')[1]).mode, tonumber('640', 8))
end)

t.test('without modes the umask decides', function()
  local router = t.router { policy = policy(t.dir() .. '/m/{{local_part}}'), umask = '027' }
  router:enqueue { to = 'u@d.example' }
  t.log(router, 'Delivery')
  local dir = t.dir() .. '/m/u/new'
  t.eq(t.sys.stat(dir).mode, tonumber('750', 8))
  t.eq(t.sys.stat(dir .. '/' .. files(dir)[1]).mode, tonumber('640', 8))
end)

t.test('case 149: a directory that cannot be made is tried again in about a minute, attempts unchanged', function()
  t.write('m', 'a file where the directory should be')
  local router = t.router { policy = policy(t.dir() .. '/m/{{local_part}}') }
  router:enqueue { to = 'u@d.example' }
  for failures = 1, 3 do
    t.wait_for('failure ' .. failures, function()
      return #router:records 'TransientFailure' == failures
    end)
    t.wait_for('the row', function()
      return router:sql('SELECT state FROM recipient')[1][1] == 0
    end)
    local row = router:sql('SELECT due_at - last_attempt_at, attempts FROM recipient')[1]
    t.ok(row[1] >= 30 and row[1] <= 91, 'due after ' .. row[1])
    t.eq(row[2], 0)
    if failures == 3 then
      os.remove(t.dir() .. '/m')
    end
    router:advance(100)
  end
  for _, r in ipairs(router:records 'TransientFailure') do
    t.eq({ r.response.code, r.num_attempts }, { 400, 0 })
  end
  t.eq(t.log(router, 'Delivery').num_attempts, 0)
end)

t.test('case 149: it expires all the same when it is older than max_age', function()
  t.write('m', 'a file where the directory should be')
  local text = policy(t.dir() .. '/m/{{local_part}}'):gsub('make_queue_config {', "make_queue_config { max_age = '5m',")
  local router = t.router { policy = text }
  router:enqueue { to = 'u@d.example' }
  t.log(router, 'TransientFailure', { code = 400 })
  router:advance(301)
  t.log(router, 'Expiration', { code = 551 })
  t.none(router, 'SELECT count(*) FROM recipient')
end)

t.test('case 150: a local part that would leave the directory bounces', function()
  local router = t.router { policy = policy(t.dir() .. '/m/{{domain_part}}/{{local_part}}') }
  for _, to in ipairs { '"../../x"@d.example', '".."@d.example', '"a/b"@d.example' } do
    router:enqueue { to = to }
    local r = t.log(router, 'Bounce', { code = 550, recipient = to })
    t.eq(r.response.enhanced_code, { class = 5, subject = 1, detail = 3 })
  end
  t.eq(t.sys.stat(t.dir() .. '/x'), nil)
  t.eq(#files(t.dir() .. '/m/d.example'), 0)
end)
