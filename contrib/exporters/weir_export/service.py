"""How every exporter runs: its options, its log, when it tries again, and how
it ends."""

import argparse
import os
import select
import signal
import sys
import time
import traceback
from pathlib import Path

from .lines import Lines, Locked

POLL_S = 0.2
COMMIT_S = 1.0                      # when there was nothing to read
FIRST_S, LONGEST_S = 1.0, 60.0      # between attempts when the target is away
USAGE, TEMPFAIL = 64, 75


class Away(Exception):
    """The target does not take anything now; in words for the operator.
    after: it wants to be left alone for so many seconds."""

    def __init__(self, words, after=0):
        super().__init__(words)
        self.after = after


class Wrong(Exception):
    """What is configured cannot work; in words for the operator."""


def say(text):
    """To standard error, which systemd gives to the journal."""
    print(text, file=sys.stderr, flush=True)


def secret(file, variable):
    """From a file or the environment, and never from the command line, which
    everybody on the machine can read."""
    if file is None:
        return os.environ.get(variable)
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError) as error:
        raise Wrong(f"{file}: {error}") from None


def options(name, description, epilog=None):
    """The options of every reader of lines."""
    parser = argparse.ArgumentParser(
        prog=name, description=description, epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False)
    group = parser.add_argument_group("what to read")
    group.add_argument(
        "--json", metavar="FILE", default="/var/lib/weir/record.json",
        help="record.json of weir.conf (default: %(default)s)")
    group.add_argument(
        "--state", metavar="FILE", default=f"/var/lib/{name}/state",
        help="remembers how far it has come (default: %(default)s)")
    group.add_argument(
        "--once", action="store_true",
        help="stop at the end of the file, for cron: exit code 75 when the "
             "target is away, and the next run goes on from there")
    return parser


class Stop:
    """Set by SIGTERM and SIGINT, between two steps of work.

    A pipe and no threading.Event: that has a lock, which the handler would
    wait for in vain when the signal comes while it is held.
    """

    def __init__(self):
        self.told = False
        self.reader, self.writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.tell)

    def tell(self, *_):
        if not self.told:
            os.write(self.writer, b"x")
        self.told = True

    def __bool__(self):
        return self.told

    def wait(self, seconds):
        select.select([self.reader], [], [], seconds)
        return self.told


class Retry:
    """Calls until it works, waiting longer each time."""

    def __init__(self, stop, once=False):
        self.stop, self.once = stop, once

    def __call__(self, call, *arguments):
        """True: done. False: told to stop before it was."""
        pause = FIRST_S
        while True:
            try:
                call(*arguments)
            except Away as error:
                if self.once:
                    raise
                wait = max(pause, error.after)
                say(f"{error}; trying again in {wait:.0f} s")
                if self.stop.wait(wait):
                    return False
                pause = min(2 * pause, LONGEST_S)
            else:
                if pause > FIRST_S:
                    say("it works again")
                return True


def follow(args, target, from_end=False):
    """Gives all events to target until the end.

    target.resume(carried)   what carried() has said before a restart, or None
    target.prepare(events)   makes of them what is to be sent
    target.send(prepared)    may raise Away; then it gets the same again
    target.idle()            each time that there is nothing to read
    target.carried()         what the state file is to keep, as JSON
    """
    stop = Stop()
    lines = Lines(args.json, args.state, say, from_end)
    retry = Retry(stop, args.once)
    target.resume(lines.carried)
    committed = 0.0
    while not stop:
        events = lines.read()
        if events and not retry(target.send, target.prepare(events)):
            break       # not committed, so it comes again
        if not events and not retry(target.idle):
            break
        if events or args.once or time.monotonic() - committed >= COMMIT_S:
            lines.commit(target.carried())
            committed = time.monotonic()
        if not events and args.once and lines.place is None:
            raise Away("nothing more can be read")      # it was said why
        if not events and (args.once or stop.wait(POLL_S)):
            break


def main(work, *arguments):
    """Runs work(...) and turns what went wrong into words and exit codes."""
    try:
        work(*arguments)
    except Wrong as error:
        say(f"{error}")
        sys.exit(USAGE)
    except (Away, Locked) as error:
        say(f"{error}")
        sys.exit(TEMPFAIL)
    except OSError as error:
        say(f"{error}")
        sys.exit(TEMPFAIL)
    except Exception:       # a bug: the journal gets all of it
        traceback.print_exc()
        sys.exit(1)
    sys.exit(0)
