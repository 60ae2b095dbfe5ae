#!/usr/bin/ruby
# frozen_string_literal: true

# @NAME@: at most LIMIT (an environment variable, 100) @WHATS@ an hour
# from each @WHO@.

require "weir_policy"
include WeirPolicy::Decisions

LIMIT = Integer(ENV.fetch("LIMIT", "100"))
HOUR = 3600

# Handlers of several sessions are at work at once.
class Counts
  def initialize
    @lock = Mutex.new
    @hour = 0
    @counts = Hash.new(0)
  end

  def add(who)
    @lock.synchronize do
      now = Time.now.to_i / HOUR
      @counts.clear if now != @hour
      @hour = now
      @counts[who] += 1
    end
  end
end

policy = WeirPolicy::Policy.new("@NAME@/1.0")
counts = Counts.new

policy.on :@PHASE@ do |session, event|
  who = @KEY@.downcase
  count = counts.add(who)
  if count > LIMIT
    tempfail("Too many, try again later", code: 451, enhanced: "4.7.1")
      .because(rule: "rate", score: count)
  end
end

policy.run(ARGV.fetch(0))
