-- A proxy between the router and a host: the receiving side of the PROXY protocol,
-- version 2, or of SOCKS5 with BIND and CONNECT.
--
--   local p = proxy.new { kind = 'haproxy' }      p.address, p.asked[1] = {source=, to=, port=}
--   local p = proxy.new { kind = 'socks5', user = 'u', password = 'p' }
--
-- It connects from the source that it was asked for.  Instead, `fault`: 'silent',
-- 'close', 'reset' (after the request was read), 'no-bind' or 'refused' (SOCKS5
-- replies 1 to BIND, 5 to CONNECT), 'garbage'.
local sys = require 'sys'
local sched = require 'sched'
local proxy = {}
proxy.__index = proxy

local function pump(from, to)
  sched.spawn(function()
    while true do
      if from.buffer == '' and not from:fill() then
        break
      end
      local data = from.buffer
      from.buffer = ''
      if not to.fd or not to:write(data) then
        break
      end
    end
    from:close()
    to:close()
  end)
end

local function relay(self, client, ask)
  table.insert(self.asked, ask)
  local fd = sys.tcp_connect(ask.to, ask.port, ask.source ~= '0.0.0.0' and ask.source or nil)
  if not fd then
    client:close()
    return nil
  end
  return sched.stream(fd)
end

local function misbehave(self, client)
  if self.o.fault == 'silent' then
    while client:fill() do
    end
    client:close()
  elseif self.o.fault == 'close' then
    client:close()
  elseif self.o.fault == 'reset' then
    client:reset()
  elseif self.o.fault == 'garbage' then
    client:write '\0\255\1\2 this is no proxy\r\n'
    client:close()
  else
    return false
  end
  return true
end

local function ipv4(bytes)
  return ('%d.%d.%d.%d'):format(bytes:byte(1, 4))
end

local function serve_haproxy(self, client)
  local head = client:read(16)
  if not head or head:sub(1, 12) ~= '\r\n\r\n\0\r\nQUIT\n' then
    error 'no PROXY header'
  end
  local version, family, len = string.unpack('>BBI2', head, 13)
  local rest = client:read(len)
  assert(version == 0x21 and family == 0x11 and len == 12, 'a header for TCP over IPv4')
  local source_port, port = string.unpack('>I2I2', rest, 9)
  assert(source_port == 0, 'the source port is left to the proxy')
  if misbehave(self, client) then
    table.insert(self.asked, { fault = self.o.fault })
    return
  end
  local host = relay(self, client, { source = ipv4(rest), to = ipv4(rest:sub(5)), port = port })
  if host then
    pump(client, host)
    pump(host, client)
  end
end

local function socks_request(client)
  local head = client:read(4)
  if not head then
    return nil
  end
  local version, command, _, kind = head:byte(1, 4)
  assert(version == 5 and kind == 1, 'a SOCKS5 request with an IPv4 address')
  local address = client:read(4)
  return command, ipv4(address), (string.unpack('>I2', client:read(2)))
end

local function socks_reply(client, code)
  client:write(string.pack('BBBBI4>I2', 5, code, 0, 1, 0, 0))
end

local function serve_socks5(self, client)
  local n = (client:read(2) or '\5\0'):byte(2)
  local methods = client:read(n) or ''
  if misbehave(self, client) then
    table.insert(self.asked, { fault = self.o.fault })
    return
  end
  if self.o.user then
    if not methods:find('\2', 1, true) then
      client:write '\5\255'
      return client:close()
    end
    client:write '\5\2'
    client:read(1)
    local user = client:read(client:read(1):byte())
    local password = client:read(client:read(1):byte())
    local good = user == self.o.user and password == self.o.password
    client:write(good and '\1\0' or '\1\1')
    if not good then
      table.insert(self.asked, { fault = 'login' })
      return client:close()
    end
  else
    client:write '\5\0'
  end
  local command, address, port = socks_request(client)
  local source = '0.0.0.0'
  if command == 2 then
    source = address
    if self.o.fault == 'no-bind' then
      table.insert(self.asked, { fault = 'no-bind' })
      socks_reply(client, 1)
      return client:close()
    end
    socks_reply(client, 0)
    command, address, port = socks_request(client)
  end
  assert(command == 1, 'CONNECT')
  if self.o.fault == 'refused' then
    table.insert(self.asked, { fault = 'refused' })
    socks_reply(client, 5)
    return client:close()
  end
  local host = relay(self, client, { source = source, to = address, port = port })
  if host then
    socks_reply(client, 0)
    pump(client, host)
    pump(host, client)
  end
end

function proxy.new(o)
  local self = setmetatable({ o = o, asked = {} }, proxy)
  self.fd, self.port = sys.tcp_listen('127.0.0.1', 0)
  self.address = '127.0.0.1:' .. self.port
  local serve = o.kind == 'haproxy' and serve_haproxy or serve_socks5
  sched.serve(self, function(stream)
    serve(self, stream)
  end)
  return self
end

return proxy
