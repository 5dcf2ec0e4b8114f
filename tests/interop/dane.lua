-- DANE with a signed zone, served by NSD: what each sort of TLSA record leads to.
local t = require 'harness'
local sts_web = require 'sts_web'

local function shell(command)
  local status, out = t.run { 'bash', '-c', 'set -e -o pipefail; cd ' .. t.dir() .. '; ' .. command }
  t.eq(status, 0, out)
  return (out:gsub('%s+$', ''))
end

local function sha256(cert, of)
  local to_der = of == 'key' and 'openssl x509 -in %s -noout -pubkey | openssl pkey -pubin -outform DER'
    or 'openssl x509 -in %s -outform DER'
  return shell(to_der:format(cert) .. " | sha256sum | cut -d' ' -f1")
end

-- zones: name -> text without SOA; those in `signed` are signed, and their key
-- is the trust anchor.  spoil(text): what becomes of a signed zone afterwards.
local function nsd(zones, signed, spoil)
  local status, port = t.run { TOP_SRCDIR .. '/contrib/private-postfix', 'port' }
  t.eq(status, 0, port)
  port = tonumber((port:gsub('%s', '')))
  local config, anchors = ([[
server:
  ip-address: 127.0.0.1@%d
  username: ""
  zonesdir: "%s"
  database: ""
  pidfile: "%s/nsd.pid"
  xfrdfile: "%s/xfrd.state"
  zonelistfile: "%s/zone.list"
  server-count: 1
remote-control:
  control-enable: no
]]):format(port, t.dir(), t.dir(), t.dir(), t.dir()), ''
  for name, text in pairs(zones) do
    local file = name .. 'zone'
    t.write(file, ('$ORIGIN %s\n$TTL 60\n@ SOA ns.%s root.%s 1 3600 600 86400 60\n@ NS ns\nns A 127.0.0.1\n%s')
      :format(name, name, name, text))
    if name == signed then
      local key = shell('ldns-keygen -a ECDSAP256SHA256 -k ' .. name)
      shell(('ldns-signzone %s %s'):format(file, key))
      file = file .. '.signed'
      t.write(file, spoil(t.read(t.dir() .. '/' .. file)))
      anchors = anchors .. t.read(t.dir() .. '/' .. key .. '.ds')
    end
    config = config .. ('zone:\n  name: "%s"\n  zonefile: "%s"\n'):format(name, file)
  end
  t.write('nsd.conf', config)
  local p = t.spawn { 'nsd', '-d', '-c', t.dir() .. '/nsd.conf' }
  t.wait_for('NSD', function()
    if not p:running() then
      t.fail('nsd ended: ' .. p:output())
    end
    local fd = t.sys.tcp_connect('127.0.0.1', port)
    if fd then
      t.sys.close(fd)
    end
    return fd
  end)
  return '127.0.0.1@' .. port, t.write('anchor', anchors)
end

-- How many messages for `to` the sink has.
local function got(sink, to)
  local n = 0
  for _, m in ipairs(sink:messages()) do
    n = n + (m.to[1] == to and 1 or 0)
  end
  return n
end

local function first_record(router, to)
  return t.wait_for('an outcome for ' .. to, function()
    for _, r in ipairs(router:records()) do
      if r.recipient == to then
        return r
      end
    end
  end, 60000)
end

-- What becomes of mail for a host with such records, the path saying
-- Opportunistic: the certificates are signed by nobody that is known.
-- tlsa: lines below _port._tcp.mx; want: type, TLS, what the reason has.
local CASES = {
  { 'good', '3 1 1 KEY', 'Delivery', true },
  { 'good-full', '3 0 1 CERT', 'Delivery', true },
  { 'anchor', '2 0 1 CA', 'Delivery', true },
  { 'one-of-two', '3 1 1 WRONG|3 1 1 KEY', 'Delivery', true },
  { 'wrong', '3 1 1 WRONG', 'TransientFailure', nil, 'verif' },
  { 'wrong-anchor', '2 0 1 WRONG', 'TransientFailure', nil, 'verif' },
  { 'unusable', '0 0 1 WRONG|3 1 9 WRONG', 'Delivery', true },
  { 'bogus', '3 1 1 B0B0', 'TransientFailure', nil, 'DANE' },
  { 'no-tls', '3 1 1 KEY', 'TransientFailure', nil, 'STARTTLS is not offered' },
  { 'unusable-no-tls', '0 0 1 WRONG', 'TransientFailure', nil, 'STARTTLS is not offered' },
  -- One of its addresses was tampered with, the other would do to connect.
  { 'half', '3 1 1 KEY', 'TransientFailure', nil, 'cannot be validated' },
  { 'none', nil, 'TransientFailure', nil, 'self-signed' }, -- Opportunistic, as without DANE
  { 'none-no-tls', nil, 'Delivery', false },
}

t.test('DANE: usable, wrong, unusable, unobtainable and absent records', function()
  local ca = t.certificate 'DNS:ca.test'
  local port, zone, sinks = nil, '', {}
  for i, case in ipairs(CASES) do
    local name, tlsa = case[1], case[2]
    local host = ('mx.%s.signed.test'):format(name)
    local by_anchor = name:find 'anchor'
    local c = t.certificate('DNS:' .. host, by_anchor and ca or nil)
    if by_anchor then -- the chain has to have it
      t.write('chain-' .. name, t.read(c.cert) .. t.read(ca.cert))
      c.cert = t.dir() .. '/chain-' .. name
    end
    local ip = '127.0.1.' .. i
    local no_tls = name:find 'no%-tls'
    local sink = t.smtp_sink { ip = ip, port = port, cert = not no_tls and c.cert or nil, key = c.key }
    port, sinks[name] = sink.port, sink
    zone = zone .. ('%s MX 10 mx.%s\nmx.%s A %s\n'):format(name, name, name, ip)
    if name == 'half' then
      zone = zone .. 'mx.half AAAA 2001:db8::b0b0\n'
    end
    for line in (tlsa or ''):gmatch '[^|]+' do
      line = line:gsub('KEY', function() return sha256(c.cert, 'key') end)
        :gsub('CERT', function() return sha256(c.cert) end)
        :gsub('CA$', function() return sha256(ca.cert) end)
        :gsub('WRONG', ('ab'):rep(32)):gsub('B0B0', ('b0'):rep(32))
      zone = zone .. ('_%d._tcp.mx.%s TLSA %s\n'):format(port, name, line)
    end
  end
  -- An insecure way to a host that has records: they do not count.
  local address, anchor = nsd({
    ['signed.test.'] = zone, ['plain.test.'] = '@ MX 10 mx.wrong.signed.test.\n',
  }, 'signed.test.', function(text)
    -- A record that is not the one that was signed.
    return (text:gsub(('b0'):rep(32), ('b1'):rep(32)):gsub('(2001:[%x:]*)b0b0', '%1b0b1'))
  end)
  local router = t.router {
    dns = { address = address }, args = { '--trust-anchor', anchor },
    policy = ([[
local kumo = require 'kumo'
kumo.on('init', function() %s end)
kumo.on('get_egress_path_config', function(domain)
  return kumo.make_egress_path {
    prohibited_hosts = {}, smtp_port = %d, enable_dane = true, enable_mta_sts = false,
    enable_tls = domain == 'plain.test' and 'OpportunisticInsecure' or 'Opportunistic',
  }
end)]]):format(t.local_logs(), port),
  }
  for _, case in ipairs(CASES) do
    router:enqueue { to = ('bob@%s.signed.test'):format(case[1]) }
  end
  router:enqueue { to = 'bob@plain.test' }
  for _, case in ipairs(CASES) do
    local to = ('bob@%s.signed.test'):format(case[1])
    local r = first_record(router, to)
    t.eq(r.type, case[3], case[1] .. ': ' .. r.response.content)
    if case[3] == 'Delivery' then
      t.eq(r.tls_cipher ~= nil, case[4], case[1])
      t.eq(got(sinks[case[1]], to), 1)
    else
      t.has(r.response.content, case[5], case[1])
      t.eq(got(sinks[case[1]], to), 0)
    end
  end
  t.eq(t.log(router, 'Delivery', { recipient = 'bob@plain.test' }).peer_address.name, 'mx.wrong.signed.test')
  router:stop()
  local results = {}
  for _, row in ipairs(router:sql "SELECT domain, policy || ' ' || result FROM v_tls ORDER BY domain, result") do
    local name = row[1]:match '^(.*)%.signed%.test$' or row[1]
    results[name] = (results[name] and results[name] .. ', ' or '') .. row[2]
  end
  t.eq({ results.good, results.anchor }, { 'tlsa success', 'tlsa success' })
  t.eq({ results.wrong, results['wrong-anchor'] }, { 'tlsa validation-failure', 'tlsa validation-failure' })
  t.eq({ results.unusable, results.bogus }, { 'tlsa tlsa-invalid', 'tlsa dnssec-invalid' })
  t.eq({ results['no-tls'], results.half }, { 'tlsa starttls-not-supported', 'tlsa dnssec-invalid' })
  t.eq({ results.none, results['plain.test'] }, { 'no-policy-found certificate-not-trusted', 'no-policy-found success' })
end)

t.test('DANE without a trust anchor is an error that says so, not a silent downgrade', function()
  local sink = t.smtp_sink { ip = '127.0.0.7' }
  local dns = t.dns { ['a.test'] = { MX = { { 10, 'mx.test' } } }, ['mx.test'] = { A = { '127.0.0.7' } } }
  local router = t.router {
    dns = dns, args = t.sys.stat '/usr/share/dns/root.key' and { '--trust-anchor', t.write('empty', '') } or nil,
    policy = ([[
local kumo = require 'kumo'
kumo.on('init', function() %s end)
kumo.on('get_egress_path_config', function()
  return kumo.make_egress_path { prohibited_hosts = {}, smtp_port = %d, enable_dane = true }
end)]]):format(t.local_logs(), sink.port),
  }
  router:enqueue { to = 'bob@a.test' }
  local r = t.wait_for('an outcome', function()
    return router:records()[1]
  end)
  if not t.sys.stat '/usr/share/dns/root.key' then
    t.eq(r.response.code, 451)
    t.has(r.response.content, 'trust anchor')
    t.eq(#sink.sessions, 0)
  end
end)

-- An MX host that is an alias.  name; where it leads: 'signed' or 'plain'; TLSA
-- below the target; below the alias; what the certificate is for; want.
local ALIASES = {
  { 'at-target', 'signed', '3 1 1 KEY', nil, 'nobody', 'Delivery' },
  { 'at-alias', 'signed', nil, '3 1 1 KEY', 'nobody', 'Delivery' },
  { 'target-first', 'signed', '3 1 1 WRONG', '3 1 1 KEY', 'nobody', 'TransientFailure', 'verif' },
  { 'target-only', 'signed', '3 1 1 KEY', '3 1 1 WRONG', 'nobody', 'Delivery' },
  { 'target-bogus', 'signed', '3 1 1 B0B0', '3 1 1 KEY', 'nobody', 'TransientFailure', 'DANE' },
  { 'ta-target', 'signed', '2 0 1 CA', nil, 'target', 'Delivery' },
  { 'ta-not-alias', 'signed', '2 0 1 CA', nil, 'alias', 'TransientFailure', 'ismatch' },
  { 'ta-alias', 'signed', nil, '2 0 1 CA', 'alias', 'Delivery' },
  { 'ta-not-target', 'signed', nil, '2 0 1 CA', 'target', 'TransientFailure', 'ismatch' },
  { 'ta-domain', 'signed', '2 0 1 CA', nil, 'domain', 'Delivery' },
  { 'plain-target', 'plain', nil, '3 1 1 KEY', 'nobody', 'Delivery' },
  { 'plain-wrong', 'plain', nil, '3 1 1 WRONG', 'nobody', 'TransientFailure', 'verif' },
  { 'plain-none', 'plain', nil, nil, 'nobody', 'TransientFailure', 'self%-signed' },
  { 'no-records', 'signed', nil, nil, 'nobody', 'TransientFailure', 'self%-signed' },
}

t.test('DANE: of a host that is an alias, the records of its target count, then its own; the name that had them is what the certificate is held against', function()
  local ca = t.certificate 'DNS:ca.test'
  local port, signed, plain, sinks = nil, '', '', {}
  for i, case in ipairs(ALIASES) do
    local name, where, at_target, at_alias, subject = table.unpack(case, 1, 5)
    local domain = name .. '.signed.test'
    local names = { alias = 'mx.' .. domain, target = ('host.%s.%s.test'):format(name, where), domain = domain }
    local ip = '127.0.1.' .. i
    local by_anchor = subject ~= 'nobody'
    local c = t.certificate('DNS:' .. (names[subject] or 'nobody.test'), by_anchor and ca or nil)
    if by_anchor then
      t.write('chain-' .. name, t.read(c.cert) .. t.read(ca.cert))
      c.cert = t.dir() .. '/chain-' .. name
    end
    local sink = t.smtp_sink { ip = ip, port = port, cert = c.cert, key = c.key }
    port, sinks[name] = sink.port, sink
    signed = signed .. ('%s MX 10 mx.%s\nmx.%s CNAME %s.\n'):format(name, name, name, names.target)
    local address = ('host.%s A %s\n'):format(name, ip)
    if where == 'signed' then
      signed = signed .. address
    else
      plain = plain .. address
    end
    for owner, record in pairs { ['host.' .. name] = at_target, ['mx.' .. name] = at_alias } do
      record = record:gsub('KEY', function() return sha256(c.cert, 'key') end)
        :gsub('CA$', function() return sha256(ca.cert) end)
        :gsub('WRONG', ('ab'):rep(32)):gsub('B0B0', ('b0'):rep(32))
      signed = signed .. ('_%d._tcp.%s TLSA %s\n'):format(port, owner, record)
    end
  end
  local address, anchor = nsd({ ['signed.test.'] = signed, ['plain.test.'] = plain }, 'signed.test.', function(text)
    return (text:gsub(('b0'):rep(32), ('b1'):rep(32)))
  end)
  local router = t.router {
    dns = { address = address }, args = { '--trust-anchor', anchor },
    policy = ([[
local kumo = require 'kumo'
kumo.on('init', function() %s end)
kumo.on('get_egress_path_config', function()
  return kumo.make_egress_path { prohibited_hosts = {}, smtp_port = %d, enable_dane = true, enable_mta_sts = false }
end)]]):format(t.local_logs(), port),
  }
  for _, case in ipairs(ALIASES) do
    router:enqueue { to = ('bob@%s.signed.test'):format(case[1]) }
  end
  for _, case in ipairs(ALIASES) do
    local name, want, why = case[1], case[6], case[7]
    local to = ('bob@%s.signed.test'):format(name)
    local r = first_record(router, to)
    t.eq(r.type, want, name .. ': ' .. r.response.content)
    t.eq(got(sinks[name], to), want == 'Delivery' and 1 or 0, name)
    if why then
      t.match(r.response.content, why, name)
    end
  end
end)

t.test('DANE wins over MTA-STS: what one vouches for the other cannot forbid, and the other way round', function()
  local ca = t.certificate 'DNS:ca.test'
  local port, zone, sinks, pages = nil, '', {}, {}
  -- host: what the certificate is like, TLSA, the MTA-STS policy's hosts.
  local cases = {
    -- Disallowed by the policy, and its certificate is signed by nobody.
    { 'dane', false, '3 1 1 KEY', 'elsewhere.test', 'Delivery' },
    -- Allowed, and its certificate is all that a policy asks for.
    { 'sts', true, '3 1 1 WRONG', '*.signed.test', 'TransientFailure', 'verif' },
    -- DANE says nothing here: the policy counts.
    { 'neither', true, nil, 'elsewhere.test', 'TransientFailure', 'MTA%-STS' },
    { 'both', true, '3 1 1 KEY', '*.signed.test', 'Delivery' },
  }
  local web_names = {}
  for i, case in ipairs(cases) do
    local name, known, tlsa, mx = table.unpack(case, 1, 4)
    local c = t.certificate(('DNS:mx-%s.signed.test'):format(name), known and ca or nil)
    local ip = '127.0.1.' .. i
    local sink = t.smtp_sink { ip = ip, port = port, cert = c.cert, key = c.key }
    port, sinks[name] = sink.port, sink
    zone = zone .. ('%s MX 10 mx-%s\nmx-%s A %s\n_mta-sts.%s TXT "v=STSv1; id=1;"\nmta-sts.%s A 127.0.0.1\n')
      :format(name, name, name, ip, name, name)
    if tlsa then
      zone = zone .. ('_%d._tcp.mx-%s TLSA %s\n'):format(port, name,
        (tlsa:gsub('KEY', function() return sha256(c.cert, 'key') end):gsub('WRONG', ('ab'):rep(32))))
    end
    pages[('mta-sts.%s.signed.test'):format(name)] = sts_web.policy('enforce', mx)
    web_names[i] = ('DNS:mta-sts.%s.signed.test'):format(name)
  end
  local web = sts_web.start(pages, t.certificate(table.concat(web_names, ','), ca))
  local address, anchor = nsd({ ['signed.test.'] = zone }, 'signed.test.', function(text) return text end)
  local router = t.router {
    dns = { address = address }, args = { '--trust-anchor', anchor }, ca_file = ca.cert,
    env = { PENSTOCK_MTA_STS_PORT = tostring(web.port) },
    policy = ([[
local kumo = require 'kumo'
kumo.on('init', function() %s end)
kumo.on('get_egress_path_config', function()
  return kumo.make_egress_path { prohibited_hosts = {}, smtp_port = %d, enable_dane = true }
end)]]):format(t.local_logs(), port),
  }
  for _, case in ipairs(cases) do
    router:enqueue { to = ('bob@%s.signed.test'):format(case[1]) }
  end
  for _, case in ipairs(cases) do
    local name, want, why = case[1], case[5], case[6]
    local to = ('bob@%s.signed.test'):format(name)
    local r = first_record(router, to)
    t.eq(r.type, want, name .. ': ' .. r.response.content)
    t.eq(got(sinks[name], to), want == 'Delivery' and 1 or 0, name)
    t.eq(web.asked[('mta-sts.%s.signed.test'):format(name)], 1, 'the policy of ' .. name .. ' was fetched')
    if why then
      t.match(r.response.content, why, name)
    end
  end
end)
