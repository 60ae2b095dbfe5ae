# The session is over.
def close
  log "#{client_address} #{helo_name} #{cause}"
end
