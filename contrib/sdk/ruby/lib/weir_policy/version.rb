# frozen_string_literal: true

module WeirPolicy
  VERSION = "1.0.0"
end
