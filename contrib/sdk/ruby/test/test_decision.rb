# frozen_string_literal: true

require_relative "helper"

class TestDecision < Minitest::Test
  include WeirPolicy::Decisions

  def test_each_beginning
    { relay => :ACTION_RELAY, reject => :ACTION_REJECT,
      tempfail => :ACTION_TEMPFAIL, discard => :ACTION_DISCARD,
      disconnect => :ACTION_DISCONNECT }.each do |decision, action|
      assert_equal action, decision.to_message.action
    end
    assert_equal 421, disconnect.to_message.reply.code
    assert_nil relay.to_message.reply
    assert_nil discard.to_message.reply
    assert_equal 250, discard("Gone").to_message.reply.code
  end

  def test_reply
    reply = reject("a\nb\u00e9", code: 554, enhanced: "5.7.0").to_message.reply
    assert_equal [554, "5.7.0", ["a", "b\u00e9".b]],
                 [reply.code, reply.enhanced, reply.lines.to_a]
  end

  def test_kept_decisions_do_not_grow
    kept = relay
    2.times { kept.add_header("X-A", "b") }
    assert_empty kept.to_message.headers
    refute_equal kept, kept.add_header("X-A", "b")
    assert_equal relay, kept
  end

  def test_what_is_no_ascii_is_escaped_for_the_record
    made = relay.because(rule: "caf\u00e9", reason: "\xff\0".b,
                         annotations: { k: "v" }).to_message
    assert_equal ["caf\\u00E9", "\\xFF\\x00", { "k" => "v" }],
                 [made.rule, made.reason, made.annotations.to_h]
  end

  def test_what_could_never_be_valid_raises
    [-> { reject("x", code: 450) }, -> { tempfail("x", code: 550) },
     -> { reject("x", enhanced: "4.1.1") }, -> { reject("x\ry") },
     -> { reject("x" * 511) }, -> { reject("x\n" * 33) },
     -> { relay(scope: :world) }, -> { relay.add_header("", "x") },
     -> { relay.add_header("X:", "x") }, -> { relay.add_header("X", "a\r\nb") },
     -> { relay.add_header("X", "a\nb") }, -> { relay.add_header("X", "a\0") },
     -> { relay.splice(0, insert: "a\nb") }, -> { relay.rewrite("a>b") },
     -> { relay.outbound(tls: :strong) }].each_with_index do |wrong, number|
      assert_raises(ArgumentError, number.to_s, &wrong)
    end
  end

  def test_folded_values_may_pass
    made = relay.add_header("X", "a\r\n b").to_message.headers.first
    assert_equal "a\r\n b", made.value
  end
end
