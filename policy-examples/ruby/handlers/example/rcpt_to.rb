# RCPT: one recipient.
def rcpt_to
  return unless recipient.casecmp?("nobody@example.com")

  shared[:refused] << recipient
  reject "550 5.1.1 User unknown"
end
