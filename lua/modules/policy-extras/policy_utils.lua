-- policy_utils: small things that policies and the other modules share.
local kumo = require 'kumo'
local mod = {}

local function is_map(v)
  return type(v) == 'table' or type(v) == 'userdata'
end

-- Copies the entries of src into dst, over what is there; returns dst.
function mod.merge_into(src, dst)
  for k, v in pairs(src) do
    dst[k] = v
  end
  return dst
end

-- The same; tables on both sides are merged, not replaced.
function mod.recursive_merge_into(src, dst)
  for k, v in pairs(src) do
    if is_map(v) and type(dst[k]) == 'table' then
      mod.recursive_merge_into(v, dst[k])
    elseif is_map(v) then
      dst[k] = mod.recursive_merge_into(v, {})
    else
      dst[k] = v
    end
  end
  return dst
end

function mod.table_contains(t, wanted)
  for _, v in pairs(t) do
    if v == wanted then
      return true
    end
  end
  return false
end

-- Sorted as text.
function mod.table_keys(t)
  local keys = {}
  for k in pairs(t) do
    keys[#keys + 1] = k
  end
  table.sort(keys, function(a, b)
    return tostring(a) < tostring(b)
  end)
  return keys
end

function mod.table_is_empty(t)
  for _ in pairs(t) do
    return false
  end
  return true
end

-- A table is itself, so that data may stand in the policy.
function mod.load_json_or_toml_file(source)
  if is_map(source) then
    return source
  end
  if mod.ends_with(source, '.toml') then
    return kumo.serde.toml_load(source)
  end
  return kumo.serde.json_load(source)
end

-- What load(files) returns.  Its errors begin with the names of the files.
function mod.load_files(files, load)
  local ok, result = pcall(load, files)
  if ok then
    return result
  end
  local names = {}
  for _, file in ipairs(files) do
    if type(file) == 'string' then
      names[#names + 1] = file
    end
  end
  names = table.concat(names, ', ')
  if type(result) ~= 'string' or names == '' or result:find(names, 1, true) then
    error(result, 0)
  end
  error(names .. ': ' .. result, 0)
end

function mod.starts_with(s, prefix)
  return kumo.string.starts_with(s, prefix)
end

function mod.ends_with(s, suffix)
  return kumo.string.ends_with(s, suffix)
end

-- "10.0.0.1:25" and "[::1]:25": the address without brackets, the port as text.
function mod.split_ip_port(text)
  local ip, port = text:match '^%[(.*)%]:(%d+)$'
  if not ip then
    ip, port = text:match '^(.*):(%d+)$'
  end
  return ip, port
end

local function dumps(v, seen)
  if type(v) == 'string' then
    return string.format('%q', v)
  end
  if not is_map(v) or (type(v) == 'userdata' and not pcall(pairs, v)) then
    return tostring(v)
  end
  if seen[v] then
    return '(itself)'
  end
  seen[v] = true
  local parts = {}
  for _, k in ipairs(mod.table_keys(v)) do
    parts[#parts + 1] = string.format('[%s]=%s', dumps(k, seen), dumps(v[k], seen))
  end
  seen[v] = nil
  return '{' .. table.concat(parts, ', ') .. '}'
end

-- A value as text, for messages.
function mod.dumps(v)
  return dumps(v, {})
end

-- Equal all the way down.
function mod.equals(a, b)
  if a == b then
    return true
  end
  if type(a) ~= 'table' or type(b) ~= 'table' then
    return false
  end
  for k, v in pairs(a) do
    if not mod.equals(v, b[k]) then
      return false
    end
  end
  for k in pairs(b) do
    if a[k] == nil then
      return false
    end
  end
  return true
end

local function complain(message, what)
  error((message and message .. ': ' or '') .. what, 3)
end

function mod.assert_eq(a, b, message)
  if not mod.equals(a, b) then
    complain(message, string.format('%s is not equal to %s', mod.dumps(a), mod.dumps(b)))
  end
end

function mod.assert_ne(a, b, message)
  if mod.equals(a, b) then
    complain(message, string.format('both are %s', mod.dumps(a)))
  end
end

-- `pattern` is a regular expression.
function mod.assert_matches(text, pattern, message)
  if not kumo.regex.compile(pattern):is_match(tostring(text)) then
    complain(message, string.format('%s does not match %s', mod.dumps(text), pattern))
  end
end

return mod
