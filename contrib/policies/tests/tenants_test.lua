-- tenants.lua
local t = require 'penstock.test'

t.policy '../tenants.lua'
t.zone [[
example.org.               MX 10 mx1.example.org.
mx1.example.org.           A 203.0.113.80
big.example.               MX 10 mx.big-provider.example.
mx.big-provider.example.   A 203.0.113.81
]]

local function send(tenant, campaign, from, o)
  o = o or {}
  local headers = {}
  if tenant then
    headers[#headers + 1] = { 'X-Tenant', tenant }
  end
  if campaign then
    headers[#headers + 1] = { 'X-Campaign', campaign }
  end
  return (t.send { ip = o.ip or '192.0.2.3', from = from, to = o.to or 'bob@example.org',
    message = { subject = 'hello', headers = headers } })
end

t.test('mail of a tenant and campaign has a queue of its own, and the world does not see the headers', function()
  t.accepted(send('acme', 'spring', 'news@news.acme.example'))
  local b = t.stored()[1]
  t.eq(b.queue, 'spring:acme@example.org')
  t.eq({ b:header 'X-Tenant', b:header 'X-Campaign' }, {})
  t.accepted(send('school', nil, 'office@school.example'))
  t.eq(t.stored()[2].queue, 'school@example.org')
end)

t.test('unknown tenants, foreign senders and odd campaigns are refused', function()
  t.refused(send(nil, nil, 'news@acme.example'), '550 5.7.1')
  t.refused(send('nobody', nil, 'news@acme.example'), '550 5.7.1')
  t.refused(send('school', nil, 'news@acme.example'), '550 5.7.1')
  t.refused(send('acme', 'a:b@c', 'news@acme.example'), '550 5.7.1')
  t.refused(send('acme', nil, ''), '550 5.7.1')
  t.eq(t.stored(), {})
end)

t.test('nobody else hands in mail, whatever the headers say', function()
  t.refused(send('acme', nil, 'news@acme.example', { ip = '203.0.113.9' }), '550 5.7.1')
  t.refused(send('acme', nil, 'news@acme.example', { ip = '192.0.2.16' }), '550 5.7.1')
end)

t.test('each tenant leaves from the sources of his pool, by weight', function()
  t.eq(t.queue('acme@example.org'):shares(1000), { ['acme-1'] = 900, ['acme-2'] = 100 })
  t.eq(t.queue('school@example.org'):shares(1000), { ['shared-1'] = 500, ['shared-2'] = 500 })
  local q = t.queue 'acme@example.org'
  t.eq(q:source('acme-2').source_address, '198.51.100.32')
  t.eq(q:ehlo 'acme-2', 'out2.acme.example')
end)

t.test('tenants and campaigns have limits and lifetimes of their own', function()
  t.eq(t.queue('school@example.org').config.max_age, '2days')
  t.eq(t.queue('acme@example.org').config.max_age, '7days')
  local login = t.queue 'login:acme@example.org'
  t.eq(login.config.max_retry_interval, '2h')
  local retries, expires = login:retries(20)
  t.eq(retries[1], 60)
  t.ok(expires <= 30 * 60, 'half an hour: ' .. expires)
end)

t.test('a new source is used gently, a large provider over TLS only', function()
  local q = t.queue 'acme@big.example'
  t.eq(q:path('acme-1').enable_tls, 'Required')
  t.eq(q:path('acme-1').connection_limit, 10)
  t.eq(q:path('acme-2').connection_limit, 2)
  t.eq(t.queue('acme@example.org'):path('acme-1').connection_limit, 5)
end)

t.test('cron may still write, from the shared addresses', function()
  t.accepted((t.send { local_submission = true, from = 'root@example.com', to = 'admin@example.org', message = 'x' }))
  t.eq(t.queue(t.stored()[1]):pool().name, 'shared')
end)
