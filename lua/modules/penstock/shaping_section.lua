-- One section of a file of shaping (penstock.shaping): its keys, checked.
--
-- An error names the file and the section (`where`), the key, the value, and what
-- was expected.
local kumo = require 'kumo'
local typing = require 'policy-extras.typing'
local utils = require 'policy-extras.policy_utils'
local mod = {}

local ACTIONS = {
  Bounce = true,
  BounceCampaign = true,
  BounceTenant = true,
  Suspend = true,
  SuspendCampaign = true,
  SuspendTenant = true,
}

-- ---- errors ----

function mod.is_map(v)
  return type(v) == 'table' or type(v) == 'userdata'
end
local is_map = mod.is_map

-- The reason inside the error of something that was called for its checks.
function mod.reason(err)
  local text = typing.extract_deserialize_error(err)
  return (text:gsub('^make_egress_path: ', ''):gsub('^additional_[%w_]+: check: ', ''))
end

function mod.wrong(where, ...)
  error(string.format('%s: %s', where, string.format(...)), 0)
end

local wrong, reason = mod.wrong, mod.reason

function mod.check_table(where, value)
  if not is_map(value) then
    wrong(where, 'invalid type: %s, expected a table', utils.dumps(value))
  end
  return value
end

local check_table = mod.check_table

local function check_boolean(where, value)
  if value ~= nil and type(value) ~= 'boolean' then
    wrong(where, 'invalid type: %s, expected true or false', utils.dumps(value))
  end
  return value
end

-- Is `value` good for this field of a path?  What a field needs beside it is
-- looked at when everything is merged.
local function check_field(where, key, value)
  local ok, err = pcall(kumo.make_egress_path, { [key] = value })
  if ok then
    return
  end
  local text = reason(err)
  if not text:find(': required with ', 1, true) then
    wrong(where, '%s', text)
  end
end

-- Like check_field, for a key of ours that becomes an entry of `field`.
local function check_as(where, field, key, value)
  local ok, err = pcall(kumo.make_egress_path, { [field] = { check = value } })
  if not ok then
    wrong(where, '%s: %s', key, reason(err))
  end
  return value
end

-- ---- rules of automation ----

local function check_texts(where, value)
  for _, text in ipairs(is_map(value) and #value > 0 and value or { value }) do
    if type(text) ~= 'string' then
      wrong(where, 'invalid type: %s, expected text, or an array of texts', utils.dumps(text))
    end
  end
end

local function check_action(where, action)
  if ACTIONS[action] then
    return
  end
  local kind, set
  if is_map(action) then
    kind, set = next(utils.merge_into(action, {}))
  end
  if (kind ~= 'SetConfig' and kind ~= 'SetDomainConfig') or not is_map(set) or type(set.name) ~= 'string' then
    local known = utils.table_keys(ACTIONS)
    wrong(where, 'invalid value: %s, expected one of %s, or { SetConfig = { name, value } }, or { SetDomainConfig = { name, value } }', utils.dumps(action), table.concat(known, ', '))
  end
  check_field(where, set.name, set.value)
end

local RULE = {
  regex = check_texts,
  action = function(where, value)
    local list = is_map(value) and #value > 0 and value or { value }
    for _, action in ipairs(list) do
      check_action(where, action)
    end
  end,
  trigger = function(where, value)
    if value == 'Immediate' then
      return
    end
    if not is_map(value) or type(value.Threshold) ~= 'string' then
      wrong(where, 'invalid value: %s, expected "Immediate" or { Threshold = RATE }', utils.dumps(value))
    end
    check_as(where, 'additional_message_rate_throttles', 'Threshold', value.Threshold)
  end,
  duration = function(where, value)
    local ok, err = pcall(kumo.make_egress_path, { idle_timeout = value })
    if not ok then
      wrong(where, '%s', (reason(err):gsub('^idle_timeout: ', '')))
    end
  end,
  match_internal = check_boolean,
}

-- How many rules there are.
local function check_rules(where, rules)
  if rules == nil then
    return 0
  end
  for i, rule in ipairs(check_table(where, rules)) do
    local here = string.format('%s[%d]', where, i)
    for key, value in pairs(check_table(here, rule)) do
      if not RULE[key] then
        wrong(here, 'invalid field %s; known: %s', utils.dumps(key), table.concat(utils.table_keys(RULE), ', '))
      end
      RULE[key](here .. ': ' .. key, value)
    end
    for _, key in ipairs { 'regex', 'action', 'duration' } do
      if rule[key] == nil then
        wrong(here, 'invalid: the field %s is missing', key)
      end
    end
  end
  return #rules
end

-- ---- one section of one file ----

-- Fields of a path; those of `own` are returned beside.
local function read_fields(where, t, own)
  local fields, rest = {}, {}
  for _, key in ipairs(utils.table_keys(check_table(where, t))) do
    local value = t[key]
    if own[key] then
      rest[key] = value
    else
      check_field(where, key, value)
      fields[key] = value
    end
  end
  return fields, rest
end

local function read_sources(where, sources, own)
  local out = {}
  for name, t in pairs(sources and check_table(where .. ': sources', sources) or {}) do
    local here = string.format('%s: sources.%s', where, utils.dumps(name))
    local fields, rest = read_fields(here, t, own)
    local rate = rest.provider_source_selection_rate
    if rate ~= nil then
      check_as(here, 'additional_source_selection_rates', 'provider_source_selection_rate', rate)
    end
    out[tostring(name)] = { fields = fields, selection_rate = rate }
  end
  return out
end

local DOMAIN_KEYS = { automation = true, mx_rollup = true, replace_base = true, sources = true }

-- A domain's section, or [default].
function mod.domain(where, t)
  local fields, rest = read_fields(where, t, DOMAIN_KEYS)
  return {
    where = where,
    fields = fields,
    sources = read_sources(where, rest.sources, {}),
    rolls_up = check_boolean(where .. ': mx_rollup', rest.mx_rollup) ~= false,
    replaces = check_boolean(where .. ': replace_base', rest.replace_base) or false,
    rules = check_rules(where .. ': automation', rest.automation),
  }
end

local PROVIDER_KEYS = {
  automation = true,
  match = true,
  provider_connection_limit = true,
  provider_max_message_rate = true,
  provider_source_selection_rate = true,
  replace_base = true,
  sources = true,
}
local MATCHES = { DomainSuffix = true, HostName = true, MXSuffix = true }

local function read_matches(where, matches)
  local out = {}
  for i, m in ipairs(matches and check_table(where, matches) or {}) do
    local kind, text
    if is_map(m) then
      kind, text = next(utils.merge_into(m, {}))
    end
    if not MATCHES[kind] or type(text) ~= 'string' or text == '' then
      wrong(string.format('%s[%d]', where, i), 'invalid value: %s, expected { MXSuffix = TEXT }, { HostName = TEXT } or { DomainSuffix = TEXT }', utils.dumps(m))
    end
    out[i] = { kind = kind, text = text:lower():gsub('%.$', '') }
  end
  return out
end

function mod.provider(where, t)
  local fields, rest = read_fields(where, t, PROVIDER_KEYS)
  local function check(field, key)
    return rest[key] ~= nil and check_as(where, field, key, rest[key]) or nil
  end
  return {
    where = where,
    fields = fields,
    sources = read_sources(where, rest.sources, { provider_source_selection_rate = true }),
    matches = read_matches(where .. ': match', rest.match),
    connection_limit = check('additional_connection_limits', 'provider_connection_limit'),
    message_rate = check('additional_message_rate_throttles', 'provider_max_message_rate'),
    selection_rate = check('additional_source_selection_rates', 'provider_source_selection_rate'),
    replaces = check_boolean(where .. ': replace_base', rest.replace_base) or false,
    rules = check_rules(where .. ': automation', rest.automation),
  }
end

return mod
