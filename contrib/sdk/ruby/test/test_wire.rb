# frozen_string_literal: true

require_relative "helper"
require "tmpdir"

class TestWire < Minitest::Test
  include WeirPolicy

  def test_frames_may_be_cut_anywhere
    data = %w[a bb ccc].map { |s| [s.bytesize].pack("N") + s }.join.b
    (1..data.bytesize).each do |size|
      frames = Wire::Frames.new
      got = []
      data.scan(/.{1,#{size}}/mn) { |part| frames.feed(part) { |f| got << f } }
      assert_equal %w[a bb ccc], got
    end
  end

  def test_the_limit_holds_from_the_next_frame_on
    frames = Wire::Frames.new
    error = assert_raises(ProtocolError) do
      frames.feed("\0\0\0\x01x\0\0\0\x05hello".b) { frames.limit = 4 }
    end
    assert_match(/5 bytes where 4 are allowed.*hello/, error.message)
  end

  def test_noise_is_named
    error = assert_raises(ProtocolError) { Wire.decode("\xff\xff".b) }
    assert_match(/no message of weir: "\\xFF\\xFF"/, error.message)
  end

  def test_endpoints
    ["", "unix:", "tcp:127.0.0.1", "tcp:x:y", "/x.sock"].each do |wrong|
      assert_raises(ArgumentError, wrong) { Wire.listen(wrong) }
    end
    ["tcp:127.0.0.1:0", "tcp:[::1]:0"].each do |right|
      server = Wire.listen(right)
      assert_match(/\A#{Regexp.escape(right.chomp('0'))}\d+\z/,
                   Wire.endpoint_of(server))
      server.close
    end
  end

  def test_a_dead_servers_socket_is_replaced_and_no_other
    Dir.mktmpdir do |place|
      path = "#{place}/s"
      first = Wire.listen("unix:#{path}")
      assert_match(/another server/, assert_raises(ArgumentError) do
        Wire.listen("unix:#{path}")
      end.message)
      first.close
      Wire.listen("unix:#{path}").close
      File.write("#{place}/file", "precious")
      assert_raises(ArgumentError) { Wire.listen("unix:#{place}/file") }
    end
  end
end
