-- How a host is spoken to: LMTP, AUTH, TLS, proxies.
local t = require 'harness'

t.test('case 146: LMTP answers for each recipient', function()
  local sink = t.smtp_sink { lmtp = true, dot = { '250 2.1.5 stored', '550 5.2.2 over quota', '451 4.2.1 busy' } }
  local router = t.router { policy = t.smart_host(sink, { path = 'use_lmtp = true' }) }
  router:enqueue { to = { 'ann@example.com', 'bob@example.com', 'eve@example.com' } }
  local r = t.log(router, 'Delivery', { recipient = 'ann@example.com', code = 250 })
  t.eq(r.delivery_protocol, 'LMTP')
  t.eq(r.response.content, 'stored')
  t.log(router, 'Bounce', { recipient = 'bob@example.com', code = 550 })
  t.log(router, 'TransientFailure', { recipient = 'eve@example.com', code = 451 })
  t.wait_for('the rows to go', function()
    return #router:sql 'SELECT 1 FROM recipient' == 1
  end)
  t.rows(router:sql 'SELECT address, attempts FROM recipient', { { 'eve@example.com', 1 } })
  t.match(sink.lines[1], '^LHLO ')
end)

t.test('case 146: an LMTP host that goes between two replies has answered the first', function()
  local n = 0
  local sink = t.smtp_sink { lmtp = true, dot = function()
    n = n + 1
    return n == 1 and '250 2.1.5 stored' or 'drop'
  end }
  local router = t.router { policy = t.smart_host(sink, { path = 'use_lmtp = true' }) }
  router:enqueue { to = { 'ann@example.com', 'bob@example.com' } }
  t.log(router, 'Delivery', { recipient = 'ann@example.com' })
  t.log(router, 'TransientFailure', { recipient = 'bob@example.com', code = 400 })
  t.wait_for('the rows to go', function()
    return #router:sql 'SELECT 1 FROM recipient' == 1
  end)
  t.rows(router:sql 'SELECT address FROM recipient', { { 'bob@example.com' } })
end)

t.test('a mailbox server that speaks only LMTP is not asked twice in SMTP', function()
  local sink = t.smtp_sink { lmtp = true, ehlo = '500 5.5.1 no' }
  local router = t.router { policy = t.smart_host(sink, { path = 'use_lmtp = true' }) }
  router:enqueue { to = 'ann@example.com' }
  t.log(router, 'TransientFailure', { code = 400 })
  t.eq(#sink.sessions, 1)
  t.eq(#sink:messages(), 0)
end)
