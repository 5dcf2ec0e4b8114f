-- The life of a router: what it died over, what it sees first, how it stops.
local t = require 'harness'
local sched = require 'sched'

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
