"""Measures the time of `lbfgsd verify` a GB, beside reading the same files.

    python3 Benchmarks/service/verify.py [long] [small] [--runs 3]

`long`: sessions of a million numbers, so that nearly all bytes are vectors. `small`: sessions of a
hundred numbers that were told for some seconds, so that nearly all is rows. Each run starts with a
cold page cache. The data are in $LBFGSD_BENCH_DIR, or else in out/service. Prints Markdown.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import statistics
import subprocess
import tempfile
import time
from contextlib import closing
from pathlib import Path

from parts import OCTETS, Setting, random_octets, table  # isort: skip
from daemon import Daemon, binary
from large import forget
from throughput import Case

LONG, SESSIONS, TELLS = 1_000_000, 8, 12
SMALL, CONNECTIONS = 100, 64
READ_BYTES = 1 << 20


def fill_long(setting: Setting, daemon: Daemon) -> None:
    for _ in range(SESSIONS):
        case = Case(setting, daemon, LONG, OCTETS, 1)
        (session,) = case.sessions
        for seed in range(TELLS):
            number = case.client.get(session)["evaluation"]
            path = f"/v1/sessions/{session}/evaluations/{number}/result?loss={seed}"
            body = random_octets(LONG, "float64", seed)
            case.client.call("PUT", path, body, {"Content-Type": OCTETS, "Accept": OCTETS})


def fill_small(setting: Setting, daemon: Daemon) -> None:
    Case(setting, daemon, SMALL, OCTETS, CONNECTIONS).ours(10 * setting.seconds)


KINDS = {"long": fill_long, "small": fill_small}


def run_verify(data: Path) -> tuple[float, float, int]:
    """Seconds, processor seconds and peak bytes of memory."""
    began = time.monotonic()
    process = subprocess.Popen([binary(), "verify", data], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    assert status == 0, status
    return time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024


def read_all(files: list[Path]) -> float:
    began = time.monotonic()
    for path in files:
        with path.open("rb", buffering=0) as file:
            while file.read(READ_BYTES):
                pass
    return time.monotonic() - began


def results(data: Path) -> int:
    """The results that a stopped store has of all its sessions."""
    sql = "SELECT (SELECT count(k) FROM event) + (SELECT ifnull(sum(entries), 0) FROM chapter)"
    with closing(sqlite3.connect(data / "lbfgsd.sqlite")) as database:
        ((count,),) = database.execute(sql)
    return int(count)


def measure(setting: Setting, kind: str) -> list[str]:
    with setting.daemon(n=LONG) as daemon:
        KINDS[kind](setting, daemon)
        assert daemon.stop() == 0
        files = [
            path for path in daemon.data.rglob("*") if path.is_file() and path.name != "ballast"
        ]
        count = results(daemon.data)
        gigabytes = sum(path.stat().st_blocks * 512 for path in files) / 1e9
        runs, reads = [], []
        for _ in range(setting.runs):
            forget(files)
            runs.append(run_verify(daemon.data))
            forget(files)
            reads.append(read_all(files))
    seconds, cpu, peak = (statistics.median(column) for column in zip(*runs, strict=True))
    read = statistics.median(reads)
    return [
        kind,
        f"{count:,}",
        f"{gigabytes:.2f}",
        f"{seconds:.2f}",
        f"{seconds / gigabytes:.1f}",
        f"{cpu / gigabytes:.1f}",
        f"{read / gigabytes:.1f}",
        f"{peak / 1e6:.0f}",
    ]


HEADS = ["store", "stored results", "GB", "s", "s a GB", "CPU s a GB", "reading, s a GB", "peak MB"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kinds", nargs="*", metavar="kind", help=", ".join(KINDS))
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    place = Path(os.environ.get("LBFGSD_BENCH_DIR") or "out/service")
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place, prefix="run-") as directory:
        setting = Setting(Path(directory).resolve(), True, given.runs, 2, {})
        print(table(HEADS, [measure(setting, kind) for kind in given.kinds or KINDS]))


if __name__ == "__main__":
    main()
