-- What conn_meta holds: of the ends, the names, the identity, TLS; when each key
-- comes, when it goes, and where it is copied.
local t = require 'harness'

local function policy(body, listener)
  return ([[
local kumo = require 'kumo'
kumo.on('init', function()
  kumo.start_esmtp_listener { listen = '0.0.0.0:25', relay_hosts = { 'any' }, %s }
  %s
end)
%s
]]):format(listener or '', t.local_logs(), body or '')
end

-- The predefined keys as a handler of MAIL sees them: "key=value ...".
local KEYS = [[
local function text(v)
  if type(v) == 'table' then return '{' .. table.concat(v, ';') .. '}' end
  return tostring(v)
end
function seen(c)
  local out = {}
  for _, key in ipairs { 'reception_protocol', 'received_via', 'received_from', 'hostname', 'ehlo_domain', 'authn_id',
    'authz_id', 'tls_cipher', 'tls_protocol_version', 'tls_peer_subject_name', 'orig_received_from', 'orig_received_via',
    'mta_queue_id', 'client_name' } do
    local v = c:get_meta(key)
    if v ~= nil then out[#out + 1] = key .. '=' .. text(v) end
  end
  return table.concat(out, ' ')
end
kumo.on('smtp_server_mail_from', function(s, c) if s.user == 'show' then kumo.reject(550, '5.7.1 ' .. seen(c)) end end)
]]

local function shown(mta)
  return (mta:mail('<show@b.test>'):gsub('^550 5%.7%.1 ', ''))
end

local BASE = 'reception_protocol=ESMTP received_via=%s received_from=%s hostname=mx.test ehlo_domain=x.test'

t.test('case 52: the ends of a connection, in IPv4 and IPv6, known and unknown', function()
  local milter = t.milter { policy = policy(KEYS, "hostname = 'mx.test'") }
  local function base(via, from)
    return BASE:format(via, from)
  end
  t.eq(shown(milter:connect { helo = 'x.test' }), base('10.0.0.1:25', '203.0.113.9:40000'))
  t.eq(shown(milter:connect { helo = 'x.test', ip = '2001:db8::9', port = 5, local_ip = 'IPv6:2001:db8::1' }),
    base('[2001:db8::1]:25', '[2001:db8::9]:5'))
  t.eq(shown(milter:connect { helo = 'x.test', ip = '::ffff:192.0.2.7' }), base('10.0.0.1:25', '192.0.2.7:40000'))
  t.eq(shown(milter:connect { helo = 'x.test', macros = { connect = { ['{daemon_port}'] = '', ['{daemon_addr}'] = '' } } }),
    base('0.0.0.0:0', '203.0.113.9:40000'))
  -- A client without an address has no received_from that somebody might trust.
  t.eq(shown(milter:connect { helo = 'x.test', ip = false }),
    'reception_protocol=ESMTP received_via=10.0.0.1:25 hostname=mx.test ehlo_domain=x.test')
end)

t.test('client_name is a verified name, or absent', function()
  local milter = t.milter { policy = policy(KEYS, "hostname = 'mx.test'") }
  local known = BASE:format('10.0.0.1:25', '203.0.113.9:40000')
  t.eq(shown(milter:connect { helo = 'x.test', name = 'client.test' }), known .. ' client_name=client.test')
  for _, o in ipairs {
    { name = 'unknown' }, { name = '[203.0.113.9]' },
    { name = 'client.test', macros = { connect = { ['{client_resolve}'] = 'FORGED' } } },
    { name = 'client.test', macros = { connect = { ['{client_resolve}'] = 'TEMP' } } },
  } do
    o.helo = 'x.test'
    t.eq(shown(milter:connect(o)), known, t.show(o))
  end
end)

t.test('case 56: who authenticated, as Postfix and as Sendmail tell it, until a MAIL without', function()
  local milter = t.milter {
    policy = policy(KEYS .. [[
kumo.on('smtp_server_connection_accepted', function(c) c:set_meta('x_then', tostring(c:get_meta 'authn_id')) end)
kumo.on('smtp_server_ehlo', function(d, c) c:set_meta('x_then', c:get_meta 'x_then' .. tostring(c:get_meta 'authn_id')) end)
kumo.on('get_listener_domain', function(d, l, c) c:set_meta('x_asked', c:get_meta 'authz_id') end)
kumo.on('smtp_server_message_received', function(msg)
  msg:set_meta('x_all', msg:get_meta 'x_then' .. ' ' .. msg:get_meta 'x_asked' .. ' ' .. msg:get_meta 'authn_id')
end)]], "hostname = 'mx.test'"),
  }
  local base = BASE:format('10.0.0.1:25', '203.0.113.9:40000')
  -- On Postfix {auth_author} is the AUTH= parameter of MAIL: anybody can say it.
  local mta = milter:connect {
    helo = 'x.test', auth = 'scott', macros = { mail = { ['{auth_author}'] = 'boss@elsewhere.test' } },
  }
  t.eq(shown(mta), base .. ' authn_id=scott authz_id=scott')
  mta.o.auth, mta.o.macros = nil, nil
  t.eq(shown(mta), base, 'cleared by a MAIL without')
  mta.o.macros = { mail = { ['{auth_author}'] = 'boss@elsewhere.test' } }
  t.eq(shown(mta), base, 'an AUTH= parameter is no identity')
  mta.o.auth, mta.o.macros = 'tina', nil
  t.eq(mta:mail '<a@b.test>', 'continue')
  t.eq(mta:rcpt '<c@d.test>', 'continue')
  t.eq(mta:message(t.plain), 'discard')
  t.rows(milter:sql "SELECT authn_id, json_extract(meta, '$.x_all') FROM message", { { 'tina', 'nilnil tina tina' } })
  mta:abort()
  t.eq(shown(mta), base .. ' authn_id=tina authz_id=tina')

  local sendmail = { connect = { v = '8.17.1' }, mail = { ['{auth_author}'] = 'boss' } }
  t.eq(shown(milter:connect { helo = 'x.test', auth = 'scott', macros = sendmail }), base .. ' authn_id=scott authz_id=boss')
  sendmail.mail = nil
  t.eq(shown(milter:connect { helo = 'x.test', auth = 'scott', macros = sendmail }), base .. ' authn_id=scott authz_id=scott')
end)

t.test('TLS facts come with the HELO after STARTTLS; a certificate only when it is trusted', function()
  local milter = t.milter {
    policy = policy(KEYS .. [[
kumo.on('smtp_server_ehlo', function(d, c)
  c:set_meta('x_tls', (c:get_meta 'x_tls' or '') .. tostring(c:get_meta 'tls_protocol_version') .. ' ')
end)
kumo.on('smtp_server_rcpt_to', function(r, c) if r.user == 'tls' then kumo.reject(550, '5.7.1 ' .. c:get_meta 'x_tls') end end)]],
      "hostname = 'mx.test'"),
  }
  local base = BASE:format('10.0.0.1:25', '203.0.113.9:40000')
  local mta = milter:connect { helo = 'first.test' }
  mta.o.tls = { 'TLSv1.3', 'TLS_AES_256_GCM_SHA384' }
  mta:helo 'x.test'
  t.eq(shown(mta), base .. ' tls_cipher=TLS_AES_256_GCM_SHA384 tls_protocol_version=TLSv1.3')
  t.eq(mta:mail '<a@b.test>', 'continue')
  t.eq(mta:rcpt '<tls@d.test>', '550 5.7.1 nil TLSv1.3 ')
  local function subject(macros, v)
    macros['{cert_subject}'] = 'CN=client,O=Test'
    return shown(milter:connect {
      helo = 'x.test', tls = { 'TLSv1.2', 'AES' }, macros = { mail = macros, connect = { v = v } },
    }):match 'tls_peer_subject_name=(%S+)'
  end
  t.eq(subject({}), '{CN=client,O=Test}', 'Postfix names those that it trusts')
  t.eq(subject({ ['{verify}'] = 'OK' }, '8.17.1'), '{CN=client,O=Test}')
  t.eq(subject({ ['{verify}'] = 'FAIL' }, '8.17.1'), nil)
  t.eq(subject({ ['{verify}'] = 'NO' }, '8.17.1'), nil)
end)

t.test('with: ESMTP, ESMTPS and ESMTPSA in Received, as the session was', function()
  local milter = t.milter { policy = policy('', "hostname = 'mx.test'") }
  for _, case in ipairs {
    { {}, 'with ESMTP id ' }, { { auth = 'scott' }, 'with ESMTP id ' },
    { { tls = { 'TLSv1.3', 'AES' } }, 'with ESMTPS (TLSv1.3:AES) id ' },
    { { tls = { 'TLSv1.3', 'AES' }, auth = 'scott' }, 'with ESMTPSA (TLSv1.3:AES) id ' },
  } do
    case[1].helo = 'x.test'
    local mta = milter:connect(case[1])
    t.eq(mta:mail '<a@b.test>', 'continue')
    t.eq(mta:rcpt '<c@d.test>', 'continue')
    t.eq(mta:message(t.plain), 'discard')
    local prefix = milter:sql('SELECT prefix FROM message ORDER BY id DESC LIMIT 1')[1][1]:gsub('\r\n[ \t]+', ' ')
    t.has(prefix, 'from x.test (203.0.113.9) by mx.test (')
    t.has(prefix, case[2])
  end
end)

t.test('mta_queue_id is the id of this message and not of the last one', function()
  local milter = t.milter {
    policy = policy(KEYS .. [[
kumo.on('smtp_server_data', function(msg) msg:set_meta('x_id', msg:get_meta 'mta_queue_id') end)]]),
  }
  local mta = milter:connect { helo = 'x.test', queue_id = 'FIRST' }
  t.lacks(shown(mta), 'mta_queue_id')
  for _, id in ipairs { 'FIRST', 'SECOND' } do
    mta.o.queue_id = id
    t.eq(mta:mail '<a@b.test>', 'continue')
    t.eq(mta:rcpt '<c@d.test>', 'continue')
    t.eq(mta:message(t.plain), 'discard')
    t.lacks(shown(mta), 'mta_queue_id')
  end
  t.rows(milter:sql "SELECT mta_queue_id, json_extract(meta, '$.x_id') FROM message ORDER BY id",
    { { 'FIRST', 'FIRST' }, { 'SECOND', 'SECOND' } })
end)

t.test('values: anything that JSON can say, as copies; null is nil; other things are errors', function()
  local milter = t.milter {
    policy = policy [[
kumo.on('smtp_server_connection_accepted', function(c)
  c:set_meta('x_table', { list = { 1, 2.5, 'three' }, yes = true })
  c:set_meta('x_gone', 'here')
  c:set_meta('x_gone', nil)
  local t = c:get_meta 'x_table'
  t.list[1] = 'changed'
end)
kumo.on('smtp_server_mail_from', function(s, c)
  local bad = {}
  for _, v in ipairs { print, io.stdout } do bad[#bad + 1] = tostring(pcall(c.set_meta, c, 'x_bad', v)) end
  local v = c:get_meta 'x_table'
  kumo.reject(550, ('5.7.1 %s %s %s %s %s %s'):format(v.list[1], v.list[2], v.list[3], v.yes, c:get_meta 'x_gone',
    table.concat(bad, ' ')))
end)]],
  }
  t.eq(milter:connect({ helo = 'x.test' }):mail '<a@b.test>', '550 5.7.1 1 2.5 three true nil false false')
end)

t.test('case 64: the connection\'s metadata survives RSET, refusals and messages, and is the message\'s from its end on', function()
  local milter = t.milter {
    policy = policy [[
kumo.on('smtp_server_mail_from', function(s, c) c:set_meta('x_n', (c:get_meta 'x_n' or 0) + 1) end)
kumo.on('smtp_server_rcpt_to', function(r, c)
  c:set_meta('x_rcpts', (c:get_meta 'x_rcpts' or '') .. r.user)
  if r.user == 'no' then kumo.reject(550, 'no') end
end)
kumo.on('smtp_server_data', function(msg, c)
  msg:set_meta('x_first', c:get_meta 'x_late')
  c:set_meta('x_late', 'late')
end)]],
  }
  local mta = milter:connect { helo = 'x.test' }
  for i = 1, 2 do
    t.eq(mta:mail '<a@b.test>', 'continue')
    mta:abort()
    t.eq(mta:mail '<a@b.test>', 'continue')
    t.match(mta:rcpt '<no@d.test>', '^550 ')
    t.eq(mta:rcpt('<' .. i .. '@d.test>'), 'continue')
    t.eq(mta:message(t.plain), 'discard')
  end
  t.rows(milter:sql [[SELECT json_extract(meta, '$.x_n'), json_extract(meta, '$.x_rcpts'),
    json_extract(meta, '$.x_first'), json_extract(meta, '$.x_late') FROM message ORDER BY id]],
    { { 2, 'no1', false, false }, { 4, 'no1no2', 'late', 'late' } })
end)

-- The records of this milter, when there are `count` of them.
local function receptions(milter, count)
  return t.wait_for('the records', function()
    local found = milter:records 'Reception'
    return #found == count and found
  end)
end

local RECORDED = [[
local kumo = require 'kumo'
kumo.on('init', function()
  kumo.start_esmtp_listener { listen = '0.0.0.0:25', relay_hosts = { 'any' }, batch_handling = 'BatchByDomain' }
  kumo.configure_local_logs { log_dir = '%s', meta = { 'x_*', 'tenant', 'none' }, headers = { 'Subject', 'X-Job*' } }
end)
kumo.on('smtp_server_message_received', function(msg)
  msg:set_meta('tenant', 'blue')
  msg:set_meta('x_one', 1)
  msg:set_meta('other', 'not asked for')
end)
]]

t.test('case 156, case 157: what stands in the record of a reception', function()
  local milter = t.milter { policy = RECORDED:format(t.context().logs) }
  local mta = milter:connect { helo = 'x.test', ip = '203.0.113.7' }
  t.eq(mta:mail '<ann@b.test>', 'continue')
  for _, to in ipairs { '<u@one.test>', '<v@two.test>', '<w@two.test>' } do
    t.eq(mta:rcpt(to), 'continue')
  end
  local before = os.time()
  t.eq(mta:message 'Subject: a  b\r\nX-Job-Id: 7\r\nX-Other: no\r\n\r\nx\r\n', 'discard')

  local by_queue = {}
  for _, r in ipairs(receptions(milter, 2)) do
    by_queue[r.queue] = r
  end
  local one, two = by_queue['blue@one.test'], by_queue['blue@two.test']
  t.eq(one.recipient, 'u@one.test', 'a text for one recipient')
  t.eq(two.recipient, { 'v@two.test', 'w@two.test' }, 'a list for several')
  for _, r in pairs(by_queue) do
    t.eq(r.type, 'Reception')
    t.match(r.id, '^%x+$')
    t.eq(#r.id, 32)
    t.eq(r.sender, 'ann@b.test')
    t.eq(r.site, '')
    t.eq(r.size, milter:sql("SELECT size FROM v_message WHERE id = '" .. r.id .. "'")[1][1])
    t.eq(r.response.code, 250)
    t.eq(r.peer_address, { name = 'x.test', addr = '203.0.113.7' })
    t.ok(math.abs(r.timestamp - before) <= 60 and math.abs(r.created - before) <= 60, 'times are of now')
    t.eq(r.meta, { tenant = 'blue', x_one = 1 }, 'only what was asked for, and what is there')
    t.eq(r.headers, { Subject = 'a  b', ['X-Job-Id'] = '7' })
    t.match(r.nodeid, '^%x+%-%x+%-%x+%-%x+%-%x+$')
  end
  t.eq(one.nodeid, two.nodeid)
end)
