-- shaping.lua, with shaping.toml
local t = require 'penstock.test'

t.policy '../shaping.lua'
t.zone [[
example.org.                     MX 10 mx1.example.org.
mx1.example.org.                 A 203.0.113.80
workspace.example.               MX 10 aspmx.l.google.com.
workspace.example.               MX 20 alt1.aspmx.l.google.com.
aspmx.l.google.com.              A 203.0.113.81
alt1.aspmx.l.google.com.         A 203.0.113.82
half.example.                    MX 10 aspmx.l.google.com.
half.example.                    MX 20 mx1.example.org.
one.example.                     MX 0 one-example.mail.protection.outlook.com.
one-example.mail.protection.outlook.com. A 203.0.113.83
two.example.                     MX 0 two-example.b-v1.mx.microsoft.
two-example.b-v1.mx.microsoft.   A 203.0.113.84
yahoo.example.                   MX 1 mta5.am0.yahoodns.net.
mta5.am0.yahoodns.net.           A 203.0.113.85
apple.example.                   MX 10 mx01.mail.icloud.com.
mx01.mail.icloud.com.            A 203.0.113.86
]]

t.test('our networks may send anywhere, others nowhere', function()
  t.accepted((t.send { ip = '192.0.2.3', from = 'ann@example.com', to = 'bob@example.org', message = 'x' }))
  t.refused((t.send { ip = '203.0.113.9', from = 'ann@example.com', to = 'bob@example.org', message = 'x' }), '550 5.7.1')
end)

t.test('a site that nobody has mentioned gets the limits of default', function()
  local path = t.queue('example.org'):path 'main'
  t.eq(path.connection_limit, 5)
  t.eq(path.max_message_rate, '20/s')
  t.eq(path.enable_tls, 'Opportunistic')
  t.eq(path.provider_name, nil)
end)

t.test('providers are known by their mail hosts, all of them', function()
  for domain, name in pairs {
    ['workspace.example'] = 'google', ['one.example'] = 'microsoft', ['two.example'] = 'microsoft',
    ['yahoo.example'] = 'yahoo', ['apple.example'] = 'apple',
  } do
    local path = t.queue(domain):path 'main'
    t.eq(path.provider_name, name, domain)
    t.eq(path.enable_tls, 'Required', domain)
  end
  t.eq(t.queue('half.example'):path('main').provider_name, nil)
end)

t.test("a provider's sites share their limits, for each source", function()
  for source, tenant in pairs { main = '', bulk = 'bulk@' } do
    local one, two = t.queue(tenant .. 'one.example'):path(source), t.queue(tenant .. 'two.example'):path(source)
    t.eq(one.additional_connection_limits, { ['shaping-provider-microsoft-' .. source .. '-limit'] = 10 })
    t.eq(two.additional_connection_limits, one.additional_connection_limits)
    t.eq(one.additional_message_rate_throttles, { ['shaping-provider-microsoft-' .. source .. '-rate'] = '10/s' })
  end
end)

t.test('newsletters leave from the address for bulk', function()
  local _, _, c = t.send { ip = '192.0.2.3', from = 'news@example.com', to = 'bob@example.org',
    message = { subject = 'news', headers = { { 'List-Id', '<news.example.com>' } } } }
  t.eq(t.queue(c:stored()[1]):source('bulk').source_address, '198.51.100.11')
end)
