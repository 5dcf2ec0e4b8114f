-- A real Postfix elsewhere bounces what we have sent, and the bounce comes back
-- through a real Postfix and the milter.
local t = require 'harness'
local postfix = require 'postfix'

local function policy(remote_port)
  return ([[
local kumo = require 'kumo'
kumo.on('init', function()
  kumo.start_esmtp_listener {
    listen = '0.0.0.0:25', relay_hosts = {}, trace_headers = { include_meta_names = { 'tenant' } },
  }
  %s
end)
kumo.on('get_listener_domain', function(domain)
  if domain == 'receiver.test' then return kumo.make_listener_domain { relay_to = true } end
  if domain == 'bounces.test' then return kumo.make_listener_domain { log_oob = 'LogThenDrop' } end
end)
kumo.on('smtp_server_message_received', function(msg)
  local report = msg:parse_rfc3464()
  if report then
    print('original: ' .. report.original_message)
  else
    msg:set_meta('tenant', 'news')
  end
end)
kumo.on('get_queue_config', function()
  return kumo.make_queue_config { protocol = { smtp = { mx_list = { { name = 'receiver.test', addr = '127.0.0.1:%d' } } } } }
end)
kumo.on('get_egress_path_config', function()
  return kumo.make_egress_path { prohibited_hosts = {}, enable_tls = 'Disabled' }
end)
]]):format(t.local_logs(), remote_port)
end

t.test('case 83: a bounce of a real Postfix names whom we wrote to', function()
  -- The other side is asked for its port first: the policy names it.
  local port = postfix.free_port()
  local milter = t.milter { policy = policy(port) }
  local router = t.router {}
  local ours = postfix.start(milter)
  local theirs = postfix.start(nil, {
    'myhostname=mx.receiver.test', 'mydestination=receiver.test', 'local_transport=local', 'mailbox_size_limit=0',
    ('transport_maps=inline:{bounces.test=smtp:[127.0.0.1]:%d}'):format(ours.port),
  }, { name = 'theirs', port = port })
  local status, out = ours:swaks('-f', 'news-4711@bounces.test', '-t', 'nobody-here@receiver.test')
  t.eq(status, 0, out)
  t.log(router, 'Delivery', { recipient = 'nobody-here@receiver.test' }, 60000)
  local ok, oob = pcall(t.log, milter, 'OOB', nil, 60000)
  t.ok(ok, tostring(oob) .. '\n' .. theirs:log())
  t.eq(oob.recipient, 'nobody-here@receiver.test')
  t.eq(oob.sender, 'news-4711@bounces.test')
  t.eq(oob.queue, 'bounces.test')
  t.eq(oob.peer_address, { name = 'mx.receiver.test', addr = '127.0.0.1' })
  t.eq(oob.response.code, 550)
  t.eq(oob.response.enhanced_code, { class = 5, subject = 1, detail = 1 })
  -- Our trace header came back with it.
  t.match(milter:output(), 'X%-KumoRef: ')
  -- Accepted, so nothing is left over there, and nothing here either.
  t.wait_for('the end of the bounce', function()
    return theirs:log():match 'from=<>.-status=sent %(250' or theirs:log():match 'status=sent %(250.*removed'
  end, 20000)
  t.none(milter, 'SELECT count(*) FROM message')
  t.eq(milter:ask('status').oob_reports, 1)
end)
