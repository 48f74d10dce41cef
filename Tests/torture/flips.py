"""Bit flips in every file of a stopped and of a killed store: found, or harmless.

Each flip hits one bit of one file of a copy of the store. The daemon must refuse the store or the
sessions that are hit, with a message, or serve everything that was acknowledged: a silent loss and
a wrong point are violations. So is damage that a daemon meets and `lbfgsd verify` does not find:
verify runs on each flipped store, and the table says how many of the flips it found.
"""

from __future__ import annotations

import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from torture.check import (
    DIED,
    REFUSED_SESSION,
    REFUSED_STORE,
    SILENT,
    WRONG_POINT,
    Findings,
    check,
)
from torture.process import Daemon, is_sound
from torture.report import Report
from torture.workload import STORIES, Ledger, Plan, make_plan, take

WORKERS = 2
FLIPS_A_STORE = 500
CORRUPT_STATUS = 74
HARMLESS = "harmless"
FOUND = "found by verify"
UNSEEN = "NOT FOUND BY VERIFY"


@dataclass
class Store:
    """A store with everything that a plan did. `is_killed`: with its logs as kill -9 left them."""

    plan: Plan
    ledger: Ledger
    data: Path
    is_killed: bool


def make_store(plan: Plan, home: Path, is_killed: bool) -> Store:
    data = home / f"store-{plan.seed}-{'killed' if is_killed else 'stopped'}"
    ledger = Ledger.begin(plan)
    with Daemon(data, home / "store.log").wait_ready() as daemon:
        for client, steps in enumerate(plan.clients):
            while len(ledger.acknowledged[client]) < len(steps):
                answer = take(daemon, plan, ledger, client, lambda: 0)
                assert answer is None, f"{answer}"
        if is_killed:
            daemon.kill()
        else:
            daemon.stop()
    return Store(plan, ledger, data, is_killed)


def kind_of(file: Path) -> str:
    """The row of the table that a file belongs to."""
    if file.parent.name == "journal":
        return "journal/*.log"
    return file.name if file.suffix not in (".seg", ".vec") else f"segments/*{file.suffix}"


def choose(store: Store, chance: random.Random) -> tuple[Path, int]:
    """A file and one of its bits. Each kind of file is as likely as any other; -shm and lock have
    no durable data."""
    kinds: dict[str, list[Path]] = {}
    for file in sorted(store.data.rglob("*")):
        if file.is_file() and file.stat().st_size and not file.name.endswith("-shm"):
            kinds.setdefault(kind_of(file), []).append(file)
    file = chance.choice(kinds[chance.choice(sorted(kinds))])
    # A file of the write-ahead log is mostly zeros that nothing was written over yet.
    used = len(file.read_bytes().rstrip(b"\0")) if file.parent.name == "journal" else 0
    count = used if used and chance.random() < 0.95 else file.stat().st_size
    return file, chance.randrange(8 * count)


def outcome(found: Findings) -> str:
    for kind in (WRONG_POINT, *SILENT, DIED):
        if kind in found.kinds:
            return kind.upper()
    if REFUSED_STORE in found.kinds:
        said = str(found)
        is_orderly = f"exit status {CORRUPT_STATUS}:" in said
        return REFUSED_STORE if is_orderly else "CRASHED AT THE START"
    refused = {text.split(":")[0] for kind, text in found.problems if kind == REFUSED_SESSION}
    if not refused:
        return HARMLESS
    names = {text.split()[-1] for text in refused}
    return "one session refused" if len(names) == 1 else "several sessions refused"


def flip(store: Store, number: int, seed: int, home: Path, report: Report) -> None:
    chance = random.Random(f"{seed}/{number}")
    file, bit = choose(store, chance)
    data, log = home / f"flip-{number}", home / f"flip-{number}.log"
    shutil.copytree(store.data, data)
    target = data / file.relative_to(store.data)
    content = bytearray(target.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    target.write_bytes(content)
    copy = report.keep(data)
    is_seen = not is_sound(data)
    found = check(data, log, store.plan, store.ledger, chance, thorough=True)
    result = outcome(found)
    if result != HARMLESS and not is_seen:
        result = UNSEEN
    row = f"{'killed' if store.is_killed else 'stopped'}, {kind_of(file)}"
    report.count("flips")
    if is_seen:
        report.count(f"found by verify, {'harmless' if result == HARMLESS else 'with harm'}")
        # Beside what the daemon made of it.
        report.outcome(row, FOUND)
    if result.isupper():
        where = f"flip {number}: bit {bit % 8} of byte {bit // 8} of {target.relative_to(data)}"
        report.violation(f"{where} ({row}): {found}", row, {result}, copy)
    else:
        report.outcome(row, result)
    report.drop(copy)
    shutil.rmtree(data)
    log.unlink()


def run(seed: int, count: int, home: Path, only: int | None = None) -> Report:
    report = Report(f"flips --seed {seed} --count {count}", home)
    for first in range(0, count, FLIPS_A_STORE):
        plan = make_plan(seed * 1000 + first // FLIPS_A_STORE, home, STORIES)
        stores = [make_store(plan, home, is_killed) for is_killed in (False, True)]
        numbers = range(first, min(first + FLIPS_A_STORE, count))
        with ThreadPoolExecutor(WORKERS) as workers:
            flips = [
                workers.submit(flip, stores[number % 4 > 0], number, seed, home, report)
                for number in numbers
                if only in (None, number)
            ]
            for future in flips:
                future.result()
        for store in stores:
            shutil.rmtree(store.data)
    return report
