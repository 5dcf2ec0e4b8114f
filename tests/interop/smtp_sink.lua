-- smtp-sink with each of its faults at each stage: the right sort of record, and
-- nothing lost.  One router, a domain and an smtp-sink for each fault.
local t = require 'harness'
local postfix = require 'postfix'

local DELIVERY, LATER, BOUNCE = 'Delivery', 'TransientFailure', 'Bounce'
local big = 'Subject: big\r\n\r\n' .. ('A line of text that fills some windows.\r\n'):rep(12000)
local eight = 'Subject: 8\r\n\r\nJ\xc3\xb6rg\r\n'

-- options; what the record is; its code (nil: any).  More by name: content; count
-- of messages; stall: time limits are short; or: what may come instead.
local CASES = {
  { { '-r', 'CONNECT' }, LATER, 400 }, { { '-f', 'CONNECT' }, LATER, 400 },
  { { '-r', 'EHLO' }, LATER, 400 }, { { '-r', 'EHLO,HELO' }, LATER, 400 },
  { { '-f', 'EHLO' }, DELIVERY, 250 }, { { '-f', 'EHLO,HELO' }, LATER, 400 },
  { { '-r', 'MAIL' }, LATER, 450 }, { { '-f', 'MAIL' }, BOUNCE, 500 },
  { { '-r', 'RCPT' }, LATER, 450 }, { { '-f', 'RCPT' }, BOUNCE, 500 },
  { { '-r', 'DATA' }, LATER, 450 }, { { '-f', 'DATA' }, BOUNCE, 500 },
  { { '-r', '.' }, LATER, 450 }, { { '-f', '.' }, BOUNCE, 500 },
  { { '-r', 'QUIT' }, DELIVERY, 250 }, { { '-f', 'QUIT' }, DELIVERY, 250 },
  { { '-q', 'QUIT' }, DELIVERY, 250 }, { { '-Q', 'QUIT' }, DELIVERY, 250 },
  -- What is said, not only that it is 4yz or 5yz.
  { { '-b', '451 4.7.1 not now', '-r', 'RCPT' }, LATER, 451 },
  { { '-B', '552 5.2.2 full', '-f', '.' }, BOUNCE, 552 },
  { { '-B', '552 5.2.2 full', '-f', 'RCPT' }, BOUNCE, 552 },
  { { '-B', '503 5.5.1 out of order', '-f', 'MAIL' }, LATER, 503 },
  { { '-B', '521 5.3.2 no mail here', '-f', 'DATA' }, BOUNCE, 521 },
  { { '-b', '452 4.5.3 too many', '-r', 'RCPT' }, LATER, 452 },
  { { '-b', '421 4.3.2 going down', '-r', 'RCPT' }, LATER, 421 },
  { { '-b', '421 4.3.2 going down', '-r', '.' }, LATER, 421 },
  -- Between two messages on a connection.
  { { '-q', 'RSET' }, DELIVERY, count = 2, ['or'] = LATER }, { { '-Q', 'RSET' }, DELIVERY, count = 2, ['or'] = LATER },
  { { '-r', 'RSET' }, DELIVERY, count = 2, ['or'] = LATER }, { { '-f', 'RSET' }, DELIVERY, count = 2, ['or'] = LATER },
  -- The whole program ends after one message (before it has answered), or one session.
  { { '-M', '1' }, LATER, count = 2, ['or'] = DELIVERY }, { { '-n', '1' }, DELIVERY, count = 2, ['or'] = LATER },
  -- Less and less is offered.
  { { '-p' }, DELIVERY, 250 }, { { '-e' }, DELIVERY, 250 }, { { '-P' }, DELIVERY, 250 }, { { '-N' }, DELIVERY, 250 },
  { { '-E' }, DELIVERY, 250 }, { { '-8' }, DELIVERY, 250 }, { {}, DELIVERY, 250, content = eight },
  { { '-8' }, BOUNCE, 554, content = eight }, { { '-e' }, BOUNCE, 554, content = eight },
  { { '-8', '-a', '-C', '-E', '-F', '-N', '-p' }, DELIVERY, 250 },
  -- Slow readers, small windows, an answer before the end.
  { { '-T', '1024' }, DELIVERY, 250, content = big }, { { '-H', '1', '-T', '1024' }, DELIVERY, 250, content = big },
  { { '-A', '0' }, BOUNCE, 550, content = big }, { { '-w', '1' }, DELIVERY, 250 },
  -- Without -p smtp-sink goes on with RCPT while it delays its answer to MAIL.
  { { '-p', '-W', 'MAIL:1' }, DELIVERY, 250 }, { { '-W', '.:1' }, DELIVERY, 250 },
  { { '-T', '1024', '-q', '.' }, LATER, content = big }, { { '-T', '1024', '-f', '.' }, BOUNCE, 500, content = big },
}
for _, command in ipairs { 'CONNECT', 'EHLO', 'MAIL', 'RCPT', 'DATA', '.' } do
  CASES[#CASES + 1] = { { '-q', command }, LATER }
  CASES[#CASES + 1] = { { '-Q', command }, LATER }
end
for _, command in ipairs { 'EHLO', 'MAIL', 'RCPT', 'DATA', '.' } do
  CASES[#CASES + 1] = { { '-p', '-W', command .. ':600' }, LATER, stall = true, code = command ~= 'EHLO' and 421 or nil }
end

local function count(list, domain)
  local n = 0
  for _, r in ipairs(list) do
    n = n + (r.recipient:match '@(.*)$' == domain and 1 or 0)
  end
  return n
end

t.test('every fault of smtp-sink at every stage ends in the right sort of record, and nothing is lost', function()
  -- An address for each: a free port of one is nobody else's by chance.
  local port, names = postfix.free_port(), {}
  for i, case in ipairs(CASES) do
    case.address = '127.0.4.' .. i
    local argv = { 'smtp-sink', '-u', 'nobody', table.unpack(case[1]) }
    argv[#argv + 1], argv[#argv + 2] = case.address .. ':' .. port, '100'
    case.process = t.spawn(argv)
    case.domain = (case.stall and 'stall%d.test' or 'd%d.test'):format(i)
    case.name = table.concat(case[1], ' ') .. (case.content and #case.content > 1000 and ' (big)' or '')
    names[i] = ("['%s'] = '%s:%d'"):format(case.domain, case.address, port)
  end
  local router = t.router {
    quiet = true,
    policy = ([[
local kumo = require 'kumo'
local HOSTS = { %s }
kumo.on('init', function() %s end)
kumo.on('get_queue_config', function(domain)
  return kumo.make_queue_config {
    protocol = { smtp = { mx_list = { { name = domain, addr = HOSTS[domain] } } } },
    retry_interval = '1 day', max_retry_interval = '1 day',
  }
end)
kumo.on('get_egress_path_config', function(domain)
  local short = domain:find '^stall' and '1s' or '60s'
  return kumo.make_egress_path {
    prohibited_hosts = {}, connection_limit = 1, idle_timeout = '1s', ehlo_timeout = short,
    mail_from_timeout = short, rcpt_to_timeout = short, data_timeout = short, data_dot_timeout = short,
  }
end)]]):format(table.concat(names, ', '), t.local_logs()),
  }
  for i, case in ipairs(CASES) do
    -- A connection to look would be the one session that some serve.
    local listens = ('%02X04007F:%04X %%x+:%%x+ 0A'):format(i, port)
    t.wait_for('smtp-sink ' .. case.name, function()
      return t.read('/proc/net/tcp'):find(listens)
    end)
    router:enqueue { to = 'bob@' .. case.domain, count = case.count, data = case.content }
  end
  t.wait_for('all outcomes', function()
    local records = router:records()
    for _, case in ipairs(CASES) do
      if count(records, case.domain) < (case.count or 1) then
        return false
      end
    end
    return true
  end, 90000)
  local records = router:records()
  for _, case in ipairs(CASES) do
    local wanted = 0
    for _, r in ipairs(records) do
      if r.recipient:match '@(.*)$' == case.domain then
        local what = ('%s: %s %d %s'):format(case.name, r.type, r.response.code, r.response.content)
        t.ok(r.type == case[2] or r.type == case['or'], what)
        t.ok(r.type ~= case[2] or not (case[3] or case.code) or r.response.code == (case[3] or case.code), what)
        wanted = wanted + (r.type == case[2] and 1 or 0)
      end
    end
    t.ok(wanted >= 1, case.name)
  end
  -- What was not delivered or given up is there; what was is not.
  local waits = count(records, '')
  for _, r in ipairs(records) do
    waits = waits + (r.type == LATER and 1 or 0)
  end
  t.none(router, ('SELECT count(*) <> %d FROM recipient'):format(waits))
  t.eq(router:sql('SELECT count(*), min(attempts), max(attempts) FROM recipient')[1], { waits, 1, 1 })
end)
