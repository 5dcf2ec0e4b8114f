-- Submission: people and machines that log in to the MTA, what each may send as,
-- to whom, and how much.
--
-- The MTA authenticates (in Postfix smtpd_sasl_auth_enable = yes, and only over
-- TLS); the policy hears the result from MAIL on, as authz_id.
local kumo = require 'kumo'

-- Senders hear of mail that bounced, expired or is late.
require('penstock.dsn').setup {}

-- as: the domains that the user may put into the sender's address;
-- to: the domains that he may send to, or 'anywhere';
-- rate: recipients in a time; more than that is deferred.
local USERS = {
  scott = { as = { 'example.com', 'example.net' }, to = 'anywhere', rate = '200/h' },
  newsletter = { as = { 'news.example.com' }, to = 'anywhere', rate = '20000/h' },
  -- The scanner on the second floor: a stolen password is of no use to anybody.
  ['scanner@example.com'] = { as = { 'example.com' }, to = { 'example.com', 'accounting.example.org' }, rate = '60/h' },
}

kumo.on('init', function()
  kumo.start_esmtp_listener {
    listen = '0.0.0.0:587',
    -- Nobody is trusted for his address.
    relay_hosts = {},
    max_recipients_per_message = 500,
  }
  kumo.configure_local_logs {
    log_dir = '/var/log/penstock',
    meta = { 'authz_id' },
  }
end)

local function user_of(conn_meta)
  return USERS[conn_meta:get_meta 'authz_id' or '']
end

-- Mail that programs on this machine make (cron and the like): they do not log in.
-- A client that connects always has a port.
local function is_local(conn_meta)
  return conn_meta:get_meta 'received_from' == '127.0.0.1:0'
end

local function contains(list, domain)
  for _, d in ipairs(list) do
    if d == domain then
      return true
    end
  end
  return false
end

kumo.on('smtp_server_mail_from', function(sender, conn_meta)
  if is_local(conn_meta) then
    return
  end
  local user = user_of(conn_meta)
  if not user then
    kumo.reject(530, '5.7.0 log in first')
  end
  -- <> is for programs that report, not for people.
  if not contains(user.as, sender.domain:lower()) then
    kumo.reject(553, '5.7.1 you may not send as ' .. tostring(sender))
  end
end)

-- Asked for the recipient's domain, and before that for the sender's; relay_to is
-- about recipients only.
kumo.on('get_listener_domain', function(domain, listener, conn_meta)
  local user = user_of(conn_meta)
  if user and (user.to == 'anywhere' or contains(user.to, domain)) then
    return kumo.make_listener_domain { relay_to = true }
  end
end)

-- Only for recipients that the rules let pass.
kumo.on('smtp_server_rcpt_to', function(recipient, conn_meta)
  local name = conn_meta:get_meta 'authz_id'
  if not name then
    return -- this machine itself
  end
  local throttle = kumo.make_throttle('user ' .. name, user_of(conn_meta).rate)
  if throttle:throttle().throttled then
    kumo.reject(451, '4.7.1 too much mail in a short time, try again later')
  end
end)

-- A queue for each user: one who sends a lot waits for himself only.
-- '@' and ':' part the name of a queue: user@domain becomes user/domain.
kumo.on('smtp_server_message_received', function(msg, conn_meta)
  local user = conn_meta:get_meta 'authz_id'
  msg:set_meta('tenant', user and (user:gsub('[@:]', '/')))
end)
