-- What the measurements share: a scratch folder on the disk, Postfix with the
-- settings that performance tests of Postfix use, sinks that count, CPU time and
-- memory of whole families of processes, medians.
local sys = require 'sys'
local sched = require 'sched'
local daemons = require 'daemons'
local rig = {}

local TOOL = TOP_SRCDIR .. '/contrib/private-postfix'

-- ---- options ----

rig.options = { pairs = 5, dir = '/var/tmp', quick = false, json = false }
do
  local i = 1
  while arg[i] do
    if arg[i] == '--pairs' then
      rig.options.pairs = tonumber(arg[i + 1])
      i = i + 2
    elseif arg[i] == '--dir' then
      rig.options.dir = arg[i + 1]
      i = i + 2
    else
      rig.options[arg[i]:sub(3)] = true
      i = i + 1
    end
  end
  if rig.options.quick then
    rig.options.pairs = 1
  end
end

function rig.say(...)
  if not rig.options.json then
    print(string.format(...))
    io.stdout:flush()
  end
end

-- ---- processes ----

local function read(path)
  local f = io.open(path)
  local text = f and f:read 'a'
  if f then
    f:close()
  end
  return text
end

-- utime + stime of a process, and of its children that ended, in seconds.
local function cpu_of(pid)
  local stat = read('/proc/' .. pid .. '/stat')
  if not stat then
    return 0, nil
  end
  local f = {}
  for word in stat:match '%) (.*)':gmatch '%S+' do
    f[#f + 1] = word
  end
  return (tonumber(f[12]) + tonumber(f[13]) + tonumber(f[14]) + tonumber(f[15])) / 100, tonumber(f[2])
end

-- The process and all its living descendants.
function rig.cpu(pids)
  local parents, total = {}, 0
  local all = sys.list '/proc'
  local wanted = {}
  for _, pid in ipairs(pids) do
    wanted[pid] = true
  end
  for _, name in ipairs(all) do
    local pid = tonumber(name)
    if pid then
      local _, ppid = cpu_of(pid)
      parents[pid] = ppid
    end
  end
  for pid in pairs(parents) do
    local p = pid
    while p and p > 1 and not wanted[p] do
      p = parents[p]
    end
    if p and wanted[p] then
      total = total + cpu_of(pid)
    end
  end
  return total
end

-- Peak resident memory in MB.
function rig.peak_mb(pid)
  local status = read('/proc/' .. pid .. '/status') or ''
  return (tonumber(status:match 'VmHWM:%s+(%d+)') or 0) / 1024
end

-- ---- scratch ----

local scratch = {}

function rig.context(name)
  local dir = rig.options.dir .. '/penstock-bench.' .. sys.pid .. '.' .. name
  os.execute("rm -rf '" .. dir .. "' && mkdir -p '" .. dir .. "'")
  local ctx = {
    dir = dir, queue = dir .. '/queue.db', logs = dir .. '/logs', processes = {}, count = 0, clock = 0, env = {},
  }
  scratch[#scratch + 1] = ctx
  return ctx
end

function rig.finish(ctx)
  for _, p in ipairs(ctx.processes) do
    if p:running() then
      p:signal(15)
    end
  end
  for _, p in ipairs(ctx.processes) do
    if not p:wait(20000) then
      p:kill()
    end
  end
  if ctx.postfix then
    os.execute("'" .. TOOL .. "' stop '" .. ctx.postfix.dir .. "' >/dev/null 2>&1")
  end
  os.execute("rm -rf '" .. ctx.dir .. "'")
end

local function must(ctx, ...)
  local status, out = daemons.run(ctx, { ... }, { timeout = 600000 })
  if status ~= 0 then
    error(table.concat({ ... }, ' ') .. ': ' .. out, 0)
  end
  return (out:gsub('%s+$', ''))
end
rig.must = must

-- Tuned as performance.md's peers are: no DNS, high limits, no flow delay.
local TUNED = {
  'in_flow_delay=0', 'default_process_limit=120', 'default_destination_concurrency_limit=100',
  'initial_destination_concurrency=50', 'qmgr_message_active_limit=60000',
  'queue_run_delay=3600',
  'minimal_backoff_time=3600', 'maximal_backoff_time=3600', 'message_size_limit=104857600',
}

-- milter: socket path or ''; relay: where Postfix sends everything, or nil.
function rig.postfix(ctx, milter, relay, settings)
  local p = { dir = ctx.dir .. '/postfix', port = tonumber(must(ctx, TOOL, 'port')) }
  local lines = { table.unpack(TUNED) }
  if relay then
    lines[#lines + 1] = 'default_transport=smtp:[' .. relay.ip .. ']:' .. relay.port
    lines[#lines + 1] = 'relayhost=[' .. relay.ip .. ']:' .. relay.port
    lines[#lines + 1] = 'smtpd_relay_restrictions=permit_mynetworks,reject_unauth_destination'
  end
  for _, s in ipairs(settings or {}) do
    lines[#lines + 1] = s
  end
  must(ctx, TOOL, 'make', p.dir, tostring(p.port), milter or '', table.unpack(lines))
  must(ctx, TOOL, 'start', p.dir)
  p.master = tonumber(read(p.dir .. '/queue/pid/master.pid'):match '%d+')
  ctx.postfix = p
  return p
end

-- What takes the mail and counts it: Postfix's own smtp-sink; with `our` one of ours,
-- which takes thousands of connections ('plain') or speaks STARTTLS ('tls').
-- listen: where, default 127.0.0.1.
function rig.sink(ctx, our, listen)
  local s = { ip = listen or '127.0.0.1', port = tonumber(must(ctx, TOOL, 'port')) }
  local command = { 'stdbuf', '-o0', 'smtp-sink', '-c', '-u', 'nobody', s.ip .. ':' .. s.port, '1000' }
  if our then
    command = { daemons.program 'sink', s.ip, tostring(s.port) }
  end
  if our == 'tls' then
    must(ctx, 'openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=sink.test', '-days', '2',
      '-keyout', ctx.dir .. '/sink.key', '-out', ctx.dir .. '/sink.crt')
    command[4] = daemons.write_file(ctx.dir .. '/sink.pem', read(ctx.dir .. '/sink.key') .. read(ctx.dir .. '/sink.crt'))
  end
  s.process = daemons.spawn(ctx, command)
  daemons.wait_for('the sink', 10000, function()
    local fd = sys.tcp_connect('127.0.0.1', s.port)
    if fd then
      sys.close(fd)
    end
    return fd
  end)
  s.address = s.ip .. ':' .. s.port
  function s.count()
    local f = io.open(s.process.out, 'rb')
    local size = f:seek 'end'
    f:seek('set', math.max(0, size - 400))
    local last
    for n in f:read('a'):gmatch 'mesg[=: ]*(%d+)' do
      last = n
    end
    f:close()
    return tonumber(last or 0)
  end
  return s
end

-- smtp-source: seconds until every message was acknowledged.
function rig.source(ctx, port, count, o)
  o = o or {}
  local started = sys.now_ms()
  local p = daemons.spawn(ctx, {
    'smtp-source', '-4', '-d', '-N', '-s', tostring(o.sessions or 50), '-m', tostring(count), '-l', '4096',
    '-f', 'ann@sender.test', '-t', o.to or 'u@dest.test', '127.0.0.1:' .. port,
  })
  local status = p:wait(o.timeout or 90000)
  if status ~= 0 then
    p:kill()
    error('smtp-source: ' .. tostring(status) .. ' ' .. p:output(), 0)
  end
  return (sys.now_ms() - started) / 1000
end

function rig.policy(ctx, sink, extra)
  return daemons.write_file(ctx.dir .. '/policy.lua', ([[
local kumo = require 'kumo'
kumo.on('init', function()
  kumo.start_esmtp_listener { listen = '0.0.0.0:25', relay_hosts = { '127.0.0.1' }, max_messages_per_connection = 1000000 }
  kumo.configure_local_logs { log_dir = '%s' }
end)
kumo.on('get_listener_domain', function(domain)
  if domain == 'dest.test' then return kumo.make_listener_domain { relay_to = true } end
end)
kumo.on('get_queue_config', function(domain)
  return kumo.make_queue_config {
    protocol = { smtp = { mx_list = { { name = 'sink.test', addr = '%s' } } } }, %s
  }
end)
kumo.on('get_egress_path_config', function()
  return kumo.make_egress_path { prohibited_hosts = {}, connection_limit = 50 }
end)
]]):format(ctx.logs, sink.address, extra or ''))
end

function rig.milter(ctx, policy)
  return daemons.milter(ctx, { policy_file = policy, quiet = true })
end

function rig.router(ctx, policy)
  return daemons.router(ctx, { policy_file = policy, quiet = true })
end

function rig.wait_count(sink, count, ms)
  daemons.wait_for(count .. ' messages at the sink', ms or 60000, function()
    return sink.count() >= count
  end)
end

-- ---- numbers ----

function rig.median(list)
  local sorted = { table.unpack(list) }
  table.sort(sorted)
  local n = #sorted
  return n % 2 == 1 and sorted[(n + 1) // 2] or (sorted[n // 2] + sorted[n // 2 + 1]) / 2
end

-- Runs a() and b() as A B B A ...; each returns a table of numbers.  `keep`: they
-- use scratch folders of their caller, so a run is not tried again.  Result:
-- medians of a/b for each number that both have, and the lists.
function rig.pairs_of(a, b, keep)
  local left, right = {}, {}
  -- A run that got stuck (a mail that Postfix put off, say) measures nothing.
  local function patient(fn)
    return function()
      for attempt = 1, 3 do
        local ok, result = pcall(fn)
        if ok then
          return result
        end
        rig.say('run again: %s', result)
        for _, ctx in ipairs(scratch) do
          pcall(rig.finish, ctx)
        end
        scratch = {}
        if attempt == 3 then
          error(result, 0)
        end
      end
    end
  end
  if not keep then
    a, b = patient(a), patient(b)
  end
  for i = 1, rig.options.pairs do
    if i % 2 == 1 then
      left[i] = a()
      right[i] = b()
    else
      right[i] = b()
      left[i] = a()
    end
  end
  local ratios = {}
  for name in pairs(left[1]) do
    local list = {}
    for i = 1, #left do
      if right[i][name] and right[i][name] ~= 0 then
        list[#list + 1] = left[i][name] / right[i][name]
      end
    end
    ratios[name] = #list > 0 and rig.median(list) or nil
  end
  return ratios, left, right
end

local function column(list, name)
  local out = {}
  for _, row in ipairs(list) do
    out[#out + 1] = ('%.4g'):format(row[name] or 0)
  end
  return '[' .. table.concat(out, ',') .. ']'
end
rig.column = column

-- The last line.  fields: list of {name, number or JSON text}.
function rig.result(fields)
  local out = {}
  for _, f in ipairs(fields) do
    local v = f[2]
    out[#out + 1] = ('"%s":%s'):format(f[1], type(v) == 'number' and ('%.4g'):format(v) or v or 'null')
  end
  print('{' .. table.concat(out, ',') .. '}')
end

-- Whatever happens, nothing stays behind.
function rig.main(fn)
  local ok, why = xpcall(fn, debug.traceback)
  for _, ctx in ipairs(scratch) do
    pcall(rig.finish, ctx)
  end
  if not ok then
    error(why, 0)
  end
end

return rig
