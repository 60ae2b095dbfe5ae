"""The programs of contrib/exporters, and the real servers that they talk to:
each in a directory and on a socket of the test's own."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time

import blackbox
import pymysql
import redis
import weir as under_test

HOME = under_test.ROOT / "contrib" / "exporters"
PATIENCE = 30       # seconds; only a failing test waits so long


def wait_for(condition, what, patience=PATIENCE):
    return blackbox.wait_for(condition, what, patience)


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Exporter:
    """One that runs until it is told to stop."""

    def __init__(self, place, name, *arguments, json=None, **environment):
        self.log_path = place / f"{name}-{time.monotonic_ns()}.log"
        if json is not None:
            arguments = ("--json", json, "--state", place / f"{name}.state",
                         *arguments)
        self.process = subprocess.Popen(
            [HOME / name, *map(str, arguments)], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=open(self.log_path, "wb"),
            env={**os.environ, **environment})

    @property
    def log(self):
        return self.log_path.read_text(errors="replace")

    def wait_log(self, text):
        wait_for(lambda: text in self.log, f"{text!r} in {self.log!r}")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """It ends by itself, and well, when systemd says so."""
        self.process.terminate()
        assert self.process.wait(PATIENCE) == 0, self.log

    def close(self):
        if self.process.poll() is None:
            self.kill()


def once(place, name, *arguments, json=None, code=0, **environment):
    """Runs it to the end of what there is; what it said."""
    made = Exporter(place, name, "--once", *arguments, json=json,
                    **environment)
    try:
        assert made.process.wait(PATIENCE) == code, made.log
    finally:
        made.close()
    return made.log


class Server:
    """A process with a way to see that it is ready."""

    def __init__(self, place):
        self.place, self.process = place, None

    def start(self):
        self.process = subprocess.Popen(
            [str(word) for word in self.command()], cwd=self.place,
            stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT,
            stdout=open(self.place / "server.log", "ab"))
        wait_for(self.ready, f"{self}")
        return self

    def ready(self):
        assert self.process.poll() is None, self.log
        return self.answers()

    @property
    def log(self):
        return (self.place / "server.log").read_text(errors="replace")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.kill()


class MariaDB(Server):
    def __init__(self, place):
        super().__init__(place)
        self.socket = place / "mariadb.sock"
        self.common = ["--no-defaults", "--user=root",
                       f"--datadir={place}/data",
                       "--innodb-log-file-size=4M",
                       "--innodb-buffer-pool-size=16M"]
        subprocess.run(
            ["mariadb-install-db", *self.common, "--skip-test-db",
             "--auth-root-authentication-method=normal"], check=True,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=120)

    def command(self):
        return ["mariadbd", *self.common, f"--socket={self.socket}",
                "--skip-networking", f"--pid-file={self.place}/pid"]

    def connect(self, **options):
        return pymysql.connect(unix_socket=str(self.socket), user="root",
                               charset="utf8mb4", autocommit=True, **options)

    def answers(self):
        try:
            self.connect().close()
        except pymysql.err.OperationalError:
            return False
        return True

    def rows(self, query, *values, database="weir"):
        with contextlib.closing(self.connect(database=database)) as there, \
                there.cursor() as cursor:
            cursor.execute(query, values)
            return list(cursor.fetchall())

    def fresh(self):
        """Nothing of the test before is left; the password is `secret<&'`."""
        with contextlib.closing(self.connect()) as there, \
                there.cursor() as cursor:
            for text in ("DROP DATABASE IF EXISTS weir",
                         "CREATE DATABASE weir",
                         "CREATE OR REPLACE USER weir@localhost "
                         "IDENTIFIED BY 'secret<&'",
                         "GRANT ALL ON weir.* TO weir@localhost"):
                cursor.execute(text)
        return self

    @property
    def options(self):
        """Of an exporter."""
        return ["--socket", self.socket, "--user", "weir", "--database",
                "weir"]


class Redis(Server):
    """With an append-only file, on a unix socket."""

    def __init__(self, place):
        super().__init__(place)
        self.socket = place / "redis.sock"
        self.client = redis.Redis(unix_socket_path=str(self.socket))
        self.options = ["--redis", f"unix://{self.socket}"]

    def command(self):
        return ["redis-server", "--port", "0", "--unixsocket", self.socket,
                "--dir", self.place, "--appendonly", "yes", "--save", "",
                "--daemonize", "no"]

    def answers(self):
        with contextlib.suppress(redis.exceptions.RedisError):
            return self.client.ping()


class Rsyslog(Server):
    """What it has received is in a file of JSON lines, taken apart by
    rsyslog's own parsers."""

    CONFIG = """
global(workDirectory="{place}" maxMessageSize="16k")
module(load="imudp")
module(load="imtcp")
module(load="imuxsock" SysSock.Use="off")
module(load="mmpstrucdata")
template(name="whole" type="list" option.jsonf="on") {{
  property(outname="pri" name="pri" format="jsonf")
  property(outname="time" name="timereported" dateFormat="rfc3339"
           format="jsonf")
  property(outname="host" name="hostname" format="jsonf")
  property(outname="app" name="app-name" format="jsonf")
  property(outname="procid" name="procid" format="jsonf")
  property(outname="msgid" name="msgid" format="jsonf")
  property(outname="protocol" name="protocol-version" format="jsonf")
  property(outname="msg" name="msg" format="jsonf")
  property(outname="raw" name="structured-data" format="jsonf")
  property(outname="data" name="$!rfc5424-sd" format="jsonf")
}}
ruleset(name="all") {{
  action(type="mmpstrucdata" sd_name.lowercase="off")
  action(type="omfile" file="{place}/received" template="whole")
}}
input(type="imudp" address="127.0.0.1" port="{udp}" ruleset="all"
      rcvbufSize="4m")
input(type="imtcp" address="127.0.0.1" port="{tcp}" ruleset="all")
input(type="imuxsock" socket="{place}/log" useSpecialParser="off"
      parseHostname="on" useSysTimeStamp="off" ignoreTimestamp="off"
      ruleset="all"
      rateLimit.interval="0")
"""

    def __init__(self, place):
        super().__init__(place)
        self.ports = {"udp": free_port(socket.SOCK_DGRAM), "tcp": free_port()}
        self.config = place / "rsyslog.conf"
        self.config.write_text(self.CONFIG.format(place=place, **self.ports))

    def command(self):
        return ["rsyslogd", "-n", "-f", self.config, "-i",
                self.place / "rsyslog.pid"]

    def answers(self):
        with contextlib.suppress(OSError):
            socket.create_connection(
                ("127.0.0.1", self.ports["tcp"]), 5).close()
            return (self.place / "log").exists()

    def where(self, kind):
        """For --to."""
        return (f"unix:{self.place}/log" if kind == "unix" else
                f"{kind}:127.0.0.1:{self.ports[kind]}")

    def received(self, count):
        wait_for(lambda: len(lines(self.place / "received")) >= count,
                 f"{count} messages in {self.log}")
        got = lines(self.place / "received")
        for one in got:
            one["data"] = json.loads(one["data"])
        return got

    def forget(self):
        with open(self.place / "received", "ab") as file:
            file.truncate(0)


def lines(path):
    """What weir has written there so far."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def wait_closed(path, count):
    """Until so many sessions have ended in the file."""
    wait_for(lambda: sum(event["event"] == "close"
                         for event in lines(path)) >= count,
             f"{count} closed sessions in {path}")
