-- penstock rebind: waiting mail goes to other queues, because an operator says so.
local t = require 'harness'

-- Mail for example.com waits for the next day; `extra` is added to the policy.
local function waiting(sink, o)
  o = o or {}
  local router = t.router { policy = t.smart_host(sink, { extra = o.extra }) }
  for _, m in ipairs(o.mail or { { to = 'a@example.com' }, { to = 'b@example.com' }, { to = 'c@example.org' } }) do
    m.due_in = 86400
    router:enqueue(m)
  end
  return router
end

local function rebind(...)
  return t.penstock('rebind', ...)
end

t.test('rebind sends what the selector selects to another queue, due now, with a record AdminRebind', function()
  local sink = t.smtp_sink()
  local router = waiting(sink)
  local status, out = rebind('--domain', 'example.com', '--set', 'queue=other.test', '--reason', 'maintenance')
  t.eq(status, 0, out)
  t.has(out, '2 messages selected, 2 rebound, 0 changed, 0 unchanged')
  local r = t.log(router, 'AdminRebind', { recipient = 'a@example.com' })
  t.eq(r.queue, 'other.test')
  t.eq(r.response.code, 250)
  t.has(r.response.content, 'rebound from example.com to other.test: maintenance (')
  r = t.log(router, 'Delivery', { recipient = 'a@example.com' })
  t.eq(r.queue, 'other.test')
  t.eq(r.num_attempts, 0)
  t.log(router, 'Delivery', { recipient = 'b@example.com' })
  t.none(router, "SELECT count(*) FROM recipient WHERE address LIKE '%example.com'")
  t.eq(router:sql "SELECT due_at > unixepoch() + 80000 FROM recipient"[1][1], 1)
end)

t.test('rebind --dry-run counts and changes nothing', function()
  local sink = t.smtp_sink()
  local router = waiting(sink)
  local before = router:sql 'SELECT * FROM recipient'
  local status, out = rebind('--older-than', '0s', '--set', 'queue=x.test', '--dry-run')
  t.eq(status, 64, out)
  status, out = rebind('--domain', 'example.com', '--set', 'queue=x.test', '--dry-run')
  t.eq(status, 0, out)
  t.has(out, '2 messages would be looked at')
  t.rows(router:sql 'SELECT * FROM recipient', before)
end)

t.test('rebind without a selector, or with nothing to do, is refused', function()
  waiting(t.smtp_sink())
  for _, o in ipairs {
    { 'which messages?', '--set', 'queue=x' },
    { 'nothing to do', '--domain', 'example.com' },
    { 'expected NAME=VALUE', '--domain', 'example.com', '--set', 'queue' },
    { 'only queued mail', '--state', 'held', '--set', 'queue=x' },
  } do
    local status, out = rebind(table.unpack(o, 2))
    t.eq(status, 64, out)
    t.has(out, o[1])
  end
end)

t.test('metadata that changes no queue is written back, and the mail waits as before', function()
  local router = waiting(t.smtp_sink())
  local status, out = rebind('--domain', 'example.com', '--set', 'note=seen', '--json')
  t.eq(status, 0, out)
  t.has(out, '{"messages":2,"rebound":0,"changed":2,"unchanged":0,"failed":0}')
  t.eq(router:sql [[SELECT count(*) FROM v_message AS m JOIN v_queue AS q ON q.id = m.id
    WHERE m.meta LIKE '%"note":"seen"%' AND q.due_at > unixepoch() + 80000]][1][1], 2)
  status, out = rebind('--domain', 'example.com', '--set', 'note=seen')
  t.eq(status, 0, out)
  t.has(out, '0 rebound, 0 changed, 2 unchanged')
  t.eq(#router:records 'AdminRebind', 0)
end)

t.test('a message is rebound as a whole, for whichever of its recipients it was selected', function()
  local sink = t.smtp_sink()
  local router = waiting(sink, { mail = { { to = { 'a@example.com', 'b@example.com' } } } })
  local status, out = rebind('--recipient', 'b@example.com', '--set', 'queue=other.test')
  t.eq(status, 0, out)
  t.has(out, '1 message selected, 1 rebound')
  t.eq(t.log(router, 'Delivery', { queue = 'other.test' }).num_attempts, 0)
  t.none(router, 'SELECT count(*) FROM recipient')
  t.eq(#sink:messages()[1].to, 2)
end)

t.test('rebind --flush makes mail due that stays in its queue', function()
  local router = waiting(t.smtp_sink())
  t.eq(rebind('--domain', 'example.org', '--flush'), 0)
  t.log(router, 'Delivery', { recipient = 'c@example.org' })
end)

t.test('rebind --event asks rebind_message, whose errors leave the message as it was', function()
  local router = waiting(t.smtp_sink(), { extra = [[
    kumo.on('rebind_message', function(message, data)
      if message:recipient().user == 'b' then error 'not this one' end
      message:set_meta('queue', data.to)
    end)]] })
  local status, out = rebind('--domain', 'example.com', '--event', '--set', 'to=other.test')
  t.eq(status, 75, out)
  t.has(out, '2 messages selected, 1 rebound')
  t.has(out, '1 could not be rebound')
  t.log(router, 'AdminRebind', { recipient = 'a@example.com', queue = 'other.test' })
  t.log(router, 'Delivery', { recipient = 'a@example.com' })
  t.has(router:output(), 'not this one')
  t.rows(router:sql "SELECT state, due_at > unixepoch() + 80000 FROM recipient WHERE address = 'b@example.com'", { { 0, 1 } })
end)

t.test('rebind --event without a handler fails for each message', function()
  local router = waiting(t.smtp_sink())
  local status, out = rebind('--domain', 'example.com', '--event')
  t.eq(status, 75, out)
  t.has(router:output(), 'the policy has no handler for it')
  t.eq(router:sql 'SELECT count(*) FROM recipient WHERE state = 0'[1][1], 3)
end)

t.test('what is rebound into the queue null goes, with a record AdminRebind and none of a delivery', function()
  local sink = t.smtp_sink()
  local router = waiting(sink)
  t.eq(rebind('--domain', 'example.com', '--set', 'queue=null'), 0)
  t.log(router, 'AdminRebind', { recipient = 'a@example.com', queue = 'null' })
  t.rows(router:sql 'SELECT address FROM recipient', { { 'c@example.org' } })
  t.eq(#router:records 'Delivery', 0)
  t.eq(#sink:messages(), 0)
end)

t.test('an order goes through hundreds of messages in steps, and keeps to its limit', function()
  local router = waiting(t.smtp_sink(), { mail = { { to = 'a@example.com', count = 250 } } })
  local status, out = rebind('--domain', 'example.com', '--set', 'note=x', '--limit', '120')
  t.eq(status, 0, out)
  t.has(out, '120 messages selected, 0 rebound, 120 changed')
  status, out = rebind('--domain', 'example.com', '--set', 'note=x')
  t.eq(status, 0, out)
  t.has(out, '250 messages selected, 0 rebound, 130 changed, 120 unchanged')
  t.eq(router:sql 'SELECT count(*) FROM recipient WHERE state = 0'[1][1], 250)
end)

t.test('an order that is under way when a sync of the queue fails is carried out after the recovery', function()
  local asked, go = t.dir() .. '/asked', t.dir() .. '/go'
  local router = waiting(t.smtp_sink(), { mail = { { to = 'a@example.com' } }, extra = ([[
    kumo.on('rebind_message', function(message, data)
      io.open('%s', 'w'):close()
      while not io.open('%s') do kumo.sleep(0.05) end
      message:set_meta('queue', 'other.test')
    end)]]):format(asked, go) })
  local order = t.spawn {
    t.daemons.program 'penstock', '--control', router.control, '--queue', t.context().queue,
    'rebind', '--domain', 'example.com', '--event',
  }
  t.wait_for('the event', function()
    return t.read(asked)
  end)
  -- As another program whose sync failed does (queue/queue_lock.h).
  local lock = assert(io.open(t.context().queue .. '-writer', 'r+b'))
  local generation = lock:read(8)
  lock:seek('set', 8)
  lock:write(generation)
  lock:close()
  router:line 'deliveries stop until the file is recovered'
  t.write('go', '')
  router:line('recovered after a failed sync', 30000)
  t.eq(order:wait(30000), 0, order:output())
  t.log(router, 'AdminRebind', { recipient = 'a@example.com', queue = 'other.test' })
  t.none(router, 'SELECT count(*) FROM recipient')
end)

t.test('orders whose event takes long keep nobody else waiting at the control socket', function()
  local dir = t.dir()
  local router = waiting(t.smtp_sink(), { extra = ([[
    kumo.on('rebind_message', function(message, data)
      local who = message:recipient().user
      io.open('%s/asked.' .. who, 'w'):close()
      while not io.open('%s/go') do kumo.sleep(0.05) end
      message:set_meta('queue', 'other.test')
    end)]]):format(dir, dir) })
  local orders = {}
  for _, who in ipairs { 'a', 'b' } do
    orders[who] = t.spawn {
      t.daemons.program 'penstock', '--control', router.control, '--queue', t.context().queue,
      'rebind', '--recipient', who .. '@example.com', '--event',
    }
    t.wait_for('the event for ' .. who, function()
      return t.read(dir .. '/asked.' .. who)
    end)
  end
  t.eq(router:ask('status').program, 'penstock-router')
  t.eq(router:ask('tick').ok, true)
  local status, out = rebind('--domain', 'example.org', '--set', 'note=x')
  t.eq(status, 75, out)
  t.has(out, '2 orders are being carried out; try again when one of them has ended')
  -- Other mail goes on as well.
  router:enqueue { to = 'now@example.net' }
  t.log(router, 'Delivery', { recipient = 'now@example.net' })
  t.eq(#router:records 'AdminRebind', 0)
  t.write('go', '')
  for _, order in pairs(orders) do
    t.eq(order:wait(30000), 0, order:output())
  end
  t.eq(rebind('--domain', 'example.org', '--set', 'note=x'), 0)
end)

t.test('mail that is being delivered is left alone by rebind', function()
  local router = t.router { policy = t.smart_host(t.smtp_sink { dot = 'stall' }) }
  router:enqueue { to = 'a@example.com' }
  t.wait_for('the transaction', function()
    return router:sql('SELECT count(*) FROM recipient WHERE state = 1')[1][1] == 1
  end)
  local status, out = rebind('--domain', 'example.com', '--set', 'queue=other.test')
  t.eq(status, 0, out)
  t.has(out, '0 messages selected')
  t.rows(router:sql 'SELECT state FROM recipient', { { 1 } })
end)

t.test('rebind needs the router, and says so', function()
  local router = waiting(t.smtp_sink())
  t.eq(router:stop(), 0)
  local status, out = rebind('--domain', 'example.com', '--set', 'queue=x.test')
  t.eq(status, 69, out)
  t.has(out, 'penstock-router does not answer')
end)

t.test('orders that the socket does not understand are refused with the reason', function()
  local router = waiting(t.smtp_sink())
  for request, why in pairs {
    ['rebind nonsense'] = 'nonsense',
    ['rebind {}'] = 'expected an object with a selector',
    ['rebind {"selector":{},"flush":true}'] = 'at least one condition',
    ['rebind {"selector":{"what":"x"},"flush":true}'] = 'what is unknown',
    ['rebind {"selector":{"older_than":"x"},"flush":true}'] = 'older_than is unknown, or',
    ['rebind {"selector":{"domain":1},"flush":true}'] = 'domain: expected text',
    ['rebind {"selector":{"domain":"x"}}'] = 'nothing to do',
    ['rebind {"selector":{"domain":"x"},"flush":1}'] = 'flush: expected true or false',
    ['rebind {"selector":{"domain":"x"},"data":{"a":1}}'] = 'data: a: expected text',
    ['rebind {"selector":{"domain":"x"},"flush":true,"limit":201}'] = 'limit: expected 1 to 200',
    ['rebind {"selector":{"id":"abc"},"flush":true}'] = 'is not an id',
    ['rebind {"selector":{"domain":"x"},"flush":true,"colour":1}'] = 'colour is not known',
  } do
    local answer = router:ask(request)
    t.eq(answer.ok, false, request)
    t.has(answer.error, why)
  end
end)
