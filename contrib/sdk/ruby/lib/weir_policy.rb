# frozen_string_literal: true

# Policy servers for weir: handlers in, a running server out.
module WeirPolicy
end

require_relative "weir_policy/version"
require_relative "weir_policy/log"
require_relative "weir_policy/wire"
require_relative "weir_policy/events"
require_relative "weir_policy/decision"
require_relative "weir_policy/session"
require_relative "weir_policy/outbox"
require_relative "weir_policy/runner"
require_relative "weir_policy/connection"
require_relative "weir_policy/policy"
require_relative "weir_policy/watched_file"
