-- Records of every type that arises have KumoMTA's fields, with KumoMTA's types
-- (policy language, 15.2 and 15.3).
local t = require 'harness'

local function crlf(text)
  return (text:gsub('\r?\n', '\r\n'))
end

local DSN = crlf [[
From: mailer-daemon@receiver.test
Subject: returned
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.receiver.test

Final-Recipient: rfc822; bob@receiver.test
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 no such user

--b--
]]
local ARF = crlf(t.read(TOP_SRCDIR .. '/tests/data/reports/aol-style-abuse.eml'))

local function policy(sink)
  return ([[
local kumo = require 'kumo'
kumo.on('init', function()
  kumo.start_esmtp_listener { listen = '0.0.0.0:25', relay_hosts = { '192.0.2.0/24' } }
  kumo.configure_local_logs { log_dir = '%s', meta = { 'tenant' }, headers = { 'Subject' } }
end)
kumo.on('get_listener_domain', function(domain)
  if domain == 'oob.example' then return kumo.make_listener_domain { log_oob = 'LogThenDrop' } end
  if domain == 'arf.example' then return kumo.make_listener_domain { log_arf = 'LogThenDrop' } end
end)
kumo.on('smtp_server_message_received', function(message) message:set_meta('tenant', 'bulk') end)
kumo.on('throttle_insert_ready_queue', function(message)
  if message:recipient().user == 'throttled' then
    kumo.make_throttle('x', '1/m'):delay_message_if_throttled(message)
  end
end)
kumo.on('get_queue_config', function(domain)
  return kumo.make_queue_config {
    protocol = { smtp = { mx_list = { { name = 'sink.test', addr = '%s' } } } },
    retry_interval = '2m', max_age = '5m',
  }
end)
kumo.on('get_egress_path_config', function() return kumo.make_egress_path { prohibited_hosts = {} } end)
]]):format(t.context().logs, sink.address)
end

-- Of every record; a type in brackets may be null.
local FIELDS = {
  { 'type', 'string' }, { 'id', 'string' }, { 'sender', 'string' }, { 'recipient', 'string' }, { 'queue', 'string' },
  { 'site', 'string' }, { 'size', 'integer' }, { 'response', 'table' }, { 'peer_address', '(table)' },
  { 'timestamp', 'integer' }, { 'created', 'integer' }, { 'num_attempts', 'integer' },
  { 'bounce_classification', 'string' }, { 'egress_pool', '(string)' }, { 'egress_source', '(string)' },
  { 'source_address', '(table)' }, { 'feedback_report', '(table)' }, { 'meta', 'table' }, { 'headers', 'table' },
  { 'delivery_protocol', '(string)' }, { 'reception_protocol', '(string)' }, { 'nodeid', 'string' },
  { 'event_time', 'string' }, { 'created_time', 'string' },
}

-- What else holds for a type: its own values.
local TYPES = {
  Reception = { site = '', num_attempts = 0, reception_protocol = 'ESMTP', code = 250 },
  Rejection = { id = '', queue = '', size = 0, site = '', code = 550 },
  OOB = { size = 0, num_attempts = 0, sender = 'back@oob.example', recipient = 'bob@receiver.test', code = 550 },
  Feedback = { site = '', num_attempts = 0 },
  Delivery = { delivery_protocol = 'ESMTP', num_attempts = 0, code = 250 },
  TransientFailure = { delivery_protocol = 'ESMTP', code = 450 },
  Bounce = { delivery_protocol = 'ESMTP', num_attempts = 0, code = 550 },
  Expiration = { code = 551 },
  Delayed = { num_attempts = 0, site = '', code = 400 },
}

local function check(line)
  local r = t.json(line)
  local what = r.type .. ': '
  local from = 1
  for _, field in ipairs(FIELDS) do
    local name, kind = field[1], field[2]
    local value = r[name]
    from = select(2, line:find('"' .. name .. '":', 1, true))
    t.ok(from, what .. name .. ' is there')
    if value == nil then
      t.ok(kind:find '^%(' and line:find('"' .. name .. '":null', 1, true), what .. name .. ' is not null')
    else
      t.eq(math.type(value) or type(value), kind:match '%a+', what .. name)
    end
  end
  t.eq(math.type(r.response.code), 'integer', what .. 'code')
  t.eq(type(r.response.content), 'string', what .. 'content')
  t.has(line, '"enhanced_code":', what)
  t.has(line, '"command":', what)
  t.match(r.nodeid, '^%x+%-%x+%-%x+%-%x+%-%x+$')
  for _, name in ipairs { 'event_time', 'created_time' } do
    t.match(r[name], '^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ$', what .. name)
  end
  for name, want in pairs(TYPES[r.type] or t.fail('an unknown type: ' .. line)) do
    t.eq(name == 'code' and r.response.code or r[name], want, what .. name)
  end
  return r
end

t.test('each type of record that arises has the fields of 15.2, in their types', function()
  local sink = t.smtp_sink { rcpt = function(line)
    return line:find '<later@' and '450 4.2.0 later' or line:find '<gone@' and '550 5.1.1 gone'
  end }
  local text = policy(sink)
  local milter, router = t.milter { policy = text }, t.router { policy = text }
  local function send(to, data, ip)
    local mta = milter:connect { ip = ip or '192.0.2.7', helo = 'client.test' }
    t.eq(mta:mail '<ann@sender.test>', 'continue')
    local verdict = mta:rcpt('<' .. to .. '>')
    return verdict == 'continue' and mta:message(data or t.plain) or verdict
  end
  t.match(send('bob@example.com', nil, '203.0.113.9'), '^550 ')
  t.eq(send('back@oob.example', DSN), 'discard')
  t.eq(send('loop@arf.example', ARF), 'discard')
  for _, user in ipairs { 'bob', 'gone', 'later', 'throttled', 'throttled' } do
    t.eq(send(user .. '@example.com'), 'discard')
  end
  t.log(router, 'Delayed')
  t.log(router, 'TransientFailure')
  t.wait_for('the row', function()
    return router:sql('SELECT count(*) FROM recipient WHERE state <> 0')[1][1] == 0
  end)
  router:advance '3 mins'
  t.log(router, 'Expiration')

  local status, out = t.penstock('--json', 'logs')
  t.eq(status, 0)
  local seen = {}
  for line in out:gmatch '[^\n]+' do
    local r = check(line)
    seen[r.type] = r
  end
  for kind in pairs(TYPES) do
    t.ok(seen[kind], 'there is a record of type ' .. kind)
  end
  t.eq(seen.Feedback.feedback_report.feedback_type, 'abuse')
  t.eq(seen.Delivery.meta, { tenant = 'bulk' })
  t.eq(seen.Delivery.headers, { Subject = 'hello' })
  t.eq(seen.Delivery.peer_address, { name = 'sink.test', addr = '127.0.0.1' })
  t.match(seen.Delivery.source_address.address, '^127%.0%.0%.1:%d+$')
  t.eq(seen.OOB.peer_address, { name = 'mail.receiver.test', addr = '192.0.2.7' })
  t.eq(seen.OOB.response.enhanced_code, { class = 5, subject = 1, detail = 1 })
end)
