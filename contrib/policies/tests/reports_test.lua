-- reports.lua
local t = require 'penstock.test'

t.policy '../reports.lua'

local BOUNCE = [[
From: MAILER-DAEMON@mx.example.org
To: b-1234@bounces.example.com
Subject: Undelivered mail
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="=b"

--=b
Content-Type: text/plain

No such user.

--=b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.org

Final-Recipient: rfc822; bob@example.org
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 no such user

--=b--
]]

-- A complaint about this message.
local function complaint(original)
  return [[
From: fbl@provider.example
To: abuse@fbl.example.com
Subject: complaint
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="=f"

--=f
Content-Type: text/plain

A user does not want this.

--=f
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: Provider/1.0
Version: 1
Original-Mail-From: b-1234@bounces.example.com

--=f
Content-Type: message/rfc822

]] .. original .. '\n--=f--\n'
end

local function from_outside(to, message)
  return (t.send { ip = '203.0.113.9', ehlo = 'mx.example.org', from = '', to = to, message = message })
end

t.test('a bounce is logged as OOB and not kept', function()
  t.accepted(from_outside('b-1234@bounces.example.com', BOUNCE))
  t.eq(t.stored(), {})
  local oob = t.records 'OOB'
  t.eq(#oob, 1)
  t.eq(oob[1].sender, 'b-1234@bounces.example.com')
  t.eq(oob[1].recipient, 'bob@example.org')
  t.eq(oob[1].response.code, 550)
  t.eq(oob[1].bounce_classification, 'InvalidRecipient')
end)

t.test('a complaint is logged with the tenant and campaign of the message it is about', function()
  t.accepted((t.send {
    ip = '192.0.2.3', from = 'b-1234@bounces.example.com', to = 'bob@example.org',
    message = { subject = 'news', headers = { { 'X-Tenant', 'acme' }, { 'X-Campaign', 'spring' } }, body = 'Buy!' },
  }))
  local sent = t.stored()[1]
  t.eq(sent.queue, 'spring:acme@example.org')
  t.eq(sent:header 'X-Tenant', nil)
  t.accepted(from_outside('abuse@fbl.example.com', complaint(sent.data)))
  t.eq(#t.stored(), 1)
  local report = t.records('Feedback')[1].feedback_report
  t.eq(report.feedback_type, 'abuse')
  t.has(report.supplemental_trace, { tenant = 'acme', campaign = 'spring', recipient = 'bob@example.org' })
end)

t.test('what is no report is refused, also a report of the other kind', function()
  for _, to in ipairs { 'b-1234@bounces.example.com', 'abuse@fbl.example.com' } do
    t.refused(from_outside(to, { subject = 'cheap watches', body = 'Hello' }), '550 5.7.1')
  end
  t.refused(from_outside('abuse@fbl.example.com', BOUNCE), '550 5.7.1')
  t.eq(t.stored(), {})
end)

t.test('strangers may write to nobody else', function()
  t.refused(from_outside('bob@example.com', { subject = 'x' }), '550 5.7.1')
  t.refused(from_outside('bob@example.org', BOUNCE), '550 5.7.1')
end)
