"""Measures many sessions on one disk: memory, start-up, listing, vanishing long polls.

    python Benchmarks/service/scale.py [--sessions 100000] [--touched 10000] [--polls 1000]

Creates the sessions over HTTP. Then it begins a step of some, which loads them into memory, holds
long polls on others, and lists all. --budget is the daemon's memory budget. Prints Markdown;
latencies are medians and 99th percentiles.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import statistics
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "Tests" / "integration"))

from daemon import Client, Daemon, encode

CONNECTIONS = 64
STARTS = 5
LISTINGS = 50
# Of each session; with a history of 10 pairs it can come to need some 260 numbers a parameter.
PARAMETERS = 100
HISTORY = 10
LABEL_VALUES = 100
POLL_SECONDS = 30
SETTLE_SECONDS = 30


# MARK: A client for very many small requests


class Connection:
    """HTTP/1.1 with keep-alive, as far as the daemon's responses need it."""

    def __init__(self, reader: Any, writer: Any, host: str) -> None:
        self.reader, self.writer, self.host = reader, writer, host

    @classmethod
    async def open(cls, port: int) -> Connection:
        return cls(*await asyncio.open_connection("127.0.0.1", port), f"127.0.0.1:{port}")

    def send(self, method: str, path: str, body: bytes = b"", headers: str = "") -> None:
        if body:
            headers += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        head = f"{method} {path} HTTP/1.1\r\nHost: {self.host}\r\n{headers}\r\n"
        self.writer.write(head.encode() + body)

    async def answer(self) -> tuple[int, bytes]:
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        body = await self.reader.readexactly(int(length[1])) if length else b""
        return int(head.split(b" ", 2)[1]), body

    async def ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        self.send(method, path, body)
        status, answer = await self.answer()
        if status >= 300:
            raise RuntimeError(f"{method} {path}: {status} {answer[:500]!r}")
        return answer


async def spread(
    port: int, items: list[Any], work: Any, connections: int = CONNECTIONS
) -> list[float]:
    """Runs `work(connection, item)` for each item, over several connections. Returns the seconds
    that each took."""
    queue = iter(items)
    seconds: list[float] = []

    async def serve() -> None:
        connection = await Connection.open(port)
        for item in queue:
            start = time.perf_counter()
            await work(connection, item)
            seconds.append(time.perf_counter() - start)
        connection.writer.close()

    await asyncio.gather(*(serve() for _ in range(connections)))
    return seconds


# MARK: Measurements


@dataclass
class Process:
    resident_bytes: int
    peak_bytes: int
    sockets: int


def process(daemon: Daemon) -> Process:
    status = Path(f"/proc/{daemon.pid}/status").read_text()
    sizes = {
        name: 1024 * int(value)
        for name, value in re.findall(r"(?m)^Vm(RSS|HWM):\s+(\d+) kB", status)
    }
    return Process(sizes["RSS"], sizes["HWM"], sockets(daemon))


def sockets(daemon: Daemon) -> int:
    """The number of open sockets, without the store's files."""
    count = 0
    for entry in os.scandir(f"/proc/{daemon.pid}/fd"):
        # A descriptor may be closed since it was listed.
        with suppress(FileNotFoundError):
            count += os.readlink(entry.path).startswith("socket:")  # noqa: PTH115 (not a path)
    return count


def gauges(client: Client) -> dict[str, float]:
    text = client.call("GET", "/metrics").text
    return {name: float(value) for name, value in re.findall(r"(?m)^(lbfgsd_\w+) (\S+)$", text)}


def disk_bytes(directory: Path) -> int:
    return sum(512 * path.stat().st_blocks for path in directory.rglob("*") if path.is_file())


def wait_until(condition: Any, seconds: float = SETTLE_SECONDS) -> float:
    """The seconds until the condition was true."""
    start = time.perf_counter()
    while not condition():
        if time.perf_counter() - start > seconds:
            raise RuntimeError("it never came true")
        time.sleep(0.01)
    return time.perf_counter() - start


def percentiles(seconds: list[float]) -> tuple[float, float]:
    """Median and 99th percentile, in milliseconds."""
    ordered = sorted(seconds)
    return (
        1e3 * statistics.median(ordered),
        1e3 * ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))],
    )


# MARK: Steps of the run


def create(daemon: Daemon, count: int) -> list[str]:
    """Creates the sessions. Returns their identifiers, oldest first."""
    options = {"history_size": HISTORY, "line_search_fn": "strong_wolfe"}
    made: list[tuple[int, str]] = []

    async def make(connection: Connection, number: int) -> None:
        body = {
            "name": f"session {number}",
            "labels": {"group": str(number % LABEL_VALUES), "all": "yes"},
            "x0": [number % 7 + 0.5] * PARAMETERS,
            "options": options,
        }
        answer = await connection.ask("POST", "/v1/sessions", encode(body))
        made.append((number, json.loads(answer)["id"]))

    asyncio.run(spread(daemon.port, list(range(count)), make))
    return [session for _, session in sorted(made)]


def touch(daemon: Daemon, sessions: list[str]) -> tuple[list[float], int]:
    """Begins a step of each session in turn. Returns the seconds that each took, and the most
    memory that the daemon accounted for at any time it was asked."""
    client = Client(daemon.url)
    most = 0

    async def begin(connection: Connection, item: tuple[int, str]) -> None:
        nonlocal most
        number, session = item
        await connection.ask("POST", f"/v1/sessions/{session}/steps")
        if number % 500 == 0:
            most = max(most, int(gauges(client)["lbfgsd_sessions_resident_bytes"]))

    seconds = asyncio.run(spread(daemon.port, list(enumerate(sessions)), begin, connections=4))
    return seconds, most


def long_poll(daemon: Daemon, sessions: list[str], meanwhile: Any) -> tuple[int, int, int, float]:
    """Holds a long poll on each session, calls `meanwhile` with a client, and drops all clients at
    once. Returns the number of sockets before, during and after, and the seconds until none was
    left."""
    client = Client(daemon.url)
    client.ok("GET", "/livez")
    before = sockets(daemon)

    async def hold() -> Any:
        polls = []
        for session in sessions:
            connection = await Connection.open(daemon.port)
            headers = f"Prefer: wait={POLL_SECONDS}\r\n"
            connection.send("GET", f"/v1/sessions/{session}/evaluation", headers=headers)
            polls.append(connection)
        loop = asyncio.get_running_loop()
        waiting = lambda: gauges(client)["lbfgsd_waiters"] == len(sessions)  # noqa: E731
        await loop.run_in_executor(None, wait_until, waiting)
        during = sockets(daemon)
        await loop.run_in_executor(None, meanwhile, client)
        for connection in polls:
            connection.writer.transport.abort()
        return during

    during = asyncio.run(hold())

    def are_gone() -> Any:
        return gauges(client)["lbfgsd_waiters"] == 0 and sockets(daemon) <= before

    seconds = wait_until(are_gone)
    return before, during, sockets(daemon), seconds


def list_all(client: Client, query: str = "", size: int = 1000) -> tuple[list[str], str]:
    """Lists all sessions. Returns their identifiers, newest first, and the query of a late page."""
    found: list[str] = []
    deep = query
    token = None
    while True:
        more = f"&page_token={token}" if token else ""
        page = client.ok("GET", f"/v1/sessions?page_size={size}{query}{more}")
        if token:
            deep = f"{query}&page_token={token}"
        found += [session["id"] for session in page["sessions"]]
        token = page["next_page_token"]
        if token is None:
            return found, deep


def list_times(client: Client, query: str) -> tuple[float, float]:
    seconds = []
    for _ in range(LISTINGS):
        start = time.perf_counter()
        client.ok("GET", f"/v1/sessions?page_size=50{query}")
        seconds.append(time.perf_counter() - start)
    return percentiles(seconds)


def start_seconds(daemon: Daemon, cleanly: bool) -> list[float]:
    """The seconds from exec to the first 200 of /readyz."""
    seconds = []
    for _ in range(STARTS):
        daemon.stop() if cleanly else daemon.kill()
        start = time.perf_counter()
        daemon.start()
        seconds.append(time.perf_counter() - start)
    return seconds


# MARK: The table


def megabytes(count: float) -> str:
    return f"{count / (1 << 20):,.0f} MiB"


def run(home: Path, count: int, touched: int, polls: int, budget: int) -> None:
    daemon = Daemon(
        home / "data",
        home / "log",
        arguments=("--max-resident-bytes", str(budget), "--max-resident-sessions", "1000000"),
    )

    def row(what: str, *values: str) -> None:
        print(f"| {what} | {' | '.join(values)} |", flush=True)

    try:
        daemon.start()
        client = Client(daemon.url)
        print(f"{count:,} sessions of {PARAMETERS} parameters, budget {megabytes(budget)}\n")
        print("| | |\n|---|---|")
        empty = process(daemon).resident_bytes
        start = time.perf_counter()
        sessions = create(daemon, count)
        row("created, a second", f"{count / (time.perf_counter() - start):,.0f}")
        row("bytes on disk a session", f"{disk_bytes(home / 'data') / count:,.0f}")
        now = process(daemon)
        row("resident memory, empty daemon", megabytes(empty))
        row(
            "resident memory, all created (peak)",
            f"{megabytes(now.resident_bytes)} ({megabytes(now.peak_bytes)})",
        )
        for cleanly in (True, False):
            seconds = start_seconds(daemon, cleanly)
            row(
                f"start after {'a stop' if cleanly else 'kill -9'}, exec to /readyz",
                f"{1e3 * statistics.median(seconds):,.0f} ms",
            )
        seconds, most = touch(daemon, sessions[:: max(1, count // touched)][:touched])
        now = process(daemon)
        middle, tail = percentiles(seconds)
        row(f"touched in turn: {len(seconds):,}; p50, p99", f"{middle:.2f} ms, {tail:.2f} ms")
        row("accounted memory, at most", megabytes(most))
        row(
            "resident memory then (peak)",
            f"{megabytes(now.resident_bytes)} ({megabytes(now.peak_bytes)})",
        )
        waiting = sessions[1 :: max(1, count // polls)][:polls]
        during: list[Any] = []
        held = long_poll(
            daemon, waiting, lambda idle: during.extend([process(daemon), list_times(idle, "")])
        )
        row(f"{len(waiting):,} long-polls: resident memory", megabytes(during[0].resident_bytes))
        row("first page meanwhile; p50, p99", "{:.2f} ms, {:.2f} ms".format(*during[1]))
        row("sockets before, while, after", "{}, {}, {}".format(*held[:3]))
        row("all clients gone at once, sockets free after", f"{held[3]:.2f} s")
        start = time.perf_counter()
        listed, deep = list_all(client)
        row("all listed by 1000", f"{time.perf_counter() - start:.2f} s")
        if sorted(listed) != sorted(sessions):
            raise RuntimeError(f"{len(listed)} sessions were listed")
        query = "&label=group:7"
        labelled, deep_labelled = list_all(client, query, size=50)
        for what, where in (
            ("page of 50: first", ""),
            ("page of 50: last", deep),
            (f"page of 50 by label ({len(labelled):,} have it): first", query),
            ("page of 50 by label: last", deep_labelled),
        ):
            row(f"{what}; p50, p99", "{:.2f} ms, {:.2f} ms".format(*list_times(client, where)))
    finally:
        daemon.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, default=100_000)
    parser.add_argument("--touched", type=int, default=10_000)
    parser.add_argument("--polls", type=int, default=1_000)
    parser.add_argument("--budget", type=int, default=128 << 20, help="bytes")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lbfgsd-scale-") as home:
        run(Path(home), given.sessions, given.touched, given.polls, given.budget)


if __name__ == "__main__":
    main()
