-- The life of a policy in the daemons: what runs when, and which functions belong
-- to which process (policy language, 17.1 and 17.2).
local t = require 'harness'

-- Handlers add a line to DIR/life: what, and in which process.
local function policy(body)
  return ([[
local kumo = require 'kumo'
local function note(text)
  local f = io.open('%s/life', 'a')
  f:write(text .. '\n')
  f:close()
end
%s
]]):format(t.dir(), body)
end

local function life()
  local ok, text = pcall(t.read, t.dir() .. '/life')
  return ok and text or ''
end

local function count(text, line)
  local n = 0
  for found in text:gmatch '[^\n]+' do
    n = n + (found == line and 1 or 0)
  end
  return n
end

local function wait_for_line(line, n)
  t.wait_for(line, function()
    return count(life(), line) >= (n or 1)
  end, 20000)
end

local stages = [[
kumo.on('pre_init', function() note 'pre_init 1' end)
kumo.on('pre_init', function() note 'pre_init 2' end)
kumo.on('init', function() note 'init' end)
kumo.on('validate_config', function() note 'validate_config' end)
kumo.on('shutdown_logging', function() note 'shutdown_logging' end)
kumo.on('main', function() note 'main' end)
]]

for _, kind in ipairs { 'milter', 'router' } do
  t.test(kind .. ': pre_init, then init, once; shutdown_logging at the end', function()
    local daemon = t[kind] { policy = policy(stages) }
    t.eq(life(), 'pre_init 1\npre_init 2\ninit\n')
    daemon:stop()
    t.eq(life(), 'pre_init 1\npre_init 2\ninit\nshutdown_logging\n')
  end)

  t.test(kind .. ': a shutdown_logging that fails is logged and does not hold up the end', function()
    local daemon = t[kind] { policy = policy [[
kumo.on('shutdown_logging', function() error 'not today' end)]] }
    daemon:stop()
    t.has(daemon:output(), 'shutdown_logging: ')
    t.has(daemon:output(), 'not today')
  end)

  t.test(kind .. ': an init that raises ends the start', function()
    local ok = pcall(t[kind], { policy = policy "kumo.on('init', function() error 'no' end)" })
    t.eq(ok, false)
  end)
end

t.test('validate_config runs in a check, and nowhere else', function()
  local status, out = t.penstock('--policy', t.write('p.lua', policy(stages)), 'check')
  t.eq(status, 0, out)
  t.eq(life(), 'pre_init 1\npre_init 2\ninit\nvalidate_config\n')
end)

-- Functions of init: what they do with a good argument, a bad one, and later.
local functions = {
  { 'start_esmtp_listener', "{ listen = '127.0.0.1:25' }", '{ colour = 1 }', 'colour' },
  { 'configure_local_logs', "{ log_dir = '%s/logs-too' }", '{}', 'log_dir' },
  { 'define_spool', "{ name = 'data', path = '%s', kind = 'RocksDB' }", "{ name = 'data' }", 'path' },
  { 'define_egress_source', "{ name = 'a' }", '{}', 'name' },
}

for _, row in ipairs(functions) do
  local name, good, bad, why = table.unpack(row)
  t.test(name .. ' belongs into init, in both processes', function()
    good = good:gsub('%%s', t.dir())
    local body = policy(("kumo.on('init', function() kumo.%s %s end)"):format(name, good) .. [[

kumo.on('smtp_server_mail_from', function()
  local ok, e = pcall(kumo.]] .. name .. ', ' .. good .. [[)
  kumo.reject(550, '5.7.1 ' .. tostring(e))
end)]])
    local milter = t.milter { policy = body }
    t.has(milter:connect({ helo = 'x.test' }):mail '<a@b.test>', name .. ' belongs into the event init')
    t.router { policy = body }
    local status, out = t.penstock('--policy', t.write('bad.lua',
      policy(("kumo.on('init', function() kumo.%s %s end)"):format(name, bad))), 'check')
    t.ok(status ~= 0, out)
    t.has(out, why)
  end)
end

local task = [[
kumo.on('init', function()
  kumo.spawn_task { event_name = 'my.task', args = { 'from init', 7 } }
end)
kumo.on('my.task', function(args, more)
  note(args[1] .. ' ' .. args[2] .. ' ' .. tostring(more))
end)
]]

t.test('the router runs a task, with its arguments as one table', function()
  local router = t.router { policy = policy(task) }
  wait_for_line 'from init 7 nil'
  router:stop()
  t.eq(count(life(), 'from init 7 nil'), 1)
end)

t.test('the milter and a check do not', function()
  local milter = t.milter { policy = policy(task .. stages:gsub("kumo.on%('init'.-\n", '')) }
  milter:stop()
  t.lacks(life(), 'from init')
  t.eq(t.penstock('--policy', t.write('p.lua', policy(task)), 'check'), 0)
  t.lacks(life(), 'from init')
end)

t.test('a task lasts as long as its generation of the policy, and no longer', function()
  local forever = [[
kumo.on('init', function() kumo.spawn_task { event_name = 'loop', args = {} } end)
kumo.on('loop', function()
  note 'begins'
  while true do
    pcall(kumo.sleep, 0.05)
  end
end)
]]
  local router = t.router { policy = policy(forever) }
  wait_for_line 'begins'
  t.ok(router:reload())
  wait_for_line('begins', 2)
  router:stop()
  t.lacks(router:output(), 'task')
end)

t.test('a task may spawn another, and one that raises says so', function()
  local router = t.router { policy = policy [[
kumo.on('init', function() kumo.spawn_task { event_name = 'first', args = { n = 1 } } end)
kumo.on('first', function(args)
  kumo.spawn_task { event_name = 'second', args = { n = args.n + 1 } }
  error 'that was all'
end)
kumo.on('second', function(args) note('second ' .. args.n) end)
]] }
  wait_for_line 'second 2'
  t.wait_for('the error', function()
    return router:output():find('that was all', 1, true)
  end)
end)

t.test('a milter that is told to stop as soon as it is ready, or hangs up on, ends as it should', function()
  for round = 1, 12 do
    local milter = t.milter { policy = "kumo.on('init', function() end)" }
    if round % 3 == 0 then
      milter:signal(1)
    end
    t.eq(milter:stop(), 0, milter:output())
  end
end)

t.test('sixty-four tasks, and what is wrong with one', function()
  t.router { policy = policy [[
local function why(params)
  local ok, e = pcall(kumo.spawn_task, params)
  note((tostring(e):gsub('^.-: ', '', 1)))
end
kumo.on('init', function()
  why { event_name = 'nobody', args = {} }
  why { event_name = 'wait' }
  why { event_name = 'wait', args = 1 }
  why { event_name = 'wait', args = {}, now = true }
  for i = 1, 64 do
    kumo.spawn_task { event_name = 'wait', args = { i } }
  end
  why { event_name = 'wait', args = {} }
end)
kumo.on('wait', function() kumo.sleep(3600) end)
]] }
  local text = life()
  t.has(text, 'nobody handles the event nobody')
  t.has(text, 'args: required key is missing')
  t.has(text, 'args: invalid type')
  t.has(text, 'unknown key "now"')
  t.has(text, 'there are 64 tasks already')
end)
