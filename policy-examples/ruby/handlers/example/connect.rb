# A client has connected.
require "ipaddr"

BLOCKED = [IPAddr.new("192.0.2.0/24"), IPAddr.new("2001:db8::/32")].freeze

def connect
  return if BLOCKED.none? { |network| network.include?(client_address) }

  reject "554 5.7.1 Not from #{client_address}"
end
