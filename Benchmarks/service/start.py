"""Measures a start after kill -9 with a full write-ahead log, and what checking a token costs.

    python3 Benchmarks/service/start.py [start] [tokens] [--runs 5]

`start`: 64 sessions of n = 100 tell until both of the log's files are full; then the daemon is
killed. Each run starts from a copy of that data, with a warm and with a cold page cache, until
`/readyz` is 200. `tokens`: the daemon's processor time for a small GET with files of many tokens,
by turns. The data are in $LBFGSD_BENCH_DIR, or else in out/service. Prints Markdown.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import socket
import statistics
import tempfile
import time
from pathlib import Path

from parts import MIB, OCTETS, Daemon, Setting, cpu_seconds, table  # isort: skip
from large import forget
from throughput import Case

CONNECTIONS = 64
SIZE = 100
REQUESTS = 10_000
TOKENS = (0, 1, 100, 10_000)


def log_bytes(data: Path) -> int:
    """The sum of the log's files, as far as they hold something."""
    return sum(path.stat().st_blocks * 512 for path in (data / "journal").iterdir())


def fill(setting: Setting, daemon: Daemon) -> int:
    """Tells until the log's first file has been filled twice. Returns the number of tells."""
    case = Case(setting, daemon, SIZE, OCTETS, CONNECTIONS)
    told, most = 0, 2 * 32 * MIB // (8 * SIZE)
    while told < most:
        run = case.ours(2)
        told += run["tells"]
    return told


def data_files(data: Path) -> list[Path]:
    return [path for path in data.rglob("*") if path.is_file()]


def measure_start(setting: Setting) -> str:
    with setting.daemon() as daemon:
        fill(setting, daemon)
        daemon.kill()
        size = log_bytes(daemon.data)
        kept = setting.file("kept")
        shutil.copytree(daemon.data, kept)
        times: dict[str, list[tuple[float, float]]] = {"warm": [], "cold": []}
        for _ in range(setting.runs):
            for cache, seconds in times.items():
                shutil.rmtree(daemon.data)
                shutil.copytree(kept, daemon.data)
                if cache == "cold":
                    forget(data_files(daemon.data))
                began = time.monotonic()
                daemon.start()
                seconds.append((time.monotonic() - began, cpu_seconds(daemon.pid)))
                daemon.kill()
    rows = [
        [
            cache,
            f"{size / MIB:.0f}",
            *(f"{1000 * statistics.median(kind):.0f}" for kind in zip(*seconds, strict=True)),
        ]
        for cache, seconds in times.items()
    ]
    return table(["page cache", "log MiB", "start ms", "CPU ms"], rows)


def cpu_of_get(daemon: Daemon, token: str) -> float:
    """Microseconds of the daemon's processor time for one GET."""
    request = (
        f"GET /v1/sessions/s00000000000000000000 HTTP/1.1\r\nHost: 127.0.0.1:{daemon.port}\r\n"
        f"Authorization: Bearer {token}\r\n\r\n"
    ).encode()
    before = cpu_seconds(daemon.pid)
    with socket.create_connection(("127.0.0.1", daemon.port)) as connection:
        for _ in range(REQUESTS):
            connection.sendall(request)
            answer = b""
            # The problem document ends the answer.
            while not answer.endswith(b"}"):
                answer += connection.recv(1 << 16)
    return 1e6 * (cpu_seconds(daemon.pid) - before) / REQUESTS


def measure_tokens(setting: Setting) -> str:
    costs: dict[int, list[float]] = {count: [] for count in TOKENS}
    for _ in range(setting.runs):
        for count, cost in costs.items():
            tokens = [hashlib.sha256(str(place).encode()).hexdigest() for place in range(count)]
            path = setting.file("tokens")
            path.write_text("".join(f"{token}\n" for token in tokens))
            path.chmod(0o600)
            arguments = ("--token-file", str(path)) if count else ()
            with setting.daemon(*arguments) as daemon:
                cost.append(cpu_of_get(daemon, tokens[-1] if tokens else "none"))
    rows = [
        [str(count) if count else "no file", f"{statistics.median(cost):.1f}"]
        for count, cost in costs.items()
    ]
    return table(["tokens", "CPU us a request"], rows)


PARTS = {"start": measure_start, "tokens": measure_tokens}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="part", help=", ".join(PARTS))
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    place = Path(os.environ.get("LBFGSD_BENCH_DIR") or "out/service")
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place, prefix="run-") as directory:
        setting = Setting(Path(directory).resolve(), True, given.runs, 2, {})
        for name in given.parts or PARTS:
            print(f"## {name}\n\n{PARTS[name](setting)}\n", flush=True)


if __name__ == "__main__":
    main()
