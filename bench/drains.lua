-- What the drains share: 20,000 queued messages of 4 KiB, Postfix and Penstock by turns.
local rig = require 'rig'
local sys = require 'sys'
local daemons = require 'daemons'
local drains = {}

local COUNT = rig.options.quick and 1000 or 20000

local POLICY = [[
local kumo = require 'kumo'
kumo.on('init', function()
  kumo.start_esmtp_listener { listen = '0.0.0.0:25', relay_hosts = { '127.0.0.1' } }
  kumo.configure_local_logs { log_dir = '%s', %s }
end)
kumo.on('get_queue_config', function(domain)
  local n = tonumber(domain:match '^n(%%d+)') or 0
  return kumo.make_queue_config {
    protocol = { smtp = { mx_list = { { name = 'sink' .. n .. '.test', addr = %s .. ':%d' } } } }, %s
  }
end)
kumo.on('get_egress_path_config', function()
  return kumo.make_egress_path { prohibited_hosts = {}, connection_limit = 50, %s }
end)
%s]]

local function report(name, r)
  rig.say('%-9s drained %.0f/s, CPU %.3f s per 1000', name, r.rate, r.cpu)
  return r
end

local function postfix_alone(o)
  local ctx = rig.context 'postfix'
  local sink = o.sink(ctx)
  local settings = type(o.postfix) == 'function' and o.postfix(sink) or o.postfix or {}
  local mta = rig.postfix(ctx, '', { ip = '127.0.0.1', port = sink.port }, {
    'smtpd_client_restrictions=static:HOLD', table.unpack(settings),
  })
  rig.source(ctx, mta.port, COUNT)
  -- From hold to deferred takes a while of its own; it is not the drain.
  rig.must(ctx, 'postsuper', '-c', mta.dir .. '/etc', '-H', 'ALL')
  local cpu = rig.cpu { mta.master }
  local started = sys.now_ms()
  rig.must(ctx, 'postqueue', '-c', mta.dir .. '/etc', '-f')
  rig.wait_count(sink, COUNT)
  local r = {
    rate = COUNT / ((sys.now_ms() - started) / 1000),
    cpu = (rig.cpu { mta.master } - cpu) * 1000 / COUNT,
  }
  rig.finish(ctx)
  return report('Postfix', r)
end

local function penstock(o)
  local ctx = rig.context 'penstock'
  local sink = o.sink(ctx)
  local policy = daemons.write_file(ctx.dir .. '/policy.lua',
    POLICY:format(ctx.logs, o.logs or '', o.mx or "'127.0.0.1'", sink.port, o.queue or '', o.path or '', o.policy or ''))
  daemons.write_file(ctx.dir .. '/m.eml', 'Subject: x\r\n\r\n' .. ('x'):rep(70):rep(57, '\r\n') .. '\r\n')
  local enqueue = { daemons.program 'enqueue', '--queue', ctx.queue, '--from', 'ann@sender.test', '--to', 'u@dest.test',
    '--file', ctx.dir .. '/m.eml', '--count', tostring(COUNT) }
  if o.spread then
    enqueue[#enqueue + 1] = '--domain-spread'
    enqueue[#enqueue + 1] = tostring(o.spread)
  end
  rig.must(ctx, table.unpack(enqueue))
  local started = sys.now_ms()
  local router = rig.router(ctx, policy)
  rig.wait_count(sink, COUNT)
  local r = {
    rate = COUNT / ((sys.now_ms() - started) / 1000),
    cpu = rig.cpu { router.pid } * 1000 / COUNT,
    rss = rig.peak_mb(router.pid),
  }
  rig.finish(ctx)
  return report(o.label or 'Penstock', r)
end
drains.penstock = penstock
drains.count = COUNT

-- o.name; o.sink(ctx); o.postfix: settings, or a function of the sink that returns
-- them; o.mx: Lua expression for the host's address; o.queue, o.path: fields of the
-- configurations; o.logs: of configure_local_logs; o.policy: more of the policy; o.spread: number of domains.
function drains.run(o)
  rig.main(function()
    local ratios, ours, theirs = rig.pairs_of(function()
      return penstock(o)
    end, function()
      return postfix_alone(o)
    end)
    local rss = 0
    for _, r in ipairs(ours) do
      rss = math.max(rss, r.rss)
    end
    rig.result {
      { 'bench', '"' .. o.name .. '"' }, { 'ratio', ratios.rate }, { 'cpu_ratio', ratios.cpu }, { 'rss_mb', rss },
      { 'rate', rig.column(ours, 'rate') }, { 'postfix_rate', rig.column(theirs, 'rate') },
      { 'cpu_s_per_1000', rig.column(ours, 'cpu') }, { 'postfix_cpu_s_per_1000', rig.column(theirs, 'cpu') },
    }
  end)
end

return drains
