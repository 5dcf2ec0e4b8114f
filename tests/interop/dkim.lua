-- What message:dkim_sign signs, dkimpy verifies: as it left, after the queue and
-- the router.
local t = require 'harness'

-- Verifies FILE with the public keys of DIR/SELECTOR.pub; prints one line for
-- each signature.
local verify = [[
import base64, subprocess, sys
import dkim

def lookup(name, timeout=5):
    selector = name.split(b'.')[0].decode()
    der = subprocess.run(['openssl', 'pkey', '-pubin', '-in', sys.argv[1] + '/' + selector + '.pub',
                          '-pubout', '-outform', 'DER'], check=True, capture_output=True).stdout
    if selector.startswith('ed'):
        return b'v=DKIM1; k=ed25519; p=' + base64.b64encode(der[-32:])
    return b'v=DKIM1; k=rsa; p=' + base64.b64encode(der)

for name in sys.argv[2:]:
    text = open(name, 'rb').read()
    d = dkim.DKIM(text)
    n = sum(1 for field, _ in d.headers if field.lower() == b'dkim-signature')
    for i in range(n):
        try:
            good, why = d.verify(idx=i, dnsfunc=lookup), ''
        except dkim.ValidationError as e:
            good, why = False, e
        print(name.rsplit('/')[-1], i, why, good)
]]

local function run(argv)
  local status, out = t.run(argv)
  t.eq(status, 0, out)
  return out
end

local function make_keys()
  local dir = t.dir()
  run { 'openssl', 'genpkey', '-quiet', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048', '-out', dir .. '/rsa.key' }
  run { 'openssl', 'genpkey', '-quiet', '-algorithm', 'ED25519', '-out', dir .. '/ed.key' }
  for _, name in ipairs { 'rsa', 'ed' } do
    run { 'openssl', 'pkey', '-in', dir .. '/' .. name .. '.key', '-pubout', '-out', dir .. '/' .. name .. '.pub' }
  end
end

local function verified(files)
  local argv = { '/usr/bin/python3', t.write('verify.py', verify), t.dir() }
  table.move(files, 1, #files, #argv + 1, argv)
  return run(argv)
end

local head = 'From: Ann <ann@sender.test>\r\nTo: bob@example.com,\r\n\tcarl@example.com\r\n' ..
  'Subject:   two   blanks \r\nReceived: from a by b\r\nReceived: from c by d\r\n'

local bodies = {
  'Hello.\r\n',
  '',
  '\r\n\r\n',
  ' blanks  and\ttabs \r\n\r\n.\r\n..dots\r\n \r\n\r\n\r\n',
  'no end of line',
  ('A long line of eighty bytes, again and again, so that pieces end somewhere. 12\r\n'):rep(20000),
}

local sign = [[
kumo.on('smtp_server_message_received', function(msg)
  for _, header in ipairs { 'Relaxed', 'Simple' } do
    for _, body in ipairs { 'Relaxed', 'Simple' } do
      local params = {
        domain = 'sender.test', selector = 'rsa', headers = { 'From', 'To', 'Subject', 'Received', 'Cc' },
        header_canonicalization = header, body_canonicalization = body, key = '%s/rsa.key',
        over_sign = header == 'Simple', body_length = body == 'Simple', expiration = 86400,
      }
      msg:dkim_sign(kumo.dkim.rsa_sha256_signer(params))
      params.selector, params.key = 'ed', '%s/ed.key'
      msg:dkim_sign(kumo.dkim.ed25519_signer(params))
    end
  end
end)
]]

t.test('dkimpy accepts every algorithm and canonicalization, as delivered', function()
  if t.run { '/usr/bin/python3', '-c', 'import dkim, nacl' } ~= 0 then
    t.fail 'python3-dkim and python3-nacl are missing'
  end
  make_keys()
  local sink = t.smtp_sink {}
  local policy = t.smart_host(sink, { extra = sign:format(t.dir(), t.dir()) })
  local milter = t.milter { policy = policy }
  local mta = milter:connect { helo = 'sender.test' }
  for _, body in ipairs(bodies) do
    t.eq(mta:mail '<ann@sender.test>', 'continue')
    t.eq(mta:rcpt '<bob@example.com>', 'continue')
    t.eq(mta:message(head .. '\r\n' .. body), 'discard')
  end
  t.router { policy = policy }
  t.wait_for('all messages', function()
    return #sink:messages() == #bodies
  end, 60000)
  local files = {}
  for i, message in ipairs(sink:messages()) do
    files[i] = t.write(('message-%d'):format(i), message.data)
  end
  local out = verified(files)
  local _, good = out:gsub(' True\n', '')
  t.eq(good, 8 * #bodies, out)
  t.lacks(out, 'False')
end)

t.test('dkimpy refuses what was changed afterwards', function()
  make_keys()
  local sink = t.smtp_sink {}
  local policy = t.smart_host(sink, { extra = sign:format(t.dir(), t.dir()) })
  local mta = t.milter({ policy = policy }):connect { helo = 'sender.test' }
  mta:mail '<ann@sender.test>'
  mta:rcpt '<bob@example.com>'
  t.eq(mta:message(head .. '\r\nHello.\r\n'), 'discard')
  t.router { policy = policy }
  t.wait_for('the message', function()
    return #sink:messages() == 1
  end, 30000)
  local data = sink:messages()[1].data
  local out = verified {
    t.write('another-body', (data:gsub('Hello', 'Hallo'))),
    t.write('another-subject', (data:gsub('Subject:   two', 'Subject:   three'))),
  }
  local _, bad = out:gsub(' False\n', '')
  t.eq(bad, 16, out)
end)
