# frozen_string_literal: true

require_relative "helper"
require "tmpdir"

class TestPolicy < Minitest::Test
  include WeirPolicy

  def subscriptions(policy)
    policy.subscriptions.to_h { |phase, decide, _| [phase, decide] }
  end

  def test_subscriptions_follow_the_handlers
    policy = Policy.new.on(:rcpt) { nil }
    assert_equal({ connect: false, upstream: false, tls: false, ehlo: false,
                   auth: false, mail: false, rcpt: true,
                   transaction_end: false, session_end: false },
                 subscriptions(policy))
    assert_equal %i[transaction_end session_end],
                 subscriptions(policy.off(:rcpt)).keys
    policy.on(:session_end) { nil }
    assert_equal false, subscriptions(policy)[:data]
    refute_includes subscriptions(policy), :headers
    policy.on(:end_of_message) { nil }
    assert_equal false, subscriptions(policy)[:headers]
    assert_equal false, subscriptions(policy)[:body]
  end

  def test_body
    policy = Policy.new(context: false, body_limit: 50)
    policy.on(:end_of_message) { nil }
    refute_includes subscriptions(policy), :body
    policy = Policy.new(body_limit: 50).on(:end_of_message) { nil }
    assert_includes policy.subscriptions, [:body, false, 50]
    assert_includes policy.on(:body, prefix: 7) { nil }.subscriptions,
                    [:body, false, 7]
    assert_includes policy.on(:body, decide: true) { nil }.subscriptions,
                    [:body, true, 0]
    policy = Policy.new(body_limit: 0).on(:end_of_message) { nil }
    refute_includes subscriptions(policy), :body
  end

  def test_wrong_use_raises
    policy = Policy.new
    assert_raises(ArgumentError) { policy.on(:greeting) { nil } }
    assert_raises(ArgumentError) { policy.on(:tls, decide: true) { nil } }
    assert_raises(ArgumentError) { policy.on(:rcpt) }
    assert_raises(ArgumentError) { Policy.new(body_window: 0) }
  end

  def test_watched_file
    WeirPolicy.log = Logger.new(log = StringIO.new)
    Dir.mktmpdir do |place|
      path = "#{place}/list"
      File.write(path, "# a list\na # first\n\nb\n")
      file = WatchedFile.new(path) do |lines|
        lines.map { |number, line| line == "bad" ? raise("line #{number}") : line }
      end
      version = file.version
      assert_equal %w[a b], file.value
      assert_match(/\Alist@\h{12}\z/, version)
      File.write(path, "bad\n")
      assert_equal %w[a b], file.value
      assert_match(/line 1; the last good version stays/, log.string)
      File.unlink(path)
      assert_equal %w[a b], file.value
      File.write(path, "c\n")
      assert_equal %w[c], file.value
      refute_equal version, file.version
    end
  ensure
    WeirPolicy.log = nil
  end
end
