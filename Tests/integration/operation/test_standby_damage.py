"""Damage and standbys: what is damaged on the primary is so on its standby, and nothing else; what
is damaged on the standby concerns the sessions that it hits."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from test_damage import change, corrupt
from test_standby import LONG, paired

from daemon import Client, Daemon
from populated import WOLFE, tell
from problems import rosenbrock_start


def states(client: Client, sessions: list[str]) -> dict[str, Any]:
    """What each session waits for; the reason if it is refused."""
    answers: dict[str, Any] = {}
    for session in sessions:
        answer = client.call("GET", f"/v1/sessions/{session}")
        if answer.ok:
            answers[session] = client.ask(session)
        else:
            answers[session] = corrupt(client, "GET", f"/v1/sessions/{session}")
    return answers


def damage(data: Path, gap: str, row: str, blob: str) -> None:
    """Damages a row of three sessions, and bytes of the vectors of others."""
    with closing(sqlite3.connect(data / "lbfgsd.sqlite")) as database:
        ids = dict(database.execute("SELECT public_id, id FROM session"))
        ((newest,),) = database.execute(
            "SELECT max(sequence) FROM event WHERE session = ?", (ids[gap],)
        )
        ((payload,),) = database.execute(
            "SELECT max(payload) FROM event WHERE session = ?", (ids[blob],)
        )
        ((vectors,),) = database.execute(
            "SELECT count(*) FROM blob WHERE segment < 0 AND id = ?", (payload,)
        )
    assert vectors == 1
    change(
        data,
        f"DELETE FROM event WHERE session = {ids[gap]} AND sequence = {newest}",
        f"UPDATE session SET created_at = created_at + 12345 WHERE id = {ids[row]}",
        f"UPDATE blob SET offset = offset + 3 WHERE id = {payload}",
    )
    oldest = min((data / "segments").glob("*.vec"))
    content = bytearray(oldest.read_bytes())
    content[5000:5100] = bytes(100)
    oldest.write_bytes(content)


def test_what_is_damaged_on_the_primary_is_so_on_its_standby_and_the_rest_is_served(
    tmp_path: Path,
) -> None:
    with paired(tmp_path, "asynchronous") as pair:
        pair.wait()
        pair.standby.end()
        pair.primary.kill()
        before = Daemon(pair.primary.data, tmp_path / "before").start()
        client = Client(before.url)
        # First, so that the oldest vectors are its own.
        bytes_ = client.create(x0=rosenbrock_start(LONG), options=WOLFE)
        tell(client, bytes_, 2)
        assert before.stop() == 0
        before.start()
        gap, row, whole = (client.create(name=name, options=WOLFE) for name in "grw")
        blob, long = (client.create(x0=rosenbrock_start(LONG), options=WOLFE) for _ in range(2))
        sessions = [gap, row, whole, bytes_, blob, long]
        for session in sessions:
            if session != bytes_:
                tell(client, session, 2)
        assert before.stop() == 0
        before.start()
        # An entry of the log that has nothing to continue goes to table `detached`.
        tell(client, gap, 2)
        tell(client, blob, 1)
        before.kill()
        damage(before.data, gap, row, blob)
        pair.primary.start()
        expected = states(Client(pair.primary.url), sessions)
        refused = {session for session, state in expected.items() if isinstance(state, str)}
        assert refused == {gap, row, bytes_, blob}, expected
        pair.standby.start()
        pair.wait()
        assert "the primary's store is damaged" in pair.standby.text
        for session in (whole, long):
            expected[session] = tell(Client(pair.primary.url), session, 1)
        pair.wait()
        pair.primary.kill()
        assert pair.promote().returncode == 0
        pair.successor.arguments = ()
        pair.successor.start()
        successor = Client(pair.successor.url)
        assert states(successor, sessions) == expected
        reason = f"session {gap}: entries "
        assert reason in pair.primary.tail() and reason in pair.successor.tail()
        for session in (whole, long):
            tell(successor, session, 1)
        pair.successor.restart(cleanly=True)
        assert states(successor, [gap]) == {gap: expected[gap]}


def test_damage_to_the_log_of_a_standby_concerns_the_sessions_that_it_hits(tmp_path: Path) -> None:
    with paired(tmp_path, "asynchronous") as pair:
        pair.wait()
        client = Client(pair.primary.url)
        hit, other = client.create(name="hit"), client.create(name="other")
        tell(client, hit, 3)
        turn = tell(client, other, 3)
        pair.wait()
        pair.primary.kill()
        pair.standby.end()
        with closing(sqlite3.connect(pair.standby.data / "lbfgsd.sqlite")) as database:
            ((salt,),) = database.execute("SELECT log_salt FROM store")
        start = b"lbfgswal" + salt
        log = next(
            path
            for path in (pair.standby.data / "journal").iterdir()
            if hit.encode() in path.read_bytes()
        )
        content = bytearray(log.read_bytes())
        first = content.rindex(start, 0, content.index(hit.encode()))
        content[first + 60 : first + 80] = bytes(20)
        log.write_bytes(content)
        assert pair.promote().returncode == 0
        pair.successor.arguments = ()
        pair.successor.start()
        successor = Client(pair.successor.url)
        assert hit in corrupt(successor, "GET", f"/v1/sessions/{hit}")
        assert f"session {hit}: entries" in pair.successor.tail()
        assert states(successor, [other]) == {other: turn}
        tell(successor, other, 1)
