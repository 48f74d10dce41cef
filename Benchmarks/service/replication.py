"""Measures what replication costs tells, and how far the standby is behind.

    python3 Benchmarks/service/replication.py [--runs 5] [--seconds 2]

Three daemons tell by turns: one without replication, one with an asynchronous standby and one with
a synchronous one. The standby is on the same machine, over loopback: it shares the disk and the
processors with its primary, which two machines would not. The data are in $LBFGSD_BENCH_DIR, or
else in out/service. Prints Markdown.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from parts import OCTETS, Daemon, Setting, cpu_seconds, median, median_rate, table  # isort: skip
from daemon import binary, wait_until
from throughput import Case

MODES = ("off", "asynchronous", "synchronous")
# n and connections.
CASES = ((100, 1), (100, 16), (100, 64), (100_000, 1), (1_000_000, 1))
LAG_SAMPLE_SECONDS = 0.05


@dataclass
class Follower:
    """The standby's process, and what its primary says of it."""

    url: str
    pid: int
    lags: list[float] = field(default_factory=list)

    @property
    def follows(self) -> bool:
        standby = requests.get(f"{self.url}/v1/replication", timeout=10).json().get("standby")
        return bool(standby and standby["in_sync"])

    def lag(self) -> float | None:
        text = requests.get(f"{self.url}/metrics", timeout=10).text
        found = re.search(r"^lbfgsd_replication_lag_seconds (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else None

    @contextmanager
    def sampled(self) -> Iterator[None]:
        ended = threading.Event()

        def sample() -> None:
            while not ended.wait(LAG_SAMPLE_SECONDS):
                lag = self.lag()
                if lag is not None:
                    self.lags.append(lag)

        thread = threading.Thread(target=sample)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/livez", timeout=5).ok
    except requests.RequestException:
        return False


@contextmanager
def following(setting: Setting, daemon: Daemon) -> Iterator[Follower]:
    data = setting.file("standby")
    line = [binary(), "standby", "--from", daemon.url, "--data", data]
    with setting.file("standby-log").open("wb") as log:
        process = subprocess.Popen([str(word) for word in line], stdout=log, stderr=log)
    follower = Follower(daemon.url, process.pid)
    try:
        wait_until(lambda: follower.follows, 60)
        yield follower
    finally:
        process.kill()
        process.wait()
        subprocess.run(["rm", "-rf", str(data)], check=True)


@contextmanager
def serving(setting: Setting, mode: str) -> Iterator[tuple[Daemon, Follower | None]]:
    """A daemon, which a standby follows unless the mode is off."""
    data = setting.file("data")
    library = {"LD_PRELOAD": str(setting.program("syncs"))}
    counted = {"SYNC_COUNT_FILE": str(setting.file("syncs"))}
    arguments = () if mode == "off" else ("--replication", mode)
    daemon = Daemon(data, setting.file("log"), arguments, library | counted)
    try:
        daemon.spawn()
        wait_until(lambda: answers(daemon.url), 60)
        if mode == "off":
            yield daemon, None
        else:
            with following(setting, daemon) as follower:
                daemon.wait_ready()
                yield daemon, follower
    finally:
        daemon.close()
        subprocess.run(["rm", "-rf", str(data)], check=True)


def measure(setting: Setting, n: int, connections: int) -> list[list[str]]:
    runs: dict[str, list[dict[str, Any]]] = {mode: [] for mode in MODES}
    with ExitStack() as stack:
        served = {mode: stack.enter_context(serving(setting, mode)) for mode in MODES}
        cases = {
            mode: Case(setting, daemon, n, OCTETS, connections)
            for mode, (daemon, _) in served.items()
        }
        for _ in range(setting.runs):
            for mode, (_, follower) in served.items():
                time.sleep(0.2)
                if follower is None:
                    runs[mode].append(cases[mode].ours(setting.seconds))
                    continue
                before = cpu_seconds(follower.pid)
                with follower.sampled():
                    run = cases[mode].ours(setting.seconds)
                used = cpu_seconds(follower.pid) - before
                runs[mode].append({**run, "standby_cpu": used / run["tells"] * 1e6})
        lags = {mode: follower.lags for mode, (_, follower) in served.items() if follower}
    rows = []
    base = runs["off"]
    for mode, own in runs.items():
        lag = lags.get(mode, [])
        rows.append(
            [
                f"{n:,}",
                str(connections),
                mode,
                f"{median_rate(own):,.0f}",
                f"{median_rate(own) / median_rate(base):.2f}",
                f"{median(own, 'p50_us') / 1000:.2f}",
                f"{median(own, 'p99_us') / 1000:.1f}",
                f"{median(own, 'cpu_us_per_tell'):.0f}",
                f"{median(own, 'standby_cpu'):.0f}" if lag else "",
                f"{1000 * statistics.median(lag):.1f}" if lag else "",
                f"{1000 * max(lag):.0f}" if lag else "",
            ]
        )
    return rows


HEADS = [
    "n",
    "connections",
    "replication",
    "tells/s",
    "of off",
    "p50 ms",
    "p99 ms",
    "CPU us a tell",
    "standby's CPU us a tell",
    "lag, median ms",
    "lag, largest ms",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    given = parser.parse_args()
    place = Path(os.environ.get("LBFGSD_BENCH_DIR") or "out/service")
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place, prefix="run-") as directory:
        setting = Setting(Path(directory).resolve(), True, given.runs, given.seconds, {})
        print(table(HEADS, [row for case in CASES for row in measure(setting, *case)]))


if __name__ == "__main__":
    main()
