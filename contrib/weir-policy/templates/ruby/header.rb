#!/usr/bin/ruby
# frozen_string_literal: true

# @NAME@: mark each message with a header field, X-@NAME@.
#
# weir.conf must grant it "headers".

require "weir_policy"
include WeirPolicy::Decisions

FIELD = "X-@NAME@"

policy = WeirPolicy::Policy.new("@NAME@/1.0")

policy.on :@PHASE@ do |session, _event|
  decision = relay
  session.message.headers.all(FIELD).each_index do |index|
    decision = decision.delete_header(FIELD, index) # none but ours
  end
  decision.add_header(FIELD, "from #{session.client.address}")
end

policy.run(ARGV.fetch(0))
