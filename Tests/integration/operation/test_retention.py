"""How much of a session's history is kept, and the disk space that it takes."""

from __future__ import annotations

import functools
import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from command import run, serving
from daemon import Client, Daemon, binary, wait_until

POINTS = 100
INTERVAL = 10
ENDLESS = {
    "lr": 1e-3,
    "max_iter": 10**9,
    "max_eval": 10**9,
    "tolerance_grad": 0,
    "tolerance_change": 0,
    "history_size": 3,
}


@pytest.fixture
def frugal(tmp_path: Path) -> Iterator[Daemon]:
    arguments = ("--max-trace-points", str(POINTS), "--snapshot-interval", str(INTERVAL))
    daemon = Daemon(tmp_path / "data", tmp_path / "log", arguments)
    try:
        yield daemon.start()
    finally:
        daemon.close()


def result(number: int, n: int = 4) -> tuple[float, list[float]]:
    return 1.0 + 1.0 / number, [0.5 + 1.0 / (number + i) for i in range(n)]


def constant(number: int, x: list[float]) -> tuple[float, list[float]]:
    """The result of that number, at any point."""
    return result(number, len(x))


def tell_on(client: Client, session: str, count: int, n: int = 4) -> int:
    """Tells so many results. Returns the number of the evaluation that is pending afterwards."""
    number = client.ask(session)["evaluation"]["number"]
    for _ in range(count):
        turn = client.tell(session, number, *result(number, n))
        # These results have no minimum, so that a step may end early.
        turn = turn if turn["state"] == "evaluating" else client.begin(session)
        number = turn["evaluation"]["number"]
    return number


def tell_again(client: Client, session: str, number: int, told: Any) -> requests.Response:
    path = f"/v1/sessions/{session}/evaluations/{number}/result"
    return client.call("PUT", path, {"loss": told[0], "gradient": told[1]})


def on_disk(directory: Path) -> int:
    return sum(512 * path.stat().st_blocks for path in directory.rglob("*") if path.is_file())


# MARK: The trace


def test_a_trace_is_whole_after_kills_whatever_the_snapshots_made_of_it(tmp_path: Path) -> None:
    """More than a hundred results between two snapshots, so that most of the trace is stored in
    batches, and the rest, near the kills and the checkpoint, one point per row."""
    daemon = Daemon(tmp_path / "data", tmp_path / "log", ("--snapshot-interval", "200"))
    try:
        client = Client(daemon.start().url)
        session = client.create(x0=[1.0, 2.0, 3.0, 4.0], options=ENDLESS)
        client.begin(session)
        for count in (150, 90, 310, 17, 433):
            pending = tell_on(client, session, count)
            if count == 310:
                client.ok("POST", f"/v1/sessions/{session}/checkpoints", {}, status=201)
            daemon.restart()
            trace = client.trace(session)
            assert [point["evaluation"] for point in trace] == list(range(1, pending))
            assert [point["loss"] for point in trace] == [result(k)[0] for k in range(1, pending)]
        for start in range(1, pending, 61):
            page = client.ok("GET", f"/v1/sessions/{session}/trace?from={start}&limit=150")
            told = [point["evaluation"] for point in page["trace"]]
            assert told == list(range(start, min(start + 150, pending)))
            assert tell_again(client, session, start, result(start)).status_code == 200
            assert tell_again(client, session, start, result(start + 1)).status_code == 409
        turn = client.ok("POST", f"/v1/sessions/{session}/checkpoints/1/restore")
        assert tell_on(client, session, 300) > turn["evaluation"]["number"]
    finally:
        daemon.close()


def test_a_long_trace_is_thinned_out_and_what_is_new_can_be_told_again(frugal: Daemon) -> None:
    client = Client(frugal.url)
    assert client.ok("GET", "/v1/limits")["trace_points_max"] == POINTS
    session = client.create(x0=[1.0, 2.0, 3.0, 4.0], options=ENDLESS)
    client.begin(session)
    pending = tell_on(client, session, 500)
    frugal.restart()
    kept = [point["evaluation"] for point in client.trace(session)]
    assert POINTS / 2 < len(kept) <= POINTS + INTERVAL
    assert kept == sorted(set(kept)) and kept[0] == 1
    newest = list(range(pending - POINTS // 2, pending))
    assert kept[-len(newest) :] == newest
    for number in kept:
        again = tell_again(client, session, number, result(number))
        assert again.status_code == 200 and again.headers["Idempotent-Replayed"] == "true"
        other = tell_again(client, session, number, (7.0, [0.0] * 4))
        assert other.status_code == 409 and other.json()["type"] == "/problems/already-told"
    gone = [number for number in range(1, pending) if number not in kept]
    assert len(gone) > 300
    for number in gone[::20]:
        closed = tell_again(client, session, number, result(number))
        assert closed.status_code == 410
        assert closed.json()["type"] == "/problems/evaluation-closed"
        assert closed.json()["pending_evaluation"] == pending
    # None of this disturbed the session.
    assert client.ask(session)["evaluation"]["number"] == pending
    tell_on(client, session, 5)


def test_pages_and_streams_go_on_across_what_is_gone(frugal: Daemon) -> None:
    client = Client(frugal.url)
    session = client.create(x0=[1.0, 2.0, 3.0, 4.0], options=ENDLESS)
    client.begin(session)
    pending = tell_on(client, session, 400)
    kept = [point["evaluation"] for point in client.trace(session)]
    path: str | None = f"/v1/sessions/{session}/trace?limit=9"
    paged: list[int] = []
    while path:
        response = client.call("GET", path)
        paged += [point["evaluation"] for point in response.json()["trace"]]
        link = re.match(r"<([^>]+)>", response.headers.get("Link", ""))
        path = link[1] if link else None
    assert paged == kept
    # From an evaluation that is no longer kept.
    last = next(number for number in range(1, pending) if number not in kept)
    seen = []
    with client.call(
        "GET",
        f"/v1/sessions/{session}/events",
        headers={"Last-Event-ID": str(last)},
        stream=True,
        timeout=30,
    ) as stream:
        told = False
        for line in stream.iter_lines(chunk_size=1):
            if line.startswith(b"id:"):
                seen.append(int(line[3:]))
            if not told and seen and seen[-1] == pending - 1:
                Client(frugal.url).tell(session, pending, *result(pending))
                told = True
            if seen and seen[-1] == pending:
                break
    assert seen == [number for number in kept if number > last] + [pending]


def test_what_a_checkpoint_needs_is_not_thinned_out(frugal: Daemon) -> None:
    client = Client(frugal.url)
    session = client.create(x0=[1.0, 2.0, 3.0, 4.0], options=ENDLESS)
    client.begin(session)
    tell_on(client, session, 47)
    at = client.ask(session)["evaluation"]
    checkpoint = client.ok("POST", f"/v1/sessions/{session}/checkpoints", {}, status=201)["id"]
    tell_on(client, session, 500)
    frugal.restart()
    turn = client.ok("POST", f"/v1/sessions/{session}/checkpoints/{checkpoint}/restore")
    assert turn["evaluation"]["x"] == at["x"]
    assert turn["evaluation"]["number"] > at["number"]
    tell_on(client, session, 20)


def test_old_steps_go_and_new_ones_stay(frugal: Daemon) -> None:
    client = Client(frugal.url)
    options = {"max_iter": 1, "max_eval": 1, "tolerance_grad": 0, "tolerance_change": 0}
    session = client.create(x0=[1.0] * 4, options=options)
    for number in range(1, 3 * POINTS):
        turn = client.step(session, functools.partial(constant, number))
        assert turn["step"] == number
    path = f"/v1/sessions/{session}/steps"
    assert client.call("GET", f"{path}/1").status_code == 404
    for number in (2 * POINTS + INTERVAL, 3 * POINTS - 1):
        assert client.ok("GET", f"{path}/{number}")["result"]["evaluations"] == 1


# MARK: Bytes


def distinct(n: int) -> list[float]:
    """Numbers that are stored one by one; equal ones take no room."""
    return [1 + number / n for number in range(n)]


def test_the_room_that_a_session_takes_is_told_and_comes_to_an_end(frugal: Daemon) -> None:
    client = Client(frugal.url)
    n = 5000
    session = client.create(x0=distinct(n), options=ENDLESS)
    before = client.get(session)["disk_bytes"]
    assert 8 * n < before < 8 * n + 20_000
    client.begin(session)
    sizes = []
    for _ in range(6):
        tell_on(client, session, 60, n)
        sizes.append(client.get(session)["disk_bytes"])
    # At most three pairs, a few vectors and ten gradients are kept, not 360.
    assert max(sizes[1:]) < 8 * n * (2 * 4 + 10 + INTERVAL)
    assert max(sizes[3:]) <= 1.2 * max(sizes[:3])
    checkpoint = client.ok("POST", f"/v1/sessions/{session}/checkpoints", {}, status=201)["id"]
    fork = client.ok(
        "POST", f"/v1/sessions/{session}/checkpoints/{checkpoint}/fork", {}, status=201
    )
    # Shared vectors count in full.
    assert fork["disk_bytes"] > 8 * n * 6
    tell_on(client, session, 60, n)
    pinned = client.get(session)["disk_bytes"]
    client.ok("DELETE", f"/v1/sessions/{session}/checkpoints/{checkpoint}")
    assert client.get(session)["disk_bytes"] < pinned
    wait_until(lambda: on_disk(frugal.data / "segments") < 4 * pinned)


def test_deleting_gives_room_back_while_another_session_pins_the_same_segment(
    frugal: Daemon,
) -> None:
    client = Client(frugal.url)
    n = 100_000
    sessions = [client.create(x0=distinct(n), options=ENDLESS) for _ in range(10)]
    kept = sessions[4]
    small = [client.create(x0=distinct(1500)) for _ in range(300)]
    assert on_disk(frugal.data) > 8 * n * 10 + 300 * 12_000
    for session in (*sessions[:4], *sessions[5:], *small):
        client.ok("DELETE", f"/v1/sessions/{session}")
    wait_until(lambda: on_disk(frugal.data / "segments") < 8 * n * 1.5)
    assert len(list((frugal.data / "segments").iterdir())) == 1

    def is_short() -> bool:
        # Each write lets the database free some pages.
        client.ok("PATCH", f"/v1/sessions/{kept}", {"name": str(time.monotonic())})
        return (frugal.data / "lbfgsd.sqlite").stat().st_size < 2 << 20

    wait_until(is_short)
    frugal.restart()
    assert client.x(kept) == distinct(n)


# MARK: lbfgsd compact


def test_compact_makes_a_stopped_store_small_and_loses_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(tmp_path, data=data) as daemon:
        client = Client(daemon.url)
        sessions = [client.create(x0=[float(i)] * 30_000, options=ENDLESS) for i in range(8)]
        small = [client.create(x0=[1.0] * 1000) for _ in range(200)]
        number = client.begin(sessions[5])["evaluation"]["number"]
        turn = client.tell(sessions[5], number, *result(1, 30_000))
        for session in (*sessions[:5], *small[1:]):
            client.ok("DELETE", f"/v1/sessions/{session}")
        busy = run("compact", "--data", data)
        assert busy.returncode == 75 and "in use by another process" in busy.stderr
        assert client.ask(sessions[5]) == turn
        assert daemon.stop() == 0
    before = on_disk(data)
    done = run("compact", "--data", data)
    assert done.returncode == 0, done.stderr
    told = [
        int(re.findall(rf"{word} +(\d+) bytes", done.stdout)[0]) for word in ("before", "after")
    ]
    assert told[1] == on_disk(data) < before <= told[0]
    assert not list(data.glob("*-wal"))
    # A second run frees nothing more.
    again = run("compact", "--data", data)
    assert again.returncode == 0 and abs(on_disk(data) - told[1]) <= 1 << 16
    with serving(tmp_path, data=data) as daemon:
        client = Client(daemon.url)
        listed = client.ok("GET", "/v1/sessions")["sessions"]
        assert {session["id"] for session in listed} == {*sessions[5:], small[0]}
        assert client.ask(sessions[5]) == turn
        for i in (6, 7):
            assert client.x(sessions[i]) == [float(i)] * 30_000


def test_compact_survives_kill_9_at_any_moment(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(tmp_path, data=data) as daemon:
        client = Client(daemon.url)
        sessions = [client.create(x0=[float(i)] * 60_000) for i in range(40)]
        for session in sessions[::2]:
            client.ok("DELETE", f"/v1/sessions/{session}")
        assert daemon.stop() == 0
    command = [str(binary()), "compact", "--data", str(data)]
    for milliseconds in (5, 15, 30, 45, 60, 80):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(milliseconds / 1000)
        process.kill()
        process.communicate()
    done = run("compact", "--data", data)
    assert done.returncode == 0, done.stderr
    with serving(tmp_path, data=data) as daemon:
        client = Client(daemon.url)
        for i in range(1, 40, 2):
            assert client.x(sessions[i]) == [float(i)] * 60_000


def test_compact_refuses_what_is_no_store(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for where in (empty, tmp_path / "absent"):
        result = run("compact", "--data", where)
        assert result.returncode == 74 and "no store" in result.stderr
    assert not any(empty.iterdir()) and not (tmp_path / "absent").exists()
    memory = run("compact", "--data", ":memory:")
    assert memory.returncode == 64 and "nothing on disk" in memory.stderr
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "lbfgsd.sqlite").write_text(json.dumps("Dear diary") * 100)
    result = run("compact", "--data", foreign)
    assert result.returncode == 74 and "not an SQLite database" in result.stderr
