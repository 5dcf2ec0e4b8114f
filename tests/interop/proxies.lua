-- Through a real HAProxy and a real SOCKS5 server: the host sees the chosen source.
local t = require 'harness'

local function free_port()
  local status, port = t.run { TOP_SRCDIR .. '/contrib/private-postfix', 'port' }
  t.eq(status, 0, port)
  return tonumber((port:gsub('%s', '')))
end

local function listens(p, port)
  t.wait_for(p.name, function()
    if not p:running() then
      t.fail(p.name .. ' ended: ' .. p:output())
    end
    local fd = t.sys.tcp_connect('127.0.0.1', port)
    if fd then
      t.sys.close(fd)
    end
    return fd
  end)
end

-- Binding the client's address needs CAP_NET_ADMIN or root.
local function haproxy(from)
  local port = free_port()
  t.write('haproxy.cfg', ([[
global
    maxconn 100
defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend egress_in
    bind 127.0.0.1:%d accept-proxy
    default_backend egress_out
backend egress_out
    source %s usesrc clientip
    server real 0.0.0.0:0
]]):format(port, from or '0.0.0.0'))
  local p = t.spawn { 'haproxy', '-db', '-f', t.dir() .. '/haproxy.cfg' }
  listens(p, port)
  return '127.0.0.1:' .. port
end

t.test('case 129: HAProxy connects from the named source', function()
  local sink, address = t.smtp_sink { ip = '127.0.0.7' }, haproxy()
  local router = t.router {
    policy = t.smart_host(sink, {
      source = ("ha_proxy_server = '%s', ha_proxy_source_address = '127.0.0.9'"):format(address),
    }),
  }
  router:enqueue { to = 'bob@example.com', count = 20 }
  t.wait_for('all', function()
    return #router:records 'Delivery' == 20
  end)
  for _, m in ipairs(sink:messages()) do
    t.eq(m.peer, '127.0.0.9')
  end
end)

t.test('case 129: HAProxy in front of a host that is down is a temporary failure of the source', function()
  local sink, address = t.smtp_sink { ip = '127.0.0.7' }, haproxy()
  sink:stop()
  local router = t.router {
    policy = t.smart_host(sink, {
      source = ("ha_proxy_server = '%s', ha_proxy_source_address = '127.0.0.9'"):format(address),
      path = "banner_timeout = '10s'",
    }),
  }
  router:enqueue { to = 'bob@example.com' }
  t.has(t.log(router, 'TransientFailure', { code = 400 }, 20000).response.content, 'HAProxy ' .. address)
end)

t.test('case 129: HAProxy and microsocks reach hosts over IPv6', function()
  local sink = t.smtp_sink { ip = '::1' }
  local ha, socks = haproxy '[::]:0', nil
  local p = free_port()
  socks = t.spawn { 'microsocks', '-i', '127.0.0.1', '-p', tostring(p) }
  listens(socks, p)
  for server, source in pairs {
    [ha] = ("ha_proxy_server = '%s', ha_proxy_source_address = '::1'"):format(ha),
    ['127.0.0.1:' .. p] = ("socks5_proxy_server = '127.0.0.1:%d', socks5_proxy_source_address = '::'"):format(p),
  } do
    local router = t.router { policy = t.smart_host('[::1]:' .. sink.port, { source = source }) }
    sink.kept = {}
    router:enqueue { to = 'bob@' .. server:gsub('%p', '-') .. '.test' }
    local r = t.log(router, 'Delivery', { recipient = 'bob@' .. server:gsub('%p', '-') .. '.test' })
    t.eq(r.source_address.server, server)
    t.eq(r.peer_address.addr, '::1')
    t.eq(sink:messages()[1].peer, '::1')
    t.eq(router:stop(), 0)
  end
end)

local function microsocks(...)
  local port = free_port()
  local p = t.spawn { 'microsocks', '-i', '127.0.0.1', '-p', tostring(port), ... }
  listens(p, port)
  return '127.0.0.1:' .. port
end

t.test('microsocks connects from where it was told to, with and without a password', function()
  local sink = t.smtp_sink { ip = '127.0.0.7' }
  for _, args in ipairs { { '-b', '127.0.0.9' }, { '-b', '127.0.0.9', '-u', 'user', '-P', 'secret' } } do
    local address = microsocks(table.unpack(args))
    local router = t.router {
      policy = t.smart_host(sink, {
        source = ("socks5_proxy_server = '%s', socks5_proxy_source_address = '0.0.0.0', "
          .. "socks5_proxy_username = 'user', socks5_proxy_password = { key_data = 'secret' }"):format(address),
      }),
    }
    sink.kept = {}
    router:enqueue { to = 'bob@example.com' }
    t.wait_for('the message', function()
      return #sink:messages() == 1
    end)
    t.eq(sink:messages()[1].peer, '127.0.0.9')
    router:stop()
  end
end)

t.test('microsocks knows no BIND: a source address that it cannot give is not replaced by another', function()
  local sink, address = t.smtp_sink {}, microsocks()
  local router = t.router {
    policy = t.smart_host(sink, {
      source = ("socks5_proxy_server = '%s', socks5_proxy_source_address = '127.0.0.9'"):format(address),
    }),
  }
  router:enqueue { to = 'bob@example.com' }
  t.has(t.log(router, 'TransientFailure', { code = 400 }).response.content, 'source address was refused')
  t.eq(#sink.sessions, 0)
end)
