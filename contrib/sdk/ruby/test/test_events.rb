# frozen_string_literal: true

require_relative "helper"

class TestEvents < Minitest::Test
  def event(kind, **facts)
    name = kind.to_s.split("_").map(&:capitalize).join
    WeirPolicy::Events.convert(WeirPolicy::Wire.message(name).new(**facts))
  end

  def test_text_survives
    assert_equal Encoding::UTF_8, WeirPolicy.text("caf\xc3\xa9".b).encoding
    odd = WeirPolicy.text("CAF\xe9".b)
    assert_equal "caf\xe9".b, odd.downcase
  end

  def test_enums_are_words
    assert_equal :delivered, event(:transaction_end,
                                   outcome: :OUTCOME_DELIVERED).outcome
    assert_equal :unspecified, event(:transaction_end, outcome: 77).outcome
    assert_equal :end_of_message,
                 event(:reply, phase: :PHASE_END_OF_MESSAGE).phase
    assert_equal :client, event(:tls, leg: :LEG_CLIENT).leg
  end

  def test_nested_and_absent
    connect = event(:connect, client: { address: "192.0.2.1", port: 7 })
    assert_equal ["192.0.2.1", 7, nil], [*connect.client, connect.destination]
    assert_equal %w[SIZE=1 BODY=8BITMIME],
                 event(:mail, parameters: %w[SIZE=1 BODY=8BITMIME]).parameters
  end

  def test_headers
    raw = "Subject : one\r\n\ttwo \r\nTo: x\r\nsubject: 3\r\n\r\n"
    headers = event(:headers, raw: raw, fields: [
                      { offset: 0, length: 22, name_length: 7 },
                      { offset: 22, length: 7, name_length: 2 },
                      { offset: 29, length: 12, name_length: 7 }
                    ])
    assert_equal %w[Subject To subject], headers.items.map(&:name)
    assert_equal "one\ttwo", headers["SUBJECT"]
    assert_nil headers["Cc"]
    assert_equal ["one\ttwo", "3"], headers.all("Subject").map(&:value)
    assert_equal raw.byteslice(0, 22), headers.items.first.raw
  end

  def test_no_mail_in_the_text_of_an_error
    headers = event(:headers, raw: "Subject: secret\r\n\r\n",
                              fields: [{ offset: 0, length: 17, name_length: 7 }])
    body = event(:body, data: "secret", offset: 3)
    session = WeirPolicy::Session.new(nil, nil, 100)
    session.apply(:mail, event(:mail, sender: "a@b"))
    session.apply(:headers, headers)
    session.apply(:body, body)
    [headers, body, session, session.message].each do |object|
      error = assert_raises(NoMethodError) { object.no_such_thing }
      assert_match(/no_such_thing/, error.message)
      refute_match(/secret/, error.message)
      assert_operator error.message.size, :<, 400
    end
  end

  def test_phases
    assert_equal (1..15).to_a, WeirPolicy::PHASES.values
  end
end
