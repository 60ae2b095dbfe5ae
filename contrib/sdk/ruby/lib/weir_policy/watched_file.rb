# frozen_string_literal: true

require "digest"
require_relative "log"

module WeirPolicy
  # The parsed content of a file that operators edit while the policy runs:
  # read again when it has changed.
  #
  # The block takes the lines, without comments ("#" begins one) and empty
  # lines, as [number, line], and raises if it does not like them. Then the last
  # good content stays, and the log says why. `version` names the content: it is
  # fit for Policy#version.
  class WatchedFile
    attr_reader :path, :version

    def initialize(path, &parse)
      @path = path
      @parse = parse
      @lock = Mutex.new
      @stamp = stamp
      @value = read
    end

    def value
      @lock.synchronize do
        refresh if stamp != @stamp
      rescue Errno::ENOENT
        nil # between an editor's two steps: keep what we have
      rescue StandardError => e
        WeirPolicy.log.error("#{@path}: #{e.message}; " \
                             "the last good version stays")
      end
      @value
    end

    private

    def stamp
      stat = File.stat(@path)
      [stat.mtime, stat.size, stat.ino]
    end

    def refresh
      @stamp = stamp
      @value = read
      WeirPolicy.log.info("#{@path}: read again")
    end

    def read
      data = File.read(@path, encoding: "UTF-8")
      raise "it is not UTF-8" unless data.valid_encoding?

      lines = data.lines.map.with_index(1) { |l, n| [n, l[/\A[^#]*/].strip] }
      value = @parse.call(lines.reject { |_, line| line.empty? })
      digest = Digest::SHA256.hexdigest(data)[0, 12]
      @version = "#{File.basename(@path)}@#{digest}"
      value
    end
  end
end
