-- MTA-STS: policies over HTTPS, kept on disk, enforced or only tested.
local t = require 'harness'
local sys = t.sys

local web, policy_text = require('sts_web').start, require('sts_web').policy

-- A world: domains d.test with a record, hosts that offer TLS with a certificate
-- of the CA ("good"), of nobody ("bad"), or none ("clear").
local function world(domains, o)
  o = o or {}
  local ca = t.certificate 'DNS:ca.test'
  local names = {}
  local zone, pages, sinks = {}, {}, {}
  local port
  for i, kind in ipairs { 'good', 'bad', 'clear' } do
    local host = kind .. '.mx.test'
    local c = t.certificate('DNS:' .. host, kind == 'good' and ca or nil)
    local ip = '127.0.2.' .. i
    local sink = t.smtp_sink { ip = ip, port = port, cert = kind ~= 'clear' and c.cert or nil, key = c.key }
    port, sinks[kind] = sink.port, sink
    zone[host] = { A = { ip } }
  end
  for domain, d in pairs(domains) do
    local mx = {}
    for n, kind in ipairs(d.mx) do
      mx[n] = { n * 10, kind .. '.mx.test' }
    end
    zone[domain] = { MX = mx }
    zone['_mta-sts.' .. domain] = { TXT = { d.record or 'v=STSv1; id=1;' } }
    zone['mta-sts.' .. domain] = { A = { '127.0.0.1' } }
    names[#names + 1] = 'DNS:mta-sts.' .. domain
    pages['mta-sts.' .. domain] = d.page
  end
  local server = web(pages, t.certificate(table.concat(names, ','), o.foreign_web and t.certificate 'DNS:x.test' or ca))
  local dns = t.dns(zone, { ttl = 1 })
  local function start(path, extra)
    return t.router {
      dns = dns, ca_file = ca.cert, env = { PENSTOCK_MTA_STS_PORT = tostring(server.port) },
      policy = ([[
local kumo = require 'kumo'
kumo.on('init', function() %s %s end)
kumo.on('get_egress_path_config', function()
  return kumo.make_egress_path { prohibited_hosts = {}, smtp_port = %d, %s }
end)]]):format(t.local_logs(), extra or '', port, path or ''),
    }
  end
  return { sinks = sinks, server = server, zone = zone, start = start, router = start(o.path, o.init) }
end

local function outcome(router, to)
  router:enqueue { to = to }
  return t.wait_for('an outcome for ' .. to, function()
    for _, r in ipairs(router:records()) do
      if r.recipient == to then
        return r
      end
    end
  end)
end

t.test('MTA-STS enforce: only hosts that the policy names, and only with verified TLS', function()
  local w = world {
    ['one.test'] = { mx = { 'clear', 'good' }, page = policy_text('enforce', 'good.mx.test') },
    ['wild.test'] = { mx = { 'good' }, page = policy_text('enforce', '*.mx.test') },
    ['badcert.test'] = { mx = { 'bad' }, page = policy_text('enforce', '*.mx.test') },
    ['clear.test'] = { mx = { 'clear' }, page = policy_text('enforce', '*.mx.test') },
    ['other.test'] = { mx = { 'good' }, page = policy_text('enforce', 'mail.other.test', '*.example.com') },
  }
  local r = outcome(w.router, 'bob@one.test')
  t.eq({ r.type, r.peer_address.name, r.site }, { 'Delivery', 'good.mx.test', 'unspecified->good.mx.test@smtp_client' })
  t.ok(r.tls_cipher)
  t.ok(outcome(w.router, 'bob@wild.test').tls_cipher)
  t.has(outcome(w.router, 'bob@badcert.test').response.content, 'certificate verify failed')
  t.has(outcome(w.router, 'bob@clear.test').response.content, 'TLS is required')
  r = outcome(w.router, 'bob@other.test')
  t.eq({ r.type, r.response.code }, { 'TransientFailure', 451 })
  t.has(r.response.content, 'MTA-STS')
  t.eq({ #w.sinks.clear.sessions > 0, #w.sinks.clear:messages(), #w.sinks.bad:messages() }, { true, 0, 0 })
end)

t.test('MTA-STS testing: any TLS will do, and clear text too', function()
  local w = world {
    ['badcert.test'] = { mx = { 'bad' }, page = policy_text('testing', 'mail.other.test') },
    ['clear.test'] = { mx = { 'clear' }, page = policy_text('testing', '*.mx.test') },
  }
  local r = outcome(w.router, 'bob@badcert.test')
  t.eq({ r.type, r.tls_cipher ~= nil }, { 'Delivery', true })
  t.eq(outcome(w.router, 'bob@clear.test').type, 'Delivery')
end)

t.test('a policy that cannot be had is none; one that was seen holds without its server, and after a restart', function()
  local w = world {
    ['gone.test'] = { mx = { 'clear' } }, ['html.test'] = { mx = { 'clear' }, page = { 200, 'text/html', policy_text('enforce', 'x')[3] } },
    ['nonsense.test'] = { mx = { 'clear' }, page = { 200, 'text/plain', 'mode: enforce\n' } },
    ['norecord.test'] = { mx = { 'clear' }, record = 'v=spf1 -all', page = policy_text('enforce', 'good.mx.test') },
    ['seen.test'] = { mx = { 'clear' }, page = policy_text('enforce', '*.mx.test') },
  }
  for _, domain in ipairs { 'gone.test', 'html.test', 'nonsense.test', 'norecord.test' } do
    t.eq(outcome(w.router, 'bob@' .. domain).type, 'Delivery', domain)
  end
  t.eq(w.server.asked['mta-sts.norecord.test'], nil)
  t.eq(outcome(w.router, 'bob@seen.test').type, 'TransientFailure')
  t.ok(sys.stat(t.dir() .. '/mta-sts/seen.test'), 'it is on disk')
  w.router:stop()
  -- The server fails and the record is gone: an attacker could do both.
  w.server.pages = {}
  w.zone['_mta-sts.seen.test'] = 'SERVFAIL'
  local router = w.start()
  t.eq(outcome(router, 'eve@seen.test').type, 'TransientFailure')
  t.eq(w.server.asked['mta-sts.seen.test'], 1, 'it was not fetched again')
  router:stop()
  -- Another id: the new policy counts.
  w.zone['_mta-sts.seen.test'] = { TXT = { 'v=STSv1; id=2;' } }
  w.server.pages['mta-sts.seen.test'] = policy_text('none')
  router = w.start()
  t.eq(outcome(router, 'joe@seen.test').type, 'Delivery')
end)

t.test('the web server\'s certificate is verified; what a stranger says is no policy', function()
  local w = world({ ['a.test'] = { mx = { 'clear' }, page = policy_text('enforce', 'good.mx.test') } }, { foreign_web = true })
  t.eq(outcome(w.router, 'bob@a.test').type, 'Delivery')
end)

t.test('enable_mta_sts = false and kumo.dns.set_mta_sts_enabled(false) do without', function()
  local domains = { ['a.test'] = { mx = { 'clear' }, page = policy_text('enforce', 'good.mx.test') } }
  local w = world(domains, { path = 'enable_mta_sts = false' })
  t.eq(outcome(w.router, 'bob@a.test').type, 'Delivery')
  w.router:stop()
  local asked = w.server.asked['mta-sts.a.test']
  os.remove(t.dir() .. '/mta-sts/a.test')
  local router = w.start('', 'kumo.dns.set_mta_sts_enabled(false)')
  t.eq(outcome(router, 'eve@a.test').type, 'Delivery')
  t.eq(w.server.asked['mta-sts.a.test'], asked, 'nobody was asked')
end)

t.test('a policy that only tests takes nothing back that the path requires', function()
  local w = world({ ['a.test'] = { mx = { 'bad' }, page = policy_text('testing', '*.mx.test') } },
    { path = "enable_tls = 'Required'" })
  t.eq(outcome(w.router, 'bob@a.test').type, 'TransientFailure')
end)
