-- A bounce from end to end: our Postfix takes mail through the milter, the router
-- sends it to a real Postfix elsewhere, which bounces it later; the bounce comes back
-- through our Postfix and the milter, whoever runs the mailing hears of it at a
-- webhook, and the next mailing does not go there again.
local t = require 'harness'
local postfix = require 'postfix'
local web_server = require 'web_server'

local function policy(remote_port, web_port)
  return ([[
local kumo = require 'kumo'
local log_hooks = require 'policy-extras.log_hooks'
require('penstock.suppression'):setup { rules = { { record = 'OOB', code = '5.1.1' } } }
kumo.on('init', function()
  kumo.start_esmtp_listener {
    listen = '0.0.0.0:25', relay_hosts = {}, trace_headers = { include_meta_names = { 'mailing' } },
  }
  %s
end)
kumo.on('get_listener_domain', function(domain)
  if domain == 'receiver.test' then return kumo.make_listener_domain { relay_to = true } end
  if domain == 'bounces.test' then return kumo.make_listener_domain { log_oob = 'LogThenDrop' } end
end)
kumo.on('smtp_server_message_received', function(msg)
  if not msg:parse_rfc3464() then
    msg:set_meta('mailing', msg:get_first_named_header_value 'X-Mailing')
  end
end)
log_hooks:new_json {
  name = 'crm', url = 'http://127.0.0.1:%d/records', log_parameters = { headers = { 'Subject' } },
  filter = function(message) return message:get_meta 'log_record'.type == 'OOB' end,
}
kumo.on('get_queue_config', function(domain)
  if domain:find '%%.log_hook$' then return end
  return kumo.make_queue_config { protocol = { smtp = { mx_list = { { name = 'receiver.test', addr = '127.0.0.1:%d' } } } } }
end)
kumo.on('get_egress_path_config', function()
  return kumo.make_egress_path { prohibited_hosts = {}, enable_tls = 'Disabled' }
end)
]]):format(t.local_logs(), web_port, remote_port)
end

t.test('the webhook hears of a bounce that a real Postfix made of our mail, with whom we wrote to, and the address is suppressed', function()
  t.write('code', '200')
  local _, web_port = web_server.start()
  -- The other side is asked for its port first: the policy names it.
  local port = postfix.free_port()
  local milter = t.milter { policy = policy(port, web_port) }
  local router = t.router {}
  local ours = postfix.start(milter)
  local theirs = postfix.start(nil, {
    'myhostname=mx.receiver.test', 'mydestination=receiver.test', 'local_transport=local', 'mailbox_size_limit=0',
    ('transport_maps=inline:{bounces.test=smtp:[127.0.0.1]:%d}'):format(ours.port),
  }, { name = 'theirs', port = port })
  local status, out = ours:swaks('-f', 'news-4711@bounces.test', '-t', 'nobody-here@receiver.test',
    '--header', 'X-Mailing: autumn')
  t.eq(status, 0, out)
  -- They took it: the bounce is a message of its own, later.
  local delivery = t.log(router, 'Delivery', { recipient = 'nobody-here@receiver.test' }, 60000)
  t.eq(delivery.response.code, 250)
  local ok, why = pcall(t.wait_for, 'the post', function()
    return #web_server.posted() >= 1
  end, 60000)
  t.ok(ok, tostring(why) .. '\n' .. theirs:log())

  local oob = t.json(web_server.posted()[1]:match '^200 application/json (.*)$')
  t.eq(oob.type, 'OOB')
  t.eq(oob.sender, 'news-4711@bounces.test')
  t.eq(oob.recipient, 'nobody-here@receiver.test')
  t.eq(oob.response.code, 550)
  t.eq(oob.response.enhanced_code, { class = 5, subject = 1, detail = 1 })
  t.eq(oob.peer_address.name, 'mx.receiver.test')
  t.match(oob.headers.Subject, '^Undelivered Mail')

  -- An operator sees the whole story, in order: sent, taken, come back.
  status, out = t.penstock('logs', '--type', 'Reception,Delivery,OOB')
  t.eq(status, 0, out)
  local story = {}
  for line in out:gmatch '[^\n]+' do
    local kind, from, to = line:match '^%S+ %S+ (%a+) %x+ <(.-)> <(.-)>'
    if from then
      story[#story + 1] = kind .. ' ' .. from .. ' ' .. to
    end
  end
  t.eq(table.concat(story, '\n', 1, 4), table.concat({
    'Reception news-4711@bounces.test nobody-here@receiver.test',
    'Delivery news-4711@bounces.test nobody-here@receiver.test',
    'Reception  news-4711@bounces.test',
    'OOB news-4711@bounces.test nobody-here@receiver.test',
  }, '\n'))
  -- Posted once, and nothing is left anywhere.
  t.none(router, 'SELECT count(*) FROM recipient')
  t.eq(#web_server.posted(), 1)

  -- The next mailing does not go there again, others do.
  status, out = ours:swaks('-f', 'news-4712@bounces.test', '-t', 'nobody-here@receiver.test')
  t.ok(status ~= 0, out)
  local refused = t.log(milter, 'Rejection', { code = 550 })
  t.eq(refused.sender, 'news-4712@bounces.test')
  t.has(refused.response.content, 'suppressed since')
  status, out = ours:swaks('-f', 'news-4712@bounces.test', '-t', 'root@receiver.test')
  t.eq(status, 0, out)
  t.log(router, 'Delivery', { recipient = 'root@receiver.test' }, 60000)
end)
