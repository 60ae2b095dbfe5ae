"""A policy server that is right but for one thing, which its second argument
names: for the tests of `weir-policy check`. The protocol is in PYTHONPATH."""

import asyncio
import os
import sys

import policy_pb2 as pb

PATH, DEFECT = sys.argv[1:]
ENDIAN = "little" if DEFECT == "little-endian" else "big"
served = 0


def is_(*names):
    return DEFECT in names


def subscriptions():
    made = [pb.Subscription(phase=phase, decide=True) for phase in (7, 8, 12)]
    made += [pb.Subscription(phase=phase) for phase in (1, 10, 11, 15)]
    more = {"phase-99": {"phase": 99}, "twice": {"phase": 8},
            "prefix": {"phase": 4, "body_prefix": 5}}
    if DEFECT in more:
        made.append(pb.Subscription(**more[DEFECT]))
    return [] if is_("nothing") else made


def welcome():
    made = pb.Welcome(major=1, software="broken/1", version="1",
                      subscriptions=subscriptions())
    if is_("no-credit", "credit-falls"):
        made.body_credit = 100000
    if is_("features"):
        made.features.append("telepathy")
    if is_("tiny-frames"):
        made.max_frame = 10
    return made


class Connection:
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.limit = 1 << 32 if is_("4gb") else 65536
        self.sessions = set()

    def send(self, **fields):
        data = pb.FromPolicy(**fields).SerializeToString()
        self.writer.write(len(data).to_bytes(4, ENDIAN) + data)

    async def frame(self):
        if is_("one-read-one-frame"):
            data = await self.reader.read(1 << 20)
            if not data:
                raise asyncio.IncompleteReadError(b"", 4)
            return data[4:4 + int.from_bytes(data[:4], "big")]
        length = int.from_bytes(await self.reader.readexactly(4), "big")
        if length > self.limit:
            raise ValueError(f"a frame of {length} bytes")
        return await self.reader.readexactly(length)

    async def serve(self):
        if is_("early"):
            self.send(welcome=welcome())
        if is_("http"):
            await self.reader.read(1)
            self.writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            return
        while not is_("closes"):
            data = await self.frame()
            if is_("unknown-fields") and data.endswith(b"\xf2\x3f\x02hi") \
                    and not data.startswith(b"\xf2"):
                raise ValueError("an unknown field")
            try:
                message = pb.ToPolicy.FromString(data)
            except Exception:
                if is_("keeps-garbage"):
                    continue
                raise
            self.take(message, message.WhichOneof("event"))
            await self.writer.drain()

    def take(self, message, kind):
        global served
        if kind == "hello":
            if message.hello.major != 1 and not is_("any-version"):
                raise ValueError("another version")
            if is_("pong-for-welcome"):
                self.send(pong=pb.Pong())
            if not is_("no-welcome", "pong-for-welcome"):
                self.send(welcome=welcome())
            self.limit = max(self.limit, message.hello.max_frame)
        elif kind == "ping" and not is_("no-pong"):
            self.send(pong=pb.Pong(token=message.ping.token
                                   + is_("wrong-token")))
        elif kind is None and is_("unknown-event"):
            raise ValueError("an unknown event")
        elif kind == "drain" and is_("drain-ends"):
            raise ValueError("drained")
        elif kind == "cancel" and is_("cancel-dies"):
            raise ValueError("cancelled")
        elif kind == "connect":
            served += 1
            self.sessions.add(message.session)
            if is_("leaks") and served > 500:
                os._exit(1)
        elif kind == "session_end":
            self.sessions.discard(message.session)
        elif kind == "body" and is_("credit-falls"):
            for offset in (200000, 150000):
                self.send(session=message.session, credit=pb.Credit(
                    max_offset=offset, message=message.body.message))
        elif message.seq:
            self.answer(message, kind)
        elif kind == "headers" and is_("answers-notifications"):
            self.answer(message, kind)

    def answer(self, message, kind):
        if is_("utf8") and kind == "mail":
            message.mail.sender.decode()
        if is_("deadline-dies") and message.deadline_ms < 10:
            os._exit(1)
        if is_("silent") and kind == "rcpt":
            return
        session = 1 if is_("wrong-session") else message.session
        decision = pb.Decision(action=pb.ACTION_RELAY)
        if is_("no-action"):
            decision.action = 0
        if is_("undecided"):
            decision = pb.Decision(reason="the database is away")
        if is_("wrong-code"):
            decision = pb.Decision(action=pb.ACTION_REJECT,
                                   reply=pb.SmtpReply(code=450))
        if is_("early-edit") and kind == "rcpt":
            decision.headers.add(op=1, name=b"X", value=b"y")
        for _ in range(2 if is_("double") else 1):
            self.send(session=session, seq=message.seq, decision=decision)


async def accept(reader, writer):
    connection = Connection(reader, writer)
    try:
        await connection.serve()
    except (asyncio.IncompleteReadError, ConnectionError):
        if is_("vanish-dies") and connection.sessions:
            os._exit(1)
        if is_("keeps-open"):
            await asyncio.sleep(60)
    except Exception as error:
        print(error, file=sys.stderr)
        if is_("garbage-dies"):
            os._exit(1)
    finally:
        writer.close()


async def one_at_a_time(lock, reader, writer):
    async with lock:
        await accept(reader, writer)


async def main():
    handler = accept
    if is_("one-connection"):
        lock = asyncio.Lock()
        handler = lambda *streams: one_at_a_time(lock, *streams)
    server = await asyncio.start_unix_server(handler, PATH, limit=1 << 21)
    print("listening on unix:" + PATH, file=sys.stderr, flush=True)
    await server.serve_forever()

asyncio.run(main())
