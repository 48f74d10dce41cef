"""Measures the latency of a tell: alone, at half the daemon's throughput, and beside a session with
large vectors."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from parts import (
    JSON,
    NAMES,
    OCTETS,
    RECORD_OVERHEAD_BYTES,
    SESSION_OPTIONS,
    Daemon,
    Setting,
    median,
    median_rate,
    sync_seconds,
    table,
)
from throughput import Case

N, CONNECTIONS = 100, 64
HEAVY_N, HEAVY_HISTORY = 10_000_000, 5


def section(setting: Setting) -> str:
    parts = [alone(setting), half_load(setting)]
    return "\n\n".join([*parts, beside_heavy(setting)])


def alone(setting: Setting) -> str:
    rows = []
    with setting.daemon() as daemon:
        for form in (JSON, OCTETS):
            case = Case(setting, daemon, N, form, 1)
            ours, floor, appended = [], [], []
            for _ in range(setting.runs):
                floor.append(case.bare_server(setting.seconds / 2))
                ours.append(case.ours(setting.seconds / 2))
                record = 8 * N + RECORD_OVERHEAD_BYTES
                appended.append({"us": sync_seconds(setting.directory, record) * 1e6})
            sync, trip, tell = (
                median(runs, name)
                for runs, name in ((appended, "us"), (floor, "p50_us"), (ours, "p50_us"))
            )
            bound = 1.5 * sync + trip
            cells = [f"{value:.0f}" for value in (tell, sync, trip, bound)]
            rows.append([NAMES[form], *cells, f"{median(ours, 'syncs_per_tell'):.2f}"])
    heads = ["one client", "p50 us", "append + fdatasync", "bare round trip"]
    heads += ["1.5 x append + trip", "syncs a tell"]
    return f"A tell at n = {N} by one client.\n\n" + table(heads, rows)


def half_load(setting: Setting) -> str:
    rows = []
    with setting.daemon() as daemon:
        for form in (JSON, OCTETS):
            case = Case(setting, daemon, N, form, CONNECTIONS)
            most = median_rate([case.ours(setting.seconds) for _ in range(setting.runs)])
            half = [case.ours(setting.seconds, most / 2) for _ in range(setting.runs)]
            cells = [f"{most:,.0f}", f"{median_rate(half):,.0f}"]
            cells += [f"{median(half, name) / 1000:.2f}" for name in ("p50_us", "p99_us")]
            rows.append([NAMES[form], *cells])
    heads = ["form", "most tells/s", "half of it/s", "p50 ms", "p99 ms"]
    text = f"At half load: n = {N}, {CONNECTIONS} connections, requests due at a fixed rate."
    return f"{text}\n\n" + table(heads, rows)


def beside_heavy(setting: Setting) -> str:
    n = HEAVY_N // 10 if setting.quick else HEAVY_N
    rows = []
    with setting.daemon(n=n) as daemon:
        case = Case(setting, daemon, N, OCTETS, CONNECTIONS)
        most = median_rate([case.ours(setting.seconds) for _ in range(setting.runs)])
        # Low enough that the large session has a processor to itself.
        rate = most / 8
        seconds = max(setting.seconds, 3 if setting.quick else 10)
        without, beside, told = [], [], []
        for _ in range(setting.runs):
            print(f"latency beside n = {n}", file=sys.stderr, flush=True)
            without.append(case.ours(seconds, rate))
            with heavy(daemon, n) as count:
                beside.append(case.ours(seconds, rate))
                told.append(count[0])
        for name, runs in (("without", without), ("beside it", beside)):
            rows.append([name, *(f"{median(runs, p) / 1000:.2f}" for p in ("p50_us", "p99_us"))])
        ratio = median(beside, "p99_us") / median(without, "p99_us")
    text = (
        f"Small sessions (n = {N}, octets, {CONNECTIONS} connections, {rate:,.0f} tells/s due) "
        f"with and without a session of n = {n:,}, m = {HEAVY_HISTORY} in progress, which was told "
        f"{'/'.join(str(count) for count in told)} times meanwhile.\n\n"
    )
    return text + table(["small ones", "p50 ms", "p99 ms"], rows) + f"\n\np99: {ratio:.1f} times."


@contextmanager
def heavy(daemon: Daemon, n: int) -> Iterator[list[int]]:
    """Tells a large session continuously. Yields the number of tells so far."""
    import numpy as np

    from lbfgsd import Client

    done, count, failures = threading.Event(), [0], []
    with Client(daemon.url) as client:
        options = {**SESSION_OPTIONS, "history_size": HEAVY_HISTORY}
        session = client.create_session(np.zeros(n), options=options).id
        generator = np.random.default_rng(1)
        gradients = [generator.random(n) - 0.5 for _ in range(2)]
        turn = client.begin_step(session)

        def tell() -> None:
            nonlocal turn
            try:
                while not done.is_set():
                    gradient = gradients[count[0] % 2]
                    assert turn.evaluation is not None
                    turn = client.tell(session, turn.evaluation.number, 1.0, gradient)
                    count[0] += 1
            except Exception as error:
                failures.append(error)

        thread = threading.Thread(target=tell)
        thread.start()
        try:
            yield count
        finally:
            done.set()
            thread.join()
            client.delete_session(session)
        if failures:
            raise failures[0]
