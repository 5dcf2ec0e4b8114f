-- Dovecot's LMTP server takes what the router sends, over TCP and a unix socket.
local t = require 'harness'

-- A private Dovecot: one service, no privileges, users without passwords.
local function dovecot()
  local dir = t.dir() .. '/dovecot'
  local status, port = t.run { TOP_SRCDIR .. '/contrib/private-postfix', 'port' }
  t.eq(status, 0, port)
  port = tonumber((port:gsub('%s', '')))
  for _, d in ipairs { '', '/run', '/state', '/mail' } do
    t.sys.mkdir(dir .. d, tonumber('755', 8))
  end
  local function ask(...)
    local _, out = t.run { ... }
    return (out:gsub('%s', ''))
  end
  local user, group = ask('id', '-un'), ask('id', '-gn')
  local uid, gid = ask('id', '-u'), ask('id', '-g')
  if uid == '0' then -- Dovecot stores nothing as root
    uid, gid = ask('id', '-u', 'nobody'), ask('id', '-g', 'nobody')
    t.run { 'chmod', '711', t.dir() }
    t.run { 'chown', '-R', uid .. ':' .. gid, dir .. '/mail' }
  end
  t.write('dovecot/users', ('known:{PLAIN}x:%s:%s::%s/mail/known::\n'):format(uid, gid, dir))
  t.write('dovecot/dovecot.conf', ([[
base_dir = %s/run
state_dir = %s/state
log_path = %s/log
protocols = lmtp
listen = 127.0.0.1
ssl = no
default_internal_user = %s
default_internal_group = %s
default_login_user = %s
first_valid_uid = 0
first_valid_gid = 0
mail_location = maildir:~/Maildir
lmtp_save_to_detail_mailbox = no
service anvil {
  chroot =
}
service lmtp {
  chroot =
  unix_listener lmtp {
    mode = 0666
  }
  inet_listener lmtp {
    address = 127.0.0.1
    port = %d
  }
}
passdb {
  driver = passwd-file
  args = username_format=%%n %s/users
}
userdb {
  driver = passwd-file
  args = username_format=%%n %s/users
}
]]):format(dir, dir, dir, user, group, user, port, dir, dir))
  local p = t.spawn { 'dovecot', '-F', '-c', dir .. '/dovecot.conf' }
  p.on_stop = function()
    t.run { 'dovecot', '-c', dir .. '/dovecot.conf', 'stop' }
  end
  t.wait_for('Dovecot', function()
    if not p:running() then
      t.fail('dovecot ended: ' .. p:output() .. (t.read(dir .. '/log') or ''))
    end
    local fd = t.sys.tcp_connect('127.0.0.1', port)
    if fd then
      t.sys.close(fd)
    end
    return fd
  end)
  return { dir = dir, port = port, socket = dir .. '/run/lmtp' }
end

local function policy(list)
  return ([[
local kumo = require 'kumo'
kumo.on('init', function() %s end)
kumo.on('get_queue_config', function()
  return kumo.make_queue_config { protocol = { smtp = { mx_list = { %s } } } }
end)
kumo.on('get_egress_path_config', function()
  return kumo.make_egress_path { prohibited_hosts = {}, use_lmtp = true, enable_tls = 'Disabled' }
end)]]):format(t.local_logs(), list)
end

for what, list in pairs {
  ['over TCP'] = function(d)
    return ("{ name = 'dovecot', addr = '127.0.0.1:%d' }"):format(d.port)
  end,
  ['over its unix socket'] = function(d)
    return ("'%s'"):format(d.socket)
  end,
} do
  t.test('case 146: Dovecot ' .. what .. ' stores for the known and refuses the unknown', function()
    local d = dovecot()
    local router = t.router { policy = policy(list(d)) }
    local data = 'Subject: to dovecot\r\n\r\n.\r\n..x\r\nend\r\n'
    router:enqueue { to = { 'known@example.com', 'nobody@example.com' }, data = data }
    local r = t.log(router, 'Delivery', { recipient = 'known@example.com', code = 250 })
    t.eq(r.delivery_protocol, 'LMTP')
    t.log(router, 'Bounce', { recipient = 'nobody@example.com', code = 550 })
    local names = t.sys.list(d.dir .. '/mail/known/Maildir/new')
    t.eq(#names, 1)
    t.has(t.read(d.dir .. '/mail/known/Maildir/new/' .. names[1]):gsub('\r\n', '\n'), '\n\n.\n..x\nend\n')
    -- A second message goes over the connection that is open.
    router:enqueue { to = 'known@example.com', data = data }
    t.wait_for('the second', function()
      return #router:records 'Delivery' == 2
    end)
    t.eq(#t.sys.list(d.dir .. '/mail/known/Maildir/new'), 2)
    t.eq(router:records('Delivery')[2].session_id, r.session_id)
  end)
end
