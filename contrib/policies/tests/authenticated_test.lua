-- authenticated.lua
local t = require 'penstock.test'

t.policy '../authenticated.lua'

local function try(user, from, to)
  return (t.send { auth = user, from = from, to = to, message = { subject = 'hello' } })
end

t.test('nobody sends without logging in, from wherever', function()
  for _, ip in ipairs { '203.0.113.9', '127.0.0.1', '10.0.0.1' } do
    for _, to in ipairs { 'bob@example.com', 'bob@example.org' } do
      t.refused((t.send { ip = ip, from = 'scott@example.com', to = to, message = 'x' }), '530 5.7.0')
    end
  end
  t.refused(try('stranger', 'scott@example.com', 'bob@example.org'), '530 5.7.0')
end)

t.test('a user sends as his own domains, to anywhere', function()
  t.accepted(try('scott', 'scott@example.com', 'bob@example.org'))
  t.accepted(try('scott', 'Scott@EXAMPLE.NET', 'bob@elsewhere.test'))
  t.refused(try('scott', 'news@news.example.com', 'bob@example.org'), '553 5.7.1')
  t.refused(try('scott', 'ceo@example.org', 'bob@example.org'), '553 5.7.1')
  t.refused(try('scott', '', 'bob@example.org'), '553 5.7.1')
end)

t.test('the scanner writes to two domains only', function()
  t.accepted(try('scanner@example.com', 'scan@example.com', 'bob@example.com'))
  t.eq(t.stored()[1].queue, 'scanner/example.com@example.com')
  t.accepted(try('scanner@example.com', 'scan@example.com', 'bob@accounting.example.org'))
  t.refused(try('scanner@example.com', 'scan@example.com', 'bob@example.org'), '550 5.7.1')
end)

t.test('who logs out may do nothing any more', function()
  local c = t.connect { auth = 'scott' }
  t.reply(c:mail 'scott@example.com', '250')
  t.reply(c:rcpt 'bob@example.org', '250')
  c:rset()
  c:auth(nil)
  t.reply(c:mail 'scott@example.com', '530')
end)

t.test('more than the rate waits, and an hour later it goes on', function()
  local function recipients(n)
    local taken = 0
    local c = t.connect { auth = 'scanner@example.com' }
    t.reply(c:mail 'scan@example.com', '250')
    for i = 1, n do
      local r = c:rcpt('user' .. i .. '@example.com')
      if r.accepted then
        taken = taken + 1
      else
        t.reply(r, '451 4.7.1')
      end
    end
    return taken
  end
  t.eq(recipients(70), 60)
  t.accepted(try('scott', 'scott@example.com', 'bob@example.org'))
  t.advance '1 hour'
  t.eq(recipients(70), 60)
end)

t.test('each user has queues of his own', function()
  try('scott', 'scott@example.com', 'bob@example.org')
  t.eq(t.stored()[1].queue, 'scott@example.org')
end)

t.test('cron may still write, without a password', function()
  t.accepted((t.send { local_submission = true, from = 'root@example.com', to = 'admin@example.org', message = 'x' }))
  t.eq(t.stored()[1].queue, 'example.org')
end)
