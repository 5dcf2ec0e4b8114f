local RELAY_BY_DOMAIN = {
  ['example.com'] = {
    -- The user scott is permitted to relay to example.com
    ['scott'] = true,
  },
}

kumo.on('get_listener_domain', function(domain, listener, conn_meta)
  local dom_map = RELAY_BY_DOMAIN[domain]
  if dom_map then
    local authz_id = conn_meta:get_meta 'authz_id'
    if dom_map[authz_id] then
      return kumo.make_listener_domain {
        relay_to = true,
      }
    end
  end
end)
