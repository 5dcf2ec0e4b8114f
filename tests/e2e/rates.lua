-- Rates and shared limits: exact counts in windows of time, who waits, and for what.
local t = require 'harness'

-- Nothing is leased, `n` recipients are left.
local function left(router, n)
  t.wait_for(n .. ' recipients to be left, none of them leased', function()
    local row = router:sql('SELECT count(*), coalesce(sum(state), 0) FROM recipient')[1]
    return row[1] == n and row[2] == 0
  end)
end

t.test('max_message_rate of a queue: a window lets through what it says, then nothing, and no row changes', function()
  local sink = t.smtp_sink()
  local router = t.router { policy = t.smart_host(sink, { queue = "max_message_rate = '4/h'," }) }
  router:enqueue { to = 'bob@example.com', count = 10 }
  left(router, 6)
  local before = router:sql 'SELECT id, state, due_at, attempts, last_attempt_at FROM recipient ORDER BY id'
  router:advance(899)
  t.eq(#sink:messages(), 4)
  router:advance(2)
  left(router, 5)
  t.eq(#sink:messages(), 5)
  router:advance(3600)
  left(router, 1)
  t.eq(#sink:messages(), 9)
  local after = router:sql 'SELECT id, state, due_at, attempts, last_attempt_at FROM recipient ORDER BY id'
  t.eq(#after, 1)
  for _, row in ipairs(before) do
    if row[1] == after[1][1] then
      t.eq(table.concat({ after[1][2], after[1][3], after[1][4], tostring(after[1][5]) }, ' '), table.concat({ row[2], row[3], row[4], tostring(row[5]) }, ' '))
    end
  end
end)

t.test('max_message_rate of a path: the rest goes back to the queue unchanged, and comes when it may', function()
  local sink = t.smtp_sink()
  local router = t.router { policy = t.smart_host(sink, { path = "max_message_rate = '4/h'" }) }
  router:enqueue { to = 'bob@example.com', count = 10 }
  left(router, 6)
  t.eq(router:sql('SELECT max(attempts), max(due_at <= unixepoch()) FROM recipient')[1][1], 0)
  router:advance(901)
  left(router, 5)
  t.eq(#sink:messages(), 5)
  router:advance(3600)
  left(router, 1)
  t.eq(#sink:messages(), 9)
  t.eq(#router:records 'TransientFailure', 0)
end)
