kumo.on('init', function()
  kumo.start_esmtp_listener {
    listen = '0.0.0.0:25',
  }
end)

kumo.on('smtp_server_get_dynamic_parameters', function(listener, conn_meta)
  return {
    via = {
      -- When clients connect to this server via its 10.0.0.1 IP
      -- address, we will use the hostname and TLS parameters
      -- defined in this block
      ['10.0.0.1'] = {
        hostname = 'mx.example-customer.com',
        tls_certificate = '/path/to/customer1.cert',
        tls_private_key = '/path/to/customer1.key',
      },
      -- When clients connect to this server via its 10.0.0.2 IP
      -- address, we will use the hostname and TLS parameters
      -- defined in this block
      ['10.0.0.2'] = {
        hostname = 'mx.other-customer.com',
        tls_certificate = '/path/to/customer2.cert',
        tls_private_key = '/path/to/customer2.key',
      },
    },
  }
end)
