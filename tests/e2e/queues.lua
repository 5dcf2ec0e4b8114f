-- Scheduled and ready queues: who gets which turn, from where, and what holds them.
local t = require 'harness'
local sched = t.sched

local function drained(router)
  t.wait_for('the queue to drain', function()
    return router:sql('SELECT count(*) FROM recipient')[1][1] == 0
  end)
end

local function recipients(n)
  local list = {}
  for i = 1, n do
    list[i] = ('u%d@example.com'):format(i)
  end
  return list
end

t.test('recipients go in batches, and those that are too many for one go at once after it', function()
  local refused = {}
  local sink = t.smtp_sink {
    rcpt = function(line)
      local n = tonumber(line:match 'u(%d+)@')
      -- None of them is the first of its batch, which would be a deferral.
      if (n == 7 or n == 14 or n == 28) and not refused[n] then
        refused[n] = true
        return '452 4.5.3 too many'
      end
      return '250 2.1.5 ok'
    end,
  }
  local router = t.router {
    policy = t.smart_host(sink, { path = 'max_recipients_per_batch = 10, connection_limit = 1' }),
  }
  router:enqueue { to = recipients(35) }
  drained(router)
  local seen = {}
  for _, m in ipairs(sink:messages()) do
    t.ok(#m.to <= 10, 'at most ten: ' .. #m.to)
    for _, to in ipairs(m.to) do
      t.ok(not seen[to], 'once: ' .. to)
      seen[to] = true
    end
  end
  for _, to in ipairs(recipients(35)) do
    t.ok(seen[to], to)
  end
  t.eq(#router:records 'TransientFailure', 0)
  t.eq(#sink.sessions, 1)
end)

t.test('a host that does not answer holds up nobody else', function()
  local stalled = t.smtp_sink { connect = 'stall' }
  local sink = t.smtp_sink {}
  local router = t.router {
    policy = ([[
local kumo = require 'kumo'
kumo.on('init', function() %s end)
kumo.on('get_queue_config', function(domain)
  local host = domain == 'good.test' and '%s' or '%s'
  return kumo.make_queue_config { protocol = { smtp = { mx_list = { host } } } }
end)
kumo.on('get_egress_path_config', function()
  return kumo.make_egress_path { prohibited_hosts = {} }
end)]]):format(t.local_logs(), sink.address, stalled.address),
  }
  router:enqueue { to = 'bob@stalled.test', count = 3000, domain_spread = 100 }
  t.wait_for('the stalled host to be called', function()
    return #stalled.sessions > 0
  end)
  router:enqueue { to = 'bob@good.test' }
  t.log(router, 'Delivery', { recipient = 'bob@good.test' }, 3000)
end)

t.test('max_ready: a full ready queue is not filled further, and no row is rewritten', function()
  local sink = t.smtp_sink {
    data = function()
      sched.pass(20)
    end,
  }
  local router = t.router { policy = t.smart_host(sink, { path = 'max_ready = 2, connection_limit = 1' }) }
  router:enqueue { to = 'bob@example.com', count = 20 }
  local most = 0
  t.wait_for('the queue to drain', function()
    local leased = router:sql('SELECT count(*) FROM recipient WHERE state = 1')[1][1]
    most = math.max(most, leased)
    return router:sql('SELECT count(*) FROM recipient')[1][1] == 0
  end)
  -- Two ready, one being sent, one fetched ahead, outcomes not yet committed.
  t.ok(most <= 8, 'leased: ' .. most)
end)

t.test('D36: a queue that waits for a full ready queue says so once, and no message is asked about', function()
  local open = false
  local sink = t.smtp_sink {
    data = function()
      while not open do
        sched.pass(20)
      end
    end,
  }
  local router = t.router { policy = t.smart_host(sink, {
    path = 'max_ready = 2, connection_limit = 1',
    extra = "kumo.on('requeue_message', function(message) message:set_meta('asked', true) end)",
  }) }
  router:enqueue { to = 'bob@example.com', count = 20 }
  local r = t.log(router, 'Delayed', { queue = 'example.com', code = 400 }, 30000)
  t.match(r.response.content, '^the queue waits for max_ready 2 of unspecified%->')
  local row = t.wait_for('v_why to know', function()
    return router:sql("SELECT why FROM v_why WHERE why LIKE '%max_ready%' LIMIT 1")[1]
  end)
  t.match(row[1], '^due now, but the queue waits for max_ready 2 of unspecified%->')
  local held = router:ask('status').held_queues
  t.eq(#held, 1)
  t.eq(held[1].queue, 'example.com')
  t.match(held[1].because, '^max_ready 2 of ')
  t.eq(held[1]['until'], nil)
  -- Of those that were not leased nothing has changed.
  t.rows(router:sql 'SELECT count(*) FROM recipient WHERE attempts > 0', { { 0 } })
  for _ = 1, 3 do
    router:advance(12)
  end
  t.eq(#router:records 'Delayed', 1)
  open = true
  t.none(router, 'SELECT count(*) FROM recipient')
  t.wait_for('the records', function()
    return #router:records 'Delivery' == 20
  end)
  t.eq(#router:records 'Delayed', 1)
  t.eq(#router:records 'TransientFailure', 0)
  for _, record in ipairs(router:records 'Delivery') do
    t.eq(record.meta.asked, nil)
  end
  t.none(router, "SELECT count(*) FROM v_why WHERE why LIKE '%max_ready%'")
end)

local POOL = [[
local kumo = require 'kumo'
kumo.on('init', function() %s end)
kumo.on('get_queue_config', function()
  return kumo.make_queue_config { egress_pool = 'pool', protocol = { smtp = { mx_list = { '%s' } } } }
end)
kumo.on('get_egress_pool', function(name)
  return kumo.make_egress_pool { name = name, entries = { { name = 'a', weight = %d }, { name = 'b', weight = %d } } }
end)
kumo.on('get_egress_source', function(name)
  return kumo.make_egress_source { name = name }
end)
kumo.on('get_egress_path_config', function()
  return kumo.make_egress_path { prohibited_hosts = {}, enable_tls = 'Disabled' }
end)
]]

t.test('case 119: sources share by weight', function()
  local sink = t.smtp_sink {}
  local router = t.router { policy = POOL:format(t.local_logs(), sink.address, 2, 1) }
  router:enqueue { to = 'bob@example.com', count = 300 }
  drained(router)
  local n = { a = 0, b = 0 }
  t.wait_for('the records', function()
    n = { a = 0, b = 0 }
    for _, r in ipairs(router:records 'Delivery') do
      n[r.egress_source] = n[r.egress_source] + 1
      t.eq(r.egress_pool, 'pool')
    end
    return n.a + n.b == 300
  end)
  t.ok(math.abs(n.a - 200) <= 3, ('a %d, b %d'):format(n.a, n.b))
end)

t.test('case 120: weight 0 is never used, and only zeros defer', function()
  local sink = t.smtp_sink {}
  local router = t.router { policy = POOL:format(t.local_logs(), sink.address, 0, 1) }
  router:enqueue { to = 'bob@example.com', count = 10 }
  drained(router)
  for _, r in ipairs(router:records 'Delivery') do
    t.eq(r.egress_source, 'b')
  end
  router:kill()
  router = t.router { policy = POOL:format(t.local_logs(), sink.address, 0, 0) }
  router:enqueue { to = 'bob@example.com' }
  t.log(router, 'TransientFailure', { code = 451, enhanced = '4.4.4' })
end)

t.test('case 128: a source is what the policy says, for its ttl', function()
  local sink = t.smtp_sink {}
  local file = t.write('address', '127.0.0.2')
  local router = t.router {
    policy = t.smart_host(sink, {
      extra = '',
      queue = "egress_pool = 'pool',",
    }) .. ([[
kumo.on('get_egress_pool', function(name)
  return kumo.make_egress_pool { name = name, ttl = '1s', entries = { { name = 'ip' } } }
end)
kumo.on('get_egress_source', function(name)
  local f <close> = assert(io.open '%s')
  return kumo.make_egress_source { name = name, source_address = f:read 'l', ttl = '1s' }
end)
]]):format(file or t.dir() .. '/address'),
  }
  router:enqueue { to = 'one@example.com' }
  t.match(t.log(router, 'Delivery', { recipient = 'one@example.com' }).source_address.address, '^127%.0%.0%.2:')
  t.write('address', '127.0.0.3')
  router:advance(2)
  router:enqueue { to = 'two@example.com' }
  t.match(t.log(router, 'Delivery', { recipient = 'two@example.com' }).source_address.address, '^127%.0%.0%.3:')
end)

t.test('cases 110, 132: what the events are told', function()
  local sink = t.smtp_sink {}
  local router = t.router {
    policy = ([[
local kumo = require 'kumo'
kumo.on('init', function() %s end)
kumo.on('get_queue_config', function(...)
  local a = table.pack(...)
  for i = 1, 4 do a[i] = tostring(a[i]) end
  kumo.log_error('config', a.n, table.concat(a, ' ', 1, 4))
  local spare = a[4] == 'nil' and 'localhost:1' or '[127.0.0.9]'
  return kumo.make_queue_config { protocol = { smtp = { mx_list = { { name = 'a', addr = '%s' }, spare } } } }
end)
kumo.on('get_egress_path_config', function(...)
  kumo.log_error('path', select('#', ...), ...)
  return kumo.make_egress_path { prohibited_hosts = {} }
end)]]):format(t.local_logs(), sink.address),
  }
  router:enqueue {
    to = 'bob@d.example',
    meta = { campaign = 'c', tenant = 't', routing_domain = 'r.example' },
  }
  router:enqueue { to = 'bob@d.example' }
  drained(router)
  local out = router:output()
  t.has(out, 'config 4 d.example t c r.example\n')
  t.has(out, 'config 4 d.example nil nil nil\n')
  t.has(out, 'path 3 r.example unspecified mx_list:' .. sink.address .. ',[127.0.0.9]\n')
  t.has(out, 'path 3 d.example unspecified mx_list:' .. sink.address .. ',localhost:1\n')
end)

t.test('a broken policy is not taken over, a mended one is', function()
  local one, two = t.smtp_sink {}, t.smtp_sink {}
  local policy = t.smart_host(one)
  local router = t.router { policy = policy }
  router:enqueue { to = 'bob@example.com' }
  drained(router)
  t.write('policy.lua', policy .. '\nerror "boom"')
  t.has(router:ask('reload').error, 'boom')
  t.has(router:ask('status').last_reload_error, 'boom')
  router:enqueue { to = 'bob@example.com' }
  drained(router)
  t.eq(#one:messages(), 2)
  t.write('policy.lua', t.smart_host(two))
  t.eq(router:ask('reload').ok, true)
  router:enqueue { to = 'bob@example.com' }
  drained(router)
  t.eq(#two:messages(), 1)
end)

t.test('a message with more than 50 Received headers bounces', function()
  local sink = t.smtp_sink {}
  local router = t.router { policy = t.smart_host(sink) }
  router:enqueue { to = 'bob@example.com', data = ('Received: from a\r\n'):rep(50) .. 'Subject: x\r\n\r\nx\r\n' }
  t.log(router, 'Delivery')
  router:enqueue { to = 'eve@example.com', data = ('Received: from a\r\n'):rep(51) .. 'Subject: x\r\n\r\nx\r\n' }
  t.log(router, 'Bounce', { code = 554, recipient = 'eve@example.com' })
  t.eq(#sink:messages(), 1)
end)

t.test('while a shell holds the database nothing new is delivered, and nothing twice', function()
  local sink = t.smtp_sink {
    data = function()
      sched.pass(20)
    end,
  }
  local router = t.router { policy = t.smart_host(sink, { path = 'connection_limit = 2' }) }
  router:enqueue { to = 'bob@example.com', count = 300 }
  t.wait_for('deliveries', function()
    return #sink:messages() > 5
  end)
  local shell = t.spawn {
    'sqlite3', t.context().queue, '.timeout 20000', 'BEGIN IMMEDIATE', '.shell exec sleep 20',
  }
  t.wait_for('the router to hold', function()
    return router:ask('status').paused
  end)
  local before = #sink:messages()
  t.wait_for('the ticks', function()
    return router:ask('tick').ok
  end)
  t.ok(#sink:messages() <= before + 4, 'at most what was under way')
  shell:kill()
  drained(router)
  t.eq(#sink:messages(), 300)
end)

t.test('queues that wait for one full host, more than are known at once, are not prepared again and again', function()
  local go, count = false, t.dir() .. '/asked'
  local full, good = t.smtp_sink { dot = function()
    while not go do
      sched.pass(10)
    end
    return '250 2.0.0 taken'
  end }, t.smtp_sink()
  local router = t.router {
    env = { PENSTOCK_FAULT = 'intake.knows-few:0:error' },
    policy = ([[
local kumo = require 'kumo'
kumo.on('init', function() %s end)
kumo.on('get_queue_config', function(domain)
  local file <close> = assert(io.open('%s', 'a'))
  file:write 'x'
  local host = domain == 'good.test' and '%s' or '%s'
  return kumo.make_queue_config {
    protocol = { smtp = { mx_list = { { name = domain == 'good.test' and 'good' or 'full', addr = host } } } },
  }
end)
kumo.on('get_egress_path_config', function()
  return kumo.make_egress_path { prohibited_hosts = {}, connection_limit = 1, max_ready = 10 }
end)]]):format(t.local_logs(), count, good.address, full.address),
  }
  local function asked()
    return #(t.read(count) or '')
  end
  for i = 1, 200 do
    router:enqueue { to = ('bob@n%d.test'):format(i) }
  end
  t.wait_for('all queues to be met', function()
    return router:ask('tick').ok and asked() >= 200
  end)
  local before = asked()
  for _ = 1, 40 do
    t.eq(router:ask('tick').ok, true)
    sched.pass(25)
  end
  t.ok(asked() - before < 200, ('%d were prepared again'):format(asked() - before))
  -- Others are met as ever.
  router:enqueue { to = 'bob@good.test' }
  t.log(router, 'Delivery', { recipient = 'bob@good.test' })
  go = true
  drained(router)
  t.eq(#full:messages(), 200)
end)
