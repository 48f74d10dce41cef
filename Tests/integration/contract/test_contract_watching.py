"""The trace, the live events, the endpoints for operators, and conformance to HTTP."""

from __future__ import annotations

import csv
import io
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests
import yaml

from daemon import Client, Daemon, numbers
from expectations import assert_problem
from problems import rosenbrock

WOLFE = {"line_search_fn": "strong_wolfe"}
COLUMNS = {"evaluation", "step", "iteration", "loss", "gradient_norm_inf", "step_length"}


def make_traced(client: Client, told: int = 5) -> str:
    session = client.create(options=WOLFE)
    turn = client.begin(session)
    for _ in range(told):
        turn = client.answer(turn, rosenbrock)
    return session


# Trace


def test_the_trace_tells_every_evaluation(client: Client) -> None:
    session, told = client.create(options={**WOLFE, "max_iter": 2}), []

    def note(x: Any) -> tuple[Any, Any]:
        loss, gradient = rosenbrock(x)
        told.append((loss, abs(gradient).max()))
        return loss, gradient

    client.step(session, note)
    client.step(session, note)
    trace = client.trace(session)
    assert all(point.keys() >= COLUMNS for point in trace)
    assert [point["evaluation"] for point in trace] == list(range(1, len(told) + 1))
    assert [(point["loss"], point["gradient_norm_inf"]) for point in trace] == told
    assert {point["step"] for point in trace} == {1, 2}
    starts = [point for point in trace if point["iteration"] == 0]
    assert [point["step"] for point in starts] == [1, 2]
    assert all(point["step_length"] == 0 for point in starts)
    assert all(point["step_length"] > 0 for point in trace if point["iteration"] > 0)


def test_the_trace_comes_as_csv_and_ndjson_too(client: Client) -> None:
    session = make_traced(client)
    trace = client.trace(session)
    response = client.call("GET", f"/v1/sessions/{session}/trace", headers={"Accept": "text/csv"})
    assert response.headers["Content-Type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(response.text)))
    assert [(int(r["evaluation"]), float(r["loss"])) for r in rows] == [
        (p["evaluation"], p["loss"]) for p in trace
    ]
    assert rows[0].keys() >= COLUMNS
    response = client.call(
        "GET", f"/v1/sessions/{session}/trace", headers={"Accept": "application/x-ndjson"}
    )
    assert "ndjson" in response.headers["Content-Type"]
    assert [json.loads(line) for line in response.text.splitlines()] == trace


def test_the_trace_can_be_read_in_pieces(client: Client) -> None:
    session = make_traced(client, told=5)
    path: str | None = f"/v1/sessions/{session}/trace?limit=2"
    pieces: list[Any] = []
    while path:
        response = client.call("GET", path)
        pieces += response.json()["trace"]
        path = response.links.get("next", {}).get("url")
    assert pieces == client.trace(session)
    late = client.ok("GET", f"/v1/sessions/{session}/trace?from=4")["trace"]
    assert [point["evaluation"] for point in late] == [4, 5]


def test_the_trace_of_a_fresh_session_is_empty(client: Client) -> None:
    session = client.create()
    assert client.trace(session) == []
    response = client.call("GET", f"/v1/sessions/{session}/trace", headers={"Accept": "text/csv"})
    assert len(response.text.splitlines()) == 1


# Events


class Event:
    def __init__(self) -> None:
        self.id, self.type, self.data = None, "message", ""


@contextmanager
def events(
    client: Client, session: str, last: str | None = None, timeout: float = 10
) -> Iterator[Any]:
    """An iterator over the server-sent events of a session."""
    headers = {"Accept": "text/event-stream"}
    if last is not None:
        headers["Last-Event-ID"] = last
    response = Client(client.url).call(
        "GET", f"/v1/sessions/{session}/events", headers=headers, stream=True, timeout=timeout
    )
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"].startswith("text/event-stream")
    try:
        yield parse_events(response)
    finally:
        response.close()


def parse_events(response: requests.Response) -> Iterator[Any]:
    event = Event()
    for line in response.iter_lines(chunk_size=1, decode_unicode=True):
        if not line:
            if event.data:
                yield event
            event = Event()
        elif not line.startswith(":"):
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "id":
                event.id = value
            elif field == "event":
                event.type = value
            elif field == "data":
                event.data += value


def next_evaluation(stream: Any) -> tuple[str, dict[str, Any]]:
    for event in stream:
        document = json.loads(event.data)
        if event.type == "evaluation":
            return event.id, document
    raise AssertionError("the stream ended")


def test_events_arrive_while_the_stream_is_open(client: Client) -> None:
    session = make_traced(client, told=0)
    with events(client, session) as stream:
        turn = client.ask(session)
        for number in (1, 2, 3):
            turn = client.answer(turn, rosenbrock)
            identifier, event = next_evaluation(stream)
            assert event["evaluation"] == number and identifier
            assert event == client.trace(session)[-1]


def test_a_stream_goes_on_after_the_last_event_that_was_seen(client: Client) -> None:
    session = make_traced(client, told=0)
    turn = client.ask(session)
    with events(client, session) as stream:
        turn = client.answer(turn, rosenbrock)
        turn = client.answer(turn, rosenbrock)
        next_evaluation(stream)
        last, _ = next_evaluation(stream)
    for _ in range(3):
        turn = client.answer(turn, rosenbrock)
    with events(client, session, last) as stream:
        assert [next_evaluation(stream)[1]["evaluation"] for _ in range(3)] == [3, 4, 5]
        client.answer(turn, rosenbrock)
        assert next_evaluation(stream)[1]["evaluation"] == 6


def test_a_stream_goes_on_after_the_daemon_was_killed(daemon: Daemon, own_client: Client) -> None:
    session = make_traced(own_client, told=0)
    with events(own_client, session) as stream:
        turn = own_client.answer(own_client.ask(session), rosenbrock)
        last, _ = next_evaluation(stream)
    own_client.answer(turn, rosenbrock)
    daemon.restart()
    with events(own_client, session, last) as stream:
        assert next_evaluation(stream)[1]["evaluation"] == 2
        own_client.answer(own_client.ask(session), rosenbrock)
        assert next_evaluation(stream)[1]["evaluation"] == 3


def test_the_end_of_a_step_is_an_event(client: Client) -> None:
    session = client.create(options={**WOLFE, "max_iter": 1})
    with events(client, session) as stream:
        turn = client.step(session, rosenbrock)
        for event in stream:
            if event.type == "step":
                break
    assert json.loads(event.data)["result"] == turn["result"]


def test_a_reader_that_leaves_disturbs_nobody(client: Client) -> None:
    session = make_traced(client, told=0)
    for _ in range(5):
        with events(client, session):
            pass
    turn = client.ask(session)
    for _ in range(5):
        turn = client.answer(turn, rosenbrock)
    assert len(client.trace(session)) == 5


def test_an_open_stream_does_not_keep_the_daemon_from_stopping(
    daemon: Daemon, own_client: Client
) -> None:
    session = make_traced(own_client)
    waiting = own_client.create()
    poll = threading.Thread(
        target=lambda: Client(own_client.url).call(
            "GET", f"/v1/sessions/{waiting}/evaluation", headers={"Prefer": "wait=25"}
        )
    )
    with events(own_client, session):
        poll.start()
        time.sleep(0.3)
        began = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - began < 10
    poll.join()


# For operators


def test_the_daemon_says_that_it_lives_and_is_ready(client: Client) -> None:
    for path in ("/livez", "/readyz"):
        assert client.call("GET", path).status_code == 200


def test_metrics_are_in_the_text_format_of_prometheus(client: Client) -> None:
    make_traced(client)
    response = client.call("GET", "/metrics")
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/plain")
    lines = response.text.splitlines()
    samples = [line for line in lines if line and not line.startswith("#")]
    assert samples and all(float(line.rsplit(" ", 1)[1]) is not None for line in samples)
    names = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    assert any(name.startswith("lbfgsd_") for name in names)
    for line in samples:
        name = line.split("{")[0].split(" ")[0]
        bases = {name, *(name.removesuffix(end) for end in ("_bucket", "_sum", "_count"))}
        assert bases & names, f"{name} has no # TYPE"


def test_the_description_of_the_interface_is_served(client: Client) -> None:
    response = client.call("GET", "/openapi.yaml")
    assert response.status_code == 200 and "yaml" in response.headers["Content-Type"]
    assert yaml.safe_load(response.text)["openapi"].startswith("3.1")


def test_the_limits_are_served(client: Client) -> None:
    limits = client.ok("GET", "/v1/limits")
    assert limits and all(isinstance(value, (int, float, type(None))) for value in _leaves(limits))


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _leaves(item)
    elif not isinstance(value, str):
        yield value


# HTTP


PATHS = [
    "/v1/sessions",
    "/v1/sessions/{s}",
    "/v1/sessions/{s}/evaluation",
    "/v1/sessions/{s}/params",
    "/v1/sessions/{s}/state-dict",
    "/v1/sessions/{s}/checkpoints",
    "/v1/sessions/{s}/checkpoints/1",
    "/v1/sessions/{s}/steps/1",
    "/v1/sessions/{s}/trace",
    "/v1/limits",
    "/livez",
    "/readyz",
    "/openapi.yaml",
]


@pytest.fixture
def session(client: Client) -> str:
    session = make_traced(client, told=3)
    client.ok("POST", f"/v1/sessions/{session}/checkpoints")
    return session


@pytest.mark.parametrize("path", PATHS)
def test_head_says_what_get_says_without_a_body(client: Client, session: str, path: Any) -> None:
    path = path.format(s=session)
    got, head = client.call("GET", path), client.call("HEAD", path)
    assert head.status_code == got.status_code == 200 and head.content == b""
    for name in ("Content-Type", "ETag", "Content-Length"):
        if path != "/v1/limits":
            assert head.headers.get(name) == got.headers.get(name), name


ALLOWED = {
    "/v1/sessions": {"GET", "HEAD", "POST", "OPTIONS"},
    "/v1/sessions/{s}": {"GET", "HEAD", "PATCH", "DELETE", "OPTIONS"},
    "/v1/sessions/{s}/steps": {"POST", "OPTIONS"},
    "/v1/sessions/{s}/evaluation": {"GET", "HEAD", "OPTIONS"},
    "/v1/sessions/{s}/evaluations/1/result": {"PUT", "OPTIONS"},
    "/v1/sessions/{s}/params": {"GET", "HEAD", "PUT", "OPTIONS"},
    "/v1/sessions/{s}/state-dict": {"GET", "HEAD", "PUT", "OPTIONS"},
    "/v1/sessions/{s}/checkpoints": {"GET", "HEAD", "POST", "OPTIONS"},
    "/v1/sessions/{s}/checkpoints/1": {"GET", "HEAD", "PATCH", "DELETE", "OPTIONS"},
    "/v1/sessions/{s}/checkpoints/1/restore": {"POST", "OPTIONS"},
    "/v1/sessions/{s}/checkpoints/1/fork": {"POST", "OPTIONS"},
    "/v1/sessions/{s}/stop": {"POST", "OPTIONS"},
    "/v1/sessions/{s}/trace": {"GET", "HEAD", "OPTIONS"},
    "/livez": {"GET", "HEAD", "OPTIONS"},
}


@pytest.mark.parametrize("path", ALLOWED)
def test_the_methods_of_a_path_are_told_and_others_refused(
    client: Client, session: str, path: Any
) -> None:
    allowed, path = ALLOWED[path], path.format(s=session)
    options = client.call("OPTIONS", path)
    assert options.status_code in (200, 204)
    assert set(options.headers["Allow"].replace(" ", "").split(",")) == allowed
    for method in {"GET", "PUT", "POST", "PATCH", "DELETE"} - allowed:
        response = client.call(method, path)
        assert_problem(response, 405, "method-not-allowed")
        assert set(response.headers["Allow"].replace(" ", "").split(",")) == allowed


@pytest.mark.parametrize(
    "path",
    [
        "/v1",
        "/v1/",
        "/v2/sessions",
        "/v1/session",
        "/v1/sessions/",
        "/v1//sessions",
        "/V1/sessions",
        "/v1/sessions/{s}/nothing",
        "/v1/sessions/{s}/",
        "/favicon.ico",
    ],
)
def test_an_unknown_path_is_not_found(client: Client, session: str, path: str) -> None:
    assert_problem(client.call("GET", path.format(s=session)), 404, "not-found")


@pytest.mark.parametrize(
    "accept", ["application/xml", "text/html", "image/png", "application/json;q=0", "nonsense"]
)
def test_a_form_that_cannot_be_had_is_not_acceptable(
    client: Client, session: str, accept: str
) -> None:
    response = client.call("GET", f"/v1/sessions/{session}", headers={"Accept": accept})
    assert_problem(response, 406, "not-acceptable")


@pytest.mark.parametrize(
    "accept",
    [
        "*/*",
        "application/*",
        "application/json",
        "text/html, application/json;q=0.1",
        "APPLICATION/JSON",
        "application/json; charset=utf-8",
        None,
    ],
)
def test_json_is_given_to_whoever_takes_it(
    client: Client, session: str, accept: str | None
) -> None:
    response = client.call("GET", f"/v1/sessions/{session}", headers={"Accept": accept})
    assert response.status_code == 200
    assert response.headers["Content-Type"].split(";")[0] == "application/json"


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/xml",
        "application/x-www-form-urlencoded",
        "application/jsonp",
        "multipart/form-data; boundary=x",
        "nonsense",
    ],
)
def test_a_body_in_another_form_is_unsupported(client: Client, session: str, kind: str) -> None:
    turn = client.ask(session)
    for method, path in [
        ("POST", "/v1/sessions"),
        ("PATCH", f"/v1/sessions/{session}"),
        ("PUT", f"/v1/sessions/{session}/evaluations/4/result"),
        ("PUT", f"/v1/sessions/{session}/params"),
    ]:
        response = client.call(method, path, b'{"x0": [1]}', {"Content-Type": kind})
        assert_problem(response, 415, "unsupported-media-type")
    assert client.ask(session) == turn


def test_json_may_name_its_character_set(client: Client) -> None:
    response = client.call(
        "POST", "/v1/sessions", b'{"x0": [1]}', {"Content-Type": "Application/JSON; charset=UTF-8"}
    )
    assert response.status_code == 201


def test_a_connection_serves_many_requests(client: Client, session: str) -> None:
    for _ in range(50):
        assert client.call("GET", f"/v1/sessions/{session}").status_code == 200
        assert client.call("GET", "/v1/sessions/unknown").status_code == 404
    assert numbers(client.ask(session)["evaluation"]["x"])
