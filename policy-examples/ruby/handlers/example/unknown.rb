# VRFY, ETRN, NOOP, HELP, and what is no command at all.
def unknown
  reject "502 5.5.1 Not here" if command.casecmp?("VRFY")
end
