"""Kills the daemon with SIGKILL again and again while clients work, and checks its promise:

    A result that got a 2xx is on disk. After kill -9 or power loss the session resumes at the same
    trial point, bit for bit. Each result is applied exactly once; an evaluation may be computed
    more than once.

    python Tests/integration/crash.py --kills 2000 --seed 7

Each worker runs one script after the other (scripts.py): first in a daemon that is not killed, then
in the one that is, with a client that repeats every request without an answer. The second must show
exactly the numbers that the first showed. The seed determines the scripts and the times of the
kills, but not which instruction a kill hits.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# One thread: closures then give the same bits each time, and leave a processor for the daemon.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import requests

from daemon import Daemon, trace_points
from expectations import replayed
from patient import GIVE_UP_SECONDS, REQUEST_SECONDS, Broken, PatientApi
from scripts import Life, Script, normal_trace

WORKERS = 6
BUSY_SECONDS = (0.0, 0.7)
EARLY_SECONDS = (0.0, 0.15)
EARLY_SHARE, IDLE_SHARE = 0.15, 0.07
CHECKED = 24  # sessions that are checked after a kill, the newest


@dataclass
class Ledger:
    """What a client knows of its session in the daemon that is killed."""

    role: str
    expected_trace: list[tuple[Any, ...]]
    acknowledged: list[tuple[int, str, bytes]] = field(default_factory=list)


class VictimApi(PatientApi):
    """The client of one script in the daemon that is killed."""

    def __init__(self, chaos: Chaos, traces: dict[str, list[tuple[Any, ...]]]) -> None:
        super().__init__(chaos.victim.url)
        self.chaos, self.traces = chaos, traces

    def before_try(self) -> None:
        self.chaos.gate.wait()
        if self.chaos.failures:
            raise Broken("given up, as something else failed")

    def answered(self, response: requests.Response, method: str, tries: int) -> None:
        self.chaos.count(response, method, tries)

    def told(self, session: str, number: int, path: str, body: bytes) -> None:
        with self.chaos.lock:
            self.chaos.ledgers[session].acknowledged.append((number, path, body))

    def begun(self, session: str, role: str) -> None:
        with self.chaos.lock:
            self.chaos.ledgers[session] = Ledger(role, self.traces[role])

    def ending(self, session: str) -> None:
        with self.chaos.lock:
            del self.chaos.ledgers[session]


class Chaos:
    """The daemon that is killed, the one that is not, and the clients of both."""

    def __init__(self, home: Path, seed: int, kills: int) -> None:
        self.seed, self.kills_wanted = seed, kills
        self.victim = Daemon(home / "victim", home / "victim.log")
        self.calm = Daemon(home / "calm", home / "calm.log")
        self.lock = threading.Lock()
        self.gate = threading.Event()
        self.gate.set()
        self.over = threading.Event()
        self.ledgers: dict[str, Ledger] = {}
        self.sessions_expected: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.slowest_start = 0.0
        self.failures: list[str] = []

    def run(self) -> None:
        self.calm.start()
        self.victim.start()
        workers = [
            threading.Thread(target=self._work, args=(w,), daemon=True) for w in range(WORKERS)
        ]
        try:
            for worker in workers:
                worker.start()
            self._kill_again_and_again()
            self.over.set()
            for worker in workers:
                worker.join(10 * GIVE_UP_SECONDS)
                if worker.is_alive():
                    self.failures.append("a client came to no end")
            if not self.failures:
                self._check_that_every_post_counted_once()
        except Exception:
            status = "runs" if self.victim.alive else f"ended: {self.victim.process.returncode}"
            self.failures.append(f"the daemon {status}\n{traceback.format_exc(chain=False)}")
        finally:
            self.over.set()
            self.gate.set()
            self.calm.close()
            self.victim.close()

    # Clients

    def _work(self, worker: int) -> None:
        index = worker
        while not self.over.is_set() and not self.failures:
            script = Script(self.seed, index)
            try:
                self._run_script(index)
            except Exception:
                self.failures.append(f"{script}\n{traceback.format_exc()}")
            index += WORKERS

    def _run_script(self, index: int) -> None:
        expected: list[tuple[Any, ...]] = []
        Life(
            Script(self.seed, index),
            PatientApi(self.calm.url),
            lambda *observation: expected.append(observation),
        ).run()
        traces = {role: value for role, what, value in expected if what == "trace"}
        position = 0

        def compare(*observation: Any) -> None:
            nonlocal position
            if observation != expected[position]:
                raise Broken(
                    f"observation {position} is\n{observation}\ninstead of\n{expected[position]}"
                )
            position += 1

        life = Life(Script(self.seed, index), VictimApi(self, traces), compare)
        life.run()
        if position != len(expected):
            raise Broken(f"{position} observations instead of {len(expected)}")
        with self.lock:
            self.sessions_expected[f"{self.seed}/{index}"] += 1 + life.forks - life.forks_deleted
            self.counts["scripts"] += 1
            self.counts["observations"] += position

    def count(self, response: requests.Response, method: str, tries: int) -> None:
        with self.lock:
            self.counts["answers"] += 1
            self.counts["requests without an answer"] += tries
            if replayed(response):
                self.counts["answered, though the answer was lost (replayed)"] += 1
                if not tries:
                    self.failures.append(
                        f"a {method} that was sent once was taken for a repetition"
                    )

    # Kills

    def _kill_again_and_again(self) -> None:
        chance = random.Random(f"{self.seed}/kills")
        while self.counts["kills"] < self.kills_wanted and not self.failures:
            if chance.random() < IDLE_SHARE:
                self.gate.clear()
                self._kill("while idle", chance.uniform(*BUSY_SECONDS))
            else:
                self._kill("at work", chance.uniform(*BUSY_SECONDS))
            with self.lock:
                known = {
                    session: list(ledger.acknowledged) for session, ledger in self.ledgers.items()
                }
            self.victim.spawn()
            while chance.random() < EARLY_SHARE:
                self._kill("during start-up", chance.uniform(*EARLY_SECONDS))
                self.victim.spawn()
            began = time.monotonic()
            self.victim.wait_ready()
            self.slowest_start = max(self.slowest_start, time.monotonic() - began)
            self.gate.set()
            self._check(known)

    def _kill(self, when: str, after_seconds: float) -> None:
        time.sleep(after_seconds)
        if not self.victim.alive:
            raise Broken(f"the daemon ended by itself: {self.victim.process.returncode}")
        self.victim.kill()
        self.counts["kills"] += 1
        self.counts[f"kills {when}"] += 1

    def _check(self, known: dict[str, list[tuple[int, str, bytes]]]) -> None:
        """Checks that every result acknowledged before the kill is stored once, in order, as
        told."""
        client = requests.Session()
        newest = list(known)[-CHECKED:]
        for session in newest:
            acknowledged, ledger = known[session], self.ledgers.get(session)
            url = f"{self.victim.url}/v1/sessions/{session}"
            response = client.get(f"{url}/trace", timeout=REQUEST_SECONDS)
            if ledger is None or session not in self.ledgers:
                continue  # Its client is deleting it.
            if response.status_code != 200:
                raise Broken(
                    f"the trace of {session}: {response.status_code} {response.text[:300]}"
                )
            trace = normal_trace(response.json())
            if trace != ledger.expected_trace[: len(trace)]:
                raise Broken(
                    f"the trace of {session} ({ledger.role}) is {trace}\n"
                    f"instead of the beginning of {ledger.expected_trace}"
                )
            there = Counter(point["evaluation"] for point in trace_points(response.json()))
            if lost := [number for number, *_ in acknowledged if there[number] != 1]:
                raise Broken(f"results of {session} that got a 2xx are lost: {lost}")
            if acknowledged:
                number, path, body = acknowledged[-1]
                again = client.put(
                    self.victim.url + path,
                    data=body,
                    headers={"Content-Type": "application/json"},
                    timeout=REQUEST_SECONDS,
                )
                kept = again.status_code == 200 and replayed(again)
                if not kept and session in self.ledgers:
                    raise Broken(
                        f"evaluation {number} of {session}, told again: {again.status_code} "
                        f"{dict(again.headers)} {again.text[:300]}"
                    )
            self.counts["traces checked"] += 1

    def _check_that_every_post_counted_once(self) -> None:
        listed: Counter[str] = Counter()
        path: str | None = "/v1/sessions?page_size=100"
        while path:
            page = requests.get(self.victim.url + path, timeout=REQUEST_SECONDS).json()
            listed.update(item["labels"]["script"] for item in page["sessions"])
            token = page.get("next_page_token")
            path = f"/v1/sessions?page_size=100&page_token={token}" if token else None
        if listed != self.sessions_expected:
            raise Broken(f"sessions a script: {listed}\ninstead of {self.sessions_expected}")


@dataclass
class Report:
    seed: int
    seconds: float
    counts: Counter[str]
    slowest_start: float
    failures: list[str]

    def __str__(self) -> str:
        lines = [
            f"seed {self.seed}, {self.seconds:.0f} s, slowest start {self.slowest_start:.2f} s"
        ]
        lines += [f"  {name}: {count}" for name, count in sorted(self.counts.items())]
        lines += [f"FAILED: {failure}" for failure in self.failures]
        return "\n".join(lines)


def run(kills: int, seed: int, home: Path) -> Report:
    began = time.monotonic()
    chaos = Chaos(home, seed, kills)
    chaos.run()
    if chaos.failures:
        chaos.failures.append(f"the end of the daemon's log:\n{chaos.victim.tail(30)}")
    seconds = time.monotonic() - began
    return Report(seed, seconds, chaos.counts, chaos.slowest_start, chaos.failures)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    arguments = parser.parse_args()
    # An interrupt of this program ends the daemons too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print(f"seed {arguments.seed}", flush=True)
    home = Path(tempfile.mkdtemp(prefix="lbfgsd-crash-"))
    report = run(arguments.kills, arguments.seed, home)
    print(report)
    if report.failures:
        print(f"the data directories are kept in {home}")
        return 1
    shutil.rmtree(home)
    return 0


if __name__ == "__main__":
    sys.exit(main())
