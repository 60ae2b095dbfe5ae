"""What README.md shows is true: its policy, its block of weir.conf."""

import re
import subprocess

from policy_harness import ROOT, Server
from weir import FIXED, PROGRAM, Client, usual

README = (ROOT / "README.md").read_text()


def test_the_policy_of_the_readme(net, scripted, weir, place, stack):
    source = place / "hello.py"
    source.write_text(re.search(r"```python\n(.*?)```", README, re.S)[1])
    block = re.search(r'^    policy "hello".*?^    }$', README, re.S | re.M)[0]
    block = block.replace("/run/weir/hello.sock", f"{place}/hello.sock")
    assert len(source.read_text().splitlines()) <= 20
    host, mx = net.pair()
    server = scripted(mx)
    policy = stack.enter_context(
        Server(source, "--listen", f"unix:{place}/hello.sock"))
    policy.wait_for("listening on ")
    weir(host, usual(place, text=FIXED, more=block))
    with Client(host, "127.0.0.1", 10025) as client:
        client.hello()
        assert client.envelope("a@example.org", "Nobody@example.net",
                               "b@example.net") == [
            "550 5.1.1 User unknown\r\n", "250 2.1.5 OK\r\n"]
        assert client.content("Subject: x\r\n\r\nA special offer.\r\n") \
            .startswith("250")
        assert client.deliver().startswith("250")
    tagged, plain = server.messages
    assert tagged.recipients == ["b@example.net"]
    assert b"\r\nX-Tag: offer\r\n" in tagged.data
    assert b"X-Tag" not in plain.data


def test_the_configuration_of_the_readme(weir, place):
    text = re.search(r'^    listener "outbound" .*?mark = 25 }$', README,
                     re.S | re.M)[0]
    (place / "weir.conf").write_text(text)
    done = subprocess.run([PROGRAM, "-t", "-c", place / "weir.conf"],
                          capture_output=True, text=True, timeout=10)
    assert done.returncode == 0, done.stderr
