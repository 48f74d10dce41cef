"""Measures how fast a gradient is received and stored, and compares it with a bare libmicrohttpd
that appends the same bytes to a file and syncs it before it answers."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from lbfgsd import Client
from parts import (
    OCTETS,
    SESSION_OPTIONS,
    Daemon,
    Setting,
    bare,
    forget_peak,
    load,
    median,
    status_bytes,
    table,
    write_bodies,
)

SIZES = (100_000, 1_000_000, 10_000_000)
QUICK_SIZES = (100_000, 1_000_000)
HISTORY = 5
SLACK_BYTES = 64 << 20


def section(setting: Setting) -> str:
    cases = [(n, "float64") for n in (QUICK_SIZES if setting.quick else SIZES)]
    rows, memory, drawn = [], [], []
    for n, dtype in cases:
        print(f"upload {n} {dtype}", file=sys.stderr, flush=True)
        ours, floor, peak, estimate = measure(setting, n, dtype)
        size = n * np.dtype(dtype).itemsize
        # Until the response begins, when the bytes are on disk; the point in it takes time of its
        # own.
        rates = [size / median(runs, "head_p50_us") for runs in (ours, floor)]
        whole = [median(runs, "p50_us") / 1000 for runs in (ours, floor)]
        cells = [f"{n:,}", dtype, f"{size / 1e6:,.1f}", *(f"{rate:,.0f}" for rate in rates)]
        cells += [f"{rates[0] / rates[1]:.2f}", *(f"{ms:,.1f}" for ms in whole)]
        rows.append(cells)
        drawn.append([n, dtype, *rates])
        bound = estimate + size + SLACK_BYTES
        cells = [f"{number / 1e6:,.0f}" for number in (peak, estimate, bound)]
        memory.append([f"{n:,}", dtype, *cells, f"{peak / bound:.2f}"])
    setting.results["upload"] = drawn
    heads = ["n", "dtype", "MB", "lbfgsd MB/s", "bare MB/s", "of it", "whole tell ms"]
    text = f"Gradients in octets, m = {HISTORY}, one connection; until the answer begins.\n\n"
    text += table([*heads, "bare ms"], rows)
    heads = ["n", "dtype", "peak MB", "session's estimate MB", "estimate + vector + 64 MiB"]
    text += "\n\nThe daemon's resident memory at its peak (VmHWM) meanwhile.\n\n"
    return text + table([*heads, "of it"], memory)


def begin(daemon: Daemon, n: int, dtype: str) -> tuple[str, int]:
    """A large session in the middle of a step, and its memory estimate."""
    with Client(daemon.url) as client:
        options = {**SESSION_OPTIONS, "history_size": HISTORY}
        session = client.create_session(np.zeros(n, dtype), options=options, dtype=dtype)
        client.begin_step(session)
        return session.id, session.memory_bytes_estimate


def pending(daemon: Daemon, session: str) -> int:
    with Client(daemon.url) as client:
        return client.get_session(session).evaluation


def measure(
    setting: Setting, n: int, dtype: str
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], int, int]:
    size = n * np.dtype(dtype).itemsize
    bodies, answer, written = (setting.file(name) for name in ("bodies", "answer", "written"))
    write_bodies(bodies, OCTETS, n, dtype)
    with answer.open("wb") as file:
        # As long as the point in the daemon's response.
        file.write(b"Content-Type: application/octet-stream\n\n")
        file.truncate(file.tell() + size)
    # Long enough that every run has several tells, and a full history at its end.
    seconds = max(setting.seconds, 12 * size / 200e6)
    ours, floor = [], []
    with setting.daemon(n=n) as daemon:
        session, estimate = begin(daemon, n, dtype)
        load(setting, daemon.port, bodies, [(session, pending(daemon, session))], seconds)
        forget_peak(daemon.pid)
        for _ in range(setting.runs):
            pairs = [(session, pending(daemon, session))]
            ours.append(load(setting, daemon.port, bodies, pairs, seconds))
            with bare(setting, answer, written) as port:
                floor.append(load(setting, port, bodies, [("s", 1)], seconds))
        peak = status_bytes(daemon.pid, "VmHWM")
    for path in (bodies, answer, written):
        path.unlink()
    return ours, floor, peak, estimate
