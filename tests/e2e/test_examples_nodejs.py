"""The Node.js examples by their READMEs, with real weir."""

import email
import email.policy
import shlex
import shutil
import subprocess
from email.message import EmailMessage

import pytest
from blackbox import wait_for
from policy_harness import ROOT
from program import Program, indented, moved

EXAMPLES = ROOT / "policy-examples" / "nodejs"
SMTP = email.policy.SMTP.clone(cte_type="7bit")
FOOTER = "Grüße, ACME <GmbH>\n100 % = all"
pytestmark = pytest.mark.skipif(not shutil.which("node"),
                                reason="Node.js is not installed")


@pytest.fixture
def installed(place):
    """installed(name): a copy, as npm install leaves it."""
    def install(name):
        folder = place / name
        shutil.copytree(EXAMPLES / name, folder)
        (folder / "node_modules").mkdir()
        (folder / "node_modules" / "weir-policy").symlink_to(
            ROOT / "contrib" / "sdk" / "nodejs")
        return folder
    return install


def test_footer_by_itself(installed):
    folder = installed("footer")
    done = subprocess.run(["node", "--test", folder / "footer.test.js"],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout


@pytest.fixture
def footer(installed, bench):
    """Sends an EmailMessage through; what the MX got."""
    folder = installed("footer")
    (folder / "footer.txt").write_text(FOOTER + "\n")
    readme = folder / "README.md"
    command = indented(readme, r"npm install\n    \./footer.js").splitlines()
    words = shlex.split(moved(command[1], bench.place))
    server = Program("sh", "-c", 'cd "$0" && exec "$@"', folder, *words)
    bench.opened.enter_context(server)
    server.wait_for("listening on unix:")
    mx = bench.mx()
    weir = bench.weir(more=moved(indented(readme, 'policy "footer"'),
                                 bench.place))
    weir.wait_log("event=policy.ready")

    def send(message, sender="a@example.com"):
        data = message if isinstance(message, bytes) else \
            message.as_bytes(policy=SMTP)
        with weir.connect() as client:
            client.envelope(sender)
            assert client.ask("DATA").startswith("354")
            reply = client.raw(data.replace(b"\r\n.", b"\r\n..") + b".\r\n")
            assert reply.startswith("250"), reply
        got = mx.messages[-1].data.replace(b"\r\n..", b"\r\n.")
        rows = wait_for(lambda: weir.rows(
            "SELECT * FROM decisions WHERE phase = 'end_of_message'"), "rows") \
            if sender == "a@example.com" else []
        return data, got, rows
    return send


def composed(encoding, attachment=False):
    message = EmailMessage()
    message["Subject"] = "hello"
    message.set_content("Schöne Zeit.\n.\nBye\n", cte=encoding)
    message.add_alternative("<html><body>Schöne Zeit.</body></html>\n",
                            subtype="html", cte=encoding)
    if attachment:
        message.add_attachment("x,y\n", subtype="csv", filename="a.csv")
    return message


@pytest.mark.parametrize("attachment", [False, True])
@pytest.mark.parametrize("encoding", ["quoted-printable", "base64"])
def test_footer(footer, encoding, attachment):
    sent, got, rows = footer(composed(encoding, attachment))
    message = email.message_from_bytes(got, policy=SMTP)
    assert not message.defects
    plain = message.get_body(["plain"]).get_content().replace("\r\n", "\n")
    assert plain.rstrip("\n") == "Schöne Zeit.\n.\nBye\n\n" + FOOTER
    page = message.get_body(["html"]).get_content().replace("\r\n", "\n")
    assert page.rstrip("\n") == (
        "<html><body>Schöne Zeit.\n\n<p>Gr&#252;&#223;e, ACME &#60;GmbH&#62;"
        "<br>\n100 % = all</p>\n</body></html>")
    if attachment:
        assert got.endswith(sent[sent.rindex(b"Content-Type: text/csv"):])
    assert rows[-1]["rule"] == "footer"
    assert len(rows[-1]["version"]) == 12


def test_footer_under_plain_text(footer):
    sent, got, _ = footer(b"Subject: hello\r\n\r\nHello.\r\n")
    assert got == sent + b"\r\nGrusse, ACME <GmbH>\r\n100 % = all\r\n"


@pytest.mark.parametrize("headers, reason", [
    (b"DKIM-Signature: v=1\r\n", "a DKIM signature"),
    (b"Content-Type: multipart/signed; boundary=b\r\n", "multipart/signed"),
    (b"Content-Type: application/pkcs7-mime\r\n", "application/pkcs7-mime")])
def test_no_footer_under_what_is_signed(footer, headers, reason):
    sent, got, rows = footer(headers + b"\r\nHello.\r\n")
    assert got == sent
    assert (rows[-1]["rule"], rows[-1]["reason"]) == ("untouched", reason)


def test_no_footer_under_others_mail(footer):
    sent, got, _ = footer(b"Subject: hello\r\n\r\nHello.\r\n",
                          sender="a@example.net")
    assert got == sent
