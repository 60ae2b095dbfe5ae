# frozen_string_literal: true

require "openssl"
require "socket"
require_relative "policy_pb"

module WeirPolicy
  # What the other side sent is not this protocol.
  class ProtocolError < StandardError; end

  # The protocol on the wire: messages, frames and endpoints.
  module Wire
    HANDSHAKE_FRAME_MAX = 64 * 1024
    FRAME_MAX = 1024 * 1024
    READ_SIZE = 64 * 1024

    def self.message(name)
      Google::Protobuf::DescriptorPool.generated_pool
                                      .lookup("weir.policy.v1.#{name}").msgclass
    end

    # google-protobuf 3.21 cannot show a part of a message before the class of
    # that part was asked for.
    def self.prepare(descriptor)
      descriptor.msgclass
      descriptor.each do |field|
        prepare(field.subtype) if field.type == :message
      end
    end
    private_class_method :prepare

    ToPolicy = message("ToPolicy")
    FromPolicy = message("FromPolicy")
    [ToPolicy, FromPolicy].each { |kind| prepare(kind.descriptor) }

    # One frame: the length, then the message.
    def self.encode(message)
      data = message.to_proto
      [data.bytesize].pack("N") << data
    end

    def self.decode(frame)
      ToPolicy.decode(frame)
    rescue Google::Protobuf::ParseError
      raise ProtocolError, "a frame that is no message of weir: " +
                           frame.byteslice(0, 16).dump
    end

    # Cuts a stream of bytes into frames.
    class Frames
      attr_accessor :limit

      def initialize
        @limit = HANDSHAKE_FRAME_MAX
        @buffer = String.new(encoding: Encoding::BINARY)
      end

      # Yields every frame that is complete now; `limit` may change between
      # two of them.
      def feed(data)
        @buffer << data
        start = 0
        while (length = length_at(start)) &&
              @buffer.bytesize >= start + 4 + length
          frame = @buffer.byteslice(start + 4, length)
          start += 4 + length
          yield frame
        end
      ensure
        @buffer = @buffer.byteslice(start..) if start.positive?
      end

      private

      def length_at(start)
        length = @buffer.byteslice(start, 4)&.unpack1("N") or return
        return length if length <= @limit

        raise ProtocolError,
              "a frame of #{length} bytes where #{@limit} are allowed; it " \
              "begins with #{@buffer.byteslice(start, 16).dump}"
      end
    end

    # What "tls:host:port" needs: TLS 1.3 with a certificate and its key, PEM,
    # by default in one file. With client_ca only a weir with a certificate of
    # that CA is served.
    def self.tls(certificate, key: certificate, client_ca: nil)
      context = OpenSSL::SSL::SSLContext.new
      context.min_version = OpenSSL::SSL::TLS1_3_VERSION
      key = OpenSSL::PKey.read(File.binread(key))
      mine, *chain = OpenSSL::X509::Certificate.load(File.binread(certificate))
      context.add_certificate(mine, key, chain)
      if client_ca
        context.ca_file = client_ca
        context.verify_mode = OpenSSL::SSL::VERIFY_PEER |
                              OpenSSL::SSL::VERIFY_FAIL_IF_NO_PEER_CERT
      end
      context
    end

    # A listening socket for "unix:/path", "tcp:host:port" or "tls:host:port".
    # A unix socket that a dead server left behind is replaced; one that
    # somebody still answers is an error.
    def self.listen(endpoint)
      case endpoint
      when /\Aunix:(.+)\z/m then listen_unix($1)
      when /\A(?:tcp|tls):(?:\[([^\]]+)\]|([^:]+)):(\d+)\z/
        TCPServer.new($1 || $2, $3.to_i).tap { |server| server.listen(128) }
      else
        raise ArgumentError, "#{endpoint.inspect} is no endpoint: write " \
                             "unix:/path, tcp:host:port or tls:host:port"
      end
    end

    def self.listen_unix(path)
      if File.exist?(path)
        raise ArgumentError, "#{path} is no socket" unless File.socket?(path)
        raise ArgumentError, "another server listens at #{path}" if alive?(path)

        File.unlink(path)
      end
      UNIXServer.new(path).tap { |server| server.listen(128) }
    end
    private_class_method :listen_unix

    def self.alive?(path)
      UNIXSocket.new(path).close
      true
    rescue Errno::ECONNREFUSED
      false
    end
    private_class_method :alive?

    # Where a socket really listens, in the words of weir.conf.
    def self.endpoint_of(server, tls: nil)
      address = server.local_address
      return "unix:#{address.unix_path}" if address.unix?

      "#{tls ? 'tls' : 'tcp'}:#{address.inspect_sockaddr}"
    end
  end
end
