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

t.test('case 148: modes are exactly those of the policy', function()
  local router = t.router { policy = policy(t.dir() .. '/m/{{local_part}}', "dir_mode = tonumber('750', 8), file_mode = tonumber('640', 8)") }
  router:enqueue { to = 'u@d.example' }
  t.log(router, 'Delivery')
  local dir = t.dir() .. '/m/u'
  t.eq(t.sys.stat(dir).mode, tonumber('750', 8))
  t.eq(t.sys.stat(dir .. '/new').mode, tonumber('750', 8))
  t.eq(t.sys.stat(dir .. '/new/' .. files(dir .. '/new')[1]).mode, tonumber('640', 8))
end)

t.test('case 149: a directory that cannot be made is tried again in about a minute, attempts unchanged', function()
  t.write('m', 'a file where the directory should be')
  local router = t.router { policy = policy(t.dir() .. '/m/{{local_part}}') }
  router:enqueue { to = 'u@d.example' }
  t.log(router, 'TransientFailure', { code = 400 })
  t.wait_for('the row', function()
    return router:sql('SELECT state FROM recipient')[1][1] == 0
  end)
  local row = router:sql('SELECT due_at - unixepoch(), attempts FROM recipient')[1]
  t.ok(row[1] >= 25 and row[1] <= 95, 'due in ' .. row[1])
  t.eq(row[2], 0)
  os.remove(t.dir() .. '/m')
  router:advance(100)
  t.log(router, 'Delivery')
end)

t.test('case 150: a local part that would leave the directory bounces', function()
  local router = t.router { policy = policy(t.dir() .. '/m/{{domain_part}}/{{local_part}}') }
  for _, to in ipairs { '"../../x"@d.example', '".."@d.example', '"a/b"@d.example' } do
    router:enqueue { to = to }
    t.log(router, 'Bounce', { code = 550, recipient = to })
  end
  t.eq(t.sys.stat(t.dir() .. '/x'), nil)
  t.eq(#files(t.dir() .. '/m/d.example'), 0)
end)
