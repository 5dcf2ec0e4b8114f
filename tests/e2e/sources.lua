-- Where mail comes from: proxies, and sources that are left alone for a while.
local t = require 'harness'

local function ha(p, source)
  return ("ha_proxy_server = '%s', ha_proxy_source_address = '%s'"):format(p.address, source or '127.0.0.3')
end

local function socks(p, source, more)
  return ("socks5_proxy_server = '%s', socks5_proxy_source_address = '%s', %s"):format(
    p.address, source or '127.0.0.3', more or '')
end

t.test('case 122: without a pool the source is unspecified, and nobody is asked for it', function()
  local sink = t.smtp_sink {}
  local router = t.router {
    policy = t.smart_host(sink, {
      extra = [[
kumo.on('get_egress_pool', function(name) error('the pool ' .. name .. ' was asked for') end)
kumo.on('get_egress_source', function(name) error('the source ' .. name .. ' was asked for') end)]],
    }),
  }
  router:enqueue { to = 'bob@example.com' }
  local r = t.log(router, 'Delivery')
  t.eq({ r.egress_pool, r.egress_source }, { 'unspecified', 'unspecified' })
  t.match(r.site, '^unspecified%->')
  t.lacks(router:output(), 'was asked for')
end)

t.test('case 123: a source may be of IPv6, too; a host of the other family is then passed over', function()
  local four, six = t.smtp_sink { ip = '127.0.0.7' }, t.smtp_sink { ip = '::1' }
  local router = t.router {
    policy = ([[
local kumo = require 'kumo'
kumo.on('init', function() %s end)
kumo.on('get_queue_config', function(domain)
  return kumo.make_queue_config {
    egress_pool = 'pool', protocol = { smtp = { mx_list = { '%s', domain == 'six.test' and '[::1]:%d' or nil } } },
  }
end)
kumo.on('get_egress_pool', function(name)
  return kumo.make_egress_pool { name = name, entries = { { name = 'v6' } } }
end)
kumo.on('get_egress_source', function(name)
  return kumo.make_egress_source { name = name, source_address = '::1' }
end)
kumo.on('get_egress_path_config', function() return kumo.make_egress_path { prohibited_hosts = {} } end)]])
      :format(t.local_logs(), four.address, six.port),
  }
  router:enqueue { to = 'u@six.test' }
  local r = t.log(router, 'Delivery', { recipient = 'u@six.test' })
  t.match(r.source_address.address, '^%[::1%]:%d+$')
  t.eq({ r.peer_address.addr, six:messages()[1].peer }, { '::1', '::1' })
  router:enqueue { to = 'u@four.test' }
  r = t.log(router, 'TransientFailure', { recipient = 'u@four.test', code = 400 })
  t.has(r.response.content, 'source address ::1 is not of the address family of the host')
  t.eq(#four.sessions, 0)
end)

t.test('case 129: HAProxy is told source and host, and the host sees the source', function()
  local sink, p = t.smtp_sink {}, t.proxy { kind = 'haproxy' }
  local router = t.router { policy = t.smart_host(sink, { source = ha(p) }) }
  router:enqueue { to = 'bob@example.com' }
  local r = t.log(router, 'Delivery')
  t.eq(p.asked[1], { source = '127.0.0.3', to = '127.0.0.1', port = sink.port })
  t.eq(sink:messages()[1].peer, '127.0.0.3')
  t.eq(r.source_address, { address = '127.0.0.3:0', protocol = 'haproxy', server = p.address })
  t.eq(r.peer_address, { name = 'sink.test', addr = '127.0.0.1' })
end)

t.test('case 129: one of the two fields alone is ignored', function()
  local sink, p = t.smtp_sink {}, t.proxy { kind = 'haproxy' }
  local router = t.router { policy = t.smart_host(sink, { source = ("ha_proxy_server = '%s'"):format(p.address) }) }
  router:enqueue { to = 'bob@example.com' }
  t.log(router, 'Delivery')
  t.eq(#p.asked, 0)
  t.eq(sink:messages()[1].peer, '127.0.0.1')
end)

t.test('a proxy is reached from source_address, and by its name', function()
  local sink, p = t.smtp_sink {}, t.proxy { kind = 'haproxy' }
  local dns = t.dns { ['proxy.test'] = { A = { '127.0.0.1' } } }
  local router = t.router {
    dns = dns,
    policy = t.smart_host(sink, {
      source = ("source_address = '127.0.0.4', ha_proxy_server = 'proxy.test:%d', ha_proxy_source_address = '127.0.0.3'")
        :format(p.port),
    }),
  }
  router:enqueue { to = 'bob@example.com' }
  t.eq(t.log(router, 'Delivery').source_address.server, 'proxy.test:' .. p.port)
  t.eq(sink:messages()[1].peer, '127.0.0.3')
end)

t.test('a host of the other address family is passed over, not reached from elsewhere', function()
  local sink, p = t.smtp_sink {}, t.proxy { kind = 'haproxy' }
  local router = t.router { policy = t.smart_host(sink, { source = ha(p, '2001:db8::1') }) }
  router:enqueue { to = 'bob@example.com' }
  t.has(t.log(router, 'TransientFailure', { code = 400 }).response.content, 'address family')
  t.eq({ #sink.sessions, #p.asked }, { 0, 0 })
end)

for what, more in pairs {
  ['without a login'] = {}, ['with user and password'] = { user = 'u', password = 'geheim' },
} do
  t.test('SOCKS5 ' .. what .. ': BIND, then CONNECT', function()
    local sink = t.smtp_sink {}
    local p = t.proxy { kind = 'socks5', user = more.user, password = more.password }
    local router = t.router {
      policy = t.smart_host(sink, {
        source = socks(p, nil, "socks5_proxy_username = 'u', socks5_proxy_password = { key_data = 'geheim' }"),
      }),
    }
    router:enqueue { to = 'bob@example.com', count = 3 }
    t.wait_for('three messages', function()
      return #sink:messages() == 3
    end)
    local r = t.log(router, 'Delivery')
    t.eq(p.asked[1], { source = '127.0.0.3', to = '127.0.0.1', port = sink.port })
    t.eq(sink:messages()[1].peer, '127.0.0.3')
    t.eq(r.source_address, { address = '127.0.0.3:0', protocol = 'socks5', server = p.address })
    t.lacks(router:output(), 'geheim')
  end)
end

-- What a proxy may do wrong, and what the record says of it.
local FAULTS = {
  { 'haproxy', 'silent', 'timed out' }, { 'haproxy', 'close', 'closed' }, { 'haproxy', 'reset', 'reset' },
  { 'socks5', 'silent', 'timed out' }, { 'socks5', 'close', 'closed' }, { 'socks5', 'reset', 'reset' },
  { 'socks5', 'garbage', 'SOCKS5' }, { 'socks5', 'no-bind', 'source address was refused' },
}
for _, fault in ipairs(FAULTS) do
  t.test(('case 129: a %s proxy that does "%s" is blamed on the source, not on the host'):format(fault[1], fault[2]), function()
    local sink, p = t.smtp_sink {}, t.proxy { kind = fault[1], fault = fault[2] }
    local router = t.router {
      policy = t.smart_host(sink, {
        source = (fault[1] == 'haproxy' and ha or socks)(p),
        -- Failures of the host would defer everything at the second one.
        path = "connect_timeout = '1s', banner_timeout = '1s', consecutive_connection_failures_before_delay = 0",
      }),
    }
    router:enqueue { to = 'bob@example.com' }
    local r = t.log(router, 'TransientFailure', { code = 400 })
    t.has(r.response.content, 'source ip-1')
    t.has(r.response.content, p.address)
    t.has(r.response.content, fault[3])
    t.eq(r.source_address.server, p.address)
    t.eq(#router:records 'TransientFailure', 1)
    t.eq(#sink.sessions, 0)
  end)
end

t.test('a host that refuses the proxy is the host\'s fault', function()
  local sink, p = t.smtp_sink {}, t.proxy { kind = 'socks5', fault = 'refused' }
  local router = t.router { policy = t.smart_host(sink, { source = socks(p) }) }
  router:enqueue { to = 'bob@example.com' }
  local r = t.log(router, 'TransientFailure', { code = 400 })
  t.has(r.response.content, 'connection refused')
  t.lacks(r.response.content, 'source ip-1')
end)

t.test('one bad member makes a pool unusable, and is named with its pool, its mistake and the line', function()
  local router = t.router {
    policy = ([[
local kumo = require 'kumo'
kumo.on('init', function() %s end)
kumo.on('get_queue_config', function(domain)
  if domain == 'boom' then error 'boom' end
  return kumo.make_queue_config { egress_pool = domain, protocol = { smtp = { mx_list = { '127.0.0.1:9' } } } }
end)
kumo.on('get_egress_pool', function(name)
  if name == 'nil' then return nil end
  if name == 'no' then kumo.reject(550, 'not this one') end
  return kumo.make_egress_pool { name = name, entries = { { name = 'fine' }, { name = name .. '-bad', weight = 0 } } }
end)
kumo.on('get_egress_source', function(name)
  if name == 'typo-bad' then return kumo.make_egress_source { name = name, source_adress = '127.0.0.2' } end
  if name ~= 'none-bad' then return kumo.make_egress_source { name = name } end
end)]]):format(t.local_logs()),
  }
  for pool, want in pairs {
    typo = '^no egress pool: pool "typo": get_egress_source%%("typo%%-bad"%%): %s:13: .*unknown key "source_adress" %%(did you mean "source_address"',
    none = '^no egress pool: pool "none": get_egress_source%%("none%%-bad"%%): %s:%%d+: the handler must return kumo.make_egress_source, not nil$',
    ['nil'] = '^no egress pool: get_egress_pool%%("nil"%%): %s:%%d+: the handler must return kumo.make_egress_pool, not nil$',
    no = '^no egress pool: get_egress_pool%%("no"%%): %s:7: kumo.reject%%(550, "not this one"%%)$',
    boom = '^the queue cannot be configured: get_queue_config%%("boom"%%): %s:4: boom$',
  } do
    router:enqueue { to = 'u@' .. pool }
    local r = t.log(router, 'TransientFailure', { recipient = 'u@' .. pool, code = 451, enhanced = '4.4.4' })
    t.match(r.response.content, want:format((t.dir():gsub('%p', '%%%0')) .. '/policy.lua'))
  end
end)

-- ---- health ----

-- Two sources of equal weight; the first is as `bad` says.
local function two_sources(sink, bad, path)
  return t.smart_host(sink, {
    queue = "egress_pool = 'pool', retry_interval = '5 mins',", path = path,
    extra = ([[
kumo.on('get_egress_pool', function(name)
  return kumo.make_egress_pool { name = name, entries = { { name = 'bad' }, { name = 'good' } } }
end)
kumo.on('get_egress_source', function(name)
  if name == 'bad' then return kumo.make_egress_source { name = name, %s } end
  return kumo.make_egress_source { name = name, source_address = '127.0.0.2' }
end)]]):format(bad),
  })
end

t.test('case 125: a source that is not plumbed is passed over for a minute', function()
  local sink = t.smtp_sink {}
  local router = t.router {
    policy = two_sources(sink, "source_address = '192.0.2.55', suspend_when_unplumbed = { duration = '1m' }"),
  }
  router:enqueue { to = 'bob@example.com', count = 10 }
  t.wait_for('nine of them, or ten', function()
    return #sink:messages() >= 9
  end)
  local failed = router:records 'TransientFailure'
  t.eq(#failed, 1, 'one message found out')
  t.has(failed[1].response.content, 'not plumbed')
  t.eq(failed[1].egress_source, 'bad')
  for _, r in ipairs(router:records 'Delivery') do
    t.eq(r.egress_source, 'good')
  end
  router:enqueue { to = 'bob@example.com', count = 10 }
  t.wait_for('ten more', function()
    return #sink:messages() >= 19
  end)
  t.eq(#router:records 'TransientFailure', 1)
  -- The minute is over: it is tried again, and found wanting again.
  router:advance '61 secs'
  router:enqueue { to = 'bob@example.com', count = 10 }
  t.wait_for('it is tried', function()
    return #router:records 'TransientFailure' == 2
  end)
end)

t.test('suspend_when_proxy_unhealthy counts up to its threshold', function()
  local sink, p = t.smtp_sink {}, t.proxy { kind = 'socks5', fault = 'no-bind' }
  local router = t.router {
    policy = two_sources(sink, socks(p, nil,
      "suspend_when_proxy_unhealthy = { trigger = { Threshold = '3/hour' }, duration = '10m' }")),
  }
  router:enqueue { to = 'bob@example.com', count = 30 }
  t.wait_for('what the good source can take', function()
    return #sink:messages() >= 27
  end)
  -- One more may have been under way when the third failed.
  t.ok(#p.asked == 3 or #p.asked == 4, #p.asked)
end)

t.test('when all sources are suspended mail is deferred, and the attempt counts', function()
  local sink = t.smtp_sink {}
  local router = t.router {
    policy = t.smart_host(sink, {
      source = "source_address = '192.0.2.55', suspend_when_unplumbed = { trigger = 'Immediate', duration = '1 hour' }",
    }),
  }
  router:enqueue { to = 'bob@example.com' }
  t.log(router, 'TransientFailure', { code = 400 })
  router:enqueue { to = 'eve@example.com' }
  local r = t.log(router, 'TransientFailure', { code = 451, recipient = 'eve@example.com' })
  t.has(r.response.content, 'suspended')
  t.wait_for('the row', function()
    return router:sql("SELECT attempts FROM recipient WHERE address = 'eve@example.com'")[1][1] == 1
  end)
end)
