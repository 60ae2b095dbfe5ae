#!/usr/bin/python3
"""The papers name what the program has: columns, JSON members, metrics, paths
of the API, log events, replies; and the threat model names tests that exist."""
import glob
import json
import os
import re
import sqlite3
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lint

LITERAL = r'"((?:[^"\\\n]|\\.)*)"'


def text(path):
    with open(os.path.join(lint.TOP, path), encoding="utf-8") as f:
        return f.read()


def sources(pattern):
    return "".join(open(p, encoding="utf-8").read() for p in
                   sorted(glob.glob(os.path.join(lint.TOP, pattern))))


def quoted(paper):
    """Words between backticks, without labels: `x_total{why="y"}` is x_total."""
    return {w.split("{")[0] for w in re.findall(r"`([^`\n]+)`", paper)}


# ----------------------------------------------------------------- the record


def schema(code):
    """{"sessions": {"id", ...}} as SQLite understands the schema."""
    bodies = dict(re.findall(
        r"\b(version_\d\w*)\[\] =\n(\".*?);\n\n", code, re.S))
    # in the order of the file, but for parts that a list puts in its own
    listed = re.findall(r"^\t(version_\d\w*),$", code, re.M)
    names = sorted(bodies, key=lambda name: listed.index(name) + 1
                   if name in listed else 0)
    sql = "".join(re.findall(LITERAL, "".join(bodies[n] for n in names)))
    sql = sql.replace("\\n", "\n").replace("\\t", "\t")
    db = sqlite3.connect(":memory:")
    db.executescript(sql)
    names = [n for n, in db.execute(
        "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")]
    return {name: {row[1] for row in db.execute(
        f"PRAGMA table_info({name})")} for name in names}


def section(paper, name):
    """The part of the paper about a table: from its heading, or from the
    paragraph that begins with its name, to the next one of either."""
    begin = re.search(rf"^(?:#+ .*\b{name}\b|`{name}`,).*$", paper, re.M)
    if begin is None:
        return ""
    rest = paper[begin.start():]
    end = re.search(r"\n(?:#|`(?:connections|communications)`,)", rest)
    return rest[:end.start()] if end else rest


def compare_columns(paper, tables):
    problems = []
    for table, columns in tables.items():
        said = quoted(section(paper, table))
        problems += [f"RECORD.md: {table}.{c} is missing" for c in columns
                     if not {c, f"{table}.{c}"} & said]
    return problems


def members(code):
    """What record_json.c writes into an object."""
    found = set(re.findall(r"\b(?:key|span|string|number|flag|address)"
                           r'\(j, "(\w+)"', code))
    return found | {"time", "session"}


# ----------------------------------------------------------------- the status


def families(table, renderer, api):
    """Prometheus families, without "weir_"."""
    found = set(re.findall(r'\{ "\w+", "(\w+)"', table))
    found |= set(re.findall(r'prometheus_head\(out, "(\w+)"', renderer))
    found |= set(re.findall(r"# TYPE weir_(\w+) ", api))
    found |= {"record_" + n for n in
              re.findall(r'record_gauge\(&a->body, "(\w+)"', api)}
    return found


def json_keys(table):
    return set(re.findall(r'\{ "(\w+)", "\w+"', table))


def api_members(code, query):
    """Of the objects that the API answers with."""
    found = set(re.findall(r'(?:_member|append_sink|json_\w+|prometheus_name)'
                           r'\((?:out|&a->body), (?:\w+, )?"(\w+)"', code))
    found |= set(re.findall(r'\\"(\w+)\\":', code))
    found |= {a or b for a, b in re.findall(r'AS (?:\\"(\w+)[?!]\\"|(\w+))',
                                            query)}
    return found | set(re.findall(r'\{ "(\w+)", \'', query))


def routes(api):
    return {("POST " if ".post = true" in rest else "GET ") + path +
            ("ID" if path.endswith("/") else "")
            for path, rest in re.findall(r'\{ \.path = "(/[\w/-]+)"(.*?)\}',
                                         api, re.S)}


def documented(paper):
    """Paths of the OpenAPI document, as routes() writes them."""
    return {method.upper() + " " + re.sub(r"\{\w+\}$", "ID", path)
            for path, item in json.loads(paper)["paths"].items()
            for method in item if path != "/"}


def events(code):
    """Of every log_event(): all dotted names among its arguments."""
    found = set()
    for call in re.findall(r"\blog_event\((LOG_.*?|again.*?|s->.*?)\);", code,
                           re.S):
        found |= set(re.findall(r'"([a-z]+\.[a-z_]+)"', call))
    return found


def missing(paper, name, things):
    said = quoted(paper)
    return [f"{name}: {t} is missing" for t in sorted(things - said)]


# ---------------------------------------------------------------- the replies


def replies(session):
    """{"550 5.5.2"}: those that weir makes in its own name."""
    found = {" ".join(m) for m in
             re.findall(r'\b([45]\d\d), "(\d\.\d\.\d)"', session)}
    return found | {"421 " + m for m in
                    re.findall(r'_with_421\(s, "\w+", "(\d\.\d\.\d)"',
                               session)}


def compare_replies(page, made):
    said = set(re.findall(r"^\.It (\d\d\d \d\.\d\.\d)$", page, re.M))
    return [f"weir.8: {r} is missing or not made any more"
            for r in sorted(said ^ made)]


# ----------------------------------------------------------- the threat model


def tests_by(paper):
    """What stands between backticks in the last column of its tables."""
    return {name for row in re.findall(r"^\|.*\|$", paper, re.M)
            for name in re.findall(r"`([^`]+)`", row.split("|")[-2])}


def is_test(name, code):
    """A path below tests/, a scenario, a program, or a function of one."""
    top = os.path.join(lint.TOP, "tests")
    return any(glob.glob(os.path.join(top, p)) for p in
               (name, f"replay/{name}.smtp", f"unit/{name}.c",
                f"fuzz/{name}.c")) or \
        re.search(rf"^(?:def )?{re.escape(name)}\(", code, re.M) is not None


def build_packages(script):
    """What contrib/packages installs to build weir."""
    return set(re.search(r'# build\nlist="([^"]*)"', script).group(1).split())


def readme_packages(readme):
    command = re.search(r"apt-get install ((?:.*\\\n)*.*)", readme).group(1)
    return set(command.replace("\\", " ").split())


tap = lint.Tap()
record = text("doc/RECORD.md")
status = text("doc/STATUS.md")
manual = text("doc/weir.8")
threats = text("doc/THREAT-MODEL.md")
columns = schema(lint.read("service/record_schema.c"))
json_code = lint.read("service/record_json.c")
metrics_table = lint.read("service/metrics_table.c")
api_code = sources("src/service/status_*.c")
made = replies(sources("src/session/*.c"))
# the one whose text is put together elsewhere, and those of the worker
made |= {"421 " + e for e in re.findall(
    r'SPAN\("(\d\.\d\.\d)"\)', lint.read("session/connect.c"))}
made |= set(re.findall(r'"([45]\d\d \d\.\d\.\d) ',
                       sources("src/daemon/*.c") + sources("src/net/*.c")))
tests_code = sources("tests/unit/*/*.c") + sources("tests/e2e/*.py")

tap.check("every column of the record is in RECORD.md",
          compare_columns(record, columns))
tap.check("every member of the JSON lines is in RECORD.md",
          missing(record.split("## Lines of JSON")[-1], "RECORD.md",
                  members(json_code)))
tap.check("every metric is in STATUS.md",
          missing(status, "STATUS.md", families(
              metrics_table, lint.read("service/metrics_prometheus.c"),
              api_code) | json_keys(metrics_table)))
tap.check("every member of the API's objects is in STATUS.md",
          missing(status, "STATUS.md", api_members(
              api_code + lint.read("service/metrics_json.c"),
              lint.read("service/record_query.c"))))
tap.check("every path of the API is in STATUS.md",
          missing(status, "STATUS.md", routes(api_code)))
tap.check("the paths of the API and of openapi.json are the same",
          sorted(routes(api_code) ^ documented(text("doc/openapi.json"))))
tap.check("every log event is in STATUS.md",
          missing(status, "STATUS.md", events(sources("src/*/*.c"))))
tap.check("every reply that weir makes is in weir(8)",
          compare_replies(manual, made))
tap.check("the threat model names tests that exist",
          [f"THREAT-MODEL.md: {t} is no test" for t in sorted(
              tests_by(threats)) if not is_test(t, tests_code)])
tap.check("README installs what contrib/packages does, to build",
          sorted(build_packages(text("contrib/packages")) ^
                 readme_packages(text("README.md"))))
tap.check("what is missing is found",
          [] if len(columns) >= 11 and len(made) > 15 and
          len(tests_by(threats)) > 20 and
          compare_columns(record.replace("`held`", ""), columns) and
          missing("", "", members(json_code)) and
          missing("", "", routes(api_code)) and
          len(missing("", "", events(sources("src/*/*.c")))) > 25 and
          compare_replies("", made) and not is_test("test_nothing", tests_code)
          else ["it passed"])
tap.done()
