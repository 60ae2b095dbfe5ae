# Each field of the header section, one after the other.
def header
  case header_name.downcase
  when "x-internal-note" then delete_header(header_name, header_nth)
  when "subject"
    reject "554 5.6.0 No such offers" if header_value.match?(/\bfree money\b/i)
  end
end
