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

-- ---- AUTH ----

local AUTH = { 'PIPELINING', 'AUTH PLAIN LOGIN' }

local function with_auth(path)
  return "smtp_auth_plain_username = 'user', smtp_auth_plain_password = { key_data = 'pass' }, " .. (path or '')
end

t.test('case 143: without TLS no password is sent, and no message', function()
  local sink = t.smtp_sink { extensions = AUTH }
  local router = t.router { policy = t.smart_host(sink, { path = with_auth() }) }
  router:enqueue { to = 'bob@example.com' }
  local r = t.log(router, 'TransientFailure', { code = 400 })
  t.has(r.response.content, 'allow_smtp_auth_plain_without_tls')
  t.eq(#sink:messages(), 0)
  for _, line in ipairs(sink.lines) do
    t.lacks(line, 'AUTH')
  end
end)

t.test('case 143: with allow_smtp_auth_plain_without_tls the host gets AUTH PLAIN', function()
  local sink = t.smtp_sink { extensions = AUTH }
  local router = t.router {
    policy = t.smart_host(sink, { path = with_auth 'allow_smtp_auth_plain_without_tls = true' }),
  }
  router:enqueue { to = 'bob@example.com' }
  t.log(router, 'Delivery')
  t.eq(sink.lines[2], 'AUTH PLAIN AHVzZXIAcGFzcw==')
  t.eq(sink.sessions[1].auth, '\0user\0pass')
  t.lacks(router:output(), 'AHVzZXIAcGFzcw', 'a log has no secrets')
end)

t.test('case 143: a refused password is a failed host, and the next one is tried', function()
  local first = t.smtp_sink { extensions = AUTH, auth = '535 5.7.8 wrong' }
  local second = t.smtp_sink { extensions = { 'AUTH LOGIN' } }
  local router = t.router {
    policy = t.smart_host(first, {
      queue = ("protocol = { smtp = { mx_list = { '%s', '%s' } } },"):format(first.address, second.address),
      path = with_auth 'allow_smtp_auth_plain_without_tls = true',
    }),
  }
  router:enqueue { to = 'bob@example.com' }
  t.log(router, 'Delivery')
  t.eq(#first.sessions, 1)
  t.eq(second.sessions[1].auth, '\0user\0pass')
end)

t.test('a password comes from a file or an event, and a missing one defers', function()
  local sink = t.smtp_sink { extensions = AUTH }
  local file = t.write('password', 'from file\n')
  for source, want in pairs {
    ["'" .. file .. "'"] = 'from file', ["{ event_name = 'pw', event_args = { 'a', 'b' } }"] = 'a+b',
  } do
    local router = t.router {
      policy = t.smart_host(sink, {
        path = "smtp_auth_plain_username = 'u', allow_smtp_auth_plain_without_tls = true, smtp_auth_plain_password = "
          .. source,
        extra = "kumo.on('pw', function(a, b) return a .. '+' .. b end)",
      }),
    }
    router:enqueue { to = 'bob@example.com' }
    t.wait_for('the message', function()
      return #sink:messages() > 0
    end)
    t.eq(sink.sessions[#sink.sessions].auth, '\0u\0' .. want)
    router:stop()
    sink.kept = {}
  end
  local router = t.router {
    policy = t.smart_host(sink, {
      path = "smtp_auth_plain_username = 'u', smtp_auth_plain_password = '/nowhere/password'",
    }),
  }
  router:enqueue { to = 'eve@example.com' }
  local r = t.log(router, 'TransientFailure', { code = 451, recipient = 'eve@example.com' })
  t.has(r.response.content, 'smtp_auth_plain_password')
  t.has(r.response.content, '/nowhere/password')
end)

-- ---- TLS ----

-- One message; the record, the sink's last session.
local function deliver(router, sink, to)
  router:enqueue { to = to }
  local r = t.wait_for('an outcome of ' .. to, function()
    for _, x in ipairs(router:records()) do
      if x.recipient == to then
        return x
      end
    end
  end, 60000) -- each of the policy's events may take 10 s
  return r, sink.sessions[#sink.sessions]
end

-- The decision table: mode, what the host is like, what becomes of a message.
-- none: no STARTTLS; good: a certificate that holds; bad: one that does not;
-- refused: 454 to STARTTLS; broken: the handshake fails.
local OUTCOMES = {
  -- mode, none, good, bad, refused, broken
  { 'Disabled', 'clear', 'clear', 'clear', 'clear', 'clear' },
  { 'Opportunistic', 'clear', 'verified', 'deferred', 'deferred', 'deferred' },
  { 'OpportunisticInsecure', 'clear', 'tls', 'tls', 'clear', 'deferred' },
  { 'Required', 'deferred', 'verified', 'deferred', 'deferred', 'deferred' },
  { 'RequiredInsecure', 'deferred', 'tls', 'tls', 'deferred', 'deferred' },
  { 'Opportunistic+reconnect', 'clear', 'verified', 'clear', 'clear', 'clear' },
  { 'OpportunisticInsecure+reconnect', 'clear', 'tls', 'tls', 'clear', 'clear' },
  { 'Required+reconnect', 'deferred', 'verified', 'deferred', 'deferred', 'deferred' },
}

for _, row in ipairs(OUTCOMES) do
  local mode = row[1]:match '^%a+'
  t.test('case 142: every host under enable_tls = ' .. row[1], function()
    local ca = t.certificate 'DNS:ca.test'
    local good, bad = t.certificate('DNS:sink.test', ca), t.certificate 'DNS:sink.test'
    local hosts = {
      {}, { cert = good.cert, key = good.key }, { cert = bad.cert, key = bad.key },
      { cert = good.cert, key = good.key, starttls = '454 4.7.0 not now' },
      -- Says 220 and closes instead of shaking hands.
      { extensions = { 'STARTTLS' }, starttls = 'drop' },
    }
    local reconnect = row[1]:find '+' and 'opportunistic_tls_reconnect_on_failed_handshake = true,' or ''
    for i, o in ipairs(hosts) do
      local sink = t.smtp_sink(o)
      local router = t.router {
        policy = t.smart_host(sink, { path = reconnect .. "enable_tls = '" .. mode .. "'" }), ca_file = ca.cert,
      }
      local r, session = deliver(router, sink, ('u%d@example.com'):format(i))
      local got = r.type == 'TransientFailure' and 'deferred' or r.type ~= 'Delivery' and r.type
        or r.tls_cipher and (mode:find 'Insecure' and 'tls' or 'verified') or 'clear'
      t.eq(got, row[i + 1], 'host ' .. i)
      t.eq(#sink:messages(), got == 'deferred' and 0 or 1, 'host ' .. i)
      if got == 'verified' then
        t.eq(session.tls_facts.sni, 'sink.test')
      end
      router:stop()
    end
  end)
end

t.test('case 142: remember_broken_tls leaves TLS alone at that site for so long', function()
  local bad = t.certificate 'DNS:sink.test'
  local sink = t.smtp_sink { cert = bad.cert, key = bad.key }
  local router = t.router {
    policy = t.smart_host(sink, { path = "remember_broken_tls = '10 mins', max_deliveries_per_connection = 1" }),
  }
  t.eq(deliver(router, sink, 'a@example.com').type, 'TransientFailure')
  local r = deliver(router, sink, 'b@example.com')
  t.eq({ r.type, r.tls_cipher }, { 'Delivery' })
  router:advance '11 mins'
  t.eq(deliver(router, sink, 'c@example.com').type, 'TransientFailure')
end)

t.test('a smart host with an authority of its own, implicit TLS and a client certificate', function()
  local ca, other = t.certificate 'DNS:ca.test', t.certificate 'DNS:other.test'
  local server, client = t.certificate('DNS:sink.test', ca), t.certificate('DNS:client.test', ca)
  local sink = t.smtp_sink { cert = server.cert, key = server.key, implicit_tls = true, client_ca = ca.cert }
  local function router_with(path)
    return t.router {
      policy = t.smart_host(sink, {
        path = ("implicit_tls = true, enable_tls = 'Required', tls_ca_certificates = '%s', %s"):format(ca.cert, path),
      }),
      ca_file = other.cert,
    }
  end
  local router = router_with ''
  t.eq(deliver(router, sink, 'a@example.com').type, 'TransientFailure')
  router:stop()
  router = router_with(("tls_certificate = '%s', tls_private_key = '%s', openssl_options = 'NO_TLSV1_3', "
    .. "openssl_cipher_list = 'ECDHE-ECDSA-AES256-GCM-SHA384'"):format(client.cert, client.key))
  local r, session = deliver(router, sink, 'b@example.com')
  t.eq(r.type, 'Delivery')
  t.eq(r.tls_protocol_version, 'TLSv1.2')
  t.eq(session.tls_facts.version, 'TLSv1.2')
  t.eq(session.tls_facts.cipher, 'ECDHE-ECDSA-AES256-GCM-SHA384')
  t.has(session.tls_facts.peer, 'client.test')
end)

-- ---- a path that changes while connections are open ----

-- A sink that offers no TLS until it is given its certificate, the router, and
-- a function that changes the path and waits until the router knows.
local function changing(o)
  local ca = t.certificate 'DNS:ca.test'
  local file = t.write('path.lua', "return { enable_tls = 'Opportunistic', limit = 1 }")
  local sink = t.smtp_sink(o)
  local router = t.router {
    policy = t.smart_host(sink, {
      path = ([[enable_tls = dofile('%s').enable_tls, connection_limit = dofile('%s').limit,
        idle_timeout = '10 mins', refresh_strategy = 'Epoch']]):format(file, file),
    }),
    ca_file = ca.cert,
  }
  local function change(path)
    t.write('path.lua', 'return ' .. path)
    t.ok(router:reload().ok)
  end
  local server = t.certificate('DNS:sink.test', ca)
  local function offer_tls()
    sink.o.cert, sink.o.key = server.cert, server.key
  end
  return sink, router, change, offer_tls
end

-- Recipients by what their message came over: { clear = {...}, tls = {...} }.
local function ways(sink)
  local out = { clear = {}, tls = {} }
  for _, m in ipairs(sink:messages()) do
    table.insert(m.tls and out.tls or out.clear, m.to[1])
  end
  table.sort(out.tls)
  return out
end

t.test('a path that requires TLS from now on: a busy connection in clear text ends after the message in flight', function()
  local answer = false
  local sink, router, change, offer_tls = changing {
    dot = function()
      while not answer do
        t.sched.pass(5)
      end
    end,
  }
  router:enqueue { to = 'a@example.com' }
  t.wait_for('the content', function()
    return sink.lines[#sink.lines] == 'DATA'
  end)
  for _, to in ipairs { 'b@example.com', 'c@example.com', 'd@example.com' } do
    router:enqueue { to = to }
  end
  offer_tls()
  change "{ enable_tls = 'Required', limit = 32 }"
  -- Nobody else would open it: the router knows.
  t.wait_for('a connection by the new path', function()
    return sink.sessions[2] and sink.sessions[2].tls
  end)
  answer = true
  for _, to in ipairs { 'a@example.com', 'b@example.com', 'c@example.com', 'd@example.com' } do
    t.log(router, 'Delivery', { recipient = to })
  end
  t.eq(ways(sink), { clear = { 'a@example.com' }, tls = { 'b@example.com', 'c@example.com', 'd@example.com' } })
  t.eq(sink.sessions[1].lines[#sink.sessions[1].lines], 'QUIT')
end)

t.test('a path that requires TLS from now on: an idle connection in clear text ends', function()
  local sink, router, change, offer_tls = changing()
  t.eq(deliver(router, sink, 'a@example.com').type, 'Delivery')
  -- What says nothing about how a connection is made leaves it alone.
  change "{ enable_tls = 'Opportunistic', limit = 7 }"
  t.eq(deliver(router, sink, 'b@example.com').type, 'Delivery')
  t.eq(#sink.sessions, 1)
  offer_tls()
  change "{ enable_tls = 'Required', limit = 7 }"
  t.eq(deliver(router, sink, 'c@example.com').type, 'Delivery')
  t.eq(ways(sink), { clear = { 'a@example.com', 'b@example.com' }, tls = { 'c@example.com' } })
  t.wait_for('QUIT', function()
    return sink.sessions[1].closed
  end)
  t.eq(sink.sessions[1].lines[#sink.sessions[1].lines], 'QUIT')
end)

t.test('a lower connection_limit ends those connections that are too many', function()
  local sink, router, change = changing {
    mail = function(_, session)
      -- Those that began under the old limit stay until it is lower.
      while session.number <= 3 and not session.go do
        t.sched.pass(5)
      end
    end,
  }
  change "{ enable_tls = 'Disabled', limit = 3000 }"
  local names = {}
  for i = 1, 12 do
    names[i] = ('u%d@example.com'):format(i)
    router:enqueue { to = names[i] }
  end
  t.wait_for('three connections', function()
    return sink.open >= 3
  end)
  change "{ enable_tls = 'Disabled', limit = 1 }"
  router:enqueue { to = 'last@example.com' }
  for i = 1, 3 do
    sink.sessions[i].go = true
  end
  for _, to in ipairs(names) do
    t.log(router, 'Delivery', { recipient = to })
  end
  t.log(router, 'Delivery', { recipient = 'last@example.com' })
  t.wait_for('all but one to end', function()
    return sink.open == 1
  end)
end)

t.test('a certificate or cipher that is none defers, and says which key is wrong', function()
  local sink = t.smtp_sink {}
  local c, d = t.certificate 'DNS:a.test', t.certificate 'DNS:b.test'
  for path, why in pairs {
    ["openssl_cipher_list = 'NOSUCH'"] = 'openssl_cipher_list',
    ["openssl_cipher_suites = 'NOSUCH'"] = 'openssl_cipher_suites',
    ["tls_ca_certificates = { key_data = 'x' }"] = 'tls_ca_certificates',
    [("tls_certificate = '%s', tls_private_key = '%s'"):format(c.cert, d.key)] = 'tls_private_key',
    [("tls_certificate = '%s', tls_private_key = '%s'"):format(c.key, c.key)] = 'tls_certificate',
  } do
    local router = t.router { policy = t.smart_host(sink, { path = path }) }
    local r = deliver(router, sink, ('u%d@example.com'):format(t.sys.now_ms()))
    t.eq(r.response.code, 451)
    t.has(r.response.content, why)
    router:stop()
  end
  t.eq(#sink.sessions, 0)
end)

t.test('a host is verified by the name that its list gives it, also when a list with another name has a connection there', function()
  local ca = t.certificate 'DNS:ca.test'
  local c = t.certificate('DNS:one.test', ca)
  local sink = t.smtp_sink { cert = c.cert, key = c.key }
  local router = t.router {
    ca_file = ca.cert,
    policy = ([[
local kumo = require 'kumo'
kumo.on('init', function() %s end)
kumo.on('get_queue_config', function(domain)
  return kumo.make_queue_config { protocol = { smtp = { mx_list = { { name = domain, addr = '%s' } } } } }
end)
kumo.on('get_egress_path_config', function()
  return kumo.make_egress_path { prohibited_hosts = {}, enable_tls = 'Required', idle_timeout = '1h' }
end)]]):format(t.local_logs(), sink.address),
  }
  router:enqueue { to = 'u@one.test' }
  local one = t.log(router, 'Delivery', { recipient = 'u@one.test' })
  t.eq(one.peer_address.name, 'one.test')
  router:enqueue { to = 'u@two.test' }
  local two = t.log(router, 'TransientFailure', { recipient = 'u@two.test', code = 400 })
  t.has(two.response.content, 'two.test')
  t.eq(two.site, one.site)
  router:enqueue { to = 'v@one.test' }
  t.log(router, 'Delivery', { recipient = 'v@one.test' })
  t.eq(#sink:messages(), 2)
end)

t.test('a list may have many names, and the last is reached like the first', function()
  local sink = t.smtp_sink {}
  local zone, list = { ['last.test'] = { A = { '127.0.0.1' } } }, {}
  for i = 1, 60 do
    local name = ('h%d.test'):format(i)
    zone[name] = { A = { '127.0.3.' .. i } } -- where nobody listens
    list[i] = ("'%s:%d'"):format(name, sink.port)
  end
  list[#list + 1] = ("'last.test:%d'"):format(sink.port)
  local router = t.router {
    dns = t.dns(zone),
    policy = ([[
local kumo = require 'kumo'
kumo.on('init', function() %s end)
kumo.on('get_queue_config', function()
  return kumo.make_queue_config { protocol = { smtp = { mx_list = { %s } } } }
end)
kumo.on('get_egress_path_config', function()
  return kumo.make_egress_path { prohibited_hosts = {} }
end)]]):format(t.local_logs(), table.concat(list, ', ')),
  }
  router:enqueue { to = 'u@d.test' }
  t.eq(t.log(router, 'Delivery').peer_address.name, 'last.test')
end)
