#!/usr/bin/ruby
# frozen_string_literal: true

# @NAME@: refuse messages with a phrase of the file "phrases" beside this
# program, one a line, in whatever case, in the body as it is sent.

require "weir_policy"
include WeirPolicy::Decisions

PHRASES = File.readlines(File.join(__dir__, "phrases"))
              .map { |line| line.sub(/#.*/, "").strip.downcase.b }
              .reject(&:empty?)

policy = WeirPolicy::Policy.new("@NAME@/1.0", body_limit: 1_000_000)

policy.on :@PHASE@ do |session, _event|
  text = session.message.body.b.downcase
  phrase = PHRASES.find { |words| text.include?(words) }
  if phrase
    reject("Not with these words", code: 550, enhanced: "5.7.1")
      .because(rule: phrase)
  end
end

policy.run(ARGV.fetch(0))
