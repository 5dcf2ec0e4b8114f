-- deferred_queue: the milter takes mail without asking the policy about it, the
-- router asks and then knows where it goes.
local t = require 'harness'

local DEFERRED = 'deferred_smtp_inject.kumomta.internal'

local function policy(sink, body, listener)
  return ([[
local kumo = require 'kumo'
kumo.on('init', function()
  kumo.start_esmtp_listener {
    listen = '0.0.0.0:25', relay_hosts = { '203.0.113.0/24' }, deferred_queue = true, %s }
  %s
end)
kumo.on('get_queue_config', function(domain)
  if domain == '%s' then error 'never asked about' end
  return kumo.make_queue_config { protocol = { smtp = { mx_list = { { name = 'sink.test', addr = '%s' } } } } }
end)
kumo.on('get_egress_path_config', function() return kumo.make_egress_path { prohibited_hosts = {} } end)
%s
]]):format(listener or '', t.local_logs(), DEFERRED, sink.address, body or '')
end

local function send(milter, o, to, data)
  local mta = milter:connect(o or { helo = 'client.test' })
  t.eq(mta:mail '<ann@sender.test>', 'continue')
  for _, address in ipairs(type(to) == 'table' and to or { to }) do
    t.eq(mta:rcpt('<' .. address .. '>'), 'continue')
  end
  t.eq(mta:message(data or t.plain), 'discard')
end

local function both(text)
  local milter = t.milter { policy = text }
  return milter, t.router { policy_file = t.dir() .. '/policy.lua' }
end

local function empty(daemon)
  t.wait_for('an empty queue', function()
    return daemon:sql('SELECT count(*) FROM recipient')[1][1] == 0
  end)
  t.none(daemon, 'SELECT count(*) FROM message')
end

t.test('mail is taken without the event of the milter, decided about by the router, and delivered', function()
  local sink = t.smtp_sink()
  local text = policy(sink, [[
kumo.on('smtp_server_message_received', function() error 'not called' end)
kumo.on('smtp_server_message_deferred_inject', function(msg, conn_meta)
  msg:set_meta('tenant', 'bulk')
  msg:prepend_header('X-Saw', table.concat({
    tostring(msg:get_meta 'queue'), conn_meta:get_meta 'received_from', conn_meta:get_meta 'authz_id',
    conn_meta:get_meta 'ehlo_domain', msg:sender().email, msg:recipient().email, msg:num_attempts(),
  }, ' '))
  conn_meta:set_meta('x_lost', 1)
end)]])
  local milter = t.milter { policy = text }
  send(milter, { helo = 'client.test', auth = 'scott' }, 'bob@example.com')
  t.rows(milter:sql [[SELECT q.name, json_extract(m.meta, '$.queue') FROM recipient r
    JOIN queue q ON q.id = r.queue JOIN message m ON m.id = r.message]], { { DEFERRED, DEFERRED } })
  local reception = t.log(milter, 'Reception', { queue = DEFERRED, recipient = 'bob@example.com' })

  local router = t.router { policy_file = t.dir() .. '/policy.lua' }
  local moved = t.log(router, 'DeferredInjectionRebind', { code = 250, queue = 'bulk@example.com', id = reception.id })
  t.eq({ moved.sender, moved.recipient, moved.num_attempts }, { 'ann@sender.test', 'bob@example.com', 0 })
  t.eq(moved.meta.tenant, 'bulk')
  t.eq(moved.meta.x_lost, nil, 'what is set on conn_meta is lost')
  t.log(router, 'Delivery', { queue = 'bulk@example.com', id = reception.id })
  empty(router)
  local data = sink:messages()[1].data
  t.has(data, 'X-Saw: nil 203.0.113.9:40000 scott client.test ann@sender.test bob@example.com 0\r\n')
  t.match(data, '^X%-Saw: .-\r\nX%-KumoRef: .-\r\nReceived: ')
  t.eq(#sink:messages(), 1)
end)

t.test('a rejection bounces, unless it is a 4yz; what fails is tried again in 1, 2, 4 minutes', function()
  local sink = t.smtp_sink()
  local _, router = both(policy(sink, [[
kumo.on('smtp_server_message_deferred_inject', function(msg)
  local user = msg:recipient().user
  if user == 'never' then kumo.reject(550, '5.7.1 not this') end
  if user == 'later' then kumo.reject(451, '4.7.1 not now') end
  if user == 'boom' and msg:num_attempts() < 3 then error 'boom' end
end)]]))
  local milter = t.milter { policy_file = t.dir() .. '/policy.lua', name = 'n' }
  send(milter, nil, 'never@example.com')
  local bounce = t.log(router, 'Bounce', { code = 550, recipient = 'never@example.com', queue = DEFERRED })
  t.eq(bounce.response.enhanced_code, { class = 5, subject = 7, detail = 1 })
  t.has(bounce.response.content, 'not this')

  send(milter, nil, 'later@example.com')
  t.log(router, 'TransientFailure', { code = 450, recipient = 'later@example.com', queue = DEFERRED, content = 'not now' })
  send(milter, nil, 'boom@example.com')
  for attempt = 1, 3 do
    t.log(router, 'TransientFailure', { code = 450, recipient = 'boom@example.com', num_attempts = attempt - 1 })
    t.lacks(t.show(router:records 'TransientFailure'), 'boom\'', 'the text of the policy stays here')
    t.wait_for('the row', function()
      local row = router:sql [[SELECT attempts, due_at - last_attempt_at FROM recipient
        WHERE address = 'boom@example.com' AND state = 0]][1]
      return row and row[1] == attempt and math.abs(row[2] - 60 * 2 ^ (attempt - 1)) <= 2
    end)
    t.advance(60 * 2 ^ (attempt - 1) + 3)
  end
  t.log(router, 'DeferredInjectionRebind', { recipient = 'boom@example.com', queue = 'example.com' })
  local delivered = t.log(router, 'Delivery', { recipient = 'boom@example.com' })
  t.eq(delivered.num_attempts, 0, 'a new queue begins anew')
  -- After a week it is given up.
  t.advance '8 days'
  t.log(router, 'Expiration', { code = 551, recipient = 'later@example.com', queue = DEFERRED })
  empty(router)
end)

t.test('without a handler it goes where it would have gone', function()
  local sink = t.smtp_sink()
  local milter, router = both(policy(sink))
  send(milter, nil, { 'a@example.com', 'b@other.test' })
  t.log(router, 'DeferredInjectionRebind', { queue = 'example.com', recipient = 'a@example.com' })
  t.log(router, 'DeferredInjectionRebind', { queue = 'other.test', recipient = 'b@other.test' })
  empty(router)
  t.eq(#sink:messages(), 2)
end)

t.test('only the clients whose block says so; the others have the event of the milter', function()
  local sink = t.smtp_sink()
  local milter = t.milter {
    policy = policy(sink, [[
kumo.on('smtp_server_message_received', function(msg) msg:set_meta('campaign', 'seen') end)]],
      "peer = { ['203.0.113.7'] = { deferred_queue = false } }"),
  }
  send(milter, { helo = 'x.test', ip = '203.0.113.7' }, 'a@example.com')
  send(milter, { helo = 'x.test' }, 'b@example.com')
  t.rows(milter:sql 'SELECT q.name FROM recipient r JOIN queue q ON q.id = r.queue ORDER BY r.id',
    { { 'seen:@example.com' }, { DEFERRED } })
end)

t.test('content, recipients and sender may be changed; small and large content alike', function()
  local sink = t.smtp_sink()
  local milter, router = both(policy(sink, [[
kumo.on('smtp_server_message_deferred_inject', function(msg)
  local user = msg:recipient_list()[1].user
  if user == 'content' then msg:append_header('X-New', 'yes') end
  if user == 'all' then
    msg:set_recipient { 'one@example.com', 'two@example.com' }
    msg:set_sender 'new@sender.test'
    msg:set_data('Subject: other\r\n\r\nOther.\r\n')
  end
end)]], "batch_handling = 'BatchByDomain', max_message_size = 10000000"))
  local large = t.plain .. (('x'):rep(70) .. '\r\n'):rep(4000)
  send(milter, nil, 'content@example.com', large)
  send(milter, nil, { 'all@example.com', 'gone@example.com' }, large)
  t.log(router, 'Delivery', { recipient = 'content@example.com' })
  t.wait_for('the deliveries of the new recipients', function()
    local found = 0
    for _, r in ipairs(router:records 'Delivery') do
      if r.sender == 'new@sender.test' then
        found = found + (type(r.recipient) == 'table' and #r.recipient or 1)
      end
    end
    return found == 2
  end)
  empty(router)
  for _, m in ipairs(sink:messages()) do
    if m.from:find 'new@sender.test' then
      t.has(m.data, 'Subject: other\r\n')
      t.lacks(m.data, 'Hello.')
    else
      t.has(m.data, 'X-New: yes\r\n')
      t.eq(#m.data > #large, true)
    end
  end
  t.rows(router:sql "SELECT count(*) FROM recipient WHERE address LIKE 'gone%'", { { 0 } })
  -- What nobody has any more goes in small steps.
  t.wait_for('no content', function()
    t.advance '2 sec'
    return router:sql('SELECT count(*) FROM content')[1][1] == 0 and router:sql('SELECT count(*) FROM chunk')[1][1] == 0
  end)
end)

t.test('the queue null takes it out, with its record; the queue of new mail itself is tried again', function()
  local sink = t.smtp_sink()
  local milter, router = both(policy(sink, ([[
kumo.on('smtp_server_message_deferred_inject', function(msg)
  local user = msg:recipient().user
  if user == 'null' then msg:set_meta('queue', 'null') end
  if user == 'here' then msg:set_meta('queue', '%s') end
  if user == 'five' then msg:set_meta('tenant', 5) end
end)]]):format(DEFERRED)))
  send(milter, nil, 'null@example.com')
  t.log(router, 'DeferredInjectionRebind', { recipient = 'null@example.com', queue = 'null' })
  empty(router)
  send(milter, nil, 'here@example.com')
  t.log(router, 'TransientFailure', { code = 450, recipient = 'here@example.com' })
  send(milter, nil, 'five@example.com')
  t.log(router, 'TransientFailure', { code = 450, recipient = 'five@example.com' })
  t.eq(#sink:messages(), 0)
end)

t.test('a router that is killed between record and row asks again and delivers once', function()
  local sink = t.smtp_sink()
  local milter = t.milter { policy = policy(sink, [[
kumo.on('smtp_server_message_deferred_inject', function(msg) msg:append_header('X-Once', 'yes') end)]]) }
  send(milter, nil, 'bob@example.com')
  local router = t.router {
    policy_file = t.dir() .. '/policy.lua', env = { PENSTOCK_FAULT = 'outcome.after-record:1:kill' },
    expect_failure = true,
  }
  t.eq(router:wait(20000), -9)
  router = t.router { policy_file = t.dir() .. '/policy.lua' }
  t.log(router, 'Delivery', { recipient = 'bob@example.com' })
  empty(router)
  t.eq(#sink:messages(), 1)
  local _, count = sink:messages()[1].data:gsub('X%-Once', '')
  t.eq(count, 1)
end)

t.test('a handler that does not end keeps its message and no other', function()
  local sink = t.smtp_sink()
  local milter, router = both(policy(sink, [[
kumo.on('smtp_server_message_deferred_inject', function(msg)
  if msg:recipient().user == 'slow' then kumo.sleep(60) end
end)]]))
  send(milter, nil, 'slow@example.com')
  for i = 1, 20 do
    send(milter, nil, 'u' .. i .. '@example.com')
  end
  t.wait_for('the others', function()
    return #sink:messages() == 20
  end)
  t.log(router, 'TransientFailure', { code = 450, recipient = 'slow@example.com' }, 20000)
  t.eq(#sink:messages(), 20)
end)
