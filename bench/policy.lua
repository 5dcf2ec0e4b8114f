-- What a policy costs: CPU of the milter per message, the many-tenants example
-- against a policy of one line; and per recipient, get_listener_domain answered
-- from the connection's cache against no such handler.  No MTA: the harness speaks
-- the milter protocol itself, and only the milter's CPU is counted.
local rig = require 'rig'
local sys = require 'sys'
local sched = require 'sched'
local daemons = require 'daemons'

local SESSIONS = 10
local MESSAGES = rig.options.quick and 50 or 500 -- in each session
local RECIPIENTS = rig.options.quick and 2000 or 40000

local HEADER = 'From: a@acme.example\r\nTo: u@dest.test\r\nX-Tenant: acme\r\nX-Campaign: login\r\n' ..
  'Subject: hello\r\nMessage-ID: <1@acme.example>\r\n\r\n'
local MESSAGE = HEADER .. (('x'):rep(70) .. '\r\n'):rep((4096 - #HEADER) // 72)

local ONE_LINE = [[
local kumo = require 'kumo'
kumo.on('init', function() kumo.start_esmtp_listener { relay_hosts = { '192.0.2.0/28' } %s } kumo.configure_local_logs { log_dir = '%s', meta = { 'tenant', 'campaign' } } end)
]]

local function milter(ctx, text)
  return rig.milter(ctx, daemons.write_file(ctx.dir .. '/policy.lua', text))
end

local function expect(got, want)
  if got ~= want then
    error('the milter said ' .. tostring(got), 0)
  end
end

local function run_sessions(count, fn)
  local left = count
  for _ = 1, count do
    sched.spawn(function()
      fn()
      left = left - 1
    end)
  end
  daemons.wait_for('the sessions', 300000, function()
    return left == 0
  end)
end

-- Microseconds of CPU for each of `count` things that `fn` does.
local function cost(p, count, fn)
  local before = rig.cpu { p.pid }
  fn()
  return (rig.cpu { p.pid } - before) * 1e6 / count
end

local function messages(name, text)
  local ctx = rig.context(name)
  local p = milter(ctx, type(text) == 'function' and text(ctx) or text:format('', ctx.logs))
  local function send(count)
    return function()
      local mta = assert(p:connect { ip = '192.0.2.5', helo = 'client.test' })
      for _ = 1, count do
        expect(mta:mail '<a@acme.example>', 'continue')
        expect(mta:rcpt '<u@dest.test>', 'continue')
        expect(mta:message(MESSAGE), 'discard')
      end
      mta:quit()
    end
  end
  run_sessions(SESSIONS, send(5)) -- states are made, caches filled
  local r = {
    cpu = cost(p, SESSIONS * MESSAGES, function()
      run_sessions(SESSIONS, send(MESSAGES))
    end),
  }
  rig.finish(ctx)
  rig.say('%-9s %.0f us per message', name, r.cpu)
  return r
end

-- The example as it stands, but for the folder of its logs.
local function tenants(ctx)
  local f = assert(io.open(TOP_SRCDIR .. '/contrib/policies/tenants.lua'))
  local text = f:read 'a'
  f:close()
  return (text:gsub("'/var/log/penstock'", "'" .. ctx.logs .. "'"))
end

local function recipients(name, handler)
  local ctx = rig.context(name)
  local p = milter(ctx, ONE_LINE:format(', max_recipients_per_message = 1000000, max_messages_per_connection = 1000000000',
    ctx.logs) .. handler)
  local mta = assert(p:connect { ip = '192.0.2.5', helo = 'client.test' })
  expect(mta:mail '<a@acme.example>', 'continue')
  local function some(count)
    for _ = 1, count do
      expect(mta:rcpt '<u@dest.test>', 'continue')
    end
  end
  some(10)
  local r = {
    cpu = cost(p, RECIPIENTS, function()
      for _ = 1, RECIPIENTS // 1000 do
        some(1000)
        mta:abort()
        expect(mta:mail '<a@acme.example>', 'continue')
      end
    end),
  }
  mta:quit()
  rig.finish(ctx)
  rig.say('%-9s %.1f us per recipient', name, r.cpu)
  return r
end

local HANDLER = [[
kumo.on('get_listener_domain', function(domain)
  if domain == 'dest.test' then return kumo.make_listener_domain { relay_to = true } end
end)
]]

rig.main(function()
  local ratios, many, one = rig.pairs_of(function()
    return messages('tenants', tenants)
  end, function()
    return messages('one-line', ONE_LINE)
  end)
  local _, cached, none = rig.pairs_of(function()
    return recipients('cached', HANDLER)
  end, function()
    return recipients('none', '')
  end)
  local differences = {}
  for i, r in ipairs(cached) do
    differences[i] = r.cpu - none[i].cpu
  end
  rig.result {
    { 'bench', '"policy"' }, { 'cpu_ratio', ratios.cpu }, { 'cached_domain_us', rig.median(differences) },
    { 'us_per_message', rig.column(many, 'cpu') }, { 'one_line_us_per_message', rig.column(one, 'cpu') },
    { 'us_per_recipient', rig.column(cached, 'cpu') }, { 'no_handler_us_per_recipient', rig.column(none, 'cpu') },
  }
end)
