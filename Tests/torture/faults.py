"""Every storage call fails once, and no answer promises what isn't so.

A run without faults counts the calls of each kind on each kind of file. Each attack then makes one
of them fail, in a run of checkpoints, forks, deletes and long vectors, or of `lbfgsd compact`. The
daemon may answer with an error (507 when there is no space) or end; a patient client repeats until
its request succeeds. Then the process is killed, and all must be there: as the page cache has it,
and as a power loss leaves it.
"""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from torture import recording
from torture.check import REFUSED_SESSION, REFUSED_STORE, check
from torture.disk import Disk
from torture.flips import Store, make_store
from torture.process import Daemon, NotStarted, Unreachable, compact
from torture.recording import Control, read_trace
from torture.report import Report
from torture.workload import (
    Author,
    Ledger,
    WrongAnswer,
    long,
    make_plan,
    middling,
    small,
    take,
)

WORKERS = 2
NO_SPACE = ("ENOSPC", "EDQUOT", "EFBIG")
ERRORS = (*NO_SPACE, "EIO", "EINTR")
ACTIONS = {
    "open": ("ENOSPC", "EDQUOT", "EIO", "EMFILE"),
    "write": (*ERRORS, "SHORT", "KILL", "KILLAFTER"),
    "sync": ("EIO", "ENOSPC", "EDQUOT", "EINTR", "KILL"),
    "truncate": ("ENOSPC", "EFBIG", "EIO", "EINTR"),
    "allocate": ("ENOSPC", "EIO", "EINTR"),
    "rename": ("ENOSPC", "EIO"),
    "unlink": ("EIO", "EROFS"),
    "mkdir": ("ENOSPC", "EDQUOT", "EIO"),
}
"""What a call of each kind may fail with: close to what the manual pages say."""

PARTS = ("$lbfgsd.sqlite", "$-wal", "$-journal", "journal/", "$.seg", "$.vec", "$segments", "$.")
"""Kinds of files and directories, as the recorder knows them; the root is `.`."""
SHARED_MEMORY = "$-shm"
SHARED_MEMORY_CALLS = {"open": 2, "write": 4, "truncate": 4, "allocate": 4}
KINDS = {
    recording.OPEN: "open",
    recording.WRITE: "write",
    recording.SYNC_BEGIN: "sync",
    recording.TRUNCATE: "truncate",
    recording.ALLOCATE: "allocate",
    recording.RENAME: "rename",
    recording.UNLINK: "unlink",
    recording.MAKE_DIRECTORY: "mkdir",
}
TRIES, WAIT_SECONDS, RESTARTS = 60, 0.02, 5


@dataclass(frozen=True)
class Fault:
    kind: str
    call: int
    action: str
    part: str
    is_compaction: bool = False

    @property
    def text(self) -> str:
        """As the recorder takes it."""
        return f"{self.kind}:{self.call}:{self.action}:{self.part}"


def story(author: Author) -> None:
    for part in (small, middling, long):
        part(author)


def part_of(path: str) -> str | None:
    path = path or "."
    for part in PARTS:
        if path.endswith(part[1:]) if part[0] == "$" else part in path:
            return part
    return None


def count_calls(trace: Path) -> Counter[tuple[str, str]]:
    """How many calls of each kind there were on each kind of file."""
    paths: dict[int, str] = {}
    counts: Counter[tuple[str, str]] = Counter()
    for call in read_trace(trace):
        path = call.path
        if call.operation == recording.OPEN:
            paths[call.descriptor] = path
            if not call.offset & 0o103:  # O_WRONLY, O_RDWR, O_CREAT
                continue
        elif call.operation in KINDS and call.descriptor >= 0:
            path = paths[call.descriptor]
        if (kind := KINDS.get(call.operation)) and (part := part_of(path)):
            counts[kind, part] += 1
    return counts


def all_faults(calls: Counter[tuple[str, str]], is_compaction: bool) -> list[Fault]:
    faults = [
        Fault(kind, call, action, part, is_compaction)
        for (kind, part), count in sorted(calls.items())
        for call in range(1, count + 1)
        for action in ACTIONS[kind]
    ]
    if not is_compaction:
        for kind, count in SHARED_MEMORY_CALLS.items():
            for call in range(1, count + 1):
                faults += [
                    Fault(kind, call, action, SHARED_MEMORY)
                    for action in ACTIONS[kind]
                    if action in ERRORS
                ]
    return faults


def choose(faults: list[Fault], count: int, seed: int) -> list[Fault]:
    """All faults if `count` is 0, else some of each kind, file and action."""
    if not count or count >= len(faults):
        return faults
    chance = random.Random(seed)
    groups: dict[tuple[bool, str, str, str], list[Fault]] = {}
    for fault in faults:
        key = (fault.is_compaction, fault.kind, fault.part, fault.action)
        groups.setdefault(key, []).append(fault)
    order = sorted(groups, key=str)
    chance.shuffle(order)
    for group in groups.values():
        chance.shuffle(group)
    chosen: list[Fault] = []
    while len(chosen) < count:
        for key in order:
            if groups[key] and len(chosen) < count:
                chosen.append(groups[key].pop())
    return chosen


class Attack:
    """One fault in a run of the plan."""

    def __init__(self, fault: Fault, number: int, store: Store, home: Path, report: Report) -> None:
        self.fault, self.number, self.store, self.report = fault, number, store, report
        self.plan, self.home = store.plan, home / f"fault-{number}"
        self.home.mkdir()
        self.data, self.log = self.home / "data", self.home / "log"
        self.trace, self.control = self.home / "trace", Control(self.home / "control")
        self.row = f"{fault.action}, {fault.kind} of {fault.part.lstrip('$')}"
        if fault.is_compaction:
            self.row += " while compacting"
        self.statuses: set[int] = set()

    def fail(self, kind: str, text: str) -> None:
        said = f"fault {self.number} ({self.fault.text}"
        said += ", compaction)" if self.fault.is_compaction else ")"
        self.report.violation(f"{said}: {text}", self.row, {kind}, None)

    def run(self) -> None:
        try:
            if self.fault.is_compaction:
                self._compact()
            else:
                self._serve()
        finally:
            shutil.rmtree(self.home)

    def _compact(self) -> None:
        shutil.copytree(self.store.data, self.data)
        status = compact(self.data, self.log, None, self.control, self.fault.text)
        self.report.outcome("lbfgsd compact", f"exit status {status}")
        self._check(self.data, self.store.ledger, "after the compaction")

    def _serve(self) -> None:
        self.data.mkdir(mode=0o700)
        ledger = Ledger.begin(self.plan)
        fault: str | None = self.fault.text
        for life in range(RESTARTS):
            try:
                with Daemon(self.data, self.log, self.trace, self.control, fault) as daemon:
                    daemon.wait_ready()
                    self._play(daemon, ledger)
                    break
            except NotStarted as error:
                if life:
                    self.fail(REFUSED_STORE, str(error))
                    return
            except Unreachable:
                self.report.count("daemons that ended")
            except WrongAnswer as error:
                self.fail(REFUSED_SESSION, str(error))
                return
            fault = None
        else:
            self.fail("daemon ends again and again", self.log.read_text()[-500:])
            return
        if not self.control.fired:
            self.report.count("faults that met no call")
        self.report.outcome("errors that clients saw", ", ".join(map(str, sorted(self.statuses))))
        self._check(self.data, ledger, "after kill -9")
        if self.control.fired:
            self._lose_power(ledger)

    def _play(self, daemon: Daemon, ledger: Ledger) -> None:
        for client, steps in enumerate(self.plan.clients):
            tries = 0
            while (index := len(ledger.acknowledged[client])) < len(steps):
                answer = take(daemon, self.plan, ledger, client, lambda: self.control.sequence)
                if answer is None:
                    continue
                tries += 1
                self.statuses.add(answer.status)
                text = f"{steps[index]}: {answer.status} {answer.body[:300]!r}"
                if answer.status not in (500, 503, 507) or tries > TRIES:
                    raise WrongAnswer(text)
                if self.fault.action in NO_SPACE and answer.status == 500:
                    self.fail("500 where 507 belongs", text)
                time.sleep(WAIT_SECONDS)

    def _check(self, data: Path, ledger: Ledger, when: str) -> None:
        chance = random.Random(self.number)
        found = check(data, self.log, self.plan, ledger, chance, thorough=True)
        for kind, text in found.problems:
            self.fail(kind, f"{when}: {text}")

    def _lose_power(self, ledger: Ledger) -> None:
        """The power fails at some acknowledgement, and takes everything that isn't synced."""
        chance = random.Random(self.number)
        moment = chance.choice([at for moments in ledger.acknowledged for at in moments])
        disk, data = Disk(), self.home / "crashed"
        for call in read_trace(self.trace):
            if call.sequence > moment:
                break
            disk.apply(call)
        disk.crash(data, chance, "ordered", "none", "all")
        self._check(data, ledger.until(moment), f"after power loss at call {moment}")


def run(seed: int, count: int, home: Path, only: int | None = None) -> Report:
    """`count` faults, or every one there is if it is 0."""
    report = Report(f"faults --seed {seed} --count {count}", home)
    plan = make_plan(seed, home, [story])
    store = make_store(plan, home, is_killed=True)
    counting = Attack(Fault("mkdir", 10**9, "EIO", ""), -1, store, home, report)
    ledger = Ledger.begin(plan)
    counting.data.mkdir(mode=0o700)
    with Daemon(counting.data, counting.log, counting.trace, counting.control) as daemon:
        daemon.wait_ready()
        counting._play(daemon, ledger)
        daemon.stop()
    faults = all_faults(count_calls(counting.trace), is_compaction=False)
    counting.trace.unlink()
    shutil.copytree(store.data, counting.data, dirs_exist_ok=True)
    assert compact(counting.data, counting.log, counting.trace, counting.control) == 0
    faults += all_faults(count_calls(counting.trace), is_compaction=True)
    shutil.rmtree(counting.home)
    report.count("faults there are", len(faults))
    chosen = list(enumerate(choose(faults, count, seed)))
    report.count("faults", len(chosen))
    with ThreadPoolExecutor(WORKERS) as workers:
        list(
            workers.map(
                lambda item: Attack(item[1], item[0], store, home, report).run(),
                [item for item in chosen if only in (None, item[0])],
            )
        )
    return report
