-- The harness: what a story sees as `t`.
--
--   local t = require 'harness'
--   t.test('a stranger may write to the domain and nowhere else', function()
--     local milter = t.milter { policy = [[ ... ]] }
--     local mta = milter:connect { ip = '192.0.2.7', helo = 'x.test' }
--     t.eq(mta:mail '<a@b.test>', 'continue')
--   end)
--
-- Each test has a scratch directory, a queue, logs and processes of its own;
-- all end with it.  Output is TAP.  KEEP=1 leaves the directories of tests that
-- failed; ONLY=pattern runs the tests whose name matches.  A test that cannot run
-- here says so (t.skip); a program of which no test could exits 77.
local sys = require 'sys'
local sched = require 'sched'
local daemons = require 'daemons'
local t = {}

local tests, ctx = {}, nil

function t.test(name, fn)
  tests[#tests + 1] = { name = name, fn = fn }
end

-- ---- expectations ----

local function show(v)
  if type(v) == 'string' then
    return ('%q'):format(v):gsub('\\\n', '\\n')
  elseif type(v) == 'table' then
    local parts = {}
    for k, x in pairs(v) do
      parts[#parts + 1] = (type(k) == 'number' and '' or tostring(k) .. ' = ') .. show(x)
    end
    return '{' .. table.concat(parts, ', ') .. '}'
  end
  return tostring(v)
end
t.show = show

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

function t.fail(text, level)
  error(text, (level or 1) + 1)
end

-- Ends the test, which counts as neither passed nor failed; why: one line.
local skipping = {}
function t.skip(why)
  error(setmetatable({ why = why }, skipping), 0)
end

function t.ok(v, what)
  if not v then
    t.fail(what or 'expected something true', 2)
  end
  return v
end

function t.eq(got, want, what)
  if not same(got, want) then
    t.fail((what and what .. ': ' or '') .. 'got ' .. show(got) .. ', want ' .. show(want), 2)
  end
end

-- text contains `part` (plain); t.match: a Lua pattern.
function t.has(text, part, what)
  if not tostring(text):find(part, 1, true) then
    t.fail((what and what .. ': ' or '') .. show(text) .. ' does not contain ' .. show(part), 2)
  end
end

function t.lacks(text, part, what)
  if tostring(text):find(part, 1, true) then
    t.fail((what and what .. ': ' or '') .. show(text) .. ' contains ' .. show(part), 2)
  end
end

function t.match(text, pattern, what)
  local found = tostring(text):match(pattern)
  if not found then
    t.fail((what and what .. ': ' or '') .. show(text) .. ' does not match ' .. show(pattern), 2)
  end
  return found
end

-- Rows of SQL against a list of lists.
function t.rows(got, want, what)
  t.eq(got, want, what or 'rows')
end

-- Waits until the count that `sql` selects is 0: a log record comes before its row
-- goes.
function t.none(daemon, sql)
  t.wait_for('none of: ' .. sql, function()
    return daemon:sql(sql)[1][1] == 0
  end)
end

-- Waits until fn returns something true and returns that.
function t.wait_for(what, fn, ms)
  return daemons.wait_for(what, ms or 60000, fn)
end

local function fits(record, want)
  for k, v in pairs(want) do
    local got = record[k]
    if k == 'code' then
      got = record.response and record.response.code
    elseif k == 'enhanced' then
      local e = record.response and record.response.enhanced_code
      got = e and ('%d.%d.%d'):format(e.class, e.subject, e.detail)
    elseif k == 'content' then
      got = record.response and record.response.content
      if got and got:find(v, 1, true) then
        got = v
      end
    end
    if not same(got, v) then
      return false
    end
  end
  return true
end

-- Waits for a log record of the type with these fields (code, enhanced ("5.1.1")
-- and content are those of the response) and returns it.
function t.log(daemon, kind, want, ms)
  return t.wait_for('a ' .. kind .. ' record with ' .. show(want or {}), function()
    for _, r in ipairs(daemon:records(kind)) do
      if fits(r, want or {}) then
        return r
      end
    end
  end, ms)
end

-- ---- what a story is made of ----

function t.dir()
  return ctx.dir
end

function t.context()
  return ctx
end

function t.milter(o)
  return daemons.milter(ctx, o)
end

function t.router(o)
  return daemons.router(ctx, o)
end

function t.penstock(...)
  return daemons.penstock(ctx, ...)
end

function t.spawn(argv, o)
  return daemons.spawn(ctx, argv, o)
end

function t.run(argv, o)
  return daemons.run(ctx, argv, o)
end

function t.advance(by)
  return daemons.advance(ctx, by)
end

function t.smtp_sink(o)
  return require('smtp_sink').new(o)
end

function t.proxy(o)
  return require('proxy').new(o)
end

function t.dns(zone, o)
  return require('dns_stub').new(zone, o)
end

-- A certificate for `alt` ("DNS:mx.test,IP:127.0.0.1"); ca: one made before.
function t.certificate(alt, ca)
  ctx.count = ctx.count + 1
  local base = ctx.dir .. '/cert-' .. ctx.count
  local made = { cert = base .. '.pem', key = base .. '.key' }
  sys.make_cert(alt:match '^%a+:([^,]*)', alt, made.cert, made.key, ca and ca.cert, ca and ca.key)
  return made
end

function t.at_end(fn)
  ctx.at_end = ctx.at_end or {}
  table.insert(ctx.at_end, fn)
end

function t.write(name, text)
  return daemons.write_file(ctx.dir .. '/' .. name, text)
end

function t.read(path)
  return daemons.read_file(path)
end

t.json = daemons.json
t.sched = sched
t.sys = sys
t.daemons = daemons
t.milter_client = require 'milter_client'

-- Policy text for the log directory of this test; put it into init.
function t.local_logs()
  return ("kumo.configure_local_logs { log_dir = '%s', meta = { '*' } }"):format(ctx.logs)
end

-- A policy that sends everything to the sink (or 'ip:port') and accepts mail for
-- every domain.
-- o: queue = fields of make_queue_config, path = fields of make_egress_path,
-- source = fields of make_egress_source (then a pool is used), extra = more Lua.
function t.smart_host(sink, o)
  o = o or {}
  local address = type(sink) == 'table' and sink.address or sink
  return ([[
local kumo = require 'kumo'
kumo.on('init', function()
  kumo.start_esmtp_listener { listen = '0.0.0.0:25', relay_hosts = {} }
  %s
end)
kumo.on('get_listener_domain', function() return kumo.make_listener_domain { relay_to = true } end)
kumo.on('get_queue_config', function(domain, tenant, campaign, routing_domain)
  return kumo.make_queue_config {
    protocol = { smtp = { mx_list = { { name = 'sink.test', addr = '%s' } } } },
    %s %s
  }
end)
kumo.on('get_egress_path_config', function(domain, source, site)
  return kumo.make_egress_path { prohibited_hosts = {}, %s }
end)
%s
%s
]]):format(t.local_logs(), address, o.source and "egress_pool = 'pool'," or '', o.queue or '',
    o.path or '', o.source and ([[
kumo.on('get_egress_pool', function(name)
  return kumo.make_egress_pool { name = name, entries = { { name = 'ip-1' } } }
end)
kumo.on('get_egress_source', function(name)
  return kumo.make_egress_source { name = name, %s }
end)
]]):format(o.source) or '', o.extra or '')
end

-- A policy that accepts mail for example.com and relays nothing else.
function t.accept_policy(extra)
  return ([[
local kumo = require 'kumo'
kumo.on('init', function()
  kumo.start_esmtp_listener { listen = '0.0.0.0:25', relay_hosts = {} }
  %s
end)
kumo.on('get_listener_domain', function(domain, listener, conn_meta)
  if domain == 'example.com' then
    return kumo.make_listener_domain { relay_to = true }
  end
end)
%s
]]):format(t.local_logs(), extra or '')
end

t.plain = 'From: ann@sender.test\r\nSubject: hello\r\n\r\nHello.\r\n'

-- ---- running ----

local function run_one(number, test)
  ctx = daemons.context()
  sched.reset()
  local started = sys.now_ms()
  local skipped
  local ok, why = xpcall(test.fn, function(e)
    if getmetatable(e) == skipping then
      skipped = e.why
    end
    return debug.traceback(tostring(e), 2)
  end)
  ok = ok or skipped ~= nil
  if not ok then
    for _, p in ipairs(ctx.processes) do
      local out = p:output()
      if out ~= '' and (p.control or #ctx.processes < 4) then
        why = why .. '\n--- ' .. p.name .. '\n' .. out:sub(-3000)
      end
    end
  end
  local clean, dirty = pcall(daemons.cleanup, ctx, not ok and os.getenv 'KEEP')
  if ok and not clean then
    ok, why, skipped = false, 'cleanup: ' .. tostring(dirty), nil
  end
  print(('%s %d - %s # %s'):format(ok and 'ok' or 'not ok', number, test.name,
    skipped and 'SKIP ' .. skipped or sys.now_ms() - started .. ' ms'))
  if not ok then
    print('# ' .. why:gsub('\n', '\n# '))
  end
  io.stdout:flush()
  return ok, skipped
end

-- Runs the tests of all files: the exit status of the program.
function t.run_files(files)
  local failed, skipped, number = 0, 0, 0
  for _, file in ipairs(files) do
    tests = {}
    local chunk, why = loadfile(file)
    if not chunk then
      print('not ok ' .. number + 1 .. ' - ' .. file .. ' loads\n# ' .. why)
      return 1
    end
    chunk()
    for _, test in ipairs(tests) do
      if (os.getenv 'ONLY' or '') == '' or test.name:find(os.getenv 'ONLY') then
        number = number + 1
        local ok, why_not = run_one(number, test)
        failed = failed + (ok and 0 or 1)
        skipped = skipped + (why_not and 1 or 0)
      end
    end
  end
  print('1..' .. number)
  if failed > 0 then
    return 1
  end
  return number > 0 and skipped == number and 77 or 0
end

return t
