-- How TLS went with whom, counted for reports (RFC 8460).
local t = require 'harness'
local sts_web = require 'sts_web'

-- Rows of v_tls as text, in order.
local function results(router, where)
  local out = {}
  for _, row in ipairs(router:sql('SELECT domain, policy, mx, result, sessions FROM v_tls '
    .. (where or '') .. ' ORDER BY domain, mx, result')) do
    out[#out + 1] = table.concat(row, ' ')
  end
  return out
end

local function outcomes(router, n)
  t.wait_for(n .. ' outcomes', function()
    return #router:records() >= n
  end, 60000)
end

t.test('what became of TLS is counted for each domain, host and result, and shown by penstock status', function()
  local ca = t.certificate 'DNS:ca.test'
  local function certificate(name, by)
    return t.certificate('DNS:' .. name, by)
  end
  local expired = t.dir() .. '/expired'
  local status, out = t.run { '/bin/sh', '-c', ([[
set -e
openssl req -x509 -newkey rsa:2048 -nodes -keyout %s.key -out %s.req -subj /CN=expired.mx.test -days 1
openssl x509 -in %s.req -signkey %s.key -days -1 -out %s.pem]]):format(expired, expired, expired, expired, expired) }
  t.eq(status, 0, out)
  local known = certificate('good.mx.test', ca)
  local hosts = {
    good = { cert = known.cert, key = known.key },
    name = { cert = known.cert, key = known.key },
    stranger = certificate 'stranger.mx.test',
    expired = { cert = expired .. '.pem', key = expired .. '.key' },
    clear = {},
    refused = { cert = known.cert, key = known.key, starttls = '454 4.7.0 not now' },
    broken = { extensions = { 'STARTTLS' }, starttls = 'drop' },
  }
  local zone, port, n, ca_text = {}, nil, 0, t.read(ca.cert) .. t.read(expired .. '.pem')
  for name, o in pairs(hosts) do
    n = n + 1
    local sink = t.smtp_sink { ip = '127.0.3.' .. n, port = port, cert = o.cert, key = o.key,
      extensions = o.extensions, starttls = o.starttls }
    port = sink.port
    zone[name .. '.mx.test'] = { A = { '127.0.3.' .. n } }
    zone[name .. '.test'] = { MX = { { 10, name .. '.mx.test' } } }
  end
  local o = {
    dns = t.dns(zone), ca_file = t.write('authorities', ca_text),
    policy = ([[
local kumo = require 'kumo'
kumo.on('init', function() %s end)
kumo.on('get_egress_path_config', function()
  return kumo.make_egress_path { prohibited_hosts = {}, smtp_port = %d, enable_mta_sts = false }
end)]]):format(t.local_logs(), port),
  }
  local router = t.router(o)
  for name in pairs(hosts) do
    router:enqueue { to = 'bob@' .. name .. '.test' }
  end
  router:enqueue { to = 'joe@good.test' }
  outcomes(router, n + 1)
  t.eq(results(router), {}, 'nothing is written yet')
  router:advance '2 mins'
  t.wait_for('rows', function()
    return #results(router) >= n
  end)
  local want = {
    'broken.test no-policy-found broken.mx.test validation-failure',
    'clear.test no-policy-found clear.mx.test starttls-not-supported',
    'expired.test no-policy-found expired.mx.test certificate-expired',
    'good.test no-policy-found good.mx.test success',
    'name.test no-policy-found name.mx.test certificate-host-mismatch',
    'refused.test no-policy-found refused.mx.test starttls-not-supported',
    'stranger.test no-policy-found stranger.mx.test certificate-not-trusted',
  }
  local got = {}
  for i, row in ipairs(results(router)) do
    local text, sessions = row:match '^(.*) (%d+)$'
    got[i] = text
    t.ok(tonumber(sessions) >= 1, row)
  end
  t.eq(got, want)
  -- And what came after that, at the stop.
  local before = router:sql("SELECT sum(sessions) FROM v_tls WHERE domain = 'good.test'")[1][1]
  router:stop()
  router = t.router(o)
  router:enqueue { to = 'eve@good.test' }
  t.log(router, 'Delivery', { recipient = 'eve@good.test' })
  local _, text = t.penstock('status')
  t.match(text, 'TLS today: +%d+ sessions well, %d+ not')
  router:stop()
  t.eq(router:sql("SELECT sum(sessions) FROM v_tls WHERE domain = 'good.test'")[1][1], before + 1)
end)

t.test('what is counted under MTA-STS: enforced, tested, and policies that cannot be had', function()
  local ca = t.certificate 'DNS:ca.test'
  local c, bad = t.certificate('DNS:mx.test', ca), t.certificate 'DNS:bad.test'
  local good_sink = t.smtp_sink { ip = '127.0.3.1', cert = c.cert, key = c.key }
  local port = good_sink.port
  t.smtp_sink { ip = '127.0.3.2', port = port, cert = bad.cert, key = bad.key }
  local zone = { ['mx.test'] = { A = { '127.0.3.1' } }, ['bad.test'] = { A = { '127.0.3.2' } } }
  local pages, names = {}, {}
  local domains = {
    ['enforce.test'] = { 'mx.test', sts_web.policy('enforce', 'mx.test') },
    ['unnamed.test'] = { 'mx.test', sts_web.policy('enforce', 'other.test') },
    ['testing.test'] = { 'mx.test', sts_web.policy('testing', 'mx.test') },
    ['tested-bad.test'] = { 'bad.test', sts_web.policy('testing', 'bad.test') },
    ['tested-unnamed.test'] = { 'mx.test', sts_web.policy('testing', 'other.test') },
    ['gone.test'] = { 'mx.test' },
    ['nonsense.test'] = { 'mx.test', { 200, 'text/plain', 'mode: enforce\n' } },
    ['foreign.test'] = { 'mx.test', sts_web.policy('enforce', 'mx.test') },
  }
  for name, d in pairs(domains) do
    zone[name] = { MX = { { 10, d[1] } } }
    zone['_mta-sts.' .. name] = { TXT = { 'v=STSv1; id=1;' } }
    zone['mta-sts.' .. name] = { A = { '127.0.0.1' } }
    pages['mta-sts.' .. name] = d[2]
    if name ~= 'foreign.test' then -- which is not in the certificate
      names[#names + 1] = 'DNS:mta-sts.' .. name
    end
  end
  local web = sts_web.start(pages, t.certificate(table.concat(names, ','), ca))
  local router = t.router {
    dns = t.dns(zone), ca_file = ca.cert, env = { PENSTOCK_MTA_STS_PORT = tostring(web.port) },
    policy = ([[
local kumo = require 'kumo'
kumo.on('init', function() %s end)
kumo.on('get_egress_path_config', function()
  return kumo.make_egress_path { prohibited_hosts = {}, smtp_port = %d, enable_tls = 'OpportunisticInsecure' }
end)]]):format(t.local_logs(), port),
  }
  local count = 0
  for name in pairs(domains) do
    count = count + 1
    router:enqueue { to = 'bob@' .. name }
  end
  outcomes(router, count)
  t.eq(#router:records 'Delivery', count - 1)
  router:stop()
  local got = {}
  for _, row in ipairs(results(router, "WHERE policy = 'sts'")) do
    got[#got + 1] = row:match '^(.*) %d+$'
  end
  t.eq(got, {
    'enforce.test sts mx.test success',
    'foreign.test sts  sts-webpki-invalid',
    'gone.test sts  sts-policy-fetch-error',
    'nonsense.test sts  sts-policy-invalid',
    'tested-bad.test sts bad.test certificate-not-trusted',
    'tested-unnamed.test sts mx.test validation-failure',
    'testing.test sts mx.test success',
    'unnamed.test sts mx.test validation-failure',
  })
end)
