-- The seed's webhook, filled in: it posts to a server that nobody here wrote
-- (python3's http.server).
local t = require 'harness'
local web_server = require 'web_server'

local server, posted = web_server.start, web_server.posted

-- The page's example: `print` becomes a post, and `failed` gets its meaning.
local function policy(port)
  local seed = t.read(TOP_SRCDIR .. '/tests/data/seeds/queue_webhook.lua')
  local changed
  seed, changed = seed:gsub('print%(message:get_data%(%)%)', function()
    return ([[
    local response = client:post('http://127.0.0.1:%d/hook')
      :header('Content-Type', 'message/rfc822')
      :body(message:get_data())
      :send()
    local failed = not response:status_is_success()]]):format(port)
  end)
  t.eq(changed, 1)
  seed, changed = seed:gsub("return 'OK'", "return 'OK: ' .. response:text()")
  t.eq(changed, 1)
  return ([[
local kumo = require 'kumo'
local client = kumo.http.build_client { timeout = '5s' }
kumo.on('init', function() %s end)
]]):format(t.local_logs()) .. seed
end

t.test('what the queue webhook has is posted, and the answer stands in the record', function()
  t.write('code', '200')
  local _, port = server()
  local router = t.router { policy = policy(port) }
  router:enqueue { to = 'a@webhook', count = 3, data = 'Subject: one\r\n\r\nHello.\r\n' }
  t.wait_for('3 deliveries', function()
    return #router:records 'Delivery' == 3
  end)
  t.eq(t.log(router, 'Delivery').response.content, 'OK: taken')
  t.eq(#posted(), 3)
  t.eq(posted()[1], '200 message/rfc822 Subject: one||Hello.|')
end)

t.test('a server that answers 5xx is asked again', function()
  t.write('code', '503')
  local _, port = server()
  local router = t.router { policy = policy(port) }
  router:enqueue { to = 'a@webhook' }
  t.log(router, 'TransientFailure', { code = 400, content = 'failed for some reason' })
  t.wait_for('the row', function()
    return router:sql('SELECT state FROM recipient')[1][1] == 0
  end)
  t.write('code', '204')
  router:advance '21 mins'
  t.log(router, 'Delivery', { num_attempts = 1 })
  t.eq(#posted(), 2)
end)

t.test('an hour without the server costs nothing but the hour', function()
  t.write('code', '200')
  local web, port = server()
  web:kill()
  local router = t.router { policy = policy(port) }
  router:enqueue { to = 'a@webhook', count = 20 }
  for failures = 1, 2 do
    t.wait_for('everybody to have failed ' .. failures .. ' times', function()
      return #router:records 'TransientFailure' == 20 * failures
        and router:sql('SELECT count(*) FROM recipient WHERE state = 0')[1][1] == 20
    end, 30000)
    router:advance(failures == 1 and '21 mins' or '41 mins')
  end
  t.wait_for('the third failure', function()
    return #router:records 'TransientFailure' == 60
      and router:sql('SELECT count(*) FROM recipient WHERE state = 0')[1][1] == 20
  end, 30000)
  server(port)
  router:advance '81 mins'
  t.wait_for('20 deliveries', function()
    return #router:records 'Delivery' == 20
  end, 30000)
  t.eq(#posted(), 20)
end)

t.test('log_hooks:new_json posts every record, and in batches as an array', function()
  t.write('code', '200')
  local _, port = server()
  local sink = t.smtp_sink()
  local router = t.router { policy = t.smart_host(sink, { extra = ([[
    local log_hooks = require 'policy-extras.log_hooks'
    log_hooks:new_json { name = 'one', url = 'http://127.0.0.1:%d/one', log_parameters = { meta = { 'tenant' } },
      filter = function(message) return message:get_meta 'log_record'.type == 'Delivery' end }
    log_hooks:new_json { name = 'many', url = 'http://127.0.0.1:%d/many', batch_size = 10, min_batch_size = 3,
      max_batch_latency = '2s' }]]):format(port, port) }):gsub("(kumo.on%('get_queue_config', function%(domain, tenant, campaign, routing_domain%))", "%1\n  if domain:find 'log_hook' then return end") }
  router:enqueue { to = 'a@example.com', count = 3, meta = { tenant = 'bulk' } }
  t.wait_for('three posts and a batch', function()
    return #posted() >= 4
  end)
  t.wait_for('an empty queue', function()
    return router:sql('SELECT count(*) FROM recipient')[1][1] == 0
  end)
  local arrays, singles = 0, 0
  for _, line in ipairs(posted()) do
    local json = t.json(line:match '^200 application/json (.*)$')
    if json.type then
      singles = singles + 1
      t.eq(json.meta.tenant, 'bulk')
    else
      arrays = arrays + #json
    end
  end
  t.eq(singles, 3)
  t.eq(arrays, 3)
end)
