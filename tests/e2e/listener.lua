-- Every setting of kumo.start_esmtp_listener: enforced by the milter, or held
-- against what the connection shows of the MTA.
local t = require 'harness'

local function policy(listener, body)
  return ([[
local kumo = require 'kumo'
kumo.on('init', function()
  kumo.start_esmtp_listener { listen = '0.0.0.0:25', relay_hosts = { '203.0.113.0/24' }, %s }
  %s
end)
%s
]]):format(listener or '', t.local_logs(), body or '')
end

local function envelope(mta, to)
  t.eq(mta:mail '<a@b.test>', 'continue')
  t.eq(mta:rcpt('<' .. (to or 'c@d.test') .. '>'), 'continue')
end

local function send(mta, data)
  envelope(mta)
  return mta:message(data)
end

-- The body in exactly these bytes.
local function send_raw(mta, ...)
  envelope(mta)
  t.eq(mta:data(), 'continue')
  t.eq(mta:step('L', 'Subject\0 hello\0'), 'continue')
  t.eq(mta:step('N', ''), 'continue')
  for _, bytes in ipairs { ... } do
    t.eq(mta:step('B', bytes), 'continue')
  end
  return mta:eom()
end

local function count(text, part)
  local n, at = 0, 1
  while true do
    local from, to = text:find(part, at, true)
    if not from then
      return n
    end
    n, at = n + 1, to + 1
  end
end

-- The daemon has said `part` n times, and no more.  Lines are written by a thread
-- of their own.
local function says(milter, part, n)
  t.wait_for(part, function()
    return count(milter:output(), part) >= (n or 1)
  end)
  t.eq(count(milter:output(), part), n or 1, part)
end

local function stored(milter)
  return milter:sql('SELECT count(*) FROM message')[1][1]
end

t.test('line_length_hard_limit: 998 bytes without CRLF, in header and body, else 500 5.2.3', function()
  local milter = t.milter { policy = policy() }
  local mta = milter:connect { helo = 'x.test' }
  t.eq(send(mta, t.plain .. ('x'):rep(998) .. '\r\n'), 'discard')
  t.eq(send(mta, 'X-Long: ' .. ('x'):rep(990) .. '\r\n' .. t.plain), 'discard')
  t.eq(stored(milter), 2)
  t.match(send(mta, t.plain .. ('x'):rep(999) .. '\r\n'), '^500 5%.2%.3 .*999.*998')
  t.match(send(mta, 'X-Long: ' .. ('x'):rep(991) .. '\r\n' .. t.plain), '^500 5%.2%.3 ')
  t.eq(stored(milter), 2)
  t.log(milter, 'Rejection', { code = 500, sender = 'a@b.test', recipient = 'c@d.test' })
  t.eq(send(mta, t.plain), 'discard', 'the connection goes on')
end)

t.test('line_length_hard_limit can be raised, for some clients only', function()
  local milter = t.milter {
    policy = policy "peer = { ['203.0.113.9'] = { line_length_hard_limit = 100000 } }",
  }
  local long = t.plain .. ('x'):rep(99999) .. '\r\n'
  t.eq(send(milter:connect { helo = 'x.test' }, long), 'discard')
  t.match(send(milter:connect { helo = 'x.test', ip = '203.0.113.10' }, long), '^500 5%.2%.3 ')
end)

t.test('size comes before line length, and neither is asked of mail that stays with the MTA', function()
  local milter = t.milter {
    policy = policy('max_message_size = 5000', [[
kumo.on('get_listener_domain', function(domain)
  if domain == 'local.test' then return kumo.make_listener_domain { leave_to_mta = true } end
end)]]),
  }
  local mta = milter:connect { helo = 'x.test' }
  t.match(send(mta, t.plain .. ('x'):rep(6000) .. '\r\n'), '^552 5%.3%.4 ')
  envelope(mta, 'u@local.test')
  t.eq(mta:message(t.plain .. ('x'):rep(6000) .. '\r\n'), 'accept')
end)

t.test('invalid_line_endings: a CR or LF alone is refused, kept or mended', function()
  local milter = t.milter {
    policy = policy [[peer = {
  ['203.0.113.1'] = { invalid_line_endings = 'Allow' }, ['203.0.113.2'] = { invalid_line_endings = 'Fix' } }]],
  }
  local deny = milter:connect { helo = 'x.test' }
  for _, body in ipairs { 'a\nb\r\n', 'a\rb\r\n', 'a\r\r\n', 'a\r\nb\r' } do
    t.match(send_raw(deny, body), '^552 5%.6%.0 ', t.show(body))
  end
  t.eq(stored(milter), 0)
  t.log(milter, 'Rejection', { code = 552 })
  -- A pair that falls between two chunks is a pair.
  t.eq(send_raw(deny, 'a\r', '\nb\r\n'), 'discard')
  local function body_of(n)
    local ref = milter:sql('SELECT uuid FROM message ORDER BY id')[n][1]
    local _, out = t.penstock('show', ref, '--body')
    return out:match 'Subject: hello\r\n\r\n(.*)$'
  end
  t.eq(send_raw(milter:connect { helo = 'x.test', ip = '203.0.113.1' }, 'a\nb\rc\r\n'), 'discard')
  t.eq(send_raw(milter:connect { helo = 'x.test', ip = '203.0.113.2' }, 'a\nb\r', 'c\r', '\nd'), 'discard')
  t.eq(body_of(1), 'a\r\nb\r\n')
  t.eq(body_of(2), 'a\nb\rc\r\n')
  t.eq(body_of(3), 'a\r\nb\r\nc\r\nd')
end)

t.test('data_processing_timeout: 451 4.4.5 in time, nothing stored, the next message passes', function()
  for i, event in ipairs { 'smtp_server_data', 'smtp_server_split_transaction', 'smtp_server_message_received' } do
    local milter = t.milter {
      policy = policy("data_processing_timeout = '1s'", ([[
kumo.on('%s', function(msg)
  if msg:recipient_list()[1].user == 'slow%d' then kumo.sleep(30) end
end)]]):format(event, i)),
    }
    local mta = milter:connect { helo = 'x.test' }
    local slow = 'slow' .. i .. '@d.test'
    envelope(mta, slow)
    local started = t.sys.now_ms()
    t.match(mta:message(t.plain), '^451 4%.4%.5 ', event)
    t.ok(t.sys.now_ms() - started < 10000, 'answered at the limit')
    t.eq(stored(milter), i - 1)
    t.log(milter, 'Rejection', { code = 451, recipient = slow })
    t.eq(send(mta, t.plain), 'discard')
    t.eq(milter:ask('status').expired_events, 1)
    milter:kill()
  end
end)

t.test('case 51: max_connections counts for each listener apart, and a refusal leaves no Rejection', function()
  local milter = t.milter {
    policy = ([[
local kumo = require 'kumo'
kumo.on('init', function()
  kumo.start_esmtp_listener { listen = '10.0.0.1:25', max_connections = 2 }
  kumo.start_esmtp_listener { listen = '10.0.0.2:25', max_connections = 1 }
  %s
end)]]):format(t.local_logs()),
  }
  local a1, a2 = milter:connect { local_ip = '10.0.0.1' }, milter:connect { local_ip = '10.0.0.1' }
  local b1 = milter:connect { local_ip = '10.0.0.2' }
  t.eq({ a1.connected, a2.connected, b1.connected }, { 'continue', 'continue', 'continue' })
  t.match(milter:connect({ local_ip = '10.0.0.1' }).connected, '^421 4%.3%.2 ')
  t.match(milter:connect({ local_ip = '10.0.0.2' }).connected, '^421 4%.3%.2 ')
  a1:close()
  t.wait_for('a place', function()
    return milter:connect({ local_ip = '10.0.0.1' }).connected == 'continue'
  end)
  t.match(milter:connect({ local_ip = '10.0.0.2' }).connected, '^421 4%.3%.2 ')
  t.ok(milter:ask('status').shed >= 3)
  t.eq(milter:stop(), 0)
  t.eq(#milter:records 'Rejection', 0)
end)

t.test('max_recipients_per_message of a peer block; refused recipients do not count', function()
  local milter = t.milter {
    policy = policy("peer = { ['203.0.113.9'] = { max_recipients_per_message = 2 } }", [[
kumo.on('smtp_server_rcpt_to', function(r) if r.user == 'no' then kumo.reject(550, '5.1.1 no') end end)]]),
  }
  local mta = milter:connect { helo = 'x.test' }
  t.eq(mta:mail '<a@b.test>', 'continue')
  t.eq(mta:rcpt '<no@d.test>', '550 5.1.1 no')
  t.eq(mta:rcpt '<c@d.test>', 'continue')
  t.eq(mta:rcpt '<d@d.test>', 'continue')
  t.match(mta:rcpt '<e@d.test>', '^452 4%.5%.3 ')
  t.log(milter, 'Rejection', { code = 452, recipient = 'd@d.test' })
  local other = milter:connect { helo = 'x.test', ip = '203.0.113.8' }
  t.eq(other:mail '<a@b.test>', 'continue')
  for i = 1, 5 do
    t.eq(other:rcpt('<' .. i .. '@d.test>'), 'continue')
  end
end)

t.test('a hostname that the MTA does not say is one warning for each address, also a dynamic one', function()
  local milter = t.milter {
    policy = policy("hostname = 'mx.a.example', via = { ['10.0.0.2'] = { hostname = 'mta.test' } }", [[
kumo.on('smtp_server_get_dynamic_parameters', function(listener, c)
  if c:get_meta 'received_via' == '10.0.0.4:25' then return { hostname = 'dyn.example' } end
end)]]),
  }
  local function connect(ip, j)
    milter:connect({ local_ip = ip, helo = 'x.test', macros = { connect = { j = j } } }):quit()
  end
  connect('10.0.0.1', 'mta.test')
  connect('10.0.0.1', 'mta.test')
  connect('10.0.0.2', 'mta.test')
  connect('10.0.0.2', 'MTA.test')
  connect('10.0.0.3', 'mx.a.example')
  connect('10.0.0.4', 'mta.test')
  connect('10.0.0.4', 'mta.test')
  local said = "hostname is "
  says(milter, '10.0.0.1:25: the policy\'s hostname is mx.a.example, the MTA greets as mta.test')
  says(milter, '10.0.0.4:25: the policy\'s hostname is dyn.example, the MTA greets as mta.test')
  says(milter, said, 2)
  -- After a reload it is worth another line; without a hostname it is not.
  milter:reload()
  connect('10.0.0.1', 'mta.test')
  says(milter, said, 3)
  t.write('policy.lua', policy())
  milter:reload()
  connect('10.0.0.1', 'mta.test')
  says(milter, said, 3)
end)

t.test('a service that the MTA names after another address is one warning', function()
  local milter = t.milter { policy = policy() }
  for _, name in ipairs { 'smtpd', '10.0.0.1:25', '0.0.0.0:25' } do
    milter:connect { daemon_name = name }
  end
  t.lacks(milter:output(), 'names the service')
  for _ = 1, 3 do
    milter:connect { daemon_name = '10.0.0.9:25' }
  end
  says(milter, '10.0.0.1:25: the MTA names the service of this address 10.0.0.9:25', 1)
  milter:connect { local_port = 2525, daemon_name = '10.0.0.1:25' }
  says(milter, '10.0.0.1:2525: the MTA names the service of this address 10.0.0.1:25', 1)
end)

t.test('tls_required_client_ca: a client in TLS without a trusted certificate is one warning', function()
  local milter = t.milter { policy = policy "tls_required_client_ca = '/etc/ca.pem'" }
  local words = 'the policy has tls_required_client_ca'
  local function mail(o)
    o.helo = 'x.test'
    milter:connect(o):mail '<a@b.test>'
  end
  mail {}
  mail { tls = { 'TLSv1.3', 'AES' }, macros = { mail = { ['{cert_subject}'] = 'CN=client' } } }
  t.lacks(milter:output(), words)
  mail { tls = { 'TLSv1.3', 'AES' } }
  mail { tls = { 'TLSv1.3', 'AES' } }
  says(milter, words, 1)
  -- Sendmail names a certificate that it does not trust.
  mail {
    local_ip = '10.0.0.2', tls = { 'TLSv1.3', 'AES' },
    macros = { mail = { ['{cert_subject}'] = 'CN=client', ['{verify}'] = 'FAIL' } },
  }
  says(milter, words, 2)
end)

t.test('an address without a listener is one warning, and has the built-in parameters', function()
  local milter = t.milter {
    policy = ([[
local kumo = require 'kumo'
kumo.on('init', function()
  kumo.start_esmtp_listener { listen = '10.0.0.1:25', relay_hosts = { 'any' } }
  kumo.start_esmtp_listener { listen = '10.0.0.2:25', relay_hosts = { 'any' } }
  %s
end)]]):format(t.local_logs()),
  }
  for _, ip in ipairs { '10.0.0.3', '10.0.0.3', '10.0.0.4', '10.0.0.3' } do
    local mta = milter:connect { local_ip = ip, helo = 'x.test' }
    t.eq(mta:mail '<a@b.test>', 'continue')
    t.match(mta:rcpt '<c@d.test>', '^550 5%.7%.1 ')
  end
  says(milter, 'no listener of the policy for 10.0.0.3:25', 1)
  says(milter, 'no listener of the policy for 10.0.0.4:25', 1)
end)

t.test('what only the MTA does is accepted and kept; what has no meaning here is one warning', function()
  local milter = t.milter {
    policy = policy([[
    banner = 'hello there', tls_certificate = '/etc/c.pem', tls_private_key = { key_data = 'secret' },
    client_timeout = '2m', allow_xclient = true, require_proxy_protocol = true,
    deferred_spool = true, data_buffer_size = 4096]]),
  }
  t.eq(send(milter:connect { helo = 'x.test' }, t.plain), 'discard')
  says(milter, 'deferred_spool', 1)
  says(milter, 'data_buffer_size', 1)
  t.lacks(milter:output(), 'secret')
end)

t.test('smtp_server_ehlo is told what the MTA offers; a list that it returns is ignored with one warning', function()
  local milter = t.milter {
    policy = policy("max_message_size = 5000, via = { ['10.0.0.9'] = { max_message_size = 7000 } }, "
      .. "tls_certificate = '/etc/c.pem', peer = { ['203.0.113.1'] = { allow_xclient = true } }", [[
kumo.on('smtp_server_ehlo', function(domain, c, extensions)
  c:set_meta('x_offered', table.concat(extensions, ','))
  return { 'PIPELINING' }
end)
kumo.on('smtp_server_mail_from', function(s, c) kumo.reject(550, '5.7.1 ' .. c:get_meta 'x_offered') end)]]),
  }
  local function offered(o)
    o.helo = 'x.test'
    return milter:connect(o):mail '<a@b.test>'
  end
  t.eq(offered {}, '550 5.7.1 PIPELINING,SIZE 7000,VRFY,ETRN,STARTTLS,ENHANCEDSTATUSCODES,8BITMIME,DSN,SMTPUTF8,CHUNKING')
  t.eq(offered { tls = { 'TLSv1.3', 'AES' } },
    '550 5.7.1 PIPELINING,SIZE 7000,VRFY,ETRN,ENHANCEDSTATUSCODES,8BITMIME,DSN,SMTPUTF8,CHUNKING')
  t.has(offered { ip = '203.0.113.1' }, ',XCLIENT NAME ADDR ')
  t.eq(offered { macros = { connect = { v = '8.17.1' } } },
    '550 5.7.1 ENHANCEDSTATUSCODES,PIPELINING,EXPN,VERB,8BITMIME,SIZE 7000,DSN,ETRN,STARTTLS,DELIVERBY,HELP')
  says(milter, 'smtp_server_ehlo: a list of extensions was returned: ignored', 1)
end)
