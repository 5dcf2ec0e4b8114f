-- Live mail beside the dead: how long it takes to be delivered when nothing else waits
-- ("unloaded"), when 100,000 recipients of one dead destination wait ("one"), and when
-- 10,000 domains wait whose hosts do not answer ("many").  Dead hosts are silent (their
-- SYN is dropped) or refuse, by turns.
local rig = require 'rig'
local sys = require 'sys'
local daemons = require 'daemons'

local QUICK = rig.options.quick
local LIVE = QUICK and 1000 or 10000 -- domains, a message each
local PACE = 200 -- of them a second
local ONE = QUICK and 10000 or 100000 -- recipients of the one
local MANY = QUICK and 1000 or 10000 -- dead domains

local POLICY = [[
local kumo = require 'kumo'
kumo.on('init', function()
  kumo.start_esmtp_listener { listen = '0.0.0.0:25', relay_hosts = { '127.0.0.1' } }
  kumo.configure_local_logs { log_dir = '%s' }
end)
kumo.on('get_queue_config', function(domain)
  local n, kind = domain:match '^n(%%d+)%%.(%%a+)'
  n = tonumber(n or 0)
  local ip = ('127.%%d.%%d.%%d'):format(kind == 'live' and 1 or 2 + n // 40000, n // 200 %% 200, n %% 200 + 1)
  local port = kind == 'live' and %d or n %% 2 == 0 and %d or %d
  return kumo.make_queue_config {
    protocol = { smtp = { mx_list = { { name = domain .. '.mx', addr = ip .. ':' .. port } } } },
  }
end)
kumo.on('get_egress_path_config', function()
  return kumo.make_egress_path { prohibited_hosts = {} }
end)
]]

-- Takes one connection, which nobody accepts; the SYN of every other is dropped.
local function silent_host()
  local fd, port = sys.tcp_listen('0.0.0.0', 0, 0)
  return { fds = { fd, sys.tcp_connect('127.0.0.1', port) }, port = port }
end

local function percentile(list, p)
  table.sort(list)
  return list[math.max(1, math.ceil(#list * p))] or 0
end

local function delays(router)
  local list = {}
  for delay in router:output():gmatch 'live%.test>, relay=%S+, delay=([%d.]+), %S+ status=sent' do
    list[#list + 1] = tonumber(delay) * 1000
  end
  return list
end

local function enqueue(ctx, to, count, more)
  return rig.must(ctx, daemons.program 'enqueue', '--queue', ctx.queue, '--from', 'ann@sender.test', '--to', to,
    '--file', ctx.dir .. '/m.eml', '--count', tostring(count), table.unpack(more or {}))
end

local function measure(name, fill)
  local ctx = rig.context(name)
  local sink = rig.sink(ctx, 'plain', '0.0.0.0')
  local silent = silent_host()
  local refusing = tonumber(rig.must(ctx, TOP_SRCDIR .. '/contrib/private-postfix', 'port'))
  local policy = daemons.write_file(ctx.dir .. '/policy.lua', POLICY:format(ctx.logs, sink.port, silent.port, refusing))
  daemons.write_file(ctx.dir .. '/m.eml', 'Subject: x\r\n\r\n' .. ('x'):rep(70):rep(57, '\r\n') .. '\r\n')
  fill(ctx)
  local router = daemons.router(ctx, { policy_file = policy, quiet = true })
  sys.sql(ctx.queue, 'CREATE TABLE touched (queue INTEGER PRIMARY KEY, rows)', true)
  sys.sql(ctx.queue, [[CREATE TRIGGER touch AFTER UPDATE ON recipient WHEN new.address LIKE '%dead.test' BEGIN
    INSERT INTO touched VALUES (new.queue, 1) ON CONFLICT DO UPDATE SET rows = rows + 1; END]], true)
  local cpu, started = rig.cpu { router.pid }, sys.now_ms()
  enqueue(ctx, 'u@live.test', LIVE, { '--domain-spread', tostring(LIVE), '--pace', tostring(PACE) })
  local list
  daemons.wait_for('the live mail', 120000, function()
    list = delays(router)
    return #list >= LIVE
  end)
  local touched = sys.sql(ctx.queue, 'SELECT count(*), coalesce(sum(rows), 0), coalesce(max(rows), 0) FROM touched')[1]
  local r = {
    p50 = percentile(list, 0.5), p95 = percentile(list, 0.95), p99 = percentile(list, 0.99), most = list[#list],
    rss = rig.peak_mb(router.pid), cpu = rig.cpu { router.pid } - cpu, seconds = (sys.now_ms() - started) / 1000,
    rewritten = touched[2], rewritten_most = touched[3],
  }
  rig.say('%-9s median %.0f ms, 95%% %.0f ms, 99%% %.0f ms, longest %.0f ms; %.0f MB, CPU %.1f of %.0f s; '
    .. '%d updates of dead rows, %d of one queue', name, r.p50, r.p95, r.p99, r.most, r.rss, r.cpu, r.seconds,
    r.rewritten, r.rewritten_most)
  rig.say('          %s', daemons.ask(router.control, 'status'))
  router:signal(9)
  for _, fd in ipairs(silent.fds) do
    sys.close(fd)
  end
  rig.finish(ctx)
  return r
end

rig.main(function()
  local none = measure('unloaded', function() end)
  local one = measure('one', function(ctx)
    enqueue(ctx, 'u@dead.test', ONE, { '--shared-content' })
  end)
  local many = measure('many', function(ctx)
    enqueue(ctx, 'u@dead.test', MANY * 2, { '--shared-content', '--domain-spread', tostring(MANY) })
  end)
  local limit = math.max(2 * none.p95, none.p95 + 50)
  rig.result {
    { 'bench', '"dead"' }, { 'ratio', limit / math.max(one.p95, 1) }, { 'limit_ms', limit },
    { 'unloaded_ms', none.p95 }, { 'one_ms', one.p95 }, { 'many_ms', many.p95 }, { 'many_median_ms', many.p50 },
    { 'rss_mb', one.rss }, { 'many_rss_mb', many.rss }, { 'one_rewritten', one.rewritten },
    { 'many_rewritten_most', many.rewritten_most },
  }
end)
