-- A real Sendmail takes, or refuses, what the router sends.
local t = require 'harness'
local postfix = require 'postfix'

local TOOL = TOP_SRCDIR .. '/contrib/private-sendmail'
local ROOT = TOP_BUILDDIR .. '/tests/sendmail'

local function must(...)
  local status, out = t.run({ TOOL, ... }, { timeout = 120000 })
  t.eq(status, 0, table.concat({ ... }, ' ') .. ': ' .. out)
end

local function sendmail(certificate)
  local self = { dir = t.dir() .. '/sendmail', port = postfix.free_port() }
  must('unpack', ROOT)
  must('make', ROOT, self.dir, tostring(self.port), certificate.cert, certificate.key)
  local process = t.spawn { TOOL, 'run', ROOT, self.dir }
  t.wait_for('Sendmail', function()
    if not process:running() then
      t.fail('Sendmail ended: ' .. process:output())
    end
    local fd = t.sys.tcp_connect('127.0.0.1', self.port)
    if fd then
      t.sys.close(fd)
    end
    return fd
  end, 60000)
  -- What it has taken: the lines of its control files.
  function self.queued()
    local out = {}
    for _, name in ipairs(t.sys.list(self.dir .. '/queue') or {}) do
      if name:match '^qf' then
        out[#out + 1] = {
          control = t.read(self.dir .. '/queue/' .. name) or '',
          body = t.read(self.dir .. '/queue/' .. name:gsub('^qf', 'df')) or '',
        }
      end
    end
    return out
  end
  return self
end

local function policy(port, mode)
  return ([[
local kumo = require 'kumo'
kumo.on('init', function()
  kumo.start_esmtp_listener { listen = '0.0.0.0:25', relay_hosts = { '0.0.0.0/0' }, hostname = 'mx.example.com' }
  %s
end)
kumo.on('get_queue_config', function()
  return kumo.make_queue_config {
    protocol = { smtp = { mx_list = { { name = 'mx.receiver.test', addr = '127.0.0.1:%d' } } } },
    retry_interval = '1 day', max_retry_interval = '1 day',
  }
end)
kumo.on('get_egress_path_config', function()
  return kumo.make_egress_path { prohibited_hosts = {}, enable_tls = '%s', connection_limit = 2 }
end)]]):format(t.local_logs(), port, mode)
end

local function send(milter, o)
  local mta = milter:connect { ip = '192.0.2.7', helo = 'client.test' }
  t.eq(mta:mail(table.unpack(o.mail)), 'continue')
  for _, rcpt in ipairs(o.rcpt) do
    t.eq(mta:rcpt(table.unpack(rcpt)), 'continue')
  end
  t.eq(mta:message(o.data or t.plain), 'discard')
end

t.test('a real Sendmail takes 8-bit mail with its DSN parameters, in verified TLS', function()
  local ca = t.certificate 'DNS:ca.test'
  local server = sendmail(t.certificate('DNS:mx.receiver.test', ca))
  local text = policy(server.port, 'Required')
  local milter, router = t.milter { policy = text }, t.router { policy = text, ca_file = ca.cert }
  send(milter, {
    mail = { '<ann@sender.test>', 'BODY=8BITMIME', 'RET=HDRS', 'ENVID=QQ+2B314' },
    rcpt = { { '<bob@receiver.test>', 'NOTIFY=SUCCESS,DELAY', 'ORCPT=rfc822;list+2Bx@first.test' } },
    data = 'Subject: J\xc3\xb6rg\r\n\r\nJ\xc3\xb6rg\r\n.\r\n..dots\r\n',
  })
  local r = t.log(router, 'Delivery', { recipient = 'bob@receiver.test' }, 60000)
  t.ok(r.tls_cipher, 'in TLS')
  t.match(r.response.content, 'Message accepted for delivery')
  local taken = server.queued()
  t.eq(#taken, 1)
  t.eq(taken[1].body:gsub('\r', ''), 'J\xc3\xb6rg\n.\n..dots\n')
  t.has(taken[1].control, '\nZQQ+2B314\n')
  t.match(taken[1].control, '\nQ[Rr][Ff][Cc]822; ?list%+2?B?x@first.test\n')
  -- P: primary, S and D: of success and delay; F is not among them.
  local flags = taken[1].control:match '\nR(%u+):<bob@receiver.test>'
  t.ok(flags, taken[1].control)
  t.ok(flags:find 'S' and flags:find 'D' and not flags:find 'F', flags)
  t.none(router, 'SELECT count(*) FROM recipient')
end)

t.test('a real Sendmail refuses recipients one by one: each gets its own outcome, the others their mail', function()
  local server = sendmail(t.certificate 'DNS:mx.receiver.test')
  local router = t.router { policy = policy(server.port, 'OpportunisticInsecure') }
  local function to(...)
    local list = { ... }
    for i, name in ipairs(list) do
      list[i] = name .. '@receiver.test'
    end
    router:enqueue { to = list }
  end
  to('hard.1', 'good.1', 'soft.1', 'good.2', 'hard.2')
  -- All are refused: no content is sent, and the connection is of use to the next.
  to('hard.3', 'soft.2')
  to 'good.3'
  local outcomes = {}
  t.wait_for('eight outcomes', function()
    outcomes = {}
    local n = 0
    for _, r in ipairs(router:records()) do
      for _, to in ipairs(type(r.recipient) == 'table' and r.recipient or { r.recipient }) do
        n = n + 1
        outcomes[to:match '^[^@]*'] = ('%s %d'):format(r.type, r.response.code)
      end
    end
    return n == 8
  end, 60000)
  t.eq(outcomes, {
    ['hard.1'] = 'Bounce 550', ['hard.2'] = 'Bounce 550', ['hard.3'] = 'Bounce 550',
    ['soft.1'] = 'TransientFailure 451', ['soft.2'] = 'TransientFailure 451',
    ['good.1'] = 'Delivery 250', ['good.2'] = 'Delivery 250', ['good.3'] = 'Delivery 250',
  })
  local taken = {}
  for _, m in ipairs(server.queued()) do
    for to in m.control:gmatch '\nR%u*:<([^@]*)@' do
      taken[#taken + 1] = to
    end
  end
  table.sort(taken)
  t.eq(taken, { 'good.1', 'good.2', 'good.3' })
  t.none(router, 'SELECT count(*) <> 2 FROM recipient')
  t.rows(router:sql 'SELECT address, attempts FROM recipient ORDER BY address',
    { { 'soft.1@receiver.test', 1 }, { 'soft.2@receiver.test', 1 } })
end)

t.test('two hundred messages go through a real Sendmail, each once', function()
  local server = sendmail(t.certificate 'DNS:mx.receiver.test')
  local router = t.router { policy = policy(server.port, 'OpportunisticInsecure'), quiet = true }
  router:enqueue { to = 'bob@receiver.test', count = 200 }
  t.wait_for('200 deliveries', function()
    return #router:records 'Delivery' == 200
  end, 90000)
  t.eq(#router:records(), 200)
  t.eq(#server.queued(), 200)
  t.none(router, 'SELECT count(*) FROM recipient')
end)
