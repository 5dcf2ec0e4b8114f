-- sources: egress sources and pools from TOML or JSON files.
--
--   require('policy-extras.sources'):setup { '/etc/penstock/sources.toml' }
--
--   [source."ip-1"]                # the fields of kumo.make_egress_source
--   source_address = "10.0.0.1"
--   [pool."pool-1"."ip-1"]         # an entry of a pool
--   weight = 2
--
-- Later files override field by field.
local kumo = require 'kumo'
local typing = require 'policy-extras.typing'
local utils = require 'policy-extras.policy_utils'
local mod = {}

local CACHE_SECONDS = 300
local is_set_up = false

local Entry = typing.record('PoolEntry', { weight = typing.option(typing.number) })

local Data = typing.record('SourcesConfig', {
  source = typing.default(typing.map(typing.string, typing.map(typing.string, typing.any)), {}),
  pool = typing.default(typing.map(typing.string, typing.map(typing.string, Entry)), {}),
})

local function make_source(name, fields)
  local params = utils.merge_into(fields, {})
  params.name = name
  return kumo.make_egress_source(params)
end

local function make_pool(name, entries)
  local list = {}
  for _, source in ipairs(utils.table_keys(entries)) do
    list[#list + 1] = { name = source, weight = entries[source].weight }
  end
  return kumo.make_egress_pool { name = name, entries = list }
end

local function load(files)
  local data = {}
  for _, file in ipairs(files) do
    utils.recursive_merge_into(utils.load_json_or_toml_file(file), data)
  end
  data = Data(data)
  for name, fields in pairs(data.source) do
    local ok, err = pcall(make_source, name, fields)
    if not ok then
      error(string.format('source %s: %s', utils.dumps(name), typing.extract_deserialize_error(err)), 0)
    end
  end
  for name, entries in pairs(data.pool) do
    for source in pairs(entries) do
      if not data.source[source] then
        error(string.format('pool %s: invalid source %s: it is not defined', utils.dumps(name), utils.dumps(source)), 0)
      end
    end
  end
  return data
end

-- Answers get_egress_source and get_egress_pool.
function mod:setup(files)
  local data, load_at

  if is_set_up then
    error('sources:setup has been called already', 2)
  end
  is_set_up = true

  local function current()
    local now = os.time()
    if not data or now >= load_at or now < load_at - CACHE_SECONDS then
      data = utils.load_files(files, load)
      load_at = now + CACHE_SECONDS
    end
    return data
  end

  kumo.on('validate_config', function()
    utils.load_files(files, load)
  end)
  kumo.on('get_egress_source', function(name)
    local fields = current().source[name]
    if not fields then
      error(string.format('egress source %s is not defined', utils.dumps(name)), 0)
    end
    return make_source(name, fields)
  end)
  kumo.on('get_egress_pool', function(name)
    local entries = current().pool[name]
    if not entries then
      error(string.format('egress pool %s is not defined', utils.dumps(name)), 0)
    end
    return make_pool(name, entries)
  end)
end

return mod
