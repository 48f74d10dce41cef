"""A store with something of everything, and what a store says, for test_verify.py and
test_salvage.py."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from daemon import Client
from problems import rosenbrock, rosenbrock_start

WOLFE = {"line_search_fn": "strong_wolfe", "history_size": 3}
MIDDLE, LONG = 2_100, 135_000


def tell(client: Client, session: str, count: int) -> dict[str, Any]:
    turn = client.ask(session)
    for _ in range(count):
        if turn["state"] == "idle":
            turn = client.begin(session)
        turn = client.answer(turn, rosenbrock)
    return turn


def populate(client: Client) -> list[str]:
    """Sessions with all that a store has: checkpoints, forks, steps, traces, long vectors,
    idempotency keys, labels, a deleted session."""
    sessions = []
    for number in range(4):
        labels = {"team": "flow", "number": str(number)}
        session = client.create(name=f"s{number}", labels=labels, options=WOLFE)
        sessions.append(session)
        tell(client, session, 5 + number)
        for _ in range(2):
            client.ok("POST", f"/v1/sessions/{session}/checkpoints", {"name": "c"})
            tell(client, session, 12)
    fork = client.ok("POST", f"/v1/sessions/{sessions[0]}/checkpoints/1/fork", {})
    sessions.append(fork["id"])
    tell(client, fork["id"], 2)
    for n in (MIDDLE, MIDDLE, LONG):
        session = client.create(x0=rosenbrock_start(n), options=WOLFE)
        sessions.append(session)
        tell(client, session, 2)
        client.ok("POST", f"/v1/sessions/{session}/checkpoints", {})
        tell(client, session, 1)
    client.ok("DELETE", f"/v1/sessions/{sessions.pop(1)}")
    return sessions


def said(data: Path, scratch: Path) -> Any:
    """What a store says: all rows, the bytes that they name, and the log. Two stores that say the
    same are the same to whoever reads them."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    for name in ("lbfgsd.sqlite", "lbfgsd.sqlite-wal"):
        if (data / name).exists():
            shutil.copy(data / name, scratch / name)
    with closing(sqlite3.connect(scratch / "lbfgsd.sqlite")) as database:
        database.execute("PRAGMA journal_mode = DELETE")
        dump = list(database.iterdump())
        blobs = database.execute(
            "SELECT segment, offset, length FROM blob WHERE segment IS NOT NULL"
        ).fetchall()
        salt = database.execute("SELECT log_salt FROM store").fetchone()[0]
    spans = []
    for segment, offset, length in blobs:
        name = f"{abs(segment):06}.{'seg' if segment > 0 else 'vec'}"
        with (data / "segments" / name).open("rb") as file:
            file.seek(offset)
            spans.append(file.read(length))
    log = []
    for name in ("1.log", "2.log"):
        content = (data / "journal" / name).read_bytes()
        start = content.find(b"lbfgswal" + salt)
        log.append(content[start:] if start >= 0 else b"")
    return dump, spans, log


def change(data: Path, *statements: str) -> None:
    with closing(sqlite3.connect(data / "lbfgsd.sqlite")) as database, database:
        for statement in statements:
            assert database.execute(statement).rowcount > 0, statement
