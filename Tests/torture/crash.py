"""Crash states: what a power loss may leave at any moment of a recorded run.

A run is recorded with its restarts, then the directory is built as it may be after the power
failed at a chosen call, and a daemon is started on it. In a part of the states the process was
killed first, restarted on the page cache, and had acknowledged results again before the power
failed.
"""

from __future__ import annotations

import random
import shutil
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from torture.check import REFUSED_SESSION, REFUSED_STORE, check
from torture.disk import POLICIES, Disk
from torture.process import Daemon, NotStarted, Unreachable, compact
from torture.recording import OPEN, SYNC_BEGIN, Control, read_trace
from torture.report import Report
from torture.workload import Ledger, Plan, WrongAnswer, make_plan, take

WORKERS = 2
STATES_A_RECORDING = 500
AGAIN_SHARE, STATES_AGAIN = 0.3, 6


@dataclass
class Recording:
    """A run of a plan: its trace, and when its clients sent and got what."""

    plan: Plan
    trace: Path
    ledger: Ledger
    calls: int


def record(seed: int, home: Path) -> Recording:
    """Plays a plan with all clients at once; at a third of it the process is killed, at two
    thirds it is stopped and the store compacted, and at the end it is stopped."""
    plan = make_plan(seed, home)
    data, trace = home / f"recorded-{seed}", home / f"trace-{seed}"
    control = Control(home / f"control-{seed}")
    ledger = Ledger.begin(plan)
    data.mkdir(mode=0o700)
    for third in (1, 2, 3):
        with Daemon(data, home / "recorded.log", trace, control) as daemon:
            daemon.wait_ready()
            goals = [len(steps) * third // 3 for steps in plan.clients]
            _play_at_once(daemon, plan, ledger, goals, control)
            if third == 1:
                daemon.kill()
            else:
                daemon.stop()
        if third == 2:
            compact(data, home / "compact.log", trace, control)
    shutil.rmtree(data)
    return Recording(plan, trace, ledger, control.sequence)


def _play_at_once(
    daemon: Daemon, plan: Plan, ledger: Ledger, goals: list[int], control: Control
) -> None:
    failures: list[BaseException] = []

    def play(client: int) -> None:
        own = daemon.another()
        try:
            while len(ledger.acknowledged[client]) < goals[client]:
                if answer := take(own, plan, ledger, client, lambda: control.sequence):
                    raise WrongAnswer(f"{answer.status} {answer.body[:500]!r}")
        except BaseException as error:
            failures.append(error)
        finally:
            own.disconnect()

    threads = [threading.Thread(target=play, args=(c,)) for c in range(len(goals))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def _choose_cuts(recording: Recording, first: int, count: int) -> dict[int, list[tuple[int, int]]]:
    """At which calls states are made: the number of each, and how many share a restart. Half of
    the power losses come right after an acknowledgement, half of the kills before a sync of the
    write-ahead log ends: there something can be lost."""
    chance = random.Random(f"{recording.plan.seed}/cuts")
    moments = sorted({at for client in recording.ledger.acknowledged for at in client})
    syncs = _log_syncs(recording.trace)
    cuts: dict[int, list[tuple[int, int]]] = {}
    number = first
    while number < first + count:
        size, special = 1, moments
        if chance.random() < AGAIN_SHARE / STATES_AGAIN / (1 - AGAIN_SHARE):
            size, special = min(STATES_AGAIN, first + count - number), syncs
        is_special = chance.random() < 0.5
        cut = chance.choice(special) if is_special else chance.randint(1, recording.calls)
        cuts.setdefault(cut, []).append((number, size))
        number += size
    return cuts


def _log_syncs(trace: Path) -> list[int]:
    paths: dict[int, str] = {}
    found: list[int] = []
    for call in read_trace(trace):
        if call.operation == OPEN:
            paths[call.descriptor] = call.path
        elif call.operation == SYNC_BEGIN and paths[call.descriptor].startswith("journal/"):
            found.append(call.sequence)
    return found


@dataclass
class State:
    """How one state is made: enough to make it again."""

    number: int
    seed: str
    names: str
    policy: str
    lost_names: str

    @staticmethod
    def choose(number: int, seed: str) -> State:
        chance = random.Random(seed)
        return State(
            number,
            seed,
            chance.choice(("strict", "ordered")),
            chance.choice(POLICIES),
            chance.choice(("none", "some", "all")),
        )

    def __str__(self) -> str:
        return f"{self.names} names ({self.lost_names} lost), unsynced data: {self.policy}"


@dataclass
class Campaign:
    """Builds and checks states until there are enough."""

    seed: int
    states: int
    home: Path
    report: Report
    only: int | None = None
    counts: Counter[str] = field(default_factory=Counter)

    def run(self) -> None:
        number = index = 0
        while number < self.states:
            recording = record(self.seed * 1000 + index, self.home)
            self.report.count("calls recorded", recording.calls)
            count = min(STATES_A_RECORDING, self.states - number)
            self._crash(recording, number, count)
            recording.trace.unlink()
            number += count
            index += 1

    def _crash(self, recording: Recording, first: int, count: int) -> None:
        cuts = _choose_cuts(recording, first, count)
        disk = Disk()
        slots = threading.Semaphore(2 * WORKERS)
        waiting: list[Future[None]] = []
        with ThreadPoolExecutor(WORKERS) as workers:

            def submit(work: Callable[[], None]) -> None:
                slots.acquire()

                def run() -> None:
                    try:
                        work()
                    finally:
                        slots.release()

                waiting.append(workers.submit(run))

            for call in read_trace(recording.trace):
                disk.apply(call)
                for state_number, size in cuts.get(call.sequence, []):
                    wanted = self.only is None or state_number <= self.only < state_number + size
                    if not wanted:
                        continue
                    ledger = recording.ledger.until(call.sequence)
                    if size == 1:
                        submit(self._power_loss(disk, recording.plan, ledger, state_number))
                    else:
                        submit(self._again(disk, recording.plan, ledger, state_number, size))
            for future in waiting:
                future.result()

    def _power_loss(
        self, disk: Disk, plan: Plan, ledger: Ledger, number: int, again: str = ""
    ) -> Callable[[], None]:
        """Builds a state at once, and returns what checks it."""
        state = State.choose(number, f"{plan.seed}/{number}")
        chance = random.Random(state.seed)
        data = self.home / f"state-{number}"
        disk.crash(data, chance, state.names, state.policy, state.lost_names)
        at = disk.sequence

        def work() -> None:
            log = self.home / f"state-{number}.log"
            copy = self.report.keep(data)
            findings = check(data, log, plan, ledger, chance)
            kind = f"{state.names} names{again}"
            self.report.count(f"states, {kind}")
            if findings.problems:
                where = f"state {number} at call {at}: {state}{again}: {findings}"
                self.report.violation(where, kind, findings.kinds, copy)
            self.report.drop(copy)
            shutil.rmtree(data)
            log.unlink(missing_ok=True)

        return work

    def _again(
        self, disk: Disk, plan: Plan, ledger: Ledger, first: int, count: int
    ) -> Callable[[], None]:
        """A process killed here is started again under the recorder; then the power fails."""
        disk = disk.copy()
        data = self.home / f"again-{first}"
        disk.page_cache(data)

        def work() -> None:
            chance = random.Random(f"{plan.seed}/{first}/again")
            trace, control = self.home / f"trace-{data.name}", Control(self.home / f"c-{data.name}")
            start = control.sequence = disk.sequence
            log = self.home / f"{data.name}.log"
            try:
                with Daemon(data, log, trace, control) as daemon:
                    daemon.wait_ready()
                    _repeat(daemon, plan, ledger, control, chance)
            except NotStarted as error:
                self.report.violation(
                    f"states {first} to {first + count - 1}, killed at call {start}: {error}",
                    "kill -9",
                    {REFUSED_STORE},
                    None,
                )
            except (WrongAnswer, Unreachable) as error:
                self.report.violation(
                    f"states {first} to {first + count - 1}, killed at call {start}: {error}",
                    "kill -9",
                    {REFUSED_SESSION},
                    None,
                )
            calls = list(read_trace(trace))
            answers = [at for client in ledger.acknowledged for at in client if at > start]
            ends = sorted(
                chance.choice(answers)
                if answers and chance.random() < 0.5
                else chance.choice(calls).sequence
                for _ in range(count)
            )
            at = 0
            for call in calls:
                disk.apply(call)
                while at < count and ends[at] <= call.sequence:
                    known = ledger.until(call.sequence)
                    self._power_loss(disk, plan, known, first + at, ", after kill -9 and restart")()
                    at += 1
            for path in (trace, control.path, log):
                path.unlink(missing_ok=True)
            shutil.rmtree(data)

        return work


def _repeat(
    daemon: Daemon, plan: Plan, ledger: Ledger, control: Control, chance: random.Random
) -> None:
    """What patient clients do after a restart: each repeats the request that was not answered,
    and some go on."""
    for client, steps in enumerate(plan.clients):
        _, sent = ledger.position(client)
        goal = sent if chance.random() < 0.5 else min(sent + 2, len(steps))
        while len(ledger.acknowledged[client]) < goal:
            if answer := take(daemon, plan, ledger, client, lambda: control.sequence):
                index = len(ledger.acknowledged[client])
                raise WrongAnswer(f"{steps[index]}: {answer.status} {answer.body[:300]!r}")


def run(seed: int, states: int, home: Path, only: int | None = None) -> Report:
    report = Report(f"crash --seed {seed} --states {states}", home)
    Campaign(seed, states, home, report, only).run()
    return report
