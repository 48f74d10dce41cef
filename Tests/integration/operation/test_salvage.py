"""`lbfgsd salvage`: what damage has not touched comes back to the bit, and of the rest what can be
proved."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from test_verify import files, verify

from command import run
from daemon import Client, Daemon
from populated import WOLFE, change, populate, tell

CUT, STORAGE, TEMPORARY = 1, 74, 75


def salvage(data: Path, new: Path) -> tuple[int, dict[str, Any]]:
    shutil.rmtree(new, ignore_errors=True)
    before = files(data)
    result = run("salvage", "--json", data, "--into", new)
    assert files(data) == before
    assert result.returncode in (0, CUT), result.stderr
    assert verify(new) == (0, verify(new)[1])
    return result.returncode, json.loads(result.stdout)


@contextmanager
def serving(data: Path, log: Path) -> Iterator[Client]:
    daemon = Daemon(data, log)
    try:
        yield Client(daemon.start().url)
    finally:
        daemon.close()


def shown(client: Client, session: str) -> dict[str, Any] | None:
    """All that a client can see of a session; None if it is refused or gone."""
    answer = client.call("GET", f"/v1/sessions/{session}")
    if not answer.ok:
        return None
    view = answer.json()
    # Depends on what is in the log and on who shares vectors.
    view.pop("disk_bytes")
    path = f"/v1/sessions/{session}"
    checkpoints = client.ok("GET", f"{path}/checkpoints")
    states = [
        client.ok("GET", f"{path}/checkpoints/{item['id']}/state-dict")
        for item in checkpoints["checkpoints"]
    ]
    return {
        "view": view,
        "turn": client.ask(session),
        "trace": client.trace(session),
        "steps": [client.ok("GET", f"{path}/steps/{number}") for number in range(1, view["step"])],
        "checkpoints": checkpoints,
        "states": states,
    }


def test_a_whole_store_comes_back_as_it_is(
    daemon: Daemon, own_client: Client, tmp_path: Path
) -> None:
    sessions = populate(own_client)
    key = {"Idempotency-Key": "again"}
    path = f"/v1/sessions/{sessions[2]}/checkpoints"
    made = own_client.ok("POST", path, {}, headers=key)
    expected = {session: shown(own_client, session) for session in sessions}
    listed = own_client.ok("GET", "/v1/sessions?page_size=2")
    daemon.kill()
    status, report = salvage(daemon.data, tmp_path / "new")
    assert status == 0, report
    assert {item["session"] for item in report["sessions"]} == set(sessions)
    assert {item["outcome"] for item in report["sessions"]} == {"whole"}
    with serving(tmp_path / "new", tmp_path / "log") as client:
        for session in sessions:
            assert shown(client, session) == expected[session]
        assert client.ok("GET", "/v1/sessions?page_size=2") == listed
        more = client.ok(
            "GET", f"/v1/sessions?page_size=100&page_token={listed['next_page_token']}"
        )
        assert len(more["sessions"]) == len(sessions) - 2
        again = client.call("POST", path, {}, headers=key)
        assert again.json() == made
        assert again.headers["Idempotent-Replayed"] == "true"
        for session in sessions:
            tell(client, session, 1)
    assert verify(tmp_path / "new")[0] == 0
    assert run("salvage", daemon.data, "--into", tmp_path / "new").returncode == STORAGE


def test_what_is_not_touched_comes_back_and_what_is_says_what_it_lost(
    daemon: Daemon, own_client: Client, tmp_path: Path
) -> None:
    sessions = populate(own_client)
    expected = {session: shown(own_client, session) for session in sessions}
    # An orderly end leaves a snapshot of each session.
    daemon.restart(cleanly=True)
    tail = own_client.create(name="tail", options=WOLFE)
    turns = [tell(own_client, tail, 1) for _ in range(4)]
    daemon.restart()
    assert own_client.ask(tail) == turns[-1]
    daemon.kill()
    row, trace, snapshot, long = sessions[0], sessions[1], sessions[2], sessions[-1]
    # One bit, which can be undone.
    sign = "+" if is_clear(daemon.data, row) else "-"
    change(
        daemon.data,
        f"UPDATE session SET created_at = created_at {sign} 16 WHERE public_id = '{row}'",
    )
    damage_trace(daemon.data, trace)
    with closing(sqlite3.connect(daemon.data / "lbfgsd.sqlite")) as database, database:
        ids = dict(database.execute("SELECT public_id, id FROM session"))
        # The newest snapshot of one session, whose older ones its checkpoints keep.
        database.execute(
            "UPDATE snapshot SET numerics_version = 77 WHERE session = ? AND sequence = "
            "(SELECT max(sequence) FROM snapshot WHERE session = ?)",
            (ids[snapshot], ids[snapshot]),
        )
        # The payload of the last entry but one of another.
        (blob,) = database.execute(
            "SELECT payload FROM event WHERE session = ? AND k = 3", (ids[tail],)
        ).fetchone()
        database.execute("UPDATE blob SET bytes = zeroblob(length) WHERE id = ?", (blob,))
    vector = next(iter(sorted((daemon.data / "segments").glob("*.vec"))))
    content = bytearray(vector.read_bytes())
    for at in range(1000, 1100):
        content[at] ^= 0xFF
    vector.write_bytes(content)
    assert verify(daemon.data)[0] == CUT
    status, report = salvage(daemon.data, tmp_path / "new")
    assert status == CUT
    outcomes = {item["session"]: item for item in report["sessions"]}
    touched = {row, trace, snapshot, tail, long}
    with serving(tmp_path / "new", tmp_path / "log") as client:
        for session in sessions:
            if session not in touched:
                assert outcomes[session]["outcome"] == "whole", outcomes[session]
                assert shown(client, session) == expected[session]
        # A bit of its row was corrected: nothing else of it is lost.
        assert shown(client, row) == expected[row]
        assert outcomes[row]["outcome"] == "cut"
        # A point of its trace.
        assert client.ask(trace) == (expected[trace] or {})["turn"]
        assert "1 of" in " ".join(outcomes[trace]["lost"])
        # Its newest state: it stands at its last checkpoint.
        checkpoints = (expected[snapshot] or {})["checkpoints"]["checkpoints"]
        assert outcomes[snapshot]["outcome"] == "cut"
        stands = client.get(snapshot)
        assert stands["evaluation"] == checkpoints[0]["evaluation"]
        assert stands["step"] == checkpoints[0]["step"]
        # The entries from the damaged payload on: the client repeats its results.
        assert client.ask(tail) == turns[1]
        assert [tell(client, tail, 1) for _ in range(2)] == turns[2:]
        tell(client, snapshot, 3)
    assert verify(tmp_path / "new")[0] == 0


def is_clear(data: Path, session: str) -> bool:
    with closing(sqlite3.connect(data / "lbfgsd.sqlite")) as database:
        ((value,),) = database.execute(
            "SELECT created_at & 16 FROM session WHERE public_id = ?", (session,)
        ).fetchall()
    return value == 0


def damage_trace(data: Path, session: str) -> None:
    """A row of the trace that nothing replays: it is later than the last checkpoint, and the newest
    snapshot is later still."""
    with closing(sqlite3.connect(data / "lbfgsd.sqlite")) as database, database:
        ((row,),) = database.execute("SELECT id FROM session WHERE public_id = ?", (session,))
        changed = database.execute(
            "UPDATE event SET loss = loss + 12345 WHERE session = :row AND sequence = 1 + "
            "(SELECT max(sequence) FROM checkpoint WHERE session = :row)",
            {"row": row},
        ).rowcount
        assert changed == 1


def test_a_store_that_does_not_open_is_brought_back(
    daemon: Daemon, own_client: Client, tmp_path: Path
) -> None:
    client = own_client
    sessions = [client.create(name=str(number), options=WOLFE) for number in range(3)]
    for session in sessions:
        tell(client, session, 3)
    expected = {session: shown(client, session) for session in sessions}
    daemon.kill()
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    log = daemon.data / "lbfgsd.sqlite-wal"
    whole = bytearray(log.read_bytes())
    # A bit of a frame, which can be told to have changed, and so is undone. The checksum of a frame
    # is modulo 2^32: of the low half of a word it says which bit has changed.
    flipped = bytearray(whole)
    at = 32 + 24 + 4 * chance.randrange(1024) + chance.randrange(2)
    flipped[at] ^= 1 << chance.randrange(8)
    log.write_bytes(flipped)
    daemon.spawn()
    assert daemon.process.wait(60) == STORAGE
    status, report = salvage(daemon.data, tmp_path / "new")
    assert status == CUT and "lbfgsd.sqlite-wal" in report["losses"][0]
    with serving(tmp_path / "new", tmp_path / "log") as other:
        for session in sessions:
            assert shown(other, session) == expected[session]
    log.write_bytes(whole)
    # The row of store: nothing is known of what the log has that the tables lack.
    change(daemon.data, "UPDATE store SET probes = probes + 12345")
    status, report = salvage(daemon.data, tmp_path / "new")
    assert status == CUT and report["losses"]
    with serving(tmp_path / "new", tmp_path / "log") as other:
        for session in sessions:
            assert (shown(other, session) or {})["view"]["id"] == session
            tell(other, session, 2)


def test_a_high_bit_of_sqlites_wal_loses_nothing_although_its_checksum_does_not_say_where_it_is(
    daemon: Daemon, own_client: Client, tmp_path: Path
) -> None:
    sessions = [own_client.create(name=str(number), options=WOLFE) for number in range(3)]
    for session in sessions:
        tell(own_client, session, 3)
    daemon.kill()
    log = daemon.data / "lbfgsd.sqlite-wal"
    whole = log.read_bytes()
    seed = random.randrange(2**32)
    print("seed", seed)
    for frame in random.Random(seed).sample(range((len(whole) - 32) // 4120), 5):
        # The last byte of the second word of a page; of its last word; of the page's number.
        for at in (24 + 7, 24 + 4095, 3):
            flipped = bytearray(whole)
            flipped[32 + frame * 4120 + at] ^= 0x80
            log.write_bytes(flipped)
            status, report = salvage(daemon.data, tmp_path / "new")
            assert status == CUT, (frame, at)
            outcomes = {item["session"]: item["outcome"] for item in report["sessions"]}
            assert outcomes == dict.fromkeys(sessions, "whole"), (frame, at)


def test_what_cannot_be_salvaged_has_another_status(
    daemon: Daemon, own_client: Client, tmp_path: Path
) -> None:
    own_client.create(name="x")
    assert run("salvage", daemon.data, "--into", tmp_path / "new").returncode == TEMPORARY
    missing = run("salvage", tmp_path / "nowhere", "--into", tmp_path / "new")
    assert missing.returncode == STORAGE
    assert run("salvage", daemon.data).returncode == 64
    assert not (tmp_path / "new").exists()
