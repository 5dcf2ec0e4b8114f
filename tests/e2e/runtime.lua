-- What a policy can count on: registration, dispatch, errors, what is there
-- and what is not; in the daemons, as an author meets it.
local t = require 'harness'

local function policy(body, listener)
  return ([[
local kumo = require 'kumo'
kumo.on('init', function()
  kumo.start_esmtp_listener { listen = '0.0.0.0:25', relay_hosts = { '203.0.113.0/24' }, %s }
  %s
end)
%s
]]):format(listener or '', t.local_logs(), body or '')
end

local function transaction(mta, to, data)
  t.eq(mta:mail '<a@b.test>', 'continue')
  for _, address in ipairs(to or { 'c@d.test' }) do
    t.eq(mta:rcpt('<' .. address .. '>'), 'continue')
  end
  return mta:message(data or t.plain)
end

t.test('case 1, 7: the module is the global, and what is dangerous is not there', function()
  local milter = t.milter {
    policy = policy [[
local same = require 'kumo' == _G.kumo and kumo == _G.kumo
local can_load = pcall(function() return package.loadlib('/x.so', 'f') end)
kumo.on('smtp_server_mail_from', function()
  kumo.reject(550, ('5.7.1 %s %s %s'):format(same, debug, can_load))
end)]],
  }
  t.eq(milter:connect({ helo = 'x.test' }):mail '<a@b.test>', '550 5.7.1 true nil false')
end)

t.test('case 3, 4, 5: the first handler that returns a value decides, and nil is none', function()
  local sink = t.smtp_sink { rcpt = '451 4.7.1 later' }
  local router = t.router {
    policy = ([[
local kumo = require 'kumo'
kumo.on('init', function() %s end)
local protocol = { smtp = { mx_list = { { name = 'sink.test', addr = '%s' } } } }
local function note(text)
  local f = io.open('%s/called', 'a')
  f:write(text .. '\n')
  f:close()
end
kumo.on('get_queue_config', function(domain)
  if domain == 'first.test' then
    return kumo.make_queue_config { max_age = '2h', retry_interval = '90m', protocol = protocol }
  elseif domain == 'nil.test' then
    return nil
  end
end)
kumo.on('get_queue_config', function(domain)
  note(domain)
  return kumo.make_queue_config { max_age = '1h', retry_interval = '90m', protocol = protocol }
end)
kumo.on('get_egress_path_config', function() return kumo.make_egress_path { prohibited_hosts = {} } end)
]]):format(t.local_logs(), sink.address, t.dir()),
  }
  router:enqueue { to = 'u@first.test' }
  router:enqueue { to = 'u@nothing.test' }
  router:enqueue { to = 'u@nil.test' }
  -- The first attempt's retry in 90 minutes is beyond an hour, not beyond two.
  t.log(router, 'Expiration', { recipient = 'u@nothing.test' })
  t.log(router, 'Expiration', { recipient = 'u@nil.test' })
  t.log(router, 'TransientFailure', { recipient = 'u@first.test' })
  t.wait_for('the first to be left alone', function()
    return #router:sql 'SELECT 1 FROM recipient WHERE state = 0 AND attempts = 1' == 1
  end)
  t.none(router, "SELECT count(*) FROM recipient WHERE address != 'u@first.test'")
  t.lacks(t.read(t.dir() .. '/called'), 'first.test')
end)

t.test('case 6: an event is registered while loading and never later', function()
  local milter = t.milter {
    policy = policy [[
kumo.on('smtp_server_mail_from', function(sender)
  if sender.user == 'late' then kumo.on('smtp_server_ehlo', function() end) end
end)]],
  }
  t.match(milter:connect({ helo = 'x.test' }):mail '<late@b.test>', '^421 4%.3%.0 ')
  t.eq(milter:connect({ helo = 'x.test' }):mail '<a@b.test>', 'continue')
end)

t.test('case 9, 10: print and kumo.log_info write one line each', function()
  local milter = t.milter {
    policy = policy [[
kumo.on('smtp_server_mail_from', function()
  print('a', 1, nil, true)
  kumo.log_info('a', 1, '\xff')
end)]],
  }
  t.eq(milter:connect({ helo = 'x.test' }):mail '<a@b.test>', 'continue')
  milter:line '%f[^\n]a\t1\tnil\ttrue\n'
  milter:line 'info: [^\n]*policy%.lua:%d+: a 1 \\xFF\n'
end)

t.test('case 11: fifty connections at once keep their metadata apart', function()
  local milter = t.milter {
    policy = policy [[
local count = 0
kumo.on('smtp_server_connection_accepted', function(c)
  count = count + 1
  c:set_meta('x_id', c:get_meta 'received_from')
end)
kumo.on('smtp_server_rcpt_to', function(recipient, c)
  if c:get_meta 'x_id' ~= c:get_meta 'received_from' or recipient.user ~= c:get_meta('x_id'):match ':(%d+)$' then
    kumo.reject(550, '5.7.1 mixed up')
  end
end)]],
  }
  local left, said = 50, {}
  for i = 1, 50 do
    t.sched.spawn(function()
      local port = 40000 + i
      local mta = milter:connect { helo = 'x.test', port = port }
      mta:mail '<a@b.test>'
      for _ = 1, 5 do
        t.sched.pass(1)
        local reply = mta:rcpt('<' .. port .. '@d.test>')
        said[#said + 1] = reply
      end
      mta:quit()
      left = left - 1
    end)
  end
  t.wait_for('all connections', function()
    return left == 0
  end)
  t.eq(#said, 250)
  for _, reply in ipairs(said) do
    t.eq(reply, 'continue')
  end
  t.ok(milter:running())
end)

t.test('case 12: check fails when validate_config says so, and only it is told that it checks', function()
  local text = policy [[
kumo.on('validate_config', function()
  if not _VALIDATING_CONFIG then error 'not told' end
  kumo.validation_failed()
end)
kumo.on('smtp_server_mail_from', function() kumo.reject(550, '5.7.1 ' .. tostring(_VALIDATING_CONFIG)) end)]]
  local milter = t.milter { policy = text }
  local status, out = t.penstock 'check'
  t.ok(status ~= 0, out)
  t.lacks(out, 'not told')
  t.eq(milter:connect({ helo = 'x.test' }):mail '<a@b.test>', '550 5.7.1 nil')
end)

t.test('what is almost the name of an event is a warning, what is a name of its own is none', function()
  t.milter {
    policy = policy [[
kumo.on('smtp_server_message_recieved', function() end)
kumo.on('get_queue_confg', function() end)
kumo.on('make.webhook', function() end)
kumo.on('audit.message_received', function() end)
kumo.on('smtp_server_mail_from', function() end)]],
  }
  local status, out = t.penstock 'check'
  t.eq(status, 0, out)
  t.match(out, "policy%.lua:%d+: kumo%.on%('smtp_server_message_recieved'%): .*did you mean \"smtp_server_message_received\"")
  t.match(out, "policy%.lua:%d+: kumo%.on%('get_queue_confg'%): .*did you mean \"get_queue_config\"")
  local _, count = out:gsub('did you mean', '')
  t.eq(count, 2, out)
end)

t.test('half a proxy, and a second listener for the same address, are warnings', function()
  t.milter {
    policy = policy [[
local function listen() kumo.start_esmtp_listener { listen = '0.0.0.0:2525' } end
kumo.on('pre_init', listen)
kumo.on('pre_init', listen)
kumo.make_egress_source { name = 'half', ha_proxy_server = '192.0.2.1:5000' }]],
  }
  local status, out = t.penstock 'check'
  t.eq(status, 0, out)
  t.match(out, '0%.0%.0%.0:2525 has a listener already, at [^ ]+policy%.lua:%d+: this one has no effect')
  t.has(out, 'make_egress_source: "half": ha_proxy_source_address is missing: no proxy is used, mail leaves from this host')
end)

t.test('a check that would never run is a warning: a name of the SMTP stages, or an event that does not occur here', function()
  t.milter {
    policy = policy [[
kumo.on('smtp_server_rcpt', function() end)
kumo.on('smtp_server_error', function() end)
kumo.on('Get_Queue_Config', function() end)
kumo.on('http_message_generated', function() end)
kumo.on('smtp_client_rewrite_delivery_status', function() end)
kumo.on('http_hook', function() end)]],
  }
  local status, out = t.penstock 'check'
  t.eq(status, 0, out)
  t.match(out, "'smtp_server_rcpt'%): there is no such event.*did you mean \"smtp_server_rcpt_to\"")
  t.has(out, "'smtp_server_error'): there is no such event, nothing but the policy itself can call it")
  t.match(out, "'Get_Queue_Config'%): .*did you mean \"get_queue_config\"")
  t.has(out, "'http_message_generated'): this event does not occur here")
  t.lacks(out, "'smtp_client_rewrite_delivery_status'")
  t.lacks(out, "'http_hook'")
end)

t.test('case 44: dynamic parameters come before the connection is accepted', function()
  local milter = t.milter {
    policy = policy [[
local function add(c, text)
  c:set_meta('x_seq', (c:get_meta 'x_seq' or '') .. text)
end
kumo.on('smtp_server_connection_accepted', function(c) add(c, 'accepted') end)
kumo.on('smtp_server_get_dynamic_parameters', function(listener, c) add(c, 'dynamic ') end)
kumo.on('smtp_server_mail_from', function(s, c) kumo.reject(550, '5.7.1 ' .. c:get_meta 'x_seq') end)]],
  }
  t.eq(milter:connect({ helo = 'x.test' }):mail '<a@b.test>', '550 5.7.1 dynamic accepted')
end)

t.test('case 31, 38, 46: whose parameters a connection has', function()
  local milter = t.milter {
    policy = ([[
local kumo = require 'kumo'
kumo.on('init', function()
  kumo.start_esmtp_listener { listen = '10.0.0.1:25', hostname = 'a.example', relay_hosts = { 'any' } }
  kumo.start_esmtp_listener { listen = '0.0.0.0:25', hostname = 'b.example', relay_hosts = { 'any' },
    trace_headers = { header_name = 'X-A' } }
  %s
end)
kumo.on('smtp_server_get_dynamic_parameters', function(listener, c)
  if c:get_meta 'received_via' == '10.0.0.8:25' then
    return { trace_headers = { received_header = false } }
  end
end)
]]):format(t.local_logs()),
  }
  local function headers(ip)
    local mta = milter:connect { helo = 'x.test', local_ip = ip }
    t.eq(transaction(mta), 'discard')
    mta:quit()
    return (milter:sql('SELECT prefix FROM message ORDER BY id DESC LIMIT 1')[1][1]:gsub('\r\n[ \t]', ' '))
  end
  t.match(headers '10.0.0.1', '^X%-KumoRef: .*\r\nReceived: .* by a%.example ')
  t.match(headers '10.0.0.9', '^X%-A: .*\r\nReceived: .* by b%.example ')
  t.match(headers '10.0.0.8', '^X%-KumoRef: [^:]*$')
end)

t.test('case 56: who authenticated is known from MAIL on', function()
  local milter = t.milter {
    policy = policy [[
kumo.on('smtp_server_connection_accepted', function(c)
  c:set_meta('x_then', tostring(c:get_meta 'authn_id'))
end)
kumo.on('smtp_server_mail_from', function(s, c)
  kumo.reject(550, ('5.7.1 %s %s %s'):format(c:get_meta 'x_then', c:get_meta 'authn_id', c:get_meta 'authz_id'))
end)]],
  }
  t.eq(milter:connect({ helo = 'x.test', auth = 'scott' }):mail '<a@b.test>', '550 5.7.1 nil scott scott')
end)

t.test('case 61: a caught rejection can be looked at and raised again', function()
  local milter = t.milter {
    policy = policy [[
kumo.on('smtp_server_mail_from', function(sender)
  local ok, e = pcall(kumo.reject, 550, 'x')
  if sender.user == 'again' then error(e, 0) end
  kumo.reject(451, ('4.7.1 %s [%s]'):format(ok, tostring(e)))
end)]],
  }
  t.eq(milter:connect({ helo = 'x.test' }):mail '<a@b.test>', '451 4.7.1 false [550 x]')
  t.match(milter:connect({ helo = 'x.test' }):mail '<again@b.test>', '^550 5%.7%.1 x')
end)

t.test('case 63: smtp_server_rewrite_response changes code or text, and an error changes nothing', function()
  local milter = t.milter {
    policy = policy [[
kumo.on('smtp_server_rcpt_to', function(r) kumo.reject(550, '5.7.1 ' .. r.user) end)
kumo.on('smtp_server_rewrite_response', function(status, response, command, c)
  if command:find 'code@' then return 554, nil end
  if command:find 'error@' then error 'boom' end
  if command:find 'both@' then return 451, '4.7.1 not now' end
end)]],
  }
  local mta = milter:connect { helo = 'x.test' }
  t.eq(mta:mail '<a@b.test>', 'continue')
  t.eq(mta:rcpt '<code@d.test>', '554 5.7.1 code')
  t.eq(mta:rcpt '<error@d.test>', '550 5.7.1 error')
  t.eq(mta:rcpt '<both@d.test>', '451 4.7.1 not now')
  t.eq(mta:rcpt '<plain@d.test>', '550 5.7.1 plain')
end)

t.test('case 99: a transaction split into nothing is refused', function()
  local milter = t.milter {
    policy = policy "kumo.on('smtp_server_split_transaction', function() return {} end)",
  }
  t.match(transaction(milter:connect { helo = 'x.test' }), '^550 5%.7%.1 ')
  t.none(milter, 'SELECT count(*) FROM message')
end)

t.test('smtp_server_split_transaction decides which recipients share a message, and is asked about one, too', function()
  local milter = t.milter {
    policy = policy [[
local HOW = {
  three = { { 'three@d.test', 'b@d.test' }, {}, { 'c@e.test' } },
  new = { { 'other@f.test' } },
  flat = { 'flat@d.test' },
  number = { { 7 } },
  bare = { { 'nobody' } },
  text = 'all of them',
}
kumo.on('smtp_server_split_transaction', function(msg)
  local first = msg:recipient_list()[1].user
  if first ~= 'one' then return HOW[first] end
  msg:set_meta('x_asked', #msg:recipient_list())
end)]],
  }
  local function messages()
    return milter:sql [[SELECT group_concat(address, ' ') FROM (SELECT message, address FROM recipient ORDER BY id)
      GROUP BY message ORDER BY message]]
  end
  t.eq(transaction(milter:connect { helo = 'x.test' }, { 'three@d.test', 'b@d.test', 'c@e.test' }), 'discard')
  t.rows(messages(), { { 'three@d.test b@d.test' }, { 'c@e.test' } })
  t.eq(transaction(milter:connect { helo = 'x.test' }, { 'new@d.test' }), 'discard')
  t.eq(transaction(milter:connect { helo = 'x.test' }, { 'one@d.test' }), 'discard')
  t.rows(messages(), { { 'three@d.test b@d.test' }, { 'c@e.test' }, { 'other@f.test' }, { 'one@d.test' } })
  t.rows(milter:sql "SELECT json_extract(meta, '$.x_asked') FROM message ORDER BY id DESC LIMIT 1", { { 1 } })
  for _, user in ipairs { 'flat', 'number', 'bare', 'text' } do
    t.match(transaction(milter:connect { helo = 'x.test' }, { user .. '@d.test' }), '^421 4%.3%.0 ', user)
  end
  t.eq(#messages(), 4)
end)

t.test('smtp_server_data may change content, metadata and recipients for all batches', function()
  local milter = t.milter {
    policy = policy [[
kumo.on('smtp_server_data', function(msg)
  msg:append_header('X-Data', 'seen')
  msg:set_meta('tenant', 'bulk')
  if msg:recipient_list()[1].user == 'nobody' then msg:set_recipient {} return end
  msg:set_recipient { 'one@d.test', 'two@e.test' }
end)]],
  }
  t.eq(transaction(milter:connect { helo = 'x.test' }, { 'old@d.test' }), 'discard')
  t.rows(milter:sql 'SELECT r.address, q.name FROM recipient r JOIN queue q ON q.id = r.queue ORDER BY r.id',
    { { 'one@d.test', 'bulk@d.test' }, { 'two@e.test', 'bulk@e.test' } })
  for _, row in ipairs(milter:sql 'SELECT uuid FROM message') do
    local _, out = t.penstock('show', row[1], '--body')
    t.has(out, 'X-Data: seen')
  end
  t.match(transaction(milter:connect { helo = 'x.test' }, { 'nobody@d.test' }), '^550 5%.7%.1 ')
end)

t.test('case 97, 102: each recipient has a message, and handlers see Received but not the trace header', function()
  local milter = t.milter {
    policy = policy [[
kumo.on('smtp_server_message_received', function(msg)
  msg:set_meta('seen', (msg:get_first_named_header_value 'Received' and 'R' or '') ..
    (msg:get_first_named_header_value 'X-KumoRef' and 'K' or ''))
end)]],
  }
  t.eq(transaction(milter:connect { helo = 'x.test' }, { 'a@d.test', 'b@d.test' }), 'discard')
  t.rows(milter:sql "SELECT count(DISTINCT uuid), min(json_extract(meta, '$.seen')), max(json_extract(meta, '$.seen')) FROM message",
    { { 2, 'R', 'R' } })
end)

t.test('local submission: exactly what the MTA says of its own mail, and nothing like it', function()
  local milter = t.milter { policy = policy() }
  local exact = { ip = '127.0.0.1', port = 0, local_ip = '127.0.0.1', local_port = 0, name = 'localhost', helo = 'localhost' }
  local function connect(change)
    local o = {}
    for k, v in pairs(exact) do
      o[k] = v
    end
    for k, v in pairs(change or {}) do
      o[k] = v
    end
    return milter:connect(o)
  end
  local mta = connect()
  t.eq(mta:mail 'root', 'continue')
  t.eq(mta:rcpt 'anybody@where.test', 'continue')
  t.eq(mta:message(t.plain), 'discard')
  t.match(milter:sql('SELECT sender FROM message')[1][1], '^root@')
  for _, change in ipairs {
    { port = 12345 }, { local_port = 25 }, { name = 'localhost.localdomain' }, { ip = '127.0.0.2' },
  } do
    local other = connect(change)
    t.eq(other:mail '<a@b.test>', 'continue')
    t.match(other:rcpt '<anybody@where.test>', '^550 5%.7%.1 ', t.show(change))
  end
end)

t.test('local submission can be left to the MTA or refused, each time at its end', function()
  for verdict, want in pairs { leave_to_mta = '^accept$', refuse = '^550 5%.7%.1 ' } do
    local milter = t.milter { policy = policy("penstock.local_submission = '" .. verdict .. "'") }
    local mta = milter:connect {
      ip = '127.0.0.1', port = 0, local_ip = '127.0.0.1', local_port = 0, name = 'localhost', helo = 'localhost',
    }
    t.eq(mta:mail 'root', 'continue')
    t.eq(mta:rcpt 'u@d.test', 'continue')
    t.match(mta:message(t.plain), want)
    t.none(milter, 'SELECT count(*) FROM message')
    milter:kill()
  end
end)

t.test('local submission that is left to the MTA is so whatever the handlers say, and whatever its sender looks like', function()
  for _, event in ipairs {
    'smtp_server_connection_accepted', 'smtp_server_ehlo', 'smtp_server_mail_from', 'get_listener_domain', 'smtp_server_rcpt_to',
    'none of them',
  } do
    local milter = t.milter {
      policy = policy(("penstock.local_submission = 'leave_to_mta'\nkumo.on('%s', function() kumo.reject(550, 'no') end)"):format(event)),
    }
    for _, sender in ipairs { 'root', '<>', '<a b@c', '' } do
      local mta = milter:connect {
        ip = '127.0.0.1', port = 0, local_ip = '127.0.0.1', local_port = 0, name = 'localhost', helo = 'localhost',
      }
      t.eq(mta:mail(sender), 'continue', event)
      t.eq(mta:rcpt 'u@d.test', 'continue', event)
      t.eq(mta:message(t.plain), 'accept', event .. ' ' .. sender)
      t.eq(mta.changes, {})
    end
    t.none(milter, 'SELECT count(*) FROM message')
    milter:kill()
  end
end)

t.test('SIZE is held against max_message_size, and not believed', function()
  local milter = t.milter { policy = policy('', 'max_message_size = 1000') }
  local mta = milter:connect { helo = 'x.test' }
  t.match(mta:mail('<a@b.test>', 'SIZE=1001'), '^552 5%.3%.4 ')
  t.match(mta:mail('<a@b.test>', 'SIZE=99999999999999999999999'), '^552 5%.3%.4 ')
  t.eq(mta:mail('<a@b.test>', 'SIZE=10'), 'continue')
  t.eq(mta:rcpt '<c@d.test>', 'continue')
  t.match(mta:message('Subject: x\n\n' .. ('x'):rep(70):rep(30, '\n') .. '\n'), '^552 5%.3%.4 ')
  t.eq(mta:mail('<a@b.test>', 'SIZE=900', 'BODY=8BITMIME', 'RET=HDRS', 'ENVID=e+2Bx', 'AUTH=<>', 'SMTPUTF8'), 'continue')
  t.eq(mta:rcpt('<c@d.test>', 'NOTIFY=SUCCESS,FAILURE', 'ORCPT=rfc822;c@d.test'), 'continue')
  t.eq(mta:message(t.plain), 'discard')
  t.rows(milter:sql 'SELECT body, ret, envid, auth, smtputf8, declared_size, notify, orcpt FROM message, recipient',
    { { '8BITMIME', 'HDRS', 'e+2Bx', '<>', 1, 900, 'SUCCESS,FAILURE', 'rfc822;c@d.test' } })
end)

t.test('case 42: dynamic parameters from a file, also through a memoized reader', function()
  t.write('listeners.toml', "[via.'10.0.0.1']\nhostname = 't'\n")
  for _, reader in ipairs { 'kumo.toml_load', "kumo.memoize(kumo.toml_load, { name = 'file', ttl = '1m', capacity = 4 })" } do
    local milter = t.milter {
      policy = policy(([[
local read = %s
kumo.on('smtp_server_get_dynamic_parameters', function() return read '%s/listeners.toml' end)
kumo.on('smtp_server_mail_from', function(s, c) kumo.reject(550, '5.7.1 ' .. c:get_meta 'hostname') end)]])
        :format(reader, t.dir())),
    }
    for _ = 1, 2 do
      t.eq(milter:connect({ helo = 'x.test' }):mail '<a@b.test>', '550 5.7.1 t')
    end
    milter:kill()
  end
end)

t.test('case 108: import_x_headers', function()
  local milter = t.milter {
    policy = policy [[
kumo.on('smtp_server_message_received', function(msg)
  msg:import_x_headers()
  kumo.reject(550, '5.7.1 ' .. tostring(msg:get_meta 'x_job_id'))
end)]],
  }
  t.eq(transaction(milter:connect { helo = 'x.test' }, nil, 'X-Job-Id: 7\r\n' .. t.plain), '550 5.7.1 7')
end)
