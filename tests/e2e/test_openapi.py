"""doc/openapi.json is what weir answers: each path of the program is in it and
the other way round, and real answers have the members that it names, no more
and no less."""

import contextlib
import glob
import json
import re
from pathlib import Path

import pytest
from blackbox import CONFIG, REJECT, Bench, certificate, decision, wait_for
from jsonschema import Draft202012Validator
from status_client import Status

TOP = Path(__file__).resolve().parents[2]
DOCUMENT = json.loads((TOP / "doc/openapi.json").read_text())
SCHEMAS = DOCUMENT["components"]["schemas"]


def every(node, path="#"):
    """Each object of the document, with where it is."""
    if isinstance(node, dict):
        yield path, node
        for key, value in node.items():
            yield from every(value, f"{path}/{key}")
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from every(value, f"{path}/{number}")


def at(reference):
    node = DOCUMENT
    for key in reference.removeprefix("#/").split("/"):
        node = node[key]
    return node


def problems(schema, value):
    """schema: a node of the document."""
    validator = Draft202012Validator(
        {**schema, "components": DOCUMENT["components"]})
    return [f"{error.json_path}: {error.message}"[:300]
            for error in validator.iter_errors(value)]


def operations():
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def arguments(operation, where):
    return {p["name"] for p in map(
        lambda p: at(p["$ref"]) if "$ref" in p else p,
        operation.get("parameters", ())) if p["in"] == where}


# -------------------------------------------------------------- the document

def test_structure():
    assert DOCUMENT["openapi"] == "3.1.0"
    assert {"title", "version"} <= set(DOCUMENT["info"])
    for where, node in every(DOCUMENT):
        if "$ref" in node and isinstance(node["$ref"], str):
            assert at(node["$ref"]), where
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(names) == len(set(names))
    for path, method, operation in operations():
        assert method in ("get", "post") and operation["summary"], path
        assert set(re.findall(r"{(\w+)}", path)) == \
            arguments(operation, "path"), path
        for code, response in operation["responses"].items():
            response = at(response["$ref"]) if "$ref" in response \
                else response
            assert re.fullmatch(r"[2-5]\d\d", code), path
            assert response["description"], (path, code)


def test_schemas_are_whole():
    """Each is valid, says what each member is, and is used."""
    text = json.dumps(DOCUMENT)
    events = re.findall(r"Event\w+", json.dumps(DOCUMENT["paths"]["/events"]))
    for name, schema in SCHEMAS.items():
        Draft202012Validator.check_schema(schema)
        assert f'"#/components/schemas/{name}"' in text or name in events, \
            f"{name} is not used"
        for where, node in every(schema, name):
            if node.get("type") == "object":
                assert node["additionalProperties"] is not True, where
                assert set(node.get("required", ())) <= \
                    set(node.get("properties", ())), where
            if where.endswith("/properties"):
                for member, value in node.items():
                    assert {"description", "$ref", "oneOf"} & set(value), \
                        f"{where}/{member} is not described"


def test_units():
    """A name's ending and the words about it agree."""
    units = {"_us": "microseconds", "_ms": "milliseconds"}
    for name, schema in SCHEMAS.items():
        for member, value in schema.get("properties", {}).items():
            for end, unit in units.items():
                if member.endswith(end) and "percentile" not in \
                        value["description"]:
                    assert unit in value["description"].lower(), (name, member)


def routes():
    """{(path, method): arguments} of the program's tables."""
    code = "".join(Path(p).read_text() for p in
                   sorted(glob.glob(str(TOP / "src/service/status_*.c"))))
    found = {}
    for path, rest in re.findall(r'{ \.path = "([^"]+)"(.*?)}', code, re.S):
        words = re.search(r"\.arguments =((?:\s*\"[^\"]*\")+)", rest)
        names = "".join(re.findall(r'"([^"]*)"', words[1])) if words else ""
        found[path, "post" if ".post = true" in rest else "get"] = \
            set(names.split())
    return found


def test_every_route_is_documented():
    documented = {(re.sub(r"{\w+}$", "", path), method):
                  arguments(operation, "query")
                  for path, method, operation in operations() if path != "/"}
    assert documented == routes()
    assert len(documented) > 15


# --------------------------------------------------------------- real answers

@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A weir that has seen mail of all kinds, and (path, answer) of each."""
    place = tmp_path_factory.mktemp("openapi")
    with contextlib.closing(Bench(place)) as bench:
        mx = bench.mx(tls=certificate(place), script={
            "MAIL": lambda session, line: b"451 4.7.1 too fast\r\n"
            if "slow" in line else None,
            "RCPT": lambda session, line: b"550 5.1.1 unknown\r\n"
            if "nobody" in line else None})
        reject = decision(REJECT, 550, "5.7.1", ["no"], rule="r/1",
                          reason="spam", score=3, annotations={"k": "v"})
        bench.policy(decide=["rcpt"], name="rep", answer=lambda e, c: reject
                     if b"bad" in e.rcpt.recipient else decision())
        proxy = bench.weir(mx, text=CONFIG.replace(
            'control = ""', 'control = "{place}/control.sock"'),
            more='pool "out" { addresses = {"127.0.0.1"} }\n')
        mail(proxy)
        yield proxy, Status(proxy.status)


def mail(proxy):
    for sender, recipient in (("a@b.example", "c@d.example"),
                              ("slow@b.example", "c@d.example"),
                              ("a@b.example", "nobody@d.example"),
                              ("a@b.example", "bad@d.example")):
        with contextlib.closing(proxy.connect()) as client:
            client.ask(f"MAIL FROM:<{sender}>")
            if client.ask(f"RCPT TO:<{recipient}>").startswith("250"):
                client.content()
            client.ask("QUIT")
    proxy.wait_rows("SELECT * FROM sessions WHERE cause IS NOT NULL", count=4)


def schema_of(path, code="200"):
    """Of the answer to GET path, as it is asked."""
    for known, item in DOCUMENT["paths"].items():
        pattern = re.sub(r"{\w+}", "[^?]+", re.escape(known).replace(
            r"\{", "{").replace(r"\}", "}"))
        if "get" in item and re.fullmatch(pattern, path.partition("?")[0]):
            response = item["get"]["responses"][code]
            response = at(response["$ref"]) if "$ref" in response else response
            return response["content"]["application/json"]["schema"]
    raise AssertionError(f"{path} is not documented")


PATHS = ("/healthz", "/readyz", "/api/v1/status", "/api/v1/policies",
         "/api/v1/sources", "/api/v1/config", "/api/v1/series",
         "/api/v1/series?minutes=1440", "/api/v1/mx", "/api/v1/domains",
         *(f"/api/v1/top?by={by}&since=all" for by in (
             "senders", "recipients", "clients", "reasons", "codes")),
         "/api/v1/sessions", "/api/v1/sessions?code=5xx",
         "/api/v1/report", "/api/v1/operations")


@pytest.mark.parametrize("path", PATHS)
def test_answers(told, path):
    _, status = told
    answer = status.get(path)
    assert problems(schema_of(path), answer) == []
    if path not in ("/api/v1/series", "/api/v1/series?minutes=1440",
                    "/api/v1/report", "/api/v1/operations"):
        assert answer, "there is nothing to check"


def test_answers_about_one(told):
    _, status = told
    sessions = status.get("/api/v1/sessions")
    paths = [f"/api/v1/sessions/{one['id']}" for one in sessions]
    paths += [f"/api/v1/mx/{one['group']}" for one in status.get("/api/v1/mx")]
    paths += [f"/api/v1/domains/{one['domain']}"
              for one in status.get("/api/v1/domains")]
    whole = {}
    for path in paths:
        whole[path] = status.get(path)
        assert problems(schema_of(path), whole[path]) == [], path
    shown = [whole[p] for p in paths if "/sessions/" in p]
    assert any(one["tls"] for one in shown)
    assert any(d["annotations"] for one in shown for d in one["decisions"])
    assert any(not r["accepted"] for one in shown for r in one["recipients"])
    assert len(shown) == 4


def test_what_is_not_documented_is_found(told):
    _, status = told
    answer = status.get("/api/v1/status")
    schema = schema_of("/api/v1/status")
    answer["record"]["nonsense"] = 1
    assert problems(schema, answer)
    del answer["record"]["nonsense"], answer["record"]["written"]
    assert problems(schema, answer)
    answer["record"]["written"] = "12"
    assert problems(schema, answer)


def test_errors(told):
    _, status = told
    for path, code in (("/api/v1/sessions?nonsense=1", 400),
                       ("/api/v1/sessions/01ARZ3NDEKTSV4RRFFQ69G5FAV", 404),
                       ("/api/v1/mx/nothing.example", 404)):
        assert problems(schema_of(path, str(code)),
                        status.get(path, code)) == []


def test_events_and_orders(told):
    """The stream of events, and what POST answers (by the control socket)."""
    proxy, status = told
    kinds = {"tick": "EventTick", "session": "SessionRow",
             "operation": "EventOperation", "reload": "EventReload"}
    control = Status(proxy.place / "control.sock")
    with status.events() as stream:
        seen = {}
        for number, kind, data in stream:
            if kind not in kinds:
                continue
            assert problems(SCHEMAS[kinds[kind]], data) == [], kind
            if kind == "tick" and not seen:
                mail(proxy)
                for path in ("reload", "suspend-address?address=127.0.0.1",
                             "suspend-address?address=127.0.0.1&for=1h",
                             "resume-address?address=127.0.0.1"):
                    answer = control.post(f"/api/v1/{path}")
                    item = DOCUMENT["paths"]["/api/v1/" +
                                             path.partition("?")[0]]["post"]
                    assert problems(
                        item["responses"]["200"]["content"]
                        ["application/json"]["schema"], answer) == []
            seen[kind] = seen.get(kind, 0) + 1
            if set(seen) == set(kinds) and seen["session"] >= 4:
                break
    rows = wait_for(lambda: (lambda got: got if len(got) == 4 else None)(
        status.get("/api/v1/operations")["operations"]), "four operations")
    assert problems(SCHEMAS["Operations"],
                    {"operations": rows, "next": None}) == []
    assert problems(SCHEMAS["Operations"],
                    status.get("/api/v1/operations?limit=2")) == []


PHASES = {"connect", "greeting", "ehlo", "tls", "mail", "rcpt", "data", "body",
          "final", "quit"}


def test_an_mx_in_trouble_and_a_policy_that_is_gone(bench):
    """Both are told as they happen. The API has the evidence, and the next
    session's policies hear of the MX."""
    mx = bench.mx(tls=certificate(bench.place),
                  script={"dot": b"421 4.7.28 mail comes too fast\r\n"})
    policy = bench.policy(notify=["connect"], name="rep")
    proxy = bench.weir(mx, more="deliverability { cap = 9 }\n")
    status = Status(proxy.status)
    with contextlib.closing(proxy.connect()) as client:
        client.ask("QUIT")

    def throttled():
        with contextlib.closing(proxy.connect()) as client:
            client.deliver()
        return [one for one in status.get("/api/v1/mx")
                if one["state"] == "throttled"]

    with status.events("?types=tick,mx,policy") as stream:
        pair, = wait_for(throttled, "the state")
        moved = next(data for _, kind, data in stream
                     if kind == "mx" and data["to"] == "throttled")
        before = len(policy.seen("connect"))
        proxy.connect().close()
        health = policy.wait("connect", before + 1)[-1].connect.health
        # states are looked at once a second
        next(data for _, kind, data in stream if kind == "tick"
             and data["policies"][0]["state"] == "ready")
        policy.close()
        gone = next(data for _, kind, data in stream if kind == "policy"
                    and data["state"] != "ready")
    assert problems(SCHEMAS["MxTransition"], moved) == []
    assert (moved["group"], moved["source"], moved["from"]) == (
        "example.net", "127.0.0.1", "normal")
    assert moved["evidence"]["text"] == "mail comes too fast"
    assert problems(SCHEMAS["EventPolicy"], gone) == []
    assert (gone["name"], gone["state_before"]) == ("rep", "ready")
    assert problems(SCHEMAS["MxPair"], pair) == []
    assert pair["cap"]["most"] == 9 and set(pair["phases"]) == PHASES
    assert pair["min_rtt_us"] > 0 and pair["categories"]["throttle"] > 2
    assert any(one["state"] == "throttled"
               for one in pair["detectors"]["replies"])
    whole = wait_for(lambda: (lambda got: got if got["transitions"] else None)(
        status.get("/api/v1/mx/example.net")), "the change in the record")
    assert problems(SCHEMAS["MxGroup"], whole) == []
    assert set(whole["history"][-1]["phases"]) <= PHASES
    assert moved in [{"group": "example.net", **one}
                     for one in whole["transitions"]]
    source, = health.sources
    assert (health.group, source.source, source.state) == (
        "example.net", "127.0.0.1", "throttled")
    assert source.deferred > 0.5
