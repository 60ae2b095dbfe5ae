# frozen_string_literal: true

require "weir_policy"
require_relative "rules"
require_relative "visit"

module Handlers
  ON_ERROR = %i[tempfail reject continue weir].freeze

  # weir's events go in, the folder's handlers are called, their statuses go
  # back as decisions. See Rules for what is called, Track for which version.
  class Server
    RELAY = WeirPolicy::Decisions.relay
    SETTLE = 0.25 # seconds
    private_constant :RELAY, :SETTLE

    def initialize(folder:, on_error:, poll:, body_limit: 1024 * 1024)
      @folder = File.expand_path(folder)
      @on_error = on_error
      @poll = poll
      @stamps = Rules.scan(@folder)
      @rules = Rules.new(@folder, @stamps)
      raise Broken, @rules.problems.join("\n") unless @rules.problems.empty?

      @shared = {}
      @policy = WeirPolicy::Policy.new("handlers/1.0", version: @rules.version,
                                                       body_limit: body_limit)
      listen_to(@rules.phases)
    end

    def run(endpoint)
      abort("handlers: start.rb failed") if call_alone(:start) == :failed
      Thread.new { watch }
      begin
        @policy.run(endpoint)
      ensure
        call_alone(:stop)
      end
    end

    private

    # ------------------------------------------------------- from phase to file

    PLAIN = { connect: :connect, ehlo: :helo, mail: :mail_from, rcpt: :rcpt_to,
              data: :data, command: :unknown }.freeze
    CONTENT = %i[headers body end_of_message].freeze
    ALWAYS = %i[connect mail transaction_end session_end].freeze
    private_constant :PLAIN, :CONTENT, :ALWAYS

    # weir is asked at these phases, and tells of those in ALWAYS.
    def listen_to(phases)
      PLAIN.each do |phase, name|
        asked = phases.include?(phase)
        next unless asked || ALWAYS.include?(phase)

        @policy.on(phase, decide: asked) { |*args| plain(name, *args) }
      end
      (CONTENT & phases).each { |phase| @policy.on(phase, &method(phase)) }
      @policy.on(:transaction_end, &method(:transaction_end))
      @policy.on(:session_end) { |*args| plain(:close, *args) }
      @policy.off(*(WeirPolicy::PHASES.keys - phases - ALWAYS))
    end

    def plain(name, session, event)
      track = track_of(session, name)
      return if track.done? && name != :close

      visit = visit(session, name, event)
      status = call(visit)
      track.done! if status&.action == :accept
      return status&.decision unless visit.address && passes?(status)

      (status&.decision || RELAY).rewrite(visit.address)
    end

    def headers(session, event)
      track = track_of(session, :headers)
      return if track.done? || track.message.nil?

      status = each_header(session, event) if track.rules[:header]
      status ||= call(visit(session, :end_of_headers, event))
      track.done! if status
      later = track.rules[:body] || track.rules[:end_of_message]
      finish(track.message, status) if status || !later
    end

    def each_header(session, event)
      event.items.each do |header|
        status = call(visit(session, :header, event, header))
        return status if status && status.action != :skip
        break if status
      end
      nil
    end

    # weir does not wait here: what is said is answered at the end.
    def body(session, event)
      track = track_of(session, :body)
      message = track.message
      return if track.done? || message.nil? || message.skipped

      status = call(visit(session, :body, event))
      message.skipped = true if status
      message.status = status unless status&.action == :skip
    end

    def end_of_message(session, event)
      track = track_of(session, :end_of_message)
      return if track.done? || track.message.nil?

      status = track.message.status ||
               call(visit(session, :end_of_message, event))
      finish(track.message, status)
    end

    def finish(message, status)
      decision = status&.decision || RELAY
      passes?(status) ? message.apply_to(decision) : decision
    end

    def passes?(status)
      status.nil? || status.action == :accept
    end

    def transaction_end(session, event)
      track = track_of(session, :abort)
      call(visit(session, :abort, event)) if event.outcome == :aborted
      track.message = nil
    end

    def track_of(session, name)
      track = session.state[:track] ||= Track.new(@rules)
      track.renew(@rules) unless track.message
      track.message = Message.new if name == :mail_from
      track
    end

    # ------------------------------------------------------------ calls, errors

    def visit(session, name, event, header = nil)
      Visit.new(session, session.state[:track], @shared, name, event, header)
    end

    def call(visit)
      visit.call if visit.file
    rescue StandardError, ScriptError, SystemStackError => e
      WeirPolicy.log.error(Handlers.explain(e, visit.path))
      on_error(visit)
    end

    def on_error(visit)
      reason = "#{visit.name}.rb failed"
      decision =
        case @on_error
        when :tempfail then WeirPolicy::Decisions.tempfail(
          "Temporary failure in a policy", enhanced: "4.3.0"
        ).because(reason: reason)
        when :reject then WeirPolicy::Decisions.reject.because(reason: reason)
        when :weir then WeirPolicy::Decision.failed(reason)
        end
      Status.new(@on_error, decision) if decision
    end

    # start and stop have no session.
    def call_alone(name)
      file = @rules[name] or return
      track = Track.new(@rules)
      status = Visit.new(nil, track, @shared, name, nil).call
      raise ArgumentError, "nothing to #{status.action} at #{name}" if status
    rescue StandardError, ScriptError => e
      WeirPolicy.log.error(Handlers.explain(e, file.path))
      :failed
    end

    # ---------------------------------------------------------- changed folders

    def watch
      seen = @stamps
      loop do
        sleep(@poll)
        now = Rules.scan(@folder)
        # not while somebody still writes: two looks have to agree
        renew(now) if now != @stamps && now == seen
        seen = now
      rescue SystemCallError => e
        WeirPolicy.log.error("#{@folder}: #{e.message}")
        sleep(1)
      end
    end

    def renew(stamps)
      @stamps = stamps
      rules = Rules.new(@folder, stamps, @rules)
      rules.problems.each { |problem| WeirPolicy.log.error(problem) }
      return if rules.version == @rules.version

      adopt(rules)
      WeirPolicy.log.info("#{rules.version}: #{rules.files.keys.join(', ')}")
    end

    # What is added has to be asked for: the rules wait until weir knows. It
    # does not say so, but reads an Update as soon as it comes.
    def adopt(rules)
      added = rules.phases - @rules.phases
      listen_to(rules.phases)
      @policy.version = rules.version
      sleep(SETTLE) unless added.empty?
      @rules = rules
    end
  end
end
