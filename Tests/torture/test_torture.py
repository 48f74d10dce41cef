"""The short form of the attacks. $LBFGSD_TORTURE_SEED chooses another seed; run.py has the long
form, and repeats a single state, fault or flip."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from torture import crash, events, faults, flips
from torture.check import REFUSED_STORE, SILENT, WRONG_POINT, Findings, check
from torture.disk import Disk
from torture.process import Daemon, NotStarted, Unreachable, scratch
from torture.recording import Control, read_trace
from torture.report import Report
from torture.workload import Author, Ledger, Plan, make_plan, middling, small, take

SEED = int(os.environ.get("LBFGSD_TORTURE_SEED", "7"))
STATES, FAULTS, FLIPS = 1000, 100, 250


@pytest.fixture
def home() -> Iterator[Path]:
    path = scratch()
    yield path
    shutil.rmtree(path)


def judge(report: Report, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{report}")
    assert not report.violations, f"{len(report.violations)} violations, seed {SEED}"


@pytest.mark.timeout(900)
def test_every_crash_state_has_what_was_acknowledged(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judge(crash.run(SEED, STATES, home), capsys)


@pytest.mark.timeout(900)
def test_no_failed_call_is_acknowledged(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    judge(faults.run(SEED, FAULTS, home), capsys)


@pytest.mark.timeout(900)
def test_a_flipped_bit_is_found_or_harmless(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    judge(flips.run(SEED, FLIPS, home), capsys)


@pytest.mark.parametrize("event", events.EVENTS)
@pytest.mark.timeout(120)
def test_an_event_loses_nothing(event: str, home: Path) -> None:
    report = events.run(SEED, home, event)
    if event in events.NEEDS_MOUNTS and not events.can_mount():
        pytest.skip("mounting is not permitted")
    assert not report.violations, report.violations


# Single cases, each of which has once lost something.


def brief(author: Author) -> None:
    author.create("s", 3, max_iter=4)
    author.advance("s", 8)
    author.checkpoint("s")
    author.advance("s", 6)


@pytest.mark.parametrize("action", ["KILL", "EIO"])
@pytest.mark.parametrize("call", [3, 9])
def test_a_result_acknowledged_after_a_restart_survives_power_loss(
    action: str, call: int, home: Path
) -> None:
    """The process ends between write and sync of the write-ahead log, or because the sync fails;
    the next one reads what the page cache has, and the client repeats its result."""
    plan, data = make_plan(SEED, home, [brief]), home / "data"
    control, trace, ledger = Control(home / "control"), home / "trace", Ledger.begin(plan)
    data.mkdir(mode=0o700)
    fault = f"sync:{call}:{action}:journal/"
    with Daemon(data, home / "log", trace, control, fault) as daemon:
        daemon.wait_ready()
        with pytest.raises(Unreachable):
            play(daemon, plan, ledger, control, len(plan.clients[0]))
    with Daemon(data, home / "log", trace, control) as daemon:
        daemon.wait_ready()
        play(daemon, plan, ledger, control, len(ledger.sent[0]))
    assert lost(power_loss(plan, ledger, trace, control.sequence, home)) == set()


def test_the_names_of_a_new_store_survive_power_loss(home: Path) -> None:
    plan, data = make_plan(SEED, home, [brief]), home / "data"
    control, trace, ledger = Control(home / "control"), home / "trace", Ledger.begin(plan)
    data.mkdir(mode=0o700)
    with Daemon(data, home / "log", trace, control) as daemon:
        daemon.wait_ready()
        play(daemon, plan, ledger, control, 5)
    assert lost(power_loss(plan, ledger, trace, control.sequence, home)) == set()


def test_no_bit_of_sqlites_wal_takes_sessions_back(home: Path) -> None:
    plan = make_plan(SEED, home, [small])
    store = flips.make_store(plan, home, is_killed=True)
    size = (store.data / "lbfgsd.sqlite-wal").stat().st_size
    for number, byte in enumerate(range(200, size, size // 16)):
        data = home / f"flipped-{number}"
        shutil.copytree(store.data, data)
        content = bytearray((data / "lbfgsd.sqlite-wal").read_bytes())
        content[byte] ^= 4
        (data / "lbfgsd.sqlite-wal").write_bytes(content)
        found = check(data, home / "log", plan, store.ledger, random.Random(0), thorough=True)
        assert not found.kinds & {*SILENT, WRONG_POINT}, f"byte {byte} of {size}: {found}"


@pytest.mark.parametrize(
    ("column", "sql"),
    [
        pytest.param("moved", "UPDATE store SET moved = moved + 64"),
        pytest.param(
            "segment size",
            "UPDATE segment SET size = size / 2 WHERE id > 0",
        ),
    ],
)
def test_a_changed_row_deletes_nothing(column: str, sql: str, home: Path) -> None:
    plan = make_plan(SEED, home, [small, middling])
    store = flips.make_store(plan, home, is_killed=True)
    with closing(sqlite3.connect(store.data / "lbfgsd.sqlite")) as database:
        database.execute(sql)
        database.commit()
    before = {path: path.read_bytes() for path in store.data.rglob("segments/*")}
    found = check(store.data, home / "log", plan, store.ledger, random.Random(0), thorough=True)
    assert not found.kinds & {*SILENT, WRONG_POINT}, f"{column}: {found}"
    if found.problems:
        after = {path: path.read_bytes() for path in before if path.exists()}
        assert after == before, f"{column}: files were changed on the word of a damaged row"


def test_a_store_that_cannot_use_sqlites_wal_is_not_served(home: Path) -> None:
    """SQLite falls back to a rollback journal when the switch fails, whose removal it does not
    sync: a power loss would roll acknowledged commits back."""
    plan, data = make_plan(SEED, home, [brief]), home / "data"
    for call in range(1, 8):
        control, ledger = Control(home / "control"), Ledger.begin(plan)
        trace = home / f"trace-{call}"
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir(mode=0o700)
        with Daemon(data, home / "log", trace, control, f"sync:{call}:EIO:$-journal") as daemon:
            try:
                daemon.wait_ready()
            except NotStarted:
                assert control.fired
                continue
            play(daemon, plan, ledger, control, 2)  # Up to a transaction of SQLite's.
        found = power_loss(plan, ledger, trace, control.sequence, home)
        assert lost(found) == set(), f"sync {call} of the rollback journal: {found}"


def play(daemon: Daemon, plan: Plan, ledger: Ledger, control: Control, goal: int) -> None:
    while len(ledger.acknowledged[0]) < goal:
        answer = take(daemon, plan, ledger, 0, lambda: control.sequence)
        if answer is not None and answer.status in (500, 503) and daemon.alive:
            continue
        assert answer is None, f"{answer}"


def power_loss(plan: Plan, ledger: Ledger, trace: Path, sequence: int, home: Path) -> Findings:
    """What a daemon finds when the power fails at a call, and everything that isn't synced is
    lost, names too."""
    disk, data = Disk(), home / "crashed"
    for call in read_trace(trace):
        if call.sequence <= sequence:
            disk.apply(call)
    shutil.rmtree(data, ignore_errors=True)
    disk.crash(data, random.Random(0), "strict", "none", "all")
    return check(data, home / "log", plan, ledger.until(sequence), random.Random(0), thorough=True)


def lost(found: Findings) -> set[str]:
    return found.kinds & {*SILENT, WRONG_POINT, REFUSED_STORE}
