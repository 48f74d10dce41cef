"""Evaluations a second over HTTP: tell round trips, next to a bare libmicrohttpd in the same run.

    python Benchmarks/service/run.py [--runs 5] [--seconds 3]

Each connection keeps one session and tells it one evaluation after the other, each durably stored
before it is answered. Gradients come from a pool of random ones, so that the client costs little
and the history fills with curvature pairs; without a line search and with tolerances of 0 the step
goes on. The bare server reads the same bytes and answers what the daemon answered once. Prints
Markdown; medians of the runs, which alternate between the two servers.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "Tests" / "integration"))

from daemon import Client, Daemon, encode, free_port  # noqa: E402

SIZES = (10, 650)
CONNECTIONS = (1, 64)
POOL = 64
SEED = 1
STEP_LENGTH = 1e-3
EVALUATIONS_MAX = 1_000_000_000
SYNC_PROBES = 500


def compiled(directory: Path, name: str, *options: str) -> Path:
    program = directory / name
    subprocess.run(
        [os.environ.get("CC", "cc"), "-O2", "-o", str(program), str(HERE / f"{name}.c"), *options],
        check=True,
    )
    return program


def write_bodies(path: Path, n: int) -> None:
    generator = random.Random(SEED)
    bodies = [
        encode(
            {"loss": generator.random(), "gradient": [generator.uniform(-1, 1) for _ in range(n)]}
        )
        for _ in range(POOL)
    ]
    path.write_bytes(b"".join(body + b"\n" for body in bodies))


def begin_sessions(client: Client, n: int, count: int) -> list[str]:
    options = {
        "lr": STEP_LENGTH,
        "max_iter": EVALUATIONS_MAX,
        "max_eval": EVALUATIONS_MAX,
        "tolerance_grad": 0,
        "tolerance_change": 0,
    }
    sessions = [client.create(x0=[0.0] * n, options=options) for _ in range(count)]
    for session in sessions:
        client.begin(session)
    return sessions


def load(program: Path, port: int, bodies: Path, lines: list[str], seconds: float) -> dict:
    done = subprocess.run(
        [program, str(port), bodies, str(seconds / 5), str(seconds)],
        text=True,
        input="".join(lines),
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout)


def resident_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^VmRSS:\s+(\d+) kB", status, re.M)[1]) / 1024


def cpu_seconds(pid: int) -> float:
    """What the process has used of the processors so far, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def sync_microseconds(directory: Path) -> float:
    """What the disk asks for one appended kilobyte made durable."""
    times = []
    with (directory / "probe").open("wb", buffering=0) as file:
        for _ in range(SYNC_PROBES):
            file.write(b"\0" * 1024)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e6


class Case:
    """One size and one number of connections."""

    def __init__(self, directory: Path, daemon: Daemon, n: int, connections: int):
        self.daemon, self.client = daemon, Client(daemon.url)
        self.sessions = begin_sessions(self.client, n, connections)
        self.bodies = directory / f"bodies-{n}"
        write_bodies(self.bodies, n)
        self.answer = directory / f"answer-{n}"
        turn = self.client.call("GET", f"/v1/sessions/{self.sessions[0]}/evaluation")
        # The first point is all zeros, which is short; the second has as many digits as any.
        first = json.loads(self.bodies.read_text().splitlines()[0])
        number = turn.json()["evaluation"]["number"]
        self.answer.write_bytes(
            self.client.call(
                "PUT", f"/v1/sessions/{self.sessions[0]}/evaluations/{number}/result", first
            ).content
        )

    def tell(self, program: Path, seconds: float) -> dict:
        lines = [
            f"{session} {self.client.get(session)['evaluation']}\n" for session in self.sessions
        ]
        syncs, cpu = self.syncs(), cpu_seconds(self.daemon.pid)
        figures = load(program, self.daemon.port, self.bodies, lines, seconds)
        told = sum(
            self.client.get(session)["evaluation"] - int(line.split()[1])
            for session, line in zip(self.sessions, lines)
        )
        return {
            **figures,
            "syncs_per_tell": (self.syncs() - syncs) / told,
            "cpu_us_per_tell": (cpu_seconds(self.daemon.pid) - cpu) / told * 1e6,
        }

    def syncs(self) -> int:
        counted = Path(self.daemon.environment["SYNC_COUNT_FILE"]).read_bytes()
        return int.from_bytes(counted, sys.byteorder)

    def bare(self, server: Path, program: Path, seconds: float) -> dict:
        port = free_port()
        process = subprocess.Popen([server, str(port), self.answer])
        try:
            time.sleep(0.3)
            lines = [f"{session} 1\n" for session in self.sessions]
            return load(program, port, self.bodies, lines, seconds)
        finally:
            process.terminate()
            process.wait()


def median(runs: list[dict], name: str) -> float:
    return statistics.median(run[name] for run in runs)


def rate(runs: list[dict]) -> float:
    return statistics.median(run["tells"] / run["seconds"] for run in runs)


def row(n: int, connections: int, ours: list[dict], floor: list[dict]) -> str:
    cells = [
        str(n),
        str(connections),
        f"{rate(ours):,.0f}",
        f"{median(ours, 'p50_us') / 1000:.2f}",
        f"{median(ours, 'p99_us') / 1000:.2f}",
        f"{median(ours, 'cpu_us_per_tell'):.0f}",
        f"{median(ours, 'syncs_per_tell'):.2f}",
        f"{rate(floor):,.0f}",
        f"{median(floor, 'p50_us') / 1000:.2f}",
        f"{median(floor, 'p99_us') / 1000:.2f}",
    ]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=os.environ.get("LBFGSD_BENCH_DIR")) as name:
        measure(Path(name), arguments.runs, arguments.seconds)


def measure(directory: Path, runs: int, seconds: float) -> None:
    bare, client = compiled(directory, "bare", "-lmicrohttpd"), compiled(directory, "load")
    daemon = Daemon(
        directory / "data",
        directory / "log",
        environment={
            "LD_PRELOAD": str(compiled(directory, "syncs", "-shared", "-fPIC")),
            "SYNC_COUNT_FILE": str(directory / "sync-count"),
        },
    )
    try:
        daemon.start()
        idle = resident_mib(daemon.pid)
        print(
            f"Service: tell round trips, medians of {runs} runs of {seconds:g} s, "
            f"{os.cpu_count()} cores shared by server and client.\n"
        )
        columns = "evaluations/s | p50 ms | p99 ms | CPU us a tell | syncs a tell"
        print(f"| n | connections | {columns} | bare server/s | p50 ms | p99 ms |")
        print("|---:" * 10 + "|")
        for n in SIZES:
            for connections in CONNECTIONS:
                case = Case(directory, daemon, n, connections)
                ours, floor = [], []
                for _ in range(runs):
                    floor.append(case.bare(bare, client, seconds))
                    ours.append(case.tell(client, seconds))
                print(row(n, connections, ours, floor), flush=True)
        print(
            f"\nResident memory: {idle:.1f} MiB idle after start, "
            f"{resident_mib(daemon.pid):.1f} MiB with {sum(CONNECTIONS) * len(SIZES)} sessions "
            "after the run."
        )
        sync = sync_microseconds(directory)
        print(f"One appended kilobyte made durable on this disk: {sync:.0f} us.")
    except BaseException:
        print(daemon.tail(), file=sys.stderr)
        raise
    finally:
        daemon.close()


if __name__ == "__main__":
    main()
