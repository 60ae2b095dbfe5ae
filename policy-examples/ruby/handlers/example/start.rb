# The server starts: what all sessions share is made here.
def start
  shared[:refused] = Queue.new
  log "ready"
end
