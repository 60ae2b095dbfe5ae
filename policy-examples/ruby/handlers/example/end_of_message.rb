# The message is complete.
def end_of_message
  state.delete(:rest)
  reject "552 5.3.4 Too large" if size > 50_000_000
  took = ((Time.now - received_at) * 1000).round
  add_header "X-Policy", "checked in #{took} ms"
end
