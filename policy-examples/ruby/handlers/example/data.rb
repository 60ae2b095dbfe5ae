# DATA: the recipients are known.
def data
  tempfail "452 4.5.3 Too many recipients" if accepted_recipients.size > 100
end
