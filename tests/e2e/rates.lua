-- Rates and shared limits: exact counts in windows of time, who waits, and for what.
--
-- The clock is moved by hours, and the rates are so slow that the time which the
-- story itself takes does not matter.
local t = require 'harness'

-- Nothing is leased, `n` recipients are left.
local function left(router, n)
  t.wait_for(n .. ' recipients to be left, none of them leased', function()
    local row = router:sql('SELECT count(*), coalesce(sum(state), 0) FROM recipient')[1]
    return row[1] == n and row[2] == 0
  end)
end

local function rows(router)
  local lines = {}
  for _, r in ipairs(router:sql 'SELECT id, state, due_at, attempts, coalesce(last_attempt_at, 0) FROM recipient') do
    lines[tostring(r[1])] = table.concat(r, ' ')
  end
  return lines
end

-- o: hosts = { ['a.test'] = sink or port }, queue, path: fields, pool, more.  The path may look at
-- `domain` and `source`.
local function policy(o)
  local hosts = {}
  for domain, host in pairs(o.hosts) do
    hosts[#hosts + 1] = ("['%s'] = { { name = 'sink.test', addr = '127.0.0.1:%d' } }"):format(
      domain,
      type(host) == 'table' and host.port or host
    )
  end
  return ([[
local kumo = require 'kumo'
kumo.on('init', function() %s end)
local hosts = { %s }
kumo.on('get_queue_config', function(domain)
  return kumo.make_queue_config {
    protocol = { smtp = { mx_list = hosts[domain] or hosts['*'] } }, %s %s
  }
end)
kumo.on('get_egress_path_config', function(domain, source, site)
  return kumo.make_egress_path { prohibited_hosts = {}, %s }
end)
kumo.on('get_egress_pool', function(name)
  return kumo.make_egress_pool { name = name, entries = { %s } }
end)
kumo.on('get_egress_source', function(name) return kumo.make_egress_source { name = name } end)
%s
]]):format(t.local_logs(), table.concat(hosts, ', '), o.pool and not (o.queue or ''):find 'egress_pool' and "egress_pool = 'pool'," or '', o.queue or '', o.path or '', o.pool or '', o.more or '')
end

local function why(router)
  return router:sql('SELECT why, until FROM v_why LIMIT 1')[1]
end

-- ---- rates of messages ----

local WINDOWS = {
  { 'of a queue', { queue = "max_message_rate = '4/h'," }, 'max_message_rate 4/h of example.com' },
  { 'of a path', { path = "max_message_rate = '4/h'" }, 'max_message_rate 4/h of unspecified->mx_list:127.0.0.1:' },
  { 'of a path that speaks LMTP', { path = "use_lmtp = true, max_message_rate = '4/h'" }, 'max_message_rate 4/h of ', true },
  { 'of a path, by name', { path = "additional_message_rate_throttles = { x = '4/h', y = '1000/h' }" }, 'additional_message_rate_throttles 4/h of x' },
}

for _, w in ipairs(WINDOWS) do
  t.test('a rate of messages ' .. w[1] .. ' lets through what it says, and nothing of the rest changes', function()
    local sink = t.smtp_sink { lmtp = w[4] }
    local router = t.router { policy = t.smart_host(sink, w[2]) }
    router:enqueue { to = 'bob@example.com', count = 10 }
    left(router, 6)
    local before = rows(router)
    t.eq(#sink:messages(), 4)
    -- One record for the queue and the cause, and none for each message.
    t.log(router, 'Delayed')
    local delayed = router:records 'Delayed'
    t.eq(#delayed, 1)
    t.eq(delayed[1].queue, 'example.com')
    t.eq(delayed[1].response.code, 400)
    t.has(delayed[1].response.content, w[3])
    router:advance(300)
    t.eq(#sink:messages(), 4)
    router:advance(700)
    left(router, 5)
    t.eq(#sink:messages(), 5)
    router:advance(3600)
    left(router, 1)
    t.eq(#sink:messages(), 9)
    for id, row in pairs(rows(router)) do
      t.eq(row, before[id])
    end
    t.eq(#router:records 'TransientFailure', 0)
  end)
end

t.test('a maildir is filled at the rate of its queue, and other maildirs are not', function()
  local router = t.router { policy = ([[
local kumo = require 'kumo'
kumo.on('init', function() %s end)
kumo.on('get_queue_config', function(domain)
  return kumo.make_queue_config {
    protocol = { maildir_path = '%s/m/{{domain_part}}' },
    max_message_rate = domain == 'slow.test' and '1/h' or nil,
  }
end)]]):format(t.local_logs(), t.dir()) }
  router:enqueue { to = 'u@slow.test', count = 3 }
  router:enqueue { to = 'u@quick.test', count = 50 }
  left(router, 2)
  t.eq(#t.sys.list(t.dir() .. '/m/slow.test/new'), 1)
  t.eq(#t.sys.list(t.dir() .. '/m/quick.test/new'), 50)
  router:advance(4000)
  left(router, 1)
  router:advance(4000)
  left(router, 0)
end)

t.test('an object of the policy gets messages at the rate of its path, batches included', function()
  local router = t.router { policy = ([[
local kumo = require 'kumo'
kumo.on('init', function() %s end)
kumo.on('get_queue_config', function()
  return kumo.make_queue_config { protocol = { custom_lua = { constructor = 'make', batch_size = 3 } } }
end)
kumo.on('get_egress_path_config', function()
  return kumo.make_egress_path { max_message_rate = '4/h' }
end)
kumo.on('make', function()
  local c = {}
  function c:send_batch() return 'taken' end
  return c
end)]]):format(t.local_logs()) }
  router:enqueue { to = 'bob@example.com', count = 10 }
  left(router, 6)
  router:advance(1000)
  left(router, 5)
  router:advance(4000)
  left(router, 1)
  t.wait_for('the records', function() return #router:records 'Delivery' == 9 end)
  t.has(t.log(router, 'Delayed').response.content, '@lua:make')
end)

t.test('while a rate is closed for a moment only, messages wait on the open connection', function()
  local sink = t.smtp_sink()
  local router = t.router { policy = t.smart_host(sink, { path = "max_message_rate = '20/s,max_burst=1'" }) }
  local from = t.sys.now_ms()
  router:enqueue { to = 'bob@example.com', count = 8 }
  left(router, 0)
  t.eq(#sink:messages(), 8)
  t.eq(#sink.sessions, 1)
  t.ok(t.sys.now_ms() - from >= 7 * 50, 'not faster than it may be')
end)

t.test('when it is closed for longer than a connection stays idle, it goes on by itself when it opens', function()
  local sink = t.smtp_sink()
  local router = t.router { policy = t.smart_host(sink, { path = "max_message_rate = '1/2s', idle_timeout = '100ms'" }) }
  router:enqueue { to = 'bob@example.com', count = 3 }
  left(router, 0)
  local records = {}
  t.wait_for('the records', function()
    records = router:records 'Delivery'
    return #records == 3
  end)
  -- Whole seconds, and the first came when the bucket was full.
  t.ok(records[3].timestamp - records[1].timestamp >= 3, 'not faster than it may be')
  t.eq(#sink.sessions, 3)
end)

t.test('two paths that name a rate share it, and one that does not is not held up', function()
  local a, b, c = t.smtp_sink(), t.smtp_sink(), t.smtp_sink()
  local router = t.router { policy = policy {
    hosts = { ['a.test'] = a, ['b.test'] = b, ['c.test'] = c },
    path = "additional_message_rate_throttles = domain ~= 'c.test' and { both = '6/h' } or nil",
  } }
  router:enqueue { to = 'u@a.test', count = 10 }
  router:enqueue { to = 'u@b.test', count = 10 }
  router:enqueue { to = 'u@c.test', count = 100 }
  left(router, 14)
  t.eq(#a:messages() + #b:messages(), 6)
  t.eq(#c:messages(), 100)
  router:advance(3600)
  left(router, 8)
  t.eq(#a:messages() + #b:messages(), 12)
  -- Both had their turn.
  t.ok(#a:messages() > 0 and #b:messages() > 0)
end)

t.test('a rate that the policy changes begins anew; one that it keeps does not', function()
  local sink = t.smtp_sink()
  local router = t.router { policy = t.smart_host(sink, { queue = "max_message_rate = '2/h'," }) }
  router:enqueue { to = 'bob@example.com', count = 10 }
  left(router, 8)
  t.eq(router:ask('reload').ok, true)
  router:enqueue { to = 'bob@example.com' }
  left(router, 9)
  t.write('policy.lua', t.smart_host(sink, { queue = "max_message_rate = '3/h'," }))
  t.eq(router:ask('reload').ok, true)
  router:advance(61)
  left(router, 6)
  t.eq(#sink:messages(), 5)
end)

t.test('one message an hour from one queue slows no other, and holds nothing that others need', function()
  local sink = t.smtp_sink()
  local router = t.router { policy = policy {
    hosts = { ['*'] = sink },
    path = "max_message_rate = domain ~= 'quick.test' and '1/h' or nil",
    -- Each has a source of its own, so they do not share a ready queue.
    queue = "egress_pool = domain, max_message_rate = domain == 'slow.test' and '1/h' or nil,",
    pool = '{ name = name }',
  } }
  router:enqueue { to = 'u@slow.test', count = 20 }
  router:enqueue { to = 'u@dom.test', count = 600, domain_spread = 200 }
  left(router, 619 - 200)
  router:enqueue { to = 'u@quick.test', count = 500 }
  left(router, 419)
  t.eq(#router:records 'TransientFailure', 0)
end)

-- ---- what operators see ----

t.test('a queue that a rate closed behind its last message waits for nothing', function()
  local sink = t.smtp_sink()
  local router = t.router { policy = t.smart_host(sink, { queue = "max_message_rate = '1/h',", path = "max_message_rate = '1/h'" }) }
  router:enqueue { to = 'bob@example.com' }
  left(router, 0)
  t.eq(router:ask('tick').ok, true)
  t.eq(#router:ask('status').held_queues, 0)
  t.eq(#router:records 'Delayed', 0)
end)

t.test('v_why and the status name the rate that a queue waits for, and stop when it is over', function()
  local sink = t.smtp_sink()
  local router = t.router { policy = t.smart_host(sink, { queue = "max_message_rate = '1/h'," }) }
  router:enqueue { to = 'bob@example.com', count = 2 }
  left(router, 1)
  local row = t.wait_for('v_why to know', function()
    local row = why(router)
    return row and row[1]:find('max_message_rate', 1, true) and row
  end)
  t.eq(row[1], 'due now, but the queue waits for max_message_rate 1/h of example.com')
  local until_at = router:sql("SELECT unixepoch(until) - unixepoch() FROM v_why")[1][1]
  t.ok(until_at > 3000 and until_at <= 3601, 'opens in ' .. until_at)
  local held = router:ask('status').held_queues
  t.eq(#held, 1)
  t.eq(held[1].queue, 'example.com')
  t.eq(held[1].because, 'max_message_rate 1/h of example.com')
  t.match(held[1]['until'], '^%d+%-%d+%-%d+T')
  local _, text = t.penstock 'status'
  t.has(text, 'max_message_rate 1/h of example.com')
  router:advance(4000)
  left(router, 0)
  t.wait_for('nothing to be held', function()
    return #router:ask('status').held_queues == 0
  end)
end)

-- ---- connections ----

t.test('new connections are made at the rate of their path, and messages wait in the queue for them', function()
  local sink = t.smtp_sink()
  local router = t.router { policy = t.smart_host(sink, {
    path = "max_connection_rate = '3/h', max_deliveries_per_connection = 1",
  }) }
  router:enqueue { to = 'bob@example.com', count = 8 }
  left(router, 5)
  t.eq(#sink.sessions, 3)
  t.has(t.log(router, 'Delayed').response.content, 'max_connection_rate 3/h of ')
  router:advance(1300)
  left(router, 4)
  t.eq(#sink.sessions, 4)
  router:advance(3 * 3600)
  left(router, 1)
  router:advance(3 * 3600)
  left(router, 0)
  t.eq(#sink.sessions, 8)
  t.eq(#router:records 'TransientFailure', 0)
end)

t.test('a limit of connections that paths share holds for all of them together, and everybody has his turn', function()
  local open, most = 0, 0
  local function slow()
    open = open + 1
    most = math.max(most, open)
    t.sched.pass(10)
    open = open - 1
  end
  local sinks, hosts = {}, {}
  for i = 1, 4 do
    sinks[i] = t.smtp_sink { data = slow }
    hosts[('d%d.test'):format(i)] = sinks[i]
  end
  local router = t.router { policy = policy {
    hosts = hosts,
    path = 'additional_connection_limits = { all = 2, loose = 100 }, connection_limit = 10, max_deliveries_per_connection = 3',
  } }
  for i = 1, 4 do
    router:enqueue { to = ('u@d%d.test'):format(i), count = 20 }
  end
  left(router, 0)
  for i = 1, 4 do
    t.eq(#sinks[i]:messages(), 20)
  end
  t.ok(most <= 2, 'at one time: ' .. most)
  t.eq(#router:records 'TransientFailure', 0)
end)

t.test('an idle connection gives its place to those that wait for it', function()
  local a, b = t.smtp_sink(), t.smtp_sink()
  local router = t.router { policy = policy {
    hosts = { ['a.test'] = a, ['b.test'] = b },
    -- It would stay for an hour.
    path = "additional_connection_limits = { one = 1 }, idle_timeout = '1h'",
  } }
  router:enqueue { to = 'u@a.test', count = 5 }
  router:enqueue { to = 'u@b.test', count = 5 }
  t.wait_for('both to be served', function()
    return #a:messages() == 5 and #b:messages() == 5
  end)
end)

-- What becomes of a connection, at each of its stages.
local STAGES = {
  { 'is refused', 'closed' },
  { 'breaks before the greeting', { connect = 'drop' } },
  { 'is told 554', { connect = '554 5.3.2 no' } },
  { 'breaks at EHLO', { ehlo = 'drop' } },
  { 'is told nonsense', { ehlo = 'garbage' } },
  { 'has no TLS although it must', {}, "enable_tls = 'Required'," },
  { 'may not log in', { extensions = { 'AUTH PLAIN' }, auth = '535 5.7.8 no' },
    "smtp_auth_plain_username = 'u', smtp_auth_plain_password = { key_data = 'p' }, allow_smtp_auth_plain_without_tls = true," },
  { 'breaks at MAIL', { mail = 'drop' } },
  { 'breaks at DATA', { data = 'drop' } },
  { 'breaks after the final dot', { dot = 'reset' } },
  { 'ends well', {} },
}

for _, stage in ipairs(STAGES) do
  t.test('a place under a shared limit is free again when a connection ' .. stage[1], function()
    local bad, good = t.smtp_sink(stage[2] ~= 'closed' and stage[2] or {}), t.smtp_sink()
    if stage[2] == 'closed' then
      bad:stop()
    end
    local router = t.router { policy = policy {
      hosts = { ['bad.test'] = bad, ['good.test'] = good },
      path = ("additional_connection_limits = { one = 1 }, %s"):format(
        stage[3] and "enable_tls = domain == 'bad.test' and 'Required' or nil," and '' or ''
      ) .. (stage[3] or ''),
      queue = "retry_interval = '1h',",
    } }
    router:enqueue { to = 'u@bad.test', count = 2 }
    t.wait_for('both to have had their answer', function()
      return #router:records 'TransientFailure' + #router:records 'Delivery' == 2
    end)
    if not stage[3] then
      router:enqueue { to = 'u@good.test' }
      t.log(router, 'Delivery', { recipient = 'u@good.test' })
    end
    t.wait_for('the places to be free', function()
      return router:ask('status').open_connections == 0
    end)
    -- Again, so that a place that was lost would be missed.
    router:advance(4000)
    t.wait_for('both to have had another answer', function()
      return #router:records 'TransientFailure' >= 4 or #router:records 'Delivery' >= 2
    end)
  end)
end

-- ---- sources ----

t.test('a source that was chosen often enough is passed over for another', function()
  local sink = t.smtp_sink()
  local router = t.router { policy = policy {
    hosts = { ['*'] = sink },
    pool = "{ name = 'a' }, { name = 'b' }",
    path = "source_selection_rate = source == 'a' and '5/h' or nil",
  } }
  router:enqueue { to = 'u@x.test', count = 40 }
  left(router, 0)
  local n = { a = 0, b = 0 }
  t.wait_for('the records', function()
    n = { a = 0, b = 0 }
    for _, r in ipairs(router:records 'Delivery') do
      n[r.egress_source] = n[r.egress_source] + 1
    end
    return n.a + n.b == 40
  end)
  t.eq(n.a, 5)
  t.eq(#router:records 'TransientFailure', 0)
end)

t.test('when no source may be chosen the message is deferred; sites that name a rate of choice share it', function()
  local a, b = t.smtp_sink(), t.smtp_sink()
  local router = t.router { policy = policy {
    hosts = { ['a.test'] = a, ['b.test'] = b },
    path = "additional_source_selection_rates = { both = '6/h' }",
  } }
  router:enqueue { to = 'u@a.test', count = 10 }
  router:enqueue { to = 'u@b.test', count = 10 }
  t.wait_for('all to have had their answer', function()
    return #router:records 'TransientFailure' + #router:records 'Delivery' == 20
  end)
  t.eq(#a:messages() + #b:messages(), 6)
  local r = router:records('TransientFailure')[1]
  t.eq(r.response.code, 451)
  t.has(r.response.content, 'source_selection_rate')
end)

-- ---- the module ----

t.test('overall_max_message_rate of policy-extras.queue holds for all queues of a tenant together', function()
  local sink = t.smtp_sink()
  t.write('queues.toml', ([[
[queue.default.protocol.smtp]
mx_list = ["127.0.0.1:%d"]
[tenant.slow]
overall_max_message_rate = "3/h"
[queue."quick.test"]
max_message_rate = "1000/s"
]]):format(sink.port))
  local router = t.router { policy = ([[
local kumo = require 'kumo'
kumo.on('init', function() %s end)
require('policy-extras.queue'):setup { '%s/queues.toml' }
kumo.on('get_egress_path_config', function()
  return kumo.make_egress_path { prohibited_hosts = {} }
end)]]):format(t.local_logs(), t.dir()) }
  for i = 1, 5 do
    router:enqueue { to = ('u@d%d.test'):format(i), meta = { tenant = 'slow' } }
  end
  left(router, 2)
  t.eq(#sink:messages(), 3)
  t.wait_for('the others to wait', function() return #router:records 'Delayed' == 2 end)
  for _, r in ipairs(router:records 'Delayed') do
    t.has(r.response.content, 'throttle_insert_ready_queue')
    t.eq(r.num_attempts, 0)
  end
  router:enqueue { to = 'u@quick.test' }
  t.log(router, 'Delivery', { queue = 'quick.test' })
  router:advance(1300)
  left(router, 1)
  t.eq(#sink:messages(), 5)
end)

t.test('policy-extras.queue refuses a campaign that would be read as another part of the queue, for good', function()
  t.write('queues.toml', 'campaign_header = "X-Campaign"\n')
  local milter = t.milter { policy = ([[
local kumo = require 'kumo'
kumo.on('init', function() %s kumo.start_esmtp_listener { listen = '0.0.0.0:25', relay_hosts = { '0.0.0.0/0' } } end)
local queues = require('policy-extras.queue'):setup { '%s/queues.toml' }
kumo.on('smtp_server_message_received', function(msg) queues:apply(msg) end)]]):format(t.local_logs(), t.dir()) }
  local mta = milter:connect { ip = '192.0.2.7', helo = 'client.test' }
  for campaign, want in pairs { ['a:other'] = '^500 5%.7%.1 ', ['x@far.test!'] = '^500 5%.7%.1 ', spring = '^discard$' } do
    mta:mail '<ann@sender.test>'
    mta:rcpt '<bob@example.com>'
    t.match(mta:message('X-Campaign: ' .. campaign .. '\r\nSubject: x\r\n\r\nhello\r\n'), want, campaign)
  end
  t.rows(milter:sql 'SELECT name FROM queue', { { 'spring:@example.com' } })
end)
