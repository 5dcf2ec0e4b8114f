-- Processes of a story: the milter, the router, the command, and anything else.
local sys = require 'sys'
local sched = require 'sched'
local milter_client = require 'milter_client'
local daemons = {}

local SIGKILL, SIGTERM, SIGUSR1, SIGCONT = 9, 15, 10, 18

-- A program of ours: PENSTOCK_BIN=DIR wins over the build tree.
function daemons.program(name)
  local bin = os.getenv 'PENSTOCK_BIN'
  if name == 'enqueue' or name == 'sink' then
    return TOP_BUILDDIR .. '/tests/tools/' .. name
  end
  return (bin and bin ~= '' and bin or TOP_BUILDDIR) .. '/' .. name
end

local function read_file(path)
  local f = io.open(path, 'rb')
  if not f then
    return nil
  end
  local text = f:read 'a'
  f:close()
  return text
end
daemons.read_file = read_file

function daemons.write_file(path, text)
  local f = assert(io.open(path, 'wb'))
  f:write(text)
  f:close()
  return path
end

-- ---- any process ----

local process = {}
process.__index = process

function process:running()
  if self.status == nil then
    self.status = sys.wait(self.pid)
  end
  return self.status == nil
end

function process:signal(n)
  return self:running() and sys.kill(self.pid, n)
end

-- Waits for the end; the exit status, -N for signal N; nil at the deadline.
function process:wait(ms)
  local deadline = sys.now_ms() + (ms or 20000)
  while self:running() do
    if sys.now_ms() > deadline then
      return nil
    end
    sched.pass(10)
  end
  return self.status
end

function process:kill()
  self:signal(SIGKILL)
  return self:wait()
end

function process:stop(ms)
  self:signal(SIGTERM)
  return self:wait(ms or 30000)
end

function process:output()
  return read_file(self.out) or ''
end

-- argv: table; o: env, cwd, input.  ctx: the story (scratch directory, cleanup).
function daemons.spawn(ctx, argv, o)
  o = o or {}
  ctx.count = ctx.count + 1
  local name = argv[1]:match '[^/]+$'
  local out = ('%s/%02d-%s.log'):format(ctx.dir, ctx.count, name)
  daemons.write_file(out, '')
  local env = {}
  for k, v in pairs(ctx.env) do
    env[k] = v
  end
  for k, v in pairs(o.env or {}) do
    env[k] = v
  end
  if o.umask then
    argv = { 'sh', '-c', 'umask ' .. o.umask .. '; exec "$@"', 'sh', table.unpack(argv) }
  end
  local pid = sys.spawn(argv, { env = env, cwd = o.cwd, out = out, input = o.input })
  local p = setmetatable({ pid = pid, out = out, name = name }, process)
  table.insert(ctx.processes, p)
  return p
end

-- Runs a command to its end: exit status, output.
function daemons.run(ctx, argv, o)
  local p = daemons.spawn(ctx, argv, o)
  local status = p:wait(o and o.timeout or 60000)
  if status == nil then
    p:kill()
  end
  return status, p:output()
end

local function wait_for(what, ms, fn)
  local deadline = sys.now_ms() + ms
  while true do
    local result = fn()
    if result then
      return result
    end
    if sys.now_ms() > deadline then
      error('waited ' .. ms .. ' ms for ' .. what, 0)
    end
    sched.pass(10)
  end
end
daemons.wait_for = wait_for

-- One line to a control socket, the JSON text that comes back; nil when nobody
-- answers.
function daemons.ask(path, request)
  local fd = sys.unix_connect(path)
  if not fd then
    return nil
  end
  local stream = sched.stream(fd)
  stream:write(request .. '\n')
  local line = stream:line(sys.now_ms() + 10000)
  stream:close()
  return line
end

-- A minimal reader of JSON, for records and status.
local function json(text)
  local at = 1
  local value
  local function space()
    at = text:find('[^ \t\r\n]', at) or #text + 1
  end
  local function string_()
    local out = {}
    at = at + 1
    while true do
      local stop = text:find('["\\]', at) or error 'JSON: unfinished string'
      out[#out + 1] = text:sub(at, stop - 1)
      if text:sub(stop, stop) == '"' then
        at = stop + 1
        return table.concat(out)
      end
      local c = text:sub(stop + 1, stop + 1)
      at = stop + 2
      if c == 'u' then
        out[#out + 1] = utf8.char(tonumber(text:sub(at, at + 3), 16))
        at = at + 4
      else
        out[#out + 1] = ({ n = '\n', t = '\t', r = '\r', b = '\b', f = '\f' })[c] or c
      end
    end
  end
  function value()
    space()
    local c = text:sub(at, at)
    if c == '{' then
      local t = {}
      at = at + 1
      space()
      while text:sub(at, at) ~= '}' do
        space()
        local key = string_()
        space()
        at = at + 1
        t[key] = value()
        space()
        if text:sub(at, at) == ',' then
          at = at + 1
        end
      end
      at = at + 1
      return t
    elseif c == '[' then
      local t = {}
      at = at + 1
      space()
      while text:sub(at, at) ~= ']' do
        t[#t + 1] = value()
        space()
        if text:sub(at, at) == ',' then
          at = at + 1
        end
        space()
      end
      at = at + 1
      return t
    elseif c == '"' then
      return string_()
    end
    local word = text:match('^[%w.+-]+', at) or error('JSON: ' .. text:sub(at, at + 20))
    at = at + #word
    if word == 'true' then
      return true
    elseif word == 'false' then
      return false
    elseif word == 'null' then
      return nil
    end
    return math.tointeger(tonumber(word)) or tonumber(word)
  end
  return value()
end
daemons.json = json

-- ---- log records ----

-- All records below dir, oldest segment first.
function daemons.records(dir)
  local names = sys.list(dir) or {}
  table.sort(names)
  local out = {}
  for _, name in ipairs(names) do
    local path = dir .. '/' .. name
    local st = sys.stat(path)
    if st and st.type == 'file' and name:match '^%d%d%d%d%d%d%d%d%-' then
      local bytes = read_file(path)
      local text = bytes:sub(1, 4) == '\x28\xb5\x2f\xfd' and sys.unzstd(bytes) or bytes
      for line in text:gmatch '([^\n]*)\n' do
        out[#out + 1] = json(line)
      end
    end
  end
  return out
end

-- ---- the daemons ----

local daemon = setmetatable({}, { __index = process })
daemon.__index = daemon

local function extend(p, fields)
  for k, v in pairs(fields) do
    p[k] = v
  end
  return setmetatable(p, daemon)
end

function daemon:ask(request)
  local line = daemons.ask(self.control, request)
  return line and json(line)
end

function daemon:reload()
  return self:ask 'reload'
end

function daemon:sql(text)
  return sys.sql(self.ctx.queue, text)
end

function daemon:records(kind)
  local out = {}
  for _, r in ipairs(daemons.records(self.ctx.logs)) do
    if not kind or r.type == kind then
      out[#out + 1] = r
    end
  end
  return out
end

-- Waits for a line of the daemon's own log.
function daemon:line(pattern, ms)
  return wait_for('the line ' .. pattern .. ' of ' .. self.name, ms or 60000, function()
    return self:output():match(pattern)
  end)
end

-- Every policy of a story gets a log directory and test-friendly listeners.
local function policy_file(ctx, o)
  if o.policy_file then
    return o.policy_file
  end
  local path = ctx.dir .. '/policy.lua'
  if o.policy then
    daemons.write_file(path, o.policy)
  end
  return path
end
daemons.policy_file = policy_file

-- o: policy (text) or policy_file, env, args, name ('m': of its sockets, for a
-- second one).  Ready when it listens.
function daemons.milter(ctx, o)
  o = o or {}
  local name = ctx.dir .. '/' .. (o.name or 'm')
  local socket, control = name .. '.sock', name .. 'c.sock'
  local argv = {
    daemons.program 'penstock-milter', '--foreground', '--policy', policy_file(ctx, o),
    '--queue', ctx.queue, '--socket', 'unix:' .. socket, '--socket-mode', '0666',
    '--control', control, '--spill-dir', ctx.dir, o.quiet and '--foreground' or '--verbose',
  }
  for _, a in ipairs(o.args or {}) do
    argv[#argv + 1] = a
  end
  os.remove(socket)
  os.remove(control)
  local p = extend(daemons.spawn(ctx, argv, o), { ctx = ctx, socket = 'unix:' .. socket, control = control })
  if o.expect_failure then
    return p
  end
  wait_for('the milter to listen', 30000, function()
    if not p:running() then
      error('the milter ended (' .. p.status .. '):\n' .. p:output(), 0)
    end
    -- The socket is there before the queue is open; the control socket after.
    return daemons.ask(control, 'status')
  end)
  return p
end

function daemon:connect(o)
  return milter_client.connect(self.socket, o)
end

-- o: policy or policy_file, dns (a stub), ca_file, feeds, args, env, umask (text).
function daemons.router(ctx, o)
  o = o or {}
  local control = ctx.dir .. '/r.sock'
  local argv = {
    daemons.program 'penstock-router', '--foreground', '--policy', policy_file(ctx, o),
    '--queue', ctx.queue, '--control', control, o.quiet and '--foreground' or '--verbose',
    '--resolver', o.dns and o.dns.address or '127.0.0.1@9',
  }
  if o.ca_file then
    argv[#argv + 1], argv[#argv + 2] = '--ca-file', o.ca_file
  end
  for _, a in ipairs(o.args or {}) do
    argv[#argv + 1] = a
  end
  local p = extend(daemons.spawn(ctx, argv, o), { ctx = ctx, control = control })
  if o.expect_failure then
    return p
  end
  wait_for('the router to be ready', 30000, function()
    if not p:running() then
      error('the router ended (' .. p.status .. '):\n' .. p:output(), 0)
    end
    return daemons.ask(control, 'status')
  end)
  return p
end

-- Puts messages into the queue directly.  o: to (text or list), from, file or
-- data, count, meta = {k = v}, due_in.
function daemon:enqueue(o)
  local argv = { daemons.program 'enqueue', '--queue', self.ctx.queue, '--from', o.from or 'ann@sender.test' }
  local to = type(o.to) == 'table' and o.to or { o.to }
  for _, address in ipairs(to) do
    argv[#argv + 1], argv[#argv + 2] = '--to', address
  end
  local file = o.file
  if not file then
    self.ctx.count = self.ctx.count + 1
    file = self.ctx.dir .. '/enqueue-' .. self.ctx.count .. '.eml'
    daemons.write_file(file, o.data or 'Subject: hello\r\n\r\nHello.\r\n')
  end
  argv[#argv + 1], argv[#argv + 2] = '--file', file
  for _, name in ipairs { 'count', 'due_in', 'domain_spread' } do
    if o[name] then
      argv[#argv + 1], argv[#argv + 2] = '--' .. name:gsub('_', '-'), tostring(o[name])
    end
  end
  for k, v in pairs(o.meta or {}) do
    argv[#argv + 1], argv[#argv + 2] = '--meta', k .. '=' .. v
  end
  local status, out = daemons.run(self.ctx, argv)
  if status ~= 0 then
    error('enqueue: ' .. out, 0)
  end
end

-- Makes time pass in both daemons ("20 mins", or seconds), at once.
function daemons.advance(ctx, by)
  local seconds = by
  if type(by) == 'string' then
    local n, unit = by:match '^(%d+)%s*(%a+)'
    unit = unit:gsub('s$', '')
    seconds = tonumber(n)
      * ({ [''] = 1, sec = 1, second = 1, min = 60, minute = 60, h = 3600, hour = 3600, day = 86400 })[unit]
  end
  ctx.clock = ctx.clock + math.floor(seconds * 1000)
  local f = assert(io.open(ctx.clock_file, 'r+b'))
  f:write(string.pack('<i8', ctx.clock))
  f:close()
  for _, p in ipairs(ctx.processes) do
    if p.control and p:running() and p.name == 'penstock-router' then
      p:ask 'tick'
    end
  end
end

function daemon:advance(by)
  daemons.advance(self.ctx, by)
end

-- penstock COMMAND...: exit status, output
function daemons.penstock(ctx, ...)
  return daemons.run(ctx, {
    daemons.program 'penstock', '--queue', ctx.queue, '--policy', ctx.dir .. '/policy.lua',
    '--control', ctx.dir .. '/r.sock', '--milter-control', ctx.dir .. '/mc.sock', ...,
  })
end

function daemons.context()
  local dir = sys.mkdtemp()
  local ctx = {
    dir = dir, queue = dir .. '/queue.db', logs = dir .. '/logs', processes = {}, count = 0, clock = 0,
    clock_file = dir .. '/clock',
  }
  daemons.write_file(ctx.clock_file, string.pack('<i8', 0))
  ctx.env = { PENSTOCK_CLOCK = ctx.clock_file }
  return ctx
end

-- A daemon that is killed says nothing about its leaks.
local function ends_by_itself(p)
  if not sys.is_sanitized or not p.control then
    return false
  end
  sys.kill(p.pid, SIGCONT)
  sys.kill(p.pid, SIGTERM)
  return p:wait(5000) ~= nil
end

-- Ends everything that the story started; removes its directory unless `keep`.
-- What a sanitizer said of any process is an error.
function daemons.cleanup(ctx, keep)
  local report
  for i = #ctx.processes, 1, -1 do
    local p = ctx.processes[i]
    if p:running() then
      if p.on_stop then
        p.on_stop()
      elseif not ends_by_itself(p) then
        sys.kill(p.pid, SIGKILL)
      end
    end
  end
  for _, p in ipairs(ctx.processes) do
    p:wait(10000)
    local text = sys.is_sanitized and p:output()
    local at = text and (text:find('%u%l+Sanitizer:') or text:find(': runtime error: ', 1, true))
    report = report or at and p.name .. ':\n' .. text:sub(at, at + 6000)
  end
  for _, fn in ipairs(ctx.at_end or {}) do
    fn()
  end
  if not keep then
    os.execute("rm -rf '" .. ctx.dir .. "'")
  end
  if report then
    error(report, 0)
  end
end

daemons.SIGKILL, daemons.SIGTERM, daemons.SIGUSR1 = SIGKILL, SIGTERM, SIGUSR1
return daemons
