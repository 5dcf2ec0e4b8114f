-- Client to durable, and end to end to a sink: Postfix relaying by itself against
-- Postfix with the milter and the router.  `relay` looks at the second figure.
local rig = require 'rig'
local sys = require 'sys'
local what = (arg[0] or ''):match 'relay' and 'relay' or 'accept'
local COUNT = rig.options.quick and 250 or 5000

local function report(name, r)
  rig.say('%-9s accepted %.0f/s, end to end %.0f/s, CPU %.2f s per 1000', name, r.accept, r.relay, r.cpu)
  return r
end

local function postfix_alone()
  local ctx = rig.context 'postfix'
  local sink = rig.sink(ctx)
  local mta = rig.postfix(ctx, '', sink)
  local started, cpu = sys.now_ms(), rig.cpu { mta.master }
  local accepted = rig.source(ctx, mta.port, COUNT)
  rig.wait_count(sink, COUNT)
  local r = {
    accept = COUNT / accepted, relay = COUNT / ((sys.now_ms() - started) / 1000),
    cpu = (rig.cpu { mta.master } - cpu) * 1000 / COUNT,
  }
  rig.finish(ctx)
  return report('Postfix', r)
end

local function with_penstock()
  local ctx = rig.context 'penstock'
  local sink = rig.sink(ctx)
  local policy = rig.policy(ctx, sink)
  local milter, router = rig.milter(ctx, policy), rig.router(ctx, policy)
  local mta = rig.postfix(ctx, milter.socket:match '^unix:(.*)')
  local family = { mta.master, milter.pid, router.pid }
  local started, cpu = sys.now_ms(), rig.cpu(family)
  local accepted = rig.source(ctx, mta.port, COUNT)
  rig.wait_count(sink, COUNT)
  local r = {
    accept = COUNT / accepted, relay = COUNT / ((sys.now_ms() - started) / 1000),
    cpu = (rig.cpu(family) - cpu) * 1000 / COUNT,
    rss = rig.peak_mb(milter.pid) + rig.peak_mb(router.pid),
  }
  rig.finish(ctx)
  return report('Penstock', r)
end

rig.main(function()
  local ratios, ours, theirs = rig.pairs_of(with_penstock, postfix_alone)
  local rss = 0
  for _, r in ipairs(ours) do
    rss = math.max(rss, r.rss)
  end
  rig.result {
    { 'bench', '"' .. what .. '"' }, { 'ratio', ratios[what] }, { 'accept_ratio', ratios.accept },
    { 'relay_ratio', ratios.relay }, { 'cpu_ratio', ratios.cpu }, { 'rss_mb', rss },
    { 'rate', rig.column(ours, what) }, { 'postfix_rate', rig.column(theirs, what) },
    { 'cpu_s_per_1000', rig.column(ours, 'cpu') }, { 'postfix_cpu_s_per_1000', rig.column(theirs, 'cpu') },
  }
end)
