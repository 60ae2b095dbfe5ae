# frozen_string_literal: true

require "logger"

# Where the package and its policies log: to stderr, unless set to another
# Logger.
module WeirPolicy
  class << self
    attr_writer :log

    def log
      @log ||= Logger.new($stderr, formatter: lambda { |level, _, _, text|
        "#{level} #{text}\n"
      })
    end

    # What went wrong, and where in the policy's own code.
    def describe(error)
      lines = error.backtrace || []
      ["#{error.class}: #{error.message}", *lines].join("\n  from ")
    end
  end
end
