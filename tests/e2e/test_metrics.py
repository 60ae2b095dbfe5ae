"""/metrics of a running weir, as Prometheus' own tools read it; and what
contrib/ ships for Prometheus and Grafana, against those metrics."""

import json
import pathlib
import re
import subprocess

import pytest
from blackbox import decision

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = ROOT / "contrib/prometheus/weir.rules.yml"
RULES_TEST = ROOT / "contrib/prometheus/weir.rules.test.yml"
DASHBOARD = ROOT / "contrib/grafana/weir.json"


def promtool(*arguments, given=None):
    run = subprocess.run(["promtool", *arguments], input=given, text=True,
                         capture_output=True, timeout=60)
    return run.returncode, run.stdout + run.stderr


@pytest.fixture(scope="module")
def metrics(tmp_path_factory):
    from blackbox import Bench
    bench = Bench(tmp_path_factory.mktemp("metrics"))
    try:
        bench.mx()
        bench.policy(decide=["rcpt"], answer=lambda *_: decision())
        proxy = bench.weir(more='pool "out" { addresses = {"127.0.0.1"} }')
        with proxy.connect() as client:
            client.deliver()
            client.ask("QUIT")
        proxy.wait_rows("SELECT * FROM connections")
        yield proxy.get("/metrics")[2].decode()
    finally:
        bench.close()


def families(text):
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))


def test_promtool_finds_nothing(metrics):
    code, said = promtool("check", "metrics", given=metrics)
    assert (code, said) == (0, "")


def test_conventions(metrics):
    """What promtool does not look at."""
    kinds = families(metrics)
    assert len(kinds) > 50
    for name, kind in kinds.items():
        assert name.startswith("weir_")
        assert f"# HELP {name} " in metrics
        assert (kind == "counter") == name.endswith("_total"), name
    # times in seconds, sizes in bytes, and nothing in between
    assert not [n for n in kinds if re.search("_(us|ms|microseconds|kb)", n)]
    # a label that mail can fill must be bounded
    assert len(metrics.splitlines()) < 2000


def test_every_metric_that_is_used_exists(metrics):
    """Those of the dashboard and of the alerts; a recording rule's own name is
    no metric of weir's."""
    used = set(re.findall(r"\bweir_\w+", RULES.read_text()))
    board = json.loads(DASHBOARD.read_text())
    expressions = [target["expr"] for panel in board["panels"]
                   for target in panel.get("targets", [])]
    assert len(expressions) > 10
    for expression in expressions:
        used |= set(re.findall(r"\bweir_\w+", expression))
    kinds = families(metrics)
    known = set(kinds) | {name + suffix for name, kind in kinds.items()
                          if kind == "histogram"
                          for suffix in ("_bucket", "_sum", "_count")}
    assert used - known == set()


def test_alerts():
    code, said = promtool("check", "rules", str(RULES))
    assert code == 0, said
    code, said = promtool("test", "rules", str(RULES_TEST))
    assert code == 0, said


def test_each_alert_is_tested():
    alerts = set(re.findall(r"^ +- alert: (\w+)", RULES.read_text(), re.M))
    tested = RULES_TEST.read_text()
    for alert in alerts:
        part = tested.split(f"alertname: {alert}\n")
        # once with alarms, and once without
        assert len(part) >= 3, alert
        assert any("exp_alerts: []" in p[:40] for p in part[1:]), alert
        assert any("exp_labels" in p[:120] for p in part[1:]), alert


def test_dashboard_is_whole():
    board = json.loads(DASHBOARD.read_text())
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    for panel in board["panels"]:
        assert panel["title"] and panel["gridPos"]["w"] <= 24
        if panel["type"] == "row":
            continue
        assert panel["description"], panel["title"]
        assert panel["fieldConfig"]["defaults"].get("unit"), panel["title"]
        assert panel["datasource"] == {"type": "prometheus",
                                       "uid": "${datasource}"}


@pytest.mark.parametrize("expression", sorted({
    target["expr"] for panel in json.loads(DASHBOARD.read_text())["panels"]
    for target in panel.get("targets", [])} if DASHBOARD.exists() else ["?"]))
def test_promql_of_the_dashboard(expression, tmp_path):
    """As a rule, since promtool has no other way to check an expression."""
    expression = expression.replace("$__rate_interval", "5m").replace(
        "$instance", ".*")
    rules = tmp_path / "rules.yml"
    rules.write_text(json.dumps({"groups": [{"name": "g", "rules": [
        {"record": "x:y", "expr": expression}]}]}))
    code, said = promtool("check", "rules", str(rules))
    assert code == 0, said
