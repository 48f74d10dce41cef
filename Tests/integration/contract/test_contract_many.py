"""Many sessions: lists in every order, purges, one stream of events; and traces for pictures."""

from __future__ import annotations

import hashlib
import json
import math
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from daemon import Client, Daemon, wait_until
from expectations import assert_problem
from problems import rosenbrock

WOLFE = {"line_search_fn": "strong_wolfe"}
ORDERS = {"created": True, "updated": True, "best_loss": False, "name": False}
"""Each order, and whether the largest comes first by default."""


def listed(
    client: Client, query: dict[str, Any] | None = None, page_size: int = 3
) -> list[dict[str, Any]]:
    """All sessions of a list, page by page."""
    found: list[dict[str, Any]] = []
    params = {**(query or {}), "page_size": page_size}
    while True:
        page = client.ok("GET", "/v1/sessions", params=params)
        found += page["sessions"]
        if page["next_page_token"] is None:
            return found
        params["page_token"] = page["next_page_token"]


def populated(client: Client, count: int = 12) -> list[str]:
    """Sessions of each state and mode, with and without names, which have come differently far."""
    rng, made = random.Random(7), []
    for number in range(count):
        name = None if number % 4 == 3 else rng.choice("abcdefgh") + str(number)
        mode = "robust" if number % 3 == 0 else "torch"
        labels = {"team": "flow" if number % 2 else "heat"}
        x0 = [rng.uniform(-2, 2), rng.uniform(-2, 2)]
        session = client.create(x0=x0, name=name, labels=labels, options={"mode": mode})
        if number % 5:
            turn = client.begin(session)
            for _ in range(number % 5):
                turn = client.answer(turn, rosenbrock)
            if number % 5 == 4:
                client.ok("POST", f"/v1/sessions/{session}/stop")
        made.append(session)
    rng.shuffle(made)
    client.ok("PATCH", f"/v1/sessions/{made[0]}", {"name": "renamed"})
    return made


def key(session: dict[str, Any], order: str) -> Any:
    if order == "best_loss":
        return session["best"] and session["best"]["loss"]
    if order == "name":
        return session["name"] and session["name"].lower()
    return session[f"{order}_at"]


def assert_in_order(sessions: list[dict[str, Any]], order: str, descending: bool) -> None:
    keys = [key(session, order) for session in sessions]
    present = [k for k in keys if k is not None]
    assert present == sorted(present, reverse=descending), (order, descending)
    # Those without any come last.
    assert keys[len(present) :] == [None] * (len(keys) - len(present))


def test_each_order_has_all_sessions_also_after_a_restart(own_client: Client, daemon: Any) -> None:
    made = populated(own_client)
    before: dict[Any, Any] = {}
    for restarted in (False, True):
        for order, by_default in ORDERS.items():
            for descending in (None, True, False):
                query = {"order_by": order}
                if descending is not None:
                    query["descending"] = str(descending).lower()
                found = listed(own_client, query)
                assert sorted(session["id"] for session in found) == sorted(made)
                assert_in_order(found, order, by_default if descending is None else descending)
                if restarted:
                    assert found == before[order, descending]
                before[order, descending] = found
        if not restarted:
            daemon.restart()
    for session in before["created", None]:
        shown = own_client.get(session["id"])
        assert {name: shown[name] for name in session} == session
        told = own_client.trace(session["id"])
        losses = [point["loss"] for point in told]
        assert session["best"] == (
            {"loss": min(losses), "evaluation": losses.index(min(losses)) + 1} if told else None
        )
        assert session["gradient_norm_inf"] == (told[-1]["gradient_norm_inf"] if told else None)


def test_filters_select_what_the_sessions_say(own_client: Client) -> None:
    populated(own_client)
    everything = listed(own_client)

    def ids(sessions: list[dict[str, Any]]) -> list[str]:
        return [session["id"] for session in sessions]

    def text(session: dict[str, Any]) -> str:
        labels = [f"{k}:{v}" for k, v in session["labels"].items()]
        return "\n".join([session["name"] or "", session["id"], *labels]).lower()

    cases: list[tuple[dict[str, Any], Callable[[Any], bool]]] = [
        ({"state": "idle"}, lambda s: s["state"] == "idle"),
        ({"state": "evaluating"}, lambda s: s["state"] == "evaluating"),
        ({"state": "awaiting_hook"}, lambda s: False),
        ({"mode": "robust"}, lambda s: s["mode"] == "robust"),
        ({"q": "RENamed"}, lambda s: s["name"] == "renamed"),
        ({"q": "team:fl"}, lambda s: s["labels"]["team"] == "flow"),
        ({"q": "e"}, lambda s: "e" in text(s)),
        (
            {"label": "team:heat", "state": "idle", "mode": "torch"},
            lambda s: (s["labels"]["team"], s["state"], s["mode"]) == ("heat", "idle", "torch"),
        ),
    ]
    for query, is_meant in cases:
        expected = [session["id"] for session in everything if is_meant(session)]
        assert ids(listed(own_client, query)) == expected, query


def test_members_say_their_ensemble_and_are_found_by_it(client: Client) -> None:
    made = client.ok("POST", "/v1/ensembles", {"starts": [[1.0, 2.0], [3.0, 4.0]]})["id"]
    other = client.create()
    found = listed(client, {"ensemble": made})
    assert len(found) == 2 and {session["ensemble"] for session in found} == {made}
    assert client.get(found[0]["id"])["ensemble"] == made
    assert client.get(other)["ensemble"] is None
    # And those of an ensemble that is made after the first such list.
    later = client.ok("POST", "/v1/ensembles", {"starts": [[1.0, 2.0]]})["id"]
    assert len(listed(client, {"ensemble": later})) == 1


def test_lists_stay_whole_while_sessions_come_and_go(own_client: Client, daemon: Daemon) -> None:
    kept = [own_client.create(name=f"kept {number:03}") for number in range(30)]
    over, by_name = threading.Event(), {"order_by": "name"}

    def come_and_go(number: int) -> None:
        other = Client(daemon.url)
        while not over.is_set():
            session = other.create(name=f"passing {number}")
            turn = other.begin(session)
            other.answer(turn, rosenbrock)
            other.ok("DELETE", f"/v1/sessions/{session}")

    threads = [threading.Thread(target=come_and_go, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            found = [session["id"] for session in listed(own_client, by_name, 7)]
            assert [session for session in found if session in set(kept)] == kept
            assert len(set(found)) == len(found)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert [session["id"] for session in listed(own_client, by_name)] == kept


# Purges


def test_a_purge_says_what_it_would_delete_then_deletes_it(own_client: Client) -> None:
    made = populated(own_client)
    sessions = listed(own_client)
    unnamed = {session["id"] for session in sessions if session["name"] is None}
    preview = own_client.ok("POST", "/v1/sessions:purge", {"unnamed": True})
    assert preview["count"] == len(unnamed) and set(preview["sessions"]) == unnamed
    assert preview.keys() == {"count", "sessions"} and len(listed(own_client)) == len(made)
    purged = own_client.ok("POST", "/v1/sessions:purge", {"unnamed": True, "force": True})
    assert purged["deleted"] == len(unnamed) and purged["more"] is False
    left = {session["id"] for session in listed(own_client)}
    assert left == set(made) - unnamed
    old = {"inactive_seconds": 3600, "force": True}
    assert own_client.ok("POST", "/v1/sessions:purge", old)["deleted"] == 0
    both = {"label": "team:flow", "state": "evaluating", "force": True}
    deleted = set(own_client.ok("POST", "/v1/sessions:purge", both)["sessions"])
    assert deleted == {
        session["id"]
        for session in sessions
        if session["id"] in left
        and session["labels"]["team"] == "flow"
        and session["state"] == "evaluating"
    }


def test_a_long_purge_is_done_in_parts(own_client: Client) -> None:
    ensembles = [{"starts": [[float(n)] for n in range(600)]} for _ in range(2)]
    for body in ensembles:
        own_client.ok("POST", "/v1/ensembles", body)
    kept = own_client.create(name="kept")
    deleted, rounds = 0, 0
    while True:
        answer = own_client.ok("POST", "/v1/sessions:purge", {"unnamed": True, "force": True})
        assert answer["deleted"] <= 1000 and len(answer["sessions"]) <= 100
        deleted, rounds = deleted + answer["deleted"], rounds + 1
        if not answer["more"]:
            break
        assert answer["deleted"] > 0
    assert deleted == 1200 and rounds >= 2
    assert [session["id"] for session in listed(own_client)] == [kept]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ({"force": True}, "body"),
        ({"unnamed": False, "force": True}, "body"),
        ({"label": "team"}, "label"),
        ({"state": "gone"}, "state"),
        ({"inactive_seconds": -1}, "inactive_seconds"),
        ({"unnamed": True, "name": "a"}, "unnamed"),
        ({"all": True}, "all"),
    ],
)
def test_a_purge_of_everything_or_nothing_is_refused(
    client: Client, body: dict[str, Any], field: str
) -> None:
    answer = client.call("POST", "/v1/sessions:purge", body)
    assert_problem(answer, 422, "invalid-request", field)


# Traces


def test_a_line_search_can_be_drawn_from_its_points(client: Client) -> None:
    for mode, search in [("torch", "strong_wolfe"), ("robust", "hager_zhang")]:
        options = {"mode": mode, "line_search_fn": search, "max_iter": 30, "max_eval": 200}
        session, points = client.create(options=options), {}
        turn = client.begin(session)
        while turn["state"] == "evaluating":
            number = turn["evaluation"]["number"]
            points[number] = turn["evaluation"]["x"]
            turn = client.answer(turn, rosenbrock)
        trace = client.trace(session)
        start = trace[0]
        assert start["accepted"] is True and start["slope"] is None
        searched = 0
        for iteration in range(1, trace[-1]["iteration"]):
            query = {"iteration": iteration}
            trials = client.ok("GET", f"/v1/sessions/{session}/trace", params=query)["trace"]
            assert trials == [point for point in trace if point["iteration"] == iteration]
            (accepted,) = (trial for trial in trials if trial["accepted"])
            searched += len(trials) > 1
            for trial in trials:
                t, x = trial["step_length"], points[trial["evaluation"]]
                moved = [a - b for a, b in zip(x, points[start["evaluation"]], strict=True)]
                slope = sum(g * d for g, d in zip(rosenbrock(x)[1], moved, strict=True)) / t
                assert math.isclose(trial["slope"], slope, rel_tol=1e-4, abs_tol=1e-6)
                assert trial["start_loss"] == start["loss"] and trial["start_slope"] < 0
            assert trials[-1]["accepted_step_length"] == accepted["step_length"]
            start = accepted
        assert searched > 2, mode


def test_a_decimated_trace_keeps_the_extremes_and_counts_failures(client: Client) -> None:
    session = client.create(
        options={"lr": 1e-3, "max_iter": 400, "max_eval": 400, "tolerance_change": 0}
    )
    rng, number = random.Random(3), 0
    turn = client.begin(session)
    while number < 300:
        if turn["state"] != "evaluating":
            turn = client.begin(session)
        number = turn["evaluation"]["number"]
        loss = "NaN" if number in (100, 101) else rng.uniform(0, 1)
        turn = client.tell(session, number, loss, [1e-3, 1e-3])
    whole = client.trace(session)
    finite = [point for point in whole if isinstance(point["loss"], float)]
    path = f"/v1/sessions/{session}/trace"
    for count in (2, 20, 100):
        answer = client.ok("GET", path, params={"points": count})
        points, decimated = answer["trace"], answer["decimated"]
        assert len(points) <= count and answer["next"] is None
        assert (decimated["entries"], decimated["by"]) == (len(whole), "min_max")
        losses = [point["loss"] for point in points]
        assert min(losses) == min(point["loss"] for point in finite)
        assert max(losses) == max(point["loss"] for point in finite)
        assert [p["evaluation"] for p in points] == sorted(p["evaluation"] for p in points)
        assert sum(failed["count"] for failed in decimated["failures"]) == 2
        for failed in decimated["failures"]:
            assert failed["from"] <= 101 and failed["to"] >= 100
    assert client.ok("GET", path, params={"points": 10000})["trace"] == whole


# Events


@contextmanager
def watching(client: Client, **query: Any) -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """The events of a stream, which are added as they come."""
    events: list[tuple[str, dict[str, Any]]] = []
    with client.session.get(f"{client.url}/v1/events", params=query, stream=True) as answer:
        assert answer.status_code == 200, answer.text

        def read() -> None:
            kind = ""
            try:
                for line in answer.iter_lines(chunk_size=1, decode_unicode=True):
                    if line.startswith("event: "):
                        kind = line.removeprefix("event: ")
                    elif line.startswith("data: "):
                        events.append((kind, json.loads(line.removeprefix("data: "))))
            except (requests.RequestException, AttributeError, ValueError, OSError):
                return

        threading.Thread(target=read, daemon=True).start()
        yield events


def test_one_stream_has_the_events_of_all_sessions(own_client: Client, daemon: Daemon) -> None:
    first = own_client.create(labels={"kind": "watched"})
    other = Client(daemon.url)
    label, named = {"label": "kind:watched"}, {"session": [first]}
    with (
        watching(Client(daemon.url)) as everything,
        watching(Client(daemon.url), **label) as labelled,
        watching(Client(daemon.url), **named) as one,
    ):
        second = other.create()
        for session in (first, second):
            other.answer(other.begin(session), rosenbrock)
            other.ok("POST", f"/v1/sessions/{session}/stop")
            other.ok("DELETE", f"/v1/sessions/{session}")
        kinds = ["evaluation", "step", "deleted"]
        wait_until(lambda: len(everything) == 7 and len(labelled) == 3 and len(one) == 3)
        seen = [(kind, data["session"]) for kind, data in everything]
        assert seen == [
            ("created", second),
            *((kind, first) for kind in kinds),
            *((kind, second) for kind in kinds),
        ]
        assert labelled == one == everything[1:4]
        point = everything[1][1]
        assert point["evaluation"] == 1 and point["accepted"] is True


def test_streams_of_many_are_limited_and_their_sessions_found(client: Client) -> None:
    limits = client.ok("GET", "/v1/limits")
    session = client.create()
    unknown = "s" + "0" * 20
    answer = client.call("GET", "/v1/events", params={"session": [session, unknown]})
    assert_problem(answer, 404, "not-found")
    client.ok("DELETE", f"/v1/sessions/{session}")
    many = [f"s{number:020d}" for number in range(limits["watched_sessions_max"] + 1)]
    answer = client.call("GET", "/v1/events", params={"session": many})
    assert_problem(answer, 422, "invalid-request", "query.session")
    streams = []
    try:
        for _ in range(limits["feeds_max"]):
            streams.append(requests.get(f"{client.url}/v1/events", stream=True, timeout=30))
            assert streams[-1].status_code == 200
        problem = assert_problem(client.call("GET", "/v1/events"), 503, "overloaded")
        assert (problem["limit_name"], problem["limit"]) == ("feeds", limits["feeds_max"])
    finally:
        for stream in streams:
            stream.close()
    wait_until(lambda: _opens(client))


def _opens(client: Client) -> bool:
    with requests.get(f"{client.url}/v1/events", stream=True, timeout=30) as answer:
        return answer.status_code == 200


def test_a_reader_that_is_too_slow_is_cut_off(own_client: Client, daemon: Daemon) -> None:
    with requests.get(f"{daemon.url}/v1/events", stream=True, timeout=60) as answer:
        assert answer.status_code == 200
        # Not read: what the sockets and the daemon's buffer don't hold is too much.
        name = "n" * 150
        session = own_client.create(name=name, options={"max_iter": 1_000_000, "lr": 1e-6})
        turn = own_client.begin(session)
        for told in range(20_000):
            if turn["state"] != "evaluating":
                turn = own_client.begin(session)
            turn = own_client.tell(session, turn["evaluation"]["number"], 1.0, [1e-3, 1e-3])
            # Asked now and then, as it takes a request.
            metrics = own_client.call("GET", "/metrics").text if told % 500 == 499 else ""
            if "lbfgsd_waiters 0" in metrics:
                break
        else:
            raise AssertionError("the stream was never ended")
        # It ends, perhaps in the middle of an event, and others can still be opened.
        with suppress(requests.RequestException):
            for _ in answer.iter_content(1 << 16):
                pass
    assert _opens(own_client)


def test_a_tenant_sees_and_purges_its_own_only(tmp_path: Path) -> None:
    file = tmp_path / "tokens.yaml"
    tokens = [
        {
            "name": tenant,
            "sha256": hashlib.sha256(f"{tenant}-token".encode()).hexdigest(),
            "tenant": tenant,
            "scopes": ["read", "write", "delete"],
        }
        for tenant in ("flow", "other")
    ]
    file.write_text(yaml.safe_dump({"tokens": tokens}))
    file.chmod(0o600)
    daemon = Daemon(tmp_path / "data", tmp_path / "log", ("--token-file", str(file))).start()
    try:
        flow, other = Client(daemon.url), Client(daemon.url)
        for tenant, caller in (("flow", flow), ("other", other)):
            caller.session.headers["Authorization"] = f"Bearer {tenant}-token"
        made = {caller: [caller.create(name="a") for _ in range(5)] for caller in (flow, other)}
        for caller, own in made.items():
            for query in ({"order_by": "name"}, {"q": "a"}, {"state": "idle"}):
                assert {session["id"] for session in listed(caller, query)} == set(own)
        page = flow.ok("GET", "/v1/sessions", params={"order_by": "name", "page_size": 2})
        stolen = {"order_by": "name", "page_token": page["next_page_token"]}
        answer = other.call("GET", "/v1/sessions", params=stolen)
        assert_problem(answer, 422, "invalid-request", "query.page_token")
        answer = other.call("GET", "/v1/events", params={"session": made[flow][0]})
        assert_problem(answer, 404, "not-found")
        with watching(other) as events:
            purged = flow.ok("POST", "/v1/sessions:purge", {"name": "a", "force": True})
            assert set(purged["sessions"]) == set(made[flow])
            kept = other.create()
            wait_until(lambda: len(events) > 0)
            assert events == [("created", {"session": kept})]
        assert len(listed(other)) == 6 and not listed(flow)
    finally:
        daemon.close()
