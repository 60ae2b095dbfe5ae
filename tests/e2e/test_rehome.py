"""Re-homing: transactions that go from another address, or to another MX."""

import socket
import time

import pytest
from blackbox import MX, certificate, decision, pb, wait_for
from mx import Gone

OUT = {"grants": '{"outbound", "next_hop"}'}
POOLS = "".join(
    f'pool "p{n}" {{ addresses = {{"127.0.0.{n}"}} ehlo_name = "out{n}.example" }}\n'
    for n in range(11, 21)) + 'pool "six" { addresses = {"::1"} }\n'


def by_domain(phase="mail", **more):
    """The sender p12.example goes through the pool p12; any other as usual."""
    def answer(event, _):
        body = getattr(event, phase)
        address = (body.sender if phase == "mail" else
                   body.recipient).decode()
        name = address.rpartition("@")[2].removesuffix(".example")
        if not name.startswith("p"):
            return decision()
        return decision(rule=f"by {name}",
                        outbound=pb.Outbound(source_pool=name, **more))
    return answer


def send(client, sender, recipient="r@mx.example", body=b"body\r\n.\r\n"):
    """All replies to one message, in order, as far as it gets."""
    got = []
    for command in (f"MAIL FROM:<{sender}>", f"RCPT TO:<{recipient}>", "DATA"):
        got.append(client.ask(command))
        if got[-1][0] not in "23":
            return got
    return [*got, client.raw(body)]


def seen(mx):
    """Of each connection at the MX: its source, its EHLO names, its end."""
    return [(session.peer[0],
             [line.split()[1] for line in session.lines if "EHLO" in line][-1:],
             session.lines[-1:]) for session in mx.sessions]


@pytest.mark.parametrize("tls", [False, True])
def test_ten_transactions_of_a_connection_from_ten_addresses(bench, place,
                                                             tls):
    mx = bench.mx(tls=certificate(place) if tls else None)
    bench.policy(decide=["mail"], answer=by_domain(), keys=OUT)
    proxy = bench.weir(more=POOLS)
    with proxy.connect() as client:
        for n in range(11, 21):
            *_, last = send(client, f"a@p{n}.example")
            assert last.startswith("250"), last
        *_, last = send(client, "a@usual.example")
        assert last.startswith("250"), last
        assert client.ask("QUIT").startswith("221")
    assert [m.sender for m in mx.messages] == \
        [f"a@p{n}.example" for n in range(11, 21)] + ["a@usual.example"]
    assert all(m.tls == tls for m in mx.messages)
    wait_for(lambda: all(s.lines[-1:] == ["QUIT"] for s in mx.sessions),
             f"QUIT on all of {seen(mx)}")
    assert [(peer, names) for peer, names, _ in seen(mx)] == [
        ("127.0.0.1", ["client.example.org"]),
        *((f"127.0.0.{n}", [f"out{n}.example"]) for n in range(11, 21)),
        ("127.0.0.1", ["client.example.org"])]
    rows = proxy.wait_rows("SELECT * FROM rehomings ORDER BY number", count=11)
    assert [(row["from_source_address"], row["to_source_address"],
             row["rule"], row["result"]) for row in rows] == [
        ("127.0.0.1" if n == 11 else f"127.0.0.{n - 1}",
         "127.0.0.1" if n == 21 else f"127.0.0.{n}",
         None if n == 21 else f"by p{n}", "done") for n in range(11, 22)]
    # TLS 1.3, resumed or not: one more round trip each for STARTTLS, the
    # handshake and the second EHLO
    assert {row["round_trips"] for row in rows} == {6 if tls else 3}
    assert [row["source_address"] for row in proxy.wait_rows(
        "SELECT * FROM transactions ORDER BY id", count=11)] == \
        [f"127.0.0.{n}" for n in range(11, 21)] + ["127.0.0.1"]
    assert proxy.metric('weir_rehomings_total{result="done"}') == 11
    view = proxy.api(f"/sessions/{rows[0]['session_id']}")
    assert view["rehomings"][0]["to_ehlo_name"] == "out11.example"


def test_a_choice_at_rcpt_repeats_mail(bench):
    mx = bench.mx()
    bench.policy(decide=["rcpt"], answer=by_domain("rcpt"), keys=OUT)
    proxy = bench.weir(more=POOLS)
    with proxy.connect() as client:
        *_, last = send(client, "a@b.example", "r@p13.example")
        assert last.startswith("250"), last
        client.send(b"MAIL FROM:<a@b.example> SIZE=5\r\n"
                    b"RCPT TO:<r@p14.example>\r\nRCPT TO:<r@p15.example>\r\n"
                    b"RCPT TO:<r@p14.example>\r\nDATA\r\n")
        assert [line[:9] for line in client.replies(5)] == [
            "250 2.1.0", "250 2.1.5", "451 4.5.1", "250 2.1.5", "354 Go\r\n"]
        assert client.raw(b"x\r\n.\r\n").startswith("250")
    assert [m.recipients for m in mx.messages] == \
        [["r@p13.example"], ["r@p14.example"] * 2]
    wait_for(lambda: [s.peer[0] for s in mx.sessions] == [
        "127.0.0.1", "127.0.0.13", "127.0.0.1", "127.0.0.14"], seen(mx))
    assert [line for line in mx.sessions[3].lines if "MAIL" in line] == \
        ["MAIL FROM:<a@b.example> SIZE=5"]


def from_there(session, _line):
    return session.peer[0] == "127.0.0.12"


def refuse(word, reply):
    return {word: lambda session, line: reply if from_there(session, line)
            else None}


def cut(word, first=b""):
    def script(session, line):
        if from_there(session, line):
            session.send(first)
            raise Gone
    return {word: script}


FAULTS = {
    "greeted 4xx": (refuse("greeting", b"450 4.7.1 not from there\r\n"), {},
                    "refused the connection: 450 4.7.1 not from there"),
    "greeted 5xx": (refuse("greeting", b"554 5.7.1 listed\r\n"), {},
                    "refused the connection: 554 5.7.1 listed"),
    "closed": (cut("greeting"), {}, "closed"),
    "EHLO": (refuse("EHLO", b"550 5.7.1 not you\r\n"), {},
             "refused EHLO: 550 5.7.1 not you"),
    "less": (refuse("EHLO", b"250-mx\r\n250 SIZE 1000\r\n"), {},
             "does not offer SIZE"),
    "TLS": (cut("STARTTLS", b"220 go\r\n"), {"tls": 3}, "TLS is required"),
    "nonsense": (refuse("EHLO", b"nonsense\r\n"), {}, "broke the protocol"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_there_is_451_and_the_message_arrives_once(bench, place,
                                                           fault):
    script, more, why = FAULTS[fault]
    mx = bench.mx(script=script, tls=certificate(place))
    bench.policy(decide=["mail"], answer=by_domain(**more), keys=OUT)
    proxy = bench.weir(more=POOLS)
    with proxy.connect() as client:
        first = client.ask("MAIL FROM:<a@p12.example>")
        assert first.startswith("451 4.") and why in first, first
        *_, last = send(client, "a@usual.example", body=b"again\r\n.\r\n")
        assert last.startswith("250"), last
    assert [(m.sender, m.data) for m in mx.messages] == \
        [("a@usual.example", b"again\r\n")]
    assert [len(s.lines) > 3 for s in mx.sessions].count(True) == 1
    row, = proxy.wait_rows("SELECT * FROM rehomings")
    assert row["result"] == "failed" and why in row["reason"], row
    assert proxy.metric('weir_rehomings_total{result="failed"}') == 1
    row, = proxy.wait_rows("SELECT * FROM sessions WHERE cause NOT NULL")
    assert row["upstream_tls_error"] is None and \
        row["upstream_tls_version"] == "TLS1.3"


def test_an_address_that_cannot_be_bound(bench):
    mx = bench.mx()
    bench.policy(decide=["mail"], answer=lambda *_: decision(
        outbound=pb.Outbound(source_address="192.0.2.77")), keys=OUT)
    proxy = bench.weir(more='pool "x" { addresses = {"192.0.2.77"} }\n')
    with proxy.connect() as client:
        assert client.ask("MAIL FROM:<a@b.example>").startswith("451 4.4.1")
        assert client.ask("NOOP").startswith("250")
    assert not mx.messages and len(mx.sessions) == 1


def test_the_client_leaves_in_the_middle(bench):
    def leave(session, line):
        if from_there(session, line):
            gone.close()
    mx = bench.mx(script={"EHLO": leave})
    bench.policy(decide=["mail"], answer=by_domain(), keys=OUT)
    proxy = bench.weir(more=POOLS)
    gone = proxy.connect()
    gone.send(b"MAIL FROM:<a@p12.example>\r\nRCPT TO:<r@mx.example>\r\n"
              b"DATA\r\n")
    proxy.wait_rows("SELECT * FROM sessions WHERE cause = 'client_gone'")
    wait_for(lambda: len(mx.sessions) == 2, "two connections")
    assert not mx.messages
    with proxy.connect() as client:
        *_, last = send(client, "a@p13.example")
        assert last.startswith("250"), last
    assert len(mx.messages) == 1


def test_next_hop(bench):
    """A quarantine, over IPv6; then the way the client meant again."""
    mx = bench.mx()
    other = MX("::1")
    with_six = pb.Outbound(next_hop=pb.Endpoint(address="::1",
                                                port=other.port))
    bench.policy(decide=["mail"], keys={"grants": '{"next_hop"}'},
                 answer=lambda event, _: decision(
                     outbound=with_six if b"spam" in event.mail.sender
                     else None))
    proxy = bench.weir()
    with proxy.connect() as client:
        for sender in ("a@spam.example", "a@b.example", "b@spam.example"):
            *_, last = send(client, sender)
            assert last.startswith("250"), last
    assert [m.sender for m in mx.messages] == ["a@b.example"]
    assert [m.sender for m in other.messages] == \
        ["a@spam.example", "b@spam.example"]
    assert [row["upstream_address"] for row in proxy.wait_rows(
        "SELECT * FROM transactions ORDER BY id", count=3)] == \
        ["::1", "127.0.0.1", "::1"]
    other.close()


def test_next_hop_is_weir_itself(bench):
    mx = bench.mx()
    here = pb.Endpoint(address="127.0.0.1")
    bench.policy(decide=["mail"], keys={"grants": '{"next_hop"}'},
                 answer=lambda *_: decision(
                     outbound=pb.Outbound(next_hop=here)))
    proxy = bench.weir()
    here.port = proxy.port
    with proxy.connect() as client:
        reply = client.ask("MAIL FROM:<a@b.example>")
        assert reply.startswith("451 4.4.1") and "weir itself" in reply
    assert not mx.messages


def test_next_hop_at_connect(bench):
    mx = bench.mx()
    other = MX()
    bench.policy(decide=["connect"], keys={"grants": '{"next_hop"}'},
                 answer=lambda *_: decision(outbound=pb.Outbound(
                     next_hop=pb.Endpoint(address="127.0.0.1",
                                          port=other.port))))
    proxy = bench.weir()
    with proxy.connect() as client:
        *_, last = send(client, "a@b.example")
        assert last.startswith("250"), last
    assert len(other.messages) == 1 and not mx.sessions
    row, = proxy.wait_rows("SELECT * FROM sessions WHERE cause NOT NULL")
    assert row["upstream_port"] == other.port
    assert row["destination_port"] == mx.port
    other.close()


def test_the_old_mx_closes_meanwhile(bench):
    """Both are gone: 451 to this command, 421 to the next."""
    def late(session, line):
        if not from_there(session, line):
            return None
        mx.sessions[0].socket.shutdown(socket.SHUT_RDWR)
        time.sleep(0.1)     # weir sees one after the other
        return b"554 never\r\n"
    mx = bench.mx(script={"greeting": late})
    bench.policy(decide=["mail"], answer=by_domain(), keys=OUT)
    proxy = bench.weir(more=POOLS)
    with proxy.connect() as client:
        assert client.ask("MAIL FROM:<a@p12.example>").startswith("451 4.4.2")
        assert client.ask("MAIL FROM:<a@b.example>").startswith("421 4.4.2")
    assert not mx.messages
