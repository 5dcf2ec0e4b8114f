-- miltertest drives the milter; smtp-sink takes, or spoils, what the router sends.
local t = require 'harness'

t.test('miltertest: refused at RCPT, taken at end of message', function()
  local milter = t.milter { policy = t.accept_policy() }
  t.write('script.lua', ([[
conn = mt.connect('%s')
if conn == nil then error 'no connection' end
mt.conninfo(conn, 'client.test', '192.0.2.7')
if mt.getreply(conn) ~= SMFIR_CONTINUE then error 'connect' end
mt.macro(conn, SMFIC_HELO, 'x', 'y')
mt.helo(conn, 'client.test')
if mt.getreply(conn) ~= SMFIR_CONTINUE then error 'helo' end
mt.mailfrom(conn, '<ann@sender.test>')
if mt.getreply(conn) ~= SMFIR_CONTINUE then error 'mail' end
mt.rcptto(conn, '<eve@elsewhere.test>')
if mt.getreply(conn) ~= SMFIR_REPLYCODE then error 'an outsider domain was not refused' end
mt.rcptto(conn, '<bob@example.com>')
if mt.getreply(conn) ~= SMFIR_CONTINUE then error 'rcpt' end
mt.data(conn)
mt.header(conn, 'Subject', 'from miltertest')
mt.eoh(conn)
mt.bodystring(conn, 'one line\r\n')
mt.eom(conn)
if mt.getreply(conn) ~= SMFIR_DISCARD then error 'end of message: not discarded' end
mt.disconnect(conn)
mt.echo 'all as expected'
]]):format(milter.socket))
  local status, out = t.run { 'miltertest', '-s', t.dir() .. '/script.lua' }
  t.eq(status, 0, out)
  t.has(out, 'all as expected')
  t.rows(milter:sql 'SELECT address FROM recipient', { { 'bob@example.com' } })
end)

-- smtp-sink with these options; the address it listens on.
local function sink(...)
  local status, port = t.run { TOP_SRCDIR .. '/contrib/private-postfix', 'port' }
  t.eq(status, 0, port)
  local address = '127.0.0.1:' .. port:gsub('%s', '')
  local argv = { 'smtp-sink', '-u', 'nobody', ... }
  argv[#argv + 1], argv[#argv + 2] = address, '100'
  t.spawn(argv)
  t.wait_for('smtp-sink', function()
    local fd = t.sys.tcp_connect('127.0.0.1', tonumber(address:match ':(%d+)'))
    if fd then
      t.sys.close(fd)
    end
    return fd
  end)
  return address
end

t.test('smtp-sink takes 200 messages from a named source address', function()
  local dir = t.dir() .. '/got'
  t.sys.mkdir(dir, tonumber('777', 8))
  t.run { 'chmod', '777', dir }
  local address = sink('-d', dir .. '/%M.')
  local router = t.router { policy = t.smart_host(address, { source = "source_address = '127.0.0.2'" }) }
  router:enqueue { to = 'bob@example.com', count = 200 }
  t.wait_for('200 deliveries', function()
    return #router:records 'Delivery' == 200
  end, 30000)
  local n, from = 0, {}
  for _, name in ipairs(t.sys.list(dir)) do
    local text = t.read(dir .. '/' .. name)
    for client in text:gmatch 'X%-Client%-Addr: (%S+)' do
      n = n + 1
      from[client] = true
    end
  end
  t.eq(n, 200)
  t.eq(from, { ['127.0.0.2'] = true })
end)

-- flag, command, the record, its code (nil: any).  -q: hangs up, -Q: 421 and hangs
-- up, -r: 4yz, -f: 5yz.
local FAULTS = {
  { '-r', 'RCPT', 'TransientFailure', 450 }, { '-f', 'RCPT', 'Bounce', 500 }, { '-r', 'MAIL', 'TransientFailure', 450 },
  { '-f', 'MAIL', 'Bounce', 500 }, { '-r', 'DATA', 'TransientFailure', 450 }, { '-f', 'DATA', 'Bounce', 500 },
  { '-r', '.', 'TransientFailure', 450 }, { '-f', '.', 'Bounce', 500 },
  { '-r', 'CONNECT', 'TransientFailure', 400 }, { '-f', 'CONNECT', 'TransientFailure', 400 },
}
for _, command in ipairs { 'CONNECT', 'EHLO', 'MAIL', 'RCPT', 'DATA', '.' } do
  FAULTS[#FAULTS + 1] = { '-q', command, 'TransientFailure' }
  FAULTS[#FAULTS + 1] = { '-Q', command, 'TransientFailure' }
end
for _, fault in ipairs(FAULTS) do
  t.test(('smtp-sink %s %s is a %s'):format(fault[1], fault[2], fault[3]), function()
    local router = t.router { policy = t.smart_host(sink(fault[1], fault[2])) }
    router:enqueue { to = 'bob@example.com' }
    t.log(router, fault[3], { recipient = 'bob@example.com', code = fault[4] })
    t.wait_for('the row', function()
      local rows = router:sql 'SELECT attempts FROM recipient'
      return #rows == (fault[3] == 'Bounce' and 0 or 1) and (rows[1] == nil or rows[1][1] == 1)
    end)
    t.eq(#router:records 'Delivery', 0)
  end)
end
