-- shaping: how to treat each site (limits, rates, TLS), from TOML or JSON files.
--
--   local shaping = require 'policy-extras.shaping'
--   kumo.on('get_egress_path_config', shaping:setup { '/etc/penstock/shaping.toml' })
--
--   [default]                        # the fields of kumo.make_egress_path
--   connection_limit = 10
--   ["example.com"]                  # all domains with the mail hosts of this one
--   max_message_rate = "10/s"
--   ["example.com".sources."ip-1"]   # from this source
--   [provider."big"]                 # all domains whose mail hosts match
--   match = [{ MXSuffix = ".big.example" }]
--
-- What files may say: penstock-lua(3), TRAFFIC SHAPING.  They are read again every
-- minute.
local kumo = require 'kumo'
local typing = require 'policy-extras.typing'
local utils = require 'policy-extras.policy_utils'
local mod = {}

local Options = typing.record('shaping:setup_with_automation', {
  extra_files = typing.default(typing.list(typing.any), {}),
  publish = typing.default(typing.list(typing.string), {}),
  subscribe = typing.default(typing.list(typing.string), {}),
  no_default_files = typing.option(typing.boolean), -- there are none
  cache_ttl = typing.default(typing.any, '1 minute'),
  load_options = typing.default(typing.map(typing.string, typing.any), {}),
})

-- Once for each text, however often the files are read.
local warn = kumo.memoize(function(text)
  kumo.log_warn('shaping: ' .. text)
  return true
end, {
  name = 'policy-extras.shaping.warnings',
  ttl = '1 day',
  capacity = 1000,
  invalidate_with_epoch = true,
})

local function load(files, options)
  local data = kumo.shaping.load(files, options)
  for _, text in ipairs(data:get_warnings()) do
    warn(text)
  end
  local errors = data:get_errors()
  if #errors > 0 then
    error(table.concat(errors, '; '), 0)
  end
  return data
end

local function refuse_automation(options)
  for _, name in ipairs { 'publish', 'subscribe' } do
    if #options[name] > 0 then
      error(string.format('shaping:setup_with_automation: %s must be empty: there is no traffic-shaping automation here', name), 0)
    end
  end
end

-- What the files say must be right before anything starts; the DNS is not asked.
local function check_at_start(files, load_options)
  kumo.on('pre_init', function()
    load(files, utils.merge_into({ skip_dns = true }, utils.merge_into(load_options, {})))
  end)
end

-- Options: extra_files   the files
--          cache_ttl     how long they are good for (1 minute)
--          load_options  of kumo.shaping.load; dns_fail, null_mx and aliased_site
--                        are 'Warn' here
-- Returns a table of handlers.
function mod:setup_with_automation(options)
  options = Options(options)
  refuse_automation(options)
  local load_options = utils.merge_into(options.load_options, { dns_fail = 'Warn', null_mx = 'Warn', aliased_site = 'Warn' })
  local cached_load = kumo.memoize(load, {
    name = 'policy-extras.shaping',
    ttl = options.cache_ttl,
    capacity = 10,
    invalidate_with_epoch = true,
    -- Nobody waits while the files are read again.
    allow_stale_reads = true,
  })
  check_at_start(options.extra_files, load_options)
  local function nothing() end
  return {
    -- The fields as a table, for a policy that changes some, when skip_make is true.
    get_egress_path_config = function(domain, egress_source, site_name, skip_make)
      local data = cached_load(options.extra_files, load_options)
      local fields = data:get_egress_path_config(domain, egress_source, site_name)
      return skip_make and fields or kumo.make_egress_path(fields)
    end,
    -- Policies call these; without automation they have nothing to do.
    get_queue_config = nothing,
    should_enqueue_log_record = nothing,
    setup_publish = nothing,
  }
end

-- Returns the handler of get_egress_path_config.
function mod:setup(files)
  if type(files) == 'string' then
    files = { files }
  end
  return self:setup_with_automation({ extra_files = files }).get_egress_path_config
end

return mod
