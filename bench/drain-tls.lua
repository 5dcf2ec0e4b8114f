-- The drain over STARTTLS.  Both sides reuse connections and take any certificate.
local rig = require 'rig'
local drains = require 'drains'

drains.run {
  name = 'drain-tls',
  sink = function(ctx)
    return rig.sink(ctx, 'tls')
  end,
  postfix = { 'smtp_tls_security_level=encrypt', 'smtp_tls_connection_reuse=yes', 'smtp_tls_loglevel=0' },
  path = [[enable_tls = 'RequiredInsecure']],
}
