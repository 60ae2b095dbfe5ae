# frozen_string_literal: true

require_relative "lib/weir_policy/version"

Gem::Specification.new do |spec|
  spec.name = "weir_policy"
  spec.version = WeirPolicy::VERSION
  spec.summary = "Policy servers for weir, the transparent SMTP proxy"
  spec.description = "weir asks; your Ruby blocks decide about SMTP sessions."
  spec.authors = ["The weir authors"]
  spec.required_ruby_version = ">= 3.1"
  spec.files = Dir["lib/**/*.rb", "sig/*.rbs", "README.md", base: __dir__]
  spec.add_dependency "google-protobuf", ">= 3.21", "< 5"
end
