-- With a real Postfix in front: what it shows the client, and what it passes on.
local t = require 'harness'
local postfix = require 'postfix'

local function policy(sink, extra)
  return ([[
local kumo = require 'kumo'
kumo.on('init', function()
  kumo.start_esmtp_listener { listen = '0.0.0.0:25', relay_hosts = {}, max_message_size = 100000000 }
  %s
end)
kumo.on('get_listener_domain', function(domain)
  if domain == 'ours.test' then return kumo.make_listener_domain { relay_to = true } end
end)
kumo.on('get_queue_config', function()
  return kumo.make_queue_config { protocol = { smtp = { mx_list = { { name = 'sink.test', addr = '%s' } } } } }
end)
kumo.on('get_egress_path_config', function() return kumo.make_egress_path { prohibited_hosts = {} } end)
%s
]]):format(t.local_logs(), sink and sink.address or '127.0.0.1:9', extra or '')
end

t.test('accepted by policy, in custody, delivered; refused by policy, nothing stored', function()
  local sink = t.smtp_sink {}
  local milter = t.milter { policy = policy(sink) }
  local router = t.router {}
  local mta = postfix.start(milter)
  local status, out = mta:swaks('-f', 'ann@x.test', '-t', 'bob@ours.test')
  t.eq(status, 0, out)
  t.log(router, 'Delivery', { recipient = 'bob@ours.test' })
  t.eq(#sink:messages(), 1)
  status, out = mta:swaks('-f', 'ann@x.test', '-t', 'eve@elsewhere.test')
  t.eq(status, 24, out)
  t.wait_for("Postfix's log", function()
    return mta:log():find('550 5.7.1', 1, true)
  end)
  t.has(mta:log(), 'milter-discard: END-OF-MESSAGE')
  t.eq(#sink:messages(), 1)
  t.match(milter:output(), 'custody=%x+')
  local id = mta:log():match '(%w+): milter%-discard'
  t.has(milter:output(), id)
end)

t.test('a client whose EHLO the policy refused hears that from then on, also after another EHLO', function()
  local milter = t.milter {
    policy = policy(nil, "kumo.on('smtp_server_ehlo', function(name) if name == 'bad.test' then kumo.reject(550, '5.7.1 bad name') end end)"),
  }
  local mta = postfix.start(milter)
  local stream = t.sched.stream(t.sys.tcp_connect('127.0.0.1', mta.port))
  local function say(line)
    if line then
      stream:write(line .. '\r\n')
    end
    local reply
    repeat
      reply = stream:line(t.sys.now_ms() + 60000)
    until not reply or reply:sub(4, 4) ~= '-'
    return reply
  end
  t.match(say(), '^220')
  say 'EHLO bad.test'
  t.eq(say 'MAIL FROM:<a@x.test>', '550 5.7.1 bad name')
  say 'EHLO good.test'
  t.eq(say 'MAIL FROM:<a@x.test>', '550 5.7.1 bad name')
  t.match(say 'RCPT TO:<b@ours.test>', '^503 ')
end)

t.test('with the milter stopped, killed or killed within a session: 4yz at every stage, never 250 to a recipient', function()
  local milter = t.milter { policy = policy() }
  local mta = postfix.start(milter)
  -- in the middle of a session
  for _, stage in ipairs { 'MAIL', 'RCPT', 'DATA' } do
    local stream = t.sched.stream(t.sys.tcp_connect('127.0.0.1', mta.port))
    local function say(line)
      if line then
        stream:write(line .. '\r\n')
      end
      local reply
      repeat
        reply = stream:line(t.sys.now_ms() + 60000)
      until not reply or reply:sub(4, 4) ~= '-'
      return reply
    end
    t.match(say(), '^220')
    t.match(say 'EHLO x.test', '^250')
    if stage ~= 'MAIL' then
      t.match(say 'MAIL FROM:<a@b.test>', '^250')
    end
    if stage == 'DATA' then
      t.match(say 'RCPT TO:<bob@ours.test>', '^250')
    end
    milter:kill()
    if stage == 'MAIL' then
      t.match(say 'MAIL FROM:<a@b.test>', '^4')
      t.match(say 'RCPT TO:<eve@elsewhere.test>', '^[45]')
    elseif stage == 'RCPT' then
      t.match(say 'RCPT TO:<eve@elsewhere.test>', '^4')
      t.match(say 'RCPT TO:<bob@ours.test>', '^4')
    else
      local reply = say 'DATA'
      if reply:match '^354' then
        reply = say 'Subject: x\r\n\r\nx\r\n.'
      end
      t.match(reply, '^4')
    end
    stream:close()
    milter = t.milter { policy_file = t.dir() .. '/policy.lua' }
  end
  milter:kill()
  local status, out = mta:swaks('-f', 'ann@x.test', '-t', 'bob@ours.test')
  t.ok(status ~= 0)
  local _, why = postfix.send(mta.port, 'a@b.test', 'bob@ours.test', t.plain)
  t.match(why, ' 4%d%d')
  t.rows(t.sys.sql(t.context().queue, 'SELECT count(*) FROM recipient'), { { 0 } })
end)

t.test('a signed message with every awkward byte, and 40 MB of it, arrives as it was', function()
  local sink = t.smtp_sink {}
  local milter = t.milter { policy = policy(sink) }
  local router = t.router {}
  local mta = postfix.start(milter)
  local small = table.concat({
    'From: Ann <ann@x.test>', 'To: bob@ours.test', 'Subject:  folded', '\tsubject with  spaces   ',
    'X-Empty:', 'X-Tab:\tvalue', 'x-lower:no space', 'X-Trail: spaces at the end   ', 'Date: Sat, 21 Nov 2026 03:24:00 +0000',
    'Message-ID: <1@x.test>', 'Bcc: carol@ours.test', 'Return-Path: <ann@x.test>', 'Content-Length: 5', 'Content-Type: text/plain; charset=utf-8', 'Content-Transfer-Encoding: 8bit', '',
    'Grüße', '.', '..two', '.dot', '', ('z'):rep(990), 'trailing space ', '\ttab\t', '', '',
  }, '\r\n')
  local big = small .. ('QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0\r\n'):rep(42 * 1024 * 1024 // 78)
  t.run { 'openssl', 'genrsa', '-out', t.dir() .. '/dkim.pem', '2048' }
  for name, bytes in pairs { small = small, big = big } do
    local file = t.write(name .. '.eml', bytes)
    local st, signed = t.run({ 'opendkim-testmsg', '-d', 'x.test', '-s', 'sel', '-k', t.dir() .. '/dkim.pem' }, { input = file })
    t.eq(st, 0, signed:sub(1, 300))
    -- opendkim-testmsg prints LF; the wire has CRLF.
    signed = signed:gsub('\r?\n', '\r\n')
    t.match(signed, '^DKIM%-Signature:')
    local before = #sink:messages()
    local r, why = postfix.send(mta.port, 'ann@x.test', 'bob@ours.test', signed:gsub('\r\n$', ''), 120000)
    t.ok(r, why)
    t.wait_for('the message at the sink', function()
      return #sink:messages() > before
    end, 120000)
    local got = sink:messages()[before + 1].data
    t.ok(got:sub(-#signed) == signed, name .. ': the same bytes')
    local added = got:sub(1, #got - #signed)
    t.match(added, '^X%-KumoRef: .-\r\nReceived: .-\r\n$')
  end
end)

t.test('local submission: taken into custody, and waits while the milter is down', function()
  local sink = t.smtp_sink {}
  local milter = t.milter { policy = policy(sink) }
  local mta = postfix.start(milter, { 'non_smtpd_milters=' .. milter.socket, 'milter_default_action=tempfail' })
  local function submit(to)
    t.write('local.eml', 'Subject: cron\n\nfrom this machine\n')
    local status, out = t.run({ 'sendmail', '-C', mta.dir .. '/etc', '-f', 'root@ours.test', to },
      { input = t.dir() .. '/local.eml' })
    t.eq(status, 0, out)
  end
  submit 'bob@ours.test'
  t.wait_for('custody', function()
    return #milter:sql "SELECT 1 FROM recipient WHERE address = 'bob@ours.test'" == 1
  end, 30000)
  milter:kill()
  submit 'carol@ours.test'
  milter = t.milter { policy_file = t.dir() .. '/policy.lua' }
  t.run { 'postqueue', '-c', mta.dir .. '/etc', '-f' }
  t.run { 'postfix', '-c', mta.dir .. '/etc', 'flush' }
  t.wait_for('custody once the milter is back', function()
    return #milter:sql "SELECT 1 FROM recipient WHERE address = 'carol@ours.test'" >= 1
  end, 90000)
end)

t.test('a backup MX that feeds our own milter does not loop', function()
  local milter = t.milter { policy = policy() }
  local mta = postfix.start(milter)
  local dns = t.dns { ['ours.test'] = { MX = { { 10, 'me.test' } } }, ['me.test'] = { A = { '127.0.0.1' } } }
  t.write('router.lua', ([[
local kumo = require 'kumo'
kumo.on('init', function() %s end)
kumo.on('get_egress_path_config', function()
  return kumo.make_egress_path { prohibited_hosts = {}, smtp_port = %d }
end)]]):format(t.local_logs(), mta.port))
  local router = t.router { policy_file = t.dir() .. '/router.lua', dns = dns, args = { '--feeds', '127.0.0.1:' .. mta.port } }
  t.eq((mta:swaks('-f', 'ann@x.test', '-t', 'bob@ours.test')), 0)
  local r = t.log(router, 'Bounce', { recipient = 'bob@ours.test' })
  t.eq(r.response.enhanced_code, { class = 5, subject = 4, detail = 6 })
  t.eq(#router:records 'Reception', 1)
end)

t.test('smtp-source: 500 messages over 20 connections arrive once each', function()
  local sink = t.smtp_sink {}
  local milter = t.milter { policy = policy(sink) }
  local router = t.router {}
  local mta = postfix.start(milter)
  local p = t.spawn { 'smtp-source', '-4', '-N', '-s', '20', '-m', '500', '-l', '4096', '-f', 'ann@x.test',
    '-t', 'u@ours.test', '127.0.0.1:' .. mta.port }
  t.eq(p:wait(120000), 0, p:output())
  t.wait_for('all of them', function()
    return #sink:messages() >= 500
  end, 60000)
  local seen = {}
  for _, m in ipairs(sink:messages()) do
    seen[m.to[1]] = (seen[m.to[1]] or 0) + 1
  end
  local n = 0
  for to, times in pairs(seen) do
    t.eq(times, 1, to)
    n = n + 1
  end
  t.eq(n, 500)
end)

-- Lines from a session until the last one of a reply.
local function whole_reply(stream, line)
  stream:write(line .. '\r\n')
  local out = {}
  repeat
    out[#out + 1] = stream:line(t.sys.now_ms() + 60000)
  until not out[#out] or out[#out]:sub(4, 4) ~= '-'
  return out
end

t.test('case 66: what the policy is told and says is what Postfix says to the client', function()
  local milter = t.milter {
    policy = ([[
local kumo = require 'kumo'
kumo.on('init', function()
  kumo.start_esmtp_listener {
    listen = '0.0.0.0:25', relay_hosts = {}, max_message_size = 100000000, hostname = 'policy.test', allow_xclient = true }
  %s
end)
kumo.on('smtp_server_ehlo', function(domain, c, extensions) c:set_meta('x_offered', table.concat(extensions, ' | ')) end)
kumo.on('smtp_server_mail_from', function(s, c)
  if s.user == 'offered' then kumo.log_info('offered: ' .. c:get_meta 'x_offered') end
end)
kumo.on('smtp_server_rcpt_to', function(r, c)
  if r.user == 'percent' then kumo.reject(550, '5.7.1 100%% sure, 5%%s') end
  if r.user == 'lines' then kumo.reject(451, '4.7.1 one\ntwo') end
  if r.user == 'from' then kumo.reject(550, '5.7.1 ' .. c:get_meta 'received_from') end
end)
kumo.on('get_listener_domain', function() return kumo.make_listener_domain { relay_to = true } end)
kumo.on('smtp_server_rewrite_response', function(status, text, command)
  if command:find 'rewritten@' then return 554, 'other words' end
end)
]]):format(t.local_logs()),
  }
  local mta = postfix.start(milter, {
    'smtpd_authorized_xclient_hosts=127.0.0.1', 'message_size_limit=100000000', 'disable_vrfy_command=no' })
  local stream = t.sched.stream(t.sys.tcp_connect('127.0.0.1', mta.port))
  stream:line(t.sys.now_ms() + 60000)
  local said = {}
  for i, line in ipairs(whole_reply(stream, 'EHLO client.test')) do
    if i > 1 then
      said[#said + 1] = line:sub(5)
    end
  end
  whole_reply(stream, 'MAIL FROM:<offered@x.test>')
  t.eq(milter:line 'offered: ([^\n]*)', table.concat(said, ' | '))
  t.eq(whole_reply(stream, 'RCPT TO:<percent@ours.test>'), { '550 5.7.1 100% sure, 5%s' })
  t.eq(whole_reply(stream, 'RCPT TO:<lines@ours.test>'), { '451-4.7.1 one', '451 4.7.1 two' })
  milter:line "the policy's hostname is policy%.test, the MTA greets as [%w.-]+:"

  -- XCLIENT: for us the old connection ends and another one comes.
  t.match(whole_reply(stream, 'RSET')[1], '^250')
  t.match(whole_reply(stream, 'XCLIENT NAME=[UNAVAILABLE] ADDR=198.51.100.77 PORT=4711')[1], '^220')
  t.match(whole_reply(stream, 'EHLO other.test')[1], '^250')
  t.match(whole_reply(stream, 'MAIL FROM:<a@x.test>')[1], '^250')
  t.eq(whole_reply(stream, 'RCPT TO:<from@ours.test>'), { '550 5.7.1 198.51.100.77:4711' })
end)
