-- What the policy says about queued mail: throttles, requeues, schedules.
local t = require 'harness'

local function waiting(router)
  t.wait_for('the row', function()
    return router:sql('SELECT count(*) FROM recipient WHERE state <> 0')[1][1] == 0
  end)
  return router:sql 'SELECT due_at - unixepoch(), attempts, q.name FROM recipient JOIN queue q ON q.id = queue'
end

t.test('case 118: a message that is throttled gets a Delayed record and waits, without an attempt', function()
  local sink = t.smtp_sink()
  local router = t.router { policy = t.smart_host(sink, { extra = [[
    kumo.on('throttle_insert_ready_queue', function(message)
      message:set_meta('seen', (message:get_meta 'seen' or 0) + 1)
      kumo.make_throttle('x', '1/m'):delay_message_if_throttled(message)
    end)]] }) }
  router:enqueue { to = 'a@example.com' }
  t.log(router, 'Delivery', { recipient = 'a@example.com' })
  router:enqueue { to = 'b@example.com' }
  local r = t.log(router, 'Delayed', { recipient = 'b@example.com', code = 400 })
  t.eq(r.num_attempts, 0)
  t.has(r.response.content, 'throttle_insert_ready_queue')
  local row = waiting(router)[1]
  t.ok(row[1] >= 50 and row[1] <= 61, 'due in ' .. row[1])
  t.eq(row[2], 0)
  t.eq(row[3], 'example.com')
  router:advance(61)
  r = t.log(router, 'Delivery', { recipient = 'b@example.com' })
  t.eq(r.num_attempts, 0)
  t.eq(r.meta.seen, 2)
end)

t.test('a throttle handler that raises is a temporary failure', function()
  local sink = t.smtp_sink()
  local router = t.router { policy = t.smart_host(sink, { extra = [[
    kumo.on('throttle_insert_ready_queue', function() error 'x' end)]] }) }
  router:enqueue { to = 'a@example.com' }
  t.log(router, 'TransientFailure', { code = 451 })
  t.eq(#sink:messages(), 0)
end)

t.test('a throttle handler may send the message to another queue', function()
  local sink = t.smtp_sink()
  local router = t.router { policy = t.smart_host(sink, { extra = [[
    kumo.on('throttle_insert_ready_queue', function(message)
      if not message:get_meta 'queue' then message:set_meta('queue', 'other') end
    end)]] }) }
  router:enqueue { to = 'a@example.com' }
  t.eq(t.log(router, 'Delivery').queue, 'other')
end)

t.test('case 115: expires of a schedule stands in for max_age', function()
  local sink = t.smtp_sink { rcpt = { '450 4.2.0 later' } }
  local text = t.smart_host(sink, { queue = "retry_interval = '2m'", extra = [[
    kumo.on('smtp_server_message_received', function(message)
      message:set_scheduling { expires = kumo.time.from_unix_timestamp(kumo.time.now().unix_timestamp + 90).rfc3339 }
    end)]] })
  local milter = t.milter { policy = text }
  local mta = milter:connect { ip = '203.0.113.9', helo = 'client.test' }
  t.eq(mta:mail '<ann@sender.test>', 'continue')
  t.eq(mta:rcpt '<bob@example.com>', 'continue')
  t.eq(mta:message(t.plain), 'discard')
  local router = t.router { policy = text }
  t.log(router, 'Expiration', { code = 551 })
end)

t.test('a window of a schedule moves retries, too', function()
  local sink = t.smtp_sink { rcpt = { '450 4.2.0 later' } }
  local text = t.smart_host(sink, { queue = "retry_interval = '2m'", extra = [[
    kumo.on('smtp_server_message_received', function(message)
      -- Open now for a minute at least, and closed in two.
      local now = os.time()
      local from, to = os.date('!%H:%M:%S', now - 3600), os.date('!%H:%M:%S', now + 60)
      if from < to then
        message:set_scheduling { dow = 'Mon,Tue,Wed,Thu,Fri,Sat,Sun', tz = 'UTC', start = from, ['end'] = to }
      else
        message:set_scheduling { dow = 'Mon,Tue,Wed,Thu,Fri,Sat,Sun', tz = 'UTC', start = '00:00:00', ['end'] = '23:59:59' }
        message:set_meta('midnight', true)
      end
    end)]] })
  local milter = t.milter { policy = text }
  local mta = milter:connect { ip = '203.0.113.9', helo = 'client.test' }
  mta:mail '<ann@sender.test>'
  mta:rcpt '<bob@example.com>'
  t.eq(mta:message(t.plain), 'discard')
  local router = t.router { policy = text }
  local r = t.log(router, 'TransientFailure', { code = 450 })
  local row = waiting(router)[1]
  if not r.meta.midnight then
    t.ok(row[1] > 20 * 3600, 'due in ' .. row[1])
  end
end)

t.test('case 117: requeue_message moves a message on, at once and counted, or gives it up', function()
  local sink = t.smtp_sink { rcpt = { '450 4.2.0 later', '250 2.1.5 ok', '450 4.2.0 later', '450 4.2.0 later' } }
  local router = t.router { policy = t.smart_host(sink, { extra = [[
    kumo.on('requeue_message', function(message, response, context, counts, delay)
      local user = message:recipient().user
      if user == 'gone' then kumo.reject(400, 'x') end
      message:set_meta('why', response .. '|' .. table.concat(context, ',') .. '|' .. tostring(counts) .. '|' .. tostring(delay))
      if user == 'move' then message:set_meta('queue', 'second') end
    end)]] }) }
  router:enqueue { to = 'move@example.com' }
  t.log(router, 'TransientFailure', { code = 450, queue = 'example.com', num_attempts = 0 })
  local r = t.log(router, 'Delivery', { queue = 'second' })
  t.eq(r.num_attempts, 1)
  t.eq(r.meta.why, '450 4.2.0 later|LoggedTransientFailure|true|nil')

  router:enqueue { to = 'gone@example.com' }
  r = t.log(router, 'Bounce', { code = 400 })
  t.eq(r.response.content, 'x')

  router:enqueue { to = 'stay@example.com' }
  t.log(router, 'TransientFailure', { recipient = 'stay@example.com' })
  local row = waiting(router)
  t.eq(#row, 1)
  t.eq(row[1][2], 1)
  t.eq(row[1][3], 'example.com')
  t.ok(row[1][1] > 1000, 'due in ' .. row[1][1])
  t.has(router:sql('SELECT meta FROM message')[1][1], 'LoggedTransientFailure')
end)

t.test('case 141: another code for a refusal decides what becomes of it', function()
  local sink = t.smtp_sink { rcpt = { '452 4.2.2 mailbox full', '450 4.2.0 later', '550 5.1.1 nobody' } }
  local router = t.router { policy = t.smart_host(sink, { extra = [[
    kumo.on('smtp_client_rewrite_delivery_status', function(response, domain, tenant, campaign, routing_domain)
      if response:find '^452' then return 552 end
      if response:find '^550' and routing_domain == 'example.com' then return 451 end
    end)]] }) }
  router:enqueue { to = 'a@example.com' }
  local r = t.log(router, 'Bounce', { code = 552, recipient = 'a@example.com' })
  t.has(r.response.content, 'mailbox full')
  t.has(r.response.content, '552 of 452')
  t.eq(r.peer_address.name, 'sink.test')
  router:enqueue { to = 'b@example.com' }
  t.log(router, 'TransientFailure', { code = 450, recipient = 'b@example.com' })
  router:enqueue { to = 'c@example.com' }
  t.log(router, 'TransientFailure', { code = 451, recipient = 'c@example.com' })
end)

t.test('what is no code of a reply rewrites nothing', function()
  local said = '450 4.2.0 later'
  local sink = t.smtp_sink { rcpt = { said, said, said, said } }
  local router = t.router { policy = t.smart_host(sink, { extra = [[
    local codes = { huge = 1e300, inf = -math.huge, nan = 0 / 0, part = 550.5 }
    kumo.on('smtp_client_rewrite_delivery_status', function(response, domain)
      return codes[domain:match '^(%a+)%.']
    end)]] }) }
  for _, name in ipairs { 'huge', 'inf', 'nan', 'part' } do
    local to = ('a@%s.test'):format(name)
    router:enqueue { to = to }
    t.eq(t.log(router, 'TransientFailure', { recipient = to }).response.code, 450)
  end
  t.has(router:output(), '1e+300 is no code of a reply')
end)

-- requeue_message notes its arguments where SQL and records show them, and runs `more`.
local function noting(more)
  return [[
    kumo.on('requeue_message', function(message, response, context, counts, delay)
      local seconds = delay and math.ceil(delay.seconds) or 'nil'
      message:set_meta('why', table.concat(context, ',') .. '|' .. tostring(counts) .. '|' .. seconds)
      message:set_meta('response', response)
      ]] .. (more or '') .. [[
    end)]]
end

-- For set_due: so many seconds from now.
local AFTER = [[
local function after(seconds)
  return kumo.time.from_unix_timestamp(kumo.time.now().unix_timestamp + seconds).rfc3339
end
]]

local function meta(router, name)
  return router:sql(("SELECT meta ->> '%s' FROM message WHERE meta ->> '%s' IS NOT NULL"):format(name, name))[1]
end

local function noted(router, want)
  local row = t.wait_for('requeue_message to be asked', function()
    return meta(router, 'why')
  end)
  t.match(row[1], want)
  return meta(router, 'response')[1]
end

t.test('requeue_message is asked before a message that is throttled goes back', function()
  local sink = t.smtp_sink()
  local router = t.router { policy = t.smart_host(sink, { extra = AFTER .. [[
    kumo.on('throttle_insert_ready_queue', function(message)
      local user = message:recipient().user
      if user ~= 'free' and not message:get_meta 'queue' then message:set_due(after(600)) end
      if user == 'old' then message:set_due(after(8 * 86400)) end
    end)]] .. noting [[
      local user = message:recipient().user
      if user == 'gone' then kumo.reject(500, 'no more') end
      if user == 'move' then message:set_meta('queue', 'second') end
      if user == 'null' then message:set_meta('queue', 'null') end
      if user == 'bad' then error 'x' end]] }) }
  router:enqueue { to = 'stay@example.com' }
  local response = noted(router, '^ThrottledByThrottleInsertReadyQueue|false|%d+$')
  t.match(response, '^451 4%.4%.4 throttle_insert_ready_queue: ')
  local row = waiting(router)[1]
  t.ok(row[1] > 500 and row[1] <= 600, 'due in ' .. row[1])
  t.eq(row[2], 0)
  t.log(router, 'Delayed', { recipient = 'stay@example.com', code = 400 })

  router:enqueue { to = 'move@example.com' }
  local r = t.log(router, 'Delivery', { recipient = 'move@example.com' })
  t.eq(r.queue, 'second')
  t.eq(r.num_attempts, 1)

  router:enqueue { to = 'gone@example.com' }
  r = t.log(router, 'Bounce', { recipient = 'gone@example.com', code = 500 })
  t.eq(r.response.content, 'no more')

  router:enqueue { to = 'null@example.com' }
  t.none(router, "SELECT count(*) FROM recipient WHERE address LIKE 'null@%'")

  -- An error changes nothing.
  router:enqueue { to = 'bad@example.com' }
  t.log(router, 'Delayed', { recipient = 'bad@example.com' })

  router:enqueue { to = 'old@example.com' }
  t.log(router, 'Expiration', { recipient = 'old@example.com', code = 551 })
  t.eq(#router:records 'Delivery', 1)
  t.eq(#router:records 'TransientFailure', 0)
end)

t.test('without requeue_message a throttle beyond the lifetime is an expiry, too', function()
  local sink = t.smtp_sink()
  local router = t.router { policy = t.smart_host(sink, { queue = "max_age = '1h',", extra = AFTER .. [[
    kumo.on('throttle_insert_ready_queue', function(message) message:set_due(after(3700)) end)]] }) }
  router:enqueue { to = 'a@example.com' }
  local r = t.log(router, 'Expiration', { code = 551 })
  t.has(r.response.content, 'throttle_insert_ready_queue')
  t.none(router, 'SELECT count(*) FROM recipient')
  t.eq(#sink:messages(), 0)
end)

t.test('requeue_message is asked about what a rate gives back, and may send it elsewhere', function()
  local sink, other = t.smtp_sink(), t.smtp_sink()
  local router = t.router { policy = ([[
local kumo = require 'kumo'
kumo.on('init', function() %s end)
kumo.on('get_queue_config', function(domain, tenant, campaign, routing_domain)
  return kumo.make_queue_config { protocol = { smtp = { mx_list = { routing_domain and '%s' or '%s' } } } }
end)
kumo.on('get_egress_path_config', function(domain)
  return kumo.make_egress_path {
    prohibited_hosts = {}, max_message_rate = domain == 'example.com' and '1/h' or nil,
  }
end)
%s]]):format(t.local_logs(), other.address, sink.address, noting "message:set_meta('routing_domain', 'other.test')") }
  router:enqueue { to = 'bob@example.com', count = 3 }
  t.wait_for('their records', function()
    return #router:records 'Delivery' == 3
  end)
  local there = 0
  for _, r in ipairs(router:records 'Delivery') do
    if r.queue ~= 'example.com' then
      there = there + 1
      t.eq(r.queue, 'example.com!other.test')
      t.match(r.meta.why, '^MessageRateThrottle|false|%d+$')
      t.match(r.meta.response, '^451 4%.4%.4 the queue waits for max_message_rate 1/h of ')
      t.eq(r.num_attempts, 1)
    end
  end
  t.eq(there, 2)
  t.eq(#other:messages(), 2)
  t.eq(#router:records 'TransientFailure', 0)
end)

t.test('what a rate gives back stays as it is, but for what requeue_message noted', function()
  local sink = t.smtp_sink()
  local router = t.router { policy = t.smart_host(sink, { path = "max_message_rate = '1/h'", extra = noting() }) }
  router:enqueue { to = 'bob@example.com', count = 3 }
  noted(router, '^MessageRateThrottle|false|%d+$')
  t.eq(#sink:messages(), 1)
  router:advance(3700)
  t.none(router, 'SELECT count(*) - 1 FROM recipient')
  router:advance(3700)
  t.none(router, 'SELECT count(*) FROM recipient')
  for _, r in ipairs(router:records 'Delivery') do
    t.eq(r.num_attempts, 0)
  end
  t.eq(#router:records 'TransientFailure', 0)
end)

t.test('requeue_message learns why: a maildir that fails counts nothing and says when', function()
  t.write('m', 'a file where the directory should be')
  local router = t.router { policy = ([[
local kumo = require 'kumo'
kumo.on('init', function() %s end)
kumo.on('get_queue_config', function()
  return kumo.make_queue_config { protocol = { maildir_path = '%s/m/x' } }
end)
%s]]):format(t.local_logs(), t.dir(), noting()) }
  router:enqueue { to = 'u@d.example' }
  noted(router, '^LoggedTransientFailure|false|%d+$')
  local said = tonumber(meta(router, 'why')[1]:match '%d+$')
  t.ok(said >= 30 and said <= 91, said)
  local row = waiting(router)[1]
  t.ok(row[1] <= said and row[1] > 0, row[1] .. ' of ' .. said)
  t.eq(row[2], 0)
end)

t.test('requeue_message learns why: an object of the policy fails as a peer does', function()
  local router = t.router { policy = ([[
local kumo = require 'kumo'
kumo.on('init', function() %s end)
kumo.on('get_queue_config', function()
  return kumo.make_queue_config { protocol = { custom_lua = { constructor = 'make' } } }
end)
kumo.on('make', function()
  local c = {}
  function c:send() kumo.reject(450, 'not now') end
  return c
end)
%s]]):format(t.local_logs(), noting()) }
  router:enqueue { to = 'u@d.example' }
  t.eq(noted(router, '^LoggedTransientFailure|true|nil$'), '450 not now')
end)

t.test('requeue_message learns why: a pool that cannot be had', function()
  local sink = t.smtp_sink()
  local router = t.router { policy = t.smart_host(sink, {
    queue = "egress_pool = 'none',",
    extra = "kumo.on('get_egress_pool', function() error 'x' end)" .. noting(),
  }) }
  router:enqueue { to = 'u@d.example' }
  t.match(noted(router, '^LoggedTransientFailure,FailedToInsertIntoReadyQueue|true|nil$'), '^451 4%.4%.4 ')
end)

t.test('requeue_message learns why: a path that cannot be had', function()
  local sink = t.smtp_sink()
  local router = t.router { policy = t.smart_host(sink, { path = "error 'x'", extra = noting() }) }
  router:enqueue { to = 'u@d.example' }
  noted(router, '^LoggedTransientFailure,FailedToInsertIntoReadyQueue|true|nil$')
end)

t.test('requeue_message learns why: mail hosts that are all skipped', function()
  local sink = t.smtp_sink()
  local router = t.router { policy = t.smart_host(sink, { path = "skip_hosts = { '127.0.0.0/8' }", extra = noting() }) }
  router:enqueue { to = 'u@d.example' }
  noted(router, '^LoggedTransientFailure,MxWasSkipped|true|nil$')
end)

-- A host without an address of the family that the path wants, MX hosts without any, and a list of such.
for what, o in pairs {
  ['no address of the family'] = {
    zone = { ['d.example'] = { MX = { { 10, 'a.mx.test' } } }, ['a.mx.test'] = { A = { '192.0.2.9' } } },
    path = "ip_lookup_strategy = 'Ipv6Only'", want = 'MxResolvedToZeroHosts',
    said = 'no mail host of a.mx.test has a usable address',
  },
  ['no address at all'] = {
    zone = { ['d.example'] = { MX = { { 10, 'a.mx.test' }, { 20, 'b.mx.test' } } } },
    path = '', want = 'MxResolvedToZeroHosts', said = 'no address for the hosts of d.example',
  },
  ['neither MX nor address'] = {
    zone = { ['d.example'] = { TXT = { 'no mail here' } } },
    path = '', want = 'MxResolvedToZeroHosts', said = 'no address for the host of d.example',
  },
  ['a list of names without address'] = {
    zone = {}, path = '', queue = "protocol = { smtp = { mx_list = { 'a.mx.test', 'b.mx.test' } } },",
    want = 'MxResolvedToZeroHosts', said = 'no entry of mx_list has an address',
  },
} do
  t.test('requeue_message learns why: mail hosts that are none: ' .. what, function()
    local router = t.router { dns = t.dns(o.zone), policy = ([[
local kumo = require 'kumo'
kumo.on('init', function() %s end)
kumo.on('get_queue_config', function() return kumo.make_queue_config { %s } end)
kumo.on('get_egress_path_config', function() return kumo.make_egress_path { prohibited_hosts = {}, %s } end)
%s]]):format(t.local_logs(), o.queue or '', o.path, noting()) }
    router:enqueue { to = 'u@d.example' }
    t.match(noted(router, '^LoggedTransientFailure,' .. o.want .. '|true|nil$'), '^451 4%.4%.4 ')
    local r = t.log(router, 'TransientFailure', { recipient = 'u@d.example', code = 451 })
    t.eq(r.response.enhanced_code, { class = 4, subject = 4, detail = 4 })
    t.has(r.response.content, o.said)
    t.eq(#router:records(), 1)
    t.none(router, 'SELECT count(*) - 1 FROM recipient WHERE attempts = 1')
  end)
end

t.test('requeue_message learns why: a rate of connections that stays closed', function()
  local sink = t.smtp_sink()
  local router = t.router { policy = t.smart_host(sink, {
    path = "max_connection_rate = '1/h', max_deliveries_per_connection = 1", extra = noting(),
  }) }
  router:enqueue { to = 'bob@example.com', count = 3 }
  t.match(noted(router, '^ConnectionRateThrottle|false|%d+$'),
    '^451 4%.4%.4 the queue waits for max_connection_rate 1/h of ')
  t.none(router, 'SELECT count(*) - 2 FROM recipient')
  t.eq(#sink.sessions, 1)
  local r = t.log(router, 'Delayed')
  t.eq(r.response.code, 400)
  t.has(r.response.content, 'max_connection_rate 1/h of ')
  t.rows(router:sql 'SELECT max(attempts) FROM recipient', { { 0 } })
  for left = 1, 0, -1 do
    router:advance(3700)
    t.none(router, ('SELECT count(*) - %d FROM recipient'):format(left))
  end
  t.eq(#sink.sessions, 3)
  t.eq(#router:records 'TransientFailure', 0)
end)

t.test('requeue_message learns why: a source that is suspended', function()
  local sink = t.smtp_sink()
  local router = t.router { policy = t.smart_host(sink, {
    source = "source_address = '192.0.2.55', suspend_when_unplumbed = { duration = '1h' }", extra = noting(),
  }) }
  router:enqueue { to = 'a@example.com' }
  t.log(router, 'TransientFailure', { recipient = 'a@example.com' })
  router:enqueue { to = 'b@example.com' }
  t.log(router, 'TransientFailure', { recipient = 'b@example.com' })
  t.wait_for('both to be noted', function()
    return router:sql("SELECT count(*) FROM message WHERE meta ->> 'why' IS NOT NULL")[1][1] == 2
  end)
  t.rows(router:sql "SELECT meta ->> 'why' FROM message ORDER BY id", {
    { 'LoggedTransientFailure|true|nil' }, { 'LoggedTransientFailure,SourceIsUnhealthyAndSuspended|true|nil' },
  })
end)

t.test('requeue_message learns why: too many connections that failed', function()
  local sink = t.smtp_sink { connect = 'drop' }
  local router = t.router { policy = t.smart_host(sink, {
    path = 'consecutive_connection_failures_before_delay = 0, connection_limit = 1', extra = noting(),
  }) }
  router:enqueue { to = 'a@example.com', count = 2 }
  t.wait_for('both to be noted', function()
    return router:sql("SELECT count(*) FROM message WHERE meta ->> 'why' IS NOT NULL")[1][1] == 2
  end)
  t.rows(router:sql "SELECT meta ->> 'why' FROM message ORDER BY 1", {
    { 'LoggedTransientFailure,TooManyConnectionFailures|true|nil' }, { 'LoggedTransientFailure|true|nil' },
  })
end)

-- First lives so long; then, as requeue_message has it, in the queue `second`.
local function two_ages(first, second, more)
  local sink = t.smtp_sink { rcpt = { '450 4.2.0 later', '250 2.1.5 ok' } }
  return sink, t.smart_host(sink, {
    queue = ("retry_interval = '2h', max_age = domain == 'second' and '%s' or '%s',"):format(second, first),
    extra = "kumo.on('requeue_message', function(message) message:set_meta('queue', 'second') end)" .. (more or ''),
  })
end

t.test('after requeue_message the lifetime is that of the new queue: longer', function()
  local _, policy = two_ages('1h', '7 days')
  local router = t.router { policy = policy }
  router:enqueue { to = 'a@example.com' }
  local r = t.log(router, 'Delivery', { queue = 'second' })
  t.eq(r.num_attempts, 1)
  t.eq(#router:records 'Expiration', 0)
end)

t.test('after requeue_message the lifetime is that of the new queue: shorter', function()
  local sink, policy = two_ages('7 days', '1h')
  local router = t.router { policy = policy, start = false }
  router:enqueue { to = 'a@example.com', due_in = 3700 }
  router:advance(3800)
  t.log(router, 'TransientFailure', { queue = 'example.com', code = 450 })
  local r = t.log(router, 'Expiration', { code = 551 })
  t.has(r.response.content, '450')
  t.none(router, 'SELECT count(*) FROM recipient')
  t.eq(#sink:messages(), 0)
end)

t.test('after requeue_message the expires of a schedule still wins', function()
  local sink, text = two_ages('7 days', '7 days', [[
    kumo.on('smtp_server_message_received', function(message)
      message:set_scheduling { expires = kumo.time.from_unix_timestamp(kumo.time.now().unix_timestamp + 600).rfc3339 }
    end)]])
  local milter = t.milter { policy = text }
  local mta = milter:connect { ip = '203.0.113.9', helo = 'client.test' }
  mta:mail '<ann@sender.test>'
  mta:rcpt '<bob@example.com>'
  t.eq(mta:message(t.plain), 'discard')
  t.advance(700)
  local router = t.router { policy = text }
  t.log(router, 'TransientFailure', { code = 450 })
  t.log(router, 'Expiration', { code = 551 })
  t.eq(#sink:messages(), 0)
end)

t.test('what requeue_message sends to null is gone, without a delivery record', function()
  local sink = t.smtp_sink { rcpt = '450 4.2.0 later' }
  local router = t.router { policy = t.smart_host(sink, {
    -- Too old for its own queue, which is no matter any more.
    queue = "max_age = '1m',",
    extra = "kumo.on('requeue_message', function(message) message:set_meta('queue', 'null') end)",
  }) }
  router:enqueue { to = 'a@example.com' }
  t.log(router, 'TransientFailure', { code = 450 })
  t.none(router, 'SELECT count(*) FROM recipient')
  t.rows(router:sql 'SELECT count(*) FROM message', { { 0 } })
  for _, kind in ipairs { 'Delivery', 'Bounce', 'Expiration', 'Delayed' } do
    t.eq(#router:records(kind), 0, kind)
  end
end)
