-- virtual-mta.lua, with the servers of vhosts.toml.
local t = require 'penstock.test'

t.policy '../virtual-mta.lua'
t.zone [[
example.org.            MX 10 mx1.example.org.
mx1.example.org.        A 203.0.113.80
mailboxes.one.example.  A 192.0.2.3
]]

local ONE, TWO = '198.51.100.11:25', '198.51.100.12:25'

t.test('the address that a client came to decides the host name', function()
  t.eq(t.connect({ server = ONE }):params().hostname, 'mx.one.example')
  t.eq(t.connect({ server = TWO }):params().hostname, 'mx.two.example')
  t.eq(t.connect({ server = TWO }):params().tls_certificate, '/etc/ssl/two.example.pem')
end)

t.test('each server takes mail for its own domains and for no other', function()
  for server, domains in pairs {
    [ONE] = { ['one.example'] = true, ['two.example'] = false, ['deux.example'] = false, ['example.org'] = false },
    [TWO] = { ['one.example'] = false, ['two.example'] = true, ['deux.example'] = true, ['example.org'] = false },
    ['198.51.100.13:25'] = { ['one.example'] = false, ['two.example'] = false, ['example.org'] = false },
  } do
    for domain, taken in pairs(domains) do
      local c = t.connect { server = server, ip = '203.0.113.9', ehlo = 'stranger.test' }
      t.reply(c:mail 'ann@stranger.test', '250')
      t.reply(c:rcpt('bob@' .. domain), taken and '250' or '550 5.7.1', server .. ' ' .. domain)
    end
  end
end)

t.test("a customer's servers may send anywhere, through the customer's address only", function()
  t.accepted((t.send { server = ONE, ip = '192.0.2.5', from = 'ann@one.example', to = 'bob@example.org', message = 'Hello' }))
  t.refused((t.send { server = TWO, ip = '192.0.2.5', from = 'ann@one.example', to = 'bob@example.org', message = 'Hello' }), '550 5.7.1')
  t.refused((t.send { server = '198.51.100.13:25', ip = '192.0.2.5', from = 'ann@one.example', to = 'bob@example.org',
    message = 'Hello' }), '550 5.7.1')
end)

t.test('mail leaves from the address that it came in by', function()
  for server, want in pairs { [ONE] = { 'one', '198.51.100.11', '192.0.2.5' }, [TWO] = { 'two', '198.51.100.12', '192.0.2.20' } } do
    local _, _, c = t.send { server = server, ip = want[3], from = 'ann@one.example', to = 'bob@example.org', message = 'Hello' }
    local q = t.queue(c:stored()[1])
    t.eq(q.name, want[1] .. '@example.org')
    t.eq(q:pool().sources, { { name = want[1], weight = 1 } })
    t.eq(q:source(want[1]).source_address, want[2])
    t.eq(q:ehlo(), 'mx.' .. want[1] .. '.example')
    t.eq(q:site(), 'mx1.example.org')
  end
end)

t.test('mail for a hosted domain goes to the server with the mailboxes', function()
  t.eq(t.queue('one@one.example'):plan(), { { name = 'mailboxes.one.example', address = '192.0.2.3', port = 25 } })
  t.eq(t.queue('two@deux.example'):plan()[1].port, 2525)
end)
