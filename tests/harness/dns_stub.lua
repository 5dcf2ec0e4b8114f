-- A name server that knows what the story tells it, over UDP and TCP.
--
--   dns_stub.new { ['example.com'] = { MX = { { 10, 'mx.example.com' } } },
--                  ['mx.example.com'] = { A = { '127.0.0.1' } },
--                  ['broken.test'] = 'SERVFAIL', ['slow.test'] = 'silence' }
-- Names that are not there do not exist.
local sys = require 'sys'
local sched = require 'sched'
local stub = {}
stub.__index = stub

local TYPES = { A = 1, NS = 2, CNAME = 5, SOA = 6, PTR = 12, MX = 15, TXT = 16, AAAA = 28 }
local NAMES = {}
for name, number in pairs(TYPES) do
  NAMES[number] = name
end

local function wire_name(name)
  local out = {}
  for label in name:gmatch '[^.]+' do
    out[#out + 1] = string.pack('s1', label)
  end
  return table.concat(out) .. '\0'
end

local function wire_ipv6(text)
  local head, tail = text:match '^(.-)::(.*)$'
  local function words(s)
    local list = {}
    for word in (s or ''):gmatch '[^:]+' do
      list[#list + 1] = tonumber(word, 16)
    end
    return list
  end
  local a, b = words(head or text), words(tail)
  while #a + #b < 8 do
    a[#a + 1] = 0
  end
  for _, word in ipairs(b) do
    a[#a + 1] = word
  end
  return string.pack('>I2I2I2I2I2I2I2I2', table.unpack(a))
end

local ENCODE = {
  A = function(v)
    return string.char(v:match '(%d+)%.(%d+)%.(%d+)%.(%d+)')
  end,
  AAAA = wire_ipv6,
  MX = function(v)
    return string.pack('>I2', v[1]) .. wire_name(v[2])
  end,
  CNAME = wire_name,
  PTR = wire_name,
  TXT = function(v)
    return string.pack('s1', v)
  end,
}
ENCODE.A = function(v)
  local a, b, c, d = v:match '(%d+)%.(%d+)%.(%d+)%.(%d+)'
  return string.char(tonumber(a), tonumber(b), tonumber(c), tonumber(d))
end

local function answer(self, query)
  local id, flags = string.unpack('>I2I2', query)
  local labels, at = {}, 13
  while true do
    local label, next_at = string.unpack('s1', query, at)
    at = next_at
    if label == '' then
      break
    end
    labels[#labels + 1] = label
  end
  local qtype = string.unpack('>I2', query, at)
  local question = query:sub(13, at + 3)
  local name = table.concat(labels, '.'):lower()
  local kind = NAMES[qtype] or tostring(qtype)
  table.insert(self.asked, name .. ' ' .. kind)
  local zone, rcode, records = self.zone[name], 0, {}
  if zone == 'silence' then
    return nil
  elseif zone == 'SERVFAIL' then
    rcode = 2
  elseif zone == nil then
    rcode = 3
  else
    local owner = name
    if zone.CNAME and kind ~= 'CNAME' then
      records[1] = { owner, 'CNAME', zone.CNAME }
      owner = zone.CNAME
      zone = self.zone[owner] or {}
    end
    for _, value in ipairs(zone[kind] or {}) do
      records[#records + 1] = { owner, kind, value }
    end
  end
  local out = {}
  for _, r in ipairs(records) do
    local data = ENCODE[r[2]](r[3])
    out[#out + 1] = wire_name(r[1]) .. string.pack('>I2I2I4s2', TYPES[r[2]], 1, self.ttl, data)
  end
  local authority = ''
  if #records == 0 then
    authority = wire_name '.' .. string.pack('>I2I2I4s2', 6, 1, 1,
      wire_name 'ns.test' .. wire_name 'root.test' .. string.pack('>I4I4I4I4I4', 1, 1, 1, 1, 1))
  end
  return string.pack('>I2I2I2I2I2I2', id, 0x8400 | (flags & 0x0100) | 0x80 | rcode, 1, #out,
    authority ~= '' and 1 or 0, 0) .. question .. table.concat(out) .. authority
end

function stub.new(zone, o)
  local self = setmetatable({ zone = zone or {}, asked = {}, ttl = o and o.ttl or 5 }, stub)
  for attempt = 1, 20 do -- the same port for both
    self.udp, self.port = sys.udp_bind('127.0.0.1', 0)
    local ok, tcp = pcall(sys.tcp_listen, '127.0.0.1', self.port)
    if ok then
      self.tcp = tcp
      break
    end
    sys.close(self.udp)
  end
  self.address = '127.0.0.1@' .. self.port
  sched.spawn(function()
    while true do
      local query, peer = sys.recvfrom(self.udp)
      if query then
        local reply = answer(self, query)
        if reply and #reply > 1232 then -- too long: ask again by TCP
          reply = reply:sub(1, 2) .. string.pack('>I2', string.unpack('>I2', reply, 3) | 0x0200)
            .. string.pack('>I2I2I2I2', 1, 0, 0, 0) .. reply:sub(13, 12 + #query - 12)
        end
        if reply then
          sys.sendto(self.udp, reply, peer)
        end
      else
        sched.wait(self.udp, false)
      end
    end
  end)
  sched.serve({ fd = self.tcp }, function(stream)
    while true do
      local head = stream:read(2)
      local query = head and stream:read(string.unpack('>I2', head))
      local reply = query and answer(self, query)
      if not reply then
        break
      end
      stream:write(string.pack('>s2', reply))
    end
    stream:close()
  end)
  return self
end

return stub
