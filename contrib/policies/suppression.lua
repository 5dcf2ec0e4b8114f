-- Addresses that bounced, or whose owners complained, get no more mail.
--
-- Two customers (tenants) send through this host.  What a bounce or a complaint says
-- about an address holds for the customer whose mail it was; an unknown user is
-- unknown to everybody.  The list is in the queue:
--
--   penstock suppression list
--   penstock suppression add bob@example.net --reason 'asked by phone'
--   penstock suppression remove bob@example.net
local kumo = require 'kumo'
local suppression = require 'penstock.suppression'

suppression:setup {
  rules = {
    -- Unknown users: nobody needs to try again for three months.
    { record = 'Bounce', class = 'InvalidRecipient', scope = 'global', keep = '90 days' },
    { record = 'OOB', class = 'InvalidRecipient', scope = 'global', keep = '90 days' },
    -- A mailbox that is full three times in a month is not read.
    { record = 'Bounce', class = 'QuotaIssues', count = 3, within = '30 days', keep = '30 days' },
    -- Whoever complains never hears of this customer again.
    { record = 'Feedback', keep = 'forever' },
  },
}

local TENANTS = { ['news.example.com'] = 'news', ['shop.example.com'] = 'shop' }

kumo.on('init', function()
  kumo.start_esmtp_listener {
    listen = '0.0.0.0:25',
    relay_hosts = { '127.0.0.1', '::1', '192.0.2.0/28' },
  }
  kumo.configure_local_logs { log_dir = '/var/log/penstock', meta = { 'tenant' } }
  kumo.configure_bounce_classifier { files = { 'bounce-rules.toml' } }
end)

-- Where reports come to.
kumo.on('get_listener_domain', function(domain)
  if domain == 'bounces.example.com' then
    return kumo.make_listener_domain { log_oob = 'LogThenDrop', log_arf = 'LogThenDrop' }
  end
end)

-- Known at MAIL, so that recipients are refused at RCPT, one by one.
kumo.on('smtp_server_mail_from', function(sender, conn_meta)
  conn_meta:set_meta('tenant', TENANTS[sender.domain])
end)
