-- An operator's shell that holds the database for a minute while mail flows.
local t = require 'harness'
local sched, sys = t.sched, t.sys

t.test('BEGIN IMMEDIATE held for 60 s: mail waits or gets 4yz, nothing lost, nothing delivered twice', function()
  local sink = t.smtp_sink {}
  local milter = t.milter {
    policy = ([[
local kumo = require 'kumo'
kumo.on('init', function()
  kumo.start_esmtp_listener { listen = '0.0.0.0:25', relay_hosts = { 'any' }, data_processing_timeout = '5s' }
  %s
end)
kumo.on('get_queue_config', function()
  return kumo.make_queue_config {
    retry_interval = '5s', protocol = { smtp = { mx_list = { { name = 'sink.test', addr = '%s' } } } },
  }
end)
kumo.on('get_egress_path_config', function() return kumo.make_egress_path { prohibited_hosts = {} } end)
]]):format(t.local_logs(), sink.address),
  }
  local router = t.router {}

  -- Clients that send until told to stop, a new id for each try that is refused.
  local acked, refused, tries, sending, busy = {}, 0, 0, true, 4
  for client = 1, 4 do
    sched.spawn(function()
      while sending do
        tries = tries + 1
        local id = 'm' .. tries
        local mta = milter:connect { helo = 'x.test' }
        local verdict = mta and mta:mail '<a@b.test>' == 'continue' and mta:rcpt('<' .. id .. '@d.test>') == 'continue'
          and mta:message(t.plain)
        if mta then
          mta:close()
        end
        if verdict == 'discard' then
          acked[id] = true
        else
          refused = refused + 1
          t.match(verdict or '4', '^4')
          sched.pass(200)
        end
        sched.pass(50)
      end
      busy = busy - 1
    end)
  end
  sched.pass(1000)

  t.run { 'mkfifo', t.dir() .. '/fifo' }
  local shell = t.spawn { 'sh', '-c', "exec sqlite3 -bail -cmd '.timeout 10000' " .. t.context().queue .. ' < ' .. t.dir() .. '/fifo' }
  local f = io.open(t.dir() .. '/fifo', 'w')
  f:write "BEGIN IMMEDIATE; SELECT 'held';\n"
  f:flush()
  t.wait_for('the shell to hold the lock', function()
    return shell:output():find 'held'
  end)
  local before = 0
  for _ in pairs(acked) do
    before = before + 1
  end
  sched.pass(60000)
  local during = 0
  for _ in pairs(acked) do
    during = during + 1
  end
  t.ok(during - before <= 4, 'nothing was acknowledged while nothing could be written: ' .. during - before)
  t.ok(refused > 0, 'clients got 4yz')
  f:write 'COMMIT;\n'
  f:close()
  t.eq(shell:wait(20000), 0, shell:output())

  t.wait_for('mail to be taken again', function()
    local n = 0
    for _ in pairs(acked) do
      n = n + 1
    end
    return n > during + 5
  end, 60000)
  sending = false
  t.wait_for('the clients to finish', function()
    return busy == 0
  end, 30000)
  t.wait_for('an empty queue', function()
    return router:sql('SELECT count(*) FROM recipient')[1][1] == 0
  end, 60000)
  local got = {}
  for _, m in ipairs(sink:messages()) do
    local id = m.to[1]:match '^[^@]+'
    got[id] = (got[id] or 0) + 1
    t.eq(got[id], 1, id .. ' arrived once')
  end
  for id in pairs(acked) do
    t.ok(got[id], id .. ' was acknowledged and arrived')
  end
  t.rows(router:sql 'PRAGMA integrity_check', { { 'ok' } })
end)
