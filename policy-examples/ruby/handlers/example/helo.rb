# EHLO or HELO; `helo_name` is what the client calls itself.
def helo
  tempfail "450 4.7.1 Who are you?" if helo_name.casecmp?("unknown.invalid")
end
