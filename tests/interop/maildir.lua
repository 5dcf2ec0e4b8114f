-- Maildirs in the hands of others: the kernel says in which order they are written,
-- and says no; Dovecot and mutt read them.
local t = require 'harness'
local sys = t.sys

local function policy(more)
  return ([[
local kumo = require 'kumo'
kumo.on('init', function() %s end)
kumo.on('get_queue_config', function()
  return kumo.make_queue_config { protocol = { maildir_path = '%s/m/{{ local_part }}', %s } }
end)]]):format(t.local_logs(), t.dir(), more or '')
end

-- Follows all threads of the router until the test ends.
local function strace(router, ...)
  local p = t.spawn { 'strace', '-f', '-q', '-y', '-s', '16', '-p', tostring(router.pid), '-o', t.dir() .. '/trace', ... }
  t.wait_for('strace to hold all threads', function()
    for _, tid in ipairs(sys.list('/proc/' .. router.pid .. '/task') or {}) do
      if not (t.read('/proc/' .. router.pid .. '/task/' .. tid .. '/status') or ''):match 'TracerPid:%s+[1-9]' then
        return false
      end
    end
    return true
  end)
  return p
end

local function files(user, sub)
  return sys.list(t.dir() .. '/m/' .. user .. '/' .. sub) or {}
end

t.test('case 147: a message is complete and synced before it has a name in new/, and its row goes after that', function()
  local router = t.router { policy = policy() }
  local tracer = strace(router, '-e', 'trace=mkdir,openat,write,fsync,link,unlink,rename,pwrite64')
  router:enqueue { to = 'u@d.example' }
  t.log(router, 'Delivery', { code = 200 })
  t.none(router, 'SELECT count(*) FROM message')
  tracer:signal(2)
  tracer:wait()
  local steps, at = {}, nil
  local dir = t.dir():gsub('%p', '%%%0') .. '/m/u'
  for line in t.read(t.dir() .. '/trace'):gmatch '[^\n]+' do
    line = line:gsub('^%d+%s+', '')
    local call = line:match '^(%w+)%('
    if line:find(t.dir() .. '/m', 1, true) or line:find('^fsync%(%d+<' .. t.dir():gsub('%p', '%%%0') .. '>') then
      local what = call == 'link' and 'link'
        or line:find(dir .. '/tmp/') and call .. ' tmp/file'
        or line:match(dir .. '/(%a+)[">]') and call .. ' ' .. line:match(dir .. '/(%a+)[">]')
        or call .. ' above'
      if call == 'link' then
        t.match(line, '"' .. dir .. '/tmp/[^"]+", "' .. dir .. '/new/[^"]+"')
      end
      if call ~= 'openat' or what == 'openat tmp/file' then
        steps[#steps + 1] = what
      end
      at = #steps
    elseif call == 'pwrite64' and line:find('queue.db', 1, true) and steps[at or 0] == 'unlink tmp/file' then
      -- Before that it may have noted the attempt.
      steps[at + 1] = 'the queue'
    end
  end
  t.eq(steps, {
    -- Each directory is in its parent for good before anything is in it.
    'mkdir above', 'fsync above', 'mkdir above', 'fsync above', 'mkdir cur', 'fsync above', 'mkdir tmp', 'fsync above',
    'mkdir new', 'fsync above',
    'openat tmp/file', 'write tmp/file', 'fsync tmp/file', 'link', 'fsync new', 'unlink tmp/file', 'the queue',
  })
end)

for what, inject in pairs {
  ['a full disk, told when the file is synced'] = { 'fsync', 'ENOSPC', 'No space left' },
  ['a quota that is used up, told when the file gets its name'] = { 'link', 'EDQUOT', 'quota exceeded' },
  ['a disk that fails'] = { 'fsync', 'EIO', 'Input/output error' },
} do
  t.test('case 149: ' .. what .. ' is a temporary failure and leaves nothing behind', function()
    local router = t.router { policy = policy() }
    -- So that no directory has to be made and synced.
    router:enqueue { to = 'u@d.example' }
    t.log(router, 'Delivery')
    t.none(router, 'SELECT count(*) FROM message')
    local tracer = strace(router, '-e', 'trace=' .. inject[1], '-e', ('inject=%s:error=%s:when=1'):format(inject[1], inject[2]))
    router:enqueue { to = 'u@d.example' }
    local r = t.log(router, 'TransientFailure', { code = 400 })
    t.has(r.response.content:lower(), inject[3]:lower())
    t.eq({ #files('u', 'new'), #files('u', 'tmp') }, { 1, 0 })
    t.wait_for('the row', function()
      return router:sql('SELECT state FROM recipient')[1][1] == 0
    end)
    t.rows(router:sql 'SELECT attempts FROM recipient', { { 0 } })
    tracer:signal(2)
    tracer:wait()
    router:advance(100)
    t.wait_for('the second delivery', function()
      return #router:records 'Delivery' == 2
    end)
    t.eq(#files('u', 'new'), 2)
  end)
end

-- Delivered, both with the fields in front and as it came.
local function delivered(more)
  local router = t.router { policy = policy(more) }
  router:enqueue {
    to = 'u@d.example', data = 'From: ann@sender.test\r\nSubject: to be read\r\nMessage-ID: <1@sender.test>\r\n\r\nHello.\r\n.dot\r\n',
  }
  t.log(router, 'Delivery')
  return t.dir() .. '/m/u'
end

for name, more in pairs {
  ['as it came'] = '', ['with fields in front and the line ends of Unix'] = "return_path = true, delivered_to = true, line_endings = 'LF'",
} do
  local front = more ~= '' and { 'ann@sender.test', 'u@d.example' } or {}

  t.test('case 147: Dovecot reads what was delivered ' .. name, function()
    local maildir = delivered(more)
    local _, user = t.run { 'id', '-un' }
    user = user:gsub('%s', '')
    if user == 'root' then -- Dovecot reads nothing as root
      user = 'nobody'
      t.run { 'chmod', '711', t.dir() }
      t.run { 'chown', '-R', user, t.dir() .. '/m' }
    end
    t.write('dovecot.conf', ([[
base_dir = %s/run
log_path = %s/dovecot.log
first_valid_uid = 0
first_valid_gid = 0
ssl = no
mail_uid = %s
mail_location = maildir:%s
]]):format(t.dir(), t.dir(), user, maildir))
    local status, out = t.run({
      'doveadm', '-f', 'pager', '-c', t.dir() .. '/dovecot.conf', 'fetch', 'hdr.return-path hdr.delivered-to hdr.subject size.physical body', 'all',
    }, { env = { USER = user, HOME = t.dir() } })
    t.eq(status, 0, out)
    t.match(out, 'hdr.return%-path: ' .. (front[1] and '<ann@sender%.test>' or '') .. '\n')
    t.match(out, 'hdr.delivered%-to: ' .. (front[2] and 'u@d%.example' or '') .. '\n')
    t.has(out, 'hdr.subject: to be read\n')
    t.match(out:gsub('\r', ''), 'body:%s+Hello%.\n%.dot\n')
    local stored = files('u', 'cur')[1] or files('u', 'new')[1]
    t.has(out, 'size.physical: ' .. t.sys.stat(maildir .. '/' .. (#files('u', 'cur') > 0 and 'cur/' or 'new/') .. stored).size .. '\n')
    t.lacks(t.read(t.dir() .. '/dovecot.log') or '', 'Error')
  end)

  t.test('case 147: mutt reads what was delivered ' .. name, function()
    local maildir = delivered(more)
    t.write('muttrc', ([[
set folder=%s
set quit=yes
set wait_key=no
set pipe_decode=no
push "<pipe-entry>cat >%s/piped<enter><quit>"
]]):format(t.dir(), t.dir()))
    -- It wants a terminal; script(1) has one.
    local status, out = t.run({
      'script', '-qec', ('mutt -n -F %s/muttrc -f %s'):format(t.dir(), maildir), '/dev/null',
    }, { env = { HOME = t.dir(), TERM = 'xterm' }, input = '/dev/null' })
    t.eq(status, 0, out)
    t.has(out, '[Msgs:1 New:1')
    t.has(out, 'to be read')
    local want = (front[1] and 'Return-Path: <ann@sender.test>\nDelivered-To: u@d.example\n' or '')
      .. 'From: ann@sender.test\nSubject: to be read\nMessage-ID: <1@sender.test>\n\nHello.\n.dot\n'
    t.eq((t.read(t.dir() .. '/piped'):gsub('\r', '')), want)
  end)
end
