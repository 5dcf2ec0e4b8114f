-- Killed at every marked point: nothing that was acknowledged is missing
-- afterwards, and what left has its record.
local t = require 'harness'

-- The table in base/fault.c, of ordinary mail: not what operators order
-- (suppression.lua), no reports (links.lua), no limits (queues.lua).
local POINTS = {}
for name in t.read(TOP_SRCDIR .. '/base/fault.c'):match 'fault_rows%[%] = (.-)\n};':gmatch '{"([%w.-]+)"' do
  POINTS[#POINTS + 1] = not (name:match '^order%.' or name:match '^report%.' or name:match '^intake%.') and name or nil
end

local function policy(sink)
  return ([[
local kumo = require 'kumo'
kumo.on('init', function()
  kumo.start_esmtp_listener { listen = '0.0.0.0:25', relay_hosts = { 'any' } }
  %s
end)
kumo.on('get_queue_config', function(domain)
  local protocol = { smtp = { mx_list = { { name = 'sink.test', addr = '%s' } } } }
  if domain == 'maildir.test' then protocol = { maildir_path = '%s/mail' } end
  return kumo.make_queue_config { retry_interval = '1s', max_retry_interval = '1s', protocol = protocol }
end)
kumo.on('get_egress_path_config', function() return kumo.make_egress_path { prohibited_hosts = {} } end)
]]):format(t.local_logs(), sink.address, t.dir())
end

local BIG = 'Subject: big\r\n\r\n' .. ('x'):rep(76):rep(40000, '\r\n') .. '\r\n'

-- A small message, a large one, one for a maildir.
local MAIL = {
  { 'small@smtp.test', t.plain }, { 'large@smtp.test', BIG }, { 'box@maildir.test', t.plain },
}

local function rig(env)
  local r = { sink = t.smtp_sink {} }
  -- The file exists before the fault does.
  t.milter({ policy = policy(r.sink) }):kill()
  for _, name in ipairs { 'milter', 'router' } do
    local ok, daemon = pcall(t[name], { policy_file = t.dir() .. '/policy.lua', env = env })
    r[name] = ok and daemon or t[name] { policy_file = t.dir() .. '/policy.lua' }
  end
  return r
end

local function revive(r)
  for _, name in ipairs { 'milter', 'router' } do
    if not r[name]:running() then
      r[name] = t[name] { policy_file = t.dir() .. '/policy.lua' }
    end
  end
end

-- Until it is taken, as a client does.
local function send(r, to, data)
  return t.wait_for('custody of ' .. to, function()
    revive(r)
    local mta = r.milter:connect { helo = 'x.test' }
    if not mta or mta:mail '<a@b.test>' ~= 'continue' or mta:rcpt('<' .. to .. '>') ~= 'continue' then
      return false
    end
    local verdict = mta:message(data)
    mta:close()
    return verdict == 'discard'
  end, 60000)
end

local function drain(r)
  t.wait_for('an empty queue', function()
    revive(r)
    return t.sys.sql(t.context().queue, 'SELECT count(*) FROM recipient')[1][1] == 0
  end, 60000)
end

t.test('every marked point is passed by ordinary mail', function()
  local log = t.dir() .. '/points'
  local r = rig { PENSTOCK_FAULT_LOG = log }
  for _, m in ipairs(MAIL) do
    send(r, m[1], m[2])
  end
  drain(r)
  local seen
  t.wait_for('all points', function()
    seen = {}
    for name in (t.read(log) or ''):gmatch '[^\n]+' do
      seen[name] = true
    end
    for _, name in ipairs(POINTS) do
      if not seen[name] then
        return false
      end
    end
    return true
  end, 20000)
end)

for _, name in ipairs(POINTS) do
  t.test('killed at ' .. name, function()
    local r = rig { PENSTOCK_FAULT = name .. ':1:kill' }
    for _, m in ipairs(MAIL) do
      send(r, m[1], m[2])
    end
    drain(r)
    local got = {}
    for _, m in ipairs(r.sink:messages()) do
      got[m.to[1]] = (got[m.to[1]] or 0) + 1
    end
    for _, file in ipairs(t.sys.list(t.dir() .. '/mail/new') or {}) do
      got['box@maildir.test'] = (got['box@maildir.test'] or 0) + 1
    end
    for _, m in ipairs(MAIL) do
      t.ok(got[m[1]], m[1] .. ' arrived')
      -- Twice in custody when the milter died, each delivered twice when the
      -- router did.
      t.ok(got[m[1]] <= 4, m[1] .. ' arrived ' .. got[m[1]] .. ' times')
      t.log(r.router, 'Delivery', { recipient = m[1] })
    end
    t.rows(t.sys.sql(t.context().queue, 'PRAGMA integrity_check'), { { 'ok' } })
  end)
end

-- What a log hook wants queued is committed with the mail that its record is about.
local HOOKS = [[
kumo.configure_log_hook { name = 'h', per_record = { Reception = { enable = true }, Any = { enable = false } } }
kumo.on('should_enqueue_log_record', function(msg)
  msg:set_sender('')
  msg:set_recipient('hook@smtp.test')
  msg:set_data('Subject: hook\r\n\r\n"id":"' .. msg:get_meta('log_record').id .. '"\r\n')
  msg:set_meta('queue', 'smtp.test')
  return true
end)
]]

for _, name in ipairs { 'custody.before-commit', 'custody.after-commit', 'log.before-write', 'log.after-write' } do
  t.test('killed at ' .. name .. ': mail and the message of its log hook come together', function()
    local r = { sink = t.smtp_sink {} }
    t.milter({ policy = policy(r.sink) .. HOOKS }):kill()
    r.milter = t.milter { policy_file = t.dir() .. '/policy.lua', env = { PENSTOCK_FAULT = name .. ':2:kill' } }
    r.router = t.router { policy_file = t.dir() .. '/policy.lua' }
    for i = 1, 4 do
      send(r, ('box%d@smtp.test'):format(i), t.plain)
    end
    drain(r)
    local mail, hooks, boxes = {}, {}, {}
    for _, m in ipairs(r.sink:messages()) do
      if m.to[1] == 'hook@smtp.test' then
        hooks[m.data:match '"id":"(%x+)"'] = true
      else
        mail[m.data:match ' id (%x+) for'] = true
        boxes[m.to[1]] = true
      end
    end
    t.eq(hooks, mail)
    for i = 1, 4 do
      t.ok(boxes[('box%d@smtp.test'):format(i)], 'what was acknowledged arrived')
    end
    t.rows(t.sys.sql(t.context().queue, 'PRAGMA integrity_check'), { { 'ok' } })
  end)
end
