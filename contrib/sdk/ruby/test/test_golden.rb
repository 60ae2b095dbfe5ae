# frozen_string_literal: true

require_relative "helper"
require "json"

# Every frame of tests/golden is read, and written, as it stands there.
class TestGolden < Minitest::Test
  include WeirPolicy
  include WeirPolicy::Decisions

  VECTORS = JSON.parse(File.read("#{__dir__}/../../../../tests/golden/vectors.json"))

  def payload(entry)
    got = []
    frames = Wire::Frames.new
    [entry["frame"]].pack("H*").scan(/.{1,7}/mn) { |part| frames.feed(part) { |f| got << f } }
    assert_equal 1, got.size, entry["name"]
    got.first
  end

  # A fact, and what proto3's JSON mapping has for it.
  def assert_same(mine, theirs, name)
    case mine
    when Struct
      mine.each_pair { |key, value| assert_same(value, (theirs || {})[key.to_s], name) }
      assert_empty (theirs || {}).keys - mine.members.map(&:to_s), name
    when Array
      assert_equal mine.size, (theirs || []).size, name
      mine.zip(theirs || []) { |one, other| assert_same(one, other, name) }
    when Symbol
      word = theirs.is_a?(String) ? theirs : "UNSPECIFIED"
      assert_operator word, :end_with?, mine.to_s.upcase, name
    when String
      assert_includes [mine, [mine].pack("m0")], theirs || "", name
    when Numeric then assert_equal mine, theirs.to_f.floor == theirs.to_f ? theirs.to_i : theirs, name
    else assert_equal mine || false, theirs || false, name
    end
  end

  VECTORS["to_policy"].each do |entry|
    define_method("test_reads #{entry['name']}") do
      message = Wire.decode(payload(entry))
      expected = entry["message"].dup
      %w[session seq deadline_ms].each do |name|
        assert_equal expected.delete(name).to_i, message[name]
      end
      kind = message.event
      assert_equal expected.keys, [kind&.to_s].compact
      if PHASES.key?(kind) || kind == :hello
        assert_same(Events.convert(message[kind.to_s]), expected[kind.to_s],
                    entry["name"])
      elsif kind
        assert_equal Wire::ToPolicy.decode_json(JSON.generate(entry["message"])),
                     message
      end
    end
  end

  def test_refuses
    VECTORS["refused"].each do |entry|
      assert_raises(ProtocolError, entry["name"]) { Wire.decode(payload(entry)) }
    end
  end

  def raw(value) = value.to_s.unpack1("m")

  # The decision that a policy would make for it.
  def decision(said)
    made = edited(beginning(said), said)
    made = made.outbound(**outbound(said["outbound"])) if said["outbound"]
    made = made.rewrite(raw(said["rewrite"])) if said["rewrite_set"]
    made = made.delay(said["delay_ms"] / 1000.0) if said["delay_ms"]
    facts = said.slice("rule", "score", "reason", "annotations")
    return made if facts.empty? || said["action"].nil?

    made.because(**facts.transform_keys(&:to_sym))
  end

  def beginning(said)
    return Decision.failed(said["reason"]) unless said["action"]

    action = said["action"].delete_prefix("ACTION_").downcase
    reply = said["reply"] || {}
    text = reply.fetch("lines", []).map { |line| raw(line) }.join("\n")
    options = { scope: said.fetch("scope", "SCOPE_COMMAND")[6..].downcase.to_sym }
    case action
    when "relay" then return relay(**options)
    when "discard" then return discard(text, **options)
    when "disconnect" then return disconnect(text, enhanced: reply["enhanced"])
    end
    Decisions.public_send(
      action, text, code: reply["code"],
                    enhanced: reply.fetch("enhanced", ""), **options
    )
  end

  def edited(made, said)
    said.fetch("headers", []).each do |edit|
      operation = "#{edit['op'][3..].downcase}_header"
      arguments = [raw(edit["name"]), raw(edit["value"]), edit.fetch("index", 0)]
      arguments.rotate!(-1) if operation == "insert_header"
      arguments.delete_at(1) if operation == "delete_header"
      arguments.pop if operation == "add_header"
      made = made.public_send(operation, *arguments)
    end
    said.fetch("body", []).reduce(made) do |before, splice|
      before.splice(splice["offset"].to_i, remove: splice["remove"].to_i,
                                           insert: raw(splice["insert"]))
    end
  end

  def outbound(said)
    tlsa = said.fetch("tlsa", []).map do |record|
      record.transform_keys(&:to_sym).merge(data: raw(record["data"]))
    end
    { source_address: said.fetch("source_address", ""),
      pool: said.fetch("source_pool", ""),
      ehlo_name: said.fetch("ehlo_name", ""),
      tls: said.fetch("tls", "TLS_LEVEL_UNSPECIFIED")[10..].downcase.to_sym,
      tls_names: said.fetch("tls_names", []), tlsa: tlsa,
      next_hop: said["next_hop"]&.values_at("address", "port") }
  end

  VECTORS["from_policy"].each do |entry|
    define_method("test_writes #{entry['name']}") do
      said = entry["message"]
      message = Wire::FromPolicy.decode_json(JSON.generate(said))
      message.decision = decision(said["decision"]).to_message if said["decision"]
      assert_equal entry["frame"], Wire.encode(message).unpack1("H*")
    end
  end
end
