-- From the queue to a host: outcomes, retries, expiry, sources and ports.
local t = require 'harness'

t.test('a deferral is tried again when it is due', function()
  local sink = t.smtp_sink { rcpt = { '450 4.2.0 later', '250 2.1.5 ok' } }
  local router = t.router { policy = t.smart_host(sink) }
  router:enqueue { to = 'bob@example.com' }
  local r = t.log(router, 'TransientFailure', { code = 450 })
  t.eq(r.response.content, 'later')
  t.eq(r.response.enhanced_code, { class = 4, subject = 2, detail = 0 })
  t.eq(r.num_attempts, 0)
  t.eq(#sink:messages(), 0)
  router:advance '21 mins'
  r = t.log(router, 'Delivery', { code = 250 })
  t.eq(r.num_attempts, 1)
  t.eq(r.recipient, 'bob@example.com')
  t.eq(r.peer_address, { name = 'sink.test', addr = '127.0.0.1' })
  t.eq(#sink:messages(), 1)
  -- The record comes before the row goes.
  t.wait_for('an empty queue', function()
    return router:sql('SELECT (SELECT count(*) FROM message) + (SELECT count(*) FROM content)')[1][1] == 0
  end)
end)

t.test('case 139: one recipient refused, the other delivered', function()
  local sink = t.smtp_sink {
    rcpt = function(line)
      return line:find 'bad@' and '550 5.1.1 no such user' or line:find 'slow@' and '450 4.2.2 full' or '250 ok'
    end,
  }
  local router = t.router { policy = t.smart_host(sink) }
  router:enqueue { to = { 'good@example.com', 'bad@example.com', 'slow@example.com' } }
  t.log(router, 'Delivery', { recipient = 'good@example.com' })
  t.log(router, 'Bounce', { recipient = 'bad@example.com', code = 550 })
  t.log(router, 'TransientFailure', { recipient = 'slow@example.com', code = 450 })
  t.wait_for('the rows to go', function()
    return #router:sql 'SELECT 1 FROM recipient' == 1
  end)
  t.rows(router:sql 'SELECT address, attempts FROM recipient', { { 'slow@example.com', 1 } })
  t.eq(#sink:messages(), 1)
  -- Only it is tried again.
  router:advance '21 mins'
  t.wait_for('the second failure', function()
    return #router:records 'TransientFailure' == 2
  end)
  t.eq(router:records('TransientFailure')[2].recipient, 'slow@example.com')
  t.eq({ #router:records 'Delivery', #router:records 'Bounce', #sink:messages() }, { 1, 1, 1 })
end)

for reply, want in pairs {
  ['554 5.7.1 no'] = 'Bounce', ['451 4.3.0 later'] = 'TransientFailure', ['503 5.5.1 odd'] = 'TransientFailure',
  ['250 2.0.0 queued as 7'] = 'Delivery',
} do
  t.test('case 140: ' .. reply:sub(1, 3) .. ' after the final dot is a ' .. want, function()
    local sink = t.smtp_sink { dot = reply }
    local router = t.router { policy = t.smart_host(sink) }
    router:enqueue { to = 'bob@example.com' }
    local r = t.log(router, want, { code = tonumber(reply:sub(1, 3)) })
    t.eq(r.response.content, reply:sub(11))
    t.eq(r.response.command, '.')
  end)
end

t.test('case 123, 126: a named source binds its address and says its name', function()
  local sink = t.smtp_sink {}
  local router = t.router {
    policy = t.smart_host(sink, { source = "source_address = '127.0.0.2', ehlo_domain = 's.test'" }),
  }
  router:enqueue { to = 'bob@example.com' }
  local r = t.log(router, 'Delivery')
  t.eq(sink:messages()[1].peer, '127.0.0.2')
  t.eq(sink:messages()[1].helo, 's.test')
  t.eq(r.egress_source, 'ip-1')
  t.eq(r.egress_pool, 'pool')
  t.match(r.source_address.address, '^127%.0%.0%.2:%d+$')
  t.match(r.site, '^ip%-1%->mx_list:')
end)

t.test('case 126: the EHLO name of the path wins over that of the source', function()
  local sink = t.smtp_sink {}
  local router = t.router {
    policy = t.smart_host(sink, { source = "ehlo_domain = 's.test'", path = "ehlo_domain = 'p.test'" }),
  }
  router:enqueue { to = 'bob@example.com' }
  t.log(router, 'Delivery')
  t.eq(sink:messages()[1].helo, 'p.test')
end)

t.test('case 124: a source that is not on this host never leaves by another address', function()
  local sink = t.smtp_sink {}
  local router = t.router { policy = t.smart_host(sink, { source = "source_address = '192.0.2.55'" }) }
  router:enqueue { to = 'bob@example.com' }
  local r = t.log(router, 'TransientFailure', { code = 400 })
  t.match(r.response.content, '192%.0%.2%.55')
  t.eq(#sink.sessions, 0)
end)

t.test('case 127: remote_port beats the port of the list, which beats smtp_port', function()
  local p1, p2, p3 = t.smtp_sink {}, t.smtp_sink {}, t.smtp_sink {}
  local path = 'smtp_port = ' .. p1.port
  local router = t.router {
    policy = t.smart_host('127.0.0.1:' .. p2.port, { path = path, source = 'remote_port = ' .. p3.port }),
  }
  router:enqueue { to = 'bob@example.com' }
  t.log(router, 'Delivery')
  t.eq(#p3:messages(), 1)
  -- Killed before it could commit, a router may deliver once more below.
  router:kill()
  router = t.router { policy = t.smart_host('127.0.0.1:' .. p2.port, { path = path }) }
  router:enqueue { to = 'bob@example.com' }
  t.wait_for('the second port', function()
    return #p2:messages() >= 1
  end)
  router:kill()
  router = t.router { policy = t.smart_host('127.0.0.1', { path = path }) }
  router:enqueue { to = 'bob@example.com' }
  t.wait_for('the first port', function()
    return #p1:messages() >= 1
  end)
end)

t.test('case 121: a pool without a handler defers and keeps the mail', function()
  local sink = t.smtp_sink {}
  local router = t.router { policy = t.smart_host(sink, { queue = "egress_pool = 'nowhere'," }) }
  router:enqueue { to = 'bob@example.com' }
  t.log(router, 'TransientFailure', { code = 451, enhanced = '4.4.4' })
  t.none(router, 'SELECT count(*) FROM recipient WHERE state <> 0')
  t.rows(router:sql 'SELECT attempts FROM recipient', { { 1 } })
end)

t.test('case 114: expiry is judged when the retry is scheduled', function()
  local sink = t.smtp_sink { rcpt = '450 4.2.0 later' }
  local router = t.router { policy = t.smart_host(sink, { queue = "max_age = '5m', retry_interval = '2m'," }) }
  router:enqueue { to = 'bob@example.com' }
  t.log(router, 'TransientFailure', { code = 450 })
  t.none(router, 'SELECT count(*) FROM recipient WHERE state <> 0')
  t.rows(router:sql 'SELECT attempts FROM recipient', { { 1 } })
  router:advance '3 mins'
  -- At the second failure, long before it is five minutes old.
  t.log(router, 'Expiration', { code = 551, enhanced = '5.4.7' })
  t.eq(#router:records 'TransientFailure', 2)
  t.none(router, 'SELECT count(*) FROM message')
end)

t.test('case 116: a restart keeps due time and attempts', function()
  local sink = t.smtp_sink { rcpt = '450 4.2.0 later' }
  local router = t.router { policy = t.smart_host(sink) }
  router:enqueue { to = 'bob@example.com' }
  t.log(router, 'TransientFailure', { code = 450 })
  t.wait_for('the row', function()
    return router:sql('SELECT attempts FROM recipient')[1][1] == 1
  end)
  local before = router:sql 'SELECT due_at, attempts FROM recipient'
  t.eq(router:stop(), 0)
  router = t.router { policy = t.smart_host(sink) }
  t.rows(router:sql 'SELECT due_at, attempts FROM recipient', before)
end)

t.test('case 133: max_deliveries_per_connection', function()
  local sink = t.smtp_sink {}
  local router = t.router {
    policy = t.smart_host(sink, { path = 'max_deliveries_per_connection = 2, connection_limit = 1' }),
  }
  router:enqueue { to = 'bob@example.com', count = 5 }
  t.wait_for('five messages', function()
    return #sink:messages() == 5
  end)
  local by_session = {}
  for _, m in ipairs(sink:messages()) do
    by_session[m.session] = (by_session[m.session] or 0) + 1
  end
  t.eq(by_session, { 2, 2, 1 })
end)

t.test('case 134: connection_limit', function()
  local sink = t.smtp_sink {
    dot = function()
      t.sched.pass(5)
      return '250 2.0.0 taken at leisure'
    end,
  }
  local router = t.router { policy = t.smart_host(sink, { path = 'connection_limit = 2' }) }
  router:enqueue { to = 'bob@example.com', count = 200 }
  t.wait_for('all of them', function()
    return #sink:messages() == 200
  end, 60000)
  t.eq(sink.most_open, 2)
end)

t.test('case 135, 136: candidates are tried in order; all closed defers', function()
  local dead = t.smtp_sink {}
  dead:stop()
  local sink = t.smtp_sink {}
  local body = ([[
kumo.on('get_queue_config', function(domain)
  local list = { { name = 'bad', addr = '127.0.0.1:%d' } }
  if domain == 'good.test' then list[2] = { name = 'good', addr = '127.0.0.1:%d' } end
  return kumo.make_queue_config { protocol = { smtp = { mx_list = list } } }
end)
kumo.on('get_egress_path_config', function() return kumo.make_egress_path { prohibited_hosts = {} } end)
]]):format(dead.port, sink.port)
  local router = t.router {
    policy = "local kumo = require 'kumo'\nkumo.on('init', function() " .. t.local_logs() .. ' end)\n' .. body,
  }
  router:enqueue { to = 'bob@good.test' }
  t.eq(t.log(router, 'Delivery').peer_address.name, 'good')
  router:enqueue { to = 'bob@bad.test' }
  t.log(router, 'TransientFailure', { code = 400, recipient = 'bob@bad.test' })
  t.none(router, 'SELECT count(*) FROM recipient WHERE state <> 0')
  local row = router:sql('SELECT due_at - last_attempt_at, attempts FROM recipient')[1]
  t.ok(row[1] >= 1169 and row[1] <= 1231, 'due after ' .. row[1])
  t.eq(row[2], 1)
end)

t.test('case 137: prohibited hosts bounce without a connection', function()
  local sink = t.smtp_sink {}
  local router = t.router {
    policy = ([[
local kumo = require 'kumo'
kumo.on('init', function() %s end)
kumo.on('get_queue_config', function(domain)
  -- Names of their own: domains with the same list share a site and its path.
  local list = domain == 'skip.test' and '127.0.0.1' or '[127.0.0.1]'
  return kumo.make_queue_config { protocol = { smtp = { mx_list = { list } } } }
end)
kumo.on('get_egress_path_config', function(domain)
  if domain == 'skip.test' then
    return kumo.make_egress_path { prohibited_hosts = {}, skip_hosts = { '127.0.0.1' }, smtp_port = %d }
  end
end)]]):format(t.local_logs(), sink.port),
  }
  router:enqueue { to = 'bob@example.com' }
  t.log(router, 'Bounce', { code = 550, enhanced = '5.4.4', recipient = 'bob@example.com' })
  router:enqueue { to = 'bob@skip.test' }
  t.log(router, 'TransientFailure', { code = 451, enhanced = '4.4.4', recipient = 'bob@skip.test' })
  t.eq(#sink.sessions, 0)
end)

local MX_POLICY = [[
local kumo = require 'kumo'
kumo.on('init', function() %s end)
kumo.on('get_egress_path_config', function() return kumo.make_egress_path { prohibited_hosts = {}, smtp_port = %d } end)
]]

t.test('case 109, 138: MX resolution, implicit MX, null MX, failures', function()
  local sink = t.smtp_sink { ip = '127.0.0.7' }
  local dns = t.dns {
    ['mx.test'] = { MX = { { 10, 'a.mx.test' } } }, ['a.mx.test'] = { A = { '127.0.0.7' } },
    ['implicit.test'] = { A = { '127.0.0.7' } }, ['null.test'] = { MX = { { 0, '.' } } },
    ['broken.test'] = 'SERVFAIL',
  }
  local router = t.router { policy = MX_POLICY:format(t.local_logs(), sink.port), dns = dns }
  router:enqueue { to = 'bob@mx.test' }
  t.eq(t.log(router, 'Delivery', { recipient = 'bob@mx.test' }).peer_address.name, 'a.mx.test')
  router:enqueue { to = 'bob@implicit.test' }
  t.log(router, 'Delivery', { recipient = 'bob@implicit.test' })
  router:enqueue { to = 'bob@null.test' }
  t.log(router, 'Bounce', { code = 556, enhanced = '5.1.10', recipient = 'bob@null.test' })
  router:enqueue { to = 'bob@broken.test' }
  t.log(router, 'TransientFailure', { code = 451, enhanced = '4.4.4', recipient = 'bob@broken.test' })
  router:enqueue { to = 'bob@nowhere.test' }
  t.log(router, 'TransientFailure', { code = 451, enhanced = '4.4.4', recipient = 'bob@nowhere.test' })
end)

t.test('case 130: domains with the same hosts share a site and its connection', function()
  local sink = t.smtp_sink { ip = '127.0.0.7' }
  local dns = t.dns {
    ['one.test'] = { MX = { { 10, 'a.mx.test' } } }, ['two.test'] = { MX = { { 20, 'a.mx.test' } } },
    ['a.mx.test'] = { A = { '127.0.0.7' } },
  }
  local router = t.router { policy = MX_POLICY:format(t.local_logs(), sink.port), dns = dns }
  router:enqueue { to = 'bob@one.test' }
  local one = t.log(router, 'Delivery', { recipient = 'bob@one.test' })
  router:enqueue { to = 'bob@two.test' }
  local two = t.log(router, 'Delivery', { recipient = 'bob@two.test' })
  t.eq(one.site, two.site)
  t.eq(one.site, 'unspecified->a.mx.test@smtp_client')
  t.eq(#sink.sessions, 1)
end)

t.test('we are the MX: mail for a host that is this machine bounces instead of looping', function()
  local sink = t.smtp_sink {}
  local dns = t.dns {
    ['backup.test'] = { MX = { { 10, 'primary.test' }, { 20, 'me.test' }, { 30, 'worse.test' } } },
    ['primary.test'] = { A = { '127.0.0.99' } }, ['me.test'] = { A = { '127.0.0.1' } },
    ['worse.test'] = { A = { '127.0.0.1' } }, ['only.test'] = { MX = { { 10, 'me.test' } } },
  }
  local router = t.router {
    policy = MX_POLICY:format(t.local_logs(), sink.port), dns = dns,
  }
  router:enqueue { to = 'bob@only.test' }
  t.log(router, 'Bounce', { code = 554, enhanced = '5.4.6', recipient = 'bob@only.test' })
  router:enqueue { to = 'bob@backup.test' }
  t.log(router, 'TransientFailure', { recipient = 'bob@backup.test' })
  t.eq(#sink.sessions, 0)
end)

t.test('case 144: dots and long lines arrive as they were', function()
  local sink = t.smtp_sink {}
  local router = t.router { policy = t.smart_host(sink) }
  local data = 'Subject: dots\r\n\r\n.\r\n..x\r\n...\r\n' .. ('y'):rep(990) .. '\r\n.end\r\n'
  router:enqueue { to = 'bob@example.com', data = data }
  t.log(router, 'Delivery')
  t.ok(sink:messages()[1].data:sub(-#data) == data, 'the same bytes')
end)

t.test('case 145: 8-bit content for a host without 8BITMIME bounces', function()
  local sink = t.smtp_sink { extensions = { 'PIPELINING' } }
  local router = t.router { policy = t.smart_host(sink) }
  router:enqueue { to = 'bob@example.com', data = 'Subject: x\r\n\r\n\xc3\xa4\r\n' }
  t.log(router, 'Bounce', { code = 554, enhanced = '5.6.3' })
  t.eq(#sink:messages(), 0)
  router:kill()
  local again = t.router { policy = t.smart_host(sink, { path = 'ignore_8bit_checks = true' }) }
  again:enqueue { to = 'bob@example.com', data = 'Subject: x\r\n\r\n\xc3\xa4\r\n' }
  t.log(again, 'Delivery')
end)

t.test('a host without PIPELINING, and one that knows only HELO', function()
  for _, o in ipairs { { extensions = {} }, { ehlo = '502 5.5.1 what?' } } do
    local sink = t.smtp_sink(o)
    local router = t.router { policy = t.smart_host(sink) }
    router:enqueue { to = { 'a@example.com', 'b@example.com' }, count = 2 }
    t.wait_for('two messages', function()
      return #sink:messages() == 2
    end)
    router:kill()
    os.remove(t.context().queue)
    os.remove(t.context().queue .. '-wal')
    os.remove(t.context().queue .. '-shm')
  end
end)

t.test('case 142: TLS when it is required, verified, insecure or off', function()
  local ca = t.certificate 'DNS:ca.test'
  local good = t.certificate('DNS:sink.test', ca)
  local bad = t.certificate 'DNS:other.test'
  local function try(mode, o)
    local sink = t.smtp_sink(o)
    local router = t.router { policy = t.smart_host(sink, { path = "enable_tls = '" .. mode .. "'" }), ca_file = ca.cert }
    local to = ('u%d@example.com'):format(t.sys.now_ms())
    router:enqueue { to = to }
    local r = t.wait_for('an outcome', function()
      for _, x in ipairs(router:records()) do
        if x.recipient == to then
          return x
        end
      end
    end)
    router:stop() -- settled: the next router must not deliver it again
    return r.type, r.tls_cipher ~= nil, #sink:messages()
  end
  local with = function(c)
    return { cert = c.cert, key = c.key }
  end
  t.eq({ try('Required', {}) }, { 'TransientFailure', false, 0 })
  t.eq({ try('Required', with(good)) }, { 'Delivery', true, 1 })
  t.eq({ try('Required', with(bad)) }, { 'TransientFailure', false, 0 })
  t.eq({ try('Opportunistic', with(good)) }, { 'Delivery', true, 1 })
  t.eq({ try('Opportunistic', with(bad)) }, { 'TransientFailure', false, 0 })
  t.eq({ try('Opportunistic', {}) }, { 'Delivery', false, 1 })
  t.eq({ try('OpportunisticInsecure', with(bad)) }, { 'Delivery', true, 1 })
  t.eq({ try('RequiredInsecure', with(bad)) }, { 'Delivery', true, 1 })
  t.eq({ try('Disabled', with(good)) }, { 'Delivery', false, 1 })
end)

t.test('bytes that follow the answer to STARTTLS in clear text fail the candidate', function()
  local c = t.certificate 'DNS:sink.test'
  local sink = t.smtp_sink { cert = c.cert, key = c.key, starttls = '220 go\r\n250 injected' }
  local router = t.router { policy = t.smart_host(sink, { path = "enable_tls = 'OpportunisticInsecure'" }) }
  router:enqueue { to = 'bob@example.com' }
  t.log(router, 'TransientFailure')
  t.eq(#sink:messages(), 0)
end)

for what, o in pairs {
  ['drops before the greeting'] = { connect = 'drop' }, ['answers 421 at once'] = { connect = '421 4.3.2 full' },
  ['drops at MAIL'] = { mail = 'drop' }, ['drops at DATA'] = { data = 'drop' }, ['drops after the dot'] = { dot = 'drop' },
  ['resets after the dot'] = { dot = 'reset' }, ['drops within the content'] = { cut_data = 100 },
  ['talks nonsense'] = { connect = 'garbage' }, ['answers 421 to RCPT'] = { rcpt = '421 4.3.2 bye' },
} do
  t.test('a host that ' .. what .. ' is a temporary failure and keeps the mail', function()
    local sink = t.smtp_sink(o)
    local router = t.router { policy = t.smart_host(sink) }
    router:enqueue { to = 'bob@example.com', data = 'Subject: x\r\n\r\n' .. ('x'):rep(70):rep(50, '\r\n') .. '\r\n' }
    t.log(router, 'TransientFailure', { recipient = 'bob@example.com' })
    t.wait_for('the row', function()
      return router:sql('SELECT attempts FROM recipient')[1][1] == 1
    end)
  end)
end

t.test('a host that stalls is given up after the timeout of the stage', function()
  local sink = t.smtp_sink { mail = 'stall' }
  local router = t.router { policy = t.smart_host(sink, { 
    -- With PIPELINING one wait is for the whole flight: the longest of these.
    path = "rset_timeout = '1s', mail_from_timeout = '1s', rcpt_to_timeout = '1s', data_timeout = '1s'",
  }) }
  router:enqueue { to = 'bob@example.com' }
  t.log(router, 'TransientFailure', { code = 421 })
end)

t.test('a stop gives back what was not sent and leaves the queue clean', function()
  local sink = t.smtp_sink { dot = function() return '250 2.0.0 ok' end }
  local router = t.router { policy = t.smart_host(sink, { path = 'connection_limit = 1' }) }
  router:enqueue { to = 'bob@example.com', count = 300 }
  t.wait_for('some to be sent', function()
    return #sink:messages() > 5
  end)
  t.eq(router:stop(), 0)
  t.none(router, 'SELECT count(*) FROM recipient WHERE state = 1')
  local left = router:sql('SELECT count(*) FROM recipient')[1][1]
  t.eq(#sink:messages() + left, 300)
end)

t.test('a router that was killed delivers everything, and each delivery has its record', function()
  local sink = t.smtp_sink {}
  local router = t.router { policy = t.smart_host(sink) }
  router:enqueue { to = 'bob@example.com', count = 100 }
  t.wait_for('some to be sent', function()
    return #sink:messages() > 10
  end)
  router:kill()
  router = t.router { policy = t.smart_host(sink) }
  t.wait_for('an empty queue', function()
    return router:sql('SELECT count(*) FROM recipient')[1][1] == 0
  end, 30000)
  t.ok(#sink:messages() >= 100)
  local ids = {}
  for _, r in ipairs(router:records 'Delivery') do
    ids[r.id] = true
  end
  local n = 0
  for _ in pairs(ids) do
    n = n + 1
  end
  t.eq(n, 100, 'messages with a record')
end)

t.test('a second router on the same queue refuses to start', function()
  local router = t.router { policy = t.smart_host '127.0.0.1:9' }
  local second = t.spawn { t.daemons.program 'penstock-router', '--foreground', '--policy', t.dir() .. '/policy.lua',
    '--queue', t.context().queue, '--control', t.dir() .. '/r2.sock' }
  local status = second:wait(20000)
  t.ok(status and status ~= 0, 'it ended')
  t.ok(router:running())
end)
