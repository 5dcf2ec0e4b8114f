-- Reports are linked to the mail that they are about: found when it has left,
-- by each of three ways; forged ones are not.
local t = require 'harness'

local function crlf(text)
  return (text:gsub('\r?\n', '\r\n'))
end

local DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

local function base64(text)
  local pad = (3 - #text % 3) % 3
  text = text .. ('\0'):rep(pad)
  local out = text:gsub('...', function(three)
    local a, b, c = three:byte(1, 3)
    local n = a << 16 | b << 8 | c
    return (('%d %d %d %d'):format(n >> 18, n >> 12 & 63, n >> 6 & 63, n & 63):gsub('%d+ ?', function(d)
      return DIGITS:sub(d + 1, d + 1)
    end))
  end)
  return out:sub(1, #out - pad) .. ('='):rep(pad)
end

local function policy(sink, o)
  o = o or {}
  local domains = ''
  for name, parameters in pairs(o.domains or {}) do
    domains = domains .. ("if domain == '%s' then return kumo.make_listener_domain { %s } end\n"):format(name, parameters)
  end
  return ([[
local kumo = require 'kumo'
kumo.on('init', function()
  kumo.start_esmtp_listener { listen = '0.0.0.0:25', relay_hosts = { 'any' }, batch_handling = '%s' }
  %s
  kumo.configure_log_hook { name = 'hook' }
  %s
end)
kumo.on('get_listener_domain', function(domain)
  %s
  if domain == 'bounce.test' then
    return kumo.make_listener_domain { log_oob = 'LogThenDrop', log_arf = 'LogThenDrop' }
  end
end)
kumo.on('smtp_server_message_received', function(msg) msg:set_meta('tenant', 'acme') end)
kumo.on('should_enqueue_log_record', function(msg)
  local r = msg:get_meta 'log_record'
  if r.type == 'OOB' or r.type == 'Feedback' then
    print('hook saw ' .. r.type .. ' linked=' .. tostring(r.linked))
  end
  return false
end)
kumo.on('get_queue_config', function()
  return kumo.make_queue_config {
    protocol = { smtp = { mx_list = { { name = 'sink.test', addr = '%s' } } } } }
end)
kumo.on('get_egress_path_config', function() return kumo.make_egress_path { prohibited_hosts = {} } end)
]]):format(o.batches or 'BifurcateAlways', t.local_logs(), o.setup or '', domains, sink and sink.address or '127.0.0.1:1')
end

local function rig(o)
  local sink = t.smtp_sink {}
  local r = { sink = sink, milter = t.milter { policy = policy(sink, o) } }
  r.router = t.router { policy_file = t.dir() .. '/policy.lua', args = o and o.args }
  return r
end

-- Sends it and waits until it has left; returns the header that arrived.
local n = 0
local function deliver(r, to, o)
  o = o or {}
  n = n + 1
  local mta = r.milter:connect { helo = 'x.test' }
  t.eq(mta:mail('<news@bounce.test>', table.unpack(o.mail or {})), 'continue')
  for _, address in ipairs(type(to) == 'table' and to or { to }) do
    t.eq(mta:rcpt('<' .. address .. '>'), 'continue')
  end
  t.eq(mta:message(crlf(('Subject: %d\nMessage-ID: <m%d@sender.test>\n\nHello\n'):format(n, n))), 'discard')
  mta:close()
  t.none(r.router, 'SELECT count(*) FROM recipient')
  local all = r.sink:messages()
  return all[#all].data:match '^(.-\r\n)\r\n', ('m%d@sender.test'):format(n)
end

-- A delivery report about `who` that quotes this header.
local function dsn(who, header, fields)
  return crlf('From: mailer-daemon@far.test\nMIME-Version: 1.0\n'
    .. 'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\n\n'
    .. '--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; far.test\n' .. (fields or '') .. '\n'
    .. 'Final-Recipient: rfc822; ' .. who .. '\nAction: failed\nStatus: 5.1.1\n'
    .. 'Diagnostic-Code: smtp; 550 5.1.1 no such user\n\n'
    .. '--b\nContent-Type: text/rfc822-headers\n\n') .. crlf(header) .. '\r\n--b--\r\n'
end

local function arf(header, fields)
  return crlf('From: fbl@far.test\nMIME-Version: 1.0\n'
    .. 'Content-Type: multipart/report; report-type=feedback-report; boundary="b"\n\n'
    .. '--b\nContent-Type: text/plain\n\nA complaint.\n'
    .. '--b\nContent-Type: message/feedback-report\n\nFeedback-Type: abuse\nUser-Agent: far/1\nVersion: 1\n'
    .. (fields or '') .. '\n'
    .. '--b\nContent-Type: text/rfc822-headers\n\n') .. crlf(header) .. '\r\n--b--\r\n'
end

-- Brings the report in; returns its record.
local function report(r, data)
  local kind = data:find('feedback-report', 1, true) and 'Feedback' or 'OOB'
  local mta = r.milter:connect { helo = 'far.test' }
  t.eq(mta:mail '<>', 'continue')
  t.eq(mta:rcpt '<news@bounce.test>', 'continue')
  t.eq(mta:message(data), 'discard')
  mta:close()
  local id = r.milter:sql 'SELECT report FROM v_report ORDER BY event DESC LIMIT 1'[1][1]
  return t.log(r.milter, kind, { id = id })
end


-- Fields of a header block, whole, folds included.
local function fields(header)
  local list = {}
  for line in header:gmatch '[^\n]*\n' do
    if line:find '^[ \t]' then
      list[#list] = list[#list] .. line
    else
      list[#list + 1] = line
    end
  end
  return list
end

local function field(header, name)
  for _, f in ipairs(fields(header)) do
    if f:lower():sub(1, #name + 1) == name:lower() .. ':' then
      return f
    end
  end
  t.fail('no field ' .. name)
end

t.test('a bounce is linked by the signed trace header, when the message has left', function()
  local r = rig()
  local header = deliver(r, 'bob@far.test')
  local rec = report(r, dsn('bob@far.test', field(header, 'X-KumoRef')))
  t.eq(rec.linked, true)
  t.eq(rec.linked_to.by, 'signed')
  t.eq(rec.linked_to.recipient, 'bob@far.test')
  t.eq(rec.linked_to.tenant, 'acme')
  t.eq(rec.linked_to.queue, 'acme@far.test')
  t.eq(rec.linked_to.outcome, 'delivered')
  t.rows(r.milter:sql [[SELECT v.linked, v.recipient, v.linked_by, v.code, v.reporter, t.event
    FROM v_report AS v JOIN v_timeline AS t ON t.id = v.id AND t.event = 'received']],
    { { 1, 'bob@far.test', 'signed', 550, 'far.test', 'received' } })
  r.milter:line 'hook saw OOB linked=true'
end)

t.test('a bounce is linked by Message-ID and recipient', function()
  local r = rig()
  local header, id = deliver(r, 'bob@far.test')
  local rec = report(r, dsn('BOB@far.test', field(header, 'Message-ID')))
  t.eq(rec.linked, true)
  t.eq(rec.linked_to.by, 'message_id')
  t.eq(rec.linked_to.recipient, 'bob@far.test')
  t.rows(r.milter:sql("SELECT count(*) FROM v_timeline WHERE message_id = '" .. id .. "'"), { { 1 } })
end)

t.test('a bounce is linked by the envelope id of the sender', function()
  local r = rig()
  deliver(r, 'bob@far.test', { mail = { 'ENVID=QQ+2B314159' } })
  local rec = report(r, dsn('bob@far.test', 'Subject: x\n', 'Original-Envelope-Id: QQ+314159\n'))
  t.eq(rec.linked, true)
  t.eq(rec.linked_to.by, 'envelope_id')
end)

t.test('a bounce is linked by an id of ours without a signature, with its recipient', function()
  local r = rig { batches = 'BatchByDomain' }
  local header = deliver(r, { 'bob@far.test', 'ann@far.test' })
  local id = r.milter:sql "SELECT message FROM event WHERE kind = 'delivered'"[1][1]
  -- {"_@_":"\\_/","id":"..."}, as it was before headers were signed.
  local old = 'X-KumoRef: ' .. base64(('{"_@_":"\\\\_/","id":"%s"}'):format(id)) .. '\n'
  local rec = report(r, dsn('ann@far.test', old))
  t.eq(rec.linked_to and rec.linked_to.by, 'id')
  t.eq(rec.linked_to.id, id)
  t.eq(report(r, dsn('eve@far.test', old)).linked, false)
  -- Of several recipients the signature proves the message only.
  t.eq(report(r, dsn('ann@far.test', field(header, 'X-KumoRef'))).linked_to.by, 'signed')
  t.eq(report(r, dsn('eve@far.test', field(header, 'X-KumoRef'))).linked, false)
end)

t.test('forged reports are not linked', function()
  local r = rig()
  local header, message_id = deliver(r, 'bob@far.test', { mail = { 'ENVID=E77' } })
  deliver(r, 'eve@far.test')
  local ref = field(header, 'X-KumoRef')
  local strange = 'X-KumoRef: ' .. base64([[{"_@_":"\\_/","recipient":"bob@far.test","penstock":{]]
    .. '"id":"0123456789abcdef0123456789abcdef","queue":"far.test","time":1700000000,"key":"00112233",'
    .. '"mac":"00112233445566778899aabbccddeeff"}}') .. '\n'
  local rows = {
    { 'another recipient', dsn('eve@far.test', ref) },
    { 'another recipient of the Message-ID', dsn('eve@far.test', field(header, 'Message-ID')) },
    { 'another recipient of the envelope id', dsn('eve@far.test', '', 'Original-Envelope-Id: E77\n') },
    { 'a signature that is none', dsn('bob@far.test', strange) },
    { 'an unknown Message-ID', dsn('bob@far.test', 'Message-ID: <x' .. message_id .. '>\n') },
    { 'nothing', dsn('bob@far.test', 'Subject: x\n') },
    { 'a header that is cut', dsn('bob@far.test', ref:sub(1, 100) .. '\n') },
    { 'a complaint of another', arf(ref, 'Original-Rcpt-To: eve@far.test\n') },
    { 'a complaint of nobody', arf('Subject: x\n') },
  }
  for _, row in ipairs(rows) do
    local rec = report(r, row[2])
    t.eq(rec.linked, false, row[1])
    t.eq(rec.linked_to, nil, row[1])
  end
  t.rows(r.milter:sql 'SELECT count(*), sum(linked) FROM v_report', { { #rows, 0 } })
end)

-- A report that names each of them.
local function dsn_of(who, header)
  local text = dsn(table.remove(who, 1), header)
  local more = {}
  for _, address in ipairs(who) do
    more[#more + 1] = ('Final-Recipient: rfc822; %s\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n'):format(address)
  end
  return (text:gsub('(no such user\r\n\r\n)', function(m) return m .. table.concat(more) end))
end

local function bring(mta, data, to)
  t.eq(mta:mail '<>', 'continue')
  for _, address in ipairs(to or { 'news@bounce.test' }) do
    t.eq(mta:rcpt('<' .. address .. '>'), 'continue')
  end
  return mta:message(data)
end

t.test('who says the same again and again fills neither history nor list: one row of a report, twenty of a recipient', function()
  local r = rig()
  local header = deliver(r, { 'bob@far.test' })
  local ref = field(header, 'X-KumoRef')
  local who = {}
  for i = 1, 300 do
    who[i] = i % 2 == 0 and 'bob@far.test' or 'BOB@far.test'
  end
  local mta = r.milter:connect { helo = 'far.test' }
  t.eq(bring(mta, dsn_of(who, ref)), 'discard')
  t.rows(r.milter:sql 'SELECT linked, count(*) FROM v_report GROUP BY 1', { { 1, 1 } })
  for _ = 1, 25 do
    t.eq(bring(mta, dsn('bob@far.test', ref)), 'discard')
  end
  mta:close()
  t.rows(r.milter:sql 'SELECT linked, count(*) FROM v_report GROUP BY 1', { { 1, 20 } })
  r.milter:stop()
  t.eq(#r.milter:records 'OOB', 325)
end)

t.test('reports of strangers take a bounded part of the history, and none of the rows of others', function()
  local r = rig()
  local header = deliver(r, 'bob@far.test')
  local mta = r.milter:connect { helo = 'far.test' }
  for n = 1, 110 do
    local who = {}
    for i = 1, 12 do
      who[i] = ('x%d-%d@far.test'):format(n, i)
    end
    t.eq(bring(mta, dsn_of(who, 'Subject: x\n')), 'discard')
  end
  t.rows(r.milter:sql 'SELECT count(*) FROM v_report', { { 1000 } })
  t.ok(r.milter:line 'until it is over the history takes no more of them')
  t.eq(bring(mta, dsn('bob@far.test', field(header, 'X-KumoRef'))), 'discard')
  mta:close()
  t.rows(r.milter:sql 'SELECT count(*) FROM v_report WHERE linked', { { 1 } })
end)

t.test('reports that stay with the MTA are linked and remembered once, and logged for ten recipients at most', function()
  local r = rig {
    domains = { ['left.test'] = "leave_to_mta = true, log_oob = true, log_arf = true" },
    setup = "require('penstock.suppression'):setup { scope = 'global' }",
  }
  local ref = field(deliver(r, 'bob@far.test'), 'X-KumoRef')
  local to = {}
  for i = 1, 30 do
    to[i] = ('x%d@left.test'):format(i)
  end
  local mta = r.milter:connect { helo = 'far.test' }
  t.eq(bring(mta, dsn('bob@far.test', ref), to), 'accept')
  t.rows(r.milter:sql 'SELECT type, linked, recipient FROM v_report', { { 'oob', 1, 'bob@far.test' } })
  t.rows(r.milter:sql 'SELECT address, hits FROM suppression', { { 'bob@far.test', 1 } })
  -- With one of ours beside them it is the same report.
  t.eq(bring(mta, dsn('bob@far.test', ref), { 'news@bounce.test', 'x1@left.test' }), 'accept')
  t.rows(r.milter:sql 'SELECT count(*) FROM v_report', { { 2 } })
  -- A forged one does nothing there either.
  t.eq(bring(mta, dsn('eve@far.test', 'Subject: x\n'), { 'x1@left.test' }), 'accept')
  mta:close()
  t.rows(r.milter:sql 'SELECT count(*), sum(linked) FROM v_report', { { 3, 2 } })
  t.rows(r.milter:sql 'SELECT address, hits FROM suppression', { { 'bob@far.test', 1 } })
  t.ok(r.milter:line 'a report is logged for the first 10 of its recipients')
  r.milter:stop()
  t.eq(#r.milter:records 'OOB', 10 + 2 + 1)
end)

-- The look-up stands still before the third of five, for longer than it may take.
for _, case in ipairs {
  { 'a bounce', function(who, ref) return dsn_of(who, ref) end },
  { 'a complaint', function(who, ref)
    return arf(ref, 'Original-Rcpt-To: ' .. table.concat(who, '\nOriginal-Rcpt-To: ') .. '\n')
  end },
} do
  local data = case[2]
  t.test('a look-up that takes too long ends: what it did not come to is not linked, of ' .. case[1], function()
    local r = rig { batches = 'BatchByDomain' }
    local who = { 'a@far.test', 'b@far.test', 'c@far.test', 'd@far.test', 'e@far.test' }
    local ref = field(deliver(r, who), 'Message-ID')
    r.milter:stop()
    r.milter = t.milter { policy_file = t.dir() .. '/policy.lua', env = { PENSTOCK_FAULT = 'report.looking:3:stop' } }
    local mta = r.milter:connect { helo = 'far.test' }
    t.sched.spawn(function()
      t.wait_for('the look-up to stand still', function()
        return (t.read('/proc/' .. r.milter.pid .. '/stat') or ''):match '%) T '
      end)
      t.advance '3 s'
      r.milter:signal(18)
    end)
    t.eq(bring(mta, data({ table.unpack(who) }, ref)), 'discard')
    mta:close()
    r.milter:line 'it names 5 recipients, 3 of them were looked for in 2000 ms; the others are not linked'
    t.rows(r.milter:sql 'SELECT recipient FROM v_report WHERE linked ORDER BY 1', { { who[1] }, { who[2] }, { who[3] } })
    -- The next has its time again.
    t.eq(report(r, data({ who[5] }, ref)).linked, true)
  end)
end

t.test('a look-up that fails is 4yz, and the report comes again', function()
  local r = rig()
  local ref = field(deliver(r, 'bob@far.test'), 'Message-ID')
  r.milter:stop()
  r.milter = t.milter { policy_file = t.dir() .. '/policy.lua', env = { PENSTOCK_FAULT = 'report.looking:1:error' } }
  local mta = r.milter:connect { helo = 'far.test' }
  t.match(bring(mta, dsn('bob@far.test', ref)), '^4%d%d ')
  mta:close()
  t.eq(report(r, dsn('bob@far.test', ref)).linked, true)
end)

t.test('a complaint is linked, also when it names nobody', function()
  local r = rig()
  local header = deliver(r, 'bob@far.test')
  local rec = report(r, arf(field(header, 'X-KumoRef')))
  t.eq(rec.linked, true)
  t.eq(rec.linked_to.recipient, 'bob@far.test')
  rec = report(r, arf(field(header, 'X-KumoRef'), 'Original-Rcpt-To: redacted\n'))
  t.eq(rec.linked_to and rec.linked_to.recipient, 'bob@far.test')
  rec = report(r, arf(field(header, 'Message-ID'), 'Original-Rcpt-To: <bob@far.test>\n'))
  t.eq(rec.linked_to and rec.linked_to.by, 'message_id')
  -- Consumers see of the header what they always saw.
  rec = report(r, arf(header))
  t.eq(rec.feedback_report.supplemental_trace, { recipient = 'bob@far.test' })
end)

t.test('a signature outlives the history, an old key still verifies', function()
  local r = rig()
  local header = deliver(r, 'bob@far.test')
  r.milter:stop()
  r.router:stop()
  local file = t.context().queue .. '-trace-key'
  t.eq(select(2, t.run { 'stat', '-c', '%a', file }), '600\n')
  t.eq((t.run { 'sqlite3', t.context().queue, 'DELETE FROM event' }), 0)
  t.run { 'sed', '-i', '1i ' .. ('0'):rep(64), file }
  r.milter = t.milter { policy_file = t.dir() .. '/policy.lua' }
  local rec = report(r, dsn('bob@far.test', field(header, 'X-KumoRef')))
  t.eq(rec.linked, true)
  t.eq(rec.linked_to.by, 'signed')
  t.eq(rec.linked_to.outcome, nil)
  t.eq(rec.linked_to.tenant, 'acme')
  t.eq(report(r, dsn('bob@far.test', field(header, 'Message-ID'))).linked, false)
end)

t.test('a file of keys that others may read, of somebody else or that is no file is refused', function()
  local r = rig()
  r.milter:stop()
  t.run { 'chmod', '644', t.context().queue .. '-trace-key' }
  local ok, why = pcall(t.milter, { policy_file = t.dir() .. '/policy.lua' })
  t.eq(ok, false)
  t.has(tostring(why), 'others may read')
  t.run { 'chmod', '600', t.context().queue .. '-trace-key' }
  -- Only root can give it away.
  if t.run { 'chown', '65534', t.context().queue .. '-trace-key' } == 0 then
    ok, why = pcall(t.milter, { policy_file = t.dir() .. '/policy.lua' })
    t.eq(ok, false)
    t.has(tostring(why), 'it is of user 65534')
    t.run { 'chown', '0', t.context().queue .. '-trace-key' }
  end
  t.run { 'mv', t.context().queue .. '-trace-key', t.context().queue .. '-old' }
  t.run { 'mkfifo', '-m', '600', t.context().queue .. '-trace-key' }
  ok, why = pcall(t.milter, { policy_file = t.dir() .. '/policy.lua' })
  t.eq(ok, false)
  t.has(tostring(why), 'it is no file')
end)

t.test('penstock trace tells what happened, by id, Message-ID and address, with the daemons stopped', function()
  local r = rig()
  local header, message_id = deliver(r, 'bob@far.test')
  local linked = report(r, dsn('bob@far.test', field(header, 'X-KumoRef'))).linked_to
  r.milter:stop()
  r.router:stop()
  for _, what in ipairs { linked.id, linked.id:sub(1, 12):upper(), '<' .. message_id .. '>', message_id, 'BOB@far.test' } do
    local code, out = t.penstock('trace', what)
    t.eq(code, 0, what)
    t.match(out, '^' .. linked.id .. '\n[^\n]+  received  [^\n]*from=news@bounce.test[^\n]*message%-id=' .. message_id:gsub('%.', '%%.'):gsub('%-', '%%-')
      .. '\n[^\n]+  delivered [^\n]*to=bob@far.test[^\n]*\n[^\n]+  oob  [^\n]*by=signed[^\n]*no such user"\n$', what)
  end
  local code, out = t.penstock('--json', 'trace', linked.id)
  t.eq(code, 0)
  t.eq(select(2, out:gsub('\n', '')), 3)
  t.has(out, '"event":"delivered"')
  for _, what in ipairs { 'nobody@far.test', '0123456789abcdef' } do
    t.eq((t.penstock('trace', what)), 66)
  end
  t.eq((t.penstock 'trace'), 64)
end)

t.test('the history ends where the router is told to end it', function()
  local r = rig { args = { '--history-events', '2' } }
  local first = deliver(r, 'one@far.test')
  deliver(r, 'two@far.test')
  deliver(r, 'three@far.test')
  t.none(r.router, "SELECT count(*) FROM event WHERE address = 'one@far.test'")
  t.rows(r.router:sql 'SELECT address FROM event ORDER BY id', { { 'two@far.test' }, { 'three@far.test' } })
  t.eq(report(r, dsn('one@far.test', field(first, 'Message-ID'))).linked, false)
  r.router:stop()
  t.eq(r.router.status, 0)
  r.router = t.router { policy_file = t.dir() .. '/policy.lua', args = { '--history-age', '1s' } }
  t.none(r.router, 'SELECT count(*) FROM event')
end)
