# The header section is complete.
def end_of_headers
  return if message_id

  add_header "Message-ID", "<#{transaction_id}@example.org>"
end
