kumo.on('init', function()
  kumo.start_esmtp_listener {
    listen = '0.0.0.0:25',
  }
end)

kumo.on('smtp_server_get_dynamic_parameters', function(listener, conn_meta)
  return kumo.serde.json_load '/opt/kumometa/etc/policy/listener_params.json'
end)
