# Each piece of the body. A line may begin in one and end in the next.
def body
  text = state.fetch(:rest, "") + chunk
  reject "554 5.6.0 Not this" if text.include?("X-GO-AWAY-TEST")
  state[:rest] = text[-20..] || text
end
