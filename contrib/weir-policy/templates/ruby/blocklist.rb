#!/usr/bin/ruby
# frozen_string_literal: true

# @NAME@: refuse whoever is in the file "blocked" beside this program.
#
# One entry a line: @ENTRY@; "#" begins a comment.

require "weir_policy"
include WeirPolicy::Decisions

lines = File.readlines(File.join(__dir__, "blocked"))
BLOCKED = lines.map { |line| line.sub(/#.*/, "").strip.downcase }
               .reject(&:empty?)

policy = WeirPolicy::Policy.new("@NAME@/1.0")

policy.on :@PHASE@ do |session, event|
  who = @KEY@.downcase
  entry = [who, "@#{who.rpartition('@').last}"].find { |e| BLOCKED.include?(e) }
  reject("Blocked", code: 550, enhanced: "5.7.1").because(rule: entry) if entry
end

policy.run(ARGV.fetch(0))
