# frozen_string_literal: true

require_relative "wire"

module WeirPolicy
  # The phases by their names in policy.proto's oneof, and their numbers.
  PHASES = Wire.message("Hello").descriptor.lookup("phases").subtype
               .to_h { |name, number| [name.to_s[6..].downcase.to_sym, number] }
               .reject { |_, number| number.zero? }.freeze

  # Text that came off an SMTP wire: UTF-8 where it is valid, else binary, so
  # that no String method stumbles over it and every byte survives.
  def self.text(bytes)
    utf8 = String.new(bytes, encoding: Encoding::UTF_8)
    utf8.valid_encoding? ? utf8 : utf8.force_encoding(Encoding::BINARY)
  end

  # What weir tells: one Struct for each message of policy.proto, with the
  # names that it has there, made from its description. `bytes` are text (see
  # WeirPolicy.text), but for the fields in EXACT, which stay binary; an enum
  # is a Symbol such as :client or :delivered; a message that is absent is nil.
  module Events
    EXACT = %w[raw data peer_certificate].freeze

    @plans = {}

    class << self
      # A protobuf message as one of the Structs.
      def convert(message)
        kind, converters = plan(message.class.descriptor)
        kind.new(*converters.map { |converter| converter.call(message) })
      end

      # The Struct for a message's description, made on first use.
      def plan(descriptor)
        @plans[descriptor.name] ||= begin
          fields = descriptor.to_a
          kind = Struct.new(*fields.map { |field| field.name.to_sym })
          const_set(descriptor.name[/\w+\z/], kind)
          [kind, fields.map { |field| converter(field) }]
        end
      end

      private

      def converter(field)
        one = of_one(field)
        if field.label == :repeated
          ->(message) { field.get(message).map(&one).freeze }
        elsif field.type == :message
          ->(message) { (value = field.get(message)) && one.call(value) }
        else
          ->(message) { one.call(field.get(message)) }
        end
      end

      def of_one(field)
        case field.type
        when :message
          plan(field.subtype)
          method(:convert).to_proc
        when :enum then word(field.subtype)
        when :bytes
          exact = EXACT.include?(field.name)
          exact ? :itself.to_proc : WeirPolicy.method(:text)
        else :itself.to_proc
        end
      end

      def word(enum)
        prefix = enum.name[/\w+\z/].gsub(/(?<=[a-z])(?=[A-Z])/, "_").upcase
        words = enum.to_h { |name, _| [name, shorten(name, prefix)] }
        ->(value) { words.fetch(value, :unspecified) }
      end

      def shorten(name, prefix)
        name.to_s.delete_prefix("#{prefix}_").downcase.to_sym
      end
    end

    # One field: its name, its value unfolded and stripped, and its bytes.
    Header = Struct.new(:name, :value, :raw)

    Wire::ToPolicy.descriptor.lookup_oneof("event").each do |field|
      name = field.name.to_sym
      plan(field.subtype) if PHASES.key?(name) || name == :hello
    end

    # The header section. insert_header counts by positions in `items`,
    # change_header and delete_header by positions in `all(name)`.
    class Headers
      def items
        @items ||= fields.map do |field|
          line = raw.byteslice(field.offset, field.length)
          name = line.byteslice(0, field.name_length)
          value = line.byteslice(field.name_length..).sub(/\A[^:]*:/n, "")
          Header.new(WeirPolicy.text(name),
                     WeirPolicy.text(value.gsub(/\r?\n/n, "").strip), line)
        end
      end

      def all(name)
        items.select { |header| header.name.casecmp?(name) }
      end

      # The value of the first field of that name, or nil.
      def [](name)
        all(name).first&.value
      end

      # An error's text names its object: that must not bring mail into logs.
      def inspect = "#<#{self.class} #{fields.size} fields>"
    end

    # A piece of the body.
    class Body
      def inspect = "#<#{self.class} #{data.bytesize} bytes at #{offset}>"
    end
  end
end
