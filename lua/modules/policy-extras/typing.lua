-- typing: types of values, for modules that read configuration.
--
-- A type is called with a value and returns it, checked and filled up with
-- defaults, or raises an error that contains "invalid":
--
--   local Point = typing.record('Point', { x = typing.number, y = typing.default(typing.number, 0) })
--   local p = Point { x = 1 }        -- { x = 1, y = 0 }
local kumo = require 'kumo'
local utils = require 'policy-extras.policy_utils'
local mod = {}

-- The reason inside the error of a kumo.make_* function.
function mod.extract_deserialize_error(err)
  local text = tostring(err)
  return text:match 'deserialize error: (.*), while processing ' or text:match 'deserialize error: (.*)' or text
end

local Type = {}
Type.__index = Type

function Type:__call(value)
  return self.check(value)
end

function Type:__tostring()
  return self.name
end

local function new(name, check, more)
  local t = setmetatable(more or {}, Type)
  t.name = name
  t.check = check
  return t
end

local function invalid(expected, value)
  error(string.format('invalid type: %s, expected %s', utils.dumps(value), expected), 0)
end

local function within(where, check, value)
  local ok, result = pcall(check, value)
  if not ok then
    error(string.format('%s: %s', where, tostring(result)), 0)
  end
  return result
end

local function plain(name, wanted)
  return new(name, function(value)
    if type(value) ~= wanted then
      invalid('a ' .. name, value)
    end
    return value
  end)
end

mod.boolean = plain('boolean', 'boolean')
mod.string = plain('string', 'string')
mod.number = plain('number', 'number')
mod.Function = plain('function', 'function')
mod.any = new('any', function(value)
  return value
end, { optional = true })

-- nil is fine.
function mod.option(inner)
  return new('option<' .. tostring(inner) .. '>', function(value)
    if value == nil then
      return nil
    end
    return inner(value)
  end, { optional = true })
end

-- nil becomes `value`.
function mod.default(inner, default)
  return new('default<' .. tostring(inner) .. '>', function(value)
    if value == nil then
      value = default
    end
    return inner(value)
  end, { optional = true })
end

function mod.list(inner)
  local name = 'list<' .. tostring(inner) .. '>'
  return new(name, function(value)
    if type(value) ~= 'table' and type(value) ~= 'userdata' then
      invalid(name, value)
    end
    local out, n = {}, 0
    for _ in pairs(value) do
      n = n + 1
    end
    for i = 1, n do
      if value[i] == nil then
        invalid(name, value)
      end
      out[i] = within(string.format('[%d]', i), inner, value[i])
    end
    return out
  end)
end

function mod.map(key, inner)
  local name = string.format('map<%s, %s>', tostring(key), tostring(inner))
  return new(name, function(value)
    if type(value) ~= 'table' and type(value) ~= 'userdata' then
      invalid(name, value)
    end
    local out = {}
    for k, v in pairs(value) do
      out[within('key', key, k)] = within(tostring(k), inner, v)
    end
    return out
  end)
end

-- One of the texts.
function mod.enum(name, ...)
  local names = { ... }
  return new(name, function(value)
    if not utils.table_contains(names, value) then
      error(string.format('invalid value: %s, expected one of %s', utils.dumps(value), table.concat(names, ', ')), 0)
    end
    return value
  end)
end

-- The first of the types that accepts it.
function mod.variant(name, ...)
  local types = { ... }
  return new(name, function(value)
    local reasons = {}
    for _, t in ipairs(types) do
      local ok, result = pcall(t, value)
      if ok then
        return result
      end
      reasons[#reasons + 1] = tostring(result)
    end
    error(string.format('invalid value for %s: %s', name, table.concat(reasons, '; or ')), 0)
  end)
end

-- A table with these fields and no other.  `_dynamic(key, value)`, when there is
-- one, is asked about other keys: it returns the value or raises.
function mod.record(name, fields)
  local dynamic = fields._dynamic
  return new(name, function(value)
    if type(value) ~= 'table' and type(value) ~= 'userdata' then
      invalid(name, value)
    end
    local out = {}
    for k, v in pairs(value) do
      if fields[k] and k ~= '_dynamic' then
        out[k] = within(string.format('%s: %s', name, tostring(k)), fields[k], v)
      elseif dynamic then
        local ok, result = pcall(dynamic, k, v)
        if not ok then
          error(string.format('%s: invalid value for field %s: %s', name, tostring(k), mod.extract_deserialize_error(result)), 0)
        end
        out[k] = result
      else
        error(string.format('%s: invalid field %s; known: %s', name, utils.dumps(k), table.concat(utils.table_keys(fields), ', ')), 0)
      end
    end
    for k, t in pairs(fields) do
      if k ~= '_dynamic' and out[k] == nil then
        if not t.optional then
          error(string.format('%s: invalid: the field %s is missing', name, k), 0)
        end
        out[k] = t(nil)
      end
    end
    return out
  end)
end

return mod
