-- Refusals: what the client hears at each step, what may be made of it, and the
-- record that it leaves.
local t = require 'harness'

local function policy(body, listener)
  return ([[
local kumo = require 'kumo'
kumo.on('init', function()
  kumo.start_esmtp_listener { listen = '0.0.0.0:25', relay_hosts = { '203.0.113.0/24' }, hostname = 'mx.a.example', %s }
  %s
end)
%s
]]):format(listener or '', t.local_logs(), body or '')
end

-- Refuses at the step that the client's port names.
local STEPS = [[
local function maybe(c, step)
  if c:get_meta('x_step') == step then kumo.reject(550, '5.7.1 at ' .. step) end
end
kumo.on('smtp_server_get_dynamic_parameters', function(listener, c)
  local STEP = { 'dynamic', 'accepted', 'ehlo', 'mail', 'rcpt', 'data', 'split', 'received', 'domain' }
  c:set_meta('x_step', STEP[tonumber(c:get_meta('received_from'):match ':(%d+)$')])
  maybe(c, 'dynamic')
end)
kumo.on('smtp_server_connection_accepted', function(c) maybe(c, 'accepted') end)
kumo.on('smtp_server_ehlo', function(d, c) maybe(c, 'ehlo') end)
kumo.on('smtp_server_mail_from', function(s, c) maybe(c, 'mail') end)
kumo.on('get_listener_domain', function(d, l, c) if d == 'd.test' then maybe(c, 'domain') end end)
kumo.on('smtp_server_rcpt_to', function(r, c) if r.user == 'second' then maybe(c, 'rcpt') end end)
kumo.on('smtp_server_data', function(m, c) maybe(c, 'data') end)
kumo.on('smtp_server_split_transaction', function(m, c) maybe(c, 'split') end)
kumo.on('smtp_server_message_received', function(m, c) maybe(c, 'received') end)
]]

-- Everything up to the refusal; the reply.
local function talk(milter, port)
  local mta = milter:connect { port = port, tls = { 'TLSv1.3', 'TLS_AES_256_GCM_SHA384' } }
  if mta.connected ~= 'continue' then
    return mta.connected, mta
  end
  local reply = mta:helo 'client.test'
  if reply ~= 'continue' then
    return reply, mta
  end
  reply = mta:mail('<a@b.test>', 'SIZE=100')
  if reply ~= 'continue' then
    return reply, mta
  end
  for _, user in ipairs { 'first', 'second' } do
    reply = mta:rcpt('<' .. user .. '@d.test>')
    if reply ~= 'continue' then
      return reply, mta
    end
  end
  return mta:message(t.plain), mta
end

-- step, command, sender and recipient of the record
local WANT = {
  { 'dynamic' },
  { 'accepted' },
  { 'ehlo', 'EHLO client.test' },
  { 'mail', 'MAIL FROM:<a@b.test> SIZE=100', 'a@b.test' },
  { 'rcpt', 'RCPT TO:<second@d.test>', 'a@b.test', 'first@d.test' },
  { 'data', 'DATA', 'a@b.test', 'second@d.test' },
  { 'split', 'DATA', 'a@b.test', 'second@d.test' },
  { 'received', 'DATA', 'a@b.test', 'second@d.test' },
  { 'domain', 'RCPT TO:<first@d.test>', 'a@b.test' },
}

t.test('each refusal has one Rejection record, with what is known by then', function()
  local milter = t.milter { policy = policy(STEPS) }
  for port, want in ipairs(WANT) do
    local step, command, sender, recipient = table.unpack(want)
    t.eq(talk(milter, port), '550 5.7.1 at ' .. step)
    local r = t.log(milter, 'Rejection', { content = 'at ' .. step })
    t.eq(r.response.code, 550, step)
    t.eq(r.response.enhanced_code, { class = 5, subject = 7, detail = 1 }, step)
    t.eq(r.response.command, command, step)
    t.eq({ r.id, r.queue, r.size, r.num_attempts }, { '', '', 0, 0 }, step)
    t.eq(r.sender, sender or '', step)
    t.eq(r.recipient, recipient or '', step)
    t.eq(r.peer_address.addr, '203.0.113.9', step)
    t.eq(r.peer_address.name, port > 3 and 'client.test' or '', step)
    t.eq(r.reception_protocol, 'ESMTP', step)
    t.eq(r.meta.hostname, 'mx.a.example', step)
    t.eq(r.meta.x_step, step)
    t.eq(r.meta.received_from, '203.0.113.9:' .. port, step)
    t.eq(r.tls_protocol_version, port > 2 and 'TLSv1.3' or nil, step)
    t.eq(r.tls_cipher, port > 2 and 'TLS_AES_256_GCM_SHA384' or nil, step)
    t.match(r.session_id, '^%x+$', step)
    t.match(r.nodeid, '^%x+%-', step)
  end
  t.none(milter, 'SELECT count(*) FROM message')
  t.eq(milter:stop(), 0)
  t.eq(#milter:records 'Rejection', #WANT)
end)

t.test('so do the refusals of built-in rules; those about us have none', function()
  local milter = t.milter {
    policy = policy("kumo.on('smtp_server_mail_from', function(s) if s.user == 'boom' then error 'boom' end end)",
      'max_recipients_per_message = 1, max_messages_per_connection = 3, max_message_size = 3000, max_connections = 2'),
  }
  local mta = milter:connect { helo = 'x.test' }
  local function expect(reply, code)
    t.match(reply, '^' .. code:gsub('%.', '%%.') .. ' ')
    return t.log(milter, 'Rejection', { code = tonumber(code:sub(1, 3)) })
  end
  t.eq(expect(mta:mail '<@>', '553 5.1.7').sender, '')
  expect(mta:mail('<a@b.test>', 'SIZE=4000'), '552 5.3.4')
  local broken = expect(mta:mail '<boom@b.test>', '421 4.3.0')
  t.eq({ broken.sender, broken.response.content }, { 'boom@b.test', 'local policy error' })
  t.eq(mta:mail '<a@b.test>', 'continue')
  t.eq(mta:rcpt '<c@d.test>', 'continue')
  t.eq(expect(mta:rcpt '<d@d.test>', '452 4.5.3').recipient, 'c@d.test')
  t.match(mta:message(t.plain .. ('x'):rep(999) .. '\r\n'), '^500 5%.2%.3 ')
  t.log(milter, 'Rejection', { code = 500 })

  local stranger = milter:connect { helo = 'y.test', ip = '198.51.100.7' }
  t.eq(stranger:mail '<a@b.test>', 'continue')
  local r = expect(stranger:rcpt '<c@d.test>', '550 5.7.1')
  t.eq({ r.peer_address.addr, r.peer_address.name, r.recipient }, { '198.51.100.7', 'y.test', '' })
  t.match(milter:connect({}).connected, '^421 4%.3%.2 ')
  local before = 6
  t.eq(milter:stop(), 0)
  t.eq(#milter:records 'Rejection', before)
end)

t.test('smtp_server_rewrite_response sees every refusal: code, text without the code, the command', function()
  local milter = t.milter {
    policy = policy(STEPS .. [[
kumo.on('smtp_server_rewrite_response', function(status, text, command, c)
  return 451, ('%d|%s|%s|%s'):format(status, text, tostring(command), c:get_meta 'x_step')
end)]]),
  }
  for port, want in ipairs(WANT) do
    local step, command = want[1], want[2]
    t.eq(talk(milter, port), ('451 4.7.1 550|5.7.1 at %s|%s|%s'):format(step, tostring(command), step))
    -- The record has what the client was told.
    t.log(milter, 'Rejection', { code = 451, content = '|' .. step })
  end
  local stranger = milter:connect { helo = 'y.test', ip = '198.51.100.7', port = 99 }
  t.eq(stranger:mail '<a@b.test>', 'continue')
  t.match(stranger:rcpt '<c@d.test>', '^451 4%.7%.1 550|5%.7%.1 relaying not permitted')
end)

t.test('case 63: what it may return: a refusal, or nothing; the rest is ignored with a warning', function()
  local milter = t.milter {
    policy = policy [[
kumo.on('smtp_server_rcpt_to', function(r) kumo.reject(550, '5.7.1 first\nsecond') end)
kumo.on('smtp_server_rewrite_response', function(status, text, command)
  local what = command:match '<(.-)@'
  if what == 'success' then return 250, 'fine' end
  if what == 'high' then return 600, nil end
  if what == 'word' then return 'many', nil end
  if what == 'number' then return 554, 7 end
  if what == 'seen' then return nil, (text:gsub('\n', '/')) end
  if what == 'lines' then return nil, 'one\ntwo 100%' end
  if what == 'close' then return 421, nil end
  if what == 'reject' then kumo.reject(451, 'no') end
  if what == 'error' then error 'boom' end
end)]],
  }
  local mta = milter:connect { helo = 'x.test' }
  t.eq(mta:mail '<a@b.test>', 'continue')
  local original = '550-5.7.1 first\r\n550 5.7.1 second'
  for _, case in ipairs {
    { 'success', '550 5.7.1 fine' }, { 'high', original }, { 'word', original },
    { 'number', '554-5.7.1 first\r\n554 5.7.1 second' }, { 'seen', '550 5.7.1 first/second' },
    { 'lines', '550-5.7.1 one\r\n550 5.7.1 two 100%%' }, { 'close', '421-4.7.1 first\r\n421 4.7.1 second' },
    { 'reject', original }, { 'error', original }, { 'other', original },
  } do
    t.eq(mta:rcpt('<' .. case[1] .. '@d.test>'), case[2], case[1])
  end
  milter:line 'only 400%.%.599 can be answered, not 250'
  milter:line 'only 400%.%.599 can be answered, not 600'
  milter:line 'the code must be an integer'
  milter:line 'the text must be a string'
  milter:line 'boom'
end)

t.test('refusals about us are rewritten, too', function()
  local milter = t.milter {
    policy = policy("kumo.on('smtp_server_rewrite_response', function(s, text, command) return 450, 'full ' .. tostring(command) end)",
      'max_connections = 1'),
  }
  milter:connect {}
  t.eq(milter:connect({}).connected, '450 4.7.1 full nil')
end)

t.test('case 62: each mode of disconnect, at each step', function()
  local milter = t.milter {
    policy = policy [[
kumo.on('smtp_server_mail_from', function(s)
  if s.user == 'force' then kumo.disconnect(550, '5.7.1 force') end
  if s.user == 'follow' then kumo.disconnect(451, 'follow', 'FollowWith421') end
  if s.user == 'if' then kumo.disconnect(550, '5.7.1 if', 'If421') end
  if s.user == '421' then kumo.disconnect(421, 'closing') end
  if s.user == 'wrong' then kumo.disconnect(451, 'x', 'Sometimes') end
end)
kumo.on('smtp_server_data', function() kumo.disconnect(550, '5.7.1 data') end)]],
  }
  local function mail(user)
    local mta = milter:connect { helo = 'x.test' }
    return mta, mta:mail('<' .. user .. '@b.test>')
  end
  local function poisoned(mta)
    return mta:mail('<a@b.test>'):find '^421 4%.7%.0 ' ~= nil
  end
  local mta, reply = mail 'force'
  t.eq({ reply, poisoned(mta), poisoned(mta) }, { '550 5.7.1 force', true, true })
  mta, reply = mail 'follow'
  t.eq({ reply, poisoned(mta) }, { '451 4.7.1 follow', true })
  mta, reply = mail 'if'
  t.eq({ reply, poisoned(mta) }, { '550 5.7.1 if', false })
  mta, reply = mail '421'
  t.eq({ reply, poisoned(mta) }, { '421 4.7.1 closing', false }, 'the MTA closes on it')
  _, reply = mail 'wrong'
  t.match(reply, '^421 4%.3%.0 ')
  milter:line 'expected "ForceDisconnect"'
  mta, reply = mail 'fine'
  t.eq(reply, 'continue')
  t.eq(mta:rcpt '<c@d.test>', 'continue')
  t.eq(mta:message(t.plain), '550 5.7.1 data')
  t.ok(poisoned(mta))
  -- The connection is poisoned, not the client.
  t.eq(select(2, mail 'fine'), 'continue')
end)

t.test('a text is at most 32 lines of 510 bytes, without control characters', function()
  local milter = t.milter {
    policy = policy [[
kumo.on('smtp_server_mail_from', function(s)
  if s.user == 'many' then kumo.reject(550, ('line\n'):rep(100)) end
  if s.user == 'long' then kumo.reject(550, ('x'):rep(2000)) end
  if s.user == 'odd' then kumo.reject(550, 'a\tb\1c\127') end
  if s.user == 'fraction' then kumo.reject(550.0, '5.7.1 float') end
end)]],
  }
  local mta = milter:connect { helo = 'x.test' }
  local _, lines = mta:mail('<many@b.test>'):gsub('[^\n]+', '')
  t.eq(lines, 32)
  t.eq(#mta:mail '<long@b.test>', 510)
  t.eq(mta:mail '<odd@b.test>', '550 5.7.1 a?b?c?')
  t.eq(mta:mail '<fraction@b.test>', '550 5.7.1 float')
end)
