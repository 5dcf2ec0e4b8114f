-- A private Postfix for a story, and an SMTP client that keeps a ledger.
local t = require 'harness'
local sys, sched = t.sys, t.sched
local postfix = {}

local TOOL = TOP_SRCDIR .. '/contrib/private-postfix'

local function must(...)
  local status, out = t.run({ ... }, { timeout = 60000 })
  if status ~= 0 then
    error(table.concat({ ... }, ' ') .. ': ' .. out, 0)
  end
  return (out:gsub('%s+$', ''))
end

function postfix.free_port()
  return tonumber(must(TOOL, 'port'))
end

-- milter: a daemon of t.milter, or nil.  settings: more lines for main.cf.
-- o: name (of a second one), port.
function postfix.start(milter, settings, o)
  o = o or {}
  local self = { dir = t.dir() .. '/' .. (o.name or 'postfix'), port = o.port or postfix.free_port() }
  local path = milter and milter.socket:match '^unix:(.*)' or ''
  must(TOOL, 'make', self.dir, tostring(self.port), path, table.unpack(settings or {}))
  t.at_end(function()
    os.execute("'" .. TOOL .. "' stop '" .. self.dir .. "' >/dev/null 2>&1")
  end)
  must(TOOL, 'start', self.dir)
  return setmetatable(self, { __index = postfix })
end

function postfix:stop()
  must(TOOL, 'stop', self.dir)
end

function postfix:log()
  return t.read(self.dir .. '/log/maillog') or ''
end

-- What swaks prints; args: more options.
function postfix:swaks(...)
  return t.run({ 'swaks', '--server', '127.0.0.1:' .. self.port, '--helo', 'client.test', '--hide-all',
    '--timeout', '60', ... }, { timeout = 120000 })
end

-- ---- a client ----

local function reply(stream, deadline)
  while true do
    local line = stream:line(deadline)
    if not line then
      return nil
    elseif line:sub(4, 4) ~= '-' then
      return line
    end
  end
end

-- One message in a connection of its own.  The reply after the final dot, or nil
-- and how far it came.
function postfix.send(port, from, to, data, ms)
  local fd = sys.tcp_connect('127.0.0.1', port)
  if not fd then
    return nil, 'connect'
  end
  local stream = sched.stream(fd)
  local deadline = sys.now_ms() + (ms or 60000)
  local function step(line, what)
    if line and not stream:write(line .. '\r\n', deadline) then
      return nil, what
    end
    local r = reply(stream, deadline)
    if not r or not r:match '^[23]' then
      return nil, what .. ' ' .. tostring(r)
    end
    return r
  end
  local function talk()
    local ok, why = step(nil, 'banner')
    if not ok then
      return nil, why
    end
    for _, s in ipairs {
      { 'EHLO client.test', 'EHLO' }, { 'MAIL FROM:<' .. from .. '>', 'MAIL' },
      { 'RCPT TO:<' .. to .. '>', 'RCPT' }, { 'DATA', 'DATA' },
    } do
      ok, why = step(s[1], s[2])
      if not ok then
        return nil, why
      end
    end
    return step(data:gsub('\r\n%.', '\r\n..') .. '\r\n.', 'dot')
  end
  local ok, why = talk()
  stream:close()
  return ok, why
end

-- A connection, step by step: session:say(LINE) is the last line of the reply, nil
-- when there is none.  client: the address that Postfix is to take us for (it
-- trusts 127.0.0.1 with XCLIENT where smtpd_authorized_xclient_hosts says so).
local session = {}
session.__index = session

function postfix.session(port, client)
  local self = setmetatable({ stream = sched.stream(sys.tcp_connect('127.0.0.1', port)) }, session)
  t.match(self:say(), '^220')
  if client then
    t.match(self:say 'EHLO client.test', '^250')
    t.match(self:say('XCLIENT NAME=[UNAVAILABLE] ADDR=' .. client), '^220')
  end
  t.match(self:say 'EHLO client.test', '^250')
  return self
end

function session:say(line)
  if line and not self.stream:write(line .. '\r\n', sys.now_ms() + 60000) then
    return nil
  end
  return reply(self.stream, sys.now_ms() + 60000)
end

-- DATA and the content; the reply to the final dot, or to DATA.
function session:data(text)
  local r = self:say 'DATA'
  if not r or not r:match '^354' then
    return r
  end
  return self:say(text:gsub('\r\n%.', '\r\n..') .. '\r\n.')
end

function session:close()
  self.stream:close()
end

-- Children of Postfix's master with this name.
function postfix:pids(name)
  local _, out = t.run { 'ps', '-eo', 'pid=,ppid=,comm=' }
  local master = (t.read(self.dir .. '/queue/pid/master.pid') or ''):match '%d+'
  local pids = {}
  for pid, ppid, comm in out:gmatch '(%d+)%s+(%d+)%s+(%S+)' do
    if ppid == master and comm == name then
      pids[#pids + 1] = tonumber(pid)
    end
  end
  return pids
end

return postfix
