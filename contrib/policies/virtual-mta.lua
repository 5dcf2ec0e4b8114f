-- A virtual mail server for each local address: what a client meets (host name,
-- certificate), whom it may write to, and where the mail leaves from, all by the
-- address that it connected to.  vhosts.toml has the servers; a change there holds
-- within a minute, without a reload.
--
-- What the client sees before the policy is asked is the MTA's: in master.cf Postfix
-- needs a service for each address, with -o myhostname and -o smtpd_tls_chain_files
-- as they stand in the file.
local kumo = require 'kumo'

local VHOSTS = '/etc/penstock/vhosts.toml'

-- The file is read once a minute, however many connections there are, and at once
-- after `penstock reload`.
local load_vhosts = kumo.memoize(kumo.serde.toml_load, {
  name = 'vhosts',
  ttl = '1 minute',
  capacity = 1,
  invalidate_with_epoch = true,
})

local function vhosts()
  return load_vhosts(VHOSTS)
end

-- The virtual server with this name, or nil.
local function vhost(name)
  return name and vhosts().vhost[name]
end

-- Is the domain one of those that the server takes mail for?
local function is_hosted(server, domain)
  for _, hosted in ipairs(server and server.domains or {}) do
    if hosted == domain then
      return true
    end
  end
  return false
end

kumo.on('init', function()
  kumo.start_esmtp_listener {
    listen = '0.0.0.0:25',
    -- Nobody may send anywhere, unless the address that he came to says so.
    relay_hosts = {},
  }
  kumo.configure_local_logs {
    log_dir = '/var/log/penstock',
    meta = { 'vhost', 'tenant' },
  }
end)

-- For each new connection, before anything else.  [via.'ADDRESS'] in the file has
-- the shape of the listener's parameters; a client of an address that is not in the
-- file gets those of the listener above, and so may send to nobody.
kumo.on('smtp_server_get_dynamic_parameters', function(listener, conn_meta)
  return { via = vhosts().via }
end)

kumo.on('get_listener_domain', function(domain, listener, conn_meta)
  -- The metadata "vhost" comes from the [via] block.
  if is_hosted(vhost(conn_meta:get_meta 'vhost'), domain) then
    return kumo.make_listener_domain { relay_to = true }
  end
end)

-- Mail goes out as it came in: the tenant names the virtual server from here on.
kumo.on('smtp_server_message_received', function(msg, conn_meta)
  msg:set_meta('tenant', conn_meta:get_meta 'vhost')
end)

kumo.on('get_queue_config', function(domain, tenant, campaign, routing_domain)
  local server = vhost(tenant)
  if not server then
    -- Mail that this machine itself has sent.
    return kumo.make_queue_config {}
  end
  if is_hosted(server, domain) then
    -- Incoming: to the server that has the mailboxes.
    return kumo.make_queue_config {
      protocol = { smtp = { mx_list = { server.mailboxes } } },
    }
  end
  return kumo.make_queue_config { egress_pool = tenant }
end)

-- A pool of one source; both have the name of the virtual server.
kumo.on('get_egress_pool', function(name)
  return kumo.make_egress_pool { name = name, entries = { { name = name } } }
end)

kumo.on('get_egress_source', function(name)
  local server = vhost(name)
  if not server then
    error(VHOSTS .. ': there is no [vhost.' .. name .. ']')
  end
  return kumo.make_egress_source {
    name = name,
    source_address = server.source_address,
    ehlo_domain = server.ehlo_domain,
  }
end)

-- `penstock check` calls this: what a slip in vhosts.toml would only show later.
kumo.on('validate_config', function()
  for address, block in pairs(vhosts().via) do
    local name = block.meta and block.meta.vhost
    if not vhost(name) then
      kumo.log_error(VHOSTS .. ': via.' .. address .. ': meta.vhost: no such [vhost]')
      kumo.validation_failed()
    end
  end
end)
