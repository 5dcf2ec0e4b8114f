-- Shaping files: the router keeps to the limits of the section whose mail hosts a
-- domain has.
local t = require 'harness'

local POLICY = [[
local kumo = require 'kumo'
local shaping = require 'policy-extras.shaping'
kumo.on('init', function() %s end)
kumo.on('get_egress_path_config', shaping:setup { '%s' })
]]

local ZONE = {
  ['one.test'] = { MX = { { 10, 'a.mx.test' } } },
  ['two.test'] = { MX = { { 20, 'a.mx.test' } } },
  ['other.test'] = { MX = { { 10, 'b.mx.test' } } },
  ['a.mx.test'] = { A = { '127.0.0.7' } },
  ['b.mx.test'] = { A = { '127.0.0.8' } },
  ['broken.test'] = 'SERVFAIL',
}

-- A router whose policy reads `text` as its shaping file; all sites answer at `port`.
local function start(port, text)
  local dns = t.dns(ZONE)
  local file = t.write('shaping.toml', ('[default]\nprohibited_hosts = []\nsmtp_port = %d\n%s'):format(port, text))
  return t.router { policy = POLICY:format(t.local_logs(), file), dns = dns }
end

-- Nothing is leased, `n` recipients are left.
local function left(router, n)
  t.wait_for(n .. ' recipients to be left, none of them leased', function()
    local row = router:sql('SELECT count(*), coalesce(sum(state), 0) FROM recipient')[1]
    return row[1] == n and row[2] == 0
  end)
end

t.test('two domains with the same mail hosts share the rate of the section of one of them', function()
  local sink = t.smtp_sink { ip = '127.0.0.7' }
  local other = t.smtp_sink { ip = '127.0.0.8', port = sink.port }
  local router = start(sink.port, '["one.test"]\nmax_message_rate = "4/h"\n')
  router:enqueue { to = 'bob@two.test', count = 5 }
  router:enqueue { to = 'bob@one.test', count = 5 }
  router:enqueue { to = 'bob@other.test', count = 5 }
  left(router, 6)
  t.eq(#sink:messages(), 4)
  t.eq(#other:messages(), 5)
  t.eq(router:sql('SELECT max(attempts) FROM recipient')[1][1], 0)
  router:advance(901)
  left(router, 5)
  t.eq(#sink:messages(), 5)
end)

t.test('and its connections', function()
  local sink = t.smtp_sink { ip = '127.0.0.7' }
  local router = start(sink.port, '["two.test"]\nconnection_limit = 2\n')
  router:enqueue { to = 'bob@one.test', count = 100 }
  router:enqueue { to = 'bob@two.test', count = 100 }
  t.wait_for('all of them', function()
    return #sink:messages() == 200
  end, 60000)
  t.ok(sink.most_open <= 2, sink.most_open)
end)

t.test('a section whose domain cannot be looked up is named in a warning, and the others count', function()
  local sink = t.smtp_sink { ip = '127.0.0.7' }
  local router = start(sink.port, '["broken.test"]\nconnection_limit = 1\n["one.test"]\nmax_message_rate = "2/h"\n')
  router:enqueue { to = 'bob@two.test', count = 3 }
  left(router, 1)
  t.eq(#sink:messages(), 2)
  t.ok(router:output():find('broken.test: no mail hosts found', 1, true), 'the warning')
end)

t.test('a mistake in the file: the router does not start, and says where it is', function()
  local file = t.write('shaping.toml', '["one.test"]\nconnection_limit = 0\n')
  local router = t.router { policy = POLICY:format(t.local_logs(), file), expect_failure = true }
  t.eq(router:wait(), 78)
  t.ok(router:output():find('shaping.toml: ["one.test"]: connection_limit: 0 is less than 1', 1, true), router:output())
end)

t.test('a change of the file holds within a minute; a mistake is logged, changes nothing for sites in use, and defers mail for others', function()
  local before, after = t.smtp_sink { ip = '127.0.0.7' }, t.smtp_sink { ip = '127.0.0.7' }
  local one = '["one.test"]\nmax_deliveries_per_connection = 1\n'
  local router = start(before.port, one)
  local function change(text)
    t.write('shaping.toml', '[default]\nprohibited_hosts = []\n' .. one .. text)
  end
  -- Sends one message after another, a while apart, until the change is seen.
  local function send_until(what, seen)
    t.wait_for(what, function()
      router:advance(130)
      router:enqueue { to = 'bob@two.test' }
      t.wait_for('the message to be tried', function()
        return router:sql('SELECT count(*) FROM recipient WHERE attempts = 0')[1][1] == 0
      end)
      return seen()
    end)
  end
  router:enqueue { to = 'bob@two.test' }
  t.log(router, 'Delivery')
  t.eq(#before:messages(), 1)
  change(('smtp_port = %d\n'):format(after.port))
  send_until('the new port to be used', function()
    return #after:messages() > 0
  end)
  change 'smtp_port = 0\n'
  send_until('the mistake to be logged', function()
    return router:output():find('shaping.toml: ["one.test"]: smtp_port: 0 is outside', 1, true)
  end)
  t.eq(#router:records 'TransientFailure', 0)
  router:enqueue { to = 'bob@other.test' }
  t.log(router, 'TransientFailure', { code = 451, recipient = 'bob@other.test' })
  change(('smtp_port = %d\n'):format(after.port))
  router:advance '3 hours'
  router:enqueue { to = 'carol@one.test' }
  t.log(router, 'Delivery', { recipient = 'carol@one.test' })
end)
