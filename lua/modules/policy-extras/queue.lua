-- queue: tenants, campaigns and scheduled queues from TOML or JSON files.
--
--   local queue_helper = require('policy-extras.queue'):setup { '/etc/penstock/queues.toml' }
--   kumo.on('smtp_server_message_received', function(msg) queue_helper:apply(msg) end)
--
--   scheduling_header = "X-Schedule"
--   tenant_header = "X-Tenant"           # remove_tenant_header = true takes it out
--   campaign_header = "X-Campaign"
--   default_tenant = "others"
--   [tenant.others]                      # fields of kumo.make_queue_config
--   require_authz = ["scott"]            # who may be this tenant
--   overall_max_message_rate = "100/h"   # all its queues together
--   [tenant.others.campaigns.welcome]
--   [queue.default]
--   [queue."example.com"]                # or "*.example.com"
--   routing_domain = "relay.example.net" # where its mail goes instead
--   [queue."example.com".others]         # ... of this tenant
--   [queue."example.com".others.welcome] # ... and this campaign
--
-- What is further down in this list overrides what is above it.
local kumo = require 'kumo'
local typing = require 'policy-extras.typing'
local utils = require 'policy-extras.policy_utils'
local mod = {}

local CACHE_SECONDS = 300

local Tables = typing.map(typing.string, typing.any)
local Data = typing.record('QueueConfig', {
  scheduling_header = typing.option(typing.string),
  tenant_header = typing.option(typing.string),
  remove_tenant_header = typing.default(typing.boolean, false),
  campaign_header = typing.option(typing.string),
  remove_campaign_header = typing.default(typing.boolean, false),
  default_tenant = typing.option(typing.string),
  tenant = typing.default(typing.map(typing.string, Tables), {}),
  queue = typing.default(typing.map(typing.string, Tables), {}),
})

-- Not for kumo.make_queue_config.
local OWN_FIELDS = { require_authz = true, overall_max_message_rate = true, campaigns = true, routing_domain = true }

local function is_queue_field(key, value)
  local ok, err = pcall(kumo.make_queue_config, { [key] = value })
  return ok or not tostring(err):find('unknown key', 1, true), err
end

-- Splits a table into {fields, children}: a child is a table under a name that
-- is no field.  Checks the fields.
local function split(where, t)
  local level = { fields = {}, children = {} }
  for key, value in pairs(t) do
    if key == 'overall_max_message_rate' then
      kumo.make_throttle('check', value)
      level.rate = value
    elseif key == 'routing_domain' then
      if type(value) ~= 'string' or value == '' then
        error(string.format('%s: routing_domain: invalid value: %s, expected a domain', where, utils.dumps(value)), 0)
      end
      level.routing_domain = value
    elseif not OWN_FIELDS[key] then
      local is_field, err = is_queue_field(key, value)
      if err and type(err) ~= 'userdata' and (is_field or type(value) ~= 'table') then
        error(string.format('%s: %s', where, typing.extract_deserialize_error(err)), 0)
      end
      if is_field then
        level.fields[key] = value
      else
        level.children[key] = value
      end
    end
  end
  return level
end

local function no_children(where, level)
  local name = next(level.children)
  if name then
    error(string.format('%s: invalid field %s', where, utils.dumps(name)), 0)
  end
  return level
end

local function load_tenant(name, t)
  local where = 'tenant ' .. utils.dumps(name)
  if name:find '[@:]' then
    error(where .. ": invalid: '@' and ':' part the name of a queue", 0)
  end
  local level = no_children(where, split(where, t))
  level.require_authz = typing.option(typing.list(typing.string))(t.require_authz)
  level.campaigns = {}
  for campaign, fields in pairs(t.campaigns or {}) do
    local inner = string.format('%s: campaign %s', where, utils.dumps(campaign))
    level.campaigns[campaign] = no_children(inner, split(inner, fields))
  end
  return level
end

local function load_domain(name, t)
  local where = 'queue ' .. utils.dumps(name)
  local domain = split(where, t)
  for tenant, fields in pairs(domain.children) do
    local inner = string.format('%s: tenant %s', where, utils.dumps(tenant))
    local level = split(inner, fields)
    for campaign, more in pairs(level.children) do
      local innermost = string.format('%s: campaign %s', inner, utils.dumps(campaign))
      level.children[campaign] = no_children(innermost, split(innermost, more))
    end
    domain.children[tenant] = level
  end
  return domain
end

-- [queue.example.com] is the tenant "com" of the domain "example".
local function check_quotes(name, domain, tenants)
  local tenant = next(domain.children)
  if tenant and not tenants[tenant] and not name:find('.', 1, true) and name ~= 'default' and name ~= '*' then
    error(string.format('queue %s: tenant %s: invalid: there is no such tenant (a domain stands in quotes, [queue."%s.%s"])',
      utils.dumps(name), utils.dumps(tenant), name, tenant), 0)
  end
end

local function load(files)
  local data = {}
  for _, file in ipairs(files) do
    utils.recursive_merge_into(utils.load_json_or_toml_file(file), data)
  end
  data = Data(data)
  local tenants, domains = {}, {}
  for name, t in pairs(data.tenant) do
    tenants[name] = load_tenant(name, t)
  end
  for name, t in pairs(data.queue) do
    domains[name:lower()] = load_domain(name, t)
    check_quotes(name, domains[name:lower()], tenants)
  end
  data.tenant, data.default = tenants, domains.default
  domains.default = nil
  data.domains = kumo.domain_map.new(domains)
  if data.default_tenant and not tenants[data.default_tenant] then
    error(string.format('default_tenant: invalid: %s is not defined', utils.dumps(data.default_tenant)), 0)
  end
  return data
end

-- The levels that apply, from the most general, each with a name for its rate.
local function levels(data, domain, tenant, campaign)
  local list = {}
  local function add(level, name)
    if level then
      list[#list + 1] = { level = level, name = name }
    end
    return level
  end
  add(data.default, 'default')
  local by_domain = add(domain and data.domains[domain:lower()], 'domain ' .. tostring(domain))
  local by_tenant = add(tenant and data.tenant[tenant], 'tenant ' .. tostring(tenant))
  add(by_tenant and campaign and by_tenant.campaigns[campaign], string.format('tenant %s campaign %s', tenant, campaign))
  local both = add(by_domain and tenant and by_domain.children[tenant], string.format('domain %s tenant %s', domain, tenant))
  add(both and campaign and both.children[campaign], string.format('domain %s tenant %s campaign %s', domain, tenant, campaign))
  return list
end

local Helper = {}
Helper.__index = Helper

function Helper:data()
  local now = os.time()
  if not self.loaded or now >= self.load_at or now < self.load_at - CACHE_SECONDS then
    self.loaded = utils.load_files(self.files, load)
    self.load_at = now + CACHE_SECONDS
  end
  return self.loaded
end

local function header(msg, name, remove)
  local value = name and msg:get_first_named_header_value(name)
  if value and remove then
    msg:remove_all_named_headers(name)
  end
  return value ~= '' and value or nil
end

-- What the policy has set already stays.
local function route(data, msg)
  if msg:get_meta 'routing_domain' then
    return
  end
  local recipient, routing_domain = msg:recipient_list()[1], nil
  local domain = recipient and recipient.domain
  for _, l in ipairs(levels(data, domain, msg:get_meta 'tenant', msg:get_meta 'campaign')) do
    routing_domain = l.level.routing_domain or routing_domain
  end
  if routing_domain then
    msg:set_meta('routing_domain', routing_domain)
  end
end

-- Sets tenant, campaign and schedule from the message's headers, and the routing
-- domain by what the files say of them.
function Helper:apply(msg)
  local data = self:data()
  local tenant = header(msg, data.tenant_header, data.remove_tenant_header) or data.default_tenant
  if tenant then
    local level = data.tenant[tenant]
    if not level then
      kumo.reject(500, string.format("5.7.1 tenant '%s' is not defined", tenant))
    end
    if level.require_authz then
      local id = msg:get_meta 'authz_id'
      if not id or not utils.table_contains(level.require_authz, id) then
        kumo.reject(500, string.format("5.7.1 tenant '%s' is not for you", tenant))
      end
    end
    msg:set_meta('tenant', tenant)
  end
  local campaign = header(msg, data.campaign_header, data.remove_campaign_header)
  if campaign then
    if campaign:find '[@:]' then
      kumo.reject(500, "5.7.1 a campaign with '@' or ':' in its name")
    end
    msg:set_meta('campaign', campaign)
  end
  if data.scheduling_header then
    msg:import_scheduling_header(data.scheduling_header, true)
  end
  route(data, msg)
end

function Helper:queue_config(domain, tenant, campaign)
  local params = { refresh_strategy = 'Epoch' }
  for _, l in ipairs(levels(self:data(), domain, tenant, campaign)) do
    utils.merge_into(l.level.fields, params)
  end
  return kumo.make_queue_config(params)
end

-- All limits count; the message waits for the first that it meets.
function Helper:throttle(msg)
  local recipient = msg:recipient_list()[1]
  local domain = recipient and recipient.domain
  for _, l in ipairs(levels(self:data(), domain, msg:get_meta 'tenant', msg:get_meta 'campaign')) do
    if l.level.rate then
      local throttle = kumo.make_throttle('policy-extras.queue: ' .. l.name, l.level.rate)
      if throttle:delay_message_if_throttled(msg) then
        return
      end
    end
  end
end

-- Answers get_queue_config and throttle_insert_ready_queue.
function mod:setup(files)
  local helper = setmetatable({ files = files }, Helper)

  kumo.on('validate_config', function()
    utils.load_files(files, load)
  end)
  kumo.on('get_queue_config', function(domain, tenant, campaign)
    return helper:queue_config(domain, tenant, campaign)
  end)
  kumo.on('throttle_insert_ready_queue', function(msg)
    helper:throttle(msg)
  end)
  return helper
end

return mod
