# frozen_string_literal: true

require_relative "outbox"
require_relative "runner"

module WeirPolicy
  # One connection from weir: handshake, then its sessions.
  #
  #   bytes -> Frames -> Connection -> Runner (one per session) -> handler
  #   bytes <- Outbox <-               its decision             <-
  class Connection
    HANDSHAKE_SECONDS = 10
    BACKLOG_MAX = 16 * 1024 * 1024 # bytes of events that wait for their turn
    EVENT_COST = 512 # memory of an event, however small its frame

    attr_reader :policy, :weir # its Hello

    def initialize(policy, socket)
      @policy = policy
      @socket = socket
      @lock = Mutex.new
      @progress = ConditionVariable.new
      @runners = {}
      @unanswered = @waiting = 0
      @state = :new # :greeted, :ready, :closed
      @stopping = false
      @frames = Wire::Frames.new
      @outbox = Outbox.new(socket)
    end

    # Read until either side ends it.
    def serve
      receive
    rescue ProtocolError => e
      WeirPolicy.log.error("closing weir's connection: #{e.message}")
    rescue IOError, SystemCallError
      nil # weir has left
    ensure
      finish
    end

    # Tell weir the present version of the rules, and the subscriptions.
    def update
      return unless @state == :ready

      send_message(update: news)
    end

    # Answer what was asked, then close.
    def stop
      @lock.synchronize { @stopping = true }
      close_if_idle
    end

    # Queue one message. False if it does not fit into a frame.
    def send_message(**fields)
      frame = Wire.encode(Wire::FromPolicy.new(**fields))
      size = frame.bytesize - 4
      if size > @frames.limit
        WeirPolicy.log.error("session #{fields[:session]}: an answer of " \
                             "#{size} bytes, and #{@frames.limit} are allowed")
        return false
      end
      @outbox << frame
      true
    end

    # One event is done with.
    def settled(question)
      @lock.synchronize do
        @waiting -= question.size
        @unanswered -= 1 unless question.seq.zero?
        @progress.signal
      end
      close_if_idle if @stopping
    end

    def forget(ident)
      @lock.synchronize { @runners.delete(ident) }
    end

    private

    def close_if_idle
      @outbox.close if @unanswered.zero?
    end

    def receive
      @patience = Runner.now + HANDSHAKE_SECONDS
      in_time { @socket.accept_nonblock(exception: false) } if
        @socket.is_a?(OpenSSL::SSL::SSLSocket)
      loop do
        @frames.feed(read) do |frame|
          take(Wire.decode(frame), EVENT_COST + frame.bytesize)
        end
        throttle
      end
    rescue OpenSSL::SSL::SSLError => e
      raise ProtocolError, e.message
    end

    def read
      return @socket.readpartial(Wire::READ_SIZE) if @state == :ready

      in_time { @socket.read_nonblock(Wire::READ_SIZE, exception: false) } or
        raise EOFError
    end

    # Tries until there is something, while there is still time for the
    # handshake.
    def in_time
      loop do
        result = yield
        return result unless result == :wait_readable
        unless @socket.to_io.wait_readable([@patience - Runner.now, 0].max)
          raise ProtocolError, "no handshake in time"
        end
      end
    end

    # Read no more while answers or events pile up.
    def throttle
      @outbox.drain
      return if @waiting <= BACKLOG_MAX

      @lock.synchronize do
        @progress.wait(@lock) while @waiting > BACKLOG_MAX
      end
    end

    def finish
      @state = :closed
      @outbox.close
      @outbox.join(1)
      @socket.close
      runners = @lock.synchronize { @runners.values }
      unless runners.empty?
        WeirPolicy.log.warn("weir's connection is gone, with " \
                            "#{runners.size} sessions open")
      end
      runners.each(&:lost)
    end

    def take(message, size)
      kind = message.event
      case @state
      when :new then greet(kind, message)
      when :greeted then ready(kind, message)
      else
        PHASES.key?(kind) ? event(kind, message, size) : notice(kind, message)
      end
    end

    def greet(kind, message)
      raise ProtocolError, "#{kind || 'nothing'} came before Hello" unless
        kind == :hello

      hello = message.hello
      unless hello.major == 1
        raise ProtocolError, "#{hello.software} speaks version " \
                             "#{hello.major} of the protocol, and this is 1"
      end
      @weir = Events.convert(hello)
      welcome([hello.max_frame, Wire::FRAME_MAX].reject(&:zero?).min)
    end

    def welcome(limit)
      @told = news
      credit = @told[:subscriptions].any? { |s| s[:phase] == PHASES[:body] }
      send_message(welcome: {
                     major: 1, software: @policy.software, max_frame: limit,
                     body_credit: credit ? @policy.body_window : 0, **@told
                   })
      @state = :greeted
      @frames.limit = limit
    end

    def news
      { version: @policy.version, subscriptions: subscriptions }
    end

    def subscriptions
      @policy.subscriptions.filter_map do |phase, decide, prefix|
        next unless @weir.phases.include?(phase)

        { phase: PHASES[phase], decide: decide, body_prefix: prefix }
      end
    end

    def ready(kind, message)
      raise ProtocolError, "#{kind || 'nothing'} came before Ready" unless
        kind == :ready

      @state = :ready
      WeirPolicy.log.info("connected: #{@weir.software}, policy " \
                          "#{@weir.policy.inspect}, #{@weir.mode}")
      message.ready.refused.each do |phase|
        WeirPolicy.log.warn("weir refused a subscription: #{phase}")
      end
      update unless news == @told # changed since Welcome
    end

    # What is no event of a session. An unknown one is of a later version,
    # which this one did not ask for.
    def notice(kind, message)
      case kind
      when :ping then send_message(pong: { token: message.ping.token })
      when :cancel
        runner = @lock.synchronize { @runners[message.session] }
        runner&.cancel(message.cancel.seq)
      when :drain
        WeirPolicy.log.info("weir drains: #{@runners.size} sessions are open")
      end
    end

    def event(kind, message, size)
      raise ProtocolError, "#{kind} without a session" if
        message.session.zero?

      deadline = Runner.now + message.deadline_ms / 1000.0 if
        message.deadline_ms.positive? && message.seq.positive?
      question = Runner::Question.new(
        message.seq, kind, Events.convert(message.public_send(kind)), deadline,
        size
      )
      admit(message.session, question).push(question)
    end

    def admit(ident, question)
      @lock.synchronize do
        @waiting += question.size
        @unanswered += 1 unless question.seq.zero?
        @runners[ident] ||= Runner.new(self, ident)
      end
    end
  end
end
