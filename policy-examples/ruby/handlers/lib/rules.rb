# frozen_string_literal: true

require "digest"
require_relative "handler"

module Handlers
  # The files, and the phases of weir that each needs.
  PHASES = {
    connect: [:connect], helo: [:ehlo], mail_from: [:mail], rcpt_to: [:rcpt],
    data: [:data], header: [:headers], end_of_headers: [:headers],
    body: %i[body end_of_message], end_of_message: [:end_of_message],
    unknown: [:command], abort: [], close: [], start: [], stop: []
  }.freeze

  # A file that cannot be loaded; the message says where and why.
  class Broken < StandardError; end

  # One version of the folder. It never changes: a changed folder makes another
  # one, and who began with this one can go on with it.
  class Rules
    File = Struct.new(:path, :stamp, :source, :handler)

    attr_reader :files, :phases, :version, :problems

    # What is there now: name => stamp.
    def self.scan(folder)
      Dir.children(folder).grep(/\A[^.].*\.rb\z/).to_h do |name|
        stat = ::File.stat("#{folder}/#{name}")
        [name.delete_suffix(".rb").to_sym, [stat.mtime, stat.size, stat.ino]]
      rescue Errno::ENOENT
        [nil, nil] # gone between two looks
      end.compact
    end

    # Loads what is not the same in `before`. A file that is broken is named in
    # `problems`, and stays as it was there.
    def initialize(folder, stamps, before = nil)
      @folder = folder
      @problems = []
      @files = {}
      stamps.each do |name, stamp|
        take(name, stamp, before && before[name])
      end
      @files.freeze
      @phases = @files.keys.flat_map { |name| PHASES[name] }.uniq.freeze
      text = @files.sort.map { |name, file| "#{name}\0#{file.source}\0" }.join
      @version = "handlers@#{Digest::SHA256.hexdigest(text)[0, 12]}"
    end

    def [](name)
      @files[name]
    end

    private

    def take(name, stamp, before)
      return @files[name] = before if before && before.stamp == stamp

      unless PHASES.key?(name)
        @problems << "#{@folder}/#{name}.rb is none of " \
                     "#{PHASES.keys.map { |n| "#{n}.rb" }.join(', ')}"
        return
      end
      @files[name] = load(name, stamp)
    rescue Broken => e
      kept = "; the last good version stays" if before
      @problems << "#{e.message.chomp}#{kept}"
      @files[name] = before if before
    end

    def load(name, stamp)
      path = "#{@folder}/#{name}.rb"
      source = ::File.read(path, encoding: "UTF-8")
      handler = Class.new(Handler)
      handler.class_eval(source, path, 1)
      unless handler.method_defined?(name, false)
        raise Broken, "#{path} does not define #{name}"
      end

      File.new(path, stamp, source, handler)
    rescue SyntaxError => e
      raise Broken, e.message
    rescue StandardError, ScriptError, SystemExit => e
      raise if e.is_a?(Broken)

      raise Broken, Handlers.explain(e, path)
    end
  end

  # "FILE:LINE: what", with the line in that file.
  def self.explain(error, path)
    place = error.backtrace&.find { |line| line.start_with?("#{path}:") }
    "#{place ? place[/\A.*?:\d+/] : path}: #{error.message} (#{error.class})"
  end
end
