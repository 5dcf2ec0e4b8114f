-- Log records to somewhere else, by a queue of their own.
--
--   local log_hooks = require 'policy-extras.log_hooks'
--   log_hooks:new_json { name = 'webhook', url = 'https://example.com/hook' }
--   log_hooks:new { name = 'other', constructor = function(domain, tenant, campaign) ... end }
--
--   log_hooks:new_disposition_hook { name = 'third', hook = function(message, record) ... end }
--
-- at the top of a policy.  NAME's records wait in the queue NAME.log_hook, which is
-- tried again every minute at first and every 20 minutes at last; constructor is
-- that of protocol.custom_lua.  filter(message), when given, says which records are
-- wanted.
local kumo = require 'kumo'

local mod = {}

local OPTIONS = {
  name = 'string', constructor = 'function', log_parameters = 'table', queue_config = 'table',
  batch_size = 'number', min_batch_size = 'number', max_batch_latency = 'any', filter = 'function',
}

local JSON_OPTIONS = {
  url = 'string', headers = 'table', basic_auth = 'table', bearer_token = 'string', timeout = 'any', user_agent = 'string',
}

local DISPOSITION_OPTIONS = { name = 'string', hook = 'function', log_parameters = 'table' }

local function check(options, allowed, also)
  for key, value in pairs(options) do
    local want = allowed[key] or also and also[key]
    if not want then
      error(('log_hooks: unknown option "%s"'):format(tostring(key)), 3)
    end
    if want ~= 'any' and type(value) ~= want then
      error(('log_hooks: %s: invalid type: %s, expected a %s'):format(key, type(value), want), 3)
    end
  end
  if not options.name then
    error('log_hooks: name: required key is missing', 3)
  end
end

local function copy(from, into)
  for key, value in pairs(from or {}) do
    into[key] = value
  end
  return into
end

local function start(options)
  local queue = options.name .. '.log_hook'
  local event = 'make.' .. queue

  kumo.on('pre_init', function()
    kumo.configure_log_hook(copy(options.log_parameters, { name = options.name }))
  end)

  kumo.on('should_enqueue_log_record', function(message, hook)
    if hook ~= options.name then
      return
    end
    if options.filter and not options.filter(message) then
      return false
    end
    message:set_meta('queue', queue)
    return true
  end)

  kumo.on('get_queue_config', function(domain)
    if domain ~= queue then
      return
    end
    return kumo.make_queue_config(copy(options.queue_config, {
      protocol = {
        custom_lua = {
          constructor = event,
          batch_size = options.batch_size,
          min_batch_size = options.min_batch_size,
          max_batch_latency = options.max_batch_latency,
        },
      },
      retry_interval = '1m',
      max_retry_interval = '20m',
    }))
  end)

  kumo.on(event, options.constructor)
end

function mod:new(options)
  check(options, OPTIONS)
  if not options.constructor then
    error('log_hooks: constructor: required key is missing', 2)
  end
  start(options)
end

-- Posts each record as JSON; a batch as an array of them.
function mod:new_json(options)
  check(options, OPTIONS, JSON_OPTIONS)
  if not options.url then
    error('log_hooks: url: required key is missing', 2)
  end

  local function post(client, body)
    local request = client:post(options.url)
    request:header('Content-Type', 'application/json')
    for name, value in pairs(options.headers or {}) do
      request:header(name, value)
    end
    if options.basic_auth then
      request:basic_auth(options.basic_auth.username, options.basic_auth.password)
    end
    if options.bearer_token then
      request:bearer_auth(options.bearer_token)
    end
    request:body(body)
    local response = request:send()
    local answer = ('%d %s'):format(response:status_code(), response:status_reason())
    if not response:status_is_success() then
      kumo.reject(400, answer)
    end
    return answer
  end

  start(copy(options, {
    constructor = function()
      local client = kumo.http.build_client { timeout = options.timeout or '60s', user_agent = options.user_agent }
      local connection = {}
      function connection:send(message)
        return post(client, message:get_data())
      end
      function connection:send_batch(messages)
        local records = {}
        for i, message in ipairs(messages) do
          records[i] = (message:get_data():gsub('%s+$', ''))
        end
        return post(client, '[' .. table.concat(records, ',') .. ']')
      end
      return connection
    end,
  }))
end

-- Calls hook with each record and the message that it is about, before the outcome is
-- stored; what it injects is stored with it.
function mod:new_disposition_hook(options)
  check(options, DISPOSITION_OPTIONS)
  if not options.hook then
    error('log_hooks: hook: required key is missing', 2)
  end

  kumo.on('pre_init', function()
    kumo.configure_log_disposition_hook(copy(options.log_parameters, { name = options.name }))
  end)
  kumo.on('log_disposition_' .. options.name, options.hook)
end

return mod
