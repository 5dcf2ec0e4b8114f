-- Addresses that get no more mail: what puts them on the list, and what reception does then.
local t = require 'harness'

local function crlf(text)
  return (text:gsub('\r?\n', '\r\n'))
end

-- o: setup (its argument; nil: no list), extra, log_arf/log_oob domains at bounces.test.
local function policy(sink, o)
  return ([[
local kumo = require 'kumo'
local suppression = require 'penstock.suppression'
%s
kumo.on('init', function()
  kumo.start_esmtp_listener { listen = '0.0.0.0:25', relay_hosts = { '192.0.2.0/24' }, hostname = 'mx.example.com' }
  %s
end)
kumo.on('get_listener_domain', function(domain)
  if domain == 'bounces.test' then
    return kumo.make_listener_domain { log_oob = 'LogThenDrop', log_arf = 'LogThenDrop' }
  end
end)
kumo.on('get_queue_config', function()
  return kumo.make_queue_config {
    protocol = { smtp = { mx_list = { { name = 'sink.test', addr = '%s' } } } },
    retry_interval = '1h', max_retry_interval = '1h',
  }
end)
kumo.on('get_egress_path_config', function() return kumo.make_egress_path { prohibited_hosts = {} } end)
%s
]]):format(o.setup and 'suppression:setup ' .. o.setup or '', t.local_logs(), sink and sink.address or '127.0.0.1:9',
    o.extra or '')
end

-- Who sends says whose mail it is: x-NAME@... is of tenant NAME.
local TENANTS = [[
kumo.on('smtp_server_message_received', function(msg)
  local tenant = msg:sender().user:match '^x%-(.*)'
  if tenant then
    msg:set_meta('tenant', tenant)
  end
end)
]]

-- Answers to MAIL, each RCPT and the message; stops at the first that is no continue.
local function try(milter, from, to, data, client)
  local mta = milter:connect(client or { ip = '192.0.2.7', helo = 'client.test' })
  local answer = mta:mail('<' .. from .. '>')
  local rcpts, taken = type(to) == 'table' and to or { to }, 0
  for _, address in ipairs(answer == 'continue' and rcpts or {}) do
    answer = mta:rcpt('<' .. address .. '>')
    taken = taken + (answer == 'continue' and 1 or 0)
  end
  if taken > 0 then
    answer = mta:message(data or t.plain)
  end
  mta:close()
  return answer
end

-- Rows as an operator's shell would write them: address, all, tenant, class, record.
local function entry(address, all, tenant, class, record)
  t.sys.sql(t.context().queue, ([[INSERT INTO suppression VALUES
    ('%s', %d, '%s', '%s', 'a reason', '%s', NULL, NULL, 1, unixepoch(), unixepoch(), NULL)]])
    :format(address, all and 1 or 0, tenant or '', class or 'manual', record or 'Operator'), true)
end

local function list(daemon)
  return daemon:sql "SELECT address, coalesce(tenant, '*'), class, record FROM v_suppression WHERE active ORDER BY 1, 2"
end

local function wait_for_entries(daemon, n)
  t.wait_for(n .. ' entries', function() return #list(daemon) == n end)
end

local REFUSED = '^550 5%.1%.1 <bob@dest%.test>: mail to this address is suppressed since %d+%-%d%d%-%d%d %('

t.test('a hard bounce in the router refuses the next message at RCPT', function()
  local sink = t.smtp_sink { rcpt = { '550 5.1.1 no such user' } }
  local text = policy(sink, { setup = '{}' })
  local milter, router = t.milter { policy = text }, t.router { policy = text }
  t.eq(try(milter, 'ann@sender.test', 'bob@dest.test'), 'discard')
  wait_for_entries(router, 1)
  t.rows(list(router), { { 'bob@dest.test', '', 'Uncategorized', 'Bounce' } })
  t.match(try(milter, 'ann@sender.test', 'Bob@DEST.test'), '^550 5%.1%.1 <Bob@DEST%.test>: mail to this address is suppressed')
  t.log(milter, 'Rejection', { recipient = '' })
  t.eq(try(milter, 'ann@sender.test', 'eve@dest.test'), 'discard')
end)

t.test('a bounce of a tenant holds off mail of that tenant alone', function()
  local sink = t.smtp_sink { rcpt = { '550 5.1.1 no such user' } }
  local text = policy(sink, { setup = '{}', extra = TENANTS })
  local milter, router = t.milter { policy = text }, t.router { policy = text }
  t.eq(try(milter, 'x-acme@sender.test', 'bob@dest.test'), 'discard')
  wait_for_entries(router, 1)
  t.rows(list(router), { { 'bob@dest.test', 'acme', 'Uncategorized', 'Bounce' } })
  t.match(try(milter, 'x-acme@sender.test', 'bob@dest.test'), REFUSED)
  t.eq(try(milter, 'x-other@sender.test', 'bob@dest.test'), 'discard')
  t.eq(try(milter, 'ann@sender.test', 'bob@dest.test'), 'discard')
end)

t.test("scope = 'global' holds off everybody's mail, at RCPT", function()
  local sink = t.smtp_sink { rcpt = { '550 5.1.1 no such user' } }
  local text = policy(sink, { setup = "{ scope = 'global' }", extra = TENANTS })
  local milter, router = t.milter { policy = text }, t.router { policy = text }
  t.eq(try(milter, 'x-acme@sender.test', 'bob@dest.test'), 'discard')
  wait_for_entries(router, 1)
  local mta = milter:connect { ip = '192.0.2.7', helo = 'client.test' }
  t.eq(mta:mail '<x-other@sender.test>', 'continue')
  t.match(mta:rcpt '<bob@dest.test>', REFUSED)
end)

t.test('of several recipients the one on the list is taken out, with a Bounce record, and the others get the message', function()
  local sink = t.smtp_sink()
  local text = policy(sink, { setup = '{}', extra = TENANTS })
  local milter = t.milter { policy = text }
  entry('bob@dest.test', false, 'acme', 'abuse', 'Feedback')
  t.eq(try(milter, 'x-acme@sender.test', { 'bob@dest.test', 'eve@dest.test' }), 'discard')
  t.rows(milter:sql 'SELECT address FROM recipient', { { 'eve@dest.test' } })
  local bounce = t.log(milter, 'Bounce', { recipient = 'bob@dest.test' })
  t.eq(bounce.response.code, 550)
  t.match(bounce.response.content, 'suppressed since .* %(abuse%)$')
end)

t.test("with action = 'drop' the client hears nothing, and a record says so", function()
  local text = policy(nil, { setup = "{ action = 'drop' }" })
  local milter = t.milter { policy = text }
  entry('@dest.test', true)
  t.eq(try(milter, 'ann@sender.test', 'bob@dest.test'), 'discard')
  t.rows(milter:sql 'SELECT count(*) FROM recipient', { { 0 } })
  t.log(milter, 'Reception', { recipient = 'bob@dest.test' })
  t.match(t.log(milter, 'Bounce', { recipient = 'bob@dest.test' }).response.content, 'mail to this domain is suppressed')
end)

t.test('the null sender, postmaster and local submission are met as the manual says', function()
  local milter = t.milter { policy = policy(nil, { setup = '{}' }) }
  entry('bob@dest.test', true)
  entry('postmaster@dest.test', true)
  t.eq(try(milter, '', 'bob@dest.test'), 'discard')
  t.eq(try(milter, 'ann@sender.test', 'Postmaster@dest.test'), 'discard')
  -- Never at RCPT: the MTA would take it for a mistake of its own.
  local mta = milter:connect {
    ip = '127.0.0.1', port = 0, local_ip = '127.0.0.1', local_port = 0, name = 'localhost', helo = 'localhost',
  }
  t.eq(mta:mail '<ann@sender.test>', 'continue')
  t.eq(mta:rcpt '<bob@dest.test>', 'continue')
  t.match(mta:message(t.plain), REFUSED)
  milter:stop()
  milter = t.milter { policy = policy(nil, { setup = '{ null_sender = true, postmaster = true }' }) }
  t.match(try(milter, '', 'bob@dest.test'), REFUSED)
  t.match(try(milter, 'ann@sender.test', 'Postmaster@dest.test'), '^550 5%.1%.1 ')
end)

t.test('an entry ends when its time is over, by the clock', function()
  local sink = t.smtp_sink { rcpt = { '550 5.1.1 no such user' } }
  local text = policy(sink, { setup = "{ rules = { { record = 'Bounce', code = '550', keep = '2 days' } } }" })
  local milter, router = t.milter { policy = text }, t.router { policy = text }
  t.eq(try(milter, 'ann@sender.test', 'bob@dest.test'), 'discard')
  wait_for_entries(router, 1)
  t.match(try(milter, 'ann@sender.test', 'bob@dest.test'), REFUSED)
  router:advance '1 day'
  t.match(try(milter, 'ann@sender.test', 'bob@dest.test'), REFUSED)
  router:advance '1 day'
  t.eq(try(milter, 'ann@sender.test', 'bob@dest.test'), 'discard')
end)

t.test('a rule that counts waits for so many messages', function()
  local sink = t.smtp_sink { rcpt = { '552 5.2.2 mailbox full' } }
  local text = policy(sink, {
    setup = "{ rules = { { record = 'Bounce', code = '5.2.2', count = 2, within = '7 days', keep = '30 days' } } }",
  })
  local milter, router = t.milter { policy = text }, t.router { policy = text }
  t.eq(try(milter, 'ann@sender.test', 'bob@dest.test'), 'discard')
  t.none(router, 'SELECT count(*) FROM recipient')
  t.rows(list(router), {})
  t.eq(try(milter, 'ann@sender.test', 'bob@dest.test'), 'discard')
  wait_for_entries(router, 1)
  t.match(try(milter, 'ann@sender.test', 'bob@dest.test'), REFUSED)
end)

t.test('a handler asks by itself, and gets what is known', function()
  local milter = t.milter { policy = policy(nil, { setup = "{ action = 'none' }", extra = [[
kumo.on('smtp_server_rcpt_to', function(rcpt)
  if rcpt.user == 'ask' then
    local entry = suppression:check(rcpt, 'acme')
    kumo.reject(550, entry and table.concat({ entry.address, entry.tenant or '*', entry.class, entry.record, entry.hits,
      entry.reason }, ' ') or 'nothing')
  elseif rcpt.user == 'broken' then
    suppression.check('no address')
  end
  suppression:refuse(rcpt)
end)]] }) }
  entry('ask@dest.test', false, 'acme', 'abuse', 'Feedback')
  entry('bob@dest.test', true)
  t.match(try(milter, 'ann@sender.test', 'ask@dest.test'), '^550 %S+ ask@dest.test acme abuse Feedback 1 a reason$')
  t.match(try(milter, 'ann@sender.test', 'bob@dest.test'), REFUSED)
  t.eq(try(milter, 'ann@sender.test', 'eve@dest.test'), 'discard')
  t.match(try(milter, 'ann@sender.test', 'broken@dest.test'), '^421 ')
end)

t.test('in the router a handler asks the same list; what cannot be asked waits, and is neither sent nor bounced', function()
  local sink = t.smtp_sink()
  local text = policy(sink, { setup = "{ action = 'none' }", extra = [[
kumo.on('smtp_server_message_deferred_inject', function(msg)
  msg:set_meta('tenant', 'acme')
  suppression:refuse(msg:recipient(), 'acme')
end)]] }):gsub("hostname = 'mx.example.com'", '%0, deferred_queue = true')
  local milter = t.milter { policy = text }
  entry('bob@dest.test', false, 'acme', 'abuse', 'Feedback')
  t.eq(try(milter, 'ann@sender.test', 'bob@dest.test'), 'discard')
  t.eq(try(milter, 'ann@sender.test', 'eve@dest.test'), 'discard')
  local router = t.router { policy = text }
  t.log(router, 'Delivery', { recipient = 'eve@dest.test' })
  t.match(t.log(router, 'Bounce', { recipient = 'bob@dest.test' }).response.content, 'mail to this address is suppressed')
  t.none(router, 'SELECT count(*) FROM recipient')
  t.sys.sql(t.context().queue, 'ALTER TABLE suppression RENAME TO elsewhere', true)
  for _, who in ipairs { 'bob', 'eve' } do
    t.eq(try(milter, 'nobody@sender.test', who .. '@dest.test'), 'discard')
  end
  t.wait_for('both to be put off', function()
    return router:sql 'SELECT count(*) FROM recipient WHERE attempts > 0'[1][1] == 2
  end)
  t.eq(#sink:messages(), 1)
  t.sys.sql(t.context().queue, 'ALTER TABLE elsewhere RENAME TO suppression', true)
end)

t.test('beside recipients that the MTA keeps, one on the list is dropped with a record: the others are not refused with it', function()
  local text = policy(nil, { setup = '{}', extra = TENANTS }):gsub("if domain == 'bounces.test' then",
    "if domain == 'left.test' then return kumo.make_listener_domain { leave_to_mta = true } end\n%0")
  local milter = t.milter { policy = text }
  entry('bob@dest.test', false, 'acme', 'abuse', 'Feedback')
  t.eq(try(milter, 'x-acme@sender.test', { 'bob@dest.test', 'ann@left.test' }), 'accept')
  t.rows(milter:sql 'SELECT count(*) FROM recipient', { { 0 } })
  t.eq(t.log(milter, 'Bounce', { recipient = 'bob@dest.test' }).response.code, 550)
  -- Alone it is refused.
  t.match(try(milter, 'x-acme@sender.test', 'bob@dest.test'), REFUSED)
end)

t.test('what cannot be looked up is 451', function()
  local milter = t.milter { policy = policy(nil, { setup = '{}', extra = [[
kumo.on('smtp_server_mail_from', function(sender)
  if sender.user == 'ask' then
    suppression:check 'bob@dest.test'
  end
end)]] }) }
  t.eq(try(milter, 'ann@sender.test', 'bob@dest.test'), 'discard')
  t.sys.sql(t.context().queue, 'ALTER TABLE suppression RENAME TO elsewhere', true)
  t.match(try(milter, 'ann@sender.test', 'bob@dest.test'), '^451 4%.3%.0 ')
  t.match(try(milter, 'ask@sender.test', 'bob@dest.test'), '^451 4%.3%.0 ')
  t.sys.sql(t.context().queue, 'ALTER TABLE elsewhere RENAME TO suppression', true)
  t.eq(try(milter, 'ann@sender.test', 'bob@dest.test'), 'discard')
end)

t.test('forged reports suppress nobody', function()
  local milter = t.milter { policy = policy(nil, { setup = "{ scope = 'global' }" }), quiet = true }
  local oob = crlf [[
From: mailer-daemon@receiver.test
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

It failed.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.receiver.test

Final-Recipient: rfc822; bob%d@dest.test
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 no such user

--b
Content-Type: message/rfc822

Message-ID: <%d@sender.test>
X-KumoRef: eyJfQF8iOiJcXF8vIiwicmVjaXBpZW50IjoiYm9iQGRlc3QudGVzdCJ9

Hi.
--b--
]]
  local arf = crlf(t.read(TOP_SRCDIR .. '/tests/data/reports/aol-style-abuse.eml'))
  -- One connection, as a forger would.
  local mta = milter:connect { ip = '203.0.113.5', helo = 'receiver.test' }
  for i = 1, 1000 do
    t.eq(mta:mail '<>', 'continue')
    t.eq(mta:rcpt '<x@bounces.test>', 'continue')
    t.eq(mta:message(i % 2 == 0 and arf or oob:format(i, i)), 'discard')
  end
  mta:close()
  t.rows(milter:sql 'SELECT count(*) FROM suppression', { { 0 } })
  t.rows(milter:sql 'SELECT count(*) FROM suppression_hit', { { 0 } })
  t.eq(try(milter, 'ann@sender.test', 'bob2@dest.test'), 'discard')
end)

t.test('nobody at reception waits for an operator who holds the file', function()
  local milter = t.milter { policy = policy(nil, { setup = '{}' }) }
  entry('bob@dest.test', true)
  t.run { 'mkfifo', t.dir() .. '/fifo' }
  local shell = t.spawn { 'sh', '-c', "exec sqlite3 -bail -cmd '.timeout 10000' " .. t.context().queue .. ' < ' .. t.dir() .. '/fifo' }
  local f = assert(io.open(t.dir() .. '/fifo', 'w'))
  f:setvbuf 'no'
  f:write "BEGIN IMMEDIATE; SELECT 'held';\n"
  t.wait_for('the shell to hold the file', function() return shell:output():find 'held' end)
  local mta = milter:connect { ip = '192.0.2.7', helo = 'client.test' }
  t.eq(mta:mail '<ann@sender.test>', 'continue')
  for _ = 1, 200 do
    t.match(mta:rcpt '<bob@dest.test>', REFUSED)
  end
  t.eq(mta:rcpt '<eve@dest.test>', 'continue')
  mta:close()
  t.ok(shell:running(), 'the shell still holds it')
  f:close()
  shell:wait(10000)
end)

t.test('setup says what is wrong with it, and where', function()
  for setup, want in pairs {
    ["{ ruels = {} }"] = 'policy.lua:3: .*unknown key "ruels".*did you mean "rules"',
    ["{ rules = { { record = 'Bounce', keep = 'long' } } }"] = 'policy.lua:3: .*rules: rule 1: keep: .*"long"',
    ["{ rules = { { record = 'Complaint' } } }"] = 'policy.lua:3: .*rules: rule 1: record: .*Complaint',
    ["{ scope = 'all' }"] = 'policy.lua:3: .*scope: .*all',
    ["{} suppression:setup {}"] = 'policy.lua:3: suppression:setup: it was called before',
  } do
    t.write('policy.lua', policy(nil, { setup = setup }))
    local status, out = t.penstock 'check'
    t.eq(status, 78, out)
    t.match(out, want)
  end
end)

-- ---- reports ----

local function report(kind, fields, header)
  return crlf('From: mailer-daemon@dest.test\nMIME-Version: 1.0\nContent-Type: multipart/report; report-type=' .. kind
    .. '; boundary="b"\n\n--b\nContent-Type: text/plain\n\nA report.\n--b\nContent-Type: message/' .. kind .. '\n\n'
    .. fields .. '\n--b\nContent-Type: text/rfc822-headers\n\n') .. header .. '\r\n--b--\r\n'
end

local COMPLAINT = 'Feedback-Type: %s\nUser-Agent: dest/1\nVersion: 1\n'
local FAILED = 'Reporting-MTA: dns; dest.test\n\nFinal-Recipient: rfc822; bob@dest.test\nAction: failed\nStatus: 5.1.1\n'
  .. 'Diagnostic-Code: smtp; 550 5.1.1 no such user\n'

-- A message to bob that has left: the header that arrived.
local function deliver(milter, router, sink, from)
  local before = #sink:messages()
  t.eq(try(milter, from, 'bob@dest.test', crlf('Message-ID: <m' .. before .. '@sender.test>\nSubject: x\n\nHello.\n')),
    'discard')
  t.none(router, 'SELECT count(*) FROM recipient')
  local all = sink:messages()
  t.eq(#all, before + 1)
  return all[#all].data:match '^(.-\r\n)\r\n'
end

local function bring(milter, data)
  t.eq(try(milter, '', 'x@bounces.test', data, { ip = '203.0.113.5', helo = 'dest.test' }), 'discard')
end

t.test('a complaint about mail that we sent holds off the mail of its tenant, for ever', function()
  local sink = t.smtp_sink()
  local text = policy(sink, { setup = '{}', extra = TENANTS })
  local milter, router = t.milter { policy = text }, t.router { policy = text }
  local header = deliver(milter, router, sink, 'x-acme@sender.test')
  bring(milter, report('feedback-report', COMPLAINT:format 'not-spam', header))
  t.rows(list(milter), {})
  bring(milter, report('feedback-report', COMPLAINT:format 'abuse', header))
  t.rows(list(milter), { { 'bob@dest.test', 'acme', 'abuse', 'Feedback' } })
  t.rows(milter:sql "SELECT coalesce(until, 'never'), reason FROM v_suppression", { { 'never', 'reported by dest/1' } })
  t.match(try(milter, 'x-acme@sender.test', 'bob@dest.test'), REFUSED .. 'abuse%)$')
  t.eq(try(milter, 'x-other@sender.test', 'bob@dest.test'), 'discard')
  -- A report about a suppressed address comes in all the same.
  bring(milter, report('feedback-report', COMPLAINT:format 'abuse', header))
end)

t.test('a late bounce counts once for each message, however often it is reported', function()
  local sink = t.smtp_sink()
  local text = policy(sink, {
    setup = "{ rules = { { record = 'OOB', code = '5.1.1', count = 2, within = '7 days', keep = '30 days' } }, scope = 'global' }",
  })
  local milter, router = t.milter { policy = text }, t.router { policy = text }
  local first = deliver(milter, router, sink, 'ann@sender.test')
  for _ = 1, 3 do
    bring(milter, report('delivery-status', FAILED, first))
  end
  t.rows(list(milter), {})
  bring(milter, report('delivery-status', FAILED, deliver(milter, router, sink, 'ann@sender.test')))
  t.rows(list(milter), { { 'bob@dest.test', '*', 'Uncategorized', 'OOB' } })
  t.match(try(milter, 'x-other@sender.test', 'bob@dest.test'), REFUSED)
end)

-- ---- the command ----

local function run(...)
  local status, out = t.penstock('suppression', ...)
  t.eq(status, 0, out)
  return out
end

local function fails(want, code, ...)
  local status, out = t.penstock('suppression', ...)
  t.eq(status, code, out)
  t.has(out, want)
end

t.test('an operator adds and removes while the daemons run, and the timeline says who and why', function()
  local milter = t.milter { policy = policy(nil, { setup = '{}' }) }
  t.has(run('list'), 'Nothing is suppressed.')
  t.has(run('add', 'Bob@Dest.test', '@gone.test', '--reason', 'asked to', '--class', 'request', '--for', '2 days'), '2 added')
  t.match(try(milter, 'ann@sender.test', 'bob@dest.test'), REFUSED)
  t.match(try(milter, 'ann@sender.test', 'any@gone.test'), '^550 5%.1%.1 .*this domain.*%(request%)$')
  t.match(run('list', 'bob@dest.test'), '^bob@dest%.test  everybody  Operator  request  since .* until .*\n    asked to\n$')
  t.eq(t.json(run('list', '--json', '--domain', 'dest.test')).address, 'bob@dest.test')
  t.has(run('remove', 'bob@dest.test', '--dry-run'), 'would be: 0 added, 0 changed, 1 removed')
  t.match(try(milter, 'ann@sender.test', 'bob@dest.test'), REFUSED)
  t.has(run('remove', 'BOB@dest.test', '--reason', 'a mistake'), '1 removed')
  t.eq(try(milter, 'ann@sender.test', 'bob@dest.test'), 'discard')
  local rows = milter:sql "SELECT kind, address, who, why FROM event WHERE kind LIKE '%suppressed' ORDER BY id"
  t.eq(#rows, 3)
  t.ok(#rows[1][3] > 0, 'somebody did it')
  t.rows({ { rows[1][1], rows[1][2], rows[1][4] }, { rows[3][1], rows[3][2], rows[3][4] } },
    { { 'suppressed', 'bob@dest.test', 'asked to' }, { 'unsuppressed', 'bob@dest.test', 'a mistake' } })
end)

t.test('a list goes out as CSV and comes back the same, with the daemons stopped', function()
  t.milter { policy = policy(nil, { setup = '{}' }) }:stop()
  run('add', 'bob@dest.test', '--tenant', 'acme', '--until', '2099-01-01', '--reason', 'said "no", twice')
  run('add', 'eve@dest.test', '--tenant', '')
  run('add', '@gone.test')
  local csv = run 'export'
  t.has(csv, 'address,scope,tenant,class,reason,record,message,hits,created,until\n')
  t.has(csv, 'bob@dest.test,tenant,acme,manual,"said ""no"", twice",Operator,,1,')
  run('remove', 'bob@dest.test', 'eve@dest.test', '@gone.test')
  t.has(run('list'), 'Nothing is suppressed.')
  t.write('list.csv', csv)
  t.has(run('import', t.dir() .. '/list.csv'), '3 added, 0 changed')
  t.eq(run 'export', csv)
  t.has(run('import', t.dir() .. '/list.csv', '--dry-run'), 'would be: 0 added, 3 changed')
end)

t.test('addresses that need quotes go out and come back, and nothing in the list drives a terminal', function()
  t.milter { policy = policy(nil, { setup = '{}' }) }:stop()
  run('add', '"john smith"@dest.test', '"a,b"@dest.test', '"#c"@dest.test', '"a@b"@dest.test', '""@dest.test',
    '--reason', 'red \27[31m, \xc2\x9b31m and \x9b31m\r\n, a "\\x1b" and \\ \u{202e}', '--class', 'cl\xc2\x9bss')
  local csv = run 'export'
  local function is_safe(text)
    t.ok(not text:gsub('\n', ''):find '%c', text)
    for _, c in utf8.codes(text) do
      t.ok((c < 0x7f or c >= 0xa0) and c ~= 0x202e, text)
    end
  end
  t.has(csv, [["red \x1b[31m, \u{009b}31m and \x9b31m\x0d\x0a, a ""\x5cx1b"" and \ \u{202e}"]])
  is_safe(csv)
  is_safe(run 'list')
  is_safe(run('list', '--json'))
  is_safe(run('export', '--json'))
  is_safe(select(2, t.penstock('suppression', 'list', 'nobody\xc2\x9b')))
  local rows = t.sys.sql(t.context().queue, 'SELECT address, hex(class), hex(reason) FROM suppression ORDER BY 1')
  t.write('list.csv', csv)
  t.has(run('import', t.dir() .. '/list.csv'), '0 added, 5 changed')
  t.eq(run 'export', csv)
  t.rows(t.sys.sql(t.context().queue, 'SELECT address, hex(class), hex(reason) FROM suppression ORDER BY 1'), rows)
  t.has(run('remove', '"john smith"@dest.test', '"a,b"@dest.test', '"#c"@dest.test', '"a@b"@dest.test', '""@dest.test'),
    '5 removed')
end)

t.test('an import with a line that is wrong names it and changes nothing', function()
  t.milter { policy = policy(nil, { setup = '{}' }) }:stop()
  for text, want in pairs {
    ['bob@dest.test\n\n# no\nnobody\n'] = 'list:4: "nobody" is not an address',
    ['address,until\na@b.test,soon\n'] = 'list:2: until: "soon" is not a time',
    ['address,colour\na@b.test,red\n'] = 'list:1: "colour" is no column',
    ['address,address\n'] = 'list:1: the column "address" stands there twice',
    ['tenant,class\nacme,x\n'] = 'list:2: there is no address',
    ['address,scope\na@b.test,some\n'] = 'list:2: scope: expected all or tenant, got "some"',
    ['address,scope,tenant\na@b.test,all,acme\n'] = 'list:2: scope is "all", and there is a tenant, "acme"',
    ['address,reason\na@b.test,"open\n'] = 'list:2: a quoted field does not end',
    ['address\na@b.test,x\n'] = 'list:2: more than the 1 fields',
    ['address,hits\na@b.test,none\n'] = 'list:2: hits: expected a number above 0, got "none"',
    ['a@b.test\0\n'] = 'list:1: a NUL: this is no text',
    ['a@b.test,x\n'] = 'list:1: "a@b.test,x" is not an address',
  } do
    t.write('list', text)
    fails(want, 65, 'import', t.dir() .. '/list')
  end
  -- Also behind what would have been several steps.
  t.write('list', ('good@dest.test\n'):rep(1200) .. 'nobody\n' .. ('good@dest.test\n'):rep(1200))
  fails('list:1201: "nobody" is not an address: ', 65, 'import', t.dir() .. '/list')
  fails('none: No such file or directory; nothing was changed', 66, 'import', t.dir() .. '/none')
  t.has(run('list'), 'Nothing is suppressed.')
  fails('which address?', 64, 'add')
  fails('expected list, add, remove, import or export', 64, 'delete')
  fails('--until: "2001-01-01" is over', 64, 'add', 'a@b.test', '--until', '2001-01-01')
  fails('--for: ', 64, 'add', 'a@b.test', '--for', 'long')
  fails('"bob" is not an address', 64, 'remove', 'bob')
end)

-- An import of n lines, userN@destN.test, that goes on by itself; fault: where it stands still.
local function import(n, fault)
  local lines = {}
  for i = 1, n do
    lines[i] = ('User%d@dest%d.test\n'):format(i, i % 100)
  end
  t.write('list', table.concat(lines))
  return t.spawn({ t.daemons.program 'penstock', '--queue', t.context().queue, 'suppression', 'import', t.dir() .. '/list',
    '--reason', 'from the old system' }, { env = { PENSTOCK_FAULT = fault } })
end

local SIGTERM, SIGCONT = 15, 18

local function wait_until_stopped(process)
  t.wait_for('the import to stand still', function()
    return (t.read('/proc/' .. process.pid .. '/stat') or ''):match '%) T '
  end)
end

local function told(daemon)
  return daemon:sql "SELECT why FROM event WHERE kind = 'suppressed' ORDER BY id DESC"[1][1]
end

t.test('100,000 lines are one import, and mail flows beside it', function()
  local milter, router = t.milter { policy = policy(nil, { setup = '{}' }) }, t.router {}
  local process, sent = import(100000), 0
  repeat
    t.eq(try(milter, 'ann@sender.test', 'eve@dest77.test'), 'discard')
    sent = sent + 1
  until not process:running()
  t.eq(process:wait(), 0, process:output())
  t.has(process:output(), '100000 added, 0 changed')
  t.rows(milter:sql "SELECT count(DISTINCT message) FROM recipient", { { sent } })
  t.match(try(milter, 'ann@sender.test', 'user77777@dest77.test'), '^550 5%.1%.1 ')
  t.eq(try(milter, 'ann@sender.test', 'user77777@dest78.test'), 'discard')
  t.match(told(router), '^imported .*list: 100000 added, 0 changed, 0 removed: from the old system$')
end)

t.test('an import that stands still in the middle holds up nobody', function()
  local sink = t.smtp_sink()
  local text = policy(sink, { setup = '{}' })
  local milter, router = t.milter { policy = text }, t.router { policy = text }
  local process = import(5000, 'order.step-done:3:stop')
  wait_until_stopped(process)
  t.rows(milter:sql 'SELECT count(*) FROM suppression', { { 1500 } })
  t.match(told(milter), 'list %(the first 1500 of 5000%): 1500 added, 0 changed, 0 removed: from the old system$')
  t.match(try(milter, 'ann@sender.test', 'user7@dest7.test'), '^550 5%.1%.1 ')
  t.eq(try(milter, 'ann@sender.test', 'user4000@dest0.test'), 'discard')
  t.none(router, 'SELECT count(*) FROM recipient')
  t.eq(#sink:messages(), 1)
  process:signal(SIGCONT)
  t.eq(process:wait(), 0, process:output())
  t.has(process:output(), '5000 added, 0 changed')
end)

t.test('an import that is ended says how far it came, and once more it does the rest', function()
  local milter = t.milter { policy = policy(nil, { setup = '{}' }) }
  local process = import(5000, 'order.step-done:3:stop')
  wait_until_stopped(process)
  process:signal(SIGTERM)
  process:signal(SIGCONT)
  t.eq(process:wait(), -SIGTERM, process:output())
  t.has(process:output(), 'stopped after 1500 of 5000; until then: 1500 added, 0 changed, 0 removed')
  t.eq(import(5000, 'order.step-done:5:kill'):wait(), -9)
  t.match(told(milter), 'list %(the first 2500 of 5000%): 1000 added, 1500 changed, 0 removed')
  process = import(5000)
  t.eq(process:wait(), 0, process:output())
  t.has(process:output(), '2500 added, 2500 changed')
  process = import(5000, 'order.step-done:1:error')
  t.eq(process:wait(), 75, process:output())
  t.has(run('import', t.dir() .. '/list', '--dry-run'), 'would be: 0 added, 5000 changed')
end)
