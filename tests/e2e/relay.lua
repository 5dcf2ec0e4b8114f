-- Who may send where: listener domains and the relay decision.
local t = require 'harness'

local function policy(body, listener)
  return ([[
local kumo = require 'kumo'
kumo.on('init', function()
  kumo.start_esmtp_listener { %s }
  %s
end)
%s
]]):format(listener or "listen = '0.0.0.0:25', relay_hosts = {}", t.local_logs(), body)
end

-- One transaction; the replies in order: mail, rcpt..., message.
local function send(mta, from, to, data)
  local replies = { mta:mail('<' .. from .. '>') }
  local accepted = false
  for _, address in ipairs(type(to) == 'table' and to or { to }) do
    local reply = mta:rcpt('<' .. address .. '>')
    accepted = accepted or reply == 'continue'
    replies[#replies + 1] = reply
  end
  if accepted then
    replies[#replies + 1] = mta:message(data or t.plain)
  else
    mta:abort()
  end
  return replies
end

local EXAMPLE = [[
kumo.on('get_listener_domain', function(domain, listener, conn_meta)
  if domain == 'example.com' then
    return kumo.make_listener_domain { relay_to = true }
  end
end)
]]

t.test('case 67: relay_to opens a domain to everyone, and no other domain with it', function()
  local milter = t.milter { policy = policy(EXAMPLE) }
  local mta = milter:connect { helo = 'stranger.test' }
  t.eq(mta:mail '<ann@stranger.test>', 'continue')
  t.eq(mta:rcpt '<u@example.com>', 'continue')
  t.match(mta:rcpt '<u@example.org>', '^550 5%.7%.1 .*203%.0%.113%.9')
  t.eq(mta:message(t.plain), 'discard')
  t.rows(milter:sql 'SELECT address, state FROM recipient', { { 'u@example.com', 0 } })
end)

t.test('case 13: without handlers every recipient of a stranger is refused', function()
  local milter = t.milter { policy = policy '' }
  t.match(send(milter:connect { helo = 'x.test' }, 'a@b.test', 'c@d.test')[2], '^550 5%.7%.1 ')
end)

t.test('case 68: relay_hosts may relay anything anywhere', function()
  local milter = t.milter {
    policy = policy("kumo.on('get_listener_domain', function() return nil end)",
      "listen = '0.0.0.0:25', relay_hosts = { '203.0.113.0/24' }"),
  }
  local mta = milter:connect { helo = 'x.test' }
  t.eq(send(mta, 'a@b.test', { 'c@d.test', 'e@f.test' }), { 'continue', 'continue', 'continue', 'discard' })
  local other = milter:connect { helo = 'x.test', ip = '198.51.100.1' }
  t.match(send(other, 'a@b.test', 'c@d.test')[2], '^550 5%.7%.1 ')
end)

t.test('case 69, 71: relay_from is for the sender domain and the peer together', function()
  local milter = t.milter {
    policy = policy [[
kumo.on('get_listener_domain', function(domain)
  if domain == 'send.example.com' then
    return kumo.make_listener_domain { relay_from = { '203.0.113.0/24' } }
  end
end)]],
  }
  local inside = milter:connect { helo = 'x.test' }
  t.eq(send(inside, 'x@send.example.com', 'any@where.example')[2], 'continue')
  t.match(send(inside, 'x@other.example', 'any@where.example')[2], '^550 5%.7%.1 ')
  t.match(send(inside, 'x@other.example', 'u@send.example.com')[2], '^550 5%.7%.1 ')
  local outside = milter:connect { helo = 'x.test', ip = '198.51.100.1' }
  t.match(send(outside, 'x@send.example.com', 'any@where.example')[2], '^550 5%.7%.1 ')
end)

t.test('case 70: relay_to = false does not block a peer of relay_hosts', function()
  local milter = t.milter {
    policy = policy("kumo.on('get_listener_domain', function() return kumo.make_listener_domain { relay_to = false } end)",
      "listen = '0.0.0.0:25', relay_hosts = { '203.0.113.9' }"),
  }
  t.eq(send(milter:connect { helo = 'x.test' }, 'a@b.test', 'c@d.test')[2], 'continue')
end)

local BY_AUTH = [[
kumo.on('get_listener_domain', function(domain, listener, conn_meta)
  if conn_meta:get_meta 'authz_id' then
    return kumo.make_listener_domain { relay_to = true }
  end
end)]]

t.test('case 72: permission that comes with authentication is seen in the same connection', function()
  local milter = t.milter { policy = policy(BY_AUTH) }
  local mta = milter:connect { helo = 'x.test' }
  t.match(send(mta, 'a@b.test', 'c@d.test')[2], '^550 5%.7%.1 ')
  mta.o.auth = 'scott'
  t.eq(send(mta, 'a@b.test', 'c@d.test'), { 'continue', 'continue', 'discard' })
  mta.o.auth = nil
  t.match(send(mta, 'a@b.test', 'c@d.test')[2], '^550 5%.7%.1 ')
end)

t.test('case 73: a table of users and domains', function()
  local milter = t.milter {
    policy = policy [[
local RELAY_BY_DOMAIN = { ['example.com'] = { ['scott'] = true } }
kumo.on('get_listener_domain', function(domain, listener, conn_meta)
  local dom_map = RELAY_BY_DOMAIN[domain]
  if dom_map then
    local authz_id = conn_meta:get_meta 'authz_id'
    if dom_map[authz_id] then
      return kumo.make_listener_domain { relay_to = true }
    end
  end
end)]],
  }
  local scott = milter:connect { helo = 'x.test', auth = 'scott' }
  t.eq(send(scott, 'a@b.test', 'u@example.com')[2], 'continue')
  t.match(send(scott, 'a@b.test', 'u@example.org')[2], '^550 ')
  local other = milter:connect { helo = 'x.test', auth = 'other' }
  t.match(send(other, 'a@b.test', 'u@example.com')[2], '^550 ')
end)

local RECORD_CALLS = [[
kumo.on('get_listener_domain', function(domain, listener, conn_meta)
  local f = io.open('%s/calls', 'a')
  f:write('[' .. domain .. '|' .. listener .. ']')
  f:close()
  return kumo.make_listener_domain { relay_to = true }
end)]]

t.test('case 74: one question for each domain of a connection, end of message included', function()
  local milter = t.milter { policy = policy(RECORD_CALLS:format(t.dir())) }
  local mta = milter:connect { helo = 'x.test' }
  t.eq(send(mta, 'a@sender.test', { 'u@example.com', 'v@example.com' })[4], 'discard')
  t.eq(t.read(t.dir() .. '/calls'), '[sender.test|0.0.0.0:25][example.com|0.0.0.0:25]')
  send(milter:connect { helo = 'x.test' }, 'a@sender.test', 'u@example.com')
  t.eq(t.read(t.dir() .. '/calls'), ('[sender.test|0.0.0.0:25][example.com|0.0.0.0:25]'):rep(2))
end)

t.test('case 75-78: the domain is lower case, empty for <> and postmaster, bracketed for literals', function()
  local milter = t.milter { policy = policy(RECORD_CALLS:format(t.dir())) }
  local mta = milter:connect { helo = 'x.test' }
  send(mta, '', 'U@EXAMPLE.COM')
  send(mta, 'a@sender.test', 'postmaster')
  send(mta, 'a@sender.test', 'u@[10.0.0.1]')
  local domains = {}
  for domain in t.read(t.dir() .. '/calls'):gmatch '%[([^|]*)|[^|%]]*%]' do
    domains[#domains + 1] = domain
  end
  t.eq(domains, { '', 'example.com', 'sender.test', '[10.0.0.1]' })
end)

t.test('case 77: bare postmaster is asked about as the empty domain', function()
  local milter = t.milter { policy = policy(RECORD_CALLS:format(t.dir())) }
  local mta = milter:connect { helo = 'x.test' }
  t.eq(mta:mail '<a@sender.test>', 'continue')
  t.eq(mta:rcpt '<postmaster>', 'continue')
  t.eq(t.read(t.dir() .. '/calls'), '[sender.test|0.0.0.0:25][|0.0.0.0:25]')
end)

t.test('case 76: <> may be allowed by relay_from of the empty domain', function()
  local milter = t.milter {
    policy = policy [[
kumo.on('get_listener_domain', function(domain)
  if domain == '' then return kumo.make_listener_domain { relay_from = { '203.0.113.9' } } end
end)]],
  }
  t.eq(send(milter:connect { helo = 'x.test' }, '', 'any@where.example')[2], 'continue')
end)

t.test('case 79: a plain table is taken for a listener domain', function()
  local milter = t.milter {
    policy = policy "kumo.on('get_listener_domain', function() return { relay_to = true } end)",
  }
  t.eq(send(milter:connect { helo = 'x.test' }, 'a@b.test', 'c@d.test')[2], 'continue')
end)

t.test('case 80: nonsense is 421 4.3.0, a reject is honoured', function()
  local milter = t.milter {
    policy = policy [[
kumo.on('get_listener_domain', function(domain)
  if domain == 'nonsense.test' then return true end
  if domain == 'reject.test' then kumo.reject(450, '4.7.1 x') end
end)]],
  }
  t.match(send(milter:connect { helo = 'x.test' }, 'a@b.test', 'c@nonsense.test')[2], '^421 4%.3%.0 ')
  t.match(send(milter:connect { helo = 'x.test' }, 'a@b.test', 'c@reject.test')[2], '^450 4%.7%.1 x')
end)

t.test('case 39, 81: the listener argument is the text of the owning listener', function()
  local body = [[
kumo.on('get_listener_domain', function(domain, listener)
  if listener == '10.0.0.1:25' then return kumo.make_listener_domain { relay_to = true } end
end)]]
  local milter = t.milter {
    policy = policy(body, "listen = '10.0.0.1:25', relay_hosts = {} }  kumo.start_esmtp_listener { listen = '10.0.0.2:25', relay_hosts = {}"),
  }
  t.eq(send(milter:connect { helo = 'x.test' }, 'a@b.test', 'c@d.test')[2], 'continue')
  t.match(send(milter:connect { helo = 'x.test', local_ip = '10.0.0.2' }, 'a@b.test', 'c@d.test')[2], '^550 5%.7%.1 ')
end)

t.test('a local part that a server behind us could route is refused to strangers', function()
  local milter = t.milter { policy = policy(EXAMPLE) }
  local mta = milter:connect { helo = 'x.test' }
  t.eq(mta:mail '<a@b.test>', 'continue')
  for _, local_part in ipairs { 'x%other.test', 'other.test!x', '"x@other.test"' } do
    t.match(mta:rcpt('<' .. local_part .. '@example.com>'), '^550 5%.7%.1 ', local_part)
  end
  t.eq(mta:rcpt '<plain@example.com>', 'continue')
end)

t.test('a domain may allow such local parts', function()
  local milter = t.milter {
    policy = policy [[
kumo.on('get_listener_domain', function(domain)
  return kumo.make_listener_domain { relay_to = true, allow_routed_local_part = domain == 'gateway.test' }
end)]],
  }
  local mta = milter:connect { helo = 'x.test' }
  t.eq(mta:mail '<a@b.test>', 'continue')
  t.eq(mta:rcpt '<x%other.test@gateway.test>', 'continue')
  t.match(mta:rcpt '<x%other.test@example.com>', '^550 5%.7%.1 ')
  t.eq(mta:message(t.plain), 'discard')
  t.rows(milter:sql 'SELECT address FROM recipient', { { 'x%other.test@gateway.test' } })
end)

t.test('bare postmaster is always admitted, other bare names are not', function()
  local milter = t.milter { policy = policy '' }
  local mta = milter:connect { helo = 'x.test' }
  t.eq(mta:mail '<a@b.test>', 'continue')
  t.eq(mta:rcpt '<Postmaster>', 'continue')
  t.match(mta:rcpt '<bob>', '^550 5%.1%.3 ')
  t.eq(mta:message(t.plain), 'discard')
  t.match(milter:sql('SELECT address FROM recipient')[1][1], '^[Pp]ostmaster@')
end)

t.test('a connection without an address matches no CIDR, not even any', function()
  local milter = t.milter {
    policy = policy('', "listen = '0.0.0.0:25', relay_hosts = { 'any' }"),
  }
  t.eq(send(milter:connect { helo = 'x.test' }, 'a@b.test', 'c@d.test')[2], 'continue')
  t.match(send(milter:connect { ip = false, helo = 'x.test' }, 'a@b.test', 'c@d.test')[2], '^550 5%.7%.1 ')
end)

t.test('recipients that stay with the MTA are removed from what is ours and the other way round', function()
  local milter = t.milter {
    policy = policy [[
kumo.on('get_listener_domain', function(domain)
  if domain == 'ours.test' then return kumo.make_listener_domain { relay_to = true } end
  if domain == 'local.test' then return kumo.make_listener_domain { leave_to_mta = true } end
end)]],
  }
  local mta = milter:connect { helo = 'x.test' }
  t.eq(mta:mail '<a@b.test>', 'continue')
  t.eq(mta:rcpt '<@relay.test:u@ours.test>', 'continue')
  t.eq(mta:rcpt '<v@local.test>', 'continue')
  t.match(mta:rcpt '<w@elsewhere.test>', '^550 5%.7%.1 ')
  local verdict = mta:message(t.plain)
  t.ok(verdict == 'accept' or verdict == 'continue', verdict)
  local removed, edits = {}, {}
  for _, change in ipairs(mta.changes) do
    if change[1] == '-' then
      removed[#removed + 1] = (change[2]:gsub('%z$', ''))
    else
      edits[#edits + 1] = change[1]
    end
  end
  t.eq(removed, { '<u@ours.test>' })
  t.eq(edits, {}, "the MTA's copy is not edited")
  t.rows(milter:sql 'SELECT address FROM recipient', { { 'u@ours.test' } })
end)

-- smfi_delrcpt says no only where its text is empty, the right to remove was not
-- negotiated (then the milter does not work with that MTA at all), or the MTA does
-- not listen any more: so it has answered nobody, and the client sends again.
t.test('the MTA dies between the commit and the removal of ours: committed, reported, and nothing else', function()
  t.milter({ policy = t.accept_policy() }):kill() -- the file exists before the fault does
  local milter = t.milter {
    policy = policy [[
kumo.on('get_listener_domain', function(domain)
  if domain == 'ours.test' then return kumo.make_listener_domain { relay_to = true } end
  if domain == 'local.test' then return kumo.make_listener_domain { leave_to_mta = true } end
end)]],
    env = { PENSTOCK_FAULT = 'custody.after-commit:1:stop' },
  }
  local mta = milter:connect { helo = 'x.test', queue_id = 'QGONE' }
  t.eq(mta:mail '<a@b.test>', 'continue')
  t.eq(mta:rcpt '<u@ours.test>', 'continue')
  t.eq(mta:rcpt '<v@local.test>', 'continue')
  t.eq(mta:data(), 'continue')
  t.eq(mta:content(t.plain), 'continue')
  mta:eom_begin()
  t.wait_for('the commit', function()
    return (t.read('/proc/' .. milter.pid .. '/stat') or ''):match '%) T'
  end)
  mta:close()
  milter:signal(18)
  t.match(milter:line 'QGONE: the MTA could not be told to drop [^\n]*', 'u@ours%.test: deferred, what is queued may come twice')
  t.rows(milter:sql 'SELECT address FROM recipient', { { 'u@ours.test' } })
  -- The next connection has its own fate.
  mta = milter:connect { helo = 'x.test' }
  t.eq(mta:mail '<a@b.test>', 'continue')
  t.eq(mta:rcpt '<u@ours.test>', 'continue')
  t.eq(mta:rcpt '<v@local.test>', 'continue')
  t.eq(mta:message(t.plain), 'accept')
  t.eq(#mta.changes, 1)
end)

t.test('unlisted domains stay with the MTA when the policy says so', function()
  local milter = t.milter {
    policy = policy([[
kumo.on('get_listener_domain', function(domain)
  if domain == 'ours.test' then return kumo.make_listener_domain { relay_to = true } end
  if domain == 'closed.test' then return kumo.make_listener_domain {} end
end)
penstock.unlisted_domains = 'leave_to_mta']]),
  }
  local mta = milter:connect { helo = 'x.test' }
  t.eq(mta:mail '<a@b.test>', 'continue')
  t.eq(mta:rcpt '<v@unlisted.test>', 'continue')
  t.match(mta:rcpt '<v@closed.test>', '^550 5%.7%.1 ')
  local verdict = mta:message(t.plain)
  t.ok(verdict == 'accept' or verdict == 'continue', verdict)
  t.eq(mta.changes, {})
  t.none(milter, 'SELECT count(*) FROM recipient')
end)
