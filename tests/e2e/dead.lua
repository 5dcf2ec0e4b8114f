-- Destinations that do not answer, many of them or with much mail, and what their
-- neighbours notice of it: nothing.
local t = require 'harness'
local sys = require 'sys'

-- A port on which nobody ever answers: its queue takes one connection, ours, and the
-- SYN of every other is dropped.
local function silent_port()
  local fd, port = sys.tcp_listen('0.0.0.0', 0, 0)
  return port, { fd, sys.tcp_connect('127.0.0.1', port) }
end

-- Every domain n<i>.* has an address and so a site of its own.  live: a sink;
-- refusing.test has an address where nobody listens, all others a port that is silent.
local function policy(sink, silent, o)
  -- Nobody listens on all addresses with this port; the story's own sink is elsewhere.
  local refusing = sink.port
  return ([[
local kumo = require 'kumo'
kumo.on('init', function() %s end)
kumo.on('get_queue_config', function(domain)
  local n = tonumber(domain:match '^n(%%d+)' or 0)
  local live = domain:match 'live%%.test$'
  local addr = domain == 'refusing.test' and '127.0.0.9:%d'
    or ('127.%%d.%%d.%%d:%%d'):format(live and 1 or 2, n // 200, n %% 200 + 1, live and %d or %d)
  return kumo.make_queue_config {
    protocol = { smtp = { mx_list = { { name = 'mx.' .. domain, addr = addr } } } }, retry_interval = '1h',
  }
end)
kumo.on('get_egress_path_config', function()
  return kumo.make_egress_path { prohibited_hosts = {}, enable_tls = 'Disabled', idle_timeout = '1s', %s }
end)]]):format(t.local_logs(), refusing, sink.port, silent, o or '')
end

-- Counts what is written to the row of each recipient of a dead destination.
local function watch_rows(router)
  local path = router.ctx.queue
  sys.sql(path, 'CREATE TABLE touched (recipient INTEGER PRIMARY KEY, times INTEGER)', true)
  sys.sql(path, [[CREATE TRIGGER touch AFTER UPDATE ON recipient WHEN new.address LIKE '%dead.test' BEGIN
    INSERT INTO touched VALUES (new.id, 1) ON CONFLICT (recipient) DO UPDATE SET times = times + 1; END]], true)
end

local function touched(router)
  return table.unpack(router:sql('SELECT count(*), coalesce(max(times), 0) FROM touched')[1])
end

local function live_left(router)
  return router:sql("SELECT count(*) FROM recipient WHERE address LIKE '%live.test'")[1][1]
end

t.test('thousands of dead destinations starve nobody, and their rows rest', function()
  local sink = t.smtp_sink { ip = '0.0.0.0' }
  local port, fds = silent_port()
  local router = t.router { policy = policy(sink, port) }
  watch_rows(router)
  router:enqueue { to = 'bob@dead.test', count = 10000, domain_spread = 5000 }
  router:enqueue { to = 'bob@live.test', count = 500, domain_spread = 500 }
  t.wait_for('the live mail', function()
    return live_left(router) == 0
  end, 120000)
  -- Leased once; given up and put off at most, should there be few descriptors.
  local _, most = touched(router)
  t.ok(most <= 2, 'updates of a row: ' .. most)
  -- And what comes later does not wait for them, either.
  router:enqueue { to = 'bob@late.live.test' }
  t.log(router, 'Delivery', { recipient = 'bob@late.live.test' })
  for _, fd in ipairs(fds) do
    sys.close(fd)
  end
end)

t.test('the mail of a dead destination stays as it is while its ready queue is full', function()
  local sink = t.smtp_sink { ip = '0.0.0.0' }
  local port, fds = silent_port()
  local router = t.router { policy = policy(sink, port) }
  watch_rows(router)
  router:enqueue { to = 'bob@dead.test', count = 10000 }
  router:enqueue { to = 'bob@live.test', count = 200, domain_spread = 200 }
  t.wait_for('the live mail', function()
    return live_left(router) == 0
  end, 60000)
  local rows, most = touched(router)
  -- What a new site may hold, and a lease more that was under way.
  t.ok(rows <= 40, 'rows: ' .. rows)
  t.ok(most <= 2, 'updates of a row: ' .. most)
  t.eq(#router:records 'TransientFailure', 0)
  for _, fd in ipairs(fds) do
    sys.close(fd)
  end
end)

t.test('a site that was given up is called once in a while, and all else gets its answer', function()
  local sink = t.smtp_sink {}
  local router = t.router { policy = policy(sink, 1, 'consecutive_connection_failures_before_delay = 4') }
  router:enqueue { to = 'bob@refusing.test', count = 300 }
  t.wait_for('all to be put off', function()
    return router:sql('SELECT count(*) FROM recipient WHERE attempts = 0')[1][1] == 0
  end, 60000)
  local called, answered = 0, 0
  t.wait_for('the records', function()
    called, answered = 0, 0
    for _, r in ipairs(router:records 'TransientFailure') do
      if r.response.code == 400 then
        called = called + 1
        t.has(r.response.content, 'refused')
      else
        answered = answered + 1
        t.eq({ r.response.code, r.response.enhanced_code }, { 451, { class = 4, subject = 4, detail = 1 } })
        t.has(r.response.content, 'no mail host of mx_list:127.0.0.9:')
      end
    end
    return called + answered == 300
  end)
  t.ok(called >= 5 and called <= 30, 'called ' .. called .. ' times')
  t.eq(router:sql('SELECT max(attempts) FROM recipient')[1][1], 1)
end)

t.test('what failed before the router started is not taken for new', function()
  local sink = t.smtp_sink {}
  local router = t.router { policy = policy(sink, 1) }
  router:enqueue { to = 'bob@refusing.test' }
  t.log(router, 'TransientFailure', { code = 400 })
  t.wait_for('its row', function()
    return router:sql('SELECT count(*) FROM recipient WHERE attempts = 1 AND state = 0')[1][1] == 1
  end)
  local port, fds = silent_port()
  t.eq(router:stop(), 0)
  sys.sql(router.ctx.queue, 'UPDATE recipient SET due_at = 0', true)
  router = t.router { policy = policy(sink, port):gsub('refusing', 'nobody') }
  local sites
  t.wait_for('the second attempt', function()
    sites = router:ask('status').sites
    return sites.new.connections + sites.bad.connections == 1
  end)
  t.eq({ sites.new.connections, sites.bad.connections, sites.bad.messages }, { 0, 1, 1 })
  for _, fd in ipairs(fds) do
    sys.close(fd)
  end
end)
