-- Reports to senders: what failed, what is late (RFC 3461, 3464).
--
--   require('penstock.dsn').setup {}
--
-- at the top of a policy makes the router answer the sender of mail that bounced
-- or expired, and warn once of mail that is late, as NOTIFY, RET, ENVID and ORCPT
-- of the sender ask for.  A report is stored in the transaction of the outcome
-- that it is about.  Never answered: the null sender, mail that says it was
-- submitted by a program (Auto-Submitted), and mail that goes in circles.
--
-- Options: reporting_mta  name of this host in reports (the listener's hostname)
--          delay          warn of mail that is older (4 hours); false: never
--          full           return the whole message when the sender did not say (false)
--          from           address of the From field (MAILER-DAEMON at the host)
local kumo = require 'kumo'

local mod = {}
local HOOK = 'penstock.dsn'
local WARNED = 'penstock_dsn_warned'
local MOST_RETURNED = 1024 * 1024
local MOST_LINE = 900 -- RFC 5321 allows 998

-- ---- small things ----

-- Text as it may stand in a header field: one line, no blanks around it.
local function clean(text)
  return (tostring(text or ''):gsub('[%c%s]+', ' '):gsub('^ ', ''):gsub(' $', ''))
end

-- The same for message/delivery-status, which is ASCII (RFC 3464, 2.1).
local function ascii(text)
  return (clean(text):gsub('[\xc2-\xf4][\x80-\xbf]+', '?'):gsub('[\x80-\xff]', '?'))
end

-- In lines that SMTP can carry: at a blank, or where a line is full.
local function fold(text)
  local out = {}
  while #text > MOST_LINE do
    local at = text:sub(1, MOST_LINE):match '^.*() '
    if not at or at < MOST_LINE // 2 then
      at = MOST_LINE
      while at > 1 and text:byte(at) >= 0x80 and text:byte(at) < 0xc0 do
        at = at - 1
      end
    end
    out[#out + 1] = text:sub(1, at - 1)
    text = ' ' .. text:sub(at):gsub('^ ', '')
  end
  out[#out + 1] = text
  return table.concat(out, '\r\n')
end

local function field(name, value)
  return fold(name .. ': ' .. ascii(value)) .. '\r\n'
end

-- RFC 6533, 3: what is not ASCII in an address, in ASCII.
local function typed(address)
  if not address:find '[\x80-\xff]' then
    return 'rfc822;' .. address
  end
  if not utf8.len(address) then
    return 'rfc822;' .. ascii(address)
  end
  return 'utf-8;' .. address:gsub(utf8.charpattern, function(c)
    return not c:find '^[!-~]$' and ('\\x{%02X}'):format(utf8.codepoint(c))
      or c:find '^[\\+=]$' and ('\\x{%02X}'):format(c:byte()) or c
  end)
end

-- RFC 3461, 4: "+41" is "A".
local function xtext(text)
  return (text:gsub('%+(%x%x)', function(hex)
    return string.char(tonumber(hex, 16))
  end))
end

local function has_word(list, word)
  return (',' .. list:upper() .. ','):find(',' .. word .. ',', 1, true) ~= nil
end

-- NOTIFY absent: as if FAILURE and DELAY had been said.
local function wants(notify, word)
  if not notify or notify == '' then
    return word ~= 'SUCCESS'
  end
  return has_word(notify:gsub('%s', ''), word)
end

local function status_of(response)
  local e = response.enhanced_code
  if type(e) == 'table' or type(e) == 'userdata' then
    return ('%d.%d.%d'):format(e.class, e.subject, e.detail)
  end
  return response.code >= 500 and '5.0.0' or response.code >= 400 and '4.0.0' or '2.0.0'
end

local function list_of(recipient)
  if type(recipient) == 'string' then
    return { recipient }
  end
  local out = {}
  for i = 1, #recipient do
    out[i] = recipient[i]
  end
  return out
end

-- Seconds since the message came: its id begins with the time in milliseconds.
local function age(msg)
  return kumo.time.now().unix_timestamp - (tonumber(msg:id():sub(1, 12), 16) or 0) // 1000
end

local function may_be_answered(msg, record)
  if record.sender == '' or msg:sender().email == '' then
    return false
  end
  local auto = msg:get_first_named_header_value 'Auto-Submitted'
  if auto and not auto:lower():match '^%s*no%f[%A]' then
    return false
  end
  return status_of(record.response) ~= '5.4.6' -- it goes in circles
end

-- ---- the report ----

local ACTIONS = {
  failed = { subject = 'Undelivered mail', text = 'could not be delivered to the recipients below. It is given up.' },
  delayed = { subject = 'Delayed mail', text = 'could not be delivered yet to the recipients below. It will be tried again; nothing has to be done.' },
  delivered = { subject = 'Delivered mail', text = 'was delivered to the recipients below.' },
}

-- A CR or LF that stands alone would end a line for some, not for others.
local function crlf(bytes)
  if bytes:find '^\n' or bytes:find '[^\r]\n' or bytes:find '\r[^\n]' or bytes:find '\r$' then
    bytes = bytes:gsub('\r\n', '\n'):gsub('\r', '\n'):gsub('\n', '\r\n')
  end
  return bytes:sub(-2) == '\r\n' and bytes or bytes .. '\r\n'
end

local function original_part(data, full)
  if full and #data <= MOST_RETURNED then
    return 'message/rfc822', crlf(data)
  end
  local stop = #data
  for _, empty in ipairs { '\n\r\n', '\n\n', '\r\r' } do
    stop = math.min(stop, data:find(empty, 1, true) or stop)
  end
  return 'text/rfc822-headers', crlf(data:sub(1, math.min(stop, MOST_RETURNED)))
end

local function group(o, r)
  local response = o.record.response
  local out = {}
  local function add(name, value)
    out[#out + 1] = field(name, value)
  end
  if r.orcpt then
    local kind, value = r.orcpt:match '^([%w-]+);(.*)$'
    value = value and clean(xtext(value)) or ''
    if value ~= '' then
      add('Original-Recipient', kind .. ';' .. value)
    end
  end
  add('Final-Recipient', typed(clean(r.address)))
  add('Action', o.action)
  add('Status', status_of(response))
  local peer = o.record.peer_address
  local name = peer and clean(peer.name) or ''
  if name ~= '' and not name:find ' ' then
    add('Remote-MTA', 'dns;' .. name)
  end
  if o.action ~= 'delivered' then
    local e = response.enhanced_code and status_of(response) .. ' ' or ''
    add('Diagnostic-Code', ('smtp;%d %s%s'):format(response.code, e, response.content))
  end
  add('Last-Attempt-Date', kumo.time.from_unix_timestamp(o.record.timestamp).rfc2822)
  return table.concat(out)
end

local function encoding(bytes)
  return 'Content-Transfer-Encoding: ' .. (bytes:find '[\x80-\xff]' and '8bit' or '7bit') .. '\r\n'
end

-- o: msg, record, action, recipients (address, orcpt), envid, host, from, full,
-- no_original.  Returns the report as text.
local function render(o)
  local words = ACTIONS[o.action]
  local boundary = '=_' .. kumo.uuid.new_v4().simple
  local response = o.record.response
  local text = {
    'This is the mail system at ', o.host, '.\r\n\r\nYour message ', words.text, '\r\n\r\n',
  }
  local status = { field('Reporting-MTA', 'dns;' .. o.host) }
  local envid = o.envid and clean(xtext(o.envid)) or ''
  if envid ~= '' then
    status[2] = field('Original-Envelope-Id', envid)
  end
  status[#status + 1] = field('Arrival-Date', kumo.time.from_unix_timestamp(o.record.created).rfc2822)
  for _, r in ipairs(o.recipients) do
    text[#text + 1] = fold(('  <%s>: %d %s'):format(clean(r.address), response.code, clean(response.content))) .. '\r\n'
    status[#status + 1] = '\r\n' .. group(o, r)
  end
  text = table.concat(text)
  local body = {}
  local function part(kind, bytes)
    body[#body + 1] = ('\r\n--%s\r\nContent-Type: %s\r\n'):format(boundary, kind)
    body[#body + 1] = encoding(bytes) .. '\r\n'
    body[#body + 1] = bytes
  end
  part('text/plain; charset=utf-8', text)
  part('message/delivery-status', table.concat(status))
  if not o.no_original and o.msg then
    part(original_part(o.msg:get_data(), o.full))
  end
  body[#body + 1] = '\r\n--' .. boundary .. '--\r\n'
  body = table.concat(body)
  return table.concat {
    'Date: ', kumo.time.now().rfc2822, '\r\n',
    fold('From: Mail Delivery System <' .. clean(o.from or 'MAILER-DAEMON@' .. o.host) .. '>'), '\r\n',
    fold('To: <' .. clean(o.record.sender) .. '>'), '\r\n',
    'Subject: ', words.subject, '\r\n',
    fold('Message-ID: <' .. kumo.uuid.new_v4().simple .. '@' .. o.host .. '>'), '\r\n',
    'Auto-Submitted: auto-replied\r\n',
    'MIME-Version: 1.0\r\n',
    'Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary="', boundary, '"\r\n',
    encoding(body), body,
  }
end

local function host_of(option, msg)
  if type(option) == 'table' then
    option = option.name
  end
  local name = ascii(option or msg and msg:get_meta 'hostname')
  return name ~= '' and name:sub(1, 255) or 'localhost'
end

-- The recipients of the record that asked for it, with what they said.
local function concerned(msg, record, word)
  local envelope = msg and penstock.envelope(msg) or { recipients = {} }
  local known, out = {}, {}
  for _, r in ipairs(envelope.recipients) do
    known[r.address] = r
  end
  for _, address in ipairs(list_of(record.recipient)) do
    local r = known[address] or {}
    if wants(r.notify, word) then
      out[#out + 1] = { address = address, orcpt = r.orcpt }
    end
  end
  return out, envelope
end

local KINDS = {
  Bounce = { 'failed', 'FAILURE' },
  AdminBounce = { 'failed', 'FAILURE' },
  Expiration = { 'failed', 'FAILURE' },
  TransientFailure = { 'delayed', 'DELAY' },
  Delivery = { 'delivered', 'SUCCESS' },
}

-- ---- public ----

-- The report that goes with a record, or nil when there is nothing to say.
function mod.generate(options, msg, record)
  local kind = KINDS[record.type]
  if not kind or not may_be_answered(msg, record) then
    return nil
  end
  local recipients, envelope = concerned(msg, record, kind[2])
  if #recipients == 0 then
    return nil
  end
  local full = options.full
  if envelope.ret then
    full = envelope.ret:upper() == 'FULL'
  end
  local text = render {
    msg = msg, record = record, action = kind[1], recipients = recipients, envid = envelope.envid,
    host = host_of(options.reporting_mta, msg), from = options.from,
    full = full and kind[1] == 'failed',
  }
  return kumo.make_message('', record.sender, text)
end

-- kumo.generate_rfc3464_message
function mod.generate_rfc3464_message(params, msg, record)
  params = params or {}
  if record.sender == '' then
    return nil
  end
  local bounce = record.type == 'Bounce' and record.delivery_protocol == 'ESMTP' and params.enable_bounce
  local expiration = record.type == 'Expiration' and params.enable_expiration
  if not bounce and not expiration then
    return nil
  end
  local recipients = {}
  for i, address in ipairs(list_of(record.recipient)) do
    recipients[i] = { address = address }
  end
  local include = params.include_original_message
  local text = render {
    msg = msg, record = record, action = 'failed', recipients = recipients,
    host = host_of(params.reporting_mta, msg), full = include == 'FullContent', no_original = include == 'No',
  }
  return kumo.make_message('', record.sender, text)
end

function mod.setup(options)
  options = options or {}
  for key in pairs(options) do
    if key ~= 'reporting_mta' and key ~= 'delay' and key ~= 'full' and key ~= 'from' then
      error(('penstock.dsn: unknown option "%s"'):format(key), 2)
    end
  end
  local delay = options.delay
  if delay == nil then
    delay = '4 hours'
  end
  if delay then
    delay = kumo.time.parse_duration(delay).seconds
  end

  kumo.on('pre_init', function()
    kumo.configure_log_disposition_hook {
      name = HOOK,
      per_record = {
        Bounce = { enable = true },
        AdminBounce = { enable = true },
        Expiration = { enable = true },
        Delivery = { enable = true },
        TransientFailure = { enable = delay and true or false },
        Any = { enable = false },
      },
    }
  end)

  kumo.on('log_disposition_' .. HOOK, function(msg, record)
    if record.type == 'TransientFailure' and (age(msg) < delay or msg:get_meta(WARNED)) then
      return
    end
    -- A host that speaks SMTP has been told what the sender wants.
    if record.type == 'Delivery' and record.delivery_protocol ~= 'Maildir' and record.delivery_protocol ~= 'Lua' then
      return
    end
    local report = mod.generate(options, msg, record)
    if report then
      kumo.inject_message(report)
    end
  end)

  -- Remembers the warning: this metadata is written back with the retry.
  if delay then
    kumo.on('requeue_message', function(msg)
      if age(msg) >= delay then
        msg:set_meta(WARNED, true)
      end
    end)
  end
end

return mod
