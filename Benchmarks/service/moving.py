"""Measures the export of a long session and its import by another daemon.

    python3 Benchmarks/service/moving.py [--n 100000000] [--history 2]

A session of n numbers in float32 is told until its history is full and a line search is under way;
then `lbfgsd export` writes it to a file, and `lbfgsd import` sends that to a second daemon, whose
trial point has to be the same to the bit. Peak memory is that of each daemon, from before the
transfer. The data are in $LBFGSD_BENCH_DIR, or else in out/service. Prints Markdown.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import tempfile
import time
from pathlib import Path

from parts import (  # isort: skip
    MIB,
    OCTETS,
    SESSION_OPTIONS,
    Client,
    Daemon,
    Setting,
    forget_peak,
    random_octets,
    status_bytes,
    table,
)

from daemon import binary


def tell(client: Client, session: str, body: bytes, loss: float) -> None:
    number = client.get(session)["evaluation"]
    path = f"/v1/sessions/{session}/evaluations/{number}/result?loss={loss}"
    response = client.call("PUT", path, body, {"Content-Type": OCTETS, "Prefer": "return=minimal"})
    assert response.ok, response.text


def point(client: Client, session: str) -> tuple[int, str]:
    """The number of the pending evaluation, and the digest of its point."""
    path = f"/v1/sessions/{session}/evaluation"
    response = client.call("GET", path, headers={"Accept": OCTETS})
    digest = hashlib.sha256(response.content).hexdigest()
    return int(response.headers["Lbfgsd-Evaluation"]), digest


def transfer(command: str, daemon: Daemon, file: Path) -> float:
    """The seconds of a command that reads or writes the file."""
    began = time.monotonic()
    words = [str(binary()), *command.split(), "--url", daemon.url]
    if command.startswith("export"):
        with file.open("wb") as output:
            subprocess.run(words, check=True, stdout=output)
    else:
        with file.open("rb") as source:
            subprocess.run(words, check=True, stdin=source)
    return time.monotonic() - began


def measure(setting: Setting, n: int, history: int) -> list[tuple[str, str]]:
    file = setting.file("session")
    # A file counts as a response, and as a body.
    room = ("--max-response-bytes-in-flight", "16GiB")
    with setting.daemon(*room, n=n) as first, setting.daemon(*room, n=n) as second:
        client, other = Client(first.url), Client(second.url)
        made = client.ok(
            "POST",
            "/v1/sessions",
            {
                "params": [{"name": "x", "shape": [n], "fill": 1.0}],
                "dtype": "float32",
                "options": {**SESSION_OPTIONS, "history_size": history},
            },
        )
        session, estimate = made["id"], made["memory_bytes_estimate"]
        client.begin(session)
        for seed in range(history + 2):
            tell(client, session, random_octets(n, "float32", seed), -float(seed))
        expected = point(client, session)
        peaks = []
        for daemon in (first, second):
            forget_peak(daemon.pid)
            peaks.append(status_bytes(daemon.pid, "VmRSS"))
        exported = transfer(f"export {session}", first, file)
        imported = transfer("import", second, file)
        (listed,) = other.ok("GET", "/v1/sessions")["sessions"]
        most = [status_bytes(daemon.pid, "VmHWM") for daemon in (first, second)]
        assert point(other, listed["id"]) == expected
        size = file.stat().st_size
        bound = estimate + 4 * n + 64 * MIB
    return [
        ("session file", f"{size / 1e6:,.0f} MB"),
        ("export", f"{exported:.1f} s, {size / exported / 1e6:,.0f} MB/s"),
        ("import", f"{imported:.1f} s, {size / imported / 1e6:,.0f} MB/s"),
        ("memory of the exporting daemon before", f"{peaks[0] / 1e6:,.0f} MB"),
        ("its peak during the export", f"{most[0] / 1e6:,.0f} MB"),
        ("peak of the importing daemon", f"{most[1] / 1e6:,.0f} MB"),
        ("the session's estimate + one vector + 64 MiB", f"{bound / 1e6:,.0f} MB"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--n", type=int, default=100_000_000)
    parser.add_argument("--history", type=int, default=2)
    given = parser.parse_args()
    place = Path(os.environ.get("LBFGSD_BENCH_DIR") or "out/service")
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place, prefix="run-") as directory:
        setting = Setting(Path(directory).resolve(), True, 1, 1, {})
        rows = measure(setting, given.n, given.history)
    heads = [f"float32, m = {given.history}", f"n = {given.n:,}"]
    print(table(heads, [list(row) for row in rows]))


if __name__ == "__main__":
    main()
