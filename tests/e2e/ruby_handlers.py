"""policy-examples/ruby/handlers as a process, and its folder."""

import os
import re

import pytest
from blackbox import wait_for
from example import parts
from policy_harness import ROOT, Server
from ruby_harness import RUBY

EXAMPLE = ROOT / "policy-examples" / "ruby" / "handlers"
FILES = ("connect helo mail_from rcpt_to data header end_of_headers body"
         " end_of_message unknown abort close start stop").split()
SECTION = b"Subject: hello\r\nX-One: 1\r\nx-one: 2\r\nMessage-ID: <i@d>\r\n\r\n"
MESSAGE = SECTION + b"line one\r\nline two\r\n"


class Handlers(Server):
    """The server, and the folder that it looks at."""

    def __init__(self, place, files, *options, poll="0.05"):
        self.folder = place / "handlers.d"
        self.folder.mkdir()
        self.place, self.versions = place, 0
        for name, code in files.items():
            self.put(name, code)
        super().__init__("-w", EXAMPLE / "handlers", "--listen",
                         f"unix:{place}/handlers.sock", "--folder",
                         self.folder, "--poll", poll, *options, program=RUBY)

    def put(self, name, code):
        """As editors do it; code that defines nothing is the handler's."""
        if "def " not in code:
            code = f"def {name}\n  {code}\nend\n"
        new = self.place / "new"
        new.write_text(code)
        os.replace(new, self.folder / f"{name}.rb")

    def adopted(self):
        """Waits for the next version, and gives its line."""
        self.versions += 1
        return wait_for(lambda: (lambda got: got[self.versions - 1:])(
            re.findall(r"^INFO (handlers@.*)$", self.log(), re.M)),
            f"version in {self.log()}")[0]

    def change(self, **files):
        for name, code in files.items():
            if code is None:
                (self.folder / f"{name}.rb").unlink()
            else:
                self.put(name, code)
        return self.adopted()


@pytest.fixture
def handlers(tmp_path):
    """handlers(option..., file=code...) starts a server."""
    servers = []

    def start(*options, **files):
        servers.append(Handlers(tmp_path, files, *options))
        return servers[-1]
    yield start
    for server in servers:
        with server:
            pass


@pytest.fixture
def served(bench, handlers):
    """served(option..., file=code...): a server, and weir before it, with the
    README's block of weir.conf; (server, weir)."""
    def start(*options, **files):
        server = handlers(*options, **files)
        server.wait_for("listening on ")
        block = parts(EXAMPLE / "README.md")[1]
        weir = bench.weir(more=block.replace("/run/weir", str(server.place)))
        weir.wait_log(r"event=policy\.ready ")
        return server, weir
    return start


def deliver(client, sender="a@x.example", recipients=("b@y.example",),
            message=MESSAGE):
    """The replies to MAIL, each RCPT, DATA and the final dot, until one is
    no success."""
    replies = []
    for command in (f"MAIL FROM:<{sender}>",
                    *(f"RCPT TO:<{r}>" for r in recipients), "DATA"):
        replies.append(client.ask(command))
        if not replies[-1].startswith(("2", "3")):
            client.ask("RSET")
            return replies
    replies.append(client.raw(message + b".\r\n"))
    return replies


def update(weir):
    """The server tells weir that its files have changed."""
    answer = weir.receive()
    assert answer.WhichOneof("answer") == "update", answer
    return answer.update
