# frozen_string_literal: true

require_relative "helper"
require "rbs"

# sig/weir_policy.rbs names every public method, and nothing else. (The
# machinery behind Policy has no types: nobody calls it.)
class TestTypes < Minitest::Test
  INTERNAL = %w[Connection Outbox Runner Wire].freeze

  def definitions
    @definitions ||= begin
      loader = RBS::EnvironmentLoader.new
      loader.add(library: "logger", version: nil)
      loader.add(library: "openssl", version: nil)
      loader.add(path: Pathname("#{__dir__}/../sig"))
      environment = RBS::Environment.from_loader(loader).resolve_type_names
      RBS::DefinitionBuilder.new(env: environment)
    end
  end

  def signed(kind)
    name = RBS::TypeName.new(name: kind.name[/\w+\z/].to_sym,
                             namespace: RBS::Namespace.parse("::#{kind.name}").parent)
    definitions.build_instance(name).methods
               .select { |_, m| m.public? && m.implemented_in == name }.keys
  end

  def kinds(inside)
    inside.constants.map { |name| inside.const_get(name) }
          .select { |value| value.is_a?(Class) && value.name }
          .reject { |kind| INTERNAL.include?(kind.name[/\w+\z/]) }
  end

  def test_every_method_has_its_types
    all = kinds(WeirPolicy) + kinds(WeirPolicy::Events)
    assert_operator all.size, :>, 30
    all.each do |kind|
      have = kind.public_instance_methods(false)
      have.reject! { |name| kind.superclass == Struct && name.end_with?("=") } if
        kind.name.start_with?("WeirPolicy::Events")
      assert_equal have.sort, (signed(kind) - [:initialize]).sort, kind.name
    end
  end
end
