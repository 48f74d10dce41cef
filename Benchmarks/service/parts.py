"""Shared by the sections of the service benchmark: programs, daemons, bodies, load, tables."""

from __future__ import annotations

import json
import os
import random
import re
import socket
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / "clients" / "python" / "src"), str(ROOT / "Tests" / "integration")]

import requests  # noqa: E402

# The sections take the client and the daemon from here, which has set the path to them.
from daemon import Client as Client  # noqa: E402
from daemon import Daemon as Daemon  # noqa: E402
from daemon import encode, free_port  # noqa: E402

JSON, OCTETS = "application/json", "application/octet-stream"
NAMES = {JSON: "JSON", OCTETS: "octets"}
POOL = 64
BODIES_BYTES_MAX = 256 << 20
ENDLESS = 1_000_000_000
# A step without a line search that never ends. The gradients come from a pool of random ones, so
# that the client costs little and the history fills up.
SESSION_OPTIONS = {
    "lr": 1e-3,
    "max_iter": ENDLESS,
    "max_eval": ENDLESS,
    "tolerance_grad": 0,
    "tolerance_change": 0,
}
RECORD_OVERHEAD_BYTES = 64
MIB = 1 << 20


@dataclass
class Setting:
    """A run of the benchmark: its directory, its extent, and the available peers."""

    directory: Path
    quick: bool
    runs: int
    seconds: float
    peers: dict[str, Path | str]
    """Python interpreters of the peers from PyPI, or the reason why there is none."""
    results: dict[str, object] = field(default_factory=dict)
    """The figures that pictures are drawn from."""
    _programs: dict[str, Path] = field(default_factory=dict)
    _count: int = 0

    def program(self, name: str) -> Path:
        options = {
            "bare": ["-lmicrohttpd", "-lpthread"],
            "log": ["-lpthread"],
            "syncs": ["-shared", "-fPIC"],
        }
        if name not in self._programs:
            path = self.directory / name
            compiler = os.environ.get("CC", "cc")
            source = str(HERE / f"{name}.c")
            command = [compiler, "-O2", "-o", str(path), source, *options.get(name, [])]
            subprocess.run(command, check=True)
            self._programs[name] = path
        return self._programs[name]

    def file(self, name: str) -> Path:
        self._count += 1
        return self.directory / f"{name}-{self._count}"

    @contextmanager
    def daemon(self, *arguments: str, n: int = 0) -> Iterator[Daemon]:
        """A daemon for sessions of up to n parameters, with a data directory of its own."""
        limits = []
        if n > 1_000_000:
            limits += ["--max-parameters", str(max(n, 10_000_000))]
            limits += ["--max-session-bytes", "64GiB", "--max-body-bytes", "8GiB"]
            limits += ["--max-body-bytes-in-flight", "16GiB"]
        data = self.file("data")
        daemon = Daemon(
            data,
            self.file("log"),
            (*limits, *arguments),
            {
                "LD_PRELOAD": str(self.program("syncs")),
                "SYNC_COUNT_FILE": str(self.file("syncs")),
            },
        )
        try:
            yield daemon.start()
        except BaseException:
            print(daemon.tail(), file=sys.stderr)
            raise
        finally:
            daemon.close()
            subprocess.run(["rm", "-rf", str(data)], check=True)


def syncs(daemon: Daemon) -> int:
    counted = Path(daemon.environment["SYNC_COUNT_FILE"]).read_bytes()
    return int.from_bytes(counted, sys.byteorder)


def cpu_seconds(pid: int) -> float:
    """The processor time that the process has used so far, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def status_bytes(pid: int, name: str) -> int:
    """A figure from /proc/PID/status, such as VmHWM, the peak memory so far."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)[0]) * 1024


def forget_peak(pid: int) -> None:
    """Resets VmHWM."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def written_bytes(pid: int) -> int:
    """The bytes that the process has caused to be written to the disk."""
    return int(
        re.findall(r"^write_bytes: (\d+)", Path(f"/proc/{pid}/io").read_text(), re.MULTILINE)[0]
    )


def random_octets(n: int, dtype: str, seed: int) -> bytes:
    """n numbers, uniform in [-1, 1)."""
    if n > 10_000:
        import numpy as np

        kind: Any = {"float64": "<f8", "float32": "<f4"}[dtype]
        values: NDArray[Any] = np.random.default_rng(seed).random(n, kind)
        return (2 * values - 1).tobytes()
    generator = random.Random(seed)
    letter = {"float64": "d", "float32": "f"}[dtype]
    return struct.pack(f"<{n}{letter}", *(generator.uniform(-1, 1) for _ in range(n)))


def write_bodies(path: Path, form: str, n: int, dtype: str = "float64") -> None:
    """Writes a pool of tells, in the format of load.c."""
    size = {"float64": 8, "float32": 4}[dtype]
    generator = random.Random(1)
    with path.open("wb") as file:
        file.write(f"{form}\n".encode())
        for seed in range(max(2, min(POOL, BODIES_BYTES_MAX // (size * n)))):
            loss = generator.random()
            body, query = random_octets(n, dtype, seed), f" ?loss={loss}"
            if form == JSON:
                numbers = struct.unpack(f"<{n}d", body)
                body, query = encode({"loss": loss, "gradient": list(numbers)}), ""
            file.write(f"{len(body)}{query}\n".encode() + body)


def first_body(path: Path) -> tuple[bytes, str]:
    with path.open("rb") as file:
        file.readline()
        size, _, query = file.readline().decode().strip().partition(" ")
        return file.read(int(size)), query


def write_answer(path: Path, response: requests.Response) -> None:
    """Writes a response of the daemon, in the format of bare.c."""
    skipped = ("connection", "content-length", "date", "keep-alive")
    with path.open("wb") as file:
        for name, value in response.headers.items():
            if name.lower() not in skipped:
                file.write(f"{name}: {value}\n".encode())
        file.write(b"\n" + response.content)


def tell_once(client: Client, session: str, bodies: Path, form: str) -> requests.Response:
    """Tells the pending evaluation as load.c does."""
    body, query = first_body(bodies)
    number = client.get(session)["evaluation"]
    path = f"/v1/sessions/{session}/evaluations/{number}/result{query}"
    response = client.call("PUT", path, body, {"Content-Type": form, "Accept": form})
    assert response.status_code == 200, response.text
    return response


def load(
    setting: Setting,
    port: int,
    bodies: Path,
    sessions: Iterable[tuple[str, int]],
    seconds: float,
    rate: float = 0,
) -> dict[str, Any]:
    command: list[str | Path] = [
        setting.program("load"),
        str(port),
        bodies,
        str(seconds / 5),
        str(seconds),
    ]
    done = subprocess.run(
        [*command, *([str(rate)] if rate else [])],
        text=True,
        input="".join(f"{session} {number}\n" for session, number in sessions),
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout)


@contextmanager
def bare(setting: Setting, answer: Path, *arguments: Path | int) -> Iterator[int]:
    """Runs bare.c, and yields its port."""
    port = free_port()
    process = subprocess.Popen([setting.program("bare"), str(port), answer, *map(str, arguments)])
    try:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        process.wait()


def rate_of(run: dict[str, Any]) -> float:
    return run["tells"] / run["seconds"]


def median(runs: list[dict[str, Any]], name: str) -> float:
    return statistics.median(run[name] for run in runs)


def median_rate(runs: list[dict[str, Any]]) -> float:
    return statistics.median(rate_of(run) for run in runs)


def table(heads: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|" + "---:|" * len(heads)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def sync_seconds(directory: Path, size: int, count: int = 300) -> float:
    """The median time of appending so many bytes and making them durable."""
    times = []
    path = directory / "probe"
    with path.open("wb", buffering=0) as file:
        for _ in range(count):
            began = time.perf_counter()
            file.write(b"\1" * size)
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - began)
    path.unlink()
    return statistics.median(times)
