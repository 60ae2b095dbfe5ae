# frozen_string_literal: true

require_relative "connection"

module WeirPolicy
  # A policy server.
  #
  #   software      its name and version, for weir's log
  #   version       of its rules: recorded with every decision; may be set at
  #                 any time, and weir is told
  #   context       also hear of the phases before those that have a handler,
  #                 so that the session knows them
  #   body_limit    bytes of body kept in session.message when end_of_message
  #                 has a handler; 0: none, and weir need not send them
  #   body_window   body bytes per message that weir may send ahead
  #   threads       handlers that can be at work at the same time
  #   stop_timeout  seconds that SIGTERM leaves to handlers that are at work
  class Policy
    # weir does not wait at these, whatever the handler returns.
    NOTIFY_ONLY = %i[upstream tls reply transaction_end session_end].freeze
    Handler = Struct.new(:block, :decide, :prefix)

    attr_reader :software, :version, :body_limit, :body_window, :handlers, :former,
                :pool

    def initialize(software = "weir_policy/#{VERSION}", version: "",
                   context: true, body_limit: 10 * 1024 * 1024,
                   body_window: 256 * 1024, threads: 16, stop_timeout: 5)
      raise ArgumentError, "body_window is at least one byte" if body_window < 1

      @software = software
      @version = version
      @context = context
      @body_limit = body_limit
      @body_window = body_window
      @threads = threads
      @stop_timeout = stop_timeout
      @handlers = {}.freeze
      @former = {}.freeze
      @connections = {}
      @lock = Mutex.new
      @pool = Thread::Queue.new
      @stop_reader, @stop_writer = IO.pipe
    end

    # The block is called with (session, event) at this phase; it returns a
    # Decision, or nil for relay. weir waits for it, but at body (unless decide:
    # true), at those of NOTIFY_ONLY, and where decide: false says so. `prefix`:
    # show at most so many bytes of each body.
    def on(phase, decide: nil, prefix: 0, &block)
      raise ArgumentError, "#{phase.inspect} is no phase" unless
        PHASES.key?(phase)
      raise ArgumentError, "on(#{phase.inspect}) wants a block" unless block
      raise ArgumentError, "weir does not wait at #{phase}" if
        decide && NOTIFY_ONLY.include?(phase)

      decide = !NOTIFY_ONLY.include?(phase) && phase != :body if decide.nil?
      handler = Handler.new(block, decide, prefix)
      @handlers = @handlers.merge(phase => handler).freeze
      self
    end

    # Take handlers away. Sessions that are open keep those they began with, and
    # so do those that weir begins before it knows.
    def off(*phases)
      @former = @former.merge(@handlers.slice(*phases)).freeze
      @handlers = @handlers.except(*phases).freeze
      self
    end

    def version=(version)
      return if version == @version

      @version = version
      update
    end

    # Tell weir the version and the subscriptions, for sessions to come: after
    # `on` and `off` on a policy that is running.
    def update
      connections.each(&:update)
    end

    # [phase, decide, body_prefix] for all that the handlers need.
    def subscriptions
      handlers = @handlers
      wanted = handlers.keys | %i[transaction_end session_end]
      wanted |= context(handlers.keys) if @context
      wanted.delete(:body) if @body_limit.zero? && !handlers.key?(:body)
      wanted.sort_by { |phase| PHASES[phase] }.map do |phase|
        handler = handlers[phase]
        rest = phase == :body ? @body_limit : 0
        [phase, handler&.decide || false, handler ? handler.prefix : rest]
      end
    end

    # Serve at "unix:/path", "tcp:host:port" or, with what Wire.tls makes,
    # "tls:host:port", until SIGTERM or SIGINT.
    def run(endpoint, tls: nil)
      %w[TERM INT].each { |name| trap(name) { stop } }
      serve(endpoint, tls: tls)
    rescue ArgumentError, SocketError, SystemCallError => e
      abort("#{endpoint}: #{e.message}")
    end

    # Serve until `stop`; then answer what was asked, and close. Yields when it
    # listens.
    def serve(endpoint, tls: nil)
      raise ArgumentError, "a certificate and tls: go together" if
        tls.nil? == endpoint.start_with?("tls:")

      listener = Wire.listen(endpoint)
      where = Wire.endpoint_of(listener, tls: tls)
      socket_file = identify(where)
      WeirPolicy.log.info("listening on #{where}")
      @threads.times { Thread.new { work } }
      yield where if block_given?
      accept(listener, tls)
      WeirPolicy.log.info("stopping")
    ensure
      if listener
        listener.close
        File.unlink(where[5..]) if socket_file && identify(where) == socket_file
        finish
      end
    end

    # May be called from a signal handler.
    def stop
      @stop_writer.write_nonblock(".", exception: false)
    end

    private

    # What a session has to know of before it comes to these phases. Those
    # behind the message know of the envelope.
    def context(phases)
      ends = phases.map do |phase|
        number = PHASES[phase]
        number > PHASES[:end_of_message] ? PHASES[:headers] : number
      end
      PHASES.select { |phase, n| n < ends.max.to_i && phase != :command }.keys
    end

    def connections
      @lock.synchronize { @connections.keys }
    end

    def work
      while (runner = @pool.pop)
        runner.work
      end
    end

    def accept(listener, tls)
      loop do
        ready, = IO.select([listener, @stop_reader])
        return if ready.include?(@stop_reader)

        socket = listener.accept_nonblock(exception: false)
        carry(socket, tls) unless socket == :wait_readable
      rescue Errno::ECONNABORTED, Errno::EMFILE, Errno::ENFILE => e
        WeirPolicy.log.error("a connection from weir: #{e.message}")
        sleep(0.1)
      end
    end

    def carry(socket, tls)
      socket.setsockopt(:TCP, :NODELAY, true) if socket.is_a?(TCPSocket)
      socket = OpenSSL::SSL::SSLSocket.new(socket, tls) if tls
      connection = Connection.new(self, socket)
      @lock.synchronize { @connections[connection] = true }
      Thread.new do
        connection.serve
      ensure
        @lock.synchronize { @connections.delete(connection) }
      end
    end

    def finish
      deadline = Runner.now + @stop_timeout
      sleep(0.05) # what is on its way from weir is still asked
      connections.each(&:stop)
      sleep(0.02) until idle? || Runner.now > deadline
      @pool.close
    end

    def idle?
      connections.empty? && @pool.empty? && @pool.num_waiting == @threads
    end

    # Device and inode of a unix socket, to unlink no other server's.
    def identify(where)
      path = where[/\Aunix:(.*)/m, 1] or return
      stat = File.stat(path)
      [stat.dev, stat.ino]
    rescue Errno::ENOENT
      nil
    end
  end
end
