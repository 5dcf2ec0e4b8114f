-- A million recipients that wait for later, each with 4 KiB of its own: how long
-- the router takes to its first delivery with nothing in the page cache, what it
-- costs in memory, and what accepting and draining cost against an empty queue.
local rig = require 'rig'
local sys = require 'sys'
local daemons = require 'daemons'
local WAITING = rig.options.quick and 50000 or 1000000
local DRAIN = rig.options.quick and 1000 or 20000
local ACCEPT = rig.options.quick and 250 or 2500

local function enqueue(ctx, count, ...)
  rig.must(ctx, daemons.program 'enqueue', '--queue', ctx.queue, '--from', 'ann@sender.test', '--file', ctx.dir .. '/m.eml',
    '--count', tostring(count), ...)
end

local function prepare(name)
  local ctx = rig.context(name)
  ctx.sink = rig.sink(ctx)
  ctx.policy = rig.policy(ctx, ctx.sink)
  daemons.write_file(ctx.dir .. '/m.eml', 'Subject: x\r\n\r\n' .. ('x'):rep(70):rep(57, '\r\n') .. '\r\n')
  return ctx
end

-- Once each: drain, then accept with the milter.
local function measure(ctx)
  local before = ctx.sink.count()
  enqueue(ctx, DRAIN, '--to', 'u@dest.test')
  local started = sys.now_ms()
  local router = rig.router(ctx, ctx.policy)
  rig.wait_count(ctx.sink, before + DRAIN)
  local r = { drain = DRAIN / ((sys.now_ms() - started) / 1000) }
  local milter = rig.milter(ctx, ctx.policy)
  local mta = rig.postfix(ctx, milter.socket:match '^unix:(.*)')
  r.accept = ACCEPT / rig.source(ctx, mta.port, ACCEPT)
  rig.wait_count(ctx.sink, before + DRAIN + ACCEPT)
  r.rss = rig.peak_mb(router.pid) + rig.peak_mb(milter.pid)
  os.execute("'" .. TOP_SRCDIR .. "/contrib/private-postfix' stop '" .. mta.dir .. "' >/dev/null 2>&1")
  ctx.postfix = nil
  os.execute("rm -rf '" .. mta.dir .. "'")
  milter:stop()
  router:stop()
  return r
end

rig.main(function()
  local full, empty = prepare 'full', prepare 'empty'
  local started = sys.now_ms()
  enqueue(full, WAITING, '--to', 'u@later.test', '--domain-spread', tostring(WAITING // 20), '--due-in', '864000')
  rig.say('%d recipients queued in %.0f s', WAITING, (sys.now_ms() - started) / 1000)

  -- Start with a cold cache, one message due.
  enqueue(full, 1, '--to', 'first@dest.test')
  os.execute 'sync; echo 3 > /proc/sys/vm/drop_caches 2>/dev/null'
  os.execute("dd of='" .. full.queue .. "' oflag=nocache conv=notrunc,fdatasync count=0 2>/dev/null")
  started = sys.now_ms()
  local router = rig.router(full, full.policy)
  rig.wait_count(full.sink, 1)
  local start_s = (sys.now_ms() - started) / 1000
  rig.say('from start to the first delivery: %.2f s', start_s)
  router:stop()

  if rig.options.pairs > 5 then
    rig.options.pairs = 5
  end
  local ratios, left, right = rig.pairs_of(function()
    return measure(full)
  end, function()
    return measure(empty)
  end, true)
  local rss, rss_empty = 0, 0
  for i, r in ipairs(left) do
    rig.say('full: drain %.0f/s accept %.0f/s; empty: drain %.0f/s accept %.0f/s', r.drain, r.accept, right[i].drain,
      right[i].accept)
    rss, rss_empty = math.max(rss, r.rss), math.max(rss_empty, right[i].rss)
  end
  rig.result {
    { 'bench', '"queue-1m"' }, { 'ratio', math.min(ratios.drain, ratios.accept) }, { 'drain_ratio', ratios.drain },
    { 'accept_ratio', ratios.accept }, { 'cpu_ratio', 'null' }, { 'rss_mb', rss }, { 'rss_empty_mb', rss_empty },
    { 'start_s', start_s }, { 'rate', rig.column(left, 'drain') }, { 'empty_rate', rig.column(right, 'drain') },
    { 'accept_rate', rig.column(left, 'accept') }, { 'empty_accept_rate', rig.column(right, 'accept') },
  }
end)
