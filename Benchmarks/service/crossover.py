"""Measures the vector size from which on octets cost a client less than JSON, by the round trip of
a tell through the Python client, with both formats in turn on one session. The client's
`OCTETS_FROM` follows from it."""

from __future__ import annotations

import statistics
import time

import numpy as np

from lbfgsd import Client
from lbfgsd._wire import octets as wire_octets
from parts import SESSION_OPTIONS, Setting, table

SIZES = (2, 8, 16, 32, 64, 128, 256, 1024, 4096)


def section(setting: Setting) -> str:
    rows = []
    with setting.daemon() as daemon, Client(daemon.url) as client:
        for n in SIZES:
            times = tells(client, n, 60 if setting.quick else 400)
            json, octets = (statistics.median(times[form]) * 1e6 for form in (False, True))
            rows.append([str(n), f"{json:.0f}", f"{octets:.0f}", f"{json / octets:.2f}"])
    heads = ["n", "JSON us", "octets us", "ratio"]
    return "A tell through the Python client, median round trip.\n\n" + table(heads, rows)


def tells(client: Client, n: int, rounds: int) -> dict[bool, list[float]]:
    session = client.create_session(np.zeros(n), options=SESSION_OPTIONS)
    generator = np.random.default_rng(1)
    turn = client.begin_step(session)
    times: dict[bool, list[float]] = {False: [], True: []}
    usual = wire_octets.OCTETS_FROM
    try:
        for i in range(2 * rounds):
            in_octets = bool(i % 2)
            wire_octets.OCTETS_FROM = 0 if in_octets else 1 << 62
            gradient = generator.uniform(-1, 1, n)
            began = time.perf_counter()
            assert turn.evaluation is not None
            turn = client.tell(session, turn.evaluation.number, 1.0, gradient)
            times[in_octets].append(time.perf_counter() - began)
    finally:
        wire_octets.OCTETS_FROM = usual
    return times
