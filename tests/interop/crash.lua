-- kill -9 at random under load.  A ledger knows every message; afterwards none is
-- missing, few are there twice, and every one that left has its log record.
--
-- PENSTOCK_CRASH_KILLS: kills for each victim (100).
local t = require 'harness'
local postfix = require 'postfix'
local sys, sched = t.sys, t.sched

local KILLS = tonumber(os.getenv 'PENSTOCK_CRASH_KILLS' or '100')
local CLIENTS = 8

local function policy(sink)
  return ([[
local kumo = require 'kumo'
kumo.on('init', function()
  kumo.start_esmtp_listener { listen = '0.0.0.0:25', relay_hosts = { '127.0.0.1' } }
  %s
end)
kumo.on('get_queue_config', function()
  return kumo.make_queue_config {
    retry_interval = '1s', max_retry_interval = '1s',
    protocol = { smtp = { mx_list = { { name = 'sink.test', addr = '%s' } } } },
  }
end)
kumo.on('get_egress_path_config', function()
  return kumo.make_egress_path { prohibited_hosts = {}, connection_limit = 8 }
end)
]]):format(t.local_logs(), sink.address)
end

-- A rig: everything running, clients that send until told to stop.
local function rig(env, sink)
  local r = { sink = t.smtp_sink(sink or {}), acked = {}, tries = 0, next = 0, env = env }
  r.milter = t.milter { policy = policy(r.sink), env = env.milter }
  r.router = t.router { env = env.router }
  r.mta = postfix.start(r.milter, { 'service_throttle_time=1s', 'smtpd_timeout=20s' })
  r.sending = true
  r.busy = CLIENTS
  for _ = 1, CLIENTS do
    sched.spawn(function()
      while r.sending do
        r.next = r.next + 1
        local id = 'm' .. r.next
        local body = ('x'):rep(70):rep(r.next % 50 == 0 and 3000 or 20, '\r\n')
        while true do -- as a client does: again until it is taken
          r.tries = r.tries + 1
          if postfix.send(r.mta.port, 'ann@x.test', id .. '@ours.test', 'Subject: ' .. id .. '\r\n\r\n' .. body, 30000) then
            r.acked[id] = true
            break
          end
          sched.pass(20)
        end
      end
      r.busy = r.busy - 1
    end)
  end
  return r
end

local VICTIMS = {
  milter = function(r)
    r.milter:kill()
    r.milter = t.milter { policy_file = t.dir() .. '/policy.lua', env = r.env.milter }
  end,
  router = function(r)
    r.router:kill()
    r.router = t.router { policy_file = t.dir() .. '/policy.lua', env = r.env.router }
  end,
  ['milter and router'] = function(r)
    sys.kill(r.milter.pid, 9)
    sys.kill(r.router.pid, 9)
    r.milter:wait()
    r.router:wait()
    r.milter = t.milter { policy_file = t.dir() .. '/policy.lua', env = r.env.milter }
    r.router = t.router { policy_file = t.dir() .. '/policy.lua', env = r.env.router }
  end,
  smtpd = function(r)
    for _, pid in ipairs(r.mta:pids 'smtpd') do
      sys.kill(pid, 9)
    end
  end,
  cleanup = function(r)
    for _, pid in ipairs(r.mta:pids 'cleanup') do
      sys.kill(pid, 9)
    end
  end,
}

-- Ends the load, drains, and counts.
local function settle(r, ms)
  r.sending = false
  t.wait_for('the clients to finish', function()
    return r.busy == 0
  end, 120000)
  t.wait_for('an empty queue', function()
    -- What a router died over three times waits for an operator: here he is.
    if #r.router:sql 'SELECT 1 FROM recipient WHERE state = 2' > 0 then
      sys.sql(t.context().queue, 'UPDATE recipient SET state = 0, crashes = 0 WHERE state = 2', true)
    end
    return r.router:sql('SELECT count(*) FROM recipient')[1][1] == 0
  end, ms or 120000)
  local delivered, ids = {}, {}
  for _, m in ipairs(r.sink:messages()) do
    local id = m.to[1]:match '^[^@]+'
    delivered[id] = (delivered[id] or 0) + 1
    ids[m.data:match 'id (%x+) for' or '?'] = true
  end
  local recorded = {}
  for _, rec in ipairs(t.daemons.records(t.context().logs)) do
    if rec.type == 'Delivery' then
      recorded[rec.id] = true
    end
  end
  local result = { sent = 0, lost = 0, twice = 0, unrecorded = 0 }
  for id in pairs(r.acked) do
    result.sent = result.sent + 1
    if not delivered[id] then
      result.lost = result.lost + 1
    end
  end
  for _, n in pairs(delivered) do
    result.twice = result.twice + n - 1
  end
  for id in pairs(ids) do
    if not recorded[id] then
      result.unrecorded = result.unrecorded + 1
    end
  end
  return result
end

local function kill_often(r, victim, kills)
  for _ = 1, kills do
    sched.pass(math.random(40, 240))
    VICTIMS[victim](r)
  end
  sched.pass(200)
end

-- Duplicates that each kill may make: sessions at end of message for the MTA's
-- side; open connections and one batch of outcomes for the router.
local ALLOWED = { milter = CLIENTS, smtpd = CLIENTS, cleanup = CLIENTS, router = 8 + 500 }
ALLOWED['milter and router'] = ALLOWED.milter + ALLOWED.router

for _, victim in ipairs { 'milter', 'router', 'milter and router', 'smtpd', 'cleanup' } do
  t.test(('%d kills of %s: nothing lost, every message recorded'):format(KILLS, victim), function()
    local r = rig { milter = {}, router = {} }
    kill_often(r, victim, KILLS)
    local got = settle(r)
    print(('# %s: %d messages, %d tries, %d twice'):format(victim, got.sent, r.tries, got.twice))
    t.ok(got.sent >= KILLS / 2, 'there was load: ' .. got.sent)
    t.eq(got.lost, 0, 'lost')
    t.eq(got.unrecorded, 0, 'delivered without a record')
    t.ok(got.twice <= ALLOWED[victim] * KILLS, 'twice: ' .. got.twice)
    t.rows(r.router:sql 'PRAGMA integrity_check', { { 'ok' } })
  end)
end

-- The test must see what it is for: bugs planted on purpose.  Each comes with what
-- makes its moment long enough to be hit.
local SLOW_DATA = {
  data = function()
    sched.pass(60)
  end,
}
for _, bug in ipairs {
  { 'milter', 'custody.reply-before-commit:0:error,custody.before-commit:20:kill', 'lost' },
  { 'router', 'outcome.delete-before-reply:0:error', 'lost', SLOW_DATA },
  { 'router', 'outcome.record-after-row:0:error,log.before-write:2:kill', 'unrecorded' },
} do
  t.test('a planted bug is found: ' .. bug[2]:match '^[^:]+', function()
    local r = rig({ milter = {}, router = {}, [bug[1]] = { PENSTOCK_FAULT = bug[2] } }, bug[4])
    if bug[2]:find ':kill' then -- it dies by itself, at the worst moment
      t.wait_for('the victim to die', function()
        return not r[bug[1]]:running()
      end)
    else
      for _ = 1, 20 do
        sched.pass(math.random(100, 300))
        VICTIMS[bug[1]](r)
      end
    end
    r.env = { milter = {}, router = {} } -- the bug has had its time
    VICTIMS[bug[1]](r)
    local got = settle(r)
    print(('# %s: %d messages, %d lost, %d without a record'):format(bug[2], got.sent, got.lost, got.unrecorded))
    t.ok(got[bug[3]] > 0, 'the ledger shows ' .. bug[3])
  end)
end
