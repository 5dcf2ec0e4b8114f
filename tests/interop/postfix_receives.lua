-- A real Postfix takes what the router sends, and knows what the sender wished for.
local t = require 'harness'
local postfix = require 'postfix'

-- To Postfix with STARTTLS, except dest.test, which goes to `refuses`.
local function policy(port, refuses)
  return ([[
local kumo = require 'kumo'
require('penstock.dsn').setup { reporting_mta = 'mx.example.com' }
kumo.on('init', function()
  kumo.start_esmtp_listener { listen = '0.0.0.0:25', relay_hosts = { '0.0.0.0/0' }, hostname = 'mx.example.com' }
  %s
end)
kumo.on('get_queue_config', function(domain)
  return kumo.make_queue_config { protocol = { smtp = { mx_list = { {
    name = 'mx.receiver.test', addr = domain == 'dest.test' and '%s' or '127.0.0.1:%d' } } } } }
end)
kumo.on('get_egress_path_config', function()
  return kumo.make_egress_path { prohibited_hosts = {}, enable_tls = 'OpportunisticInsecure' }
end)]]):format(t.local_logs(), refuses or '127.0.0.1:9', port)
end

local function send(milter, o)
  local mta = milter:connect { ip = '192.0.2.7', helo = 'client.test' }
  t.eq(mta:mail(table.unpack(o.mail)), 'continue')
  for _, rcpt in ipairs(o.rcpt) do
    t.eq(mta:rcpt(table.unpack(rcpt)), 'continue')
  end
  t.eq(mta:message(o.data or t.plain), 'discard')
end

-- Mail for receiver.test is taken there (unknown@ is not), reports go to `reports`.
local function receiver(port, reports)
  local c = t.certificate 'DNS:mx.receiver.test'
  return postfix.start(nil, {
    'myhostname=mx.receiver.test', 'mydestination=receiver.test', 'smtpd_tls_security_level=may', 'mailbox_size_limit=0',
    'smtpd_tls_cert_file=' .. c.cert, 'smtpd_tls_key_file=' .. c.key, 'local_transport=discard',
    ('transport_maps=inline:{unknown@receiver.test=local:,sender.test=smtp:[127.0.0.1]:%d}'):format(reports.port),
  }, { port = port })
end

t.test('NOTIFY, RET, ENVID and ORCPT reach a real Postfix, whose own reports come back with them', function()
  local reports, port = t.smtp_sink(), postfix.free_port()
  local text = policy(port)
  local milter, router, theirs = t.milter { policy = text }, t.router { policy = text }, receiver(port, reports)
  send(milter, {
    mail = { '<ann@sender.test>', 'RET=HDRS', 'ENVID=QQ+2B314' },
    rcpt = {
      { '<good@receiver.test>', 'NOTIFY=SUCCESS,FAILURE', 'ORCPT=rfc822;list+2Bx@first.test' },
      { '<quiet@receiver.test>', 'NOTIFY=NEVER' },
    },
  })
  send(milter, {
    mail = { '<ann@sender.test>', 'RET=FULL', 'ENVID=second' },
    rcpt = { { '<unknown@receiver.test>', 'NOTIFY=FAILURE', 'ORCPT=rfc822;nobody@first.test' } },
  })
  send(milter, { mail = { '<ann@sender.test>' }, rcpt = { { '<unknown@receiver.test>', 'NOTIFY=NEVER' } } })
  local r = t.log(router, 'Delivery', { recipient = 'unknown@receiver.test' }, 60000)
  t.ok(r.tls_cipher, 'in TLS')
  t.wait_for('deliveries', function()
    local n = 0
    for _, x in ipairs(router:records 'Delivery') do
      n = n + (type(x.recipient) == 'table' and #x.recipient or 1)
    end
    return n == 4
  end, 60000)
  t.wait_for('two reports and an empty queue of Postfix', function()
    local _, removed = theirs:log():gsub(': removed', '')
    -- Three messages (or four), two reports.
    return #reports:messages() == 2 and removed >= 5
  end, 15000)
  local by = {}
  for _, m in ipairs(reports:messages()) do
    t.eq({ m.from, m.to }, { '', { 'ann@sender.test' } })
    by[m.data:match 'Action: (%a+)'] = m.data:gsub('\r', '')
  end
  t.has(by.delivered, 'Original-Envelope-Id: QQ+314')
  t.has(by.delivered, 'Original-Recipient: rfc822;list+x@first.test')
  t.has(by.delivered, 'Final-Recipient: rfc822; good@receiver.test')
  t.has(by.failed, 'Original-Envelope-Id: second')
  t.has(by.failed, 'Original-Recipient: rfc822;nobody@first.test')
  t.match(by.failed, 'Status: 5%.1%.1')
  -- RET: Postfix returns the headers with the one, everything with the other.
  t.match(by.delivered, 'Content%-Type: text/rfc822%-headers')
  t.match(by.failed, 'Content%-Type: message/rfc822')
  for _, data in pairs(by) do
    t.lacks(data, 'quiet@receiver.test')
  end
end)

t.test('a real Postfix takes the reports that penstock.dsn makes', function()
  local long = ('word '):rep(180)
  local refuses = t.smtp_sink { rcpt = { ('550-5.1.1 %s\r\n'):format(long):rep(3) .. '550 5.1.1 J\xc3\xb6rg is not here' } }
  local reports, port = t.smtp_sink(), postfix.free_port()
  local text = policy(port, refuses.address)
  local milter, router, theirs = t.milter { policy = text }, t.router { policy = text }, receiver(port, reports)
  for _, ret in ipairs { 'FULL', 'HDRS' } do
    send(milter, {
      mail = { '<ann@receiver.test>', 'RET=' .. ret, 'ENVID=' .. ret },
      rcpt = { { '<bob@dest.test>', 'ORCPT=rfc822;bob+2Bx@list.test' } },
      data = 'Subject: J\xc3\xb6rg\r\nX-Long: ' .. long .. '\r\n\r\nJ\xc3\xb6rg\r\n.\r\n',
    })
  end
  t.wait_for('two reports over there', function()
    local _, n = theirs:log():gsub('to=<ann@receiver.test>[^\n]*status=sent', '')
    return n == 2
  end, 60000)
  t.lacks(theirs:log(), 'reject')
  t.lacks(theirs:log(), 'bounced')
  t.none(router, 'SELECT count(*) FROM recipient')
end)
