-- Logs that have no room: new mail is refused, no record of queued mail is lost,
-- and nobody has to restart anything.
local t = require 'harness'

-- o.logs, o.spool: fields of configure_local_logs and define_spool
local function policy(o)
  return ([[
local kumo = require 'kumo'
kumo.on('init', function()
  kumo.start_esmtp_listener { listen = '0.0.0.0:25', relay_hosts = { '0.0.0.0/0' } }
  kumo.configure_local_logs { log_dir = '%s', %s }
  %s
end)
kumo.on('get_queue_config', function()
  return kumo.make_queue_config {
    protocol = { smtp = { mx_list = { { name = 'sink.test', addr = '%s' } } } },
  }
end)
kumo.on('get_egress_path_config', function()
  return kumo.make_egress_path { prohibited_hosts = {}, connection_limit = 4 }
end)
]]):format(o.dir or t.context().logs, o.logs or '',
    o.spool and ("kumo.define_spool { name = 'data', path = '%s', %s }"):format(t.dir(), o.spool) or '',
    o.sink and o.sink.address or '127.0.0.1:9')
end

local function send(milter)
  local mta = milter:connect { ip = '192.0.2.7', helo = 'client.test' }
  if mta.connected ~= 'continue' then
    return mta.connected
  end
  local verdict = mta:mail '<ann@sender.test>'
  if verdict == 'continue' then
    verdict = mta:rcpt '<bob@example.com>'
  end
  if verdict == 'continue' then
    verdict = mta:message(t.plain)
  end
  mta:close()
  return verdict
end

for _, case in ipairs {
  { 'the log', logs = "min_free_space = '100%'" },
  { 'the log, by inodes', logs = "min_free_space = 0, min_free_inodes = '100%'" },
  { 'the log, in bytes', logs = 'min_free_space = 1 << 60' },
  { 'the queue', spool = "min_free_space = '100%'" },
  { 'the queue, by inodes', spool = 'min_free_inodes = 1 << 60' },
} do
  t.test('below the floor of ' .. case[1] .. ' mail is refused for now, without a record', function()
    local milter = t.milter { policy = policy { logs = case.logs, spool = case.spool } }
    t.match(send(milter), '^421 4%.3%.2 ')
    t.match(milter:ask('status').paused, ' to be kept$')
    milter:line 'intake is closed: [^\n]* to be kept'
    t.eq(#milter:records(), 0)
    t.eq(milter:stop(), 0)
    milter = t.milter { policy = policy { logs = 'min_free_space = 0, min_free_inodes = 0' } }
    t.eq(send(milter), 'discard')
    t.log(milter, 'Reception')
  end)
end

t.test('a session that is open hears it at its next message', function()
  local milter = t.milter { policy = policy { spool = "min_free_space = '1%'" } }
  local mta = milter:connect { ip = '192.0.2.7', helo = 'client.test' }
  t.write('policy.lua', policy { spool = "min_free_space = '100%'" })
  milter:reload()
  t.match(mta:mail '<ann@sender.test>', '^451 4%.3%.2 ')
  -- The floor of a spool is taken at a reload.
  t.write('policy.lua', policy { spool = "min_free_space = '1%'" })
  milter:reload()
  t.eq(mta:mail '<ann@sender.test>', 'continue')
end)

t.test('the router goes on below the floor: it has to say what became of queued mail', function()
  local sink = t.smtp_sink()
  local router = t.router { policy = policy { sink = sink, logs = "min_free_space = '100%'" } }
  router:enqueue { to = 'bob@example.com', count = 5 }
  t.none(router, 'SELECT count(*) FROM recipient')
  t.eq(#router:records 'Delivery', 5)
end)

t.test('a back_pressure of one slows mail down and loses no record', function()
  local sink = t.smtp_sink()
  local text = policy { sink = sink, logs = 'back_pressure = 1' }
  local router, milter = t.router { policy = text }, t.milter { policy = text }
  router:enqueue { to = 'bob@example.com', count = 200 }
  for _ = 1, 20 do
    t.eq(send(milter), 'discard')
  end
  t.none(router, 'SELECT count(*) FROM recipient')
  t.eq(#router:records 'Delivery', 220)
  t.eq(#router:records 'Reception', 20)
  t.eq(#sink:messages(), 220)
end)

-- ---- a file system that is really full ----

-- A tmpfs at DIR in a mount namespace of its own; skips the test where this may not be done.
local function must_mount(dir)
  local status, out = t.run { 'unshare', '-m', '--', 'mount', '-t', 'tmpfs', '-o', 'size=256k', 'none', dir }
  if status ~= 0 then
    t.skip('no tmpfs can be mounted here: ' .. (out:match '[^\n]+' or 'status ' .. tostring(status)))
  end
end

-- A shell holds the namespace; the daemons enter it by nsenter, which programs of
-- the same names in `bin` do.
local function namespace(dir)
  local holder = t.spawn {
    'unshare', '-m', '--', 'sh', '-c',
    ("mount -t tmpfs -o size=256k,mode=0755 none '%s' && echo mounted && exec sleep 600"):format(dir),
  }
  t.wait_for('the mount', function()
    return holder:output():match 'mounted'
  end)
  local bin = t.dir() .. '/bin'
  os.execute(("mkdir '%s'"):format(bin))
  for _, name in ipairs { 'penstock-milter', 'penstock-router' } do
    t.write('bin/' .. name, ('#!/bin/sh\nexec nsenter -t %d -m -- %s "$@"\n'):format(holder.pid, t.daemons.program(name)))
    os.execute(("chmod +x '%s/%s'"):format(bin, name))
  end
  return {
    sh = function(command)
      local status, out = t.run { 'nsenter', '-t', tostring(holder.pid), '-m', '--', 'sh', '-c', command }
      return out, status
    end,
    root = '/proc/' .. holder.pid .. '/root',
    bin = bin,
  }
end

t.test('a log disk that is full stops new mail with 4yz, loses no record, and all goes on when there is room', function()
  local dir = t.dir() .. '/full'
  os.execute(("mkdir '%s'"):format(dir))
  must_mount(dir)
  local ns = namespace(dir)
  local program = t.daemons.program
  t.daemons.program = function(name)
    return name:match '^penstock%-' and ns.bin .. '/' .. name or program(name)
  end
  t.at_end(function()
    t.daemons.program = program
  end)
  local sink = t.smtp_sink()
  local text = policy { sink = sink, dir = dir, logs = 'min_free_space = 0, min_free_inodes = 0' }
  local router, milter = t.router { policy = text }, t.milter { policy = text }
  t.eq(send(milter), 'discard')
  t.none(router, 'SELECT count(*) FROM recipient')

  ns.sh(("dd if=/dev/zero of='%s/filler' bs=4096 status=none"):format(dir))
  router:enqueue { to = 'bob@example.com', count = 300 }
  t.wait_for('the router to stop', function()
    return router:ask('status').log_failing
  end)
  t.wait_for('the milter to stop', function()
    return send(milter):match '^4%d%d '
  end)
  router:line 'log records wait: write '
  local taken = tonumber(router:sql('SELECT count(*) FROM recipient')[1][1])
  t.ok(taken > 0, 'mail that cannot be recorded stays queued')
  t.ok(router:running() and milter:running())

  ns.sh(("rm '%s/filler'"):format(dir))
  t.none(router, 'SELECT count(*) FROM recipient')
  t.wait_for('mail again', function()
    return send(milter) == 'discard'
  end)
  t.none(router, 'SELECT count(*) FROM recipient')
  local custody = select(2, milter:output():gsub(': custody=', ''))
  t.wait_for('a record of each', function()
    local status, out = t.penstock('logs', '--type', 'Delivery', '--dir', ns.root .. dir)
    return status == 0 and select(2, out:gsub('\n', '')) >= 300 + custody
  end)
  local ids, deliveries = {}, t.daemons.records(ns.root .. dir)
  for _, r in ipairs(deliveries) do
    if r.type == 'Delivery' then
      ids[r.id] = true
    end
  end
  local distinct = 0
  for _ in pairs(ids) do
    distinct = distinct + 1
  end
  t.eq(distinct, 300 + custody, 'each message has its record')
end)
