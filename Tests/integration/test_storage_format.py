"""The page docs/design/storage-format.md, and the reader that was written from it, against what the
daemon says of the same data directory after its next start."""

from __future__ import annotations

import fcntl
import re
import shutil
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import store_reader
from daemon import Client, Daemon
from problems import rosenbrock, rosenbrock_start

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
LONG, VERY_LONG = 1_100, 100_000


def tell(client: Client, session: str, count: int) -> dict[str, Any]:
    """Begins a step, and another one where one ends, until `count` evaluations have been told and
    one more is pending."""
    turn = client.begin(session)
    for _ in range(count):
        turn = client.answer(turn, rosenbrock)
        if turn["state"] == "idle":
            turn = client.begin(session)
    assert turn["state"] == "evaluating"
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
                tell(client, client.create(x0=x0, name=name, dtype=dtype, options=options), depth)
        for mode in ("torch wolfe", "robust hager_zhang"):
            session = client.create(
                x0=rosenbrock_start(LONG), dtype=dtype, options=MODES[mode], name=f"long {mode}"
            )
            tell(client, session, 6)


def segments(client: Client) -> None:
    """Vectors in files of both kinds, and holes among them."""
    for dtype in ("float64", "float32"):
        for mode in ("torch", "robust hager_zhang"):
            for depth in (1, 4):
                session = client.create(
                    x0=rosenbrock_start(VERY_LONG), dtype=dtype, options=MODES[mode]
                )
                tell_octets(client, session, dtype, depth)


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
        turn = client.answer(turn, lambda x: tuple(-part for part in rosenbrock(x)))

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


def compare(client: Client, read: list[store_reader.Session]) -> dict[str, int]:
    """Each session as the reader has it with what the daemon says; returns how many points were
    known, and how many were the engine's to know."""
    counts = {"points": 0, "replays": 0}
    listed = {item["id"]: item for item in every_session(client)}
    assert sorted(listed) == sorted(session.id for session in read)
    for session in read:
        shown, turn = listed[session.id], client.ask(session.id)
        told = (session.name, session.dtype, session.state, session.step, session.evaluation)
        assert told == tuple(shown[key] for key in ("name", "dtype", "state", "step", "evaluation"))
        if turn["state"] == "evaluating":
            assert session.is_pending and turn["evaluation"]["number"] == session.evaluation
            x = turn["evaluation"]["x"]
        else:
            x = turn["x"]
        form = f"<{len(x)}{'d' if session.dtype == 'float64' else 'f'}"
        if session.point is not None:
            assert session.point == struct.pack(form, *map(float, x)), session.name
            assert session.replay_from is None
        if session.is_pending:
            counts["replays" if session.point is None else "points"] += 1
            assert (session.point is None) == (session.replay_from is not None), session.name
    return counts


def test_the_reader_knows_every_point_after_an_orderly_stop(daemon: Daemon) -> None:
    client = Client(daemon.url)
    for make in (searches, segments, kinds):
        make(client)
    assert daemon.stop() == 0
    files = sorted(path.suffix for path in (daemon.data / "segments").iterdir())
    assert {".seg", ".vec"} == set(files)
    read = store_reader.read(daemon.data)
    assert not [session.name for session in read if session.replay_from is not None]
    daemon.start()
    counts = compare(client, read)
    assert counts["points"] > len(DEPTHS) * 2 * len(MODES) and counts["replays"] == 0
