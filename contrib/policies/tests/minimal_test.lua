-- minimal.lua
local t = require 'penstock.test'

t.policy '../minimal.lua'
t.zone [[
mailboxes.example.com.  A 192.0.2.3
example.org.            MX 10 mx1.example.org.
mx1.example.org.        A 203.0.113.80
]]

t.test('anybody may write to our domains and nowhere else', function()
  local c = t.connect { ip = '203.0.113.9', ehlo = 'stranger.test' }
  t.reply(c:mail 'ann@stranger.test', '250')
  t.reply(c:rcpt 'bob@example.com', '250')
  t.reply(c:rcpt 'bob@EXAMPLE.NET', '250')
  t.reply(c:rcpt 'eve@example.org', '550 5.7.1')
  t.reply(c:rcpt 'eve@sub.example.com', '550 5.7.1')
  t.reply(c:message { subject = 'hello' }, '250')
  t.eq(#t.stored(), 2)
end)

t.test('to claim that one is of us opens nothing', function()
  t.refused((t.send { ip = '203.0.113.9', ehlo = 'example.com', from = 'bob@example.com', to = 'eve@example.org', message = 'x' }),
    '550 5.7.1')
end)

t.test('this machine may send anywhere', function()
  for _, ip in ipairs { '127.0.0.1', '::1' } do
    t.accepted((t.send { ip = ip, from = 'root@example.com', to = 'eve@example.org', message = 'x' }))
  end
end)

t.test('our domains go to the mailbox server, the rest to its MX', function()
  t.eq(t.queue('example.com'):plan(), { { name = 'mailboxes.example.com', address = '192.0.2.3', port = 25 } })
  t.eq(t.queue('example.org'):plan(), { { name = 'mx1.example.org', address = '203.0.113.80', port = 25 } })
  t.eq(t.queue('example.org'):retries(3), { 20 * 60, 60 * 60, 140 * 60 })
end)
