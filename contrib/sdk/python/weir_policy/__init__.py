"""Write policy servers for weir. See README.md beside this package.

    policy = Policy("hello/1.0")

    @policy.rcpt
    async def rcpt(session, event):
        if event.recipient == "nobody@example.com":
            return reject("User unknown", code=550, enhanced="5.1.1")

    policy.run("unix:/run/weir/hello.sock")
"""

from .decisions import (Decision, Scope, Tlsa, TlsLevel, discard,
                        disconnect, reject, relay, tempfail)
from .events import (Auth, Body, Command, Connect, Data, Ehlo, Endpoint,
                     EndOfMessage, Gap, Grant, Header, Headers, Hello, Leg,
                     Mail, Mode, Outcome, Phase, Pool, Rcpt, Reply, SessionEnd,
                     SmtpReply, Tls, TransactionEnd, Upstream)
from .policy import Policy, arguments
from .session import Message, Session, Transaction
from .watched import WatchedFile

__all__ = [
    "Auth", "Body", "Command", "Connect", "Data", "Decision", "Ehlo",
    "EndOfMessage", "Endpoint", "Gap", "Grant", "Header", "Headers", "Hello",
    "Leg", "Mail", "Message", "Mode", "Outcome", "Phase", "Policy", "Pool",
    "Rcpt", "Reply", "Scope", "Session", "SessionEnd", "SmtpReply", "Tls",
    "TlsLevel", "Tlsa", "Transaction", "TransactionEnd", "Upstream",
    "WatchedFile", "arguments", "discard", "disconnect", "reject", "relay",
    "tempfail",
]
