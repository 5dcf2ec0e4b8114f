kumo.on(
  'smtp_server_get_dynamic_parameters',
  function(listener, conn_meta)
    return {
      hostname = 'mx.example.com',
      meta = {
        x_listener = listener,
        x_client = conn_meta:get_meta 'received_from',
        x_via = conn_meta:get_meta 'received_via',
      },
    }
  end
)
