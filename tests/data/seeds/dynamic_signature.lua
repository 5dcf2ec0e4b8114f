kumo.on(
  'smtp_server_get_dynamic_parameters',
  function(listener, conn_meta) end
)
