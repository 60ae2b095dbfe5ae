# frozen_string_literal: true

require_relative "decision"
require_relative "session"

module WeirPolicy
  # A session's events, one after the other. Whichever thread of the pool is
  # free takes the next session that has some; while it does, no other thread
  # takes the same one: order is kept, and a handler has its session to itself.
  class Runner
    # An event that waits for its turn; seq 0 awaits no answer.
    Question = Struct.new(:seq, :phase, :event, :deadline, :size, :cancelled)

    RELAY = Decisions.relay
    private_constant :RELAY

    def initialize(connection, ident)
      @connection = connection
      @policy = connection.policy
      @handlers = @policy.handlers # those that the session began with
      @ident = ident
      @session = Session.new(self, connection.weir, @policy.body_limit)
      @lock = Mutex.new
      @backlog = []
      @busy = false
      @credited = [0, 0] # message, body bytes that weir may send
    end

    def push(question)
      idle = @lock.synchronize do
        @backlog << question
        !@busy && (@busy = true)
      end
      @policy.pool << self if idle
    end

    # Take all that waits. The pool's threads call this.
    def work
      while (question = take)
        handle(question)
      end
    end

    def cancel(seq)
      return if seq.zero?

      @lock.synchronize do
        [@question, *@backlog].each do |question|
          question.cancelled = true if question && question.seq == seq
        end
      end
    end

    # weir is gone: whatever is open ends, and the session with it.
    def lost
      @lock.synchronize do
        return if @question&.phase == :session_end # it ends already

        @question&.cancelled = true
        @backlog.clear
      end
      event = Events::SessionEnd.new("policy connection lost", 0, 0)
      push(Question.new(0, :session_end, event, nil, 0))
    end

    # ------------------------------------------------- for Session's methods

    def working(seconds)
      question = @question
      return if question.nil? || question.seq.zero?

      send_answer(question.seq, working: { extra_ms: (seconds * 1000).round })
      question.deadline = [question.deadline, Runner.now + seconds].max if
        question.deadline
    end

    def annotate(facts)
      words = facts.to_h { |k, v| [Decision.word(k), Decision.word(v)] }
      send_answer(0, annotate: { annotations: words })
    end

    def time_left
      @question&.deadline&.-(Runner.now)
    end

    def cancelled?
      question = @question
      question.nil? || question.cancelled || expired?(question)
    end

    def self.now
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end

    private

    def take
      @lock.synchronize do
        @question = @backlog.shift
        @busy = false unless @question
        @question
      end
    end

    def expired?(question)
      question.deadline && question.deadline < Runner.now
    end

    def handle(question)
      @session.apply(question.phase, question.event)
      result = decide(question)
      answer(question, result) unless question.seq.zero? || question.cancelled
      credit(question.event) if question.phase == :body
      @session.forget(question.phase)
      @connection.settled(question)
      @connection.forget(@ident) if question.phase == :session_end
    end

    def decide(question)
      handler = handler_for(question) or
        return Decision.failed("no handler for #{question.phase}")
      if !question.cancelled && expired?(question)
        WeirPolicy.log.warn("session #{@ident}: the deadline of " \
                            "#{question.phase} passed before its turn")
        question.cancelled = true
      end
      call(handler, question) unless question.cancelled
    end

    # weir may ask for one that was taken away, before it knows of that.
    def handler_for(question)
      @handlers[question.phase] ||
        (@policy.former[question.phase] if question.seq.positive?)
    end

    def call(handler, question)
      result = handler.block.call(@session, question.event)
      return result if result.is_a?(Decision)
      return RELAY if result.nil? || question.seq.zero?

      raise TypeError,
            "a handler returns a Decision or nil, not #{result.inspect}"
    rescue Exception => e # rubocop:disable Lint/RescueException
      WeirPolicy.log.error("session #{@ident}: the handler for " \
                           "#{question.phase} failed; weir's on_error " \
                           "decides\n#{WeirPolicy.describe(e)}")
      Decision.failed("#{e.class} in the policy's handler")
    end

    def answer(question, decision)
      return if send_answer(question.seq, decision: decision.to_message)

      send_answer(question.seq,
                  decision: Decision.failed("decision too large").to_message)
    end

    def send_answer(seq, **answer)
      @connection.send_message(session: @ident, seq: seq, **answer)
    end

    # Allow as much again as was taken, in steps of half a window.
    def credit(body)
      window = @policy.body_window
      message, allowed = @credited
      allowed = window if message != body.message
      taken = body.offset + body.data.bytesize
      if allowed - taken <= window / 2
        allowed = taken + window
        send_answer(0, credit: { max_offset: allowed, message: body.message })
      end
      @credited = [body.message, allowed]
    end
  end
end
