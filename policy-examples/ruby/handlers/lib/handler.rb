# frozen_string_literal: true

require_relative "facts"

module Handlers
  # What a file is evaluated in: each is the body of a class of its own, made
  # from this one. An object lives for one call.
  class Handler
    include Facts

    EDITS = %i[header end_of_headers body end_of_message].freeze
    DISCARDS = %i[mail_from rcpt_to data header end_of_headers body
                  end_of_message].freeze
    REPLY = /\A(?:(\d{3})(?:\s+|\z))?(?:(\d\.\d{1,3}\.\d{1,3})(?:\s+|\z))?(.*)\z/m
    private_constant :EDITS, :DISCARDS, :REPLY

    def initialize(visit)
      @visit = visit
      @session = visit.session
    end

    # In the text of errors, which goes to the log.
    def inspect = "#<handler>"

    # ---------------------------------------------- statuses: they end the call

    def continue = throw(:status, nil)

    # Refuse, for good or for now: "550 5.1.1 User unknown"; code and enhanced
    # code may be left out, and so may all.
    def reject(reply = "") = refuse(:reject, reply)
    def tempfail(reply = "") = refuse(:tempfail, reply)

    # 421, and the end of the connection.
    def disconnect(text = "")
      leave(:disconnect, WeirPolicy::Decisions.disconnect(text))
    end

    # Answer 250 and drop: at rcpt_to this recipient, else the message.
    def discard(text = "")
      only_at(:discard, DISCARDS)
      leave(:discard, WeirPolicy::Decisions.discard(text))
    end

    # Let it pass, and run no more handlers: at connect and helo for the
    # session, later for this message.
    def accept
      scope = @visit.early? ? :session : :transaction
      leave(:accept, WeirPolicy::Decisions.relay(scope: scope))
    end

    # No more of the same: at header the other fields, at body the other pieces.
    def skip
      only_at(:skip, %i[header body])
      leave(:skip, nil)
    end

    # -------------------------------------------------------- changes and notes

    def add_header(name, value) = edit(:add_header, name, value)

    # Before the field at that index; 0 is the top.
    def insert_header(index, name, value)
      if index > headers.size
        raise ArgumentError, "there are only #{headers.size} fields"
      end
      edit(:insert_header, index, name, value)
    end

    # The nth field of that name, counted from 0 in the section as it came.
    def change_header(name, value, nth = 0)
      there(name, nth)
      edit(:change_header, name, value, nth)
    end

    def delete_header(name, nth = 0)
      there(name, nth)
      edit(:delete_header, name, nth)
    end

    def change_sender(address)
      only_at(:change_sender, [:mail_from])
      @visit.rewrite(address)
    end

    def change_recipient(address)
      only_at(:change_recipient, [:rcpt_to])
      @visit.rewrite(address)
    end

    def state = @visit.track.state # of this session, yours
    def shared = @visit.shared # of the server: sessions run at the same time
    def annotate(**facts) = @session.annotate(**facts) # for weir's record
    def working(seconds) = @session.working(seconds) # more time, please
    def log(text) = WeirPolicy.log.info("#{@visit.name}: #{text}")

    private

    def only_at(what, names)
      return if names.include?(@visit.name)

      raise ArgumentError, "#{what} is for #{names.join(', ')}"
    end

    def refuse(action, reply)
      code, enhanced, text = reply.b.match(REPLY).captures
      options = { scope: @visit.name == :helo ? :session : :command }
      options[:code] = code.to_i if code
      options[:enhanced] = enhanced || "" if code || enhanced
      leave(action, WeirPolicy::Decisions.public_send(action, text, **options))
    end

    # The rule in weir's record is the line that said so.
    def leave(action, decision)
      line = caller_locations.find { |l| l.path == @visit.path }&.lineno
      rule = "#{@visit.name}.rb:#{line}"
      throw(:status, Status.new(action, decision&.because(rule: rule)))
    end

    def edit(*change)
      only_at(change.first, EDITS)
      @visit.message.edit(change)
    end

    def there(name, nth)
      count = @session.message.headers.all(name).size
      raise ArgumentError, "there is no field #{name} number #{nth}" unless
        nth.between?(0, count - 1)
    end
  end
end
