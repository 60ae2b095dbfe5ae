# frozen_string_literal: true

module Handlers
  # How a handler ended; `decision` is nil for continue and skip.
  Status = Struct.new(:action, :decision)

  # What the server keeps of a session: the rules it goes by, and whether they
  # have nothing more to say about it.
  class Track
    attr_reader :rules, :connected_at, :state
    attr_accessor :message

    def initialize(rules)
      @rules = rules
      @offered = rules.phases # what weir asks in this session
      @connected_at = Time.now
      @state = {}
      @done = false
    end

    # A message is judged by one version from mail_from to its end; between two
    # of them the session takes a new one, if weir asks for all that it needs.
    def renew(rules)
      @rules = rules if (rules.phases - @offered).empty?
    end

    # No more handlers: for this message, or before one for the session.
    def done!
      @message ? @message.done = true : @done = true
    end

    def done?
      @done || @message&.done || false
    end
  end

  # What the server keeps of a message.
  class Message
    attr_reader :received_at
    attr_accessor :status, :skipped, :done

    def initialize
      @received_at = Time.now
      @edits = []
    end

    def edit(change)
      WeirPolicy::Decisions.relay.public_send(*change) # is it valid?
      @edits << change
    end

    # Every change of the headers so far, as part of the last answer.
    def apply_to(decision)
      @edits.reduce(decision) { |made, change| made.public_send(*change) }
    end
  end

  # One call of one handler.
  class Visit
    attr_reader :session, :track, :shared, :name, :event, :header, :address

    def initialize(session, track, shared, name, event, header = nil)
      @session = session
      @track = track
      @shared = shared
      @name = name
      @event = event
      @header = header
    end

    def message = @track.message
    def file = @track.rules[@name]
    def path = file.path
    def early? = @track.message.nil?

    def rewrite(address)
      WeirPolicy::Decisions.relay.rewrite(address) # is it valid?
      @address = address
    end

    # Runs the handler; gives its Status, or nil for continue.
    def call
      catch(:status) do
        file.handler.new(self).public_send(@name)
        nil
      end
    end
  end
end
