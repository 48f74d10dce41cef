"""The page docs/design/storage-format.md, and the reader that was written from it, against what the
daemon says of the same data directory after its next start."""

from __future__ import annotations

import hashlib
import io
import json
import plistlib
import re
import shutil
import sqlite3
import struct
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

import problems
import store_reader
from daemon import Client, Daemon
from problems import rosenbrock_start

# A point's loss and gradient.
rosenbrock: Callable[[Any], tuple[float, Any]] = problems.rosenbrock

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs" / "design" / "storage-format.md"
READER_LINES_MAX = 300
OCTETS = "application/octet-stream"
WOLFE = {"line_search_fn": "strong_wolfe"}
ROBUST_SEARCHES = ("hager_zhang", "more_thuente", "backtracking", "strong_wolfe")
MODES: dict[str, dict[str, Any]] = {
    "torch": {},
    "torch wolfe": WOLFE,
    "torch narrow": {**WOLFE, "history_dtype": "float32"},
    **{f"robust {name}": {"mode": "robust", "line_search_fn": name} for name in ROBUST_SEARCHES},
}
# Told evaluations: the first trial of a search, later ones, and the first of the next iteration.
DEPTHS = (0, 1, 2, 3, 4, 5, 7, 11)
# Above what mode torch does in torch's own order of operations.
PHASES = {
    *("idle", "opening", "moving", "searching", "probing", "bracketing", "zooming"),
    *("hagerZhang", "expanding", "shrinking", "moreThuente", "backtracking", "strongWolfe"),
}
LONG, VERY_LONG = 1_100, 100_000


def rough(x: list[float]) -> tuple[float, Any]:
    """Rosenbrock's function with large errors, the same for the same point: its line searches take
    many trials."""
    loss, gradient = rosenbrock(x)
    errors = np.random.default_rng(zlib.crc32(np.asarray(x, float).tobytes()))
    return loss * errors.uniform(0.5, 1.5), gradient * errors.uniform(-0.3, 1.5, size=len(x))


def tell(
    client: Client, session: str, count: int, function: Callable[[Any], Any] = rosenbrock
) -> dict[str, Any]:
    """Begins a step and answers evaluations until `count` have been told and one more is pending,
    or the step has ended."""
    turn: dict[str, Any] = client.begin(session)
    for _ in range(count):
        if turn["state"] == "evaluating":
            turn = client.answer(turn, function)
    return turn


def tell_octets(client: Client, session: str, dtype: str, count: int) -> None:
    """The same with vectors as octets, which the daemon writes to segments while they arrive."""
    number = np.dtype(dtype).newbyteorder("<")
    url, headers = f"{client.url}/v1/sessions/{session}", {"Accept": OCTETS}
    answer = requests.post(f"{url}/steps", headers=headers, timeout=60)
    for _ in range(count):
        evaluation = answer.headers["Lbfgsd-Evaluation"]
        loss, gradient = rosenbrock(np.frombuffer(answer.content, number))
        answer = requests.put(
            f"{url}/evaluations/{evaluation}/result",
            params={"loss": repr(loss)},
            data=np.asarray(gradient, number).tobytes(),
            headers={**headers, "Content-Type": OCTETS},
            timeout=60,
        )
        assert answer.headers["Lbfgsd-State"] == "evaluating", answer.text


def searches(client: Client) -> None:
    """Sessions in the middle of a step, in each mode and precision, at several depths."""
    for dtype in ("float64", "float32"):
        for mode, options in MODES.items():
            for depth in DEPTHS:
                name = f"{dtype} {mode} {depth}"
                x0 = rosenbrock_start(5)
                told = {"x0": x0, "name": name, "dtype": dtype, "options": options}
                tell(client, client.create(**told), depth)
                tell(client, client.create(**told), depth, rough)
        for mode in ("torch wolfe", "robust hager_zhang"):
            session = client.create(
                x0=rosenbrock_start(LONG), dtype=dtype, options=MODES[mode], name=f"long {mode}"
            )
            tell(client, session, 6)


def roundings(client: Client) -> None:
    """Points at which it shows how often x + t d was rounded: t is no power of two, and t d about
    as long as x."""
    quadratic = problems.Quadratic(200)
    x0 = list(np.random.default_rng(5).normal(size=200))
    for dtype in ("float64", "float32"):
        for mode in ("torch", "torch narrow", "robust hager_zhang"):
            for depth in (1, 3):
                options = {**MODES[mode], "lr": 0.37}
                session = client.create(x0=x0, name="roundings", dtype=dtype, options=options)
                tell(client, session, depth, quadratic)


def segments(client: Client) -> None:
    """Vectors in files of both kinds, and holes among them."""
    for dtype in ("float64", "float32"):
        for mode in ("torch", "robust hager_zhang"):
            for depth in (1, 4):
                session = client.create(
                    x0=rosenbrock_start(VERY_LONG), dtype=dtype, options=MODES[mode]
                )
                tell_octets(client, session, dtype, depth)


def filled(client: Client) -> None:
    """Parameters that are runs of equal numbers, which no vector is written for."""
    for dtype in ("float64", "float32"):
        params = [
            {"name": "w", "shape": [2_000], "fill": -0.0},
            {"name": "b", "shape": [2], "values": [3, 4]},
            {"name": "v", "shape": [30, 100], "fill": 0.1},
        ]
        body = {"params": params, "dtype": dtype, "options": {"history_size": 2}}
        client.ok("POST", "/v1/sessions", body)
        client.begin(client.ok("POST", "/v1/sessions", body)["id"])


def negated_rosenbrock(x: list[float]) -> tuple[float, Any]:
    """Rosenbrock's function for a session that maximizes."""
    loss, gradient = rosenbrock(x)
    return -loss, -gradient


def kinds(client: Client) -> None:
    """A session for each other thing that a journal or a snapshot can have."""
    client.create(name='idle, "new" / λ', labels={"a/b": "ü"})
    client.step(client.create(name="idle after a step", options=WOLFE), rosenbrock)

    session = client.create(name="options changed", options=WOLFE)
    tell(client, session, 3)
    client.ok("PATCH", f"/v1/sessions/{session}", {"name": "renamed", "options": {"max_iter": 7}})

    session = client.create(name="stopped", options=MODES["robust hager_zhang"])
    tell(client, session, 5)
    client.ok("POST", f"/v1/sessions/{session}/stop")
    session = client.create(name="stopped and begun", options=WOLFE)
    tell(client, session, 5)
    client.ok("POST", f"/v1/sessions/{session}/stop")
    client.begin(session)

    session = client.create(name="robust, begun again", options={"mode": "robust", "max_iter": 1})
    client.step(session, rosenbrock)
    client.begin(session)

    session = client.create(name="failed", options=MODES["robust more_thuente"])
    turn = tell(client, session, 2)
    path = f"/v1/sessions/{session}/evaluations/{turn['evaluation']['number']}/result"
    client.ok("PUT", path, {"failed": "it burst"})

    session = client.create(name="maximizing", options={**WOLFE, "maximize": True})
    turn = client.begin(session)
    for _ in range(4):
        turn = client.answer(turn, negated_rosenbrock)

    session = client.create(name="shards", shards=3, options=WOLFE)
    turn = client.begin(session)
    url = f"/v1/sessions/{session}/evaluations"
    for evaluation, shards in ((1, 3), (2, 3), (3, 2)):
        loss, gradient = rosenbrock(turn["evaluation"]["x"])
        for shard in range(shards):
            part = {"loss": loss / 3, "gradient": list(gradient / 3)}
            turn = client.ok("PUT", f"{url}/{evaluation}/shards/{shard}", part)
    client.ok("POST", f"{url}/3/lease", {"worker": "w", "seconds": 60})
    session = client.create(name="shards dropped", shards=3)
    client.begin(session)
    part = {"loss": 1.0, "gradient": [1.0, 2.0]}
    client.ok("PUT", f"/v1/sessions/{session}/evaluations/1/shards/0", part)
    client.ok("POST", f"/v1/sessions/{session}/zero-grad", {"set_to_none": False})

    params = [
        {"name": "w", "shape": [1], "values": [-1.2]},
        {"name": "b", "shape": [], "values": [1]},
    ]
    session = client.create(name="frozen", params=params, options=MODES["robust hager_zhang"])
    group = {"params": [{"name": "c", "shape": [2], "values": [-0.0, 0.0]}], "name": "late"}
    client.step(session, rosenbrock)
    client.ok("POST", f"/v1/sessions/{session}/param-groups", group, status=201)
    client.ok("PATCH", f"/v1/sessions/{session}/param-groups/1", {"frozen": True})
    client.answer(client.begin(session), rosenbrock)

    session = client.create(name="awaiting a hook")
    hook = {"event": "step.pre", "kind": "intercept", "deadline_seconds": 3600}
    client.ok("POST", f"/v1/sessions/{session}/hooks", hook, status=201)
    assert client.begin(session)["state"] == "awaiting_hook"
    session = client.create(name="awaiting a hook while evaluating", options=WOLFE)
    hook = {"event": "state_dict.post", "kind": "intercept", "deadline_seconds": 30}
    client.ok("POST", f"/v1/sessions/{session}/hooks", hook, status=201)
    tell(client, session, 4)
    with pytest.raises(requests.Timeout):
        client.call("GET", f"/v1/sessions/{session}/state-dict", timeout=0.5)

    session = client.create(name="origin", options=WOLFE, dtype="float32")
    tell(client, session, 4)
    url = f"/v1/sessions/{session}/checkpoints"
    client.ok("POST", url, {"name": "here"}, status=201, headers={"Idempotency-Key": "once"})
    client.answer(client.ask(session), rosenbrock)
    client.ok("POST", f"{url}/1/fork", {"name": "fork"}, status=201)
    fork = client.ok("POST", f"{url}/1/fork", {"name": "fork, told"}, status=201)["id"]
    client.answer(client.ask(fork), rosenbrock)
    client.ok("POST", f"{url}/1/restore")
    session = client.create(name="deleted")
    tell(client, session, 1)
    client.ok("DELETE", f"/v1/sessions/{session}")


def every_session(client: Client) -> Iterator[dict[str, Any]]:
    token = ""
    while True:
        page = client.ok("GET", f"/v1/sessions?page_size=100{token}")
        yield from page["sessions"]
        if not page["next_page_token"]:
            return
        token = f"&page_token={page['next_page_token']}"


def compare(client: Client, read: list[store_reader.Session]) -> Counter[str]:
    """Each session as the reader has it with what the daemon says. Counts the points that the
    reader knew, and those that were the engine's to know."""
    counts: Counter[str] = Counter()
    listed = {item["id"]: item for item in every_session(client)}
    assert sorted(listed) == sorted(session.id for session in read)
    for session in read:
        shown, turn = listed[session.id], client.ask(session.id)
        told = (session.name, session.dtype, session.state, session.step, session.evaluation)
        assert told == tuple(shown[key] for key in ("name", "dtype", "state", "step", "evaluation"))
        x = turn["evaluation"]["x"] if turn["state"] == "evaluating" else turn["x"]
        if turn["state"] == "evaluating":
            assert session.is_pending and turn["evaluation"]["number"] == session.evaluation
        elif turn["state"] == "idle":
            assert not session.is_pending
        if session.is_pending:
            assert (session.point is None) == (session.replay_from is not None), session
        if session.point is not None:
            assert session.is_pending and session.point == packed(x, session.dtype), session
        counts["points"] += session.point is not None
        counts["replays"] += session.is_pending and session.point is None
    return counts


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()[:16]


def packed(x: list[float], dtype: str) -> bytes:
    return struct.pack(f"<{len(x)}{'d' if dtype == 'float64' else 'f'}", *map(float, x))


def files(directory: Path) -> dict[str, bytes]:
    found = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in found}


def keys(directory: Path) -> set[str]:
    """Every key of the snapshots' scalars, cases of enumerations included."""
    found: set[str] = set()

    def visit(value: Any) -> None:
        if isinstance(value, dict):
            found.update(key for key in value if not key.isdigit())
        for part in value.values() if isinstance(value, dict) else value:
            if isinstance(part, (dict, list)):
                visit(part)

    with closing(sqlite3.connect(directory / "lbfgsd.sqlite")) as database:
        rows = database.execute("SELECT bytes FROM snapshot JOIN blob ON blob.id = scalars")
        visit([plistlib.loads(scalars) for (scalars,) in rows.fetchall()])
    return found


def test_the_reader_knows_every_point_after_an_orderly_stop(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client(daemon.url)
    for make in (searches, roundings, segments, filled, kinds):
        make(client)
    assert daemon.stop() == 0
    assert {path.suffix for path in (daemon.data / "segments").iterdir()} == {".seg", ".vec"}
    assert keys(daemon.data) >= PHASES
    assert keys(daemon.data) <= set(re.findall(r"\w+", PAGE.read_text()))
    before = files(daemon.data)
    read = store_reader.read(daemon.data)
    assert files(daemon.data) == before
    daemon.start()
    counts = compare(client, read)
    assert counts["points"] > 150 and counts["replays"] == 0
    assert daemon.stop() == 0
    monkeypatch.setattr(store_reader, "Fraction", lambda value: 0)  # none is fused
    assert store_reader.read(daemon.data) != read


def test_after_a_kill_the_reader_knows_a_point_or_where_the_replay_begins(daemon: Daemon) -> None:
    client = Client(daemon.url)
    for dtype in ("float64", "float32"):
        for mode, options in MODES.items():
            for depth in (0, 3):
                session = client.create(name=mode, x0=[-1.2, 1.0], dtype=dtype, options=options)
                tell(client, session, depth, rough)
    kinds(client)
    filled(client)
    # What is quiet for a while is moved to the tables; what comes now is in the log alone.
    quiet = client.create(name="quiet", options=WOLFE)
    turn = tell(client, quiet, 3)
    time.sleep(2.5)
    busy = client.create(name="busy", options=WOLFE)
    answered = tell(client, busy, 2)
    client.answer(answered, rosenbrock)
    segments(client)
    daemon.kill()
    read = store_reader.read(daemon.data)
    by_id = {session.id: session for session in read}
    last = packed(answered["evaluation"]["x"], "float64")
    assert by_id[busy].last_point_digest == digest(last)
    assert by_id[quiet].replay_from == 3 and turn["evaluation"]["number"] == 4
    # Entries that a crash left have their session's snapshot only when it is used.
    daemon.start()
    client.ask(busy)
    assert daemon.stop() == 0
    later = {session.id: session for session in store_reader.read(daemon.data)}
    assert later[busy].point is not None and later[quiet] == by_id[quiet]
    daemon.start()
    counts = compare(client, read)
    assert counts["points"] > 10 and counts["replays"] > 10
    assert daemon.stop() == 0
    assert not [session.id for session in store_reader.read(daemon.data) if session.replay_from]


def unfolded(stream: io.BytesIO) -> Any:
    """The next value of a packed row, as the page has it."""
    (tag,) = stream.read(1)
    if tag == 0:
        return None
    if tag == 2:
        return int.from_bytes(stream.read(8), "little", signed=True)
    number, shift = 0, 0
    while (byte := stream.read(1)[0]) >= 0x80:
        number, shift = number | (byte & 0x7F) << shift, shift + 7
    number |= byte << shift
    if tag == 1:
        return number >> 1 ^ -(number & 1)
    return stream.read(number).decode() if tag == 3 else stream.read(number)


def test_trace_batches_have_the_trace_that_the_daemon_shows(tmp_path: Path) -> None:
    endless = {"lr": 1e-3, "max_iter": 10**9, "max_eval": 10**9, "tolerance_change": 0}
    daemon = Daemon(tmp_path / "data", tmp_path / "log", ("--snapshot-interval", "40"))
    try:
        client = Client(daemon.start().url)
        session = client.create(options=endless)
        tell(client, session, 200)
        shown = {point["evaluation"]: point for point in client.trace(session)}
        assert daemon.stop() == 0
    finally:
        daemon.close()
    seen = []
    with closing(sqlite3.connect(daemon.data / "lbfgsd.sqlite")) as database:
        for row in store_reader.Store(daemon.data, database).table("chapter", "ORDER BY id"):
            stream, count = io.BytesIO(row["body"]), row["entries"]
            names = store_reader.EVENT.split(", ")[:-1]
            entries = []
            for _ in range(count):
                entry = {name: unfolded(stream) for name in names}
                entries.append({**entry, "details": unfolded(stream) if entry["session"] else None})
            assert not stream.read() and entries[-1]["k"] == row["last_evaluation"]
            seen += entries
    assert len(seen) > 100
    for entry in seen:
        point = shown[entry["k"]]
        assert (entry["session"], entry["payload"], entry["kind"]) == (1, None, 3)
        # Without a line search, of which only the newest entry says the rest.
        mode, bits, *numbers = struct.unpack("<BBd", entry["details"])
        assert (mode, bits, numbers) == (0, 0x20, [point["accepted_step_length"]])
        assert (entry["step"], entry["iteration"]) == (point["step"], point["iteration"])
        for name, key in (
            ("loss", "loss"),
            ("gradient_norm", "gradient_norm_inf"),
            ("step_length", "step_length"),
        ):
            assert struct.unpack("<d", struct.pack("<q", entry[name])) == (point[key],)


def test_details_of_entries_are_what_the_daemon_shows(daemon: Daemon) -> None:
    client = Client(daemon.url)
    for mode, options in MODES.items():
        tell(client, client.create(name=mode, options=options), 5)
    listed = client.ok("GET", "/v1/sessions")["sessions"]
    shown = {session["id"]: (session, client.trace(session["id"])) for session in listed}
    daemon.kill()
    with closing(sqlite3.connect(daemon.data / "lbfgsd.sqlite")) as database:
        store = store_reader.Store(daemon.data, database)
    newest = {owner: entry for owner, entry in store.log if entry["k"] is not None}
    assert len(newest) == len(MODES)
    for owner, entry in newest.items():
        session, trace = shown[owner]
        mode, bits = entry["details"][:2]
        numbers = iter(entry["details"][2 + 16 * (bits & 1) :][i : i + 8] for i in range(0, 40, 8))
        best = struct.unpack("<dq", entry["details"][2:18])
        assert best == (session["best"]["loss"], session["best"]["evaluation"])
        assert {1: "torch", 2: "robust"}[mode] == session["mode"]
        told = trace[entry["k"] - 1]
        for bit, value in (
            (0x02, told["gradient_norm_inf"]),
            (0x04, told["slope"]),
            (0x08, told["start_loss"]),
            (0x10, told["start_slope"]),
            (0x20, told["accepted_step_length"]),
        ):
            number = struct.unpack("<d", next(numbers))[0] if bits & bit else None
            assert number == value, (session["name"], bit)


def test_rows_blobs_and_segments_are_as_the_page_says(daemon: Daemon) -> None:
    client = Client(daemon.url)
    kinds(client)
    segments(client)
    assert daemon.stop() == 0
    with closing(sqlite3.connect(daemon.data / "lbfgsd.sqlite")) as database:
        store = store_reader.Store(daemon.data, database)

        def rows(sql: str, *arguments: Any) -> list[Any]:
            return database.execute(sql, arguments).fetchall()

        for (table,) in rows("SELECT name FROM sqlite_schema WHERE type = 'table'"):
            columns = [row[1] for row in rows(f"PRAGMA table_info({table})")]
            if table != "session_label" and not table.startswith("sqlite_"):
                assert "crc" in columns
                assert len(list(store.table(table))) == len(rows(f"SELECT 1 FROM {table}"))
        named: Counter[int] = Counter()
        lengths = dict(rows("SELECT id, length FROM blob"))
        for session, vectors in rows("SELECT session, vectors FROM snapshot"):
            ((dtype,),) = rows("SELECT dtype FROM session WHERE id = ?", session)
            blobs = store_reader.vector_list(vectors)
            named.update(blobs.values())
            size = 8 if dtype == "float64" else 4
            for name, blob in blobs.items():
                numbers, length = lengths[blobs["x"]] // size, lengths[blob]
                if name.startswith("pair/"):
                    assert length > 2 * numbers * size and (length - 2 * numbers * size) % 16 == 0
                elif name.startswith("shard/"):
                    assert length == 1 + 8 + 8 * numbers and store.blob(blob)[0] == 0
                else:
                    assert name == "hooked_dict" or length == numbers * size
                if length < LONG * size:
                    assert len(store.blob(blob)) == length
        assert dict(rows("SELECT id, names FROM vector")) == named
        for segment, size, live in rows("SELECT id, size, live FROM segment"):
            used = "SELECT total(length) FROM blob WHERE segment = ?"
            dead = "SELECT total(stop - start) FROM hole WHERE segment = ?"
            ((used_bytes,),), ((dead_bytes,),) = rows(used, segment), rows(dead, segment)
            assert (live, size) == (used_bytes, used_bytes + dead_bytes)


def test_a_torn_record_was_never_there_and_a_wrong_one_before_others_is_damage(
    daemon: Daemon,
) -> None:
    client = Client(daemon.url)
    session = client.create(options=WOLFE)
    tell(client, session, 5)
    daemon.kill()
    log = daemon.data / "journal" / "1.log"
    whole = log.read_bytes()
    starts = [match.start() for match in re.finditer(store_reader.MAGIC, whole)]
    assert len(starts) == 6

    log.write_bytes(whole[: starts[2] + 99] + b"?" + whole[starts[2] + 100 :])
    with pytest.raises(store_reader.Damaged, match=f"byte {starts[2]}"):
        store_reader.read(daemon.data)
    for at in (starts[5] + 1, starts[5] + 63, starts[5] + 100, starts[5] + 250):
        log.write_bytes(whole[:at] + bytes(len(whole) - at))
        (read,) = store_reader.read(daemon.data)
        assert read.evaluation == 5 and read.replay_from == 3
    daemon.start()
    compare(client, [read])


def test_damage_is_found_by_checksum(daemon: Daemon) -> None:
    client = Client(daemon.url)
    tell_octets(client, client.create(x0=rosenbrock_start(VERY_LONG)), "float64", 1)
    assert daemon.stop() == 0
    store_reader.read(daemon.data)
    changes = [
        "UPDATE session SET name = 'another'",
        "UPDATE session SET created_at = created_at + 1",
        "UPDATE event SET standing_evaluation = standing_evaluation + 1",
        "UPDATE snapshot SET sequence = sequence + 1",
        "UPDATE blob SET offset = offset + 8 WHERE segment > 0",
        "UPDATE blob SET bytes = zeroblob(length) WHERE bytes IS NOT NULL",
        "UPDATE store SET moved = moved + 1",
        "UPDATE session SET id = id + 1",
    ]
    for number, change in enumerate(changes):
        damaged = daemon.data.with_name(str(number))
        shutil.copytree(daemon.data, damaged)
        with closing(sqlite3.connect(damaged / "lbfgsd.sqlite")) as database, database:
            database.execute(change)
        with pytest.raises(store_reader.Damaged):
            store_reader.read(damaged)


def test_a_store_that_a_daemon_has_open_is_not_read(daemon: Daemon) -> None:
    with pytest.raises(BlockingIOError):
        store_reader.read(daemon.data)
    daemon.kill()
    assert store_reader.read(daemon.data) == []


def test_the_reader_is_a_program_of_at_most_300_lines_with_nothing_but_python(
    daemon: Daemon,
) -> None:
    source = Path(store_reader.__file__).read_text()
    assert len(source.splitlines()) <= READER_LINES_MAX
    imported = set(re.findall(r"^(?:from|import) (\w+)", source, re.MULTILINE))
    assert imported and imported <= set(sys.stdlib_module_names)
    client = Client(daemon.url)
    session = client.create(x0=[-1.2, 1.0], name="one")
    client.begin(session)
    assert daemon.stop() == 0
    command = [sys.executable, "-I", store_reader.__file__, str(daemon.data)]
    (line,) = subprocess.run(
        command, capture_output=True, check=True, text=True
    ).stdout.splitlines()
    printed = json.loads(line)
    assert (printed["id"], printed["name"], printed["state"]) == (session, "one", "evaluating")
    assert printed["point"] == packed([-1.2, 1.0], "float64").hex()


def test_the_page_has_every_table_and_column(daemon: Daemon) -> None:
    assert daemon.stop() == 0
    described = {}
    for section in re.split(r"^### ", PAGE.read_text(), flags=re.MULTILINE)[1:]:
        rows = re.findall(r"^\| ([a-z_, ]+) \| (?:INTEGER|TEXT|BLOB|as in)", section, re.MULTILINE)
        if rows:
            names = ", ".join(rows).split(", ")
            described[section.splitlines()[0]] = [name for name in names if name != "column"]
    with closing(sqlite3.connect(daemon.data / "lbfgsd.sqlite")) as database:
        tables = database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        there = {
            name: [row[1] for row in database.execute(f"PRAGMA table_info({name})")]
            for (name,) in tables.fetchall()
            if not name.startswith("sqlite_")
        }
    assert described == there


def record_sum(data: bytes) -> int:
    """The sum of a record of the write-ahead log, from its epoch on."""
    words = [word for (word,) in struct.iter_unpack("<I", data + bytes(-len(data) % 4))]
    return sum((len(words) - index) * word for index, word in enumerate(words)) % 2**64


def test_the_pages_example_is_as_it_says() -> None:
    example = PAGE.read_text().split("## A worked example")[1]
    blocks = re.findall(r"```hexdump\n(.*?)```", example, re.DOTALL)
    log, listed, x, d, point = (
        bytes.fromhex("".join(line[4:] for line in block.splitlines())) for block in blocks
    )
    start = log[:24]
    assert start[:8] == store_reader.MAGIC and f"`{start[8:].hex()}`" in example
    first = store_reader.record_at(log, 0, start)
    assert first and first[:3] == (1, 0, 0)
    at = store_reader.HEADER + len(first[3])
    assert struct.unpack_from("<Q", log, 32) == (record_sum(log[40:at]),)
    second = store_reader.record_at(log, at, start)
    assert second and second[:3] == (1, 1, 0)
    assert at + store_reader.HEADER + len(second[3]) == len(log)
    ((owner, entry),) = store_reader.entries_of(second[3])
    assert owner in example and entry["point_digest"] == digest(x)
    assert entry["payload"] == packed(
        [-value for value in store_reader.unpacked(d, "float64")], "float64"
    )
    loss = struct.pack("<q", entry["loss"])
    assert entry["result_digest"] == digest(loss + entry["payload"])
    row = {**entry, "session": 1, "payload": 3}
    crc = store_reader.crc32c(b"".join(map(store_reader.sealed, row.values())))
    assert f"`crc` is {crc}," in example
    for blob in (x, d):
        assert struct.pack("<I", store_reader.crc32c(blob)).hex() in example
    assert store_reader.vector_list(listed) == {"d": 4, "g": 5, "previous_g": 6, "x": 7}
    (t,) = re.findall(r"stepLength: ([0-9.]+)", example)
    phase = {"moving": {"stepLength": float(t)}}
    engine = {"phase": phase, "numerics": 3, "progress": {"options": {"mode": "torch"}}}
    assert store_reader.trial_point(engine, "float64", {"x": x, "d": d}) == point


def test_the_checksum_is_the_one_that_the_page_names() -> None:
    assert store_reader.crc32c(b"123456789") == 0xE3069283 and store_reader.crc32c(b"") == 0
