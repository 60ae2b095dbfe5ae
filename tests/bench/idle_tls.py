#!/usr/bin/python3
"""Memory of an idle session: clients that have said EHLO and wait.

	WEIR=build/weir tests/bench/idle_tls.py [SESSIONS]

Prints KiB of weir's resident memory per session, with no TLS, with TLS on one
leg, and on both.
"""

import asyncio
import os
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path

WEIR = os.environ.get("WEIR", "build/weir")
CONFIG = """\
workers = 2
user = ""
hostname = "weir.example.org"
listener "fixed" {{
  address = "127.0.0.1:0" mode = "fixed" destination = "127.0.0.1:{mx}"
  client_tls = "{client_tls}" {certificate}
}}
upstream {{ tls = "{tls}" }}
record {{ sqlite = "" }}
status {{ address = "" control = "" }}
"""


def certificate(place):
    path = place / "both.pem"
    crt = place / "crt.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
                    "/CN=mx.example.net", "-keyout", path, "-out", crt],
                   check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + crt.read_bytes())
    return path


async def reply(reader):
    while True:
        line = await reader.readline()
        if line[3:4] != b"-":
            return line


async def mx(reader, writer, tls):
    """Greets, does STARTTLS, says yes to the rest."""
    writer.write(b"220 mx\r\n")
    while line := await reader.readline():
        if line.startswith(b"STARTTLS"):
            writer.write(b"220 go\r\n")
            await writer.drain()
            await writer.start_tls(tls)
        else:
            writer.write(b"250-mx\r\n250 STARTTLS\r\n")


async def client(port, tls):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await reply(reader)
    for _ in range(2):
        writer.write(b"EHLO client\r\n")
        await reply(reader)
        if tls is None:
            break
        writer.write(b"STARTTLS\r\n")
        await reply(reader)
        await writer.start_tls(tls)
        tls = None
    return writer


def resident(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmRSS"):
                return int(line.split()[1])
    return 0


async def measure(place, pem, count, level, offered):
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    mine = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    mine.check_hostname, mine.verify_mode = False, ssl.CERT_NONE
    listening = await asyncio.start_server(
        lambda r, w: mx(r, w, server), "127.0.0.1", 0, backlog=1000)
    config = place / "weir.conf"
    config.write_text(CONFIG.format(
        mx=listening.sockets[0].getsockname()[1], tls=level,
        client_tls="offer" if offered else "strip",
        certificate=f'tls_certificate = "{pem}"' if offered else ""))
    weir = await asyncio.create_subprocess_exec(
        WEIR, "-c", config, stderr=asyncio.subprocess.PIPE)
    try:
        while b"listener.open" not in (line := await weir.stderr.readline()):
            assert line, "weir did not start"
        port = int(line.split(b"127.0.0.1:")[1].split()[0])
        tls = mine if offered else None
        # what the first ones cost belongs to the process
        held = [await client(port, tls) for _ in range(50)]
        before = resident(weir.pid)
        for _ in range(count // 50):
            held += await asyncio.gather(
                *(client(port, tls) for _ in range(50)))
        after = resident(weir.pid)
        for writer in held:
            writer.transport.abort()
        return (after - before) / count
    finally:
        weir.kill()
        await weir.wait()
        listening.close()


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory(prefix="weir-idle-") as name:
        place = Path(name)
        pem = certificate(place)
        for words, level, offered in (
                ("no TLS", "none", False), ("TLS with the MX", "may", False),
                ("TLS with the client", "none", True),
                ("TLS on both legs", "may", True)):
            got = asyncio.run(measure(place, pem, count, level, offered))
            print(f"{words}: {got:.1f} KiB per session of {count}")


main()
