kumo.on('init', function()
  kumo.start_esmtp_listener {
    listen = '0.0.0.0:25',
  }
end)

local load_params = kumo.memoize(kumo.serde.toml_load, {
  name = 'listener_params',
  ttl = '5 mins',
  capacity = 10,
})

kumo.on('smtp_server_get_dynamic_parameters', function(listener, conn_meta)
  return load_params '/opt/kumometa/etc/policy/listener_params.toml'
end)
