-- Delivery and feedback reports: who gets them, what is logged, what is kept.
local t = require 'harness'

local FIXTURES = TOP_SRCDIR .. '/tests/data/reports/'

local function crlf(text)
  return (text:gsub('\r?\n', '\r\n'))
end

-- A delivery report about these groups of fields.
local function dsn(groups, mta)
  local parts = {}
  for _, g in ipairs(groups) do
    parts[#parts + 1] = g .. '\n'
  end
  return crlf(('From: mailer-daemon@receiver.test\nSubject: returned\nMIME-Version: 1.0\n'
    .. 'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\n\n'
    .. '--b\nContent-Type: text/plain\n\nIt failed.\n'
    .. '--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; %s\n\n%s'
    .. '--b\nContent-Type: message/rfc822\n\nSubject: original\nMessage-ID: <1@sender.test>\n\nHi.\n--b--\n')
    :format(mta or 'mail.receiver.test', table.concat(parts, '\n')))
end

local GONE = 'Final-Recipient: rfc822; bob@receiver.test\nAction: failed\nStatus: 5.1.1\n'
  .. 'Diagnostic-Code: smtp; 550 5.1.1 no such user\n'
local DSN1 = dsn { GONE }
local ARF1 = crlf(t.read(FIXTURES .. 'aol-style-abuse.eml'))
local ORD = t.plain

-- domains: domain -> fields of make_listener_domain; o: logs, listener, extra.
local function policy(domains, o)
  o = o or {}
  local rows = {}
  for domain, fields in pairs(domains) do
    rows[#rows + 1] = ("['%s'] = { %s },"):format(domain, fields)
  end
  return ([[
local kumo = require 'kumo'
kumo.on('init', function()
  kumo.start_esmtp_listener { listen = '0.0.0.0:25', relay_hosts = { %s } }
  %s
end)
local domains = { %s }
kumo.on('get_listener_domain', function(domain)
  local fields = domains[domain]
  return fields and kumo.make_listener_domain(fields)
end)
%s
]]):format(o.relay_hosts or '', o.logs or t.local_logs(), table.concat(rows, ' '), o.extra or '')
end

-- The answer to the whole message; '' is the null sender.
local function send(milter, to, data, from)
  local mta = milter:connect { helo = 'mx.receiver.test' }
  t.eq(mta:mail('<' .. (from or '') .. '>'), 'continue')
  for _, address in ipairs(type(to) == 'table' and to or { to }) do
    t.eq(mta:rcpt('<' .. address .. '>'), 'continue')
  end
  local answer = mta:message(data)
  mta:close()
  return answer
end

-- The types of the records from number `from` on.
local function types(records, from)
  local list = {}
  for i = from or 1, #records do
    list[#list + 1] = records[i].type
  end
  return list
end

-- One message to a domain with these settings: answer, stored, record types.
-- Returns the records.
local function story(fields, data, want, o)
  local milter = t.milter { policy = policy({ ['b.example'] = fields }, o) }
  local stored = milter:sql('SELECT count(*) FROM recipient')[1][1]
  local before = #milter:records()
  t.match(send(milter, 'x@b.example', data, o and o.from), want[1])
  t.rows(milter:sql 'SELECT count(*) FROM recipient', { { stored + want[2] } })
  milter:stop() -- so that everything is written
  local records = milter:records()
  t.eq(types(records, before + 1), want[3])
  return records
end

local KEPT, GONE_BY = '^discard', '^550 5%.7%.1 '

t.test('case 82: log_oob = true accepts and logs a report, and stores it only where relaying is allowed', function()
  story('log_oob = true', DSN1, { KEPT, 0, { 'Reception', 'OOB' } })
  story('log_oob = true, relay_to = true', DSN1, { KEPT, 1, { 'Reception', 'OOB' } })
end)

t.test('case 83: LogThenDrop logs a delivery report and stores nothing', function()
  local records = story("log_oob = 'LogThenDrop'", DSN1, { KEPT, 0, { 'Reception', 'OOB' } })
  local reception, oob = table.unpack(records)
  t.eq(oob.id, reception.id)
  t.eq(oob.sender, 'x@b.example')
  t.eq(oob.recipient, 'bob@receiver.test')
  t.eq(oob.queue, 'b.example')
  t.eq(oob.size, 0)
  t.eq(oob.num_attempts, 0)
  t.eq(oob.peer_address, { name = 'mail.receiver.test', addr = '203.0.113.9' })
  t.eq(oob.session_id, reception.session_id)
  t.eq(oob.reception_protocol, 'ESMTP')
  t.eq(oob.meta.received_from, reception.meta.received_from)
  t.eq(oob.egress_pool, nil)
  t.eq(reception.response.code, 250)
  t.eq(reception.sender, '')
  t.eq(reception.recipient, 'x@b.example')
end)

t.test('case 84: LogThenDrop logs a feedback report instead of its reception', function()
  local records = story("log_arf = 'LogThenDrop'", ARF1, { KEPT, 0, { 'Feedback' } })
  local r = records[1]
  t.eq(r.recipient, 'x@b.example')
  t.eq(r.feedback_report.feedback_type, 'abuse')
  t.eq(r.feedback_report.source_ip, '198.51.100.7')
  t.eq(r.feedback_report.reported_domain, { 'sender.test' })
  t.has(r.feedback_report.original_message, 'Hello Carl.')
end)

t.test('case 85: LogThenRelay stores a feedback report, although nobody may relay', function()
  story("log_arf = 'LogThenRelay'", ARF1, { KEPT, 1, { 'Feedback' } })
  story("log_oob = 'LogThenRelay'", DSN1, { KEPT, 1, { 'Reception', 'OOB' } })
end)

t.test('case 86: ordinary mail to a domain that only logs is refused after its content', function()
  story("log_oob = 'LogThenDrop'", ORD, { GONE_BY, 0, { 'Reception', 'Rejection' } })
end)

t.test('case 87: LogThenDrop drops reports, relay_to keeps the rest', function()
  local fields = "log_oob = 'LogThenDrop', relay_to = true"
  story(fields, ORD, { KEPT, 1, { 'Reception' } })
  story(fields, DSN1, { KEPT, 0, { 'Reception', 'OOB' } })
end)

t.test('case 88: LogThenDrop drops reports also from a client that may relay', function()
  local o = { relay_hosts = "'203.0.113.0/24'" }
  story("log_oob = 'LogThenDrop'", DSN1, { KEPT, 0, { 'Reception', 'OOB' } }, o)
  story("log_oob = 'LogThenDrop'", ORD, { KEPT, 1, { 'Reception' } }, o)
end)

t.test('case 89: a feedback report is no delivery report', function()
  story('log_oob = true', ARF1, { GONE_BY, 0, { 'Reception', 'Rejection' } })
  story('log_arf = true', DSN1, { GONE_BY, 0, { 'Reception', 'Rejection' } })
end)

t.test('a feedback report where both are logged is never logged as both', function()
  story('log_arf = true, log_oob = true', ARF1, { KEPT, 0, { 'Feedback' } })
  story('log_arf = true, log_oob = true', DSN1, { KEPT, 0, { 'Reception', 'OOB' } })
end)

for _, kind in ipairs { { 'log_oob', DSN1, 'OOB' }, { 'log_arf', ARF1, 'Feedback' } } do
  t.test('every setting of ' .. kind[1] .. ' with and without permission to relay', function()
    local rows = {
      -- setting, stored when relaying is allowed, when not (nil: refused)
      { 'false', 1, nil }, { "'Ignore'", 1, nil }, { 'true', 1, 0 },
      { "'LogThenRelay'", 1, 1 }, { "'LogThenDrop'", 0, 0 },
    }
    local domains, n = {}, 0
    for i, row in ipairs(rows) do
      domains['relay' .. i .. '.test'] = ('%s = %s, relay_to = true'):format(kind[1], row[1])
      domains['only' .. i .. '.test'] = ('%s = %s'):format(kind[1], row[1])
    end
    local milter = t.milter { policy = policy(domains) }
    for i, row in ipairs(rows) do
      for name, stored in pairs { relay = row[2], only = row[3] } do
        local to = ('x@%s%d.test'):format(name, i)
        t.eq(send(milter, to, kind[2]), 'discard', to)
        n = n + stored
        t.rows(milter:sql 'SELECT count(*) FROM recipient', { { n } }, to)
        local want = i <= 2 and 'Reception' or kind[3]
        t.log(milter, want, { [want == 'OOB' and 'sender' or 'recipient'] = to })
      end
      if not row[3] then
        local mta = milter:connect { helo = 'x.test' }
        t.eq(mta:mail '<>', 'continue')
        t.match(mta:rcpt(('<x@only%d.test>'):format(i)), GONE_BY)
        mta:close()
      end
    end
  end)
end

t.test('case 90: each recipient that failed has its record', function()
  local records = story('log_oob = true', dsn {
    'Original-Recipient: rfc822;ann@forward.test\nFinal-Recipient: rfc822; ann@receiver.test\n'
      .. 'Action: failed\nStatus: 5.2.2 (full)\nLast-Attempt-Date: Sat, 21 Nov 2026 04:12:44 -0500\n',
    'Final-Recipient: rfc822; late@receiver.test\nAction: delayed\nStatus: 4.4.1\n',
    GONE,
  }, { KEPT, 0, { 'Reception', 'OOB', 'OOB' } })
  local _, ann, bob = table.unpack(records)
  t.eq(ann.recipient, 'ann@forward.test')
  t.eq(ann.sender, 'x@b.example')
  t.eq(ann.response, { code = 550, enhanced_code = { class = 5, subject = 2, detail = 2 }, content = '' })
  t.eq(ann.timestamp, 1795252364)
  t.eq(bob.recipient, 'bob@receiver.test')
end)

t.test('a report of nothing but delays is one all the same', function()
  story("log_oob = 'LogThenDrop'", dsn {
    'Final-Recipient: rfc822; late@receiver.test\nAction: delayed\nStatus: 4.4.1\n',
  }, { KEPT, 0, { 'Reception' } })
end)

t.test('case 91: the answer is what Diagnostic-Code says', function()
  local records = story('log_oob = true', DSN1, { KEPT, 0, { 'Reception', 'OOB' } })
  t.eq(records[2].response,
    { code = 550, enhanced_code = { class = 5, subject = 1, detail = 1 }, content = '5.1.1 no such user' })
end)

t.test('case 92: letter case does not hide a report', function()
  story('log_oob = true', (DSN1:gsub('multipart/report', 'Multipart/Report'):gsub('Action: failed', 'ACTION: Failed')
    :gsub('rfc822;', 'RFC822;'):gsub('message/delivery', 'Message/Delivery')), { KEPT, 0, { 'Reception', 'OOB' } })
end)

t.test('case 93: multipart/report without delivery-status is ordinary mail', function()
  story('log_oob = true', (DSN1:gsub('message/delivery%-status', 'text/plain')),
    { GONE_BY, 0, { 'Reception', 'Rejection' } })
end)

t.test('case 94: our trace header is found under any name', function()
  local other = 'X-Random: eyJhIjoxfQ==\r\nX-Ref-By'
  local records = story('log_arf = true', (ARF1:gsub('X%-Ref%-By', other)), { KEPT, 0, { 'Feedback' } })
  t.eq(records[1].feedback_report.supplemental_trace, { recipient = 'carl@provider.test' })
end)

t.test('what we send out ourselves is recognised when it comes back in a report', function()
  local sink = t.smtp_sink {}
  local milter = t.milter {
    policy = policy({ ['f.example'] = 'log_arf = true', ['d.example'] = 'relay_to = true' }, {
      extra = ([[
kumo.on('get_queue_config', function()
  return kumo.make_queue_config { protocol = { smtp = { mx_list = { { name = 'sink.test', addr = '%s' } } } } }
end)
kumo.on('get_egress_path_config', function() return kumo.make_egress_path { prohibited_hosts = {} } end)
]]):format(sink.address),
    }),
  }
  t.router { policy_file = t.dir() .. '/policy.lua' }
  t.eq(send(milter, 'user@d.example', ORD, 'a@b.test'), 'discard')
  t.wait_for('the delivery', function() return #sink:messages() > 0 end)
  local original = sink:messages()[1].data
  local report = ARF1:gsub('X%-Ref%-By.-\r\nFrom', 'From')
  local at = report:find('Return-Path: <news', 1, true)
  t.eq(send(milter, 'x@f.example', report:sub(1, at - 1) .. original .. '\r\n--boundary-1138-29572-2659438-4253--\r\n'), 'discard')
  t.eq(t.log(milter, 'Feedback').feedback_report.supplemental_trace.recipient, 'user@d.example')
end)

t.test('case 95: a feedback report without Version is ordinary mail', function()
  story('log_arf = true', (ARF1:gsub('Version: 0.1\r\n', '')), { GONE_BY, 0, { 'Reception', 'Rejection' } })
end)

t.test('case 96: of a mixed transaction the part that only logs is not stored, and says so', function()
  local milter = t.milter { policy = policy { ['example.com'] = 'relay_to = true', ['b.example'] = 'log_oob = true' } }
  t.eq(send(milter, { 'u@example.com', 'x@b.example' }, ORD, 'a@b.test'), 'discard')
  t.rows(milter:sql 'SELECT address FROM recipient', { { 'u@example.com' } })
  local bounce = t.log(milter, 'Bounce', { recipient = 'x@b.example' })
  t.eq(bounce.response.code, 550)
  t.eq(bounce.response.enhanced_code, { class = 5, subject = 7, detail = 1 })
end)

t.test('a report to several domains obeys each domain', function()
  local milter = t.milter {
    policy = policy {
      ['keep.test'] = "log_oob = 'LogThenRelay'", ['drop.test'] = "log_oob = 'LogThenDrop'",
      ['plain.test'] = 'relay_to = true',
    },
  }
  t.eq(send(milter, { 'a@keep.test', 'b@drop.test', 'c@plain.test' }, DSN1), 'discard')
  t.rows(milter:sql 'SELECT address FROM recipient ORDER BY address', { { 'a@keep.test' }, { 'c@plain.test' } })
  milter:stop()
  t.eq(types(milter:records()), { 'Reception', 'OOB', 'Reception', 'OOB', 'Reception' })
  t.eq(milter:records()[1].recipient, 'b@drop.test')
end)

t.test('what goes to the null queue is not looked at', function()
  story("log_oob = 'LogThenDrop'", DSN1, { KEPT, 0, { 'Reception' } },
    { extra = "kumo.on('smtp_server_message_received', function(msg) msg:set_meta('queue', 'null') end)" })
end)

t.test('case 158: OOB records do not depend on Reception records', function()
  story('log_oob = true', DSN1, { KEPT, 0, { 'OOB' } }, {
    logs = ("kumo.configure_local_logs { log_dir = '%s', per_record = { Reception = { enable = false }, Any = { enable = true } } }")
      :format(t.context().logs),
  })
end)

t.test('a report whose records nobody wants is accepted all the same', function()
  story("log_oob = 'LogThenDrop'", DSN1, { KEPT, 0, {} }, {
    logs = ("kumo.configure_local_logs { log_dir = '%s', per_record = { Any = { enable = false } } }")
      :format(t.context().logs),
  })
end)

t.test('what the policy made of the message is what is looked at', function()
  story('log_oob = true', ORD, { KEPT, 0, { 'Reception', 'OOB' } }, {
    extra = ("kumo.on('smtp_server_message_received', function(msg) msg:set_data(%q) end)"):format(DSN1),
  })
end)

t.test('recipients that stay with the MTA: reports are logged, and nothing else happens', function()
  local milter = t.milter {
    policy = policy { ['b.example'] = "leave_to_mta = true, log_oob = 'LogThenDrop', log_arf = true",
      ['u.example'] = 'relay_to = true' },
  }
  t.eq(send(milter, 'x@b.example', DSN1), 'accept')
  t.eq(send(milter, 'x@b.example', ORD, 'a@b.test'), 'accept')
  t.eq(send(milter, { 'u@u.example', 'x@b.example' }, ARF1), 'accept')
  t.rows(milter:sql 'SELECT address FROM recipient', { { 'u@u.example' } })
  milter:stop()
  t.eq(types(milter:records()), { 'OOB', 'Reception', 'Feedback' })
  t.eq(milter:records()[3].recipient, 'x@b.example')
end)

t.test('reports that only people can read are ordinary mail, and counted', function()
  local milter = t.milter { policy = policy { ['b.example'] = 'log_oob = true' } }
  local human = 'From: MAILER-DAEMON@receiver.test\r\nSubject: failure notice\r\n\r\n'
    .. 'Hi. This is the qmail-send program at receiver.test.\r\n\r\n<bob@receiver.test>:\r\nno mailbox here\r\n'
  t.match(send(milter, 'x@b.example', human), GONE_BY)
  t.match(send(milter, 'x@b.example', (DSN1:gsub('Status: 5.1.1', 'Status: gone'))), GONE_BY)
  t.match(send(milter, 'x@b.example', ORD, 'a@b.test'), GONE_BY)
  t.eq(send(milter, 'x@b.example', DSN1), 'discard')
  local status = milter:ask 'status'
  t.eq({ status.oob_reports, status.feedback_reports, status.unreadable_reports }, { 1, 0, 2 })
end)

-- Once its record is written a crash makes a second record at most.
for _, point in ipairs { 'log.before-write', 'log.after-write' } do
  t.test('killed at ' .. point .. ': a report that was acknowledged has its record', function()
    local text = policy { ['b.example'] = "log_oob = 'LogThenDrop'" }
    local milter = t.milter { policy = text, env = { PENSTOCK_FAULT = point .. ':1:kill' } }
    local mta = milter:connect { helo = 'x.test' }
    mta:mail '<>'
    mta:rcpt '<x@b.example>'
    t.ok(mta:message(DSN1) ~= 'discard', 'no answer without a record')
    t.wait_for('the crash', function() return not milter:running() end)
    local written = #milter:records 'OOB'
    t.eq(written, point == 'log.after-write' and 1 or 0)
    milter = t.milter { policy = text }
    t.eq(send(milter, 'x@b.example', DSN1), 'discard')
    t.eq(#milter:records 'OOB', written + 1)
  end)
end

t.test('a report is not acknowledged while its record cannot be written', function()
  local milter = t.milter {
    policy = policy({ ['b.example'] = "log_oob = 'LogThenDrop'" }, {
      extra = '',
    }):gsub('relay_hosts = {  }', "relay_hosts = {}, data_processing_timeout = '1s'"),
    env = { PENSTOCK_FAULT = 'log.before-write:0:error' },
  }
  t.match(send(milter, 'x@b.example', DSN1), '^451 4%.3%.0 ')
end)

t.test('a tree of a hundred thousand parts is no report', function()
  local milter = t.milter { policy = policy { ['b.example'] = 'log_oob = true, log_arf = true' } }
  local wide = DSN1:gsub('%-%-b\r\n', function(s) return s .. '\r\n' .. (s .. '\r\n'):rep(100000) end, 1)
  t.match(send(milter, 'x@b.example', wide), GONE_BY)
  t.eq(send(milter, 'x@b.example', DSN1), 'discard')
end)

t.test('a large report is read from its beginning', function()
  local big = DSN1:gsub('Hi%.', ('x'):rep(76, ''):rep(150000, '\r\n'))
  local milter = t.milter { policy = policy { ['b.example'] = "log_oob = 'LogThenRelay'" } }
  t.eq(send(milter, 'x@b.example', big), 'discard')
  t.eq(t.log(milter, 'OOB').recipient, 'bob@receiver.test')
  t.rows(milter:sql 'SELECT count(*) FROM recipient', { { 1 } })
end)

t.test('reports that come at once do not get into each other', function()
  local milter = t.milter { policy = policy { ['b.example'] = "log_oob = 'LogThenDrop', log_arf = 'LogThenDrop'" } }
  local clients = {}
  for i = 1, 20 do
    local mta = milter:connect { helo = 'x.test' }
    t.eq(mta:mail '<>', 'continue')
    t.eq(mta:rcpt('<x' .. i .. '@b.example>'), 'continue')
    t.eq(mta:data(), 'continue')
    t.eq(mta:content(i % 2 == 0 and ARF1 or dsn { (GONE:gsub('bob', 'bob' .. i)) }), 'continue')
    clients[i] = mta
  end
  for _, mta in ipairs(clients) do
    mta:eom_begin()
  end
  for _, mta in ipairs(clients) do
    t.eq(mta:verdict(), 'discard')
  end
  for i = 1, 20 do
    if i % 2 == 0 then
      t.log(milter, 'Feedback', { recipient = 'x' .. i .. '@b.example' })
    else
      t.log(milter, 'OOB', { recipient = 'bob' .. i .. '@receiver.test', sender = 'x' .. i .. '@b.example' })
    end
  end
  t.eq({ #milter:records 'OOB', #milter:records 'Feedback' }, { 10, 10 })
end)
