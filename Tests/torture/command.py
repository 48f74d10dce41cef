"""The command line of the harness; see run.py."""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import time

from torture import crash, events, faults, flips
from torture.process import scratch


def main() -> int:
    parser = argparse.ArgumentParser(prog="Tests/torture/run.py", description=__doc__)
    commands = parser.add_subparsers(dest="attack", required=True)
    seeds = argparse.ArgumentParser(add_help=False)
    seeds.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    crashes = commands.add_parser("crash", parents=[seeds], help=crash.__doc__)
    crashes.add_argument("--states", type=int, default=1000)
    crashes.add_argument("--only", type=int, help="build only this state, by its number")
    flipping = commands.add_parser("flips", parents=[seeds], help=flips.__doc__)
    flipping.add_argument("--count", type=int, default=1000)
    flipping.add_argument("--only", type=int, help="make only this flip, by its number")
    failing = commands.add_parser("faults", parents=[seeds], help=faults.__doc__)
    failing.add_argument("--count", type=int, default=600, help="0: every call, every error")
    failing.add_argument("--only", type=int, help="make only this fault, by its number")
    happening = commands.add_parser("events", parents=[seeds], help=events.__doc__)
    happening.add_argument("--only", help="only this event", choices=tuple(events.EVENTS))
    arguments = parser.parse_args()
    # An end by `kill` or `timeout` ends the daemons too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    home, began = scratch(), time.monotonic()
    print(f"seed {arguments.seed}, in {home}", flush=True)
    match arguments.attack:
        case "crash":
            report = crash.run(arguments.seed, arguments.states, home, arguments.only)
        case "flips":
            report = flips.run(arguments.seed, arguments.count, home, arguments.only)
        case "faults":
            report = faults.run(arguments.seed, arguments.count, home, arguments.only)
        case "events":
            report = events.run(arguments.seed, home, arguments.only)
    print(report)
    print(f"{time.monotonic() - began:.0f} s")
    if report.violations:
        return 1
    shutil.rmtree(home)
    return 0
