#!/usr/bin/python3
"""@NAME@: mark each message with a header field, X-@NAME@.

weir.conf must grant it "headers".
"""

from weir_policy import Policy, arguments, relay

FIELD = "X-@NAME@"
policy = Policy("@NAME@/1.0", version="1")


@policy.@PHASE@
def mark(session, event):
    decision = relay()
    for index in range(len(session.message.headers.all(FIELD))):
        decision = decision.delete_header(FIELD, index)  # none but ours
    return decision.add_header(FIELD, f"from {session.client.address}")


policy.run(arguments(__doc__).parse_args())
