-- The MTA's side of the milter protocol, version 6, as Postfix speaks it.
--
--   local mta = milter_client.connect('unix:/x.sock', { ip = '192.0.2.7' })
--   mta:helo 'client.test'   mta:mail '<a@b>'   mta:rcpt '<c@d>'
--   mta:message(bytes)       -> 'continue' | 'discard' | '550 5.7.1 text' | ...
local sys = require 'sys'
local sched = require 'sched'
local client = {}
client.__index = client

local NR = { -- steps whose reply the filter asked us not to wait for
  L = 0x80, C = 0x1000, H = 0x2000, M = 0x4000, R = 0x8000,
  T = 0x10000, N = 0x40000, B = 0x80000,
}
local SKIP = { C = 1, H = 2, M = 4, R = 8, B = 0x10, L = 0x20, N = 0x40, T = 0x200 }
local LEADSPC = 0x100000

local function packet(cmd, data)
  return string.pack('>I4', #data + 1) .. cmd .. data
end

function client:send(cmd, data)
  return self.stream:write(packet(cmd, data or ''))
end

function client:receive()
  local head, why = self.stream:read(5, sys.now_ms() + (self.timeout or 30000))
  if not head then
    return nil, why or 'closed'
  end
  local len = string.unpack('>I4', head)
  return head:sub(5, 5), len > 1 and self.stream:read(len - 1, sys.now_ms() + 30000) or ''
end

local NAMES = {
  a = 'accept', c = 'continue', d = 'discard', r = 'reject', t = 'tempfail',
  s = 'skip', f = 'connfail', ['4'] = 'shutdown',
}

-- The verdict of a step; modifications before it are kept in self.changes.
function client:verdict()
  while true do
    local cmd, data = self:receive()
    if not cmd then
      return data -- 'closed' or 'timeout'
    elseif cmd == 'p' then
      self.progress = self.progress + 1
    elseif cmd == 'y' then
      return (data:gsub('%z$', ''))
    elseif NAMES[cmd] then
      return NAMES[cmd]
    else
      self.changes[#self.changes + 1] = { cmd, data }
    end
  end
end

function client:step(cmd, data)
  if self.steps & (SKIP[cmd] or 0) ~= 0 then
    return 'continue'
  end
  if not self:send(cmd, data) then
    return 'closed'
  end
  if self.steps & (NR[cmd] or 0) ~= 0 then
    return 'continue'
  end
  return self:verdict()
end

function client:macros(cmd, list)
  local out = {}
  for name, value in pairs(list) do
    out[#out + 1] = name .. '\0' .. value .. '\0'
  end
  self:send('D', cmd .. table.concat(out))
end

local function dial(spec)
  local path = spec:match '^unix:(.*)'
  if path then
    return sys.unix_connect(path)
  end
  local port, host = spec:match '^inet:(%d+)@(.*)'
  return sys.tcp_connect(host, tonumber(port))
end

-- o: ip (default 203.0.113.9; false: no address), port (40000), name, local_ip
-- (10.0.0.1), local_port (25), helo, tls = {version, cipher}, auth = user,
-- queue_id, macros = {connect = {...}, mail = {...}, eom = {...}}
function client.connect(spec, o)
  o = o or {}
  local fd, why = dial(spec)
  if not fd then
    return nil, why
  end
  local self = setmetatable({
    stream = sched.stream(fd), o = o, changes = {}, progress = 0, steps = 0,
  }, client)
  self:send('O', string.pack('>I4I4I4', 6, 0x1ff, 0x1fffff))
  local cmd, data = self:receive()
  if cmd ~= 'O' then
    return nil, 'no negotiation: ' .. tostring(cmd) .. ' ' .. tostring(data)
  end
  self.version, self.actions, self.steps = string.unpack('>I4I4I4', data)
  self.wanted = data:sub(13)
  self:connected_from(o)
  return self
end

-- The connect event, and HELO when o.helo is given: the rest of connect().
function client:connected_from(o)
  self.o = o
  if o.ip == nil then
    o.ip = '203.0.113.9'
  end
  local m = {
    j = 'mta.test', ['{daemon_name}'] = o.daemon_name or 'smtpd', v = 'Postfix 3.7.11',
    ['{daemon_addr}'] = o.local_ip or '10.0.0.1', ['{daemon_port}'] = tostring(o.local_port or 25),
    ['{client_addr}'] = o.ip and (o.ip:find(':', 1, true) and 'IPv6:' .. o.ip or o.ip) or '',
    ['{client_name}'] = o.name or 'unknown', _ = (o.name or 'unknown') .. ' [' .. tostring(o.ip) .. ']',
  }
  for name, value in pairs(o.macros and o.macros.connect or {}) do
    m[name] = value
  end
  self:macros('C', m)
  local name = o.name or '[' .. tostring(o.ip) .. ']'
  if not o.ip then
    self.connected = self:step('C', name .. '\0U')
  else
    local family = o.ip:find(':', 1, true) and '6' or '4'
    local ip = family == '6' and 'IPv6:' .. o.ip or o.ip
    self.connected = self:step('C', name .. '\0' .. family .. string.pack('>I2', o.port or 40000) .. ip .. '\0')
  end
  if o.helo and self.connected == 'continue' then
    self:helo(o.helo)
  end
  return self.connected
end

-- Another client over the same connection to the filter (SMFIC_QUIT_NC).
function client:another_client(o)
  self:send('K', '')
  return self:connected_from(o)
end

function client:helo(name)
  local m = {}
  if self.o.tls then
    m['{tls_version}'], m['{cipher}'] = self.o.tls[1], self.o.tls[2]
  end
  self:macros('H', m)
  return self:step('H', name .. '\0')
end

-- mail('<a@b>', 'SIZE=5', ...)
function client:mail(address, ...)
  local m = { ['{mail_addr}'] = address:gsub('[<>]', '') }
  if self.o.auth then
    m['{auth_authen}'], m['{auth_type}'] = self.o.auth, 'PLAIN'
  end
  if self.o.tls then
    m['{tls_version}'], m['{cipher}'] = self.o.tls[1], self.o.tls[2]
  end
  for name, value in pairs(self.o.macros and self.o.macros.mail or {}) do
    m[name] = value
  end
  self:macros('M', m)
  return self:step('M', table.concat({ address, ... }, '\0') .. '\0')
end

function client:rcpt(address, ...)
  self:macros('R', { ['{rcpt_addr}'] = address:gsub('[<>]', '') })
  return self:step('R', table.concat({ address, ... }, '\0') .. '\0')
end

function client:data()
  self:macros('T', { i = self.o.queue_id or 'QTEST' })
  return self:step('T', '')
end

-- Everything from DATA to the verdict.  bytes: header block, empty line, body,
-- with LF or CRLF.
function client:message(bytes)
  local verdict = self:data()
  if verdict ~= 'continue' then
    return verdict
  end
  verdict = self:content(bytes)
  if verdict ~= 'continue' then
    return verdict
  end
  return self:eom()
end

function client:content(bytes)
  bytes = bytes:gsub('\r\n', '\n')
  local head, body = bytes:match '^(.-)\n\n(.*)$'
  if bytes:sub(1, 1) == '\n' then
    head, body = '', bytes:sub(2)
  elseif not head then
    head, body = bytes:gsub('\n$', ''), ''
  end
  local fields = {}
  for line in (head .. '\n'):gmatch '(.-)\n' do
    if line:match '^[ \t]' and #fields > 0 then
      fields[#fields] = fields[#fields] .. '\n' .. line
    elseif line ~= '' then
      fields[#fields + 1] = line
    end
  end
  for _, field in ipairs(fields) do
    local name, value = field:match '^([^:]*):(.*)$'
    if name then
      if self.steps & LEADSPC == 0 then
        value = value:gsub('^ ', '')
      end
      local verdict = self:step('L', name .. '\0' .. value .. '\0')
      if verdict ~= 'continue' then
        return verdict
      end
    end
  end
  local verdict = self:step('N', '')
  if verdict ~= 'continue' then
    return verdict
  end
  body = body:gsub('\n', '\r\n')
  for at = 1, #body, 65535 do
    verdict = self:step('B', body:sub(at, at + 65534))
    if verdict == 'skip' then
      break
    elseif verdict ~= 'continue' then
      return verdict
    end
  end
  return 'continue'
end

function client:eom()
  local m = { i = self.o.queue_id or 'QTEST' }
  for name, value in pairs(self.o.macros and self.o.macros.eom or {}) do
    m[name] = value
  end
  self.changes = {}
  self:macros('E', m)
  self:send('E', '')
  return self:verdict()
end

-- The end of message without waiting for the verdict.
function client:eom_begin()
  self:macros('E', { i = self.o.queue_id or 'QTEST' })
  return self:send('E', '')
end

function client:abort()
  self:send('A', '')
end

function client:quit()
  self:send('Q', '')
  self.stream:close()
end

function client:close()
  self.stream:close()
end

return client
