-- Many conversations in one thread.  Servers (the sink, the DNS stub) are
-- coroutines; whenever the story waits for something, they run.
local sys = require 'sys'
local sched = {}

local tasks = {} -- co -> { fd =, write =, deadline = }

-- Starts `fn` as a task.  An error in it ends the story that waits.
function sched.spawn(fn)
  local co = coroutine.create(fn)
  tasks[co] = { ready = true }
  return co
end

function sched.cancel(co)
  tasks[co] = nil
end

local failure

local function resume(co, ...)
  tasks[co] = nil
  local ok, wait = coroutine.resume(co, ...)
  if not ok then
    failure = failure or debug.traceback(co, tostring(wait))
  elseif coroutine.status(co) ~= 'dead' then
    tasks[co] = wait
  end
end

-- One round: waits at most `ms` for something to become ready, and runs it.
-- extra: {fd, write} that the caller itself waits for; true when it is ready.
local function round(ms, extra)
  local now = sys.now_ms()
  local list, owners = {}, {}
  for co, wait in pairs(tasks) do
    if wait.ready then
      ms = 0
    elseif wait.deadline and wait.deadline <= now then
      wait.expired, ms = true, 0
    elseif wait.deadline then
      ms = math.min(ms, wait.deadline - now)
    end
    if wait.fd then
      list[#list + 1], list[#list + 2] = wait.fd, wait.write or false
      owners[#owners + 1] = co
    end
  end
  if extra then
    list[#list + 1], list[#list + 2] = extra.fd, extra.write or false
  end
  local result = sys.poll(list, ms)
  local due = {}
  for i, co in ipairs(owners) do
    if result[i] then
      due[#due + 1] = { co, true }
    end
  end
  for co, wait in pairs(tasks) do
    if wait.ready or wait.expired then
      due[#due + 1] = { co, not wait.expired }
    end
  end
  local seen = {}
  for _, d in ipairs(due) do
    if tasks[d[1]] and not seen[d[1]] then
      seen[d[1]] = true
      resume(d[1], d[2])
    end
  end
  if failure then
    local text = failure
    failure = nil
    error('in a server of the harness: ' .. text, 0)
  end
  return extra and result[#owners + 1]
end

-- Waits until fd is ready; false at the deadline.  Usable in the story (the
-- main coroutine of Lua) and in tasks.
function sched.wait(fd, write, deadline)
  local co, is_main = coroutine.running()
  if not is_main and not sched.story[co] then
    return coroutine.yield { fd = fd, write = write, deadline = deadline }
  end
  while true do
    local left = deadline and deadline - sys.now_ms() or 1000
    if deadline and left < 0 then
      return false
    end
    if round(math.min(left, 1000), { fd = fd, write = write }) then
      return true
    end
  end
end

-- Lets servers run for up to `ms`.  In a task: comes back after `ms`.
function sched.pass(ms)
  local co, is_main = coroutine.running()
  if not is_main and not sched.story[co] then
    coroutine.yield { deadline = sys.now_ms() + ms }
    return
  end
  local deadline = sys.now_ms() + ms
  repeat
    round(math.max(0, math.min(20, deadline - sys.now_ms())))
  until sys.now_ms() >= deadline
end

sched.story = setmetatable({}, { __mode = 'k' })

function sched.reset()
  tasks, failure = {}, nil
end

-- A stream over a non-blocking descriptor: buffered reads, whole writes, TLS on
-- demand.
local stream = {}
stream.__index = stream

function sched.stream(fd)
  return setmetatable({ fd = fd, buffer = '' }, stream)
end

-- Reads something into the buffer; false at the end or the deadline.
function stream:fill(deadline)
  while true do
    local data, want
    if not self.fd then -- closed meanwhile, by another task
      self.eof = true
      return false
    end
    if self.tls then
      data, want = self.tls:read()
      if data == false then
        self.eof = true
        return false
      end
    else
      data = sys.recv(self.fd)
      if data == '' then
        self.eof = true
        return false
      end
    end
    if data then
      self.buffer = self.buffer .. data
      return true
    end
    if not sched.wait(self.fd, want == 'write', deadline) then
      return false, 'timeout'
    end
  end
end

function stream:read(n, deadline)
  while #self.buffer < n do
    local ok, why = self:fill(deadline)
    if not ok then
      return nil, why
    end
  end
  local data = self.buffer:sub(1, n)
  self.buffer = self.buffer:sub(n + 1)
  return data
end

-- A line without its end; nil at the end.
function stream:line(deadline)
  local from = 1
  while true do
    local at = self.buffer:find('\n', from, true)
    if at then
      local line = self.buffer:sub(1, at - 1):gsub('\r$', '')
      self.buffer = self.buffer:sub(at + 1)
      return line
    end
    from = #self.buffer + 1
    local ok, why = self:fill(deadline)
    if not ok then
      return nil, why
    end
  end
end

function stream:write(data, deadline)
  local from = 1
  while from <= #data do
    if self.tls then
      local piece = data:sub(from, from + 16383)
      local ok, want = self.tls:write(piece)
      if ok == false then
        return false
      elseif ok then
        from = from + #piece
      elseif not sched.wait(self.fd, want == 'write', deadline) then
        return false
      end
    else
      local n = sys.send(self.fd, data, from)
      if not n then
        return false
      end
      from = from + n
      if n == 0 and not sched.wait(self.fd, true, deadline) then
        return false
      end
    end
  end
  return true
end

function stream:start_tls(cert, key, deadline, client_ca)
  self.tls = sys.tls_accept(self.fd, cert, key, client_ca)
  self.buffer = ''
  while true do
    local ok, want = self.tls:handshake()
    if ok ~= nil then
      return ok
    end
    if not sched.wait(self.fd, want == 'write', deadline) then
      return false
    end
  end
end

-- A task that takes connections at listening.fd until that is nil, with a task
-- for each: conversation(stream, address of the peer, its port).
function sched.serve(listening, conversation)
  return sched.spawn(function()
    while listening.fd do
      local fd, peer, port = sys.accept(listening.fd)
      if fd then
        sched.spawn(function()
          conversation(sched.stream(fd), peer, port)
        end)
      else
        sched.wait(listening.fd, false)
      end
    end
  end)
end

function stream:close()
  if self.fd then
    sys.close(self.fd)
    self.fd = nil
  end
end

function stream:reset()
  if self.fd then
    sys.reset(self.fd)
    self.fd = nil
  end
end

return sched
