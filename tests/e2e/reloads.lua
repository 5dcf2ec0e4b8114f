-- A policy is taken anew a thousand times while mail comes in, and half of the
-- files are broken: no session notices, nothing of the old ones stays behind,
-- and what holds is always the last policy that was whole.
--
-- RELOADS=N: as many.
local t = require 'harness'

local RELOADS = tonumber(os.getenv 'RELOADS') or (t.sys.is_sanitized and 100 or 1000)
local SESSIONS = 8

-- Policy number n.  It refuses recipients of other numbers, so that what a
-- client hears tells which one holds; its table is there to be leaked.
local function whole(n)
  return ([[
local kumo = require 'kumo'
local ballast = {}
for i = 1, 2000 do ballast[i] = { tostring(i) .. ' of %d' } end
kumo.on('init', function()
  kumo.start_esmtp_listener { listen = '0.0.0.0:25', relay_hosts = { '203.0.113.0/24' },
    max_messages_per_connection = 1000000 }
  %s
end)
kumo.on('get_listener_domain', function() return kumo.make_listener_domain { relay_to = true } end)
kumo.on('smtp_server_rcpt_to', function(recipient)
  if recipient.user == 'number' then kumo.reject(550, '5.7.1 policy %d') end
end)
]]):format(n, t.local_logs(), n)
end

-- Every way to be broken: in its grammar, while it loads, in init, in what it
-- declares.
local function broken(n)
  local ways = {
    'this is not Lua %d',
    "error 'number %d'",
    "local kumo = require 'kumo'\nkumo.on('init', function() error 'number %d' end)",
    "local kumo = require 'kumo'\nkumo.on('init', function() kumo.start_esmtp_listener { bogus = %d } end)",
    "local kumo = require 'kumo'\nkumo.on('init', function() end)\nkumo.on('init', function() return %d end)",
    "require 'no.such.module.%d'",
    'local x = {} x.y.z = %d',
  }
  return ways[n % #ways + 1]:format(n)
end

local function memory(milter)
  return tonumber(t.read('/proc/' .. milter.pid .. '/status'):match 'VmRSS:%s*(%d+)') // 1024
end

local function threads(milter)
  return #t.sys.list('/proc/' .. milter.pid .. '/task')
end

-- Sessions that stay open for the whole time and send one message after the
-- other; `said` gets what is not as it should be.
local function visitors(milter, said, sent, stop)
  for i = 1, SESSIONS do
    t.sched.spawn(function()
      local mta = milter:connect { helo = 'x.test', ip = '203.0.113.' .. i }
      while not stop.now do
        local verdict = mta:mail '<a@b.test>'
        if verdict == 'continue' then
          verdict = mta:rcpt '<bob@d.test>'
        end
        if verdict == 'continue' then
          verdict = mta:message(t.plain)
        end
        if verdict ~= 'discard' then
          said[#said + 1] = tostring(verdict)
        end
        sent.count = sent.count + 1
        t.sched.pass(20)
      end
      mta:quit()
      stop.left = stop.left - 1
    end)
  end
end

local function number_in_force(milter)
  local mta = milter:connect { helo = 'x.test' }
  t.eq(mta:mail '<a@b.test>', 'continue')
  local reply = mta:rcpt '<number@d.test>'
  mta:quit()
  return tonumber(reply:match '^550 5%.7%.1 policy (%d+)$') or reply
end

t.test(RELOADS .. ' reloads under load, half of them of broken files', function()
  local milter = t.milter { policy = whole(0), quiet = true }
  local said, sent, stop = {}, { count = 0 }, { left = SESSIONS }
  local last, generation, warm, peak_threads = 0, 1, nil, 0
  visitors(milter, said, sent, stop)
  for n = 1, RELOADS do
    local is_whole = n % 2 == 0
    t.write('policy.lua', is_whole and whole(n) or broken(n))
    local answer = milter:reload()
    t.eq(answer.ok, is_whole, 'reload ' .. n)
    if is_whole then
      last, generation = n, generation + 1
    else
      t.has(answer.error, 'policy.lua', 'reload ' .. n)
    end
    -- A failed one uses up no number.
    if n % 20 == 0 or n < 10 then
      t.eq(number_in_force(milter), last, 'after reload ' .. n)
    end
    if n == RELOADS // 5 then
      warm = memory(milter)
    end
    peak_threads = math.max(peak_threads, threads(milter))
  end
  stop.now = true
  t.wait_for('the sessions to end', function()
    return stop.left == 0
  end, 60000)
  local after = memory(milter)
  print(('# %d reloads, %d messages meanwhile: %d MB after a fifth, %d MB at the end, at most %d threads'):format(
    RELOADS, sent.count, warm, after, peak_threads))
  t.eq(said, {}, 'what sessions heard instead of being served')
  t.eq(number_in_force(milter), last)
  t.rows(milter:sql 'SELECT count(*) FROM recipient', { { sent.count } })
  -- A generation of this policy takes about half a megabyte for each state.
  t.ok(t.sys.is_sanitized or after <= warm + 15, ('%d MB, then %d MB'):format(warm, after))
  -- The threads of generations that are gone have ended.
  t.wait_for('the threads of old generations to end', function()
    return threads(milter) < 40
  end)
  t.eq(milter:ask('status').abandoned_threads, 0)
end)
