-- The drain to 1000 destinations, each a host of its own (127.1.0.0/20), from a pool
-- of 8 sources.
local rig = require 'rig'
local drains = require 'drains'

drains.run {
  name = 'drain-many',
  sink = function(ctx)
    return rig.sink(ctx, 'plain', '0.0.0.0')
  end,
  spread = 1000,
  postfix = function(sink)
    return {
      -- smtp-source counts in front of the local part; its last three digits are the domain.
      'recipient_canonical_classes=envelope_recipient',
      'recipient_canonical_maps=regexp:{{/^[0-9]*([0-9]{3})u@dest\\.test$$/ u@n$$1.dest.test}'
        .. ',{/^([0-9]+)u@dest\\.test$$/ u@n$$1.dest.test}}',
      'transport_maps=regexp:{{/^n([0-9])0?([0-9]+)\\.dest\\.test$$/ smtp:[127.1.$$1.$$2]:' .. sink.port
        .. '},{/^n([0-9])\\.dest\\.test$$/ smtp:[127.1.$$1.0]:' .. sink.port .. '}}',
    }
  end,
  queue = [[egress_pool = 'eight']],
  mx = [[('127.1.%d.%d'):format(n // 100, n % 100)]],
  policy = [[
kumo.on('get_egress_pool', function(name)
  local entries = {}
  for i = 1, 8 do entries[i] = { name = 'source' .. i } end
  return kumo.make_egress_pool { name = name, entries = entries }
end)
kumo.on('get_egress_source', function(name)
  return kumo.make_egress_source { name = name, source_address = '127.0.1.' .. name:match '%d' }
end)
]],
}
