# frozen_string_literal: true

require "openssl"

module WeirPolicy
  # What waits to be written to weir. Whoever answers only appends; a thread
  # writes, all that is there at once. So a weir that does not read stops
  # nobody but its own connection, which waits in `drain` before it reads on.
  class Outbox
    LIMIT = 1024 * 1024

    def initialize(socket)
      @socket = socket
      @lock = Mutex.new
      @news = ConditionVariable.new # something to write, or to end
      @room = ConditionVariable.new # less to write than before
      @data = String.new(encoding: Encoding::BINARY)
      @closed = false
      @thread = Thread.new { carry }
    end

    def <<(frame)
      @lock.synchronize do
        @data << frame unless @closed
        @news.signal
      end
    end

    # Wait until no more than LIMIT bytes are left.
    def drain
      return if @data.bytesize <= LIMIT

      @lock.synchronize do
        @room.wait(@lock) while @data.bytesize > LIMIT && !@closed
      end
    end

    # Write what is left, then end the connection.
    def close
      @lock.synchronize do
        @closed = true
        @news.signal
        @room.signal
      end
    end

    # Wait for that, but not for ever.
    def join(seconds)
      @thread.join(seconds)
    end

    private

    def carry
      while (data = take)
        @socket.write(data)
      end
    rescue IOError, SystemCallError, OpenSSL::SSL::SSLError
      close # weir has left: the reader learns it, too
    ensure
      shutdown
    end

    def take
      @lock.synchronize do
        @news.wait(@lock) while @data.empty? && !@closed
        data = @data
        @data = String.new(encoding: Encoding::BINARY)
        @room.signal
        data unless data.empty?
      end
    end

    def shutdown
      @socket.close if @socket.is_a?(OpenSSL::SSL::SSLSocket) # says goodbye
      @socket.to_io.shutdown
    rescue IOError, SystemCallError
      nil # it is down already
    end
  end
end
