kumo.on('get_listener_domain', function(domain, listener, conn_meta)
  if domain == 'send.example.com' then
    return kumo.make_listener_domain {
      relay_from = { '10.0.0.0/24' },
    }
  end
end)
