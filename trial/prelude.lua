-- prelude.lua: what test scripts see as `require 'penstock.test'`
--
-- Called with the functions of trial/rehearsal_core.c; returns the table for scripts and
-- the tests that they declare.  penstock-test(5) is the manual.
local core, script = ...

local t = {}
local tests = {}
local running = false
local file_options = {}

-- ---- failing ----

local Failure = {}

-- Where in the script it happened: the innermost line of the script itself.
local function where()
  local innermost, outermost
  for level = 2, 200 do
    local info = debug.getinfo(level, 'Sl')
    if not info then
      break
    end
    if info.source == '@' .. script and info.currentline > 0 then
      outermost = ('%s:%d'):format(script, info.currentline)
      innermost = innermost or outermost
    end
  end
  if innermost and innermost ~= outermost then
    return ('%s, called from %s'):format(innermost, outermost)
  end
  return innermost
end

local function fail(message, got, want)
  error(setmetatable({ message = message, got = got, want = want, at = where() }, Failure), 0)
end

local function usage(message)
  fail(message)
end

-- ---- values as text ----

local function sorted_keys(v)
  local keys = {}
  for k in pairs(v) do
    keys[#keys + 1] = k
  end
  table.sort(keys, function(a, b)
    if type(a) == type(b) and (type(a) == 'number' or type(a) == 'string') then
      return a < b
    end
    return type(a) == 'number' and type(b) ~= 'number'
  end)
  return keys
end

local function show(v, depth)
  depth = depth or 0
  if type(v) == 'string' then
    return (('%q'):format(v):gsub('\\\n', '\\n'):gsub('\r', '\\r'))
  end
  if type(v) ~= 'table' then
    return tostring(v)
  end
  local meta = getmetatable(v)
  if meta and meta.__tostring then
    return tostring(v)
  end
  if depth > 8 then
    return '{...}'
  end
  local parts, listed = {}, #v
  for i = 1, listed do
    parts[i] = show(v[i], depth + 1)
  end
  for _, k in ipairs(sorted_keys(v)) do
    if not (math.type(k) == 'integer' and k >= 1 and k <= listed) then
      local name = type(k) == 'string' and k:match '^[%a_][%w_]*$' or ('[%s]'):format(show(k, depth + 1))
      parts[#parts + 1] = ('%s = %s'):format(name, show(v[k], depth + 1))
    end
  end
  return #parts == 0 and '{}' or '{ ' .. table.concat(parts, ', ') .. ' }'
end

local function same(a, b)
  if type(a) ~= 'table' or type(b) ~= 'table' then
    return a == b
  end
  for k, v in pairs(a) do
    if not same(v, b[k]) then
      return false
    end
  end
  for k in pairs(b) do
    if a[k] == nil then
      return false
    end
  end
  return true
end

-- What of `want` is not in `got`; nil: nothing.
local function missing(got, want, path)
  if type(got) ~= 'table' or type(want) ~= 'table' then
    return got ~= want and (path == '' and 'the value' or path) or nil
  end
  for _, k in ipairs(sorted_keys(want)) do
    local name = path == '' and tostring(k) or path .. '.' .. tostring(k)
    local difference = missing(got[k], want[k], name)
    if difference then
      return difference
    end
  end
end

-- ---- expectations ----

function t.fail(message)
  fail(tostring(message))
end

function t.ok(value, what)
  if not value then
    fail(what or 'expected a true value', show(value), 'a true value')
  end
  return value
end

function t.eq(got, want, what)
  if not same(got, want) then
    fail(what or 'values differ', show(got), show(want))
  end
end

function t.ne(got, unwanted, what)
  if same(got, unwanted) then
    fail(what or 'values are equal', show(got), 'anything else')
  end
end

function t.match(text, pattern, what)
  if type(text) ~= 'string' or not text:find(pattern) then
    fail(what or 'no match', show(text), 'a match of ' .. show(pattern))
  end
end

function t.no_match(text, pattern, what)
  if type(text) ~= 'string' or text:find(pattern) then
    fail(what or 'unwanted match', show(text), 'a text without ' .. show(pattern))
  end
end

function t.has(got, want, what)
  local difference = missing(got, want, '')
  if difference then
    fail(('%s%s differs'):format(what and what .. ': ' or '', difference), show(got), show(want))
  end
end

function t.raises(fn, pattern)
  local ok, err = pcall(fn)
  if ok then
    fail('nothing was raised', 'no error', 'an error' .. (pattern and ' that matches ' .. show(pattern) or ''))
  end
  local text = getmetatable(err) == Failure and err.message or tostring(err)
  if pattern and not text:find(pattern) then
    fail('another error was raised', show(text), 'a match of ' .. show(pattern))
  end
  return text
end

function t.note(text)
  core.note(tostring(text))
end

-- ---- replies ----

local Reply = {}
Reply.__index = Reply

function Reply:__tostring()
  return self.line
end

local function is_reply(v)
  return getmetatable(v) == Reply
end

local function reply_of(raw)
  raw.accepted = raw.code >= 200 and raw.code < 400
  raw.by = raw.by_mta and 'mta' or 'penstock'
  raw.by_mta = nil
  raw.line = ('%d %s%s'):format(raw.code, raw.enhanced and raw.enhanced .. ' ' or '', raw.text)
  return setmetatable(raw, Reply)
end

-- '5', '550', '550 5.7.1', '550 5.7.1 relaying'
local function reply_matches(reply, want)
  local code, rest = want:match '^(%d+)%s*(.*)$'
  if not code then
    usage(('a reply is a code, an enhanced code and text, not %s'):format(show(want)))
  end
  if tostring(reply.code):sub(1, #code) ~= code or (#code ~= 1 and #code ~= 3) then
    return false
  end
  local enhanced, text = rest:match '^(%d%.%d+%.%d+)%s*(.*)$'
  if enhanced and reply.enhanced ~= enhanced then
    return false
  end
  text = enhanced and text or rest
  return reply.text:sub(1, #text) == text
end

function t.reply(reply, want, what)
  if not is_reply(reply) then
    usage('t.reply: the first argument is no reply: ' .. show(reply))
  end
  if not reply_matches(reply, tostring(want)) then
    fail(what or 'another reply was expected', show(reply.line), show(tostring(want)))
  end
  return reply
end

function t.accepted(reply, what)
  return t.reply(reply, '2', what)
end

function t.refused(reply, want, what)
  if not is_reply(reply) then
    usage('t.refused: the first argument is no reply: ' .. show(reply))
  end
  if reply.accepted then
    fail(what or 'it was accepted', show(reply.line), show(want or 'a refusal'))
  end
  return want and t.reply(reply, want, what) or reply
end

-- ---- messages ----

local function path_of(name)
  if name:sub(1, 1) == '/' then
    return name
  end
  return (script:match '^(.*)/[^/]*$' or '.') .. '/' .. name
end

local function read_file(name)
  local file, err = io.open(path_of(name), 'rb')
  if not file then
    usage(err)
  end
  local text = file:read 'a'
  file:close()
  return text
end

local MESSAGE_KEYS = { from = true, to = true, subject = true, headers = true, body = true, file = true }

local function check_keys(options, known, what)
  for k in pairs(options) do
    if not known[k] then
      usage(('%s: "%s" is not known here'):format(what, tostring(k)))
    end
  end
end

local function message_text(m)
  if m == nil then
    m = {}
  end
  if type(m) == 'string' then
    return m
  end
  if type(m) ~= 'table' then
    usage('a message is a text or a table, not ' .. show(m))
  end
  check_keys(m, MESSAGE_KEYS, 'message')
  if m.file then
    return read_file(m.file)
  end
  local lines = {}
  local function add(name, value)
    if value then
      lines[#lines + 1] = ('%s: %s\n'):format(name, value)
    end
  end
  add('From', m.from)
  add('To', type(m.to) == 'table' and table.concat(m.to, ', ') or m.to)
  add('Subject', m.subject)
  for i, field in ipairs(m.headers or {}) do
    if type(field) ~= 'table' or not field[1] then
      usage(("message: headers[%d]: expected { 'Name', 'value' }"):format(i))
    end
    add(field[1], field[2] or '')
  end
  return table.concat(lines) .. '\n' .. (m.body or 'A message of a test.\n')
end

-- ---- what was stored ----

local Batch = {}
Batch.__index = Batch

local function header_block(batch)
  return batch.data:match '^(.-\r\n)\r\n' or batch.data
end

-- All values of a field, unfolded.
function Batch:headers(name)
  local values = {}
  local block = header_block(self):gsub('\r\n([ \t])', '%1')
  for field, value in block:gmatch '([^\r\n:]+):[ \t]*([^\r\n]*)\r\n' do
    if field:lower() == name:lower() then
      values[#values + 1] = value
    end
  end
  return values
end

function Batch:header(name)
  return self:headers(name)[1]
end

function Batch:__tostring()
  return ('batch %s from <%s> to %s in %s'):format(self.id, self.sender, show(self.recipients), self.queue)
end

local function stored_from(first, last)
  local all = core.stored()
  local out = {}
  for i = first or 1, last or #all do
    local b = setmetatable(all[i], Batch)
    b.body = b.data:match '^.-\r\n\r\n(.*)$' or ''
    out[#out + 1] = b
  end
  return out
end

function t.stored()
  return stored_from()
end

function t.records(type_name)
  local out = {}
  for _, record in ipairs(core.records()) do
    if not type_name or record.type == type_name then
      out[#out + 1] = record
    end
  end
  return out
end

function t.log()
  return core.log()
end

-- ---- connections ----

local Connection = {}
Connection.__index = Connection

local CONNECT_KEYS = {
  ip = true, port = true, name = true, server = true, ehlo = true, auth = true, authz = true, tls = true,
  mta = true, macros = true, local_submission = true,
}
local TLS_DEFAULTS = { version = 'TLSv1.3', cipher = 'TLS_AES_256_GCM_SHA384' }

local function tls_facts(tls)
  if not tls then
    return nil
  end
  local out = {}
  for k, v in pairs(TLS_DEFAULTS) do
    out[k] = v
  end
  if type(tls) == 'table' then
    check_keys(tls, { version = true, cipher = true, subject = true, verify = true }, 'tls')
    for k, v in pairs(tls) do
      out[k] = v
    end
  elseif tls ~= true then
    usage('tls: expected true or a table, got ' .. show(tls))
  end
  return out
end

function t.connect(options)
  options = options or {}
  check_keys(options, CONNECT_KEYS, 't.connect')
  local mta = options.mta or 'Postfix'
  if mta ~= 'Postfix' and mta ~= 'Sendmail' then
    usage("mta: expected 'Postfix' or 'Sendmail', got " .. show(mta))
  end
  local macros = {}
  for name, value in pairs(options.macros or {}) do
    macros[#macros + 1] = name
    macros[#macros + 1] = tostring(value)
  end
  local ip = options.ip
  if ip == nil then
    ip = '192.0.2.1'
  end
  local c = setmetatable({
    from = 1,
    upto = 0,
    client = core.connect {
      ip = ip or nil,
      port = options.port or 40000,
      name = options.name,
      server = options.server,
      auth = options.auth,
      authz = options.authz,
      tls = tls_facts(options.tls),
      sendmail = mta == 'Sendmail',
      local_submission = options.local_submission and true or false,
      macros = macros,
    },
  }, Connection)
  c.greeting = reply_of(core.greeting(c.client))
  if options.ehlo then
    c:ehlo(options.ehlo)
  end
  return c
end

function Connection:ehlo(name)
  return reply_of(core.ehlo(self.client, name))
end

function Connection:mail(address, ...)
  return reply_of(core.mail(self.client, address, { ... }))
end

function Connection:rcpt(address, ...)
  return reply_of(core.rcpt(self.client, address, { ... }))
end

function Connection:message(message)
  local before = core.stored_count()
  local reply = reply_of(core.message(self.client, message_text(message)))
  self.from, self.upto = before + 1, core.stored_count()
  reply.ids = {}
  for i, b in ipairs(self:stored()) do
    reply.ids[i] = b.id
  end
  return reply
end

Connection.data = Connection.message

function Connection:rset()
  return reply_of(core.rset(self.client))
end

function Connection:quit()
  core.close(self.client)
  return reply_of { code = 221, enhanced = '2.0.0', text = 'bye', by_mta = true }
end

function Connection:auth(identity, authz)
  core.set_auth(self.client, identity, authz)
end

function Connection:starttls(tls)
  core.set_tls(self.client, tls_facts(tls == nil and true or tls) or {})
end

function Connection:meta(name)
  local meta = core.meta(self.client)
  if name then
    return meta[name]
  end
  return meta
end

function Connection:params()
  return core.params(self.client)
end

function Connection:domain(name)
  return core.domain(self.client, name)
end

function Connection:stored()
  return stored_from(self.from, self.upto)
end

function Connection:send(options)
  check_keys(options, { from = true, to = true, message = true }, 'send')
  local replies = {}
  local function add(reply)
    replies[#replies + 1] = reply
    return reply
  end
  if not add(self:mail(options.from or '')).accepted then
    return replies[1], replies
  end
  local recipients = type(options.to) == 'table' and options.to or { options.to }
  local refusal
  local accepted = false
  for _, address in ipairs(recipients) do
    local reply = add(self:rcpt(address))
    accepted = accepted or reply.accepted
    refusal = refusal or not reply.accepted and reply or nil
  end
  if not accepted then
    self:rset()
    return refusal or usage 'send: to: a recipient is needed', replies
  end
  return add(self:message(options.message)), replies
end

function t.send(options)
  local connect, send = {}, {}
  for k, v in pairs(options) do
    if k == 'from' or k == 'to' or k == 'message' then
      send[k] = v
    else
      connect[k] = v
    end
  end
  local c = t.connect(connect)
  if not c.greeting.accepted then
    return c.greeting, { c.greeting }, c
  end
  local reply, replies = c:send(send)
  return reply, replies, c
end

-- ---- routing ----

local Queue = {}

function Queue:__index(key)
  if Queue[key] then
    return Queue[key]
  end
  if key == 'config' or key == 'error' then
    local config, err = core.route('config', self.parts)
    if key == 'error' then
      return err
    end
    return config
  end
end

function t.queue(what)
  local parts
  if getmetatable(what) == Batch then
    what = what.queue
  end
  if type(what) == 'string' then
    parts = core.queue_parse(what)
  elseif type(what) == 'table' then
    check_keys(what, { domain = true, tenant = true, campaign = true, routing_domain = true }, 't.queue')
    parts = what
  end
  if not parts or not parts.domain or parts.domain == '' then
    usage('t.queue: expected a name, a table with domain, or a batch, got ' .. show(what))
  end
  return setmetatable({
    parts = parts,
    name = core.queue_compose(parts),
    domain = parts.domain,
    tenant = parts.tenant,
    campaign = parts.campaign,
    routing_domain = parts.routing_domain,
  }, Queue)
end

function Queue:__tostring()
  return 'queue ' .. self.name
end

function Queue:pool()
  return core.route('pool', self.parts)
end

function Queue:source(name)
  return core.route('source', self.parts, name)
end

function Queue:pick()
  return core.route('pick', self.parts)
end

function Queue:shares(n)
  local shares = {}
  for _ = 1, n or 100 do
    local name, err = self:pick()
    if not name then
      return nil, err
    end
    shares[name] = (shares[name] or 0) + 1
  end
  return shares
end

local function part(key, ...)
  local answer, err = core.route(...)
  if not answer then
    return nil, err
  end
  return answer[key]
end

function Queue:site()
  return part('site', 'hosts', self.parts)
end

function Queue:hosts()
  return part('hosts', 'hosts', self.parts)
end

function Queue:path(source)
  return core.route('path', self.parts, source)
end

function Queue:plan(source)
  return part('candidates', 'plan', self.parts, source)
end

function Queue:ready(source)
  return part('ready', 'plan', self.parts, source)
end

function Queue:ehlo(source)
  return part('ehlo', 'plan', self.parts, source)
end

function Queue:retries(n)
  return core.route('retries', self.parts, n or 1000)
end

-- ---- the suppression list ----

-- what: an address or '@domain'; options: tenant (everybody's mail), class.
function t.suppress(what, options)
  options = options or {}
  for key in pairs(options) do
    if key ~= 'tenant' and key ~= 'class' then
      error(('t.suppress: unknown option "%s"; there are tenant and class'):format(tostring(key)), 2)
    end
  end
  core.suppress(what, options.tenant, options.class)
end

-- ---- time ----

function t.now()
  return core.now()
end

function t.advance(duration)
  core.advance(duration)
end

function t.set_time(time)
  core.set_time(time)
end

-- ---- declaring ----

local TYPES = { A = true, AAAA = true, MX = true, TXT = true, PTR = true, CNAME = true, TLSA = true }

local function quoted(text)
  return ('"%s"'):format(text:gsub('[\\"]', '\\%0'))
end

-- A zone as a table becomes lines of a zone file.
local function zone_text(zone)
  if type(zone) == 'string' then
    return zone
  end
  if type(zone) ~= 'table' then
    usage('t.zone: expected a text or a table, got ' .. show(zone))
  end
  local lines = {}
  for _, name in ipairs(sorted_keys(zone)) do
    local records = zone[name]
    if records == 'FAIL' then
      lines[#lines + 1] = name .. ' FAIL'
      records = {}
    elseif type(records) ~= 'table' then
      usage(('t.zone: %s: expected a table of records or "FAIL"'):format(name))
    end
    for _, kind in ipairs(sorted_keys(records)) do
      if not TYPES[kind] then
        usage(('t.zone: %s: record type %s is not known here'):format(name, show(kind)))
      end
      local values = records[kind]
      for _, value in ipairs(type(values) == 'table' and values or { values }) do
        if kind == 'TXT' then
          value = quoted(value)
        end
        lines[#lines + 1] = ('%s %s %s'):format(name, kind, value)
      end
    end
  end
  return table.concat(lines, '\n') .. '\n'
end

local function apply(options)
  if options.policy_text then
    core.set_policy_text(options.policy_text)
  elseif options.policy then
    core.set_policy(path_of(options.policy))
  end
  if options.zone then
    core.set_zone(zone_text(options.zone))
  end
end

local function declare(options)
  if running then
    apply(options)
    return
  end
  for k, v in pairs(options) do
    file_options[k] = v
  end
  if options.policy then
    file_options.policy_text = nil
  end
end

function t.policy(file)
  declare { policy = file }
end

function t.policy_text(text)
  declare { policy_text = text }
end

function t.zone(zone)
  zone_text(zone)
  declare { zone = zone }
end

function t.policy_error(file)
  return core.check(path_of(file))
end

function t.policy_error_text(text)
  return core.check_text(text)
end

function t.test(name, options, fn)
  if type(options) == 'function' then
    options, fn = {}, options
  end
  if type(name) ~= 'string' or type(options) ~= 'table' or type(fn) ~= 'function' then
    usage "t.test: expected a name and a function: t.test('name', function() ... end)"
  end
  if running then
    usage 't.test: a test cannot declare another one'
  end
  check_keys(options, { policy = true, policy_text = true, zone = true, deadline = true }, 't.test')
  tests[#tests + 1] = { name = name, options = options, run = fn }
end

-- ---- running ----

local function describe(err)
  if getmetatable(err) == Failure then
    return err
  end
  local text = tostring(err)
  if text:sub(1, #script + 1) == script .. ':' then
    local line, rest = text:sub(#script + 2):match '^(%d+): (.*)$'
    if line then
      return setmetatable({ message = rest, at = script .. ':' .. line }, Failure)
    end
  end
  return setmetatable({ message = text, at = where() }, Failure)
end

local function run(index)
  local test = tests[index]
  running = true
  local function all()
    apply(file_options)
    apply(test.options)
    test.run()
  end
  local ok, err = xpcall(all, core.guard(describe))
  return ok, err
end

return t, tests, run, describe
