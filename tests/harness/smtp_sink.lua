-- An SMTP (or LMTP) server that does what the story says and remembers what it
-- saw.
--
--   local sink = smtp_sink.new { rcpt = { '450 4.2.0 later', '250 ok' } }
--   sink.address, sink.port;  sink:messages() -> { {from=, to={}, data=, ...} }
--
-- For each of connect, ehlo, mail, rcpt, data, dot, rset, quit, starttls, auth: a reply, a
-- list of replies used one after the other (the last one stays), or a function
-- (line, session) -> reply.  Instead of a reply: 'drop', 'reset', 'stall',
-- 'half-close' (of TLS, then silence), 'garbage', or text with \n for several lines.
local sys = require 'sys'
local sched = require 'sched'
local sink = {}
sink.__index = sink

local DEFAULTS = {
  connect = '220 sink.test ESMTP', mail = '250 2.1.0 ok', rcpt = '250 2.1.5 ok',
  data = '354 go ahead', dot = '250 2.0.0 taken', rset = '250 2.0.0 ok', quit = '221 2.0.0 bye',
  starttls = '220 2.0.0 go', auth = '235 2.7.0 welcome', helo = '250 sink.test', noop = '250 ok',
}

local function choose(self, what, line, session)
  local rule = self.o[what]
  if rule == nil then
    rule = DEFAULTS[what]
  end
  if type(rule) == 'function' then
    return rule(line, session) or DEFAULTS[what]
  elseif type(rule) == 'table' then
    local n = (self.used[what] or 0) + 1
    self.used[what] = n
    return rule[math.min(n, #rule)]
  end
  return rule
end

local function say(session, reply)
  if reply == 'drop' then
    session.stream:close()
  elseif reply == 'reset' then
    session.stream:reset()
  elseif reply == 'stall' or reply == 'half-close' then
    if reply == 'half-close' then
      assert(session.stream.tls:close_notify())
      session.ended_tls, session.stream.tls = session.stream.tls, nil -- bytes as they come from now on
    end
    while not session.stream.eof and session.stream:fill() do
    end
    session.stream:close()
  elseif reply == 'garbage' then
    session.stream:write('\0\255 this is not SMTP\r\n')
  else
    local lines = {}
    for line in (reply .. '\n'):gmatch '(.-)\n' do
      lines[#lines + 1] = line
    end
    for i = 1, #lines - 1 do
      lines[i] = lines[i]:gsub('^(%d%d%d) ', '%1-')
    end
    session.stream:write(table.concat(lines, '\r\n') .. '\r\n')
  end
  return session.stream.fd ~= nil
end

local function ehlo_reply(self, session)
  local lines = { 'sink.test' }
  local has = self.o.extensions
    or { 'PIPELINING', '8BITMIME', 'SMTPUTF8', 'SIZE 104857600', 'ENHANCEDSTATUSCODES', 'DSN' }
  for _, extension in ipairs(has) do
    lines[#lines + 1] = extension
  end
  if self.o.cert and not session.stream.tls then
    lines[#lines + 1] = 'STARTTLS'
  end
  for i, line in ipairs(lines) do
    lines[i] = '250' .. (i < #lines and '-' or ' ') .. line
  end
  return table.concat(lines, '\r\n')
end

local function read_data(session)
  local lines = {}
  while true do
    local line = session.stream:line()
    if not line then
      return nil
    elseif line == '.' then
      return table.concat(lines, '\r\n') .. (#lines > 0 and '\r\n' or '')
    end
    lines[#lines + 1] = line:gsub('^%.', '', 1)
  end
end

local function start_tls(self, session)
  session.tls = session.stream:start_tls(self.o.cert, self.o.key, sys.now_ms() + 10000, self.o.client_ca)
  session.tls_facts = session.tls and session.stream.tls:facts()
  return session.tls
end

local verbs = {}

function verbs.EHLO(self, session, line)
  session.helo = line:match '^%S+%s+(.*)'
  if self.o.ehlo then
    return say(session, choose(self, 'ehlo', line, session))
  end
  return session.stream:write(ehlo_reply(self, session) .. '\r\n')
end
verbs.LHLO = verbs.EHLO

function verbs.HELO(self, session, line)
  session.helo = line:match '^%S+%s+(.*)'
  return say(session, choose(self, 'helo', line, session))
end

function verbs.STARTTLS(self, session, line)
  local reply = choose(self, 'starttls', line, session)
  if not say(session, reply) or reply:sub(1, 3) ~= '220' then
    return session.stream.fd ~= nil
  end
  return start_tls(self, session)
end

local function unbase64(text)
  local map, out, bits, n = {}, {}, 0, 0
  for i = 0, 63 do
    map[('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'):sub(i + 1, i + 1)] = i
  end
  for c in text:gmatch '[%w+/]' do
    bits, n = bits << 6 | map[c], n + 6
    if n >= 8 then
      n = n - 8
      out[#out + 1] = string.char(bits >> n & 255)
    end
  end
  return table.concat(out)
end

-- session.auth: what the client said it is, "\0user\0password".
function verbs.AUTH(self, session, line)
  local mechanism, initial = line:match '^%a+ (%S+)%s*(.*)$'
  if mechanism == 'LOGIN' then
    say(session, '334 VXNlcm5hbWU6')
    local user = session.stream:line()
    say(session, '334 UGFzc3dvcmQ6')
    local password = session.stream:line()
    session.auth = '\0' .. unbase64(user or '') .. '\0' .. unbase64(password or '')
  else
    session.auth = unbase64(initial)
  end
  return say(session, choose(self, 'auth', session.auth, session))
end

function verbs.MAIL(self, session, line)
  local reply = choose(self, 'mail', line, session)
  if reply:sub(1, 1) == '2' then
    session.from, session.mail_args = line:match '^[Mm][Aa][Ii][Ll] [Ff][Rr][Oo][Mm]:<(.-)>%s*(.*)$'
    session.to, session.rcpt_args = {}, {}
  end
  return say(session, reply)
end

function verbs.RCPT(self, session, line)
  local reply = choose(self, 'rcpt', line, session)
  if reply:sub(1, 1) == '2' and session.to then
    local address, args = line:match '^%S+ %S-:<(.-)>%s*(.*)$'
    table.insert(session.to, address)
    table.insert(session.rcpt_args, args)
  end
  return say(session, reply)
end

function verbs.DATA(self, session, line)
  if not session.to or #session.to == 0 then
    return say(session, '503 5.5.1 no valid recipients')
  end
  local reply = choose(self, 'data', line, session)
  if not say(session, reply) or reply:sub(1, 3) ~= '354' then
    return session.stream.fd ~= nil
  end
  if self.o.cut_data then -- drop in the middle of the content
    session.stream:read(self.o.cut_data)
    session.stream:close()
    return false
  end
  local data = read_data(session)
  if not data then
    return false
  end
  local message = {
    from = session.from, to = session.to, data = data, helo = session.helo,
    mail_args = session.mail_args, rcpt_args = session.rcpt_args, peer = session.peer,
    peer_port = session.peer_port, session = session.number, tls = session.tls,
  }
  local count = self.o.lmtp and #session.to or 1
  for _ = 1, count do
    reply = choose(self, 'dot', data, session)
    if reply:sub(1, 1) == '2' and not message.kept then
      message.kept = true
      table.insert(self.kept, message)
    end
    if not say(session, reply) then
      return false
    end
  end
  session.from, session.to = nil, nil
  return true
end

function verbs.RSET(self, session, line)
  session.from, session.to = nil, nil
  return say(session, choose(self, 'rset', line, session))
end

function verbs.NOOP(self, session, line)
  return say(session, choose(self, 'noop', line, session))
end

function verbs.QUIT(self, session, line)
  say(session, choose(self, 'quit', line, session))
  return false
end

local function serve(self, session)
  if self.o.implicit_tls and not start_tls(self, session) then
    session.stream:close()
  elseif say(session, choose(self, 'connect', '', session)) then
    while true do
      local line = session.stream:line()
      if not line then
        break
      end
      table.insert(self.lines, line)
      table.insert(session.lines, line)
      local verb = verbs[(line:match '^%a+' or ''):upper()]
      if not verb then
        if not say(session, '500 5.5.2 what?') then
          break
        end
      elseif not verb(self, session, line) then
        break
      end
    end
  end
  self.open = self.open - 1
  session.closed = true
  session.stream:close()
end

-- o also: ip (127.0.0.1), port, extensions = {...}, cert =, key =, lmtp = true,
-- implicit_tls = true, client_ca = file, window = bytes of its receive buffers.
function sink.new(o)
  o = o or {}
  local self = setmetatable({
    o = o, used = {}, kept = {}, lines = {}, sessions = {}, open = 0, most_open = 0,
  }, sink)
  self.ip = o.ip or '127.0.0.1'
  self.fd, self.port = sys.tcp_listen(self.ip, o.port or 0, nil, o.window)
  self.address = self.ip .. ':' .. self.port
  self.task = sched.serve(self, function(stream, peer, peer_port)
    local session = {
      stream = stream, peer = peer, peer_port = peer_port, lines = {}, number = #self.sessions + 1,
    }
    table.insert(self.sessions, session)
    self.open = self.open + 1
    self.most_open = math.max(self.most_open, self.open)
    serve(self, session)
  end)
  return self
end

-- Messages that got a 2xx after the final dot.
function sink:messages()
  return self.kept
end

-- Nobody listens any more; open conversations are cut.
function sink:stop()
  sched.cancel(self.task)
  if self.fd then
    sys.close(self.fd)
    self.fd = nil
  end
  for _, session in ipairs(self.sessions) do
    session.stream:reset()
  end
end

return sink
