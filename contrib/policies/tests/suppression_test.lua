-- suppression.lua
local t = require 'penstock.test'

t.policy '../suppression.lua'

local function send(from, to)
  return (t.send { ip = '192.0.2.5', ehlo = 'mail.example.com', from = from, to = to })
end

t.test('what a customer may not write to is refused, and others may', function()
  t.suppress('bob@example.net', { tenant = 'news', class = 'abuse' })
  t.refused(send('x@news.example.com', 'Bob@Example.net'), '550 5.1.1')
  t.accepted(send('x@shop.example.com', 'bob@example.net'))
  t.accepted(send('x@news.example.com', 'eve@example.net'))
end)

t.test('an unknown user is unknown to everybody', function()
  t.suppress 'gone@example.net'
  t.refused(send('x@news.example.com', 'gone@example.net'), '550 5.1.1')
  t.refused(send('x@shop.example.com', 'gone@example.net'), '550 5.1.1')
end)

t.test('a domain can be on the list', function()
  t.suppress '@example.net'
  t.refused(send('x@news.example.com', 'anybody@example.net'), '550 5.1.1')
end)
