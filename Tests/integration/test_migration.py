"""Stores that earlier versions of the daemon left, opened by this one.

`stores/schema-3-*.tar.xz` are data directories as the daemon with schema version 3 left them: after
an orderly stop, and killed, with entries in the write-ahead log and traces in batches. The file
beside each says what that daemon showed of its sessions. `stores/schema-5-killed.tar.xz` is the
same of version 5, whose entries say nothing that only lists and line searches show. Version 3
differs from version 2 by a
table, which is empty in the first store, and version 2 from version 1 by a column.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from daemon import Client, Daemon
from problems import rosenbrock

STORES = Path(__file__).resolve().parent / "stores"
SCHEMA = 6
DOWNGRADES = {
    3: "",
    2: "DROP TABLE chapter; PRAGMA user_version = 2;",
    1: "DROP TABLE chapter; ALTER TABLE store DROP COLUMN moved; PRAGMA user_version = 1;",
}


def unpacked(name: str, directory: Path) -> dict[str, Any]:
    with tarfile.open(STORES / f"{name}.tar.xz") as archive:
        archive.extractall(directory, filter="data")
    (directory / "segments").mkdir(exist_ok=True)
    expected: dict[str, Any] = json.loads((STORES / f"{name}.json").read_text())
    return expected


def shown(client: Client, session: str) -> dict[str, Any]:
    document, turn = client.get(session), client.ask(session)
    evaluation = turn["evaluation"]
    x = hashlib.sha256(json.dumps(evaluation["x"]).encode()).hexdigest()
    points = client.trace(session)
    checkpoints = client.ok("GET", f"/v1/sessions/{session}/checkpoints")["checkpoints"]
    return {
        "turn": [turn["state"], evaluation["number"], x],
        "trace": [[p["evaluation"], p["loss"], p["gradient_norm_inf"]] for p in points],
        "labels": document["labels"],
        "name": document["name"],
        "checkpoints": [checkpoint["name"] for checkpoint in checkpoints],
    }


@pytest.mark.parametrize(
    ("name", "version"),
    [
        *(("schema-3-stopped", version) for version in DOWNGRADES),
        ("schema-3-killed", 3),
        ("schema-5-killed", 5),
    ],
)
def test_an_older_store_opens_with_all_that_it_had(tmp_path: Path, name: str, version: int) -> None:
    daemon = Daemon(tmp_path / "data", tmp_path / "log")
    expected = unpacked(name, daemon.data)
    if DOWNGRADES.get(version):
        with closing(sqlite3.connect(daemon.data / "lbfgsd.sqlite")) as database:
            database.executescript(DOWNGRADES[version])
    try:
        client = Client(daemon.start().url)
        for _ in range(2):
            assert {session: shown(client, session) for session in expected} == expected
            daemon.restart(cleanly=True)
        for session in expected:
            turn = client.ask(session)
            number = turn["evaluation"]["number"]
            assert client.answer(turn, rosenbrock)["evaluation"]["number"] == number + 1
            client.ok("DELETE", f"/v1/sessions/{session}")
        assert daemon.stop() == 0
    finally:
        daemon.close()
    with closing(sqlite3.connect(daemon.data / "lbfgsd.sqlite")) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (SCHEMA,)
        for table in ("session", "blob", "vector", "holding"):
            assert database.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
        assert database.execute("SELECT total(live) FROM segment").fetchone() == (0,)


def test_lists_show_what_entries_of_an_older_store_do_not_say(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "data", tmp_path / "log")
    expected = unpacked("schema-5-killed", daemon.data)
    try:
        client = Client(daemon.start().url)
        listed = client.ok("GET", "/v1/sessions?order_by=best_loss")["sessions"]
        assert {session["id"] for session in listed} == expected.keys()
        losses = [session["best"]["loss"] for session in listed]
        assert losses == sorted(losses)
        assert {s["mode"] for s in listed} == {"torch", "robust"}
        # Loaded, a session says exactly what it has come to.
        for session, what in expected.items():
            best = min(loss for _, loss, _ in what["trace"])
            assert client.get(session)["best"]["loss"] == best
            assert all(point["slope"] is None for point in client.trace(session))
            client.answer(client.ask(session), rosenbrock)
        for session in client.ok("GET", "/v1/sessions?order_by=best_loss")["sessions"]:
            told = client.trace(session["id"])
            assert session["best"]["loss"] == min(point["loss"] for point in told)
            assert session["gradient_norm_inf"] == told[-1]["gradient_norm_inf"]
    finally:
        daemon.close()


def test_a_row_that_was_damaged_before_the_migration_stays_damaged(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "data", tmp_path / "log")
    expected = unpacked("schema-3-stopped", daemon.data)
    with closing(sqlite3.connect(daemon.data / "lbfgsd.sqlite")) as database, database:
        database.execute("UPDATE session SET name = 'another' WHERE name = 'long'")
    try:
        client = Client(daemon.start().url)
        for session, what in expected.items():
            response = client.call("GET", f"/v1/sessions/{session}")
            assert response.status_code == (500 if what["name"] == "long" else 200)
    finally:
        daemon.close()
