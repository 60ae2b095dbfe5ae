"""The subcommands of weir-policy, one file each, and what they share.

main     arguments, and what becomes of errors
peer     weir's side of one connection to a policy server
play     one SMTP session as a policy server is told it
edits    what a decision makes of a message
dialogue many questions at once, for check
contract, contract_sessions      what check tries
languages what new knows of each language
recording, differences           what capture writes and replay finds
words    decisions and outcomes for people and as JSON
new, check, send, capture, replay    the subcommands
"""
