-- Outbound mail of many tenants: servers of ours hand in mail and say in headers
-- whose it is and for which campaign; each tenant has queues, sources and limits of
-- his own, so that one in trouble is in trouble alone.
local kumo = require 'kumo'

-- Where mail may leave from.
local SOURCES = {
  ['shared-1'] = { source_address = '198.51.100.21', ehlo_domain = 'out1.example.net' },
  ['shared-2'] = { source_address = '198.51.100.22', ehlo_domain = 'out2.example.net' },
  ['acme-1'] = { source_address = '198.51.100.31', ehlo_domain = 'out1.acme.example' },
  ['acme-2'] = { source_address = '198.51.100.32', ehlo_domain = 'out2.acme.example' },
}

-- Which sources, and how much of the mail each gets.
local POOLS = {
  shared = { { name = 'shared-1' }, { name = 'shared-2' } },
  -- acme-2 is new: it has to earn its reputation slowly.
  acme = { { name = 'acme-1', weight = 9 }, { name = 'acme-2', weight = 1 } },
}

-- pool: one of POOLS; domains: what the tenant may send as; queue: fields of
-- make_queue_config for all of his queues; campaigns: the same for one campaign.
local TENANTS = {
  acme = {
    pool = 'acme',
    domains = { ['acme.example'] = true, ['news.acme.example'] = true },
    queue = { max_retry_interval = '2 hours' },
    campaigns = {
      -- A password reset is of no use tomorrow.
      login = { max_age = '30 minutes', retry_interval = '1 minute' },
    },
  },
  school = {
    pool = 'shared',
    domains = { ['school.example'] = true },
    queue = { max_age = '2 days' },
  },
}

kumo.on('init', function()
  kumo.start_esmtp_listener {
    listen = '0.0.0.0:25',
    -- The servers that hand in mail; nobody else may.
    relay_hosts = { '192.0.2.0/28' },
    trace_headers = { include_meta_names = { 'tenant', 'campaign' } },
  }
  kumo.configure_local_logs {
    log_dir = '/var/log/penstock',
    meta = { 'tenant', 'campaign' },
  }
end)

-- The header's value; the header is taken out.
local function take(msg, header)
  local value = msg:get_first_named_header_value(header)
  msg:remove_all_named_headers(header)
  return value
end

kumo.on('smtp_server_message_received', function(msg, conn_meta)
  if conn_meta:get_meta 'received_from' == '127.0.0.1:0' then
    return -- made on this machine (cron and the like): of no tenant
  end
  local name = take(msg, 'X-Tenant')
  local campaign = take(msg, 'X-Campaign')
  local tenant = TENANTS[name or '']
  if not tenant then
    kumo.reject(550, '5.7.1 X-Tenant names no tenant of ours')
  end
  -- These become part of a queue's name.
  if campaign and not campaign:match '^[%w_.-]+$' then
    kumo.reject(550, '5.7.1 X-Campaign: letters, digits and _ . - only')
  end
  if not tenant.domains[msg:sender().domain:lower()] then
    kumo.reject(550, '5.7.1 ' .. name .. ' does not send as ' .. tostring(msg:sender()))
  end
  msg:set_meta('tenant', name)
  msg:set_meta('campaign', campaign)
end)

-- One queue for each campaign, tenant and destination.
kumo.on('get_queue_config', function(domain, tenant, campaign, routing_domain)
  local t = TENANTS[tenant or '']
  if not t then
    return kumo.make_queue_config { egress_pool = 'shared' }
  end
  local fields = { egress_pool = t.pool }
  for _, part in ipairs { t.queue or {}, t.campaigns and t.campaigns[campaign or ''] or {} } do
    for key, value in pairs(part) do
      fields[key] = value
    end
  end
  return kumo.make_queue_config(fields)
end)

kumo.on('get_egress_pool', function(name)
  local entries = POOLS[name] or error('no pool ' .. name)
  return kumo.make_egress_pool { name = name, entries = entries }
end)

kumo.on('get_egress_source', function(name)
  local source = SOURCES[name] or error('no source ' .. name)
  return kumo.make_egress_source {
    name = name,
    source_address = source.source_address,
    ehlo_domain = source.ehlo_domain,
  }
end)

-- How to treat a destination, from each source by itself: the site is the set of
-- its mail hosts, the same for all domains that one provider serves.
kumo.on('get_egress_path_config', function(domain, source, site)
  if source == 'acme-2' then
    return kumo.make_egress_path { connection_limit = 2, max_deliveries_per_connection = 10 }
  end
  if site:find('big%-provider%.example$') then
    return kumo.make_egress_path { connection_limit = 10, max_deliveries_per_connection = 50, enable_tls = 'Required' }
  end
  return kumo.make_egress_path { connection_limit = 5 }
end)

-- `penstock check`: the tables above fit together.
kumo.on('validate_config', function()
  local function wrong(text)
    kumo.log_error(text)
    kumo.validation_failed()
  end
  for name, tenant in pairs(TENANTS) do
    if not POOLS[tenant.pool] then
      wrong('TENANTS.' .. name .. ': no pool ' .. tenant.pool)
    end
  end
  for name, pool in pairs(POOLS) do
    for _, entry in ipairs(pool) do
      if not SOURCES[entry.name] then
        wrong('POOLS.' .. name .. ': no source ' .. entry.name)
      end
    end
  end
end)
