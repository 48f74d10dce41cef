"""Runs large problems through the Python client to convergence, with kill -9 on the way.

The daemon is killed in the middle of an upload, and again between two tells with cold caches.

    python3 Benchmarks/service/large.py [--quick] [--case float64:10000000] [--case ...]

The problem is separable with a known minimum: half the sum of c (x - t)^2, c from 1 to 10. Fails
unless the run ends there, resumes with the same bits after each kill, and counts every evaluation
once. Prints Markdown. The data are in $LBFGSD_BENCH_DIR, or else in out/service.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parts import MIB, Daemon, Setting, status_bytes, table, written_bytes  # isort: skip
from lbfgsd import Client, Retry, Turn

HISTORY = 5
CASES = ("float64:10000000", "float32:100000000")
QUICK_CASES = ("float64:1000000", "float32:1000000")
TOLERANCES = {"float64": 1e-7, "float32": 1e-4}
"""The final gradient's norm, relative to the first."""
KILLED_IN, KILLED_AFTER = 6, 11
"""The tells whose upload is cut off, and after which the daemon is killed with cold caches."""
BLOCK = 1 << 20


class Problem:
    """Evaluates one block at a time, and so needs little memory."""

    def __init__(self, n: int, dtype: str) -> None:
        self.gradient = np.empty(n, dtype)
        at = np.arange(BLOCK)
        self.curvature = 1 + 9 * (at % 97) / 96
        self.target = np.sin(at % 1009)

    def blocks(self, x: NDArray[Any]) -> list[tuple[slice, int]]:
        return [
            (slice(start, min(start + BLOCK, x.size)), min(BLOCK, x.size - start))
            for start in range(0, x.size, BLOCK)
        ]

    def evaluate(self, x: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        loss = 0.0
        for part, count in self.blocks(x):
            away = x[part] - self.target[:count]
            slope = self.curvature[:count] * away
            loss += 0.5 * float(away @ slope)
            self.gradient[part] = slope
        return loss, self.gradient

    def error(self, x: NDArray[Any]) -> float:
        return max(
            float(np.abs(x[part] - self.target[:count]).max()) for part, count in self.blocks(x)
        )


@dataclass
class Run:
    tell_seconds: list[float] = field(default_factory=list)
    written: int = 0
    peak: int = 0
    mark: int = 0
    recovery_seconds: float = 0
    recovery_bytes: int = 0
    read_rate: float = 0


def data_files(daemon: Daemon) -> list[Path]:
    return sorted(path for path in daemon.data.rglob("*") if path.is_file())


def forget(files: list[Path]) -> None:
    """Drops these files from the page cache."""
    for path in files:
        descriptor = os.open(path, os.O_RDONLY)
        os.fdatasync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def sequential_rate(files: list[Path], most: int) -> float:
    """The rate, in bytes per second, of reading as much as recovery does, file by file."""
    forget(files)
    left, buffer = most, bytearray(MIB)
    began = time.perf_counter()
    for path in sorted(files, key=lambda file: -file.stat().st_size):
        with path.open("rb", buffering=0) as file:
            while left > 0 and (count := file.readinto(buffer)):
                left -= count
    return (most - max(left, 0)) / (time.perf_counter() - began)


def read_chars(pid: int) -> int:
    return int(Path(f"/proc/{pid}/io").read_text().split()[1])


class Check:
    def __init__(self, daemon: Daemon, client: Client, n: int, dtype: str) -> None:
        self.daemon, self.client, self.dtype, self.n = daemon, client, dtype, n
        self.problem, self.run = Problem(n, dtype), Run()
        options = {
            "mode": "robust",
            "history_size": HISTORY,
            "max_iter": 200,
            "tolerance_grad": 0,
            "tolerance_grad_relative": TOLERANCES[dtype],
            "tolerance_loss_relative": 0,
            **({"noise": "float32"} if dtype == "float32" else {}),
        }
        began = time.perf_counter()
        session = client.create_session(np.full(n, -1, dtype), dtype=dtype, options=options)
        self.session, self.estimate = session.id, session.memory_bytes_estimate
        self.create_seconds = time.perf_counter() - began

    def note(self) -> None:
        """Records what this process of the daemon has written since the mark, and its peak
        memory."""
        self.run.written += written_bytes(self.daemon.pid) - self.run.mark
        self.run.mark = written_bytes(self.daemon.pid)
        self.run.peak = max(self.run.peak, status_bytes(self.daemon.pid, "VmHWM"))

    def whole(self) -> Turn:
        """Runs from the first step to the end. Returns the idle turn."""
        turn = self.client.begin_step(self.session)
        self.run.mark = written_bytes(self.daemon.pid)
        while turn.evaluation is not None:
            number = turn.evaluation.number
            loss, gradient = self.problem.evaluate(turn.evaluation.x)
            if number == KILLED_IN:
                turn = self.tell_through_a_kill(number, loss, gradient)
            else:
                began = time.perf_counter()
                turn = self.client.tell(self.session, number, loss, gradient)
                self.run.tell_seconds.append(time.perf_counter() - began)
            if number == KILLED_AFTER and turn.evaluation is not None:
                turn = self.recover(turn)
        self.note()
        return turn

    def tell_through_a_kill(self, number: int, loss: float, gradient: NDArray[Any]) -> Turn:
        """Kills the daemon during the upload of a gradient; the client repeats it by itself."""
        self.note()

        def kill_soon() -> None:
            time.sleep(statistics.median(self.run.tell_seconds) / 3)
            self.daemon.restart()
            self.run.mark = 0

        killer = threading.Thread(target=kill_soon)
        killer.start()
        turn = self.client.tell(self.session, number, loss, gradient)
        killer.join()
        return turn

    def recover(self, turn: Turn) -> Turn:
        """Kills the daemon, and measures the time from its start to the same trial point."""
        self.note()
        self.daemon.kill()
        forget(data_files(self.daemon))
        began = time.perf_counter()
        self.daemon.start()
        again = self.client.ask(self.session)
        self.run.recovery_seconds = time.perf_counter() - began
        assert turn.evaluation is not None and again.evaluation is not None
        assert again.evaluation.number == turn.evaluation.number
        same = again.evaluation.x.view(np.uint8) == turn.evaluation.x.view(np.uint8)
        assert same.all(), "the trial point differs after the kill"
        self.run.recovery_bytes = read_chars(self.daemon.pid)
        self.run.read_rate = sequential_rate(data_files(self.daemon), self.run.recovery_bytes)
        self.run.mark = 0
        return again

    def verify(self, turn: Turn) -> float:
        assert turn.result is not None and turn.x is not None
        assert turn.result.converged, turn.result
        error = self.problem.error(turn.x)
        assert error < 100 * TOLERANCES[self.dtype], f"x is {error} away from the minimum"
        trace = self.client.trace(self.session)
        assert list(trace.evaluation) == list(range(1, len(trace) + 1))
        assert len(trace) > KILLED_AFTER, "it converged before the daemon was killed"
        return error


def check(setting: Setting, n: int, dtype: str) -> list[tuple[str, str]]:
    retry = Retry(deadline=600, first_deadline=60, initial=0.05, maximum=1)
    with (
        setting.daemon(n=n) as daemon,
        Client(daemon.url, timeout=600, retry=retry) as client,
    ):
        one = Check(daemon, client, n, dtype)
        began = time.perf_counter()
        turn = one.whole()
        seconds = time.perf_counter() - began
        assert turn.result is not None
        error, run = one.verify(turn), one.run
        payload = n * np.dtype(dtype).itemsize
        tells = len(run.tell_seconds)
        rate = run.recovery_bytes / run.recovery_seconds
        bound = one.estimate + payload + 64 * MIB
        return [
            ("payload of a tell", f"{payload / 1e6:,.0f} MB"),
            ("create", f"{one.create_seconds:.1f} s"),
            ("ended with", turn.result.reason),
            ("evaluations", str(turn.result.evaluations)),
            ("largest error of x", f"{error:.1e}"),
            ("whole run, kills and evaluations included", f"{seconds:.1f} s"),
            ("a tell, next point received, median", f"{statistics.median(run.tell_seconds):.2f} s"),
            ("slowest", f"{max(run.tell_seconds):.2f} s"),
            ("written to disk a byte of payload", f"{run.written / (tells * payload):.2f}"),
            ("killed and back at the trial point", f"{run.recovery_seconds:.2f} s"),
            ("read for it", f"{run.recovery_bytes / 1e6:,.0f} MB, {rate / 1e6:,.0f} MB/s"),
            ("sequential read of as much", f"{run.read_rate / 1e6:,.0f} MB/s"),
            ("the daemon's most memory", f"{run.peak / 1e6:,.0f} MB"),
            ("estimate + vector + 64 MiB", f"{bound / 1e6:,.0f} MB"),
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help=f"only {', '.join(QUICK_CASES)}")
    parser.add_argument("--case", action="append", help="dtype:n")
    given = parser.parse_args()
    cases = given.case or (QUICK_CASES if given.quick else CASES)
    place = Path(os.environ.get("LBFGSD_BENCH_DIR") or "out/service")
    place.mkdir(parents=True, exist_ok=True)
    columns = []
    with tempfile.TemporaryDirectory(dir=place, prefix="large-") as directory:
        setting = Setting(Path(directory).resolve(), quick=given.quick, runs=1, seconds=1, peers={})
        for case in cases:
            dtype, _, n = case.partition(":")
            print(f"large {case}", file=sys.stderr, flush=True)
            columns.append((case, check(setting, int(n), dtype)))
    names = [name for name, _ in columns[0][1]]
    rows = [[name, *(column[i][1] for _, column in columns)] for i, name in enumerate(names)]
    heads = [f"m = {HISTORY}", *(case.replace(":", ", n = ") for case, _ in columns)]
    print(table(heads, rows))


if __name__ == "__main__":
    main()
