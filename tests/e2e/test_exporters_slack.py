"""weir-export-slack, with real sessions, before a web hook of the test's own
that answers as Slack documents it, and as it does on bad days."""

import contextlib
import datetime
import http.server
import json
import sys
import threading
import time

import exporters
import pytest
from exporters import wait_for

sys.path.insert(0, str(exporters.HOME))
from weir_export import watch  # noqa: E402

NAME = "weir-export-slack"
SESSION = "01M80DEDF5675KB33T0VEV60FE"


class Hook:
    """answers: (status, headers, body) for each request; then 200."""

    def __init__(self, answers=()):
        self.posts, self.times, self.answers = [], [], list(answers)
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                data = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.headers["Content-Type"] == "application/json"
                hook.times.append(time.monotonic())
                status, headers, body = (hook.answers.pop(0) if hook.answers
                                         else (200, {}, "ok"))
                if status == 200:
                    hook.posts.append(json.loads(data))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0),
                                                      Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/T0/B0/secret"
        threading.Thread(target=self.server.serve_forever, args=(.05,),
                         daemon=True).start()

    @property
    def text(self):
        return "\n".join(post["text"] for post in self.posts)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def hook():
    with contextlib.ExitStack() as opened:
        def start(*answers):
            made = Hook(answers)
            opened.callback(made.close)
            return made
        yield start


def when(ago=0.0):
    now = datetime.datetime.utcnow() - datetime.timedelta(seconds=ago)
    return now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def write(path, *events, ago=0.0):
    with open(path, "a", encoding="utf-8") as file:
        for event in events:
            file.write(json.dumps({"time": when(ago), "session": SESSION,
                                   **event}) + "\n")


def begin(place):
    """A state file, so that the file is read from its begin."""
    (place / "weir.json").touch()
    once(place, "http://127.0.0.1:1/")


def once(place, url, *arguments, code=0):
    return exporters.once(place, NAME, "--name", "out-3", *arguments,
                          json=place / "weir.json", code=code,
                          WEIR_SLACK_URL=url)


def failing(policy, **more):
    return {"event": "decision", "policy": policy, "error": "timeout",
            "error_text": "no answer within 5 s", **more}


def test_what_real_sessions_give(bench, place, hook):
    """Policies that fail, refusals, a stop and a start; and whatever stands
    in SMTP is text."""
    slack = hook()
    bench.mx(script={"RCPT": b"550 5.1.1 <!channel> *no* `such` @here & "
                             b"<http://x|y>\r\n"})
    policy = bench.policy(decide=["mail"], keys={"on_error": '"relay"'})
    proxy = bench.weir()
    (place / "url").write_text(slack.url + "\n")
    running = exporters.Exporter(
        place, NAME, "--url-file", place / "url", "--name", "out-3",
        "--interval", "1", "--burst", "3", "--status",
        f"http://127.0.0.1:{proxy.status}", json=place / "weir.json")
    try:
        wait_for((place / f"{NAME}.state").exists, "a state file")
        policy.close()
        for _ in range(4):
            with proxy.connect() as client:
                client.raw(b'MAIL FROM:<"<!everyone>`@here"@b.example>\r\n')
                client.raw(b"RCPT TO:<c@d.example>\r\n")
                client.ask("QUIT")
        wait_for(lambda: "were refused" in slack.text, "refusals")
        wait_for(lambda: "fails: " in slack.text, "a policy that fails")
        proxy.stop()
        wait_for(lambda: "weir does not answer at" in slack.text, "the end")
        running.stop()
    finally:
        running.close()
    assert "*out-3*\n- " in slack.text
    assert "Policy `p0` fails: `" in slack.text
    assert ("3 messages of `\"&lt;!everyone&gt;'@here\"@b.example` were "
            "refused within 10 min, the last by `mx`") in slack.text
    for post in slack.posts:
        assert post["link_names"] is post["unfurl_links"] is False
        assert "<" not in post["text"]


def test_one_message_per_interval_and_the_rest_in_digests(place, hook):
    slack = hook()
    path = place / "weir.json"
    begin(place)
    write(path, failing("first"))
    running = exporters.Exporter(place, NAME, "--interval", "1", json=path,
                                 WEIR_SLACK_URL=slack.url)
    try:
        wait_for(lambda: slack.posts, "the first message")
        write(path, *(failing(f"p{number}") for number in range(300)))
        wait_for(lambda: len(slack.posts) >= 3, "what was held")
        running.stop()
    finally:
        running.close()
    texts = [post["text"] for post in slack.posts]
    assert texts[0].count("\n") == 1
    assert texts[1].count("\n- ") == 20
    assert texts[1].endswith("280 more, 100 of them only counted")
    assert all(len(text) < 4000 for text in texts)
    gaps = [after - before for before, after in zip(slack.times,
                                                    slack.times[1:])]
    assert texts[2].count("\n- ") == 20 and "`p20`" in texts[2]
    assert min(gaps) >= .99


def test_retry_after_is_honoured_and_nothing_lost(place, hook):
    slack = hook((429, {"Retry-After": "2"}, "rate_limited"))
    path = place / "weir.json"
    begin(place)
    write(path, failing("p"))
    running = exporters.Exporter(place, NAME, json=path,
                                 WEIR_SLACK_URL=slack.url)
    try:
        wait_for(lambda: slack.posts, "a message")
        running.stop()
    finally:
        running.close()
    assert "says 429 'rate_limited'; trying again in 2 s" in running.log
    assert slack.times[1] - slack.times[0] >= 1.99
    assert len(slack.posts) == 1 and "`p` fails" in slack.text


def test_what_is_held_survives_a_restart(place, hook):
    slack = hook()
    path = place / "weir.json"
    begin(place)
    write(path, failing("a"))
    once(place, slack.url)
    write(path, failing("b"), failing("c"), failing("a"))
    once(place, slack.url)          # within the minute: held
    assert len(slack.posts) == 1
    once(place, slack.url, "--interval", "1")
    time.sleep(1)
    once(place, slack.url, "--interval", "1")
    text = slack.posts[-1]["text"]
    assert text.endswith("Policy `b` fails: `no answer within 5 s`\n"
                         "- Policy `c` fails: `no answer within 5 s`")
    assert len(slack.posts) == 2


@pytest.mark.parametrize("status, code, words", [
    (400, 0, "a message is lost"), (404, 75, "no_service"),
    (302, 75, "says 302"), (503, 75, "says 503")])
def test_a_hook_that_says_no(place, hook, status, code, words):
    other = hook()
    slack = hook((status, {"Location": other.url}, "no_service"))
    begin(place)
    write(place / "weir.json", failing("p"))
    assert words in once(place, slack.url, code=code)
    assert not other.times      # nobody else gets to know
    assert "secret" not in once(place, "http://127.0.0.1:1/secret",
                                code=0 if status == 400 else 75)
    once(place, slack.url)
    assert len(slack.posts) == (0 if status == 400 else 1)


def test_what_is_old_or_was_there_before_is_not_told(place, hook):
    slack = hook()
    path = place / "weir.json"
    write(path, failing("before"))
    once(place, slack.url)
    write(path, failing("old"), ago=4000)
    once(place, slack.url)
    assert slack.posts == []
    write(path, failing("new"))
    once(place, slack.url)
    assert "`new`" in slack.text and "`old`" not in slack.text


def test_a_policy_that_answers_again(place, hook):
    slack = hook()
    begin(place)
    write(place / "weir.json", failing("p"), failing("p"),
          failing("p", error="connect"), ago=120)
    write(place / "weir.json", {"event": "open"})
    once(place, slack.url)
    assert ("- Policy `p` has had no error for 2 min. Before, in 0 s: "
            "2 x `timeout`, 1 x `connect`") in slack.text


def test_an_mx_that_changes_its_state(place, hook):
    slack = hook()
    begin(place)
    write(place / "weir.json",
          {"event": "mx_state", "group": "example.net",
           "source": "192.0.2.1", "from": "normal", "to": "throttled",
           "evidence": {"words": "30 of 100 deferred, usually 1.0 %",
                        "code": 421, "text": "4.7.0 <slow> down"}},
          {"event": "mx_state"}, {"event": "mx_state", "evidence": 5})
    once(place, slack.url)
    assert ("- MX group `example.net`, from `192.0.2.1`: `normal` to "
            "*throttled*: `30 of 100 deferred, usually 1.0 %`, it said `421` "
            "`4.7.0 &lt;slow&gt; down`") in slack.text
    assert slack.text.count("- MX group") == 3


def test_bursts_are_told_at_each_power_of_ten():
    watched = watch.Watch(burst=5, window_s=600)
    told = []
    for number in range(600):
        told += [(number + 1, fact) for fact in watched.facts(
            {"time": "2026-11-22T01:%02d:%02d.000000Z" % divmod(number, 60),
             "event": "transaction", "sender": "", "outcome": "rejected"})]
    assert [number for number, _ in told] == [5, 50, 500]
    assert "`&lt;&gt;`" in told[0][1]
    # a window later it begins anew, with what was carried along
    watched = watch.Watch(5, 600, json.loads(json.dumps(watched.carried())))
    told = []
    for number in range(10):
        at = {"time": "2026-11-22T01:20:0%d.000000Z" % number}
        # one of two recipients was refused; another is greylisted
        told += watched.facts({**at, "event": "recipient", "transaction": "T",
                               "code": 550 - 100 * (number % 2)})
        told += watched.facts({**at, "event": "transaction", "sender": "",
                               "transaction": "T", "outcome": "delivered"})
        assert len(told) == (number >= 8)
    assert told[0].startswith("5 messages of `&lt;&gt;` were refused")


def test_senders_that_are_remembered_are_bounded():
    watched = watch.Watch(burst=5, window_s=600)
    for number in range(watch.SENDERS_MAX + 500):
        assert not list(watched.facts(
            {"time": "2026-11-22T01:20:00.000000Z", "event": "transaction",
             "sender": f"{number}@b.example", "outcome": "rejected"}))
    assert len(watched.senders) == watch.SENDERS_MAX


@pytest.mark.parametrize("options, environment, words", [
    ([], {}, "--url-file or WEIR_SLACK_URL"),
    ([], {"WEIR_SLACK_URL": "file:///etc/passwd"}, "no https://")])
def test_what_cannot_work_is_said(place, options, environment, words):
    assert words in exporters.once(place, NAME, *options, code=64,
                                   **{"WEIR_SLACK_URL": "", **environment})
