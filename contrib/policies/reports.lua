-- Bounces and complaints: the domains that our mail names for them, read and logged
-- instead of delivered.
--
-- Mail of ours has a sender such as b-1234@bounces.example.com; what a server far
-- away returns to it later ("out of band") is a report that this policy logs as
-- OOB.  Providers send complaints to abuse@fbl.example.com, where we have signed
-- up: logged as Feedback, with the campaign that the complaint is about.
--
--   zstd -dc /var/log/penstock/* | jq -c 'select(.type == "OOB" or .type == "Feedback")'
local kumo = require 'kumo'

local BOUNCES = 'bounces.example.com'
local FEEDBACK = 'fbl.example.com'

kumo.on('init', function()
  kumo.start_esmtp_listener {
    listen = '0.0.0.0:25',
    relay_hosts = { '127.0.0.1', '::1', '192.0.2.0/28' },
    -- What leaves carries these in a header; a complaint brings it back, and the
    -- Feedback record shows it as supplemental_trace.
    trace_headers = { include_meta_names = { 'tenant', 'campaign' } },
  }
  kumo.configure_local_logs {
    log_dir = '/var/log/penstock',
    meta = { 'tenant', 'campaign' },
    headers = { 'Subject' },
  }
  -- What reports say in many words becomes a class, such as InvalidRecipient, in
  -- bounce_classification; `penstock classify` tells why.
  kumo.configure_bounce_classifier { files = { 'bounce-rules.toml' } }
end)

kumo.on('get_listener_domain', function(domain, listener, conn_meta)
  -- LogThenDrop: accepted, logged, not kept.  `true` would also keep it where
  -- relaying is allowed.  What is no report is refused (550 5.7.1).
  if domain == BOUNCES then
    return kumo.make_listener_domain { log_oob = 'LogThenDrop' }
  end
  if domain == FEEDBACK then
    return kumo.make_listener_domain { log_arf = 'LogThenDrop' }
  end
end)

-- Our own servers say in headers whose mail it is; the world need not read them.
kumo.on('smtp_server_message_received', function(msg, conn_meta)
  for header, name in pairs { ['X-Tenant'] = 'tenant', ['X-Campaign'] = 'campaign' } do
    local value = msg:get_first_named_header_value(header)
    if value then
      msg:set_meta(name, (value:gsub('[@:]', '/'))) -- they part the name of a queue
      msg:remove_all_named_headers(header)
    end
  end
end)
