-- Log hooks, filters and templates: what the policy makes of records.
local t = require 'harness'

-- hook: fields of configure_log_hook; o.logs: of configure_local_logs.
-- Mail for the queue `hooks` is noted line by line in the file `seen`, all other
-- mail goes to the sink.
local function policy(o)
  return ([[
local kumo = require 'kumo'
local function note(text)
  local f = assert(io.open('%s/seen', 'a'))
  f:write(text, '\n')
  f:close()
end
kumo.on('init', function()
  kumo.start_esmtp_listener { listen = '0.0.0.0:25', relay_hosts = { '0.0.0.0/0' } }
  kumo.configure_local_logs { log_dir = '%s', meta = { '*' }, %s }
  %s
end)
kumo.on('get_queue_config', function(domain)
  if domain == 'hooks' then
    return kumo.make_queue_config { protocol = { custom_lua = { constructor = 'make.hooks' } } }
  end
  return kumo.make_queue_config {
    protocol = { smtp = { mx_list = { { name = 'sink.test', addr = '%s' } } } },
    retry_interval = '1m', %s
  }
end)
kumo.on('get_egress_path_config', function() return kumo.make_egress_path { prohibited_hosts = {} } end)
kumo.on('make.hooks', function()
  return { send = function(_, message)
    local r = message:get_meta 'log_record'
    note(r.type .. ' ' .. r.id .. ' ' .. tostring(message:get_meta 'tenant') .. ' ' .. message:get_data())
    return 'noted'
  end }
end)
%s
]]):format(t.dir(), t.context().logs, o.logs or '', o.init or '', o.sink and o.sink.address or '127.0.0.1:9', o.queue or '',
    o.more or '')
end

local function seen()
  local lines = {}
  for line in (t.read(t.dir() .. '/seen') or ''):gmatch '[^\n]+' do
    lines[#lines + 1] = line
  end
  return lines
end

local function types(lines)
  local out = {}
  for i, line in ipairs(lines) do
    out[i] = line:match '^%a+'
  end
  table.sort(out)
  return table.concat(out, ' ')
end

local function empty(router)
  t.wait_for('an empty queue', function()
    return router:sql('SELECT count(*) FROM recipient')[1][1] == 0
  end)
end

local hook = "kumo.configure_log_hook { name = 'w', meta = { 'tenant' } }"
local enqueue = [[
kumo.on('should_enqueue_log_record', function(message, name)
  if name == 'w' then
    message:set_meta('queue', 'hooks')
    return true
  end
end)]]

t.test('case 160: a hook sees Reception and Delivery, and nothing about its own messages', function()
  local sink = t.smtp_sink()
  local text = policy { sink = sink, init = hook, more = enqueue }
  local router = t.router { policy = text }
  local milter = t.milter { policy = text }
  local mta = milter:connect { ip = '192.0.2.7', helo = 'client.test' }
  t.eq(mta:mail '<ann@sender.test>', 'continue')
  t.eq(mta:rcpt '<bob@example.com>', 'continue')
  t.eq(mta:message(t.plain), 'discard')
  t.wait_for('two records at the hook', function()
    return #seen() >= 2
  end)
  empty(router)
  t.eq(types(seen()), 'Delivery Reception')
  t.eq(#sink:messages(), 1)
end)

t.test('a refusal is a record for hooks, too', function()
  local text = policy { init = hook, more = enqueue .. [[
kumo.on('smtp_server_rcpt_to', function() kumo.reject(550, '5.7.1 not today') end)]] }
  local milter = t.milter { policy = text }
  local mta = milter:connect { ip = '192.0.2.7', helo = 'client.test' }
  t.eq(mta:mail '<ann@sender.test>', 'continue')
  t.eq(mta:rcpt '<bob@example.com>', '550 5.7.1 not today')
  t.router { policy = text }
  t.wait_for('the record at the hook', function()
    return #seen() == 1
  end)
  t.eq(types(seen()), 'Rejection')
end)

t.test('case 159: filter_event in the milter', function()
  local milter = t.milter { policy = policy { logs = "filter_event = 'wanted'", more = [[
      kumo.on('wanted', function(message) return message:recipient().user == 'yes' end)]] } }
  for _, who in ipairs { 'no', 'yes' } do
    local mta = milter:connect { ip = '192.0.2.7', helo = 'client.test' }
    mta:mail '<ann@sender.test>'
    mta:rcpt('<' .. who .. '@example.com>')
    t.eq(mta:message(t.plain), 'discard')
  end
  t.log(milter, 'Reception', { recipient = 'yes@example.com' })
  t.eq(#milter:records(), 1)
end)

t.test('the hook message: envelope, captured metadata, the record as metadata and as content', function()
  local sink = t.smtp_sink { rcpt = { '550 5.1.1 no such user' } }
  local router = t.router { policy = policy { sink = sink, init = hook, more = enqueue } }
  router:enqueue { to = 'u@example.com', meta = { tenant = 'bulk', other = 'x' } }
  t.wait_for('the record', function()
    return #seen() == 1
  end)
  local kind, id, tenant, json = seen()[1]:match '^(%S+) (%S+) (%S+) (.*)$'
  local r = t.json(json)
  t.eq(kind, 'Bounce')
  t.eq(tenant, 'bulk')
  t.eq(r.id, id)
  t.eq(r.recipient, 'u@example.com')
  t.eq(r.response.code, 550)
  t.eq(r.meta.tenant, 'bulk')
  t.eq(r.meta.other, nil)
  t.wait_for('the hook message in the log', function()
    return #router:records 'Delivery' == 1
  end)
  local own = router:records('Delivery')[1]
  t.eq(own.reception_protocol, 'LogRecord')
  t.eq(own.queue, 'hooks')
  t.eq(own.sender, 'ann@sender.test')
  t.eq(own.recipient, 'u@example.com')
  empty(router)
end)

t.test('case 161: without should_enqueue_log_record nothing is queued', function()
  local sink = t.smtp_sink()
  local router = t.router { policy = policy { sink = sink, init = hook } }
  router:enqueue { to = 'u@example.com' }
  t.log(router, 'Delivery')
  empty(router)
  t.eq(#seen(), 0)
  t.eq(#sink:messages(), 1)
end)

t.test('a handler that raises, or says no, costs the record and nothing else', function()
  local sink = t.smtp_sink()
  local router = t.router {
    policy = policy { sink = sink, init = hook, more = [[
      kumo.on('should_enqueue_log_record', function(message)
        if message:recipient().user == 'boom' then error 'x' end
        if message:recipient().user == 'nowhere' then message:set_recipient 'postmaster' return true end
        return false
      end)]] },
  }
  for _, who in ipairs { 'boom', 'nowhere', 'u' } do
    router:enqueue { to = who .. '@example.com' }
    t.log(router, 'Delivery', { recipient = who .. '@example.com' })
  end
  empty(router)
  router:line 'should_enqueue_log_record: [^\n]*policy.lua'
  router:line 'it has no queue'
  t.eq(#sink:messages(), 3)
end)

t.test('per_record of a hook: types that it does not want, and a template', function()
  local sink = t.smtp_sink { rcpt = { '450 4.2.0 later', '250 2.1.5 ok' } }
  local router = t.router {
    policy = policy { sink = sink, more = enqueue, init = [[
      kumo.configure_log_hook { name = 'w', per_record = {
        TransientFailure = { template = '{{ type }} of {{ log_record.sender }} code {{ response.code }}' },
        Any = { enable = false },
      } }]] },
  }
  router:enqueue { to = 'u@example.com' }
  t.log(router, 'TransientFailure')
  t.wait_for('the row', function()
    return router:sql("SELECT count(*) FROM recipient WHERE state = 0 AND attempts = 1")[1][1] == 1
  end)
  -- Not in the middle of an event, whose time would be over.
  t.wait_for('the record at the hook', function()
    return #seen() == 1
  end)
  router:advance '2 mins'
  t.log(router, 'Delivery', { recipient = 'u@example.com', num_attempts = 1 })
  empty(router)
  t.eq(#seen(), 1)
  t.has(seen()[1], 'TransientFailure of ann@sender.test code 450')
end)

t.test('two hooks of one name are an error', function()
  local router = t.router { policy = policy { init = hook .. ' ' .. hook }, expect_failure = true }
  t.eq(router:wait(15000), 78)
  t.has(router:output(), 'there is a hook "w" already')
end)

t.test('killed between outcome and row: the hook hears of it, and never of what did not happen', function()
  for _, point in ipairs { 'outcome.after-record', 'outcome.before-commit' } do
    os.remove(t.dir() .. '/seen')
    local sink = t.smtp_sink()
    local text = policy { sink = sink, init = hook, more = enqueue }
    local router = t.router { policy = text, env = { PENSTOCK_FAULT = point .. ':1:kill' } }
    router:enqueue { to = 'u@example.com' }
    router:wait(15000)
    t.rows(router:sql 'SELECT count(*) FROM message', { { 1 } })
    router = t.router { policy = text }
    t.wait_for('the record at the hook', function()
      return #seen() == 1
    end)
    empty(router)
    t.eq(#seen(), 1)
    router:stop()
  end
end)

-- ---- filters and templates of logs ----

t.test('case 159: filter_event that returns false keeps the record out', function()
  local sink = t.smtp_sink()
  local router = t.router {
    policy = policy { sink = sink, logs = "filter_event = 'wanted'", more = [[
      kumo.on('wanted', function(message)
        if message:recipient().user == 'boom' then error 'x' end
        return message:recipient().user == 'yes' and message:get_data():find 'Hello' ~= nil
      end)]] },
  }
  local large = 'Subject: large\r\n\r\n' .. ('Hello abcdefgh\r\n'):rep(20000)
  for _, who in ipairs { 'no', 'boom', 'yes' } do
    router:enqueue { to = who .. '@example.com', data = large }
  end
  t.log(router, 'Delivery', { recipient = 'yes@example.com' })
  empty(router)
  t.eq(#router:records(), 1)
  t.eq(#sink:messages(), 3)
end)

t.test('templates and segment headers', function()
  local sink = t.smtp_sink()
  local router = t.router {
    policy = policy { sink = sink, logs = [[per_record = { Delivery = {
      suffix = '_out', segment_header = 'who,what', template = '{{ recipient }},{{ response.code }},{{ log_record.type }}',
    } }]] },
  }
  router:enqueue { to = 'u@example.com' }
  empty(router)
  router:stop()
  local name
  for _, n in ipairs(t.sys.list(t.context().logs)) do
    name = n:match '_out$' and n or name
  end
  t.ok(name, 'a segment with the suffix')
  local status, text = t.run { 'zstd', '-dc', t.context().logs .. '/' .. name }
  t.eq(status, 0)
  t.eq(text, 'who,what\nu@example.com,250,Delivery\n')
end)

t.test('log_hooks:new_disposition_hook calls a function with the message and the record about it', function()
  local sink = t.smtp_sink { rcpt = { '550 5.1.1 no such user', '250 ok' } }
  local router = t.router { policy = policy { sink = sink, more = [[
    require('policy-extras.log_hooks'):new_disposition_hook {
      name = 'd', log_parameters = { meta = { 'tenant' }, per_record = { Delivery = { enable = false } } },
      hook = function(message, record)
        note(('%s %s %s %d'):format(record.type, message:recipient(), record.meta.tenant, record.response.code))
      end,
    }]] } }
  router:enqueue { to = 'gone@example.com', meta = { tenant = 'bulk' } }
  empty(router)
  router:enqueue { to = 'there@example.com', meta = { tenant = 'bulk' } }
  empty(router)
  t.eq(table.concat(seen(), '\n'), 'Bounce gone@example.com bulk 550')
end)

t.test('and says which option is missing or wrong', function()
  for options, want in pairs {
    ['{ hook = print }'] = 'log_hooks: name: required key is missing',
    ["{ name = 'd' }"] = 'log_hooks: hook: required key is missing',
    ["{ name = 'd', hook = 5 }"] = 'log_hooks: hook: invalid type: number, expected a function',
    ["{ name = 'd', hook = print, url = 'x' }"] = 'log_hooks: unknown option "url"',
  } do
    local path = t.write('d.lua', "require('policy-extras.log_hooks'):new_disposition_hook " .. options .. '\n')
    local status, out = t.penstock('--policy', path, 'check')
    t.eq(status, 78)
    t.has(out, 'd.lua:1: ' .. want)
  end
end)
