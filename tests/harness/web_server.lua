-- A web server that nobody here wrote (python3's http.server), for webhooks.
--
-- It answers each POST with the code in the file `code` of the story's folder, and
-- appends "CODE TYPE BODY" to the file `posted`, a line each.
local t = require 'harness'
local web_server = {}

local server_py = [[
import http.server, os, sys
folder = sys.argv[1]
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        with open(folder + '/code') as f:
            code = int(f.read())
        with open(folder + '/posted', 'ab') as f:
            f.write(b'%d %s %s\n' % (code, self.headers['Content-Type'].encode(), body.replace(b'\r\n', b'|')))
        self.send_response(code)
        self.end_headers()
        self.wfile.write(b'taken')
    def log_message(self, *args):
        pass
port = int(sys.argv[2])
s = http.server.ThreadingHTTPServer(('127.0.0.1', port), Handler)
with open(folder + '/port.new', 'w') as f:
    f.write(str(s.server_port))
os.rename(folder + '/port.new', folder + '/port')
s.serve_forever()
]]

-- port: the one that it had before it went down.
function web_server.start(port)
  os.remove(t.dir() .. '/port')
  t.write('server.py', server_py)
  local p = t.spawn { '/bin/sh', '-c', 'exec python3 "$0" "$@"', t.dir() .. '/server.py', t.dir(), tostring(port or 0) }
  t.wait_for('the web server', function()
    if not p:running() then
      t.fail(p:output())
    end
    return t.read(t.dir() .. '/port')
  end)
  return p, tonumber(t.read(t.dir() .. '/port'))
end

function web_server.posted()
  local lines = {}
  for line in (t.read(t.dir() .. '/posted') or ''):gmatch '[^\n]+' do
    lines[#lines + 1] = line
  end
  return lines
end

return web_server
