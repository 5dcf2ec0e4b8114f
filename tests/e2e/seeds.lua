-- The examples that the project started from (tests/data/seeds), in the daemons.
-- Each runs unchanged and does what the page around it says; the tests are named
-- after the sentences of the page.
local t = require 'harness'

local SEEDS = TOP_SRCDIR .. '/tests/data/seeds/'

-- A policy that runs the seed as it is.  What stands around it brings the logs,
-- and moves what a test must not touch (addresses of other machines, files of the
-- system) to where it may.  o: moves = {[text] = text}, before, after = more Lua.
local function policy(seed, o)
  o = o or {}
  local moves = {}
  for from, to in pairs(o.moves or {}) do
    moves[#moves + 1] = ('  [%q] = %q,\n'):format(from, to)
  end
  return ([[
local kumo = require 'kumo'
local MOVES = {
%s}
local function moved(v)
  if MOVES[v] then
    return MOVES[v]
  elseif type(v) == 'string' then
    for from, to in pairs(MOVES) do
      local at, last = v:find(from, 1, true)
      if at then v = v:sub(1, at - 1) .. to .. v:sub(last + 1) end
    end
  elseif type(v) == 'table' then
    local copy = {}
    for k, x in pairs(v) do copy[k] = moved(x) end
    return copy
  end
  return v
end
for _, place in ipairs { { kumo, 'make_egress_source' }, { kumo, 'make_queue_config' },
  { kumo.serde, 'toml_load' }, { kumo.serde, 'json_load' } } do
  local module, name = table.unpack(place)
  local original = module[name]
  module[name] = function(v) return original(moved(v)) end
end
kumo.on('pre_init', function() %s end)
%s
dofile '%s'
%s
]]):format(table.concat(moves), t.local_logs(), o.before or '', SEEDS .. seed, o.after or '')
end

-- One message to one recipient: the replies to RCPT and at the end.
local function send(mta, from, to, data)
  t.eq(mta:mail('<' .. from .. '>'), 'continue')
  local reply = mta:rcpt('<' .. to .. '>')
  if reply ~= 'continue' then
    mta:abort()
    return reply
  end
  return reply, mta:message(data or t.plain)
end

-- ---- smtp_server_get_dynamic_parameters ----

local WHERE = '/opt/kumometa/etc/policy/'

-- The name that the server uses for itself in Received, for a client that came
-- to this local address; nil: its own.
local function name_at(milter, local_ip)
  -- 127.0.0.1 may relay by default, so that it is accepted.
  local mta = milter:connect { helo = 'x.test', ip = '127.0.0.1', local_ip = local_ip }
  local _, verdict = send(mta, 'a@sender.test', 'u@d.test')
  t.eq(verdict, 'discard')
  mta:quit()
  local prefix = milter:sql('SELECT prefix FROM message ORDER BY id DESC LIMIT 1')[1][1]
  return t.match(prefix:gsub('\r\n[ \t]', ' '), 'Received: .- by (%S+)')
end

-- The files of the page are looked for in the scratch directory.
local function listener_params()
  return { moves = { [WHERE] = t.dir() .. '/' } }
end

for _, case in ipairs {
  { 'dynamic_via.lua' }, { 'dynamic_via_flat.lua' }, { 'dynamic_static_filled.lua' },
  { 'dynamic_toml.lua', 'listener_params.toml' }, { 'dynamic_toml_flat.lua', 'listener_params_flat.toml' },
  { 'dynamic_json_filled.lua', 'listener_params_filled.json' }, { 'dynamic_memoize_filled.lua', 'listener_params.toml' },
} do
  t.test(case[1] .. ': clients of 10.0.0.1 and 10.0.0.2 meet the host names of those customers', function()
    local o = listener_params()
    if case[2] then
      t.write('listener_params' .. case[2]:match '%.%a+$', t.read(SEEDS .. case[2]))
    end
    local milter = t.milter { policy = policy(case[1], o) }
    t.eq(name_at(milter, '10.0.0.1'), 'mx.example-customer.com')
    t.eq(name_at(milter, '10.0.0.2'), 'mx.other-customer.com')
    local own = name_at(milter, '10.0.0.3')
    t.ok(own ~= 'mx.example-customer.com' and own ~= 'mx.other-customer.com', own)
    t.eq(name_at(milter, '10.0.0.1'), 'mx.example-customer.com', 'again')
  end)
end

t.test('the listener argument is its stringified address, such as 0.0.0.0:25', function()
  local milter = t.milter {
    policy = policy('dynamic_signature_filled.lua', {
      after = "kumo.on('init', function() kumo.start_esmtp_listener { listen = '0.0.0.0:25' } "
        .. "kumo.start_esmtp_listener { listen = '[::]:25' } end)",
    }),
  }
  t.eq(name_at(milter, '10.0.0.1'), 'mx.example.com')
  local r = t.log(milter, 'Reception')
  t.eq(r.meta.x_listener, '0.0.0.0:25')
  t.eq(r.meta.x_via, '10.0.0.1:25', 'the connection metadata object has the real address')
  t.eq(r.meta.x_client, '127.0.0.1:40000')
  local mta = milter:connect { helo = 'x.test', ip = '::1', local_ip = 'fd00::1' }
  t.eq({ send(mta, 'a@sender.test', 'six@d.test') }, { 'continue', 'discard' })
  t.eq(t.log(milter, 'Reception', { recipient = 'six@d.test' }).meta.x_listener, '[::]:25')
end)

t.test('an empty handler overrides nothing', function()
  local milter = t.milter {
    policy = policy('dynamic_signature.lua', {
      after = "kumo.on('init', function() kumo.start_esmtp_listener { listen = '0.0.0.0:25', hostname = 'mx.own.test' } end)",
    }),
  }
  t.eq(name_at(milter, '10.0.0.1'), 'mx.own.test')
end)

t.test('this event triggers before smtp_server_connection_accepted', function()
  local milter = t.milter {
    policy = policy('dynamic_signature_filled.lua', {
      after = [[
kumo.on('smtp_server_connection_accepted', function(conn_meta)
  conn_meta:set_meta('x_then', conn_meta:get_meta 'hostname' .. ' ' .. tostring(conn_meta:get_meta 'x_listener'))
end)
kumo.on('init', function() kumo.start_esmtp_listener { listen = '0.0.0.0:25' } end)]],
    }),
  }
  name_at(milter, '10.0.0.1')
  t.eq(t.log(milter, 'Reception').meta.x_then, 'mx.example.com 0.0.0.0:25')
end)

t.test('the fields that you return override those configured; the others stay', function()
  local milter = t.milter {
    policy = policy('dynamic_signature_filled.lua', {
      after = [[
kumo.on('init', function()
  kumo.start_esmtp_listener {
    listen = '0.0.0.0:25', hostname = 'mx.own.test', max_recipients_per_message = 1,
    meta = { x_zone = 'edge', x_listener = 'static' },
  }
end)]],
    }),
  }
  t.eq(name_at(milter, '10.0.0.1'), 'mx.example.com')
  local meta = t.log(milter, 'Reception').meta
  t.eq(meta.x_listener, '0.0.0.0:25')
  t.eq(meta.x_zone, 'edge')
  local mta = milter:connect { helo = 'x.test', ip = '127.0.0.1' }
  t.eq(mta:mail '<a@sender.test>', 'continue')
  t.eq(mta:rcpt '<u@d.test>', 'continue')
  t.match(mta:rcpt '<v@d.test>', '^452 4%.5%.3 ')
end)

t.test('the file is loaded for every new connection; one that is open keeps what it has', function()
  local o = listener_params()
  t.write('listener_params.toml', t.read(SEEDS .. 'listener_params.toml'))
  local milter = t.milter { policy = policy('dynamic_toml.lua', o) }
  local open = milter:connect { helo = 'x.test', ip = '127.0.0.1', local_ip = '10.0.0.1' }
  t.write('listener_params.toml', "[via.'10.0.0.1']\nhostname = 'mx.new.test'\nmeta = { x_open = 'no' }\n")
  t.eq(name_at(milter, '10.0.0.1'), 'mx.new.test')
  t.eq({ send(open, 'a@sender.test', 'open@d.test') }, { 'continue', 'discard' })
  local r = t.log(milter, 'Reception', { recipient = 'open@d.test' })
  t.eq(r.meta.hostname, 'mx.example-customer.com')
  t.eq(r.meta.x_open, nil)
  t.eq(name_at(milter, '10.0.0.2') == 'mx.other-customer.com', false, 'it is gone from the file')
end)

t.test('kumo.memoize caches the data', function()
  local o = listener_params()
  t.write('listener_params.toml', t.read(SEEDS .. 'listener_params.toml'))
  local milter = t.milter { policy = policy('dynamic_memoize_filled.lua', o) }
  t.eq(name_at(milter, '10.0.0.1'), 'mx.example-customer.com')
  t.write('listener_params.toml', "[via.'10.0.0.1']\nhostname = 'mx.new.test'\n")
  t.eq(name_at(milter, '10.0.0.1'), 'mx.example-customer.com')
  t.advance '5 mins'
  t.eq(name_at(milter, '10.0.0.1'), 'mx.new.test')
end)

t.test('overrides that are not there, or not listener parameters, close the connection', function()
  local o = listener_params()
  local milter = t.milter { policy = policy('dynamic_toml.lua', o) }
  for _, bad in ipairs {
    { nil, 'listener_params.toml' }, { "[via.'10.0.0.1'\n", 'listener_params.toml' },
    { "listen = '0.0.0.0:26'\n", 'listen' }, { "[via.'10.0.0.1']\nhost = 'x'\n", 'host' },
    { "[via.'10.0.0.300']\nhostname = 'x'\n", '10.0.0.300' }, { 'max_message_size = "big"\n', 'max_message_size' },
  } do
    os.remove(t.dir() .. '/listener_params.toml')
    if bad[1] then
      t.write('listener_params.toml', bad[1])
    end
    local before = #milter:output()
    local mta = milter:connect { ip = '127.0.0.1', local_ip = '10.0.0.1' }
    t.match(mta.connected, '^421 4%.3%.0 ', bad[1])
    t.lacks(mta.connected, bad[2], 'nothing of it reaches the client')
    t.wait_for('the operator to read what is wrong: ' .. bad[2], function()
      return milter:output():find(bad[2], before + 1, true)
    end)
  end
end)

-- ---- make_listener_domain ----

t.test('domain_relay_to: anyone, so long as it is addressed to the requested domain', function()
  local milter = t.milter { policy = policy 'domain_relay_to.lua' }
  local mta = milter:connect { helo = 'x.test' }
  t.eq({ send(mta, 'ann@stranger.test', 'bob@example.com') }, { 'continue', 'discard' })
  t.match(send(mta, 'ann@stranger.test', 'bob@example.org'), '^550 5%.7%.1 ')
  t.match(send(mta, 'ann@example.com', 'bob@example.org'), '^550 5%.7%.1 ', 'the sender does not matter')
  t.match(send(mta, 'ann@stranger.test', 'bob@sub.example.com'), '^550 5%.7%.1 ')
  t.rows(milter:sql 'SELECT address FROM recipient', { { 'bob@example.com' } })
  t.eq({ send(milter:connect { helo = 'x.test', ip = '127.0.0.1' }, 'ann@stranger.test', 'bob@example.org') },
    { 'continue', 'discard' }, 'relaying is denied unless the client is one of the relay_hosts')
end)

t.test('relay_to defaults to false', function()
  local milter = t.milter {
    policy = ([[
kumo.on('pre_init', function() %s end)
kumo.on('get_listener_domain', function() return kumo.make_listener_domain {} end)]]):format(t.local_logs()),
  }
  t.match(send(milter:connect { helo = 'x.test' }, 'a@b.test', 'bob@example.com'), '^550 5%.7%.1 ')
end)

t.test('domain_authenticated: any user is permitted to relay to anywhere', function()
  local milter = t.milter { policy = policy 'domain_authenticated.lua' }
  for _, user in ipairs { 'scott', 'eve' } do
    local mta = milter:connect { helo = 'x.test', auth = user }
    t.eq({ send(mta, 'a@b.test', user .. '@any.where.test') }, { 'continue', 'discard' })
  end
  t.match(send(milter:connect { helo = 'x.test' }, 'a@b.test', 'c@any.where.test'), '^550 5%.7%.1 ')
end)

t.test('domain_by_user: scott is permitted to relay to example.com, and nothing else is', function()
  local milter = t.milter { policy = policy 'domain_by_user.lua' }
  local scott = milter:connect { helo = 'x.test', auth = 'scott' }
  t.eq({ send(scott, 'a@b.test', 'c@example.com') }, { 'continue', 'discard' })
  t.match(send(scott, 'a@b.test', 'c@example.org'), '^550 5%.7%.1 ')
  t.match(send(milter:connect { helo = 'x.test', auth = 'eve' }, 'a@b.test', 'c@example.com'), '^550 5%.7%.1 ')
  t.match(send(milter:connect { helo = 'x.test' }, 'a@b.test', 'c@example.com'), '^550 5%.7%.1 ')
end)

t.test('domain_relay_from: the client matches the CIDR list and the sending domain matches', function()
  local milter = t.milter { policy = policy 'domain_relay_from.lua' }
  local inside = milter:connect { helo = 'x.test', ip = '10.0.0.77' }
  t.eq({ send(inside, 'a@send.example.com', 'c@any.where.test') }, { 'continue', 'discard' })
  t.match(send(inside, 'a@other.example.com', 'c@any.where.test'), '^550 5%.7%.1 ')
  t.match(send(inside, 'a@other.example.com', 'c@send.example.com'), '^550 5%.7%.1 ', 'it is not relay_to')
  local outside = milter:connect { helo = 'x.test', ip = '10.0.1.1' }
  t.match(send(outside, 'a@send.example.com', 'c@any.where.test'), '^550 5%.7%.1 ')
end)

-- A report of another server, to one of our domains.
local function report(to, type, part)
  return ([[
From: postmaster@far.test
To: %s
Subject: a report
MIME-Version: 1.0
Content-Type: multipart/report; report-type=%s; boundary="=b"

--=b
Content-Type: text/plain

Something happened.

--=b
Content-Type: message/%s

%s
--=b--
]]):format(to, type, type, part)
end

-- RFC 3464
local function bounce(to)
  return report(to, 'delivery-status', [[
Reporting-MTA: dns; mx.far.test

Final-Recipient: rfc822; bob@far.test
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 no such user
]])
end

-- RFC 5965
local function complaint(to)
  return report(to, 'feedback-report', 'Feedback-Type: abuse\nUser-Agent: Far/1.0\nVersion: 1\n')
end

for _, case in ipairs {
  { 'domain_log_oob.lua', 'bounce.example.com', bounce, 'OOB', complaint },
  { 'domain_log_arf.lua', 'fbl.example.com', complaint, 'Feedback', bounce },
} do
  local seed, domain, ours, kind, other = table.unpack(case)
  t.test(seed .. ': the report, addressed to this domain, is accepted and logged to the delivery logs', function()
    local milter = t.milter { policy = policy(seed) }
    local mta = milter:connect { helo = 'far.test' }
    local to = 'x@' .. domain
    t.eq({ send(mta, '', to, ours(to)) }, { 'continue', 'discard' })
    local r = t.log(milter, kind)
    if kind == 'OOB' then
      t.eq({ r.sender, r.recipient, r.response.code }, { to, 'bob@far.test', 550 })
    else
      t.eq({ r.recipient, r.feedback_report.feedback_type, r.feedback_report.user_agent }, { to, 'abuse', 'Far/1.0' })
    end
    t.rows(milter:sql 'SELECT count(*) FROM recipient', { { 0 } }, 'nobody has allowed to relay it')
    -- if it is a report, of this kind, and for this domain
    local _, verdict = send(mta, '', to, t.plain)
    t.match(verdict, '^550 5%.7%.1 ')
    _, verdict = send(mta, '', to, other(to))
    t.match(verdict, '^550 5%.7%.1 ')
    t.match(send(mta, '', 'x@example.com', ours 'x@example.com'), '^550 5%.7%.1 ')
    t.eq(#milter:records(kind), 1)
    t.none(milter, 'SELECT count(*) FROM recipient')
  end)
end

t.test('log_oob and log_arf default to false', function()
  local milter = t.milter {
    policy = ([[
kumo.on('pre_init', function() %s end)
kumo.on('get_listener_domain', function() return kumo.make_listener_domain { relay_to = true } end)]]):format(t.local_logs()),
  }
  for _, text in ipairs { bounce 'x@example.com', complaint 'x@example.com' } do
    t.eq({ send(milter:connect { helo = 'x.test' }, '', 'x@example.com', text) }, { 'continue', 'discard' })
  end
  t.eq(#milter:records 'OOB' + #milter:records 'Feedback', 0)
  t.rows(milter:sql 'SELECT count(*) FROM recipient', { { 2 } })
end)

-- ---- make_egress_source ----

-- The seed's sources in a pool, everything to the sink.
-- o: sources (the pool's, 'ip-1'), moves, path = fields of make_egress_path,
-- queue = Lua of the queue's configuration
local function sending(seed, sink, o)
  o = o or {}
  local entries = {}
  for _, name in ipairs(o.sources or { 'ip-1' }) do
    entries[#entries + 1] = ("{ name = '%s' }"):format(name)
  end
  return policy(seed, {
    moves = o.moves, before = o.before,
    after = ([[
kumo.on('get_queue_config', function(domain)
  if domain == 'poolless.test' then
    return kumo.make_queue_config { protocol = { smtp = { mx_list = { '%s' } } } }
  end
  return kumo.make_queue_config { egress_pool = 'pool', protocol = { smtp = { mx_list = { '%s' } } } }
end)
kumo.on('get_egress_pool', function(name)
  return kumo.make_egress_pool { name = name, entries = { %s } }
end)
kumo.on('get_egress_path_config', function()
  return kumo.make_egress_path { prohibited_hosts = {}, %s }
end)
%s]]):format(sink.address, sink.address, table.concat(entries, ', '), o.path or '', o.after or ''),
  })
end

t.test('source_name: a source has at a minimum a name, which is used in logging', function()
  local sink = t.smtp_sink {}
  local router = t.router { policy = sending('source_name.lua', sink, { sources = { 'any-name' } }) }
  router:enqueue { to = 'bob@example.com' }
  local r = t.log(router, 'Delivery')
  t.eq(r.egress_source, 'any-name')
  t.eq(r.egress_pool, 'pool')
  t.match(r.site, '^any%-name%->')
  t.eq(sink:messages()[1].peer, '127.0.0.1', 'the kernel selects the address')
  local _, host = t.run { 'uname', '-n' }
  t.has(sink:messages()[1].helo, host:match '^[^%s.]+', "the server's host name is used")
end)

t.test('a source without a name is refused', function()
  local status, out = t.penstock('params', 'make_egress_source')
  t.eq(status, 0, out)
  local sink = t.smtp_sink {}
  local router = t.router {
    policy = sending('source_name.lua', sink, { before = [[
local on = kumo.on
function kumo.on(name, fn)
  if name == 'get_egress_source' then
    return on(name, function() return kumo.make_egress_source { source_address = '127.0.0.2' } end)
  end
  return on(name, fn)
end]] }),
  }
  router:enqueue { to = 'bob@example.com' }
  t.log(router, 'TransientFailure', { code = 451 })
  t.match(router:output(), 'make_egress_source: name: ')
end)

t.test('a source must be referenced by a pool to be useful', function()
  local sink = t.smtp_sink {}
  local router = t.router { policy = sending('source_address.lua', sink, { moves = { ['10.0.0.1'] = '127.0.0.2' } }) }
  router:enqueue { to = 'bob@poolless.test' }
  t.eq(t.log(router, 'Delivery').egress_source, 'unspecified')
  t.eq(sink:messages()[1].peer, '127.0.0.1')
end)

t.test('source_address: the local IP address of any connection from this source', function()
  local sink = t.smtp_sink {}
  local router = t.router { policy = sending('source_address.lua', sink, { moves = { ['10.0.0.1'] = '127.0.0.2' } }) }
  router:enqueue { to = 'bob@example.com' }
  local r = t.log(router, 'Delivery')
  t.eq(r.egress_source, 'ip-1')
  t.eq(sink:messages()[1].peer, '127.0.0.2')
end)

for _, seed in ipairs { 'source_address.lua', 'source_ehlo_domain.lua', 'source_ha_proxy.lua' } do
  t.test(seed .. ': other source names run into its error, and mail waits', function()
    local sink = t.smtp_sink {}
    local name = seed == 'source_address.lua' and 'ip-2' or 'ip-1' -- the others forgot their return
    local router = t.router { policy = sending(seed, sink, { sources = { name }, moves = { ['10.0.0.1'] = '127.0.0.2' } }) }
    router:enqueue { to = 'bob@example.com' }
    t.log(router, 'TransientFailure', { code = 451 })
    t.has(router:output(), 'you need to do something for other source names')
    t.eq(#sink.sessions, 0)
    t.rows(router:sql 'SELECT count(*) FROM recipient', { { 1 } })
  end)
end

t.test('source_ehlo_domain: the name of EHLO, unless the egress path has one', function()
  local moves = { ['10.0.0.1'] = '127.0.0.2' }
  local sink = t.smtp_sink {}
  local router = t.router { policy = sending('source_ehlo_domain_filled.lua', sink, { moves = moves }) }
  router:enqueue { to = 'bob@example.com' }
  t.log(router, 'Delivery')
  t.eq(sink:messages()[1].helo, 'mta1.examplecorp.com')
  t.eq(sink:messages()[1].peer, '127.0.0.2')
  router:stop()
  router = t.router {
    policy = sending('source_ehlo_domain_filled.lua', sink, { moves = moves, path = "ehlo_domain = 'path.test'" }),
  }
  router:enqueue { to = 'carol@example.com' }
  t.log(router, 'Delivery', { recipient = 'carol@example.com' })
  t.eq(sink:messages()[2].helo, 'path.test')
end)

t.test('source_ha_proxy: connections are made via the HA Proxy server, which uses that source address', function()
  local sink, proxy = t.smtp_sink {}, t.proxy { kind = 'haproxy' }
  local router = t.router {
    policy = sending('source_ha_proxy_filled.lua', sink, {
      moves = { ['10.0.0.1:5000'] = proxy.address, ['10.0.0.1'] = '127.0.0.2' },
    }),
  }
  router:enqueue { to = 'bob@example.com' }
  local r = t.log(router, 'Delivery')
  t.eq(proxy.asked, { { source = '127.0.0.2', to = '127.0.0.1', port = sink.port } })
  t.eq(sink:messages()[1].peer, '127.0.0.2')
  t.eq(r.egress_source, 'ip-1')
  t.eq(sink:messages()[1].helo, 'mta1.examplecorp.com')
end)

t.test('ha_proxy_server and ha_proxy_source_address: only both are a proxy; source_address is for the way to it', function()
  local proxied = { server = 'ha_proxy_server', address = 'ha_proxy_source_address' }
  for _, case in ipairs {
    { { proxied.server }, nil }, { { proxied.address }, nil }, { { proxied.server, proxied.address }, '127.0.0.3' },
    { { proxied.server, proxied.address, 'source_address' }, '127.0.0.3' },
  } do
    local sink, proxy = t.smtp_sink {}, t.proxy { kind = 'haproxy' }
    local values = { ha_proxy_server = proxy.address, ha_proxy_source_address = '127.0.0.3', source_address = '127.0.0.4' }
    local fields = {}
    for _, name in ipairs(case[1]) do
      fields[#fields + 1] = ("%s = '%s'"):format(name, values[name])
    end
    local router = t.router { policy = t.smart_host(sink, { source = table.concat(fields, ', ') }) }
    local to = #fields .. '-' .. fields[1]:match '%a+_%a+_%a+' .. '@example.com'
    router:enqueue { to = to }
    t.log(router, 'Delivery', { recipient = to })
    t.eq(proxy.asked[1] and proxy.asked[1].source, case[2], to)
    router:stop()
  end
end)

t.test('remote_port overrides the remote port, also the one of the egress path', function()
  local sink = t.smtp_sink {}
  local router = t.router {
    policy = ([[
local kumo = require 'kumo'
kumo.on('init', function() %s end)
kumo.on('get_queue_config', function()
  return kumo.make_queue_config { egress_pool = 'pool', protocol = { smtp = { mx_list = { '[127.0.0.1]' } } } }
end)
kumo.on('get_egress_pool', function(name)
  return kumo.make_egress_pool { name = name, entries = { { name = 'ip-1' } } }
end)
kumo.on('get_egress_source', function(name)
  return kumo.make_egress_source { name = name, remote_port = %d }
end)
kumo.on('get_egress_path_config', function()
  return kumo.make_egress_path { prohibited_hosts = {}, smtp_port = 9 }
end)]]):format(t.local_logs(), sink.port),
  }
  router:enqueue { to = 'bob@example.com' }
  t.log(router, 'Delivery')
end)

t.test('case 128, ttl: a definition is cached for 60 seconds, or as long as it says', function()
  for _, case in ipairs { { '', 60 }, { "ttl = '5 mins',", 300 } } do
    local sink = t.smtp_sink {}
    t.write('ehlo', 'one.test')
    local router = t.router {
      policy = ([[
local kumo = require 'kumo'
kumo.on('init', function() %s end)
kumo.on('get_queue_config', function()
  return kumo.make_queue_config { egress_pool = 'pool', protocol = { smtp = { mx_list = { '%s' } } } }
end)
kumo.on('get_egress_pool', function(name)
  return kumo.make_egress_pool { name = name, entries = { { name = 'ip-1' } }, ttl = '1 s' }
end)
kumo.on('get_egress_source', function(name)
  return kumo.make_egress_source { name = name, ehlo_domain = io.open('%s'):read 'a', %s }
end)
kumo.on('get_egress_path_config', function()
  return kumo.make_egress_path { prohibited_hosts = {}, max_deliveries_per_connection = 1 }
end)]]):format(t.local_logs(), sink.address, t.dir() .. '/ehlo', case[1]),
    }
    local function greeting(to)
      router:enqueue { to = to }
      t.log(router, 'Delivery', { recipient = to })
      return sink:messages()[#sink:messages()].helo
    end
    local tag = '-' .. case[2] .. '@example.com'
    t.eq(greeting('a' .. tag), 'one.test')
    t.write('ehlo', 'two.test')
    router:advance(case[2] - 10)
    t.eq(greeting('b' .. tag), 'one.test', 'within ' .. case[2] .. ' s')
    router:advance(11)
    t.eq(greeting('c' .. tag), 'two.test', 'after ' .. case[2] .. ' s')
    router:stop()
  end
end)

t.test('define_egress_source: the most recent definition of a name replaces the others', function()
  local sink = t.smtp_sink {}
  local router = t.router {
    policy = ([[
local kumo = require 'kumo'
kumo.on('init', function()
  %s
  kumo.define_egress_source { name = 'ip-1', source_address = '127.0.0.3', ehlo_domain = 'old.test' }
  kumo.define_egress_source { name = 'ip-1', source_address = '127.0.0.2' }
end)
kumo.on('get_queue_config', function()
  return kumo.make_queue_config { egress_pool = 'pool', protocol = { smtp = { mx_list = { '%s' } } } }
end)
kumo.on('get_egress_pool', function(name)
  return kumo.make_egress_pool { name = name, entries = { { name = 'ip-1' } } }
end)
kumo.on('get_egress_path_config', function() return kumo.make_egress_path { prohibited_hosts = {} } end)
]]):format(t.local_logs(), sink.address),
  }
  router:enqueue { to = 'bob@example.com' }
  t.log(router, 'Delivery')
  t.eq(sink:messages()[1].peer, '127.0.0.2')
  t.ok(sink:messages()[1].helo ~= 'old.test', 'replaced, not merged')
end)

-- ---- protocol ----

-- The seed's queues; hosts listen on the port of the egress path.
local function queues(seed, port, o)
  o = o or {}
  o.after = ([[
kumo.on('get_egress_path_config', function()
  return kumo.make_egress_path { prohibited_hosts = {}, smtp_port = %d }
end)
%s]]):format(port, o.after or '')
  return policy(seed, o)
end

-- Two hosts with one port, as SMTP has it: sinks on 127.0.0.3 and 127.0.0.4.
local function two_hosts(first, second)
  for _ = 1, 50 do
    local a = t.smtp_sink { ip = '127.0.0.3', connect = first }
    local ok, b = pcall(t.smtp_sink, { ip = '127.0.0.4', port = a.port, connect = second })
    if ok then
      return a, b
    end
    a:stop()
  end
  t.fail 'no port is free on both addresses'
end

t.test('queue_smart_host: addresses will be tried in the order specified', function()
  local first, second = two_hosts({ '220 first', '421 4.3.2 full', '220 first' })
  local dns = t.dns { ['smart.host.local'] = { A = { '127.0.0.3' } } }
  local router = t.router {
    policy = queues('queue_smart_host.lua', first.port, { moves = { ['10.0.0.1'] = '127.0.0.4' } }), dns = dns,
  }
  router:enqueue { to = 'a@smarthost.example.com' }
  local r = t.log(router, 'Delivery', { recipient = 'a@smarthost.example.com' })
  t.eq(#first:messages(), 1)
  t.eq(#second.sessions, 0)
  t.eq(r.peer_address.name, 'smart.host.local')
  t.eq(r.peer_address.addr, '127.0.0.3')
  t.match(r.site, 'mx_list:smart%.host%.local,127%.0%.0%.4@smtp_client$')
  t.wait_for('the first connection to end', function()
    router:advance(60)
    return first.sessions[1].closed
  end)
  router:enqueue { to = 'b@smarthost.example.com' }
  r = t.log(router, 'Delivery', { recipient = 'b@smarthost.example.com' })
  t.eq(#second:messages(), 1, 'the first host would not have it')
  t.eq(r.peer_address.name, 'mx.example.com')
end)

t.test('queue_smart_host: the name is resolved for A and AAAA records', function()
  local sink = t.smtp_sink { ip = '::1' }
  local dns = t.dns { ['smart.host.local'] = { AAAA = { '::1' } } }
  local router = t.router {
    policy = queues('queue_smart_host.lua', sink.port, { moves = { ['10.0.0.1'] = '127.0.0.4' } }), dns = dns,
  }
  router:enqueue { to = 'a@smarthost.example.com' }
  t.eq(t.log(router, 'Delivery').peer_address.addr, '::1')
end)

t.test('queue_smart_host: an IP or IPv6 address is enclosed in []', function()
  for _, address in ipairs { '127.0.0.1', '::1' } do
    local sink = t.smtp_sink { ip = address }
    local router = t.router {
      policy = queues('queue_smart_host.lua', sink.port,
        { moves = { ['10.0.0.1'] = '127.0.0.4', ['smart.host.local'] = '[' .. address .. ']' } }),
    }
    local to = #address .. '@smarthost.example.com'
    router:enqueue { to = to }
    t.eq(t.log(router, 'Delivery', { recipient = to }).peer_address.addr, address)
    router:stop()
  end
end)

for _, seed in ipairs { 'queue_smart_host.lua', 'queue_maildir.lua', 'queue_webhook.lua' } do
  t.test(seed .. ': otherwise the default: SMTP to the domain associated with the queue', function()
    local sink = t.smtp_sink { ip = '127.0.0.7' }
    local dns = t.dns { ['other.test'] = { MX = { { 10, 'mx.other.test' } } }, ['mx.other.test'] = { A = { '127.0.0.7' } } }
    local router = t.router { policy = queues(seed, sink.port), dns = dns }
    router:enqueue { to = 'a@other.test' }
    t.eq(t.log(router, 'Delivery').peer_address.name, 'mx.other.test')
    t.eq(#sink:messages(), 1)
  end)
end

t.test('queue_maildir: the domain is stored into a maildir, rather than delivered by SMTP', function()
  local router = t.router {
    policy = policy('queue_maildir.lua', { moves = { ['/var/tmp/kumo-maildir'] = t.dir() .. '/kumo-maildir' } }),
  }
  router:enqueue { to = 'bob@maildir.example.com', data = 'Subject: kept\r\n\r\nHello.\r\n' }
  t.eq(t.log(router, 'Delivery').delivery_protocol, 'Maildir')
  local new = t.dir() .. '/kumo-maildir/new'
  local names = t.sys.list(new)
  t.eq(#names, 1)
  t.has(t.read(new .. '/' .. names[1]), 'Subject: kept')
end)

t.test('queue_maildir: a failure to write is retried after about a minute, not on the normal schedule', function()
  t.write('kumo-maildir', 'a file where the maildir should be')
  local router = t.router {
    policy = policy('queue_maildir.lua', { moves = { ['/var/tmp/kumo-maildir'] = t.dir() .. '/kumo-maildir' } }),
  }
  router:enqueue { to = 'bob@maildir.example.com' }
  for attempt = 1, 3 do
    t.wait_for('attempt ' .. attempt, function()
      return #router:records 'TransientFailure' >= attempt
    end)
    t.wait_for('the row', function()
      return router:sql('SELECT state FROM recipient')[1][1] == 0
    end)
    router:advance(attempt < 3 and 95 or 1)
  end
  os.remove(t.dir() .. '/kumo-maildir')
  router:advance(95)
  t.log(router, 'Delivery')
end)

-- `failed`, a global that the page does not set: true while the file is there.
local FAILED = [[
setmetatable(_G, { __index = function(_, name)
  if name ~= 'failed' then return nil end
  local f = io.open('%s/failed')
  return f and f:close()
end })]]

t.test('queue_webhook: its connection has the message, and what it returns is logged', function()
  local router = t.router { policy = policy('queue_webhook.lua', { before = FAILED:format(t.dir()) }) }
  router:enqueue { to = 'hook@webhook', data = 'Subject: for the hook\r\n\r\nHello.\r\n' }
  local r = t.log(router, 'Delivery')
  t.eq(r.response.content, 'OK')
  t.eq(r.response.code, 200)
  t.has(router:output():gsub('\r', ''), 'Subject: for the hook\n\nHello.\n')
  t.none(router, 'SELECT count(*) FROM recipient')
end)

t.test('queue_webhook: 400 codes will be retried later', function()
  t.write('failed', '')
  local router = t.router { policy = policy('queue_webhook.lua', { before = FAILED:format(t.dir()) }) }
  router:enqueue { to = 'hook@webhook' }
  t.log(router, 'TransientFailure', { code = 400, content = 'failed for some reason' })
  t.wait_for('the row', function()
    return router:sql('SELECT state FROM recipient')[1][1] == 0
  end)
  os.remove(t.dir() .. '/failed')
  router:advance '21 mins'
  t.eq(t.log(router, 'Delivery').response.content, 'OK')
end)

t.test('queue_webhook: any name will do for the event, which knows domain, tenant and campaign', function()
  local router = t.router { policy = policy 'queue_webhook_filled.lua' }
  router:enqueue { to = 'bob@webhook', meta = { tenant = 'acme', campaign = 'spring' } }
  t.eq(t.log(router, 'Delivery', { recipient = 'bob@webhook' }).response.content, 'kept for webhook acme spring')
  router:stop() -- a connection is for all that waits for this domain
  router = t.router {}
  router:enqueue { to = 'carol@webhook' }
  t.eq(t.log(router, 'Delivery', { recipient = 'carol@webhook' }).response.content, 'kept for webhook nil nil')
end)

t.test('queue_webhook: 500 codes are a permanent failure, and no further attempts are made', function()
  local router = t.router { policy = policy 'queue_webhook_filled.lua' }
  router:enqueue { to = 'reject-500@webhook' }
  t.log(router, 'Bounce', { code = 500, content = 'failed for some reason' })
  router:enqueue { to = 'reject-450@webhook' }
  t.log(router, 'TransientFailure', { code = 450 })
  t.wait_for('the rows', function()
    local rows = router:sql 'SELECT address, state FROM recipient'
    return #rows == 1 and rows[1][1] == 'reject-450@webhook' and rows[1][2] == 0
  end)
  t.eq(#router:records 'Bounce', 1)
end)
