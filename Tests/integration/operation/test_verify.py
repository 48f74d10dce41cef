"""`lbfgsd verify` finds every change of what a store says, and changes nothing."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from command import run
from daemon import Client, Daemon
from populated import LONG, WOLFE, change, populate, said, tell
from store_reader import crc32c, sealed

DAMAGED, STORAGE, TEMPORARY, USAGE = 1, 74, 75, 64
FLIPS = int(os.environ.get("LBFGSD_VERIFY_FLIPS", "60"))


def verify(data: Path) -> tuple[int, dict[str, Any]]:
    result = run("verify", "--json", data)
    return result.returncode, json.loads(result.stdout or "{}")


def files(data: Path) -> dict[str, str]:
    return {
        str(path.relative_to(data)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in data.rglob("*")
        if path.is_file()
    }


@pytest.fixture(params=["stopped", "killed"])
def store(request: pytest.FixtureRequest, daemon: Daemon, own_client: Client) -> Path:
    populate(own_client)
    if request.param == "stopped":
        assert daemon.stop() == 0
    else:
        daemon.kill()
    return daemon.data


def test_a_sound_store_is_sound_and_stays_as_it_is(store: Path, tmp_path: Path) -> None:
    before = files(store)
    status, report = verify(store)
    assert (status, report["sound"], report["findings"]) == (0, True, [])
    assert report["sessions"] == 7
    assert report["entries_replayed"] >= 3
    assert report["bytes_read"] > 8 * LONG
    assert files(store) == before
    result = run("verify", store)
    assert (result.returncode, result.stdout) == (0, "")
    assert "7 sessions" in result.stderr
    backup = run("backup", tmp_path / "backups", "--data", store).stdout.splitlines()[0]
    status, report = verify(Path(backup))
    assert (status, report["findings"]) == (0, [])


def test_a_name_in_the_schema_that_is_another_is_found(store: Path, tmp_path: Path) -> None:
    wal = store / "lbfgsd.sqlite-wal"
    if wal.exists() and wal.stat().st_size:
        pytest.skip("the WAL has these pages, and its checksums tell")
    content = (store / "lbfgsd.sqlite").read_bytes()
    for name in (b"standing_phase TEXT", b"memory_bytes INTEGER", b"created_at INTEGER"):
        assert name in content
        copy = tmp_path / name.decode().split()[0]
        shutil.copytree(store, copy)
        changed = content.replace(name, bytes([name[0] ^ 8]) + name[1:])
        (copy / "lbfgsd.sqlite").write_bytes(changed)
        status, report = verify(copy)
        assert (status, report["sound"]) == (DAMAGED, False), name


def test_every_flipped_bit_of_what_a_store_says_is_found(store: Path, tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    expected = said(store, tmp_path / "expected")
    kinds: dict[str, list[Path]] = {}
    for path in sorted(store.rglob("*")):
        if (
            path.is_file()
            and path.stat().st_size
            and path.suffix in (".sqlite", ".sqlite-wal", ".log", ".seg", ".vec")
        ):
            kinds.setdefault(path.suffix, []).append(path)
    found, harmless = 0, 0
    for number in range(FLIPS):
        path = chance.choice(kinds[chance.choice(sorted(kinds))])
        content = bytearray(path.read_bytes())
        used = len(content.rstrip(b"\0")) if path.suffix == ".log" else len(content)
        bit = chance.randrange(8 * used)
        content[bit // 8] ^= 1 << bit % 8
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(store, copy)
        (copy / path.relative_to(store)).write_bytes(content)
        before = files(copy)
        status, report = verify(copy)
        where = f"flip {number}: bit {bit % 8} of byte {bit // 8} of {path.name}"
        assert files(copy) == before, where
        assert status in (0, DAMAGED), where
        if status == DAMAGED:
            assert report["findings"], where
            found += 1
            continue
        harmless += 1
        assert said(copy, tmp_path / "said") == expected, where
    print(f"{found} of {FLIPS} flips found, {harmless} in bytes that say nothing")
    assert found > 0


def findings(data: Path) -> list[dict[str, Any]]:
    status, report = verify(data)
    assert (status == DAMAGED) == bool(report["findings"])
    return list(report["findings"])


def test_damage_is_named_with_its_session_and_place(
    daemon: Daemon, own_client: Client, tmp_path: Path
) -> None:
    sessions = populate(own_client)
    assert daemon.stop() == 0
    data = daemon.data

    def damaged(*statements: str) -> list[dict[str, Any]]:
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(data, copy)
        change(copy, *statements)
        return findings(copy)

    first = sessions[0]
    for statement, what in (
        ("UPDATE session SET name = 'x' WHERE id = 1", "a row of session doesn't match"),
        ("UPDATE session_label SET value = 'x' WHERE session = 1", "session_label differs"),
        ("UPDATE event SET loss = loss + 1 WHERE session = 1 AND k = 9", "a row of event"),
        ("DELETE FROM snapshot WHERE session = 1", "the session has no snapshot"),
        ("UPDATE step SET evaluations = 0 WHERE session = 1 AND number = 1", "a row of step"),
        ("UPDATE checkpoint SET name = 'x' WHERE session = 1 AND number = 2", "of checkpoint"),
        ("DELETE FROM holding WHERE session = 1", "holding has no row"),
    ):
        found = damaged(statement)
        assert any(what in item["what"] and item.get("session") == first for item in found), found
    for statement, what in (
        ("UPDATE blob SET bytes = zeroblob(length) WHERE segment IS NULL", "blob"),
        ("UPDATE vector SET names = names + 1 WHERE id = (SELECT max(id) FROM vector)", "vector"),
        ("UPDATE segment SET live = live - 1", "a row of segment"),
        ("DELETE FROM blob WHERE id = (SELECT max(id) FROM blob)", "is missing"),
        ("UPDATE store SET probes = 9", "a row of store"),
        ("DELETE FROM segment WHERE id = 1", "segment 1 has no row"),
        ("DROP INDEX session_by_tenant", "the schema"),
    ):
        if statement.startswith("DROP"):
            copy = tmp_path / "copy"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(data, copy)
            with closing(sqlite3.connect(copy / "lbfgsd.sqlite")) as database:
                database.execute(statement)
            found = findings(copy)
        else:
            found = damaged(statement)
        assert any(what in item["what"] for item in found), (statement, found)
    # A byte of a long vector, and a file that is gone.
    copy = tmp_path / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(data, copy)
    vector = next((copy / "segments").glob("*.vec"))
    content = bytearray(vector.read_bytes())
    content[1000] ^= 1
    vector.write_bytes(content)
    found = findings(copy)
    assert {"file": f"segments/{vector.name}", "offset": 0} in [
        {key: item.get(key) for key in ("file", "offset")} for item in found
    ]
    assert any(item.get("session") == sessions[-1] for item in found)
    vector.unlink()
    assert any(item["what"] == "the file is missing" for item in findings(copy))
    line = run("verify", copy).stdout.splitlines()[0].split("\t")
    assert len(line) == 4


def test_what_a_row_says_is_replayed_not_believed(daemon: Daemon, own_client: Client) -> None:
    """A row that was changed together with its checksum."""
    session = own_client.create(name="replayed", options=WOLFE)
    tell(own_client, session, 3)
    daemon.restart()
    tell(own_client, session, 1)
    daemon.kill()
    daemon.start()
    daemon.kill()
    data = daemon.data
    assert findings(data) == []
    with closing(sqlite3.connect(data / "lbfgsd.sqlite")) as database, database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(event)")]
        row = list(
            database.execute("SELECT * FROM event ORDER BY sequence DESC LIMIT 1").fetchone()
        )
        position = columns.index("point_digest")
        row[position] = bytes(16)
        covered = [v for c, v in zip(columns, row, strict=True) if c not in ("id", "crc")]
        crc = crc32c(b"".join(map(sealed, covered)))
        database.execute(
            "UPDATE event SET point_digest = ?, crc = ? WHERE id = ?", (row[position], crc, row[0])
        )
    found = findings(data)
    assert len(found) == 1
    assert found[0].get("session") == session
    assert "the trial point isn't the one that was asked for" in found[0]["what"]


def test_what_cannot_be_checked_has_another_status(
    daemon: Daemon, own_client: Client, tmp_path: Path
) -> None:
    own_client.create(name="x")
    assert run("verify", daemon.data).returncode == TEMPORARY
    assert run("verify", tmp_path / "nowhere").returncode == STORAGE
    assert run("verify").returncode == USAGE
    assert daemon.stop() == 0
    tables = daemon.data / "lbfgsd.sqlite"
    content = bytearray(tables.read_bytes())
    content[0] ^= 1
    tables.write_bytes(content)
    result = run("verify", daemon.data)
    assert result.returncode == DAMAGED
    assert "lbfgsd.sqlite" in result.stdout
