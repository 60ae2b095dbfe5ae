# RSET, or the client or the MX went away.
def abort
  state.delete(:rest)
end
