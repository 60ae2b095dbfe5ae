# frozen_string_literal: true

require_relative "events"

module WeirPolicy
  # The content, as far as it was shown.
  class Message
    attr_reader :headers, :body, :gaps
    attr_accessor :size # of all of it, known at end_of_message

    def initialize(headers)
      @headers = headers
      @body = String.new(encoding: Encoding::BINARY)
      @size = 0
      @truncated = false
      @gaps = []
    end

    # Longer than the policy's body_limit?
    def truncated?
      @truncated
    end

    # Nothing is missing in `body`; known at end_of_message.
    def complete?
      !@truncated && @gaps.empty?
    end

    def raw
      @headers.raw + @body
    end

    # For errors and logs, where mail has no place; likewise in Session.
    def inspect = "#<#{self.class} #{@body.bytesize} bytes of body>"

    def take(body, limit)
      room = [limit - @body.bytesize, 0].max
      @body << body.data.byteslice(0, room)
      @truncated ||= body.data.bytesize > room
    end

    def finish(event)
      @size = event.size
      @truncated ||= event.truncated
      @gaps = event.gaps
    end
  end

  # The envelope, from mail on. `accepted`: the indexes of the recipients that
  # stand, known at data.
  Transaction = Struct.new(:id, :mail, :recipients, :accepted, :message) do
    def sender
      mail.sender
    end
  end

  # What a policy knows of one SMTP session: everything weir has told so far.
  # `state` is the policy's own.
  class Session
    attr_reader :connect, :upstream, :tls, :ehlo, :auth, :transaction, :state,
                :weir # what weir said of itself: policy, mode, grants, pools

    def initialize(runner, weir, body_limit)
      @runner = runner
      @weir = weir
      @body_limit = body_limit
      @tls = {}
      @state = {}
    end

    def connection_id = @connect&.connection_id.to_s
    def listener = @connect&.listener.to_s

    # Endpoints: address and port. nil before connect.
    def client = @connect&.client
    def destination = @connect&.destination

    # It began on a connection that broke, or while there was none; what follows
    # repeats it.
    def resumed? = @connect&.resumed || false

    # The present transaction. Raises, and so leaves it to on_error, if there
    # is none; `transaction` is nil then.
    def envelope
      @transaction or raise "no transaction has begun in this session"
    end

    # The present transaction's content; likewise.
    def message
      envelope.message or raise "no message has begun in this session"
    end

    # Tell weir that the answer to the present question takes so much longer,
    # counted from now.
    def working(seconds)
      @runner.working(seconds)
    end

    # Seconds until weir stops waiting for the present question; nil if it does
    # not wait.
    def time_left
      @runner.time_left
    end

    # Nobody waits for the present answer any more: weir said so, the deadline
    # is over, or the connection is gone. For handlers that take long.
    def cancelled?
      @runner.cancelled?
    end

    # Add facts to weir's record of this session.
    def annotate(**facts)
      @runner.annotate(facts)
    end

    def inspect = "#<#{self.class} #{connection_id}>"

    # Learn from an event, before the handler sees it.
    def apply(phase, event)
      case phase
      when :connect then @connect = event
      when :upstream then @upstream = event
      when :tls then @tls[event.leg] = event
      when :ehlo then @ehlo = event
      when :auth then @auth = event
      when :mail
        @transaction = Transaction.new(event.transaction_id, event, [])
      else apply_to_transaction(phase, event) if @transaction
      end
    end

    # Let go of what ended with an event, after the handler saw it.
    def forget(phase)
      @transaction = nil if phase == :transaction_end
    end

    private

    def apply_to_transaction(phase, event)
      case phase
      when :rcpt then @transaction.recipients << event
      when :data then @transaction.accepted = event.accepted
      when :headers then @transaction.message = Message.new(event)
      when :body
        @transaction.message&.take(event, @body_limit) if @body_limit.positive?
      when :end_of_message then @transaction.message&.finish(event)
      end
    end
  end
end
