-- Reports to senders: one line of policy, read back by python3's email package.
local t = require 'harness'

local reader = [=[
import email, email.policy, json, sys
m = email.message_from_binary_file(open(sys.argv[1], 'rb'), policy=email.policy.default)
assert not m.defects, m.defects
parts = list(m.iter_parts())
for p in parts:
    assert not p.defects, p.defects
status = parts[1].get_payload()
print(json.dumps({
    'type': m.get_content_type(), 'report': m.get_param('report-type'), 'to': m['To'], 'from': m['From'],
    'auto': m['Auto-Submitted'], 'parts': [p.get_content_type() for p in parts],
    'text': parts[0].get_content(),
    'message': {k.lower(): v for k, v in status[0].items()},
    'recipients': [{k.lower(): v for k, v in s.items()} for s in status[1:]],
    'original': parts[2].as_string() if len(parts) > 2 else '',
}))
]=]

local function read(data)
  t.write('reader.py', reader)
  t.write('report.eml', data)
  local status, out = t.run { '/bin/sh', '-c', 'exec python3 "$0" "$1"', t.dir() .. '/reader.py', t.dir() .. '/report.eml' }
  t.eq(status, 0, out)
  return t.json(out)
end

-- Mail for `dest.test` goes to the first sink, reports to sender.test to the second.
local function policy(sink, reports, o)
  o = o or {}
  return ([[
local kumo = require 'kumo'
require('penstock.dsn').setup { %s }
kumo.on('init', function()
  kumo.start_esmtp_listener { listen = '0.0.0.0:25', relay_hosts = { '0.0.0.0/0' }, hostname = 'mx.example.com' }
  %s
end)
kumo.on('get_queue_config', function(domain)
  return kumo.make_queue_config {
    protocol = { smtp = { mx_list = { { name = 'sink.test', addr = domain == 'sender.test' and '%s' or '%s' } } } },
    retry_interval = '1h', max_retry_interval = '1h', max_age = '%s',
  }
end)
kumo.on('get_egress_path_config', function() return kumo.make_egress_path { prohibited_hosts = {} } end)
]]):format(o.options or '', t.local_logs(), reports.address, sink.address, o.max_age or '7 days')
end

local function send(milter, o)
  local mta = milter:connect { ip = '192.0.2.7', helo = 'client.test' }
  t.eq(mta:mail(table.unpack(o.mail or { '<ann@sender.test>' })), 'continue')
  for _, rcpt in ipairs(o.rcpt) do
    t.eq(mta:rcpt(table.unpack(rcpt)), 'continue')
  end
  t.eq(mta:message(o.data or t.plain), 'discard')
end

local function empty(router)
  t.wait_for('an empty queue', function()
    return router:sql('SELECT count(*) FROM recipient')[1][1] == 0
  end)
end

t.test('a bounce is reported to the sender, with ENVID, ORCPT and the headers', function()
  local sink, reports = t.smtp_sink { rcpt = { '550 5.1.1 no such user' } }, t.smtp_sink()
  local text = policy(sink, reports)
  local milter, router = t.milter { policy = text }, t.router { policy = text }
  send(milter, {
    mail = { '<ann@sender.test>', 'RET=HDRS', 'ENVID=QQ+2B314' },
    rcpt = { { '<bob@dest.test>', 'NOTIFY=FAILURE', 'ORCPT=rfc822;bob+2Bx@list.test' } },
  })
  t.log(router, 'Delivery', { recipient = 'ann@sender.test' })
  empty(router)
  local m = reports:messages()[1]
  t.eq(m.from, '')
  local r = read(m.data)
  t.eq(r.type, 'multipart/report')
  t.eq(r.report, 'delivery-status')
  t.eq(r.auto, 'auto-replied')
  t.eq(r.to, 'ann@sender.test')
  t.eq(r.message['reporting-mta'], 'dns;mx.example.com')
  t.eq(r.message['original-envelope-id'], 'QQ+314')
  t.eq(#r.recipients, 1)
  t.eq(r.recipients[1]['original-recipient'], 'rfc822;bob+x@list.test')
  t.eq(r.recipients[1]['final-recipient'], 'rfc822;bob@dest.test')
  t.eq(r.recipients[1].action, 'failed')
  t.eq(r.recipients[1].status, '5.1.1')
  t.eq(r.recipients[1]['diagnostic-code'], 'smtp;550 5.1.1 no such user')
  t.eq(r.recipients[1]['remote-mta'], 'dns;sink.test')
  t.eq(r.parts[3], 'text/rfc822-headers')
  t.has(r.original, 'Subject: hello')
  t.lacks(r.original, 'Hello.')
end)

t.test('RET=FULL returns the message', function()
  local sink, reports = t.smtp_sink { rcpt = { '550 5.1.1 no such user' } }, t.smtp_sink()
  local text = policy(sink, reports)
  local milter, router = t.milter { policy = text }, t.router { policy = text }
  send(milter, { mail = { '<ann@sender.test>', 'RET=FULL' }, rcpt = { { '<bob@dest.test>' } } })
  t.log(router, 'Delivery', { recipient = 'ann@sender.test' })
  local r = read(reports:messages()[1].data)
  t.eq(r.parts[3], 'message/rfc822')
  t.has(r.original, 'Hello.')
end)

t.test('never answered: the null sender, NOTIFY=NEVER, mail from programs', function()
  local sink, reports = t.smtp_sink { rcpt = { '550 5.1.1 no such user' } }, t.smtp_sink()
  local text = policy(sink, reports)
  local milter, router = t.milter { policy = text }, t.router { policy = text }
  send(milter, { mail = { '<>' }, rcpt = { { '<a@dest.test>' } } })
  send(milter, { rcpt = { { '<b@dest.test>', 'NOTIFY=NEVER' } } })
  send(milter, { rcpt = { { '<c@dest.test>', 'NOTIFY=SUCCESS' } } })
  send(milter, { rcpt = { { '<d@dest.test>' } }, data = 'Auto-Submitted: auto-generated\r\n' .. t.plain })
  t.wait_for('4 bounces', function()
    return #router:records 'Bounce' == 4
  end)
  empty(router)
  t.eq(#reports:messages(), 0)
end)

t.test('late mail is warned of once, and an expiry is a failure', function()
  local sink, reports = t.smtp_sink { rcpt = { '450 4.2.0 later' } }, t.smtp_sink()
  local text = policy(sink, reports, { options = "delay = '90m'", max_age = '5h' })
  local milter, router = t.milter { policy = text }, t.router { policy = text }
  send(milter, { rcpt = { { '<bob@dest.test>' } } })
  for attempt = 1, 5 do
    t.wait_for('failure ' .. attempt, function()
      return #router:records 'TransientFailure' >= attempt
    end)
    t.wait_for('the row', function()
      return router:sql("SELECT count(*) FROM recipient WHERE address = 'bob@dest.test' AND state = 1")[1][1] == 0
    end)
    -- Not once more: it would also pass the time that the policy has for the report's queue.
    if attempt < 5 then
      router:advance '62 mins'
    end
  end
  t.log(router, 'Expiration')
  t.wait_for('two reports', function()
    return #reports:messages() == 2
  end)
  empty(router)
  local late, failed = read(reports:messages()[1].data), read(reports:messages()[2].data)
  t.eq(late.recipients[1].action, 'delayed')
  t.eq(late.recipients[1].status, '4.2.0')
  t.eq(failed.recipients[1].action, 'failed')
  t.eq(failed.recipients[1].status, '5.4.7')
  t.eq(#reports:messages(), 2)
end)

t.test('killed around the outcome: the report comes with it, once', function()
  for _, point in ipairs { 'outcome.after-record', 'outcome.before-commit' } do
    local sink, reports = t.smtp_sink { rcpt = { '550 5.1.1 no such user' } }, t.smtp_sink()
    local text = policy(sink, reports)
    local router = t.router { policy = text, env = { PENSTOCK_FAULT = point .. ':1:kill' } }
    router:enqueue { to = 'bob@dest.test' }
    router:wait(15000)
    t.rows(router:sql 'SELECT count(*) FROM message', { { 1 } })
    router = t.router { policy = text }
    t.wait_for('the report', function()
      return #reports:messages() == 1
    end)
    empty(router)
    t.eq(#reports:messages(), 1)
    router:stop()
  end
end)

t.test('a report has no line that SMTP cannot carry and no field that others made up, whatever the host said', function()
  local words = ('word '):rep(100)
  local sink = t.smtp_sink { rcpt = { ('550-5.1.1 %s\r\n550-5.1.1 Action: delivered\r\n'):format(words):rep(4) .. '550 5.1.1 J\xc3\xb6rg \xff' } }
  local reports = t.smtp_sink()
  local text = policy(sink, reports)
  local milter, router = t.milter { policy = text }, t.router { policy = text }
  send(milter, { rcpt = { { '<bob@dest.test>' } } })
  t.log(router, 'Delivery', { recipient = 'ann@sender.test' })
  empty(router)
  local data = reports:messages()[1].data
  for line in data:gmatch '([^\n]*)\n' do
    t.ok(#line <= 999, 'a line of ' .. #line)
  end
  local r = read(data)
  t.eq(#r.recipients, 1)
  t.eq(r.recipients[1].action, 'failed')
  t.has(r.recipients[1]['diagnostic-code'], 'smtp;550 5.1.1 word word')
  t.lacks(r.recipients[1]['diagnostic-code'], '\xc3')
end)
