"""Damage to the files of a store: it is found, it is held to what it concerns, and nothing is
deleted on the word of what is damaged."""

from __future__ import annotations

import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import requests

from daemon import Client, Daemon, wait_until
from problems import rosenbrock, rosenbrock_start
from store_reader import crc32c, sealed

WOLFE = {"line_search_fn": "strong_wolfe"}
LONG = 2_100


def tell(client: Client, session: str, count: int) -> dict[str, Any]:
    turn = client.ask(session)
    if turn["state"] == "idle":
        turn = client.begin(session)
    for _ in range(count):
        turn = client.answer(turn, rosenbrock)
    return turn


def change(data: Path, *statements: str) -> None:
    with closing(sqlite3.connect(data / "lbfgsd.sqlite")) as database, database:
        for statement in statements:
            assert database.execute(statement).rowcount > 0, statement


def refused(daemon: Daemon) -> str:
    """What the daemon says when it does not start."""
    daemon.spawn()
    assert daemon.process.wait(30) == 74, daemon.tail()
    return daemon.tail()


def corrupt(client: Client, method: str, path: str, body: Any = None) -> str:
    """The detail of the answer, which must be that something is damaged."""
    response = client.call(method, path, body)
    assert response.status_code == 500, response.text
    problem = response.json()
    assert problem["type"].endswith("corrupt"), problem
    return str(problem["detail"])


def test_a_gap_in_one_journal_refuses_one_session(daemon: Daemon, own_client: Client) -> None:
    client = own_client
    damaged, whole = client.create(name="damaged", options=WOLFE), client.create(name="whole")
    tell(client, damaged, 4)
    daemon.restart(cleanly=True)
    tell(client, damaged, 2)
    turn = tell(client, whole, 3)
    daemon.kill()
    newest = "(SELECT max(sequence) FROM event WHERE session = 1)"
    change(daemon.data, f"DELETE FROM event WHERE session = 1 AND sequence = {newest}")
    for cleanly in (False, True):
        daemon.start()
        assert client.ask(whole) == turn
        for method, path in (
            ("GET", f"/v1/sessions/{damaged}"),
            ("GET", f"/v1/sessions/{damaged}/evaluation"),
            ("POST", f"/v1/sessions/{damaged}/stop"),
        ):
            assert damaged in corrupt(client, method, path)
            reason = f"session {damaged}: entries 6..<7 of the journal are missing in table event"
            assert reason in daemon.tail()
        page = client.ok("GET", "/v1/sessions")
        assert [item["id"] for item in page["sessions"]] == [whole]
        assert page["damaged"] == {"count": 1, "ids": [damaged]}
        turn = tell(client, whole, 1)
        daemon.stop() if cleanly else daemon.kill()


def test_tables_that_are_older_than_the_journal_close_the_store(
    daemon: Daemon, own_client: Client
) -> None:
    client = own_client
    kept, deleted, lost = (client.create(name=name) for name in ("kept", "deleted", "lost"))
    for session in (kept, deleted, lost):
        tell(client, session, 2)
    client.ok("DELETE", f"/v1/sessions/{deleted}")
    daemon.restart()
    assert client.ask(kept)["evaluation"]["number"] == 3
    tell(client, lost, 1)
    daemon.kill()
    tables = ("event", "snapshot", "holding", "session")
    keys = ("session", "session", "session", "id")
    for table, key in zip(tables, keys, strict=True):
        change(daemon.data, f"DELETE FROM {table} WHERE {key} = 3")
    assert f"entries of session {lost}, which the tables have lost" in refused(daemon)


def test_damaged_rows_of_the_store_and_its_segments(daemon: Daemon, own_client: Client) -> None:
    client = own_client
    first = client.create(x0=rosenbrock_start(LONG), options=WOLFE)
    tell(client, first, 2)
    turn = tell(client, first, 1)
    assert daemon.stop() == 0
    sizes = {path.name: path.stat().st_size for path in (daemon.data / "segments").iterdir()}
    for column in ("size = size - 8", "live = 0", "live = live + 1"):
        copy = Daemon(daemon.data.with_name("copy"), daemon.log)
        shutil.rmtree(copy.data)
        shutil.copytree(daemon.data, copy.data)
        change(copy.data, f"UPDATE segment SET {column}")
        with closing(copy.start()):
            other = Client(copy.url)
            assert other.ask(first) == turn
            second = other.create(x0=rosenbrock_start(LONG), options=WOLFE)
            answered = tell(other, second, 1)
            tell(other, first, 1)
            copy.restart()
            assert other.ask(second) == answered
            assert copy.stop() == 0
        for name, size in sizes.items():
            assert (copy.data / "segments" / name).stat().st_size == size
    for column in ("moved = moved + 1", "sessions = 0", "log_salt = zeroblob(16)"):
        change(daemon.data, "UPDATE store SET " + column)
        assert "a row of store doesn't match its checksum" in refused(daemon)


def test_unknown_files_among_the_segments_are_not_deleted(
    daemon: Daemon, own_client: Client
) -> None:
    client = own_client
    session = client.create(x0=rosenbrock_start(LONG), options=WOLFE)
    turn = tell(client, session, 1)
    daemon.kill()
    segments = daemon.data / "segments"
    (segments / "000077.seg").write_bytes(b"a segment without a row")
    (segments / "000042.vec").write_bytes(b"a vector without a row")
    (segments / "notes.txt").write_bytes(b"of somebody else")
    with (segments / "000001.seg").open("ab") as file:
        file.write(b"a transaction without a commit")
    daemon.start()
    assert client.ask(session) == turn
    assert (segments / "notes.txt").read_bytes() == b"of somebody else"
    assert sorted(path.name for path in segments.iterdir()) == ["000001.seg", "notes.txt"]
    aside = {path.read_bytes() for path in (daemon.data / "lost").iterdir()}
    assert aside >= {
        b"a segment without a row",
        b"a vector without a row",
        b"a transaction without a commit",
    }


def test_a_segment_that_is_removed_under_the_daemon_ends_it(
    daemon: Daemon, own_client: Client
) -> None:
    client = own_client
    x0 = rosenbrock_start(LONG)
    whole = client.create(name="small")
    client.create(x0=x0, options=WOLFE)
    (daemon.data / "segments" / "000001.seg").unlink()
    try:
        response = client.call("POST", "/v1/sessions", {"x0": x0})
        assert not response.ok
    except requests.ConnectionError:
        pass
    assert daemon.process.wait(30) == 1
    assert "000001.seg was removed or replaced" in daemon.tail()
    daemon.start()
    assert client.get(whole)["name"] == "small"
    later = client.create(x0=x0, options=WOLFE)
    turn = tell(client, later, 1)
    daemon.restart()
    assert client.ask(later) == turn


FRAME = 24 + 4096


def frames(log: bytes) -> list[int]:
    """Where the frames begin that were written last, by SQLite's file format."""
    salts = log[16:24]
    starts = range(32, len(log) - FRAME + 1, FRAME)
    return [at for at in starts if log[at + 8 : at + 16] == salts]


def test_a_flipped_bit_in_the_databases_log_is_never_passed_over(
    daemon: Daemon, own_client: Client
) -> None:
    client = own_client
    sessions = [client.create(name=str(number)) for number in range(4)]
    turns = {session: tell(client, session, 2) for session in sessions}
    client.ok("PATCH", f"/v1/sessions/{sessions[0]}", {"name": "renamed"})
    daemon.kill()
    log = (daemon.data / "lbfgsd.sqlite-wal").read_bytes()
    starts = frames(log)
    seed = random.randrange(2**32)
    print("seed", seed)
    choose = random.Random(seed)
    offsets = [3, 17, 29, starts[0] + 2, starts[0] + 9, starts[-1] + 21, starts[-1] + 900]
    offsets += [start + choose.randrange(FRAME) for start in choose.sample(starts, 8)]
    for offset in offsets:
        copy = Daemon(daemon.data.with_name("copy"), daemon.log)
        shutil.rmtree(copy.data)
        shutil.copytree(daemon.data, copy.data)
        flipped = bytearray(log)
        flipped[offset] ^= 1 << choose.randrange(8)
        (copy.data / "lbfgsd.sqlite-wal").write_bytes(flipped)
        assert "lbfgsd.sqlite-wal is damaged" in refused(copy), offset
        assert (copy.data / "lbfgsd.sqlite-wal").read_bytes() == flipped
    # A transaction that was never synced: sectors of its frames are missing.
    commits = [at for at in starts if log[at + 4 : at + 8] != bytes(4)]
    last = [at for at in starts if commits[-2] < at]
    for at in (last[0], last[-1], last[0] + 1024):
        copy = Daemon(daemon.data.with_name("copy"), daemon.log)
        shutil.rmtree(copy.data)
        shutil.copytree(daemon.data, copy.data)
        sector = -(-at // 512) * 512
        torn = log[:sector] + bytes(512) + log[sector + 512 :]
        (copy.data / "lbfgsd.sqlite-wal").write_bytes(torn)
        with closing(copy.start()):
            other = Client(copy.url)
            assert {session: other.ask(session) for session in sessions} == turns
            assert other.get(sessions[0])["name"] in ("0", "renamed")


def test_a_damaged_session_is_left_out_of_lists_and_can_be_deleted(
    daemon: Daemon, own_client: Client
) -> None:
    client = own_client
    labels = {"team": "flow"}
    sessions = [client.create(name=str(number), labels=labels) for number in range(4)]
    for session in sessions:
        tell(client, session, 2)
    assert daemon.stop() == 0
    change(
        daemon.data,
        "UPDATE session SET name = 'changed' WHERE id = 2",
        "UPDATE event SET standing_step = 9 WHERE session = 3",
        "UPDATE session_label SET value = 'other' WHERE session = 4",
    )
    daemon.start()
    page = client.ok("GET", "/v1/sessions")
    assert [item["id"] for item in page["sessions"]] == [sessions[3], sessions[0]]
    assert page["damaged"]["count"] == 2
    assert sorted(page["damaged"]["ids"]) == sorted(sessions[1:3])
    # The index of labels is not believed.
    for value, expected in (("flow", [sessions[0]]), ("other", [])):
        page = client.ok("GET", f"/v1/sessions?label=team:{value}")
        assert [item["id"] for item in page["sessions"]] == expected
    pages, token = 0, ""
    while True:
        page = client.ok("GET", f"/v1/sessions?page_size=1{token}")
        pages += 1
        if page["next_page_token"] is None:
            break
        token = f"&page_token={page['next_page_token']}"
    assert pages == 4
    for session in sessions[1:3]:
        assert session in corrupt(client, "GET", f"/v1/sessions/{session}")
        assert session in corrupt(client, "POST", f"/v1/sessions/{session}/steps", {})
        refused_delete = client.call(
            "DELETE", f"/v1/sessions/{session}", headers={"If-Match": '"1-1"'}
        )
        assert refused_delete.status_code == 500
        assert client.call("DELETE", f"/v1/sessions/{session}").status_code == 204
        assert client.call("GET", f"/v1/sessions/{session}").status_code == 404
        assert client.call("DELETE", f"/v1/sessions/{session}").status_code == 404
    assert "damaged" not in client.ok("GET", "/v1/sessions")
    tell(client, sessions[0], 1)
    daemon.restart()
    assert len(client.ok("GET", "/v1/sessions")["sessions"]) == 2


def test_the_payload_that_a_damaged_entry_names_is_not_deleted(
    daemon: Daemon, own_client: Client
) -> None:
    client = own_client
    victim, damaged = client.create(options=WOLFE), client.create(options=WOLFE)
    for session in (victim, damaged):
        tell(client, session, 3)
    daemon.restart()
    turn = client.ask(victim)
    client.ask(damaged)
    daemon.kill()
    payload = "(SELECT max(payload) FROM event WHERE session = 1)"
    change(daemon.data, f"UPDATE event SET payload = {payload} WHERE session = 2 AND k = 1")
    daemon.start()
    assert client.call("DELETE", f"/v1/sessions/{damaged}").status_code == 204
    daemon.restart()
    assert client.ask(victim) == turn


def test_expiry_goes_on_past_a_damaged_session(daemon: Daemon, own_client: Client) -> None:
    client = own_client
    sessions = [client.create(name=str(number), expires_after=60) for number in range(3)]
    assert daemon.stop() == 0
    change(daemon.data, "UPDATE session SET name = 'changed' WHERE id = 3")
    # As if they had been left alone for days.
    with closing(sqlite3.connect(daemon.data / "lbfgsd.sqlite")) as database, database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(event)")]
        for row in database.execute("SELECT * FROM event").fetchall():
            values = dict(zip(columns, row, strict=True))
            values["time"] -= 3 * 86_400 * 1_000_000
            covered = [values[name] for name in columns if name not in ("id", "crc")]
            database.execute(
                "UPDATE event SET time = ?, crc = ? WHERE id = ?",
                (values["time"], crc32c(b"".join(map(sealed, covered))), values["id"]),
            )
    daemon.start()
    wait_until(
        lambda: all(
            client.call("GET", f"/v1/sessions/{session}").status_code == 404
            for session in sessions[:2]
        )
    )
    # What is damaged stays until somebody looks at it.
    assert sessions[2] in corrupt(client, "GET", f"/v1/sessions/{sessions[2]}")
    assert client.ok("GET", "/v1/sessions")["damaged"]["ids"] == [sessions[2]]


def test_a_trace_never_lacks_an_evaluation_in_silence(daemon: Daemon, own_client: Client) -> None:
    """Neither by a row whose evaluation is damaged, nor by an entry that no index leads to."""
    client = own_client
    session = client.create(options=WOLFE)
    tell(client, session, 6)
    path = f"/v1/sessions/{session}/trace"
    told = [point["evaluation"] for point in client.ok("GET", path)["trace"]]
    for damage in (
        "UPDATE event SET k = k - 128 WHERE k = 3",
        "UPDATE event SET k = NULL WHERE k = 3",
        "DELETE FROM event WHERE k = 3",
    ):
        daemon.stop()
        shutil.copytree(daemon.data, whole := daemon.data.with_name("whole"))
        change(daemon.data, damage)
        daemon.start()
        assert session in corrupt(client, "GET", path)
        daemon.stop()
        shutil.rmtree(daemon.data)
        whole.rename(daemon.data)
        daemon.start()
        assert [point["evaluation"] for point in client.ok("GET", path)["trace"]] == told
