-- What records cost: the log writer alone (tests/tools/log_records), and the drain
-- with every record written against the same drain with all types disabled.
local rig = require 'rig'
local daemons = require 'daemons'
local drains = require 'drains'

local RECORDS = rig.options.quick and 50000 or 500000

local function writer()
  local ctx = rig.context 'writer'
  local out = rig.must(ctx, TOP_BUILDDIR .. '/tests/tools/log_records', '--dir', ctx.logs, '--count', tostring(RECORDS))
  local got = daemons.json(out)
  local r = {
    rate = got.records / got.seconds, cpu_us = got.cpu * 1e6 / got.records,
    format_us = got.cpu_caller * 1e6 / got.records, bytes = got.bytes / got.records,
  }
  rig.say('writer    %.0f records/s, CPU %.2f us each (%.2f to format), %.0f bytes', r.rate, r.cpu_us, r.format_us, r.bytes)
  rig.finish(ctx)
  return r
end

local function drain(label, logs)
  return function()
    return drains.penstock {
      label = label, logs = logs, sink = function(ctx)
        return rig.sink(ctx)
      end,
    }
  end
end

rig.main(function()
  local alone = {}
  for i = 1, rig.options.pairs do
    alone[i] = writer()
  end
  local ratios, with, without =
    rig.pairs_of(drain('logging', ''), drain('silent', 'per_record = { Any = { enable = false } }'))
  local added = {}
  for i = 1, #with do
    -- Seconds for 1000 messages to microseconds for one.
    added[i] = { us = (with[i].cpu - without[i].cpu) * 1000 }
  end
  local function median(list, name)
    local values = {}
    for i, r in ipairs(list) do
      values[i] = r[name]
    end
    return rig.median(values)
  end
  rig.result {
    { 'bench', '"logs"' }, { 'ratio', ratios.rate }, { 'cpu_ratio', ratios.cpu },
    { 'records_per_s', median(alone, 'rate') }, { 'us_per_record', median(alone, 'cpu_us') },
    { 'format_us_per_record', median(alone, 'format_us') }, { 'bytes_per_record', median(alone, 'bytes') },
    { 'added_us_per_delivery', median(added, 'us') },
    { 'rate', rig.column(with, 'rate') }, { 'silent_rate', rig.column(without, 'rate') },
    { 'cpu_s_per_1000', rig.column(with, 'cpu') }, { 'silent_cpu_s_per_1000', rig.column(without, 'cpu') },
    { 'added_us', rig.column(added, 'us') },
  }
end)
