"""Fixtures of the end-to-end tests; see netns.py, mta.py, mx.py, weir.py."""

import contextlib
import itertools
import shutil
import tempfile
from pathlib import Path

import blackbox
import bridge
import mta
import mx
import netns
import pytest
import weir as under_test

NAMESPACES = netns.why_not()


@pytest.hookimpl(tryfirst=True, hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failure shows what weir said."""
    outcome = yield
    report = outcome.get_result()
    place = item.funcargs.get("place") if hasattr(item, "funcargs") else None
    if report.when == "call" and report.failed and place is not None:
        for path in sorted(place.rglob("*log")):
            if not path.is_file():
                continue
            text = path.read_text(errors="replace")
            report.sections.append((str(path.relative_to(place)),
                                    text[-8000:]))


@pytest.fixture
def net():
    """Network namespaces, gone with everything in them after the test."""
    if NAMESPACES:
        pytest.skip(NAMESPACES)
    made = netns.Net()
    yield made
    made.close()


@pytest.fixture
def place():
    """A directory that every user can look into."""
    path = Path(tempfile.mkdtemp(prefix="weir-e2e-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def stack(net, place):
    """Closes what the test gave to it, last first, before those two go."""
    with contextlib.ExitStack() as opened:
        yield opened


@pytest.fixture
def weir(net, place, stack):
    """weir(namespace, config) starts one."""
    reason = under_test.why_not()
    if reason:
        pytest.skip(reason)

    def start(namespace, config, **options):
        started = under_test.Weir(namespace, place, config)
        started.start(**options)

        def stop():
            # a sanitizer's findings come out at exit, as its exit code
            running = started.process.poll() is None
            code = started.stop()
            assert code == 0 or not running, (code, started.log)
        stack.callback(stop)
        return started
    return start


@pytest.fixture
def scripted(stack):
    """scripted(namespace, ...) starts an MX that does as the test says."""
    def start(namespace, **options):
        started = mx.ScriptedMX(namespace, **options)
        stack.callback(started.close)
        return started
    return start


@pytest.fixture
def postfix(place, stack):
    """postfix.client(namespace) and postfix.mx(namespace)."""
    reason = mta.why_not()
    if reason:
        pytest.skip(reason)

    numbers = itertools.count(1)

    class Make:
        @staticmethod
        def start(kind, namespace, *args, **options):
            started = kind(namespace, place / f"{kind.__name__}{next(numbers)}",
                           *args, **options)
            stack.callback(started.stop)
            return started

        def client(self, *args, **options):
            return self.start(mta.client, *args, **options)

        def mx(self, *args, **options):
            return self.start(mta.mx, *args, **options)
    return Make()


@pytest.fixture
def policy(place, stack):
    """policy(name, script, option...) starts one; its block of weir.conf."""
    def start(*args, **options):
        server, text = under_test.policy(place, *args, **options)
        stack.enter_context(server)
        return server, text
    return start


@pytest.fixture
def redirect():
    """redirect(namespace, option...): contrib/weir-rules, by nft."""
    def install(namespace, *options):
        namespace.run(under_test.ROOT / "contrib" / "weir-rules", "nft",
                      "install", "--mark", under_test.MARK, "--user", "",
                      *options)
    return install


@pytest.fixture
def bench(place):
    """A weir in fixed mode with its MX and policies; see blackbox.py."""
    reason = under_test.why_not()
    if reason:
        pytest.skip(reason)
    made = blackbox.Bench(place)
    yield made
    made.close()


@pytest.fixture
def desk(bench, place):
    """A weir before a bridge to milters; see bridge.py."""
    reason = bridge.why_not()
    if reason:
        pytest.skip(reason)
    made = bridge.Desk(bench, place)
    yield made
    made.close()
