# frozen_string_literal: true

require_relative "wire"

module WeirPolicy
  # What a policy answers. A decision begins with one of the methods of
  # Decisions and can be refined:
  #
  #   relay.add_header("X-Spam", "yes").because(rule: "r1")
  #
  # Each step gives a new decision, so one that is kept can be used again and
  # again. What could never be valid raises ArgumentError here, in the policy's
  # own backtrace; what weir.conf does not grant is weir's to refuse.
  class Decision
    Message = Wire.message("Decision")
    HeaderEdit = Wire.message("HeaderEdit")
    Splice = Wire.message("Splice")
    Outbound = Wire.message("Outbound")
    SmtpReply = Wire.message("SmtpReply")
    private_constant :Message, :HeaderEdit, :Splice, :Outbound, :SmtpReply

    FIELD_NAME = /\A[!-9;-~]+\z/n
    BAD_IN_VALUE = /\0|\r(?!\n[ \t])|(?<!\r)\n/n
    BARE = /\r(?!\n)|(?<!\r)\n/n
    private_constant :FIELD_NAME, :BAD_IN_VALUE, :BARE

    # Text for weir's record, which is ASCII: the rest is shown escaped.
    def self.word(value)
      value.to_s.encode("US-ASCII", fallback: ->(c) { c.dump[1..-2] })
           .gsub("\0", "\\\\x00").encode("UTF-8")
    rescue EncodingError
      value.to_s.dump[1..-2].encode("UTF-8")
    end

    # No decision: weir does what on_error says.
    def self.failed(reason)
      new(action: 0, reason: word(reason))
    end

    def self.build(action, scope, text, code, enhanced)
      facts = { action: :"ACTION_#{action.upcase}",
                scope: :"SCOPE_#{scope.upcase}" }
      facts[:reply] = reply(text, code, enhanced) if code
      new(**facts)
    rescue RangeError
      raise ArgumentError, "#{scope.inspect} is none of :command, " \
                           ":transaction, :session"
    end

    def self.reply(text, code, enhanced)
      lines = text.b.split("\n", -1)
      raise ArgumentError, "#{lines.size} lines, and 32 are allowed" if
        lines.size > 32

      bad = lines.find { |line| line.bytesize > 510 || line.match?(/[\r\0]/n) }
      raise ArgumentError, "#{bad.dump} cannot be a line of a reply" if bad

      unless enhanced.empty? ||
             enhanced.match?(/\A#{code / 100}\.\d{1,3}\.\d{1,3}\z/)
        raise ArgumentError, "enhanced code #{enhanced} does not fit #{code}"
      end

      SmtpReply.new(code: code, enhanced: enhanced, lines: lines)
    end
    private_class_method :reply

    def initialize(message = nil, **facts)
      @message = message || Message.new(**facts)
    end

    def to_message
      @message
    end

    def inspect
      said = @message.to_h.reject { |_, value| [nil, [], {}].include?(value) }
      "#<#{self.class} #{said}>"
    end

    def ==(other)
      other.is_a?(Decision) && to_message == other.to_message
    end

    # Add a field at the end of the header section.
    def add_header(name, value)
      edit(:OP_ADD, name, value, 0)
    end

    # Insert before the field at `index`; 0 is the top.
    def insert_header(index, name, value)
      edit(:OP_INSERT, name, value, index)
    end

    # Replace the `index`th field of that name, counted from 0.
    def change_header(name, value, index = 0)
      edit(:OP_CHANGE, name, value, index)
    end

    # Delete the `index`th field of that name, counted from 0.
    def delete_header(name, index = 0)
      edit(:OP_DELETE, name, "", index)
    end

    # Replace `remove` bytes of the body at `offset` by `insert`.
    def splice(offset, remove: 0, insert: "")
      raise ArgumentError, "a line of the body ends with CRLF" if
        insert.b.match?(BARE)

      copy do |message|
        message.body << Splice.new(offset: offset, remove: remove,
                                   insert: insert.b)
      end
    end

    # Choose how weir connects to the MX: one address or one pool of weir.conf;
    # the EHLO name; the TLS level (:none, :may, :encrypt; :verify, with the
    # names of which the certificate must carry one; :dane, with its records, as
    # Hashes of usage, selector, matching, data); or another destination,
    # [address, port], which needs the grant "next_hop".
    def outbound(source_address: "", pool: "", ehlo_name: "", tls: :unspecified,
                 tls_names: [], tlsa: [], next_hop: nil)
      raise ArgumentError, "either an address or a pool, not both" unless
        source_address.empty? || pool.empty?

      hop = next_hop && { address: next_hop[0], port: next_hop[1] }
      copy do |message|
        message.outbound = Outbound.new(
          source_address: source_address, source_pool: pool,
          ehlo_name: ehlo_name, tls: :"TLS_LEVEL_#{tls.upcase}",
          tls_names: tls_names, tlsa: tlsa, next_hop: hop
        )
      end
    rescue RangeError
      raise ArgumentError, "#{tls.inspect} is no TLS level"
    end

    # At mail a new sender ("" for <>), at rcpt a new recipient.
    def rewrite(address)
      raise ArgumentError, "#{address.dump} cannot be an address" if
        address.b.match?(/[\r\n\0<>]/n)

      copy do |message|
        message.rewrite = address.b
        message.rewrite_set = true
      end
    end

    # Let the client wait so many seconds for the reply.
    def delay(seconds)
      copy { |message| message.delay_ms = (seconds * 1000).round }
    end

    # For weir's record only: the client never sees it.
    def because(rule: "", score: 0.0, reason: "", annotations: {})
      copy do |message|
        message.rule = Decision.word(rule)
        message.score = score
        message.reason = Decision.word(reason)
        annotations.each do |key, value|
          message.annotations[Decision.word(key)] = Decision.word(value)
        end
      end
    end

    private

    def copy
      message = Google::Protobuf.deep_copy(@message)
      yield message
      Decision.new(message)
    end

    def edit(operation, name, value, index)
      raise ArgumentError, "#{name.dump} is no name of a header field" unless
        name.b.match?(FIELD_NAME)

      if value.b.match?(BAD_IN_VALUE)
        raise ArgumentError, "a header value folds with CRLF and white space " \
                             "only: #{value.dump}"
      end

      copy do |message|
        message.headers << HeaderEdit.new(op: operation, name: name.b,
                                          value: value.b, index: index)
      end
    end
  end

  # The five beginnings of a decision. Several lines of text are separated by
  # "\n"; without text weir says its own. `scope` is :command, :transaction or
  # :session: how far it reaches.
  module Decisions
    module_function

    # Let it pass. With :transaction: and do not ask about this message again.
    def relay(scope: :command)
      Decision.build(:relay, scope, "", nil, "")
    end

    # Refuse for good. With code: nil the whole reply is weir's.
    def reject(text = "", code: 550, enhanced: "5.7.1", scope: :command)
      raise ArgumentError, "reject takes a 5xx code, not #{code}" unless
        code.nil? || (500..599).cover?(code)

      Decision.build(:reject, scope, text, code, enhanced)
    end

    # Refuse for now: the client's queue tries again.
    def tempfail(text = "", code: 451, enhanced: "4.7.1", scope: :command)
      raise ArgumentError, "tempfail takes a 4xx code, not #{code}" unless
        code.nil? || (400..499).cover?(code)

      Decision.build(:tempfail, scope, text, code, enhanced)
    end

    # Answer 250 and drop it. Needs the grant "discard".
    def discard(text = "", scope: :command)
      Decision.build(:discard, scope, text, text.empty? ? nil : 250, "")
    end

    # Answer 421 and close the connection.
    def disconnect(text = "", enhanced: "4.7.0")
      Decision.build(:disconnect, :command, text, 421, enhanced)
    end
  end
end
