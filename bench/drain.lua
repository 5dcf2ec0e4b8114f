-- 20,000 queued messages of 4 KiB, one destination: how fast the queue empties.
local rig = require 'rig'
local drains = require 'drains'

drains.run {
  name = 'drain',
  sink = function(ctx)
    return rig.sink(ctx)
  end,
}
