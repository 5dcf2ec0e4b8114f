-- What happens around a transaction: limits, refusals, metadata, batches.
local t = require 'harness'

local function policy(body, listener)
  return ([[
local kumo = require 'kumo'
kumo.on('init', function()
  kumo.start_esmtp_listener { listen = '0.0.0.0:25', relay_hosts = { '203.0.113.0/24' }, %s }
  %s
end)
%s
]]):format(listener or '', t.local_logs(), body or '')
end

local function transaction(mta, to)
  t.eq(mta:mail '<a@b.test>', 'continue')
  for _, address in ipairs(to or { 'c@d.test' }) do
    t.eq(mta:rcpt('<' .. address .. '>'), 'continue')
  end
  return mta:message(t.plain)
end

t.test('case 47: max_recipients_per_message', function()
  local milter = t.milter { policy = policy('', 'max_recipients_per_message = 2') }
  local mta = milter:connect { helo = 'x.test' }
  t.eq(mta:mail '<a@b.test>', 'continue')
  t.eq(mta:rcpt '<c@d.test>', 'continue')
  t.eq(mta:rcpt '<d@d.test>', 'continue')
  t.match(mta:rcpt '<e@d.test>', '^452 4%.5%.3 ')
  t.eq(mta:message(t.plain), 'discard')
  t.rows(milter:sql 'SELECT count(*) FROM recipient', { { 2 } })
end)

t.test('case 48: max_messages_per_connection counts recipients', function()
  local milter = t.milter { policy = policy('', 'max_messages_per_connection = 2') }
  local mta = milter:connect { helo = 'x.test' }
  t.eq(transaction(mta), 'discard')
  t.eq(mta:mail '<a@b.test>', 'continue')
  t.eq(mta:rcpt '<c@d.test>', 'continue')
  t.match(mta:rcpt '<d@d.test>', '^452 4%.5%.3 ')
  t.eq(mta:message(t.plain), 'discard')
  t.eq(mta:mail '<a@b.test>', 'continue')
  t.match(mta:rcpt '<c@d.test>', '^421 4%.5%.3 ')
end)

t.test('case 49: a recipient that the handler refuses is counted, too', function()
  local milter = t.milter {
    policy = policy([[
kumo.on('smtp_server_rcpt_to', function(recipient, conn_meta)
  if recipient.user == 'refused' then kumo.reject(550, '5.7.1 not you') end
end)]], 'max_messages_per_connection = 2'),
  }
  local mta = milter:connect { helo = 'x.test' }
  t.eq(mta:mail '<a@b.test>', 'continue')
  t.eq(mta:rcpt '<refused@d.test>', '550 5.7.1 not you')
  mta:abort()
  t.eq(mta:mail '<a@b.test>', 'continue')
  t.eq(mta:rcpt '<c@d.test>', 'continue')
  t.match(mta:rcpt '<d@d.test>', '^452 4%.5%.3 ')
end)

t.test('case 50: max_message_size, announced or found out', function()
  local milter = t.milter { policy = policy('', 'max_message_size = 1000') }
  local mta = milter:connect { helo = 'x.test' }
  t.match(mta:mail('<a@b.test>', 'SIZE=2000'), '^552 5%.3%.4 ')
  t.eq(mta:mail '<a@b.test>', 'continue')
  t.eq(mta:rcpt '<c@d.test>', 'continue')
  t.match(mta:message('Subject: x\n\n' .. ('x'):rep(70):rep(30, '\n') .. '\n'), '^552 5%.3%.4 ')
  t.none(milter, 'SELECT count(*) FROM message')
  t.log(milter, 'Rejection', { code = 552 })
end)

t.test('case 51: max_connections', function()
  local milter = t.milter { policy = policy('', 'max_connections = 1') }
  local first = milter:connect {}
  t.eq(first.connected, 'continue')
  t.match(milter:connect({}).connected, '^421 4%.3%.2 ')
  first:quit()
  t.wait_for('the place of the first', function()
    local mta = milter:connect {}
    local ok = mta.connected == 'continue'
    mta:quit()
    return ok
  end)
end)

t.test('case 52-55: metadata and addresses as the handlers see them', function()
  local milter = t.milter {
    policy = policy((([[
local function note(text)
  local f = io.open('@DIR@/seen', 'a')
  f:write(text .. '\n')
  f:close()
end
kumo.on('smtp_server_connection_accepted', function(c)
  note(table.concat({ 'accepted', c:get_meta 'received_from', c:get_meta 'received_via',
    c:get_meta 'reception_protocol', tostring(c:get_meta 'ehlo_domain'), c:get_meta 'hostname' }, ' '))
end)
kumo.on('smtp_server_ehlo', function(domain, c) note('ehlo ' .. domain .. ' ' .. tostring(c:get_meta 'ehlo_domain')) end)
kumo.on('smtp_server_mail_from', function(s, c)
  note('mail [' .. s.domain .. '] [' .. tostring(s) .. '] ' .. tostring(c:get_meta 'ehlo_domain'))
end)
kumo.on('smtp_server_rcpt_to', function(r, c) note('rcpt ' .. r.user .. ' at ' .. r.domain) end)
]]):gsub('@DIR@', t.dir()))),
  }
  local mta = milter:connect {}
  mta:helo 'x'
  t.eq(mta:mail '<>', 'continue')
  t.eq(mta:rcpt '<"a b"@d.example>', 'continue')
  t.eq(t.read(t.dir() .. '/seen'), table.concat({
    'accepted 203.0.113.9:40000 10.0.0.1:25 ESMTP nil ' .. t.read(t.dir() .. '/seen'):match 'nil (%S+)',
    'ehlo x nil', 'mail [] [] x', 'rcpt a b at d.example', '',
  }, '\n'))
end)

t.test('case 57, 58, 59, 60, 66: refusals and errors become the right replies', function()
  local milter = t.milter {
    policy = policy [[
kumo.on('smtp_server_rcpt_to', function(r)
  if r.user == 'later' then kumo.reject(451, '4.7.1 later') end
  if r.user == 'percent' then kumo.reject(550, '5.7.1 100% sure') end
  if r.user == 'success' then kumo.reject(250, 'x') end
end)
kumo.on('smtp_server_data', function(msg)
  local to = msg:recipient_list()[1].user
  if to == 'lines' then kumo.reject(550, 'line one\nline two') end
  if to == 'boom' then error('boom') end
end)]],
  }
  local mta = milter:connect { helo = 'x.test' }
  t.eq(mta:mail '<a@b.test>', 'continue')
  t.eq(mta:rcpt '<later@d.test>', '451 4.7.1 later')
  t.eq(mta:rcpt '<percent@d.test>', '550 5.7.1 100%% sure')
  t.match(mta:rcpt '<success@d.test>', '^451 4%.3%.0 ')
  t.eq(mta:rcpt '<fine@d.test>', 'continue')
  t.eq(mta:message(t.plain), 'discard')
  t.rows(milter:sql 'SELECT address FROM recipient', { { 'fine@d.test' } })
  t.eq(transaction(mta, { 'lines@d.test' }), '550-5.7.1 line one\r\n550 5.7.1 line two')
  local reply = transaction(mta, { 'boom@d.test' })
  t.match(reply, '^421 4%.3%.0 ')
  t.lacks(reply, 'boom')
  t.rows(milter:sql 'SELECT count(*) FROM recipient', { { 1 } })
end)

t.test('case 62: disconnect answers now and 421 afterwards', function()
  local milter = t.milter {
    policy = policy "kumo.on('smtp_server_mail_from', function() kumo.disconnect(451, 'no') end)",
  }
  local mta = milter:connect { helo = 'x.test' }
  t.match(mta:mail '<a@b.test>', '^451 4%.7%.1 no')
  t.match(mta:mail '<a@b.test>', '^421 4%.7%.0 ')
end)

t.test('case 64, 65: what a handler changes, and who sees it', function()
  local milter = t.milter {
    policy = policy([[
kumo.on('smtp_server_data', function(msg, c)
  msg:set_meta('x', 1)
  c:set_meta('y', 1)
  msg:set_sender 'changed@in.data'
end)
kumo.on('smtp_server_message_received', function(msg, c)
  msg:set_meta('seen', tostring(msg:get_meta 'x') .. tostring(msg:get_meta 'y'))
  if msg:recipient().user == 'new' then msg:set_sender 'new@sender.test' end
end)]]),
  }
  local mta = milter:connect { helo = 'x.test' }
  t.eq(transaction(mta, { 'first@d.test' }), 'discard')
  t.eq(transaction(mta, { 'new@d.test' }), 'discard')
  t.rows(milter:sql [[SELECT m.sender, json_extract(m.meta, '$.seen') FROM message m ORDER BY m.id]], {
    { 'a@b.test', '1nil' }, { 'new@sender.test', '11' },
  })
end)

t.test('case 97, 101, 102: a batch for each recipient, with trace headers of its own', function()
  local milter = t.milter {
    policy = policy([[
kumo.on('smtp_server_message_received', function(msg)
  msg:set_meta('tenant', 't1')
  msg:set_meta('had', (msg:get_first_named_header_value 'Received' and 'R' or '') ..
    (msg:get_first_named_header_value 'X-KumoRef' and 'K' or ''))
end)]], "trace_headers = { include_meta_names = { 'tenant', 'none' } }, hostname = 'mx.a.example'"),
  }
  local mta = milter:connect { helo = 'x.test' }
  t.eq(transaction(mta, { 'a@d.test', 'b@d.test', 'c@d.test' }), 'discard')
  t.rows(milter:sql 'SELECT count(DISTINCT message), count(*) FROM recipient', { { 3, 3 } })
  t.rows(milter:sql "SELECT DISTINCT json_extract(meta, '$.had') FROM message", { { 'R' } })
  for _, row in ipairs(milter:sql 'SELECT m.uuid, r.address FROM message m JOIN recipient r ON r.message = m.id') do
    local status, out = t.penstock('show', row[1], '--body')
    t.eq(status, 0, out)
    t.match(out, '^X%-KumoRef: ')
    t.has(out, 'for <' .. row[2] .. '>')
    t.has(out, 'by mx.a.example')
    t.has(out, 'id ' .. row[1])
    local base64 = out:match('^X%-KumoRef: (.-)\r?\nR'):gsub('%s', '')
    local st, decoded = t.run { 'sh', '-c', "printf %s '" .. base64 .. "' | base64 -d" }
    local payload = t.json(decoded)
    t.eq(payload.penstock.id, row[1])
    payload.penstock = nil
    t.eq(payload, { ['_@_'] = '\\_/', recipient = row[2], tenant = 't1' })
  end
end)

t.test('case 98: BatchByDomain', function()
  local milter = t.milter { policy = policy('', "batch_handling = 'BatchByDomain'") }
  local mta = milter:connect { helo = 'x.test' }
  t.eq(transaction(mta, { 'a@X.example', 'b@x.example', 'c@y.example' }), 'discard')
  t.rows(milter:sql [[SELECT group_concat(address, ' ') FROM (SELECT message, address FROM recipient ORDER BY id)
    GROUP BY message ORDER BY message]], { { 'a@X.example b@x.example' }, { 'c@y.example' } })
end)

t.test('case 100: refusing one batch refuses the transaction', function()
  local milter = t.milter {
    policy = policy [[
kumo.on('smtp_server_message_received', function(msg)
  if msg:recipient().user == 'b' then kumo.reject(550, '5.7.1 no') end
end)]],
  }
  t.eq(transaction(milter:connect { helo = 'x.test' }, { 'a@d.test', 'b@d.test', 'c@d.test' }), '550 5.7.1 no')
  t.none(milter, 'SELECT count(*) FROM message')
end)

t.test('case 103-106: queue names', function()
  local milter = t.milter {
    policy = policy [[
local META = {
  both = { tenant = 't', campaign = 'c' }, campaign = { campaign = 'c' },
  routed = { tenant = 't', routing_domain = 'r.example' }, named = { queue = 'abc' },
  null = { queue = 'null' }, number = { tenant = 5 },
}
kumo.on('smtp_server_message_received', function(msg)
  local user = msg:recipient().user
  for k, v in pairs(META[user] or {}) do msg:set_meta(k, v) end
  if user == 'number' then
    local ok, why = pcall(msg.queue_name, msg)
    kumo.log_info('queue_name:', ok, why)
  else
    msg:set_meta('x_name', msg:queue_name())
  end
end)]],
  }
  local mta = milter:connect { helo = 'x.test' }
  for _, user in ipairs { 'both', 'campaign', 'routed', 'named', 'null', 'plain' } do
    t.eq(transaction(mta, { user .. '@D.EXAMPLE' }), 'discard', user)
  end
  t.rows(milter:sql 'SELECT q.name FROM recipient r JOIN queue q ON q.id = r.queue ORDER BY r.id', {
    { 'c:t@d.example' }, { 'c:@d.example' }, { 't@d.example!r.example' }, { 'abc' }, { 'd.example' },
  })
  t.rows(milter:sql [[SELECT count(*) FROM message m JOIN recipient r ON r.message = m.id JOIN queue q ON q.id = r.queue
    WHERE json_extract(m.meta, '$.x_name') IS NOT q.name]], { { 0 } }, 'msg:queue_name() is the name of the queue')
  t.log(milter, 'Reception', { queue = 'null', recipient = 'null@D.EXAMPLE', code = 250 })
  t.match(transaction(mta, { 'number@d.example' }), '^421 4%.3%.0 ')
  milter:line 'queue_name: false'
  t.rows(milter:sql 'SELECT count(*) FROM recipient', { { 5 } })
end)

t.test('case 107: prepend_header and append_header', function()
  local milter = t.milter {
    policy = policy [[
kumo.on('smtp_server_message_received', function(msg)
  if msg:recipient().user == 'p' then msg:prepend_header('X-T', 'v') else msg:append_header('X-T', 'v') end
end)]],
  }
  local mta = milter:connect { helo = 'x.test' }
  transaction(mta, { 'p@d.test' })
  transaction(mta, { 'a@d.test' })
  local refs = milter:sql 'SELECT uuid FROM message ORDER BY id'
  local _, out = t.penstock('show', refs[1][1], '--body')
  t.match(out:gsub('\r', ''), '^X%-KumoRef: .-\nX%-T: v\nReceived: ')
  _, out = t.penstock('show', refs[2][1], '--body')
  t.has(out:gsub('\r', ''), '\nSubject: hello\nX-T: v\n\nHello.\n')
end)

-- Says the hostname, or another key, of each connection.
local function parameters(listener, dynamic, key)
  return t.milter {
    policy = ([[
local kumo = require 'kumo'
kumo.on('init', function()
  kumo.start_esmtp_listener { listen = '0.0.0.0:25', relay_hosts = {}, %s }
  %s
end)
kumo.on('smtp_server_get_dynamic_parameters', function(listener, c) %s end)
kumo.on('smtp_server_mail_from', function(s, c)
  local out = {}
  for _, key in ipairs { '%s' } do out[#out + 1] = tostring(c:get_meta(key)) end
  kumo.reject(550, '5.7.1 ' .. table.concat(out, ' '))
end)
]]):format(listener, t.local_logs(), dynamic or '', key or 'hostname'),
  }
end

local function said(milter, o)
  o = o or {}
  o.helo = 'x.test'
  local mta = milter:connect(o)
  local reply = mta:mail '<a@b.test>'
  mta:quit()
  return (reply:gsub('^550 5%.7%.1 ', ''))
end

t.test('case 32: via blocks of the dynamic parameters', function()
  local milter = parameters("hostname = 'own'",
    "return { via = { ['10.0.0.1'] = { hostname = 'one' }, ['10.0.0.2'] = { hostname = 'two' } } }")
  t.eq(said(milter, { local_ip = '10.0.0.1' }), 'one')
  t.eq(said(milter, { local_ip = '10.0.0.2' }), 'two')
  t.eq(said(milter, { local_ip = '10.0.0.3' }), 'own')
end)

t.test('case 33: dynamic parameters come last, over static blocks', function()
  local milter = parameters("hostname = 'st', via = { ['10.0.0.1'] = { hostname = 'v' } }",
    "if c:get_meta 'received_from' ~= '203.0.113.1:40000' then return { hostname = 'dyn' } end")
  t.eq(said(milter), 'dyn')
  t.eq(said(milter, { ip = '203.0.113.1' }), 'v')
end)

t.test('case 34: via beats peer', function()
  local milter = parameters("hostname = 'a', banner = 'a', peer = { ['203.0.113.9'] = { hostname = 'p' } }, "
    .. "via = { ['10.0.0.1'] = { hostname = 'v' } }")
  t.eq(said(milter), 'v')
  t.eq(said(milter, { local_ip = '10.0.0.2' }), 'p')
  t.eq(said(milter, { local_ip = '10.0.0.2', ip = '203.0.113.1' }), 'a')
end)

t.test('case 35: blocks nest', function()
  local milter = parameters "hostname = 'a', peer = { ['203.0.113.9'] = { via = { ['10.0.0.1'] = { hostname = 'pv' } } } }"
  t.eq(said(milter), 'pv')
  t.eq(said(milter, { local_ip = '10.0.0.2' }), 'a')
  t.eq(said(milter, { ip = '203.0.113.1' }), 'a')
end)

t.test('case 36: meta is merged key by key', function()
  local milter = parameters("meta = { k = 'base', only = 'b' }, peer = { ['203.0.113.9'] = { meta = { k = 'peer' } } }",
    '', "k', 'only")
  t.eq(said(milter), 'peer b')
  t.eq(said(milter, { ip = '203.0.113.1' }), 'base b')
end)

t.test('case 37: the longest prefix applies alone, whatever the order of the table', function()
  local milter = parameters([[peer = {
  ['0.0.0.0/0'] = { meta = { w = 'wide' } }, ['203.0.113.0/24'] = { meta = { n = 'narrow' } } }]], '', "n', 'w")
  for _ = 1, 20 do
    t.eq(said(milter), 'narrow nil')
  end
  t.eq(said(milter, { ip = '198.51.100.1' }), 'nil wide')
  -- Each load makes the table anew, in an order of its own.
  for _ = 1, 10 do
    t.ok(milter:reload().ok)
    t.eq(said(milter), 'narrow nil')
  end
end)

t.test('case 45: relay_hosts of a via block are for that address', function()
  local milter = t.milter {
    policy = ([[
local kumo = require 'kumo'
kumo.on('init', function()
  kumo.start_esmtp_listener {
    listen = '0.0.0.0:25', relay_hosts = {}, via = { ['10.0.0.2'] = { relay_hosts = { '203.0.113.9' } } } }
  %s
end)]]):format(t.local_logs()),
  }
  local function rcpt(o)
    o.helo = 'x.test'
    local mta = milter:connect(o)
    t.eq(mta:mail '<a@b.test>', 'continue')
    return mta:rcpt '<c@d.test>'
  end
  t.eq(rcpt { local_ip = '10.0.0.2' }, 'continue')
  t.match(rcpt { local_ip = '10.0.0.1' }, '^550 5%.7%.1 ')
  t.match(rcpt { local_ip = '10.0.0.2', ip = '203.0.113.8' }, '^550 5%.7%.1 ')
end)

t.test('case 39: the listener argument and received_via, with and without a listener, IPv4 and IPv6', function()
  local function both(listeners)
    return t.milter {
      policy = ([[
local kumo = require 'kumo'
kumo.on('init', function()
  %s
  %s
end)
kumo.on('smtp_server_get_dynamic_parameters', function(listener, c) c:set_meta('x_listener', listener) end)
kumo.on('smtp_server_mail_from', function(s, c)
  kumo.reject(550, '5.7.1 ' .. c:get_meta 'x_listener' .. ' ' .. c:get_meta 'received_via')
end)]]):format(listeners, t.local_logs()),
    }
  end
  local milter = both "kumo.start_esmtp_listener { listen = '0.0.0.0:25' }  kumo.start_esmtp_listener { listen = '[::]:25' }"
  local ipv6 = { ip = '2001:db8::9', local_ip = 'IPv6:2001:db8::1' }
  t.eq(said(milter), '0.0.0.0:25 10.0.0.1:25')
  t.eq(said(milter, ipv6), '[::]:25 [2001:db8::1]:25')
  milter:kill()
  milter = both ''
  t.eq(said(milter), '10.0.0.1:25 10.0.0.1:25')
  t.eq(said(milter, ipv6), '[2001:db8::1]:25 [2001:db8::1]:25')
end)

t.test('case 40, 41, 43: dynamic parameters that are wrong refuse the connection', function()
  local milter = t.milter {
    policy = policy [[
kumo.on('smtp_server_connection_accepted', function(c)
  local from = c:get_meta 'received_from'
  if not from:find '^203.0.113.[56]:' then error 'called' end
end)
kumo.on('smtp_server_get_dynamic_parameters', function(listener, c)
  local from = c:get_meta 'received_from'
  if from:find '^203.0.113.6:' then return nil end
  if from:find '^203.0.113.1:' then return 'x' end
  if from:find '^203.0.113.2:' then return { listen = '0.0.0.0:26' } end
  if from:find '^203.0.113.3:' then return { max_connections = 5 } end
  if from:find '^203.0.113.4:' then kumo.reject(421, '4.7.0 busy') end
end)]],
  }
  for i, want in ipairs { '^421 4%.3%.0 ', '^421 4%.3%.0 ', '^421 4%.3%.0 ', '^421 4%.7%.0 busy' } do
    t.match(milter:connect({ ip = '203.0.113.' .. i }).connected, want)
  end
  t.eq(milter:connect({ ip = '203.0.113.5' }).connected, 'continue')
  t.eq(milter:connect({ ip = '203.0.113.6' }).connected, 'continue')
  t.log(milter, 'Rejection', { code = 421, content = 'busy' })
  milter:line 'smtp_server_get_dynamic_parameters: [^ ]*policy%.lua:%d+: unknown key "listen"'
  milter:line 'unknown key "max_connections"'
  t.lacks(milter:output(), 'called')
end)

t.test('local submission is never refused at RCPT, only at end of message', function()
  local milter = t.milter {
    policy = policy "kumo.on('smtp_server_rcpt_to', function() kumo.reject(550, '5.7.1 no') end)",
  }
  local mta = milter:connect {
    ip = '127.0.0.1', port = 0, local_ip = '127.0.0.1', local_port = 0, name = 'localhost', helo = 'localhost',
  }
  t.eq(mta:mail 'a@b.test', 'continue')
  t.eq(mta:rcpt 'c@d.test', 'continue')
  t.eq(mta:message(t.plain), '550 5.7.1 no')
  t.none(milter, 'SELECT count(*) FROM message')
end)

t.test('a recipient that is said again gets one copy; with another ORCPT it is another', function()
  local milter = t.milter { policy = t.accept_policy() }
  local mta = milter:connect { helo = 'x.test' }
  t.eq(mta:mail '<a@b.test>', 'continue')
  for _, rcpt in ipairs {
    { '<bob@example.com>' }, { '<carol@example.com>' }, { '<bob@example.com>' }, { 'bob@EXAMPLE.com' },
    { '<@relay.test:bob@example.com.>' }, { '<Bob@example.com>' }, { '<bob@example.com>', 'ORCPT=rfc822;list@example.com' },
    { '<bob@example.com>', 'ORCPT=rfc822;list@example.com' },
  } do
    t.eq(mta:rcpt(table.unpack(rcpt)), 'continue')
  end
  t.eq(mta:message(t.plain), 'discard')
  t.rows(milter:sql 'SELECT address FROM recipient ORDER BY id', {
    { 'bob@example.com' }, { 'carol@example.com' }, { 'Bob@example.com' }, { 'bob@example.com' },
  })
  t.eq(milter:ask('status').recipients, 4)
  -- what the last transaction said is forgotten in the next
  t.eq(mta:mail '<a@b.test>', 'continue')
  t.eq(mta:rcpt '<bob@example.com>', 'continue')
  t.eq(mta:message(t.plain), 'discard')
  t.rows(milter:sql 'SELECT count(*) FROM recipient', { { 5 } })
end)
