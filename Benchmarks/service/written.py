"""Measures the bytes written to disk per byte of gradient, including snapshots: /proc/PID/io over
more tells than there are between two snapshots."""

from __future__ import annotations

import sys

import numpy as np

from lbfgsd import Client
from parts import SESSION_OPTIONS, Setting, table, written_bytes

SIZES = (100, 10_000, 1_000_000, 10_000_000)
TELLS, HISTORY = 70, 5


def section(setting: Setting) -> str:
    rows, drawn = [], []
    for n in SIZES[:3] if setting.quick else SIZES:
        print(f"written {n}", file=sys.stderr, flush=True)
        disk = measure(setting, n)
        ratio = disk / TELLS / (8 * n)
        rows.append(
            [f"{n:,}", f"{8 * n / 1000:,.1f}", f"{disk / TELLS / 1000:,.1f}", f"{ratio:.2f}"]
        )
        drawn.append([n, ratio])
    setting.results["written"] = drawn
    heads = ["n", "gradient kB", "written a tell kB", "written a byte of payload"]
    text = f"One session, float64, m = {HISTORY}, {TELLS} tells one by one, each synced.\n\n"
    return text + table(heads, rows)


def measure(setting: Setting, n: int) -> int:
    generator = np.random.default_rng(1)
    gradients = [generator.random(n) - 0.5 for _ in range(8 if n < 10_000_000 else 2)]
    with setting.daemon(n=n) as daemon, Client(daemon.url) as client:
        options = {**SESSION_OPTIONS, "history_size": HISTORY}
        session = client.create_session(np.zeros(n), options=options).id
        turn = client.begin_step(session)
        # The history is full from now on.
        for i in range(HISTORY + 2):
            assert turn.evaluation is not None
            turn = client.tell(session, turn.evaluation.number, 1.0, gradients[i % len(gradients)])
        before = written_bytes(daemon.pid)
        for i in range(TELLS):
            assert turn.evaluation is not None
            turn = client.tell(session, turn.evaluation.number, 1.0, gradients[i % len(gradients)])
        return written_bytes(daemon.pid) - before
