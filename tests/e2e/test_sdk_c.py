"""libweir-policy: the hello of its papers with real weir, installed as users
install it."""

import re

import c_policy
import pytest
from policy_harness import ROOT

README = ROOT / "contrib" / "sdk" / "c" / "README.md"


@pytest.fixture(scope="module")
def library():
    reason = c_policy.why_not()
    if reason:
        pytest.skip(reason)
    return c_policy.Library()


def hello(text):
    """(program, how it is compiled)"""
    program = re.search(r"^#include <weir_policy.h>\n.*?^int main.*?^}\n", text,
                        re.S | re.M)[0]
    command, = re.findall(r"^ *(cc -o hello .*)$", text, re.M)
    return program, command


def refuse_nobody(bench, library, place, program, command):
    assert program.count("\n") <= 15
    (place / "hello.c").write_text(program)
    library.compile(command, place)
    server = library.server(place / "hello", f"unix:{place}/hello.sock")
    with server:
        server.wait_for("listening on ")
        weir = bench.weir(
            more=f'policy "hello" {{ endpoint = "unix:{place}/hello.sock" }}',
            ready=False)
        weir.wait_log(r"event=policy\.ready ")
        with weir.connect() as client:
            client.ask("MAIL FROM:<a@example.org>")
            assert client.ask("RCPT TO:<Nobody@example.com>").startswith(
                "550 5.1.1 User unknown")
            assert client.ask("RCPT TO:<b@example.com>").startswith("250")
        weir.stop()
        assert server.stop() == 0, server.log()


def test_the_hello_of_the_readme(bench, library, place):
    refuse_nobody(bench, library, place, *hello(README.read_text()))
