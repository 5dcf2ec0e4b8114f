-- With interfaces, addresses and routes that come and go, in a network of its own: where mail
-- leaves from, and hosts that cannot be reached.
local t = require 'harness'

-- v0 is ours; v1, at its other end, answers for nobody.  192.0.2.0/24 has no route at all,
-- 203.0.113.0/24 one that says so.  Each address is a network of its own, so that none goes with another.
local LAYOUT = {
  'link set lo up',
  'link add v0 type veth peer name v1',
  'addr add 198.51.100.7/32 dev v0',
  'addr add 198.51.100.8/32 dev v0',
  'addr add 198.51.100.25/32 dev v0',
  '-6 addr add 2001:db8::7/64 dev v0 nodad',
  '-6 addr add 2001:db8::25/64 dev v0 nodad',
  'link set v0 up',
  'link set v1 up',
  'route add 198.51.100.0/24 dev v0',
  'route add unreachable 203.0.113.0/24',
}

local function ip(line)
  local argv = { 'ip' }
  for word in line:gmatch '%S+' do
    argv[#argv + 1] = word
  end
  return t.run(argv)
end

local made, why_not
local function network()
  if made == nil then
    made, why_not = t.sys.own_network()
    made = made or false
    for _, line in ipairs(made and LAYOUT or {}) do
      local status, out = ip(line)
      local unknown = out:find 'not supported' or out:find 'Unknown device type'
      if status ~= 0 and unknown and line:find('veth', 1, true) then
        made, why_not = false, 'the kernel has no veth: ' .. out:gsub('%s+$', '')
        break
      end
      t.eq(status, 0, 'ip ' .. line .. ': ' .. out)
    end
  end
  if not made then
    t.skip('no network of its own here: ' .. why_not)
  end
end

local function test(name, fn)
  t.test(name, function()
    network()
    fn()
  end)
end

-- Lists of hosts by domain, as the policy has them; more: what follows.
local function policy(lists, more)
  local rows = {}
  for domain, hosts in pairs(lists) do
    rows[#rows + 1] = ("['%s'] = { '%s' }"):format(domain, table.concat(hosts, "', '"))
  end
  return ([[
local kumo = require 'kumo'
local lists = { %s }
kumo.on('init', function() %s end)
kumo.on('get_queue_config', function(domain)
  return kumo.make_queue_config {
    egress_pool = 'pool', retry_interval = '5 mins', protocol = { smtp = { mx_list = lists[domain] } },
  }
end)
kumo.on('get_egress_path_config', function()
  return kumo.make_egress_path { prohibited_hosts = {}, connect_timeout = '30s' }
end)
%s]]):format(table.concat(rows, ', '), t.local_logs(), more)
end

-- A pool of one source, made of `fields`.
local function from(fields)
  return ([[
kumo.on('get_egress_pool', function(name)
  return kumo.make_egress_pool { name = name, entries = { { name = 'one' } } }
end)
kumo.on('get_egress_source', function(name)
  return kumo.make_egress_source { name = name, %s }
end)]]):format(fields)
end

local function at(sink)
  return (sink.ip:find ':' and '[%s]:%d' or '%s:%d'):format(sink.ip, sink.port)
end

test('a source whose address leaves its interface is left alone, and used again when it is back', function()
  local sink = t.smtp_sink { ip = '198.51.100.25' }
  local router = t.router { policy = policy({ ['a.test'] = { at(sink) } }, [[
kumo.on('get_egress_pool', function(name)
  return kumo.make_egress_pool { name = name, entries = { { name = 'leaves', weight = 9 }, { name = 'stays' } } }
end)
kumo.on('get_egress_source', function(name)
  return kumo.make_egress_source {
    name = name, source_address = name == 'leaves' and '198.51.100.7' or '198.51.100.8',
    suspend_when_unplumbed = { trigger = 'Immediate', duration = '10m' },
  }
end)]]) }

  local sent = 0
  -- Ten messages; how many of them each source delivered.
  local function ten()
    local by = { leaves = 0, stays = 0 }
    local before = #router:records 'Delivery'
    router:enqueue { to = 'bob@a.test', count = 10 }
    sent = sent + 10
    t.none(router, 'SELECT count(*) FROM recipient WHERE attempts = 0')
    for i, r in ipairs(router:records 'Delivery') do
      if i > before then
        by[r.egress_source] = by[r.egress_source] + 1
        t.match(r.source_address.address, r.egress_source == 'leaves' and '^198%.51%.100%.7:' or '^198%.51%.100%.8:')
      end
    end
    return by
  end

  t.eq(ten(), { leaves = 9, stays = 1 })
  t.eq(#router:records 'TransientFailure', 0)

  -- Only who looks for it finds out: idle connections keep working, so they are let go first.
  router:advance(3600)
  t.wait_for('no connection to be left', function()
    return sink.open == 0
  end)
  t.eq((ip 'addr del 198.51.100.7/32 dev v0'), 0)
  local by = ten()
  t.eq(by.leaves, 0)
  local failed = router:records 'TransientFailure'
  t.ok(#failed >= 1, 'who finds out is deferred')
  for _, r in ipairs(failed) do
    t.eq(r.egress_source, 'leaves')
    t.has(r.response.content, '198.51.100.7 is not plumbed')
  end
  t.eq(by.stays + #failed, 10)
  local known = #failed
  t.eq(ten(), { leaves = 0, stays = 10 })
  t.eq(#router:records 'TransientFailure', known, 'nobody asks it for ten minutes')

  t.eq((ip 'addr add 198.51.100.7/32 dev v0'), 0)
  router:advance(3600)
  t.none(router, 'SELECT count(*) FROM recipient')
  t.eq(ten().leaves > 0, true)
  t.eq(#router:records 'TransientFailure', known)
  t.eq(#sink:messages(), sent)
end)

test('an IPv6 source address is what the host sees, and what the record says', function()
  local sink = t.smtp_sink { ip = '2001:db8::25' }
  local router = t.router { policy = policy({ ['a.test'] = { at(sink) } }, from "source_address = '2001:db8::7'") }
  router:enqueue { to = 'bob@a.test' }
  local r = t.log(router, 'Delivery')
  t.match(r.source_address.address, '^%[2001:db8::7%]:%d+$')
  t.eq(r.peer_address.addr, '2001:db8::25')
  t.eq(sink:messages()[1].peer, '2001:db8::7')
end)

test('a host of the other family is passed over, not reached from another address', function()
  local four, six = t.smtp_sink { ip = '198.51.100.25' }, t.smtp_sink { ip = '2001:db8::25' }
  local router = t.router {
    policy = policy({ ['a.test'] = { at(four), at(six) }, ['b.test'] = { at(four) } },
      from "source_address = '2001:db8::7'"),
  }
  router:enqueue { to = 'bob@a.test' }
  t.eq(t.log(router, 'Delivery').peer_address.addr, '2001:db8::25')
  router:enqueue { to = 'bob@b.test' }
  local r = t.log(router, 'TransientFailure', { recipient = 'bob@b.test', code = 400 })
  t.has(r.response.content, 'not of the address family')
  t.eq(#four.sessions, 0)
end)

-- What connect(2) says of them, at once or, where nobody answers for the address, later.
local UNREACHABLE = {
  { '192.0.2.25', 'Network is unreachable' },
  { '203.0.113.25', 'No route to host' },
  { '198.51.100.99', 'No route to host' },
  { '[2001:db8:5::25]', 'Network is unreachable' },
}
for _, case in ipairs(UNREACHABLE) do
  test(('%s: %s is a host that failed: the next is tried, or it is tried later'):format(case[1], case[2]), function()
    local sink = t.smtp_sink { ip = '198.51.100.25' }
    local router = t.router {
      policy = policy({ ['a.test'] = { case[1] .. ':25', at(sink) }, ['b.test'] = { case[1] .. ':25' } }, from ''),
    }
    router:enqueue { to = 'bob@a.test' }
    t.eq(t.log(router, 'Delivery').peer_address.addr, '198.51.100.25')
    router:enqueue { to = 'bob@b.test' }
    local r = t.log(router, 'TransientFailure', { recipient = 'bob@b.test' })
    t.eq(r.response.code, 400)
    t.has(r.response.content, case[2])
    t.none(router, 'SELECT count(*) - 1 FROM recipient WHERE attempts = 1')
    t.eq(#router:records 'Bounce', 0)
  end)
end

test('a network that comes back is used at the next attempt', function()
  local sink = t.smtp_sink { ip = '198.51.100.25' }
  local port = sink.port
  local router = t.router { policy = policy({ ['a.test'] = { '192.0.2.77:' .. port } }, from '') }
  router:enqueue { to = 'bob@a.test' }
  t.has(t.log(router, 'TransientFailure').response.content, 'Network is unreachable')
  t.eq((ip 'addr add 192.0.2.77/32 dev v0'), 0)
  local there = t.smtp_sink { ip = '192.0.2.77', port = port }
  router:advance(600)
  t.log(router, 'Delivery')
  t.eq(#there:messages(), 1)
  t.eq((ip 'addr del 192.0.2.77/32 dev v0'), 0)
end)

test('an address that comes to this machine makes a loop of the mail for it', function()
  local dns = t.dns { ['a.test'] = { MX = { { 10, 'mx.a.test' } } }, ['mx.a.test'] = { A = { '192.0.2.78' } } }
  local router = t.router { dns = dns, policy = ([[
local kumo = require 'kumo'
kumo.on('init', function() %s end)
kumo.on('get_queue_config', function() return kumo.make_queue_config { retry_interval = '5 mins' } end)
]]):format(t.local_logs()) }
  router:enqueue { to = 'bob@a.test' }
  t.has(t.log(router, 'TransientFailure').response.content, 'Network is unreachable')
  t.eq((ip 'addr add 192.0.2.78/32 dev v0'), 0)
  router:advance(600)
  local r = t.log(router, 'Bounce', { code = 554 })
  t.eq(r.response.enhanced_code, { class = 5, subject = 4, detail = 6 })
  t.eq((ip 'addr del 192.0.2.78/32 dev v0'), 0)
end)
