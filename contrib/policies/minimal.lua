-- The smallest useful policy: mail for our own domains goes to a smart host, our
-- own networks may send anywhere, everybody else is refused.
local kumo = require 'kumo'

-- Senders hear of mail that bounced, expired or is late.
require('penstock.dsn').setup {}

-- Domains that anybody may write to, and the server that has the mailboxes.
local OUR_DOMAINS = { ['example.com'] = true, ['example.net'] = true }
local MAILBOX_SERVER = 'mailboxes.example.com:25'

kumo.on('init', function()
  kumo.start_esmtp_listener {
    listen = '0.0.0.0:25',
    -- Addresses that may send to any domain.
    relay_hosts = { '127.0.0.1', '::1' },
  }
  kumo.configure_local_logs { log_dir = '/var/log/penstock' }
end)

kumo.on('get_listener_domain', function(domain, listener, conn_meta)
  if OUR_DOMAINS[domain] then
    return kumo.make_listener_domain { relay_to = true }
  end
end)

kumo.on('get_queue_config', function(domain, tenant, campaign, routing_domain)
  if OUR_DOMAINS[domain] then
    return kumo.make_queue_config {
      protocol = { smtp = { mx_list = { MAILBOX_SERVER } } },
    }
  end
  -- Everything else goes to the MX hosts of its domain, from the address that
  -- the kernel chooses, retried after 20 minutes, 40, 80, ... for 7 days.
  return kumo.make_queue_config {}
end)
