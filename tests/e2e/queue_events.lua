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
