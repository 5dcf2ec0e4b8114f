-- Mail to the world at the pace that its receivers like: our networks may send
-- anywhere, and how many connections and messages a site gets stands in shaping.toml.
-- A change there holds within a minute, without a reload.
local kumo = require 'kumo'
local shaping = require 'policy-extras.shaping'

kumo.on('init', function()
  kumo.start_esmtp_listener {
    listen = '0.0.0.0:25',
    -- Addresses that may send to any domain.
    relay_hosts = { '127.0.0.1', '::1', '192.0.2.0/28' },
  }
  kumo.configure_local_logs { log_dir = '/var/log/penstock' }
end)

-- Mail leaves from two addresses.  Limits count for each of them; a site may get
-- other limits from "bulk" than from "main".
kumo.on('get_queue_config', function(domain, tenant, campaign, routing_domain)
  return kumo.make_queue_config { egress_pool = tenant == 'bulk' and 'bulk' or 'main' }
end)

kumo.on('get_egress_pool', function(name)
  return kumo.make_egress_pool { name = name, entries = { { name = name } } }
end)

local ADDRESSES = { main = '198.51.100.10', bulk = '198.51.100.11' }

kumo.on('get_egress_source', function(name)
  return kumo.make_egress_source { name = name, source_address = ADDRESSES[name] }
end)

-- What the sender calls a newsletter (RFC 2919) is bulk.
kumo.on('smtp_server_message_received', function(msg, conn_meta)
  if msg:get_first_named_header_value 'List-Id' then
    msg:set_meta('tenant', 'bulk')
  end
end)

kumo.on('get_egress_path_config', shaping:setup { '/etc/penstock/shaping.toml' })
