-- 20,000 queued messages of 4 KiB, one destination: how fast the queue empties.
local rig = require 'rig'
local sys = require 'sys'
local daemons = require 'daemons'
local COUNT = rig.options.quick and 1000 or 20000

local function report(name, r)
  rig.say('%-9s drained %.0f/s, CPU %.3f s per 1000', name, r.rate, r.cpu)
  return r
end

local function postfix_alone()
  local ctx = rig.context 'postfix'
  local sink = rig.sink(ctx)
  local mta = rig.postfix(ctx, '', sink, { 'smtpd_client_restrictions=static:HOLD' })
  rig.source(ctx, mta.port, COUNT)
  local cpu = rig.cpu { mta.master }
  -- From hold to deferred takes a while of its own; it is not the drain.
  rig.must(ctx, 'postsuper', '-c', mta.dir .. '/etc', '-H', 'ALL')
  cpu = rig.cpu { mta.master }
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

local function penstock()
  local ctx = rig.context 'penstock'
  local sink = rig.sink(ctx)
  local policy = rig.policy(ctx, sink)
  daemons.write_file(ctx.dir .. '/m.eml', 'Subject: x\r\n\r\n' .. ('x'):rep(70):rep(57, '\r\n') .. '\r\n')
  rig.must(ctx, daemons.program 'enqueue', '--queue', ctx.queue, '--from', 'ann@sender.test', '--to', 'u@dest.test',
    '--file', ctx.dir .. '/m.eml', '--count', tostring(COUNT))
  local started = sys.now_ms()
  local router = rig.router(ctx, policy)
  rig.wait_count(sink, COUNT)
  local r = {
    rate = COUNT / ((sys.now_ms() - started) / 1000),
    cpu = rig.cpu { router.pid } * 1000 / COUNT,
    rss = rig.peak_mb(router.pid),
  }
  rig.finish(ctx)
  return report('Penstock', r)
end

rig.main(function()
  local ratios, ours, theirs = rig.pairs_of(penstock, postfix_alone)
  local rss = 0
  for _, r in ipairs(ours) do
    rss = math.max(rss, r.rss)
  end
  rig.result {
    { 'bench', '"drain"' }, { 'ratio', ratios.rate }, { 'cpu_ratio', ratios.cpu }, { 'rss_mb', rss },
    { 'rate', rig.column(ours, 'rate') }, { 'postfix_rate', rig.column(theirs, 'rate') },
    { 'cpu_s_per_1000', rig.column(ours, 'cpu') }, { 'postfix_cpu_s_per_1000', rig.column(theirs, 'cpu') },
  }
end)
