-- A web server for MTA-STS policies (RFC 8461), over TLS.
local sys = require 'sys'
local sched = require 'sched'
local sts_web = {}

-- pages: host -> {status, type, text}; certificate: for all of them.  What was
-- asked is counted in `asked`, by host.
function sts_web.start(pages, certificate)
  local self = { pages = pages, asked = {} }
  local fd, port = sys.tcp_listen('127.0.0.1', 0)
  self.port = port
  sched.serve({ fd = fd }, function(stream)
    local c = certificate
    if not stream:start_tls(c.cert, c.key, sys.now_ms() + 5000) then
      return stream:close()
    end
    local host = stream.tls:facts().sni
    local line = stream:line(sys.now_ms() + 5000)
    while true do
      local field = stream:line(sys.now_ms() + 5000)
      if not field or field == '' then
        break
      end
    end
    self.asked[host] = (self.asked[host] or 0) + 1
    local page = line == 'GET /.well-known/mta-sts.txt HTTP/1.1' and self.pages[host] or { 404, 'text/plain', '' }
    stream:write(('HTTP/1.1 %d x\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s')
      :format(page[1], page[2], #page[3], page[3]))
    stream:close()
  end)
  return self
end

-- The page of a policy.
function sts_web.policy(mode, ...)
  local lines = { 'version: STSv1', 'mode: ' .. mode }
  for _, mx in ipairs { ... } do
    lines[#lines + 1] = 'mx: ' .. mx
  end
  lines[#lines + 1] = 'max_age: 86400'
  return { 200, 'text/plain', table.concat(lines, '\r\n') .. '\r\n' }
end

return sts_web
