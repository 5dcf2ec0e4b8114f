-- listener_domains: who may relay, from TOML or JSON files.
--
--   kumo.on('get_listener_domain', listener_domains:setup { '/etc/penstock/domains.toml' })
--
--   ["example.com"]                      # exact, or "*.example.com", or "*"
--   relay_to = true
--   [listener."10.0.0.1:25"."example.org"]   # on one listener only
--   relay_from_authz = ["john"]
--
-- Later files override field by field.  The first of these that has the domain
-- answers: the listener's section, the others, "*".
local kumo = require 'kumo'
local typing = require 'policy-extras.typing'
local utils = require 'policy-extras.policy_utils'
local mod = {}

local CACHE_SECONDS = 300

-- Each field by itself, so that the error is about it.
local DomainConfig = typing.record('ListenerConfig', {
  relay_from_authz = typing.option(typing.list(typing.string)),
  _dynamic = function(key, value)
    kumo.make_listener_domain { [key] = value }
    return value
  end,
})

local function merge_domains(domains, into)
  for domain, fields in pairs(domains) do
    if type(fields) ~= 'table' then
      error(string.format('ListenerConfig: invalid field %s: expected the table of a domain', utils.dumps(domain)), 0)
    end
    local ok, checked = pcall(DomainConfig, fields)
    if not ok then
      error(string.format('%s (of %s)', tostring(checked), utils.dumps(domain)), 0)
    end
    domain = domain:lower()
    into[domain] = utils.merge_into(checked, into[domain] or {})
  end
end

-- {any = domain map, by_listener = {[listener] = domain map}}
local function load(files)
  local any, by_listener = {}, {}
  for _, file in ipairs(files) do
    local data = utils.recursive_merge_into(utils.load_json_or_toml_file(file), {})
    for listener, domains in pairs(data.listener or {}) do
      if not listener:find ':%d+$' then
        error(string.format('ListenerConfig: listener: invalid value: %s, expected ADDRESS:PORT as a listener has it',
          utils.dumps(listener)), 0)
      end
      by_listener[listener] = by_listener[listener] or {}
      merge_domains(domains, by_listener[listener])
    end
    data.listener = nil
    merge_domains(data, any)
  end
  local maps = { any = kumo.domain_map.new(any), by_listener = {} }
  for listener, domains in pairs(by_listener) do
    maps.by_listener[listener] = kumo.domain_map.new(domains)
  end
  return maps
end

local function is_authorized(fields, conn_meta)
  local id = fields.relay_from_authz and conn_meta:get_meta 'authz_id'
  return id and utils.table_contains(fields.relay_from_authz, id)
end

local function make(fields, conn_meta)
  local params = utils.merge_into(fields, {})
  if is_authorized(fields, conn_meta) then
    local ip = utils.split_ip_port(conn_meta:get_meta 'received_from')
    params.relay_from = { ip }
  end
  params.relay_from_authz = nil
  return kumo.make_listener_domain(params)
end

-- Returns the handler of get_listener_domain.
function mod:setup(files)
  local maps, load_at

  local function current()
    local now = os.time()
    if not maps or now >= load_at or now < load_at - CACHE_SECONDS then
      maps = utils.load_files(files, load)
      load_at = now + CACHE_SECONDS
    end
    return maps
  end

  kumo.on('validate_config', function()
    utils.load_files(files, load)
  end)
  return function(domain, listener, conn_meta)
    local all = current()
    local own = all.by_listener[listener]
    local fields = own and own[domain] or all.any[domain] or all.any['*']
    if fields then
      return make(fields, conn_meta)
    end
  end
end

return mod
