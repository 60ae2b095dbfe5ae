# frozen_string_literal: true

module Handlers
  # What a handler knows, by name. nil: not (yet) known, or it is not there.
  # Text from SMTP is UTF-8 where it is valid, else binary.
  module Facts
    # the connection
    def connection_id = @session.connection_id
    def connected_at = @visit.track.connected_at
    def listener = @session.listener
    def client_address = @session.client&.address
    def client_port = @session.client&.port
    def destination_address = @session.destination&.address
    def destination_port = @session.destination&.port
    def helo_name = @session.ehlo&.name
    def helo_verb = @session.ehlo&.verb

    # the client's TLS and certificate
    def tls_version = given(tls&.version)
    def tls_cipher = given(tls&.cipher)
    def tls_bits = tls&.cipher_bits
    def tls_certificate = given(tls&.peer_certificate) # DER
    def tls_subject = given(tls&.peer_subject)
    def tls_issuer = given(tls&.peer_issuer)
    def tls_verified = tls&.verified

    # TLS with the MX and its certificate; from mail_from on
    def mx_tls_version = given(mx_tls&.version)
    def mx_tls_cipher = given(mx_tls&.cipher)
    def mx_tls_bits = mx_tls&.cipher_bits
    def mx_tls_certificate = given(mx_tls&.peer_certificate)
    def mx_tls_subject = given(mx_tls&.peer_subject)
    def mx_tls_issuer = given(mx_tls&.peer_issuer)
    def mx_tls_verified = mx_tls&.verified

    def auth_type = given(@session.auth&.mechanism)
    def auth_identity = given(@session.auth&.identity)

    # the envelope
    def transaction_id = envelope&.id
    def received_at = @visit.message&.received_at
    def sender = envelope&.sender
    def sender_parameters = envelope&.mail&.parameters
    def recipients = envelope&.recipients&.map(&:recipient) || []

    # at rcpt_to: this one
    def recipient = at(:rcpt_to, :recipient)
    def recipient_parameters = at(:rcpt_to, :parameters)

    # from data on: those that stand
    def accepted_recipients
      envelope&.accepted&.map { |index| recipients[index] }
    end

    # the message; from header on
    def headers = content&.headers&.items || []
    def message_id = field("Message-ID")

    # the value of the first field of that name
    def field(name) = content&.headers&.[](name)

    # at header: this one; header_nth counts those of the same name, from 0
    def header_name = @visit.header&.name
    def header_value = @visit.header&.value

    def header_nth
      content.headers.all(header_name).index { |h| h.equal?(@visit.header) } if
        @visit.header
    end

    # at body: this piece, and where in the body it begins
    def chunk = at(:body, :data)
    def chunk_offset = at(:body, :offset)

    # at end_of_message: what is kept of the body, and the size of all
    def body = @visit.name == :end_of_message ? content&.body : nil
    def body_complete = content&.complete?
    def size = at(:end_of_message, :size)

    # at unknown: VRFY, ETRN, NOOP, HELP, and what is no command
    def command = at(:unknown, :verb)
    def arguments = at(:unknown, :arguments)

    # at close: why
    def cause = at(:close, :cause)

    private

    def tls = @session.tls[:client]
    def mx_tls = @session.tls[:upstream]
    def envelope = @session.transaction
    def content = envelope&.message

    def given(text)
      text unless text.nil? || text.empty?
    end

    def at(name, fact)
      @visit.event.public_send(fact) if @visit.name == name
    end
  end
end
