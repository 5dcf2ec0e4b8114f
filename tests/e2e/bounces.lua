-- The bounce classifier: what sort of failure a reply tells of, in the records of both
-- daemons.
local t = require 'harness'

local RULES = TOP_SRCDIR .. '/contrib/bounce-rules.toml'

-- o: files (text of a Lua list), sink, domains, more.
local function policy(o)
  return ([[
local kumo = require 'kumo'
kumo.on('init', function()
  kumo.start_esmtp_listener { listen = '0.0.0.0:25', relay_hosts = { '192.0.2.0/24' } }
  kumo.configure_local_logs { log_dir = '%s' }
  kumo.configure_bounce_classifier { files = { %s } }
end)
kumo.on('get_listener_domain', function(domain)
  if domain == 'bounces.test' then
    return kumo.make_listener_domain { log_oob = 'LogThenDrop' }
  elseif domain == 'fbl.test' then
    return kumo.make_listener_domain { log_arf = 'LogThenDrop' }
  end
end)
kumo.on('get_queue_config', function()
  return kumo.make_queue_config {
    protocol = { smtp = { mx_list = { { name = 'sink.test', addr = '%s' } } } },
    retry_interval = '1m', %s
  }
end)
kumo.on('get_egress_path_config', function() return kumo.make_egress_path { prohibited_hosts = {} } end)
kumo.on('smtp_server_rcpt_to', function(rcpt)
  if rcpt.user == 'gone' then kumo.reject(550, '5.1.1 user unknown') end
end)
%s
]]):format(t.context().logs, o.files or "'" .. RULES .. "'", o.sink and o.sink.address or '127.0.0.1:9', o.queue or '',
    o.more or '')
end

local function class(daemon, kind, want)
  return t.log(daemon, kind, want).bounce_classification
end

t.test('bounces and transient failures carry the class of the reply', function()
  local sink = t.smtp_sink { rcpt = { '550-5.1.1 no such\r\n550 5.1.1 user here', '452 4.2.2 mailbox full' } }
  local router = t.router { policy = policy { sink = sink } }
  router:enqueue { to = 'a@example.com' }
  t.eq(class(router, 'Bounce'), 'InvalidRecipient')
  router:enqueue { to = 'b@example.com' }
  t.eq(class(router, 'TransientFailure'), 'QuotaIssues')
end)

t.test('what the router says itself has a class, and expiry has its own', function()
  local router = t.router { policy = policy { queue = "max_age = '30s'" } }
  router:enqueue { to = 'a@example.com' }
  t.eq(class(router, 'TransientFailure'), 'NoAnswerFromHost')
  t.eq(class(router, 'Expiration'), 'MessageExpired')
end)

t.test('deliveries and receptions have none', function()
  local sink = t.smtp_sink { dot = '250 2.0.0 the mailbox is full now' }
  local text = policy { sink = sink }
  local router = t.router { policy = text }
  local milter = t.milter { policy = text }
  local mta = milter:connect { ip = '192.0.2.7', helo = 'client.test' }
  t.eq(mta:mail '<ann@sender.test>', 'continue')
  t.eq(mta:rcpt '<bob@example.com>', 'continue')
  t.eq(mta:message(t.plain), 'discard')
  t.eq(class(milter, 'Reception'), 'Uncategorized')
  t.eq(class(router, 'Delivery'), 'Uncategorized')
end)

t.test('rejections carry the class of our own answer', function()
  local milter = t.milter { policy = policy {} }
  local mta = milter:connect { ip = '192.0.2.7', helo = 'client.test' }
  t.eq(mta:mail '<ann@sender.test>', 'continue')
  t.eq(mta:rcpt '<gone@example.com>', '550 5.1.1 user unknown')
  t.eq(class(milter, 'Rejection'), 'InvalidRecipient')
  local stranger = milter:connect { ip = '203.0.113.7', helo = 'stranger.test' }
  t.eq(stranger:mail '<eve@stranger.test>', 'continue')
  t.match(stranger:rcpt '<bob@example.com>', '^550 5%.7%.1 relaying not permitted')
  t.eq(class(milter, 'Rejection', { sender = 'eve@stranger.test' }), 'RelayDenied')
end)

t.test('delivery reports carry the class of the diagnostic code', function()
  local milter = t.milter { policy = policy {} }
  local mta = milter:connect { helo = 'mx.receiver.test' }
  t.eq(mta:mail '<>', 'continue')
  t.eq(mta:rcpt '<b-1@bounces.test>', 'continue')
  t.eq(mta:message(('From: mailer-daemon@receiver.test\nSubject: returned\nMIME-Version: 1.0\n'
    .. 'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\n\n'
    .. '--b\nContent-Type: text/plain\n\nIt failed.\n'
    .. '--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mail.receiver.test\n\n'
    .. 'Final-Recipient: rfc822; bob@receiver.test\nAction: failed\nStatus: 5.2.2\n'
    .. 'Diagnostic-Code: smtp; 552 5.2.2 over quota\n\n'
    .. '--b\nContent-Type: message/rfc822\n\nSubject: original\n\nHi.\n--b--\n'):gsub('\n', '\r\n')), 'discard')
  t.eq(class(milter, 'OOB'), 'QuotaIssues')
end)

t.test('feedback reports, whose response is an empty 250, have a class only where a rule says so', function()
  t.write('any.toml', "[rules]\nComplaint = ['^250']\n")
  local milter = t.milter { policy = policy { files = "'" .. t.dir() .. "/any.toml'" } }
  local mta = milter:connect { helo = 'mx.receiver.test' }
  t.eq(mta:mail '<fbl@receiver.test>', 'continue')
  t.eq(mta:rcpt '<abuse@fbl.test>', 'continue')
  local report = t.read(TOP_SRCDIR .. '/tests/data/reports/aol-style-abuse.eml'):gsub('\r?\n', '\r\n')
  t.eq(mta:message(report), 'discard')
  t.eq(class(milter, 'Feedback'), 'Complaint')
end)

t.test('rules of ours go in front of those that come with the program', function()
  t.write('ours.json', '{"rules": {"OurOwn": ["no such user here, honestly"], "Never": []}}')
  local sink = t.smtp_sink { rcpt = { '550 5.1.1 no such user here, honestly', '550 5.1.1 no such user' } }
  local router = t.router { policy = policy { sink = sink, files = ("'%s/ours.json', '%s'"):format(t.dir(), RULES) } }
  router:enqueue { to = 'a@example.com' }
  t.eq(class(router, 'Bounce', { recipient = 'a@example.com' }), 'OurOwn')
  router:enqueue { to = 'b@example.com' }
  t.eq(class(router, 'Bounce', { recipient = 'b@example.com' }), 'InvalidRecipient')
end)

t.test('an edited file counts after a reload, and a broken one leaves the last good rules', function()
  local sink = t.smtp_sink { rcpt = { '550 gone', '550 gone', '550 gone' } }
  t.write('r.toml', "[rules]\nFirst = ['gone']\n")
  local router = t.router { policy = policy { sink = sink, files = ("'%s/r.toml'"):format(t.dir()) } }
  router:enqueue { to = 'a@example.com' }
  t.eq(class(router, 'Bounce', { recipient = 'a@example.com' }), 'First')
  t.write('r.toml', "[rules]\nSecond = ['gone']\n")
  t.ok(router:reload())
  router:enqueue { to = 'b@example.com' }
  t.eq(class(router, 'Bounce', { recipient = 'b@example.com' }), 'Second')
  t.write('r.toml', "[rules]\nThird = ['gone', 'x(']\n")
  router:reload()
  router:line 'r%.toml: rules%.Third: rule 2: .*regular expression at character 3'
  router:enqueue { to = 'c@example.com' }
  t.eq(class(router, 'Bounce', { recipient = 'c@example.com' }), 'Second')
end)

t.test('the milter takes edited rules, too', function()
  t.write('r.toml', "[rules]\nFirst = ['user unknown']\n")
  local milter = t.milter { policy = policy { files = ("'%s/r.toml'"):format(t.dir()) } }
  for i, want in ipairs { 'First', 'Second' } do
    local mta = milter:connect { ip = '192.0.2.7', helo = 'client.test' }
    mta:mail(('<ann%d@sender.test>'):format(i))
    t.eq(mta:rcpt '<gone@example.com>', '550 5.1.1 user unknown')
    t.eq(class(milter, 'Rejection', { sender = ('ann%d@sender.test'):format(i) }), want)
    mta:close()
    t.write('r.toml', "[rules]\nSecond = ['user unknown']\n")
    milter:reload()
  end
end)

t.test('a rule that explodes is said once and holds nothing up', function()
  local long = ('a'):rep(400) .. '!'
  local sink = t.smtp_sink { rcpt = { '550 ' .. long, '550 ' .. long .. '!' } }
  t.write('r.toml', "[rules]\nBoom = ['^550 (a+)+$']\nFine = ['!$']\n")
  local router = t.router { policy = policy { sink = sink, files = ("'%s/r.toml'"):format(t.dir()) } }
  for _, to in ipairs { 'a@example.com', 'b@example.com' } do
    router:enqueue { to = to }
    t.eq(class(router, 'Bounce', { recipient = to }), 'Fine')
  end
  router:line 'rules%.Boom: rule 1 takes too many steps'
  local _, count = router:output():gsub('takes too many steps', '')
  t.eq(count, 1)
end)

t.test('bytes that are no UTF-8 in a reply are safe', function()
  local sink = t.smtp_sink { rcpt = { '550 5.1.1 user unknown \xff\xfe\xc3' } }
  local router = t.router { policy = policy { sink = sink } }
  router:enqueue { to = 'a@example.com' }
  t.eq(class(router, 'Bounce'), 'InvalidRecipient')
end)

local function check(init)
  local path = t.write('check.lua', "local kumo = require 'kumo'\nkumo.on('init', function()\n" .. init .. '\nend)\n')
  return t.penstock('--policy', path, 'check')
end

t.test('penstock check says what is wrong with the files', function()
  t.write('bad.yaml', 'rules:')
  t.write('bad.json', '{"rules": {"X": ["a", "(?<n>b"]}}')
  local C = 'kumo.configure_bounce_classifier '
  for init, want in pairs {
    [C .. '{}'] = 'files: required key is missing',
    [C .. "{ files = { '" .. t.dir() .. "/bad.yaml' } }"] = 'bad.yaml: a file of rules ends in .toml or .json',
    [C .. "{ files = { '/nonexistent/rules.toml' } }"] = '/nonexistent/rules.toml: No such file',
    [C .. "{ files = { 'no-such-rules.toml' } }"] = '/no-such-rules.toml: No such file',
    [C .. "{ files = { '" .. t.dir() .. "/bad.json' } }"] = 'bad.json: rules.X: rule 2: "(?<n>b": regular expression at character 7',
    [C .. '{ files = {} }\n' .. C .. '{ files = {} }'] = 'check.lua:4: kumo.configure_bounce_classifier: it has been called already',
  } do
    local status, out = check(init)
    t.eq(status, 78, init)
    t.has(out, want)
  end
  t.eq(check(C .. "{ files = { '" .. RULES .. "' } }"), 0)
end)

t.test('penstock classify says the class and the rule', function()
  t.write('r.toml', "[rules]\nGone = ['x', 'no such']\n")
  local path = t.write('p.lua', policy { files = ("'%s/r.toml'"):format(t.dir()) })
  local status, out = t.penstock('--policy', path, 'classify', '550', '5.1.1', 'no such user')
  t.eq(status, 0)
  t.eq(out, 'Gone: 550 5.1.1 no such user\n    ' .. t.dir() .. '/r.toml: rules.Gone: rule 2: no such\n')
  status, out = t.penstock('--policy', path, 'classify', '550 what')
  t.eq(status, 0)
  t.eq(out, 'Uncategorized: 550 what\n')
  status, out = t.penstock('--policy', path, '--json', 'classify', '550 x')
  t.eq(status, 0)
  t.match(out, '^{"text":"550 x","class":"Gone","file":"[^"]+/r.toml","rule":1,"pattern":"x"}\n$')
  status, out = t.penstock('--policy', t.write('none.lua', "local kumo = require 'kumo'\n"), 'classify', '550 x')
  t.eq(status, 78)
  t.has(out, 'configure_bounce_classifier is not called')
end)
