-- The life of a router: what it died over, what it sees first, how it stops.
local t = require 'harness'
local sched = require 'sched'
local sys = require 'sys'

local function hold_until_dead(router)
  while router:running() do
    sched.pass(10)
  end
  return 'drop'
end

t.test('a message that kills the router three times is held, and one that was tried beside it goes free', function()
  local victim = { deaths = 0, beside = false }
  local sink = t.smtp_sink { dot = function(data)
    while not victim.router do -- it is still starting
      sched.pass(10)
    end
    local router = victim.router
    if not data:find('poison', 1, true) then
      if victim.deaths >= 2 then
        return '250 2.0.0 taken'
      end
      victim.beside = true
      return hold_until_dead(router)
    end
    while victim.deaths < 2 and not victim.beside do
      sched.pass(10)
    end
    router:signal(9)
    return hold_until_dead(router)
  end }
  -- Or the connection of one fetches the other ahead, and neither goes on.
  local policy = t.smart_host(sink, { path = 'max_deliveries_per_connection = 1' })
  victim.router = t.router { policy = policy }
  victim.router:enqueue { to = { 'ann@example.com' }, data = 'Subject: poison\r\n\r\npoison\r\n' }
  victim.router:enqueue { to = { 'bob@example.com' } }
  for n = 1, 3 do
    t.wait_for('death ' .. n, function() return not victim.router:running() end, 60000)
    victim.deaths, victim.beside, victim.router = n, false, nil
    if n < 3 then
      victim.router = t.router { policy = policy }
    end
  end
  victim.router = t.router { policy = policy }
  t.log(victim.router, 'Delivery', { recipient = 'bob@example.com' })
  t.none(victim.router, "SELECT count(*) FROM recipient WHERE address = 'bob@example.com'")
  t.eq(#sink:messages(), 1)
  t.rows(victim.router:sql 'SELECT address, state, held_because FROM recipient', {
    { 'ann@example.com', 2, 'router died while delivering this' },
  })
end)

t.test('what only waited when the router died is not suspected', function()
  local stalled = 0
  local sink = t.smtp_sink { dot = function()
    stalled = stalled + 1
    return 'stall'
  end }
  local policy = t.smart_host(sink, { path = 'connection_limit = 1' })
  local router = t.router { policy = policy }
  router:enqueue { to = 'a@example.com', count = 3 }
  for n = 1, 2 do
    t.wait_for('a transaction, and two that wait', function()
      return stalled == n and router:sql('SELECT count(*) FROM recipient WHERE state = 1')[1][1] == 3
    end)
    if n == 1 then
      router:kill()
      router = t.router { policy = policy }
    end
  end
  t.rows(router:sql 'SELECT sum(crashes), max(crashes) FROM recipient', { { 1, 1 } })
end)

-- Starts routers until one delivers all that can be delivered; returns it, and how many died. What
-- policy(dying) writes into the file `dying` says that its event kills the router.
local function until_one_lives(policy)
  for died = 0, 6 do
    local dying = ('%s/dying.%d'):format(t.dir(), died)
    local router = t.router { policy = policy(("io.open('%s', 'w'):close() kumo.sleep(60)"):format(dying)) }
    local fate = t.wait_for('an event that kills, or the end of the queue', function()
      return t.read(dying) and 'dies'
        or router:sql('SELECT count(*) FROM recipient WHERE state < 2')[1][1] == 0 and 'lives'
    end, 60000)
    if fate == 'lives' then
      return router, died
    end
    router:kill()
  end
  error 'seven died'
end

t.test('a scheduled queue whose configuration kills the router is held, and others go on', function()
  local sink = t.smtp_sink()
  local first = t.router { policy = t.smart_host '127.0.0.1:9' }
  t.eq(first:stop(), 0)
  for _, to in ipairs { 'a@one.test', 'b@two.test', 'c@poison.test', 'd@poison.test', 'e@three.test' } do
    first:enqueue { to = to }
  end
  local router, died = until_one_lives(function(kill)
    -- An expression in the table that the handler returns.
    return t.smart_host(sink, { queue = ([[provider_name = (function()
      if domain == 'poison.test' then %s end
    end)(),]]):format(kill) })
  end)
  t.eq(died, 3)
  t.rows(router:sql 'SELECT address, state, held_because FROM recipient ORDER BY address', {
    { 'c@poison.test', 2, 'router died while preparing the queue of this' },
    { 'd@poison.test', 2, 'router died while preparing the queue of this' },
  })
  t.has(router:output(), 'queue poison.test: the router died 3 times while it prepared it: 2 recipients are held')
end)

t.test('a scheduled queue that routers were at when they were killed is not held when its mail went between', function()
  local sink = t.smtp_sink()
  for n = 1, 4 do
    local may_hang, hangs = ('%s/may-hang.%d'):format(t.dir(), n), ('%s/hangs.%d'):format(t.dir(), n)
    local router = t.router { policy = t.smart_host(sink, { queue = ([[refresh_interval = '1s', provider_name = (function()
      if io.open('%s') then io.open('%s', 'w'):close() kumo.sleep(60) end
    end)(),]]):format(may_hang, hangs) }) }
    router:enqueue { to = 'a@example.com' }
    t.none(router, 'SELECT count(*) FROM recipient')
    io.open(may_hang, 'w'):close()
    t.wait_for('an answer that does not come', function()
      if router:sql('SELECT count(*) FROM recipient')[1][1] == 0 then
        router:enqueue { to = 'a@example.com' }
      end
      return t.read(hangs)
    end, 60000)
    router:kill()
  end
end)

t.test('a message that kills the router in throttle_insert_ready_queue is held alone', function()
  local sink = t.smtp_sink()
  local first = t.router { policy = t.smart_host '127.0.0.1:9' }
  t.eq(first:stop(), 0)
  first:enqueue { to = 'a@example.com', count = 90 }
  first:enqueue { to = 'poison@example.com' }
  first:enqueue { to = 'b@example.com', count = 90 }
  local router, died = until_one_lives(function(kill)
    return t.smart_host(sink, { extra = ([[
      kumo.on('throttle_insert_ready_queue', function(message)
        if message:recipient().user == 'poison' then %s end
      end)]]):format(kill) })
  end)
  t.eq(died, 3)
  t.rows(router:sql 'SELECT address, state, held_because FROM recipient', {
    { 'poison@example.com', 2, 'router died while delivering this' },
  })
end)

t.test('a router that stops gives suspects back that wait for their turn', function()
  local tried, go = 0, false
  local sink = t.smtp_sink { dot = function()
    tried = tried + 1
    while not go do
      sched.pass(10)
    end
    return '250 2.0.0 taken'
  end }
  local router = t.router { policy = t.smart_host '127.0.0.1:9' }
  t.eq(router:stop(), 0)
  router:enqueue { to = 'a@example.com', count = 4 }
  sys.sql(t.context().queue, 'UPDATE recipient SET crashes = 2', true)
  router = t.router { policy = t.smart_host(sink) }
  t.wait_for('one that is tried, three that wait', function()
    return tried == 1 and router:sql('SELECT count(*) FROM recipient WHERE state = 1')[1][1] == 4
  end)
  router:signal(15)
  router:line 'stopping'
  go = true
  t.eq(router:wait(60000), 0)
  t.rows(router:sql 'SELECT state, crashes FROM recipient', { { 0, 2 }, { 0, 2 }, { 0, 2 } })
  t.eq(#sink:messages(), 1)
end)

-- ---- spool_message_enumerated ----

local enumerated = [[
  kumo.on('spool_message_enumerated', function(message)
    message:set_meta('seen', (message:get_meta 'seen' or 0) + 1)
    %s
  end)]]

-- Puts messages into the queue while no router runs.
local function queued_before(o)
  local router = t.router { policy = t.smart_host '127.0.0.1:9' }
  t.eq(router:stop(), 0)
  for _, message in ipairs(o) do
    router:enqueue(message)
  end
end

t.test('spool_message_enumerated sees what was queued at the start once, and nothing that came later', function()
  local sink = t.smtp_sink { rcpt = function(line)
    return line:find('twice', 1, true) and not t.context().tried and '450 4.2.0 later' or '250 2.1.5 ok'
  end }
  queued_before { { to = 'a@example.com' }, { to = 'twice@example.org' } }
  local router = t.router { policy = t.smart_host(sink, { extra = enumerated:format '' }) }
  t.eq(t.log(router, 'Delivery', { recipient = 'a@example.com' }).meta.seen, 1)
  t.log(router, 'TransientFailure', { recipient = 'twice@example.org' })
  t.context().tried = true
  router:enqueue { to = 'late@example.com' }
  t.eq(t.log(router, 'Delivery', { recipient = 'late@example.com' }).meta.seen, nil)
  t.wait_for('the row', function()
    return router:sql("SELECT state FROM recipient WHERE address = 'twice@example.org'")[1][1] == 0
  end)
  router:advance '1 hour'
  t.eq(t.log(router, 'Delivery', { recipient = 'twice@example.org' }).meta.seen, 1)
  t.eq(#router:records 'Delayed', 0)
end)

t.test('spool_message_enumerated may send a message elsewhere, and put it off', function()
  local sink = t.smtp_sink()
  queued_before { { to = 'a@example.com' }, { to = 'b@example.org' } }
  local router = t.router { policy = t.smart_host(sink, { extra = enumerated:format [[
    if message:recipient().domain == 'example.com' then
      message:set_meta('queue', 'elsewhere.test')
    else
      message:set_due(kumo.time.now() + kumo.time.parse_duration '2 hours')
    end]] }) }
  t.eq(t.log(router, 'Delivery', { recipient = 'a@example.com' }).queue, 'elsewhere.test')
  t.wait_for('the row', function()
    local row = router:sql "SELECT state, due_at > unixepoch() + 7000, attempts FROM recipient WHERE address = 'b@example.org'"
    return row[1][1] == 0 and row[1][2] == 1 and row[1][3] == 0
  end)
  router:advance '3 hours'
  t.eq(t.log(router, 'Delivery', { recipient = 'b@example.org' }).num_attempts, 0)
  t.eq(#router:records 'Delayed', 0)
end)

t.test('a message that spool_message_enumerated raises over ends the router with 78 and stays as it is', function()
  local sink = t.smtp_sink()
  queued_before { { to = 'a@example.com' } }
  for _, what in ipairs { "error 'no'", "kumo.reject(500, 'no')" } do
    local router = t.router {
      expect_failure = true, policy = t.smart_host(sink, { extra = enumerated:format(what) }),
    }
    t.eq(router:wait(), 78)
    t.has(router:output(), 'spool_message_enumerated')
    t.rows(router:sql 'SELECT DISTINCT state, attempts, crashes FROM recipient', { { 0, 0, 0 } })
  end
  t.eq(#sink:messages(), 0)
end)

t.test('recipients of one message that are due together are enumerated together', function()
  local sink = t.smtp_sink()
  queued_before { { to = { 'a@example.com', 'b@example.com' } } }
  local router = t.router { policy = t.smart_host(sink, { extra = enumerated:format [[
    message:set_meta('who', #message:recipient_list())]] }) }
  t.eq(t.log(router, 'Delivery').meta.who, 2)
end)

-- ---- the end ----

t.test('system_shutdown_timeout is what a session may still take when the router stops', function()
  local sink = t.smtp_sink { dot = 'stall' }
  local router = t.router { policy = t.smart_host(sink, { path = "system_shutdown_timeout = '1s'" }) }
  router:enqueue { to = 'a@example.com' }
  router:line('content %-> end of data')
  router:signal(15)
  router:advance(2) -- not yet the 30 seconds of sessions without it
  t.eq(router:wait(20000), 0)
  t.rows(router:sql 'SELECT state, attempts FROM recipient', { { 0, 1 } })
end)

t.test('a session with a long system_shutdown_timeout ends what it is at', function()
  local gate = {}
  local sink = t.smtp_sink { dot = function()
    while not gate.open do
      sched.pass(10)
    end
    return '250 2.0.0 taken'
  end }
  local router = t.router { policy = t.smart_host(sink, { path = "system_shutdown_timeout = '5 mins'" }) }
  router:enqueue { to = 'a@example.com' }
  router:line('content %-> end of data')
  router:signal(15)
  router:line('stopping')
  router:advance(120)
  router:ask 'status'
  gate.open = true
  t.eq(router:wait(20000), 0)
  t.eq(#sink:messages(), 1)
  t.rows(router:sql 'SELECT count(*) FROM recipient', { { 0 } })
end)
