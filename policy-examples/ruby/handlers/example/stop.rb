# The server stops.
def stop
  log "#{shared[:refused].size} recipients were refused"
end
