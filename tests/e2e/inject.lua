-- Messages that the policy makes itself: kumo.make_message and inject_message,
-- in the milter and in the router.
local t = require 'harness'

local copy = [[
kumo.on('smtp_server_message_received', function(msg)
  local copy = kumo.make_message('', 'archive@archive.test', 'Subject: copy\r\n\r\nof ' .. msg:id() .. '\r\n')
  copy:set_meta('tenant', 'copies')
  copy:append_header('X-Copy', 'yes')
  kumo.inject_message(copy)
end)
]]

local function send(mta)
  t.eq(mta:mail '<ann@sender.test>', 'continue')
  t.eq(mta:rcpt '<bob@example.com>', 'continue')
  return mta:message(t.plain)
end

local function arrived(sink, n)
  t.wait_for(n .. ' messages', function()
    return #sink:messages() >= n
  end, 30000)
  return sink:messages()
end

t.test('the milter stores what its policy injects, and the router delivers it', function()
  local sink = t.smtp_sink {}
  local policy = t.smart_host(sink, { extra = copy })
  local milter = t.milter { policy = policy }
  t.eq(send(milter:connect { helo = 'x.test' }), 'discard')
  t.rows(milter:sql 'SELECT r.address, q.name FROM recipient r JOIN queue q ON q.id = r.queue ORDER BY r.address', {
    { 'archive@archive.test', 'copies@archive.test' }, { 'bob@example.com', 'example.com' },
  })
  local router = t.router { policy = policy }
  local seen = {}
  for _, message in ipairs(arrived(sink, 2)) do
    seen[message.to[1]] = message.data
  end
  t.has(seen['archive@archive.test'], 'X-Copy: yes\r\n\r\nof ')
  t.log(router, 'Delivery', { recipient = 'archive@archive.test', sender = '' })
end)

t.test('what was injected is on disk when inject_message returns', function()
  local milter = t.milter {
    policy = t.smart_host('127.0.0.1:1', {
      extra = [[
kumo.on('smtp_server_message_received', function(msg)
  kumo.inject_message(kumo.make_message('', 'a@b.test', 'X: y\r\n\r\n'))
  kumo.reject(451, '4.7.1 afterwards')
end)]],
    }),
  }
  t.match(send(milter:connect { helo = 'x.test' }), '^451')
  t.rows(milter:sql 'SELECT address FROM recipient', { { 'a@b.test' } })
end)

t.test('the router delivers what its policy injects', function()
  local sink = t.smtp_sink {}
  local router = t.router {
    policy = t.smart_host(sink, {
      extra = [[
local told = false
kumo.on('get_egress_pool', function(name)
  return kumo.make_egress_pool { name = name, entries = { { name = 'ip-1' } } }
end)
kumo.on('get_egress_source', function(name)
  if not told then
    told = true
    kumo.inject_message(kumo.make_message('', 'admin@notice.test', 'Subject: first use\r\n\r\nof ' .. name .. '\r\n'))
  end
  return kumo.make_egress_source { name = name }
end)]],
      queue = "egress_pool = 'pool',",
    }),
  }
  router:enqueue { to = 'bob@example.com' }
  local to = {}
  for _, message in ipairs(arrived(sink, 2)) do
    to[#to + 1] = message.to[1]
  end
  table.sort(to)
  t.eq(to[1], 'admin@notice.test')
  t.eq(to[#to], 'bob@example.com')
end)

t.test('what cannot be stored raises, and nothing is half stored', function()
  local milter = t.milter {
    policy = t.smart_host('127.0.0.1:1', {
      extra = [[
local function why(fn, ...)
  local ok, e = pcall(fn, ...)
  return (tostring(e):gsub('^.-: ', '', 1))
end
kumo.on('smtp_server_message_received', function(msg)
  local made = kumo.make_message('', 'a@b.test', 'X: y\r\n\r\n')
  made:set_meta('queue', 'null')
  kumo.inject_message(made)
  local lonely = kumo.make_message('', 'a@b.test', 'X: y\r\n\r\n')
  lonely:set_recipient {}
  local odd = kumo.make_message('', 'a@b.test', 'X: y\r\n\r\n')
  odd:set_meta('tenant', 5)
  local f = io.open(']] .. t.dir() .. [[/why', 'w')
  f:write(why(kumo.inject_message, made), '\n', why(kumo.inject_message, msg), '\n',
    why(kumo.inject_message, lonely), '\n', why(kumo.inject_message, odd), '\n')
  f:close()
end)]],
    }),
  }
  t.eq(send(milter:connect { helo = 'x.test' }), 'discard')
  local why = t.read(t.dir() .. '/why')
  t.has(why, 'it was injected already')
  t.has(why, 'only messages that kumo.make_message made')
  t.has(why, 'it has no recipient')
  t.has(why, 'tenant')
  t.rows(milter:sql 'SELECT address FROM recipient', { { 'bob@example.com' } })
end)

t.test('a policy that injects while it is loaded is told that there is no queue yet', function()
  local status, out = t.penstock('--policy', t.write('p.lua', [[
kumo.on('init', function()
  kumo.inject_message(kumo.make_message('', 'a@b.test', 'X: y\r\n\r\n'))
end)]]), 'check')
  t.ok(status ~= 0, out)
  t.has(out, 'inject_message: there is no queue to put it into here')
end)
