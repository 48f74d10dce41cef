"""Good clients beside bad ones: whether bad ones hurt them, and what memory they can cause.

    python Tests/torture/load.py --bin .build/release/lbfgsd crowd [--drippers 5000] [--idle 5000]
        [--hostile 200]
    python Tests/torture/load.py --bin .build/release/lbfgsd large [--bodies 4]
    python Tests/torture/load.py --bin .build/release/lbfgsd events [--readers 1000]
    python Tests/torture/load.py --bin .build/release/lbfgsd vectors [--readers 8]
        [--parameters 100000000]

`crowd` and `large` compare the tells of 64 good clients alone (calm) and beside the bad ones, by
turns, `--rounds` times for `--seconds` each. Drippers send a byte of a request's header every
second and connect again when they are cut off, idle ones keep a connection open after one answer,
hostile ones send JSON that is no good over and over, and large bodies have 256 MB of JSON each. The
medians of the turns' p99 may differ by a factor of 3, and no good request may fail.

`events` and `vectors` have readers that ask for the events of long sessions, or for the numbers of
a long vector that changes between them, and read nothing: they must be cut off. Beside the readers
of events the good clients go on, and are compared with calm ones as above.

All but `crowd` also watch the daemon's memory, which may grow by what it counts itself (bodies and
responses in flight, loaded sessions) and 64 MiB; `large` by one vector for each body on top.

Prints a report as JSON, and ends with status 1 if something does not hold. All run on loopback; the
clients take processor time, too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from torture import crowd

RATIO_MAX = 3
MEBIBYTE = 1 << 20
UNCOUNTED_MAX = 64 * MEBIBYTE
EVENTS = 3_000
"""Of each session that stalled readers ask for: more than the kernel's buffers take, 128 KiB."""
COUNTED = (
    "lbfgsd_http_body_bytes_in_flight",
    "lbfgsd_http_response_bytes_in_flight",
    "lbfgsd_sessions_resident_bytes",
)
CUT_OFF = ("lbfgsd_http_connections_timed_out_total",)
OCTETS = "Content-Type: application/octet-stream\r\nAccept: application/octet-stream\r\n"


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def metrics(port: int, names: tuple[str, ...]) -> list[int]:
    async def read() -> str:
        _, text = await (await crowd.Peer(port).open()).ask("GET", "/metrics")
        return text.decode()

    text = asyncio.run(read())
    return [
        int(float(found[1]))
        for name in names
        for found in re.finditer(rf"^{name} (\S+)$", text, re.MULTILINE)
    ]


def counted(port: int) -> int:
    """What the daemon counts as held for clients, in bytes."""
    return sum(metrics(port, COUNTED))


class MemoryWatch:
    """Watches, in a process of its own, how much memory the daemon takes beyond what it counts."""

    def __init__(self, pid: int, port: int) -> None:
        self.cut_off = sum(metrics(port, CUT_OFF))
        self.calm = resident(pid) - counted(port)
        self.peaks: Any = multiprocessing.Array("q", 3)
        self.ends: Any = multiprocessing.Event()
        self.process = crowd.start(self.watch, pid, port)

    def watch(self, pid: int, port: int) -> None:
        while not self.ends.wait(0.1):
            before = resident(pid)
            held = counted(port)
            after = resident(pid)
            # They are not read at one instant: what came or went in between is not held against it.
            uncounted = min(before, after) - held
            for place, value in enumerate((after, held, uncounted)):
                self.peaks[place] = max(self.peaks[place], value)

    def finish(self) -> dict[str, int]:
        self.ends.set()
        self.process.join()
        return {
            "resident_peak_mib": self.peaks[0] // MEBIBYTE,
            "counted_peak_mib": self.peaks[1] // MEBIBYTE,
            "uncounted_growth_mib": (self.peaks[2] - self.calm) // MEBIBYTE,
        }


def good_phase(port: int, seconds: float) -> tuple[list[float], list[str]]:
    times: list[float] = []
    failures: list[str] = []

    async def run() -> None:
        until = time.monotonic() + seconds
        await asyncio.gather(
            *(crowd.good_client(port, until, times, failures) for _ in range(crowd.CLIENTS))
        )

    asyncio.run(run())
    return sorted(times), failures


def percentile(times: list[float], share: float) -> float:
    return 1000 * times[min(len(times) - 1, int(len(times) * share))] if times else float("inf")


def summary(times: list[float]) -> dict[str, float]:
    return {
        "tells": len(times),
        "p50_ms": round(percentile(times, 0.5), 2),
        "p99_ms": round(percentile(times, 0.99), 2),
    }


Bad = Callable[[float], list[multiprocessing.Process]]
"""Starts the bad clients, which go on for so many seconds."""


def by_turns(port: int, rounds: int, seconds: float, settle: float, bad: Bad) -> dict[str, Any]:
    """The good clients alone and beside the bad ones, by turns."""
    calm, beside, failures = [], [], []
    for _ in range(rounds):
        times, failed = good_phase(port, seconds)
        calm.append(summary(times))
        failures += failed
        processes = bad(settle + seconds)
        for process in processes:
            os.setpriority(os.PRIO_PROCESS, process.pid or 0, 5)
        time.sleep(settle)
        times, failed = good_phase(port, seconds)
        beside.append(summary(times))
        failures += failed
        for process in processes:
            process.join(180)
            if process.is_alive():
                process.terminate()
    medians = [statistics.median(turn["p99_ms"] for turn in turns) for turns in (calm, beside)]
    ratio = medians[1] / medians[0]
    return {
        "calm": calm,
        "beside": beside,
        "ratio_p99": round(ratio, 2),
        "failures": failures[:10],
        "failed": len(failures),
        "holds": not failures and ratio <= RATIO_MAX,
    }


def run_crowd(_: int, port: int, options: argparse.Namespace) -> dict[str, Any]:
    def bad(seconds: float) -> list[multiprocessing.Process]:
        until = time.monotonic() + seconds
        return [
            crowd.start(crowd.attack, role, getattr(options, role), port, until)
            for role in crowd.ROLES
            if getattr(options, role)
        ]

    return by_turns(port, options.rounds, options.seconds, 6, bad)


def run_large(pid: int, port: int, options: argparse.Namespace) -> dict[str, Any]:
    answers: Any = multiprocessing.Queue()

    def bad(_: float) -> list[multiprocessing.Process]:
        return [crowd.start(crowd.send_large, port, answers) for _ in range(options.bodies)]

    good_phase(port, 1)
    watch = MemoryWatch(pid, port)
    report = by_turns(port, options.rounds, options.seconds, 0, bad)
    report["memory"] = watch.finish()
    report["statuses"] = [answers.get(timeout=5) for _ in range(options.rounds * options.bodies)]
    vectors = options.bodies * 8 * crowd.large_count()
    report["holds"] &= set(report["statuses"]) == {201}
    report["holds"] &= report["memory"]["uncounted_growth_mib"] <= (
        (UNCOUNTED_MAX + vectors) // MEBIBYTE
    )
    return report


def count_closed(port: int, before: int, readers: int, seconds: float) -> tuple[int, float]:
    """Waits until the server has cut off all readers, or so long. Returns how many, and the time.

    By the server's own count: a client that reads nothing can't see it.
    """
    began, closed = time.monotonic(), 0
    while closed < readers and time.monotonic() < began + seconds:
        time.sleep(0.5)
        closed = sum(metrics(port, CUT_OFF)) - before
    return closed, time.monotonic() - began


def stalled_report(
    port: int, watch: MemoryWatch, connections: list[socket.socket], seconds: float
) -> dict[str, Any]:
    closed, after = count_closed(port, watch.cut_off, len(connections), seconds)
    memory = watch.finish()
    for connection in connections:
        connection.close()
    return {
        "readers": len(connections),
        "closed": closed,
        "closed_after_s": round(after, 1),
        "memory": memory,
        "holds": closed == len(connections)
        and memory["uncounted_growth_mib"] <= UNCOUNTED_MAX // MEBIBYTE,
    }


async def long_session(port: int, evaluations: int) -> str:
    peer = await crowd.Peer(port).open()
    start = json.dumps({"x0": [0.5] * 4, "options": {"max_iter": 100_000}}).encode()
    _, body = await peer.ask("POST", "/v1/sessions", start)
    path = f"/v1/sessions/{json.loads(body)['id']}"
    turn: dict[str, Any] = {}
    while turn.get("evaluation", {}).get("number", 0) < evaluations:
        if turn.get("state") != "evaluating":
            _, body = await peer.ask("POST", f"{path}/steps", b"{}")
        else:
            number, result = turn["evaluation"]["number"], crowd.told(turn)
            _, body = await peer.ask("PUT", f"{path}/evaluations/{number}/result", result)
        turn = json.loads(body)
    return path


def run_events(pid: int, port: int, options: argparse.Namespace) -> dict[str, Any]:
    """Each reader asks for what a session has had so far: more than the buffers take."""

    async def sessions() -> list[str]:
        return await asyncio.gather(*(long_session(port, EVENTS) for _ in range(2)))

    paths = asyncio.run(sessions())
    calm, failures = good_phase(port, options.seconds)
    watch = MemoryWatch(pid, port)
    connections = [
        crowd.stalled(
            port,
            f"{paths[place % len(paths)]}/events",
            "Last-Event-ID: 1\r\n",
            f"127.0.0.{2 + place % 100}",
        )
        for place in range(options.readers)
    ]
    beside, failed = good_phase(port, options.seconds)
    report = stalled_report(port, watch, connections, 60)
    turns = [summary(times) for times in (calm, beside)]
    report["calm"], report["beside"] = turns
    report["ratio_p99"] = round(turns[1]["p99_ms"] / turns[0]["p99_ms"], 2)
    report["failures"] = (failures + failed)[:10]
    report["holds"] &= not failures and not failed and report["ratio_p99"] <= RATIO_MAX
    return report


def run_vectors(pid: int, port: int, options: argparse.Namespace) -> dict[str, Any]:
    """Each reader asks for another state of the session, so that none shares its memory."""
    n = options.parameters
    watch = MemoryWatch(pid, port)
    created = crowd.ask(
        port,
        "POST",
        "/v1/sessions",
        json.dumps(
            {
                "params": [{"name": "w", "shape": [n], "fill": 0.5}],
                "options": {"history_size": 1, "max_iter": 1000},
            }
        ).encode(),
    )
    path = f"/v1/sessions/{created['id']}"
    gradient = bytes(4) + bytes([0, 0, 0xE0, 0x3F])
    body = gradient * n
    connections = []
    for place in range(options.readers):
        source = f"127.0.0.{2 + place}"
        connections.append(crowd.stalled(port, f"{path}/params", OCTETS, source))
        state = crowd.ask(port, "GET", path)
        if state["state"] != "evaluating":
            crowd.ask(port, "POST", f"{path}/steps", b"", "Prefer: return=minimal\r\n" + OCTETS)
            state = crowd.ask(port, "GET", path)
        loss = 1000 / (place + 1)
        number = state["evaluation"]
        crowd.ask(
            port, "PUT", f"{path}/evaluations/{number}/result?loss={loss}", body,
            "Prefer: return=minimal\r\n" + OCTETS,
        )  # fmt: skip
    return stalled_report(port, watch, connections, 90)


LARGE = (
    "--max-parameters=200000000", "--max-session-bytes=64GiB", "--max-body-bytes=2GiB",
    # Of the good clients and the bad ones, who share an address.
    "--max-bytes-in-flight-per-address=0",
)  # fmt: skip
SETTINGS = {
    "large": LARGE,
    # Less than the readers ask for, so that some of them must be refused.
    "vectors": (*LARGE, "--max-response-bytes-in-flight=4GiB"),
}
SCENARIOS = {
    "crowd": run_crowd,
    "large": run_large,
    "events": run_events,
    "vectors": run_vectors,
}


def wait_ready(port: int) -> None:
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the daemon did not start")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--bin", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--out", type=Path)
    parser.add_argument(
        "--setting", action="append", default=[], help="a flag of serve's: name=value"
    )
    scenarios = parser.add_subparsers(dest="scenario", required=True)
    bad = scenarios.add_parser("crowd")
    bad.add_argument("--drippers", type=int, default=5000)
    bad.add_argument("--idle", type=int, default=5000)
    bad.add_argument("--hostile", type=int, default=200)
    scenarios.add_parser("large").add_argument("--bodies", type=int, default=4)
    scenarios.add_parser("events").add_argument("--readers", type=int, default=1000)
    vectors = scenarios.add_parser("vectors")
    vectors.add_argument("--readers", type=int, default=8)
    vectors.add_argument("--parameters", type=int, default=100_000_000)
    options = parser.parse_args()
    crowd.raise_descriptor_limit()
    port = random.SystemRandom().randrange(10_000, 30_000)
    with tempfile.TemporaryDirectory() as directory:
        command = [
            str(options.bin.resolve()), "serve", "--listen", f"127.0.0.1:{port}",
            "--data", f"{directory}/data", "--max-connections", "20000",
            *SETTINGS.get(options.scenario, ()),
            *(f"--{setting}" for setting in options.setting),
        ]  # fmt: skip
        with Path(directory, "log").open("wb") as log:
            daemon = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            wait_ready(port)
            report = SCENARIOS[options.scenario](daemon.pid, port, options)
            report["daemon_lives"] = daemon.poll() is None
        finally:
            daemon.terminate()
            daemon.wait()
            print(Path(directory, "log").read_text(errors="replace")[-2000:], file=sys.stderr)
    text = json.dumps(report, indent=1)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")
    return 0 if report["holds"] and report["daemon_lives"] else 1


if __name__ == "__main__":
    sys.exit(main())
