-- Recipients that stay with the MTA, with a real Postfix that delivers them: each
-- recipient gets the message once, from whose it is, and a stranger can relay
-- through neither.
local t = require 'harness'
local postfix = require 'postfix'

-- o: unlisted, submission = values of penstock's settings; extra = more Lua.
local function policy(ours, o)
  o = o or {}
  return ([[
local kumo = require 'kumo'
kumo.on('init', function()
  kumo.start_esmtp_listener { listen = '0.0.0.0:25', relay_hosts = {} }
  %s
end)
local OURS = { ['ours.test'] = true, ['xn--bcher-kva.test'] = true }
local MTAS = { ['local.test'] = true, ['mta.test'] = true, ['xn--mller-kva.test'] = true }
kumo.on('get_listener_domain', function(domain)
  if OURS[domain] then return kumo.make_listener_domain { relay_to = true } end
  if MTAS[domain] then return kumo.make_listener_domain { leave_to_mta = true } end
  if domain == 'closed.test' then return kumo.make_listener_domain {} end
end)
kumo.on('get_queue_config', function()
  return kumo.make_queue_config { protocol = { smtp = { mx_list = { { name = 'ours', addr = '%s' } } } } }
end)
kumo.on('get_egress_path_config', function() return kumo.make_egress_path { prohibited_hosts = {} } end)
penstock.unlisted_domains = '%s'
penstock.local_submission = '%s'
%s
]]):format(t.local_logs(), ours.address, o.unlisted or 'refuse', o.submission or 'queue', o.extra or '')
end

-- A Postfix with local users (games, news, man at local.test), configured as
-- contrib/postfix/leave-to-mta.cf has it.
-- Whatever Postfix would send elsewhere ends in the sink `leak`.
local function rig(o)
  o = o or {}
  local r = { ours = t.smtp_sink {}, leak = t.smtp_sink {}, spool = t.dir() .. '/spool' }
  r.milter = t.milter { policy = policy(r.ours, o) }
  r.router = t.router {}
  t.sys.mkdir(r.spool, tonumber('777', 8))
  t.run { 'chmod', '1777', r.spool }
  t.run { 'chmod', '755', t.dir() }
  local settings = {
    'mydestination=mta.test, local.test, müller.test, xn--mller-kva.test', 'myorigin=mta.test', 'mynetworks=127.0.0.99',
    'smtpd_authorized_xclient_hosts=127.0.0.1', 'smtpd_soft_error_limit=100', 'smtpd_hard_error_limit=100',
    'recipient_delimiter=+',
    'local_recipient_maps=proxy:unix:passwd.byname', 'local_transport=local', 'mail_spool_directory=' .. r.spool .. '/', 'mailbox_size_limit=0',
    'alias_maps=inline:{{postmaster = news}, {root = news}}',
    'virtual_alias_maps=inline:{{team@local.test = games@local.test, man@local.test}, {mixed@local.test = man@local.test, out@ours.test}}',
    'default_transport=smtp:[127.0.0.1]:' .. r.leak.port,
    'parent_domain_matches_subdomains=',
  }
  for name, value in t.read(TOP_SRCDIR .. '/contrib/postfix/leave-to-mta.cf'):gmatch '\n([%w_]+) = ([^\n]*)' do
    if name == 'penstock_domains' then
      value = 'inline:{{ours.test=OK},{xn--bcher-kva.test=OK},{bücher.test=OK}}'
    end
    if name ~= 'default_transport' then
      settings[#settings + 1] = name .. '=' .. value
    end
  end
  if o.submission then
    settings[#settings + 1] = 'non_smtpd_milters=' .. r.milter.socket
    settings[#settings + 1] = 'milter_default_action=tempfail'
  end
  for _, line in ipairs(o.settings or {}) do
    settings[#settings + 1] = line
  end
  r.mta = postfix.start(r.milter, settings)
  return r
end

-- What has arrived so far with this subject: { ['bob@ours.test'] = copies } of ours,
-- { news = copies } of the MTA's users, { x = copies } of what got away.
local function arrived(r, subject)
  local function of(sink)
    local n = {}
    for _, m in ipairs(sink:messages()) do
      if m.data:find('\r\nSubject: ' .. subject .. '\r\n', 1, true) then
        for _, to in ipairs(m.to) do
          n[to] = (n[to] or 0) + 1
        end
      end
    end
    return n
  end
  local boxes, texts = {}, {}
  for _, user in ipairs(t.sys.list(r.spool) or {}) do
    for _, name in ipairs(t.sys.list(r.spool .. '/' .. user .. '/new') or {}) do
      local text = t.read(r.spool .. '/' .. user .. '/new/' .. name)
      -- In the header: a bounce has it further below.
      if text:match('^.-\n\n'):find('\nSubject: ' .. subject .. '\n', 1, true) then
        boxes[user] = (boxes[user] or 0) + 1
        texts[#texts + 1] = text
      end
    end
  end
  return of(r.ours), boxes, of(r.leak), texts
end

-- Nothing is on its way any more, on either side.
local function settled(r)
  t.wait_for('both queues to be empty', function()
    local _, out = t.run { 'postqueue', '-c', r.mta.dir .. '/etc', '-j' }
    return out == '' and r.router:sql('SELECT count(*) FROM recipient')[1][1] == 0
  end, 60000)
end

-- One transaction; the replies to each RCPT, then the last.
local function send(r, subject, recipients, o)
  o = o or {}
  local s = postfix.session(r.mta.port, o.client or '192.0.2.7')
  t.match(s:say('MAIL FROM:<ann@sender.test>' .. (o.mail or '')), '^250')
  local replies = {}
  for i, to in ipairs(recipients) do
    replies[i] = s:say('RCPT TO:' .. to)
  end
  replies[#replies + 1] = s:data('From: ann@sender.test\r\nSubject: ' .. subject .. '\r\n\r\nHello.')
  s:close()
  return replies
end


local function has_8bit(list)
  return table.concat(list):find '[\x80-\xff]' and ' SMTPUTF8' or ''
end

-- What a client may write, and the address that we deliver to; all in one
-- transaction with two local recipients, and each with one.
local OURS = {
  { '<plain@ours.test>', 'plain@ours.test' },
  { 'naked@ours.test', 'naked@ours.test' },
  { '<UPPER@OURS.TEST>', 'UPPER@OURS.TEST' },
  { '<MiXed@oUrS.tEsT.>', 'MiXed@oUrS.tEsT' },
  { '<dot@ours.test.>', 'dot@ours.test' },
  { '<plus+ext@ours.test>', 'plus+ext@ours.test' },
  { '<"quoted"@ours.test>', '"quoted"@ours.test' },
  { '<"quoted+ext"@ours.test>', '"quoted+ext"@ours.test' },
  { '<"two words"@ours.test>', '"two words"@ours.test' },
  { '<"two  blanks"@ours.test>', '"two  blanks"@ours.test' },
  { '<"back\\ slash"@ours.test>', '"back\\ slash"@ours.test' },
  { '<"nee\\dless"@ours.test>', '"nee\\dless"@ours.test' },
  { '<"a\\"quote"@ours.test>', '"a\\"quote"@ours.test' },
  { '<"quoted.dot"@ours.test>', '"quoted.dot"@ours.test' },
  { '<"half"."quoted"@ours.test>', '"half"."quoted"@ours.test' },
  { '<"comma,colon:"@ours.test>', '"comma,colon:"@ours.test' },
  { '<"no(comment)"@ours.test>', '"no(comment)"@ours.test' },
  { '<""@ours.test>', '""@ours.test' },
  { '<trailing.@ours.test>', 'trailing.@ours.test' },
  { '<.leading@ours.test>', '.leading@ours.test' },
  { '<two..dots@ours.test>', 'two..dots@ours.test' },
  { "<o'equal=sign/slash@ours.test>", "o'equal=sign/slash@ours.test" },
  { '<@relay.test:routed@ours.test>', 'routed@ours.test' },
  { '<@a.test,@b.test:far@ours.test>', 'far@ours.test' },
  { '<dsn@ours.test> NOTIFY=NEVER ORCPT=rfc822;other@x.test', 'dsn@ours.test' },
  { '<grün@ours.test>', 'grün@ours.test' },
  { '<"grüner baum"@ours.test>', '"grüner baum"@ours.test' },
  { '<idn@bücher.test>', 'idn@xn--bcher-kva.test' },
  { '<IDN@BÜCHER.TEST>', 'IDN@xn--bcher-kva.test' },
  { '<ace@xn--bcher-kva.test>', 'ace@xn--bcher-kva.test' },
  { '<idn.dot@bücher.test.>', 'idn.dot@xn--bcher-kva.test' },
}

-- Ways to change addresses that an administrator may have set up: what the client
-- said stays what has to be removed.
local MAPS = {
  { 'as installed' },
  { 'without original recipients in the queue', 'enable_original_recipient=no' },
  { 'with canonical maps', 'canonical_maps=regexp:MAP' },
  { 'with recipient_canonical_maps', 'recipient_canonical_maps=regexp:MAP' },
  { 'with virtual aliases of our domains', 'virtual_alias_maps=regexp:MAP' },
  { 'without address mappings', 'receive_override_options=no_address_mappings' },
  { 'with the percent hack and bang paths', 'allow_percent_hack=yes', 'swap_bangpath=yes' },
  { 'with rewriting for strangers', 'remote_header_rewrite_domain=rewritten.test' },
}

for _, maps in ipairs(MAPS) do
  t.test('every form of address of ours comes once from us and never from Postfix, ' .. maps[1], function()
    local map = t.write('map', '/^(.*)@(ours|b.*cher|xn--bcher-kva)\\.test$/ ${1}@mapped.test\n')
    t.run { 'chmod', '644', map }
    local settings = {}
    for i = 2, #maps do
      settings[#settings + 1] = maps[i]:gsub('MAP', map)
    end
    local r = rig { settings = settings }
    local all, want = { '<games@local.test>' }, {}
    for _, form in ipairs(OURS) do
      all[#all + 1] = form[1]
      want[form[2]] = 1
    end
    all[#all + 1] = '<man@local.test>'
    local replies = send(r, 'together', all, { mail = has_8bit(all) })
    for i, reply in ipairs(replies) do
      t.match(reply, '^250', all[i])
    end
    for i, form in ipairs(OURS) do
      replies = send(r, 'alone' .. i, { form[1], '<news@local.test>' }, { mail = has_8bit { form[1] } })
      t.match(replies[3], '^250', form[1])
    end
    settled(r)
    local ours, boxes, leak = arrived(r, 'together')
    t.eq(ours, want)
    t.eq(boxes, { games = 1, man = 1 })
    t.eq(leak, {})
    for i, form in ipairs(OURS) do
      ours, boxes, leak = arrived(r, 'alone' .. i)
      t.eq(ours, { [form[2]] = 1 }, form[1])
      t.eq(boxes, { news = 1 }, form[1])
      t.eq(leak, {}, form[1])
    end
    t.eq(#r.leak.sessions, 0)
  end)
end

t.test('every form of address of the MTA comes once from Postfix and never from us', function()
  local r = rig {}
  for i, case in ipairs {
    { '<news@local.test>', { news = 1 } }, { 'news@local.test', { news = 1 } }, { '<NEWS@LOCAL.TEST>', { news = 1 } },
    { '<news@local.test.>', { news = 1 } }, { '<news+ext@local.test>', { news = 1 } }, { '<"news"@local.test>', { news = 1 } },
    { '<@relay.test:news@local.test>', { news = 1 } }, { '<news@local.test> NOTIFY=NEVER ORCPT=rfc822;x@y.test', { news = 1 } },
    { '<news@müller.test>', { news = 1 } }, { '<news@xn--mller-kva.test>', { news = 1 } },
    { '<team@local.test>', { games = 1, man = 1 } }, { '<postmaster@local.test>', { news = 1 } },
    { '<root@mta.test>', { news = 1 } },
  } do
    local replies = send(r, 'form' .. i, { case[1], '<bob@ours.test>' }, { mail = has_8bit { case[1] } })
    t.eq({ replies[1]:sub(1, 3), replies[2]:sub(1, 3), replies[3]:sub(1, 3) }, { '250', '250', '250' }, case[1] .. ' ' .. t.show(replies))
    settled(r)
    local ours, boxes, leak = arrived(r, 'form' .. i)
    t.eq(boxes, case[2], case[1])
    t.eq(ours, { ['bob@ours.test'] = 1 }, case[1])
    t.eq(leak, {}, case[1])
  end
end)

t.test('bare postmaster is ours', function()
  local r = rig {}
  t.match(send(r, 'ours', { '<Postmaster>', '<games@local.test>' })[3], '^250')
  settled(r)
  local ours, boxes, leak = arrived(r, 'ours')
  local to, copies = next(ours)
  t.match(to, '^[Pp]ostmaster@.')
  t.eq({ copies, next(ours, to) }, { 1 })
  t.eq({ boxes, leak }, { { games = 1 }, {} })
end)

t.test('bare postmaster is the MTA\'s where the policy says so of no domain', function()
  local r = rig {}
  r.milter:stop()
  local text = t.read(t.dir() .. '/policy.lua'):gsub("kumo.on%('get_listener_domain', function%(domain%)",
    "%0\n  if domain == '' then return kumo.make_listener_domain { leave_to_mta = true } end")
  t.write('policy.lua', text)
  r.milter = t.milter { policy_file = t.dir() .. '/policy.lua' }
  t.match(send(r, 'theirs', { '<postmaster>', '<bob@ours.test>' })[3], '^250')
  settled(r)
  local ours, boxes, leak = arrived(r, 'theirs')
  t.eq({ ours, boxes, leak }, { { ['bob@ours.test'] = 1 }, { news = 1 }, {} })
end)

t.test('a recipient that is said again gets one copy, on both sides', function()
  local r = rig {}
  local replies = send(r, 'twice', {
    '<bob@ours.test>', '<news@local.test>', '<bob@ours.test>', '<news@local.test>', '<bob@OURS.test>', '<NEWS@local.test>',
    '<@x.test:bob@ours.test>', '<bob@ours.test.>',
  })
  for _, reply in ipairs(replies) do
    t.match(reply, '^250')
  end
  settled(r)
  local ours, boxes, leak = arrived(r, 'twice')
  t.eq({ ours, boxes, leak }, { { ['bob@ours.test'] = 1 }, { news = 1 }, {} })
end)

t.test("the MTA's copy is as the client sent it: no Received of ours, no trace header, no edits", function()
  local r = rig {
    extra = [[
kumo.on('smtp_server_data', function(msg) msg:append_header('X-Data', 'edited') end)
kumo.on('smtp_server_message_received', function(msg)
  msg:prepend_header('X-Received', 'edited')
  msg:set_data(msg:get_data():gsub('Hello', 'Goodbye'))
end)]],
  }
  t.match(send(r, 'copy', { '<bob@ours.test>', '<news@local.test>' })[3], '^250')
  settled(r)
  local _, _, _, texts = arrived(r, 'copy')
  t.eq(#texts, 1)
  local text = texts[1]
  t.match(text, '\n\nHello%.\n$')
  for _, ours in ipairs { 'X-Data', 'X-Received', 'X-KumoRef', 'Goodbye' } do
    t.lacks(text, ours)
  end
  local _, received = text:gsub('\nReceived: ', '')
  t.eq(received, 1, "Postfix's own")
  local edited = r.ours:messages()[1].data
  for _, part in ipairs { 'X-Data: edited', 'X-Received: edited', 'X-KumoRef: ', 'Goodbye' } do
    t.has(edited, part)
  end
end)

t.test('an alias that expands to one of our domains is mail of the MTA: it goes where default_transport says', function()
  local r = rig {}
  t.match(send(r, 'alias', { '<mixed@local.test>' })[2], '^250')
  -- The same address said by the client is ours, and one of the alias's is not.
  t.match(send(r, 'both', { '<mixed@local.test>', '<out@ours.test>' })[3], '^250')
  t.match(send(r, 'after', { '<out@ours.test>', '<mixed@local.test>' })[3], '^250')
  settled(r)
  local ours, boxes, leak = arrived(r, 'alias')
  t.eq({ ours, boxes, leak }, { {}, { man = 1 }, { ['out@ours.test'] = 1 } })
  for _, subject in ipairs { 'both', 'after' } do
    ours, boxes, leak = arrived(r, subject)
    t.eq({ ours, boxes, leak }, { { ['out@ours.test'] = 1 }, { man = 1 }, { ['out@ours.test'] = 1 } }, subject)
  end
end)

t.test('a refusal at the end refuses both parts', function()
  local r = rig { extra = "kumo.on('smtp_server_message_received', function() kumo.reject(450, '4.7.1 not now') end)" }
  t.match(send(r, 'refused', { '<bob@ours.test>', '<news@local.test>' })[3], '^450 4%.7%.1 not now')
  -- What is the MTA's alone is not ours to judge.
  t.match(send(r, 'theirs', { '<news@local.test>' })[2], '^250')
  settled(r)
  local ours, boxes, leak = arrived(r, 'refused')
  t.eq({ ours, boxes, leak }, { {}, {}, {} })
  ours, boxes, leak = arrived(r, 'theirs')
  t.eq({ ours, boxes, leak }, { {}, { news = 1 }, {} })
end)

-- ---- strangers ----

-- Recipients that nobody may give to us or, through us, to the MTA.
local ELSEWHERE = {
  '<eve@elsewhere.test>', '<@ours.test:eve@elsewhere.test>', '<@local.test:eve@elsewhere.test>', '<eve@closed.test>',
  '<eve%elsewhere.test@ours.test>', '<eve%elsewhere.test@local.test>', '<"eve@elsewhere.test"@ours.test>',
  '<"eve@elsewhere.test"@local.test>', '<elsewhere.test!eve@ours.test>', '<elsewhere.test!eve@local.test>', '<elsewhere.test!eve>',
  '<eve%elsewhere.test>', '<"eve@elsewhere.test">', '<eve@[127.0.0.1]>', '<eve@elsewhere.test.>', '<eve@sub.ours.test>', '<eve@sub.local.test>',
  '<eve@ours.test@elsewhere.test>', '<eve@elsewhere.test@ours.test>', '<eve@elsewhere.test@local.test>', '<eve@>', '<@ours.test:>',
}
local HACKS = { 'allow_percent_hack=yes', 'swap_bangpath=yes' }

for _, unlisted in ipairs { 'refuse', 'leave_to_mta' } do
  for _, settings in ipairs { {}, HACKS } do
    t.test(('a stranger to unlisted domains, unlisted_domains = %s%s: refused with the milter, deferred without'):format(unlisted,
      #settings > 0 and ', percent hack on' or ''), function()
      local r = rig { unlisted = unlisted, settings = settings }
      local function ask(pattern, what)
        local s = postfix.session(r.mta.port, '192.0.2.7')
        local reply = s:say 'MAIL FROM:<ann@sender.test>'
        if not reply:match '^250' then
          t.match(reply, '^4', what)
          s:close()
          return
        end
        for _, to in ipairs(ELSEWHERE) do
          t.match(s:say('RCPT TO:' .. to), pattern, what .. to)
        end
        t.match(s:say 'DATA', '^[45]', what)
        s:close()
      end
      ask('^5', 'up ')
      r.milter:kill()
      ask('^[45]', 'dead ')
      for _, to in ipairs { 'bob@ours.test', 'news@local.test', 'eve@elsewhere.test' } do
        local ok, why = postfix.send(r.mta.port, 'ann@sender.test', to, t.plain)
        t.eq(ok, nil, to)
        t.match(why, ' [45]%d%d ', to)
      end
      t.eq(#r.leak.sessions, 0)
      t.eq(#r.ours.sessions, 0)
      t.eq(t.sys.list(r.spool), {})
      local _, out = t.run { 'postqueue', '-c', r.mta.dir .. '/etc', '-j' }
      t.eq(out, '')
    end)
  end
end

t.test("unlisted_domains: 'leave_to_mta' lets the MTA's own clients send through it, 'refuse' does not", function()
  local r = rig { unlisted = 'leave_to_mta' }
  t.match(send(r, 'friend', { '<eve@elsewhere.test>', '<bob@ours.test>', '<news@local.test>' }, { client = '127.0.0.99' })[4], '^250')
  settled(r)
  local ours, boxes, leak = arrived(r, 'friend')
  t.eq({ ours, boxes, leak }, { { ['bob@ours.test'] = 1 }, { news = 1 }, { ['eve@elsewhere.test'] = 1 } })
  local closed = send(r, 'closed', { '<eve@closed.test>', '<bob@ours.test>' }, { client = '127.0.0.99' })
  t.match(closed[1], '^550 5%.7%.1 ', 'listed, and not left to anybody')
  t.match(closed[3], '^250')
end)

t.test("unlisted_domains = 'refuse': also a client that the MTA trusts is told so", function()
  local r = rig {}
  local replies = send(r, 'friend', { '<eve@elsewhere.test>', '<bob@ours.test>', '<news@local.test>' }, { client = '127.0.0.99' })
  t.match(replies[1], '^550 5%.7%.1 ')
  t.match(replies[4], '^250')
  settled(r)
  local ours, boxes, leak = arrived(r, 'friend')
  t.eq({ ours, boxes, leak }, { { ['bob@ours.test'] = 1 }, { news = 1 }, {} })
end)

-- ---- mail made on this machine ----

local function submit(r, subject, ...)
  t.write('local.eml', 'Subject: ' .. subject .. '\n\nfrom this machine\n')
  local status, out = t.run({ 'sendmail', '-C', r.mta.dir .. '/etc', '-f', 'man@local.test', ... },
    { input = t.dir() .. '/local.eml' })
  t.eq(status, 0, out)
end

local function boxes_and_copies(r, subject)
  settled(r)
  local ours, boxes, leak = arrived(r, subject)
  return { ours, boxes, leak }
end

t.test("local_submission: 'queue' takes all of it, save what the policy leaves to the MTA", function()
  local r = rig { submission = 'queue' }
  submit(r, 'made', 'bob@ours.test', 'news@local.test', 'games', 'eve@elsewhere.test')
  t.wait_for('custody', function()
    return #r.milter:sql 'SELECT 1 FROM message' + #r.ours:messages() >= 2
  end, 30000)
  t.eq(boxes_and_copies(r, 'made'),
    { { ['bob@ours.test'] = 1, ['eve@elsewhere.test'] = 1 }, { news = 1, games = 1 }, {} })
end)

t.test("local_submission: 'leave_to_mta' leaves all of it, also what is for our domains", function()
  local r = rig { submission = 'leave_to_mta' }
  submit(r, 'made', 'bob@ours.test', 'news@local.test', 'games', 'eve@elsewhere.test')
  t.wait_for('the local mailbox', function()
    return select(2, arrived(r, 'made')).news
  end, 30000)
  t.eq(boxes_and_copies(r, 'made'), { {}, { news = 1, games = 1 }, { ['bob@ours.test'] = 1, ['eve@elsewhere.test'] = 1 } })
  t.eq(#r.milter:records 'Reception', 0)
end)

t.test("local_submission: 'refuse' takes none of it, and whoever sent it hears of it", function()
  local r = rig { submission = 'refuse' }
  submit(r, 'made', 'bob@ours.test', 'news@local.test', 'games', 'eve@elsewhere.test')
  t.wait_for('the notice to the sender', function()
    for _, name in ipairs(t.sys.list(r.spool .. '/man/new') or {}) do
      return t.read(r.spool .. '/man/new/' .. name):find('<news@local.test>: mail made on this machine is not accepted', 1, true)
    end
  end, 30000)
  t.eq(boxes_and_copies(r, 'made'), { {}, {}, {} })
  -- Strangers are not concerned.
  t.match(send(r, 'smtp', { '<bob@ours.test>' })[2], '^250')
end)

for _, choice in ipairs { 'queue', 'leave_to_mta', 'refuse' } do
  t.test(('local_submission: %q while the milter is down: it waits, and comes once'):format(choice), function()
    local r = rig { submission = choice }
    r.milter:kill()
    submit(r, 'late', 'bob@ours.test', 'news@local.test')
    t.wait_for('pickup to try', function()
      return r.mta:log():find('warning: .-milter') or r.mta:log():find 'milter%-reject' or r.mta:log():find 'connect to Milter'
    end, 30000)
    t.eq({ arrived(r, 'late') }, { {}, {}, {}, {} })
    r.milter = t.milter { policy_file = t.dir() .. '/policy.lua' }
    t.wait_for('it to move', function()
      t.run { 'postfix', '-c', r.mta.dir .. '/etc', 'flush' }
      local ours, boxes = arrived(r, 'late')
      return ours['bob@ours.test'] or boxes.news or t.sys.list(r.spool .. '/man/new')
    end, 60000)
    local got = boxes_and_copies(r, 'late')
    t.eq(got, ({
      queue = { { ['bob@ours.test'] = 1 }, { news = 1 }, {} },
      leave_to_mta = { {}, { news = 1 }, { ['bob@ours.test'] = 1 } },
      refuse = { {}, {}, {} },
    })[choice])
  end)
end

t.test('mail made on this machine: nobody but they themselves learns of the Bcc recipients', function()
  local r = rig { submission = 'queue' }
  t.write('local.eml', [[
From: man@local.test
To: bob@ours.test
Cc: news@local.test
Bcc: secret@ours.test, games@local.test
Subject: blind

from this machine
]])
  local status, out = t.run({ 'sendmail', '-C', r.mta.dir .. '/etc', '-f', 'man@local.test', '-t' }, { input = t.dir() .. '/local.eml' })
  t.eq(status, 0, out)
  t.wait_for('custody', function()
    return #r.ours:messages() >= 2
  end, 30000)
  t.eq(boxes_and_copies(r, 'blind'), { { ['bob@ours.test'] = 1, ['secret@ours.test'] = 1 }, { news = 1, games = 1 }, {} })
  local _, _, _, texts = arrived(r, 'blind')
  for _, m in ipairs(r.ours:messages()) do
    texts[#texts + 1] = m.data
  end
  t.eq(#texts, 4)
  for _, text in ipairs(texts) do
    t.lacks(text, 'Bcc')
    -- Each mailbox knows its own name.
    local rest = text:gsub('%-To: [^\n]*', ''):gsub('for <[^\n]*', '')
    t.lacks(rest, 'secret')
    t.lacks(rest, 'games')
  end
end)

t.test('400 recipients of both kinds in one message', function()
  local r = rig {}
  local list, want = {}, {}
  for i = 1, 200 do
    list[#list + 1] = ('<u%d@ours.test>'):format(i)
    list[#list + 1] = ('<news+%d@local.test>'):format(i)
    want[('u%d@ours.test'):format(i)] = 1
  end
  local replies = send(r, 'many', list)
  t.match(replies[#replies], '^250')
  t.eq(boxes_and_copies(r, 'many'), { want, { news = 200 }, {} })
end)
