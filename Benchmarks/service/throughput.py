"""Measures durable tells per second, with one session per connection, in turn with the bare
peers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from parts import (
    JSON,
    NAMES,
    OCTETS,
    RECORD_OVERHEAD_BYTES,
    SESSION_OPTIONS,
    Client,
    Daemon,
    Setting,
    bare,
    cpu_seconds,
    load,
    median,
    median_rate,
    rate_of,
    syncs,
    table,
    tell_once,
    write_answer,
    write_bodies,
)

SIZE = 100
# Not 256: when exactly 128 connections, or a multiple, become readable at the same time and no
# other ever does, libmicrohttpd 0.9.75 goes to sleep without serving them (MHD_epoll reads 128
# events at a time, and reads again if there were as many).
CONNECTIONS = (1, 4, 16, 64, 250)
# The bare server that logs has no way around this, as a group may have 128 members.
BOTH_CONNECTIONS_MAX = 127
OTHER_SIZES, OTHER_CONNECTIONS = (10, 1000), (1, 64)
HEADS = [
    "n",
    "form",
    "connections",
    "lbfgsd/s",
    "p50 ms",
    "p99 ms",
    "CPU us a tell",
    "syncs a tell",
    "bare server/s",
    "of it",
    "bare log/s",
    "of it",
    "both/s",
    "of it",
]


class Case:
    """One vector size in one format, on so many connections with a session each."""

    def __init__(
        self, setting: Setting, daemon: Daemon, n: int, form: str, connections: int
    ) -> None:
        self.setting, self.daemon, self.n, self.connections = setting, daemon, n, connections
        self.client = Client(daemon.url)
        self.sessions = [
            self.client.create(x0=[0.0] * n, options=SESSION_OPTIONS) for _ in range(connections)
        ]
        for session in self.sessions:
            self.client.begin(session)
        self.bodies, self.answer = setting.file("bodies"), setting.file("answer")
        write_bodies(self.bodies, form, n)
        # The first point is all zeros, which is short in JSON; the second has full precision.
        write_answer(self.answer, tell_once(self.client, self.sessions[0], self.bodies, form))

    def evaluations(self) -> list[int]:
        return [self.client.get(session)["evaluation"] for session in self.sessions]

    def ours(self, seconds: float, rate: float = 0) -> dict[str, Any]:
        before = self.evaluations()
        synced, cpu = syncs(self.daemon), cpu_seconds(self.daemon.pid)
        pairs = zip(self.sessions, before, strict=True)
        figures = load(self.setting, self.daemon.port, self.bodies, pairs, seconds, rate)
        synced, cpu = syncs(self.daemon) - synced, cpu_seconds(self.daemon.pid) - cpu
        told = sum(self.evaluations()) - sum(before)
        return {**figures, "syncs_per_tell": synced / told, "cpu_us_per_tell": cpu / told * 1e6}

    def bare_server(
        self, seconds: float, rate: float = 0, *arguments: Path | int
    ) -> dict[str, Any]:
        with bare(self.setting, self.answer, *arguments) as port:
            pairs = [(session, 1) for session in self.sessions]
            return load(self.setting, port, self.bodies, pairs, seconds, rate)

    @property
    def record_bytes(self) -> int:
        return 8 * self.n + RECORD_OVERHEAD_BYTES

    def bare_both(self, seconds: float) -> dict[str, Any]:
        """The bare server, which answers when the bare log has stored the record."""
        path = self.setting.file("bare-both")
        figures = self.bare_server(seconds, 0, path, self.record_bytes)
        path.unlink()
        return figures

    def bare_log(self, seconds: float) -> dict[str, Any]:
        path = self.setting.file("bare-log")
        words = [self.setting.program("log"), path, self.record_bytes, self.connections, seconds]
        done = subprocess.run(
            [str(word) for word in words], stdout=subprocess.PIPE, text=True, check=True
        )
        path.unlink()
        return json.loads(done.stdout)


def section(setting: Setting) -> str:
    quick = setting.quick
    cases = [(SIZE, form, c) for form in (JSON, OCTETS) for c in CONNECTIONS]
    if not quick:
        cases += [
            (n, form, c) for n in OTHER_SIZES for form in (JSON, OCTETS) for c in OTHER_CONNECTIONS
        ]
    rows, drawn = [], []
    with setting.daemon() as daemon:
        for n, form, connections in cases:
            print(f"throughput {n} {form} {connections}", file=sys.stderr, flush=True)
            case = Case(setting, daemon, n, form, connections)
            ours, floor, log, both = [], [], [], []
            for _ in range(setting.runs):
                floor.append(case.bare_server(setting.seconds))
                ours.append(case.ours(setting.seconds))
                log.append(case.bare_log(setting.seconds))
                if connections <= BOTH_CONNECTIONS_MAX:
                    both.append(case.bare_both(setting.seconds))
            rates: list[Any] = [
                median_rate(runs) if runs else None for runs in (ours, floor, log, both)
            ]
            rows.append(
                [
                    str(n),
                    NAMES[form],
                    str(connections),
                    f"{rates[0]:,.0f}",
                    f"{median(ours, 'p50_us') / 1000:.2f}",
                    f"{median(ours, 'p99_us') / 1000:.2f}",
                    f"{median(ours, 'cpu_us_per_tell'):.0f}",
                    f"{median(ours, 'syncs_per_tell'):.2f}",
                    f"{rates[1]:,.0f}",
                    f"{rates[0] / rates[1]:.2f}",
                    f"{rates[2]:,.0f}",
                    f"{rates[0] / rates[2]:.2f}",
                    f"{rates[3]:,.0f}" if rates[3] else "",
                    f"{rates[0] / rates[3]:.2f}" if rates[3] else "",
                ]
            )
            drawn.append([n, NAMES[form], connections, *rates])
    setting.results["throughput"] = drawn
    text = "Tells a second, each durable before it is answered.\n\n" + table(HEADS, rows)
    return f"{text}\n\n{others(setting, drawn)}"


def others(setting: Setting, drawn: list[list[Any]]) -> str:
    """Compares services that store trials, with one client that asks for a point and tells a
    value."""
    rows, notes = [], []
    for n in (SIZE,) if setting.quick else (10, SIZE, 1000):
        alone = {row[1]: row[3] for row in drawn if row[0] == n and row[2] == 1}
        shared = max(row[3] for row in drawn if row[0] == n)
        for name, python in setting.peers.items():
            if not isinstance(python, Path):
                continue
            print(f"throughput {n} {name}", file=sys.stderr, flush=True)
            run = other(setting, python, name, n)
            if run is None:
                notes.append(f"{name} fails at n = {n}.")
                continue
            rate = rate_of(run)
            cells = [f"{rate:.3g}", f"{run['p50_us'] / 1000:.3g}"]
            ratios = [f"{alone[form] / rate:,.0f}" for form in ("JSON", "octets")]
            rows.append([name, str(n), *cells, *ratios, f"{shared / rate:,.0f}"])
    heads = ["peer", "n", "trials/s", "p50 ms", "lbfgsd alone, JSON: times as many"]
    heads += ["octets", "lbfgsd's most"]
    notes += [f"{k}: {v}" for k, v in setting.peers.items() if not isinstance(v, Path)]
    return "\n\n".join([table(heads, rows)] * bool(rows) + notes)


def other(setting: Setting, python: Path, name: str, n: int) -> dict[str, Any] | None:
    directory = setting.file(name)
    directory.mkdir()
    command = [python, Path(__file__).with_name("peers.py"), name, n, setting.seconds, directory]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        print(done.stderr, file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])
