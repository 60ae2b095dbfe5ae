"""A client of the status server, over TCP or the control socket."""

import contextlib
import http.client
import json
import socket

PATIENCE = 20


class Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=PATIENCE)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(str(self.path))


class Status:
    """where: a port on 127.0.0.1, or the path of a control socket."""

    def __init__(self, where):
        self.where = where

    def connection(self):
        return http.client.HTTPConnection(
            "127.0.0.1", self.where, timeout=PATIENCE) \
            if isinstance(self.where, int) else Unix(self.where)

    def ask(self, method, path, **headers):
        """Status, headers, body."""
        with contextlib.closing(self.connection()) as connection:
            connection.request(method, path, headers={
                name.replace("_", "-"): value
                for name, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def get(self, path, code=200):
        got, _, body = self.ask("GET", path)
        assert got == code, (got, body)
        return json.loads(body)

    def post(self, path, code=200, **headers):
        got, _, body = self.ask("POST", path, **headers)
        assert got == code, (got, body)
        return json.loads(body)

    @contextlib.contextmanager
    def events(self, query="", **headers):
        """An iterator over (id, kind, data); with its first line read, the
        stream stands."""
        with contextlib.closing(self.connection()) as connection:
            connection.request("GET", "/events" + query, headers={
                name.replace("_", "-"): value
                for name, value in headers.items()})
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            assert answer.headers["Content-Type"] == "text/event-stream"
            assert answer.readline() == b"retry: 3000\n"
            yield events(answer)


def events(answer):
    fields = {}
    for line in answer:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name:
            fields[name] = value
        elif "event" in fields:
            yield (fields.get("id"), fields["event"],
                   json.loads(fields["data"]))
            fields = {}
