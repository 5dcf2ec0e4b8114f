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

-- 100 hosts that talk without end, when greeting or when asked for the recipient, and one that does not.
local MANY = 100
local blocks = { ('%d-all of this is for you\r\n'):rep(2000), ('x'):rep(65536) }

local function endless(code, parity)
  return function(_, session)
    local n = session.number
    if n % 2 == parity then
      local block = blocks[1 + n // 2 % 2]:gsub('%%d', code)
      while session.stream:write(block) do
      end
      return 'drop'
    end
  end
end

-- Each host is a site of its own: what one does must not slow the others.
local function to_hosts(talkers, good, source)
  return ([[
local kumo = require 'kumo'
kumo.on('init', function() %s end)
kumo.on('get_queue_config', function(domain)
  local n = domain:match '%%d+'
  local addr = n and ('127.0.1.%%d:%d'):format(n) or '%s'
  return kumo.make_queue_config {
    egress_pool = 'pool', protocol = { smtp = { mx_list = { { name = 'mx.' .. domain, addr = addr } } } },
  }
end)
kumo.on('get_egress_path_config', function()
  return kumo.make_egress_path { prohibited_hosts = {}, enable_tls = 'Disabled' }
end)
kumo.on('get_egress_pool', function(name)
  return kumo.make_egress_pool { name = name, entries = { { name = 'ip-1' } } }
end)
kumo.on('get_egress_source', function(name)
  return kumo.make_egress_source {
    name = name, suspend_when_proxy_unhealthy = { trigger = 'Immediate', duration = '1h' }, %s,
  }
end)]]):format(t.local_logs(), talkers.port, good.address, source)
end

local function most_memory(p)
  return tonumber(t.read('/proc/' .. p.pid .. '/status'):match 'VmHWM:%s+(%d+)') << 10
end

for what, source in pairs {
  HAProxy = function()
    return ("ha_proxy_server = '%s', ha_proxy_source_address = '127.0.0.9'"):format(haproxy())
  end,
  microsocks = function()
    return ("socks5_proxy_server = '%s', socks5_proxy_source_address = '0.0.0.0'"):format(microsocks())
  end,
} do
  t.test(('%d hosts that talk without end behind %s are to blame for it, not the proxy'):format(MANY, what), function()
    local talkers = t.smtp_sink { ip = '0.0.0.0', connect = endless('220', 0), rcpt = endless('250', 1) }
    local good = t.smtp_sink { ip = '127.0.0.7' }
    local router = t.router { policy = to_hosts(talkers, good, source()) }
    local to, before = {}, most_memory(router)
    for i = 1, MANY do
      to[i] = ('bob@n%d.test'):format(i)
    end
    router:enqueue { to = to }
    t.wait_for('every recipient to be deferred', function()
      return #router:records 'TransientFailure' >= MANY
    end, 120000)
    for _, r in ipairs(router:records 'TransientFailure') do
      t.has(r.response.content, 'SMTP reply without end')
    end
    local grown = most_memory(router) - before
    t.ok(t.sys.is_sanitized or grown < MANY << 19, ('it grew by %.1f MiB'):format(grown / (1 << 20)))
    -- Its source would be passed over for an hour.
    router:enqueue { to = 'bob@good.test', count = 20 }
    t.wait_for('the others', function()
      return #router:records 'Delivery' == 20
    end)
    t.eq(#router:records 'TransientFailure', MANY)
  end)
end
