"""Every kind of invalid input: it is refused with the right problem, which says what is wrong and
where; it changes nothing; and the daemon goes on."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from daemon import Client, Daemon, encode
from expectations import assert_problem
from problems import rosenbrock

WOLFE = {"line_search_fn": "strong_wolfe"}
P = {"name": "w", "shape": [2], "values": [1, 2]}


@pytest.fixture(autouse=True)
def the_daemon_lives_on(client: Client) -> Iterator[Any]:
    yield
    assert client.call("GET", "/livez").status_code == 200


def create(client: Client, **body: Any) -> Any:
    return client.call("POST", "/v1/sessions", encode(body))


def newest(client: Client) -> str | None:
    listed = client.ok("GET", "/v1/sessions?page_size=1")["sessions"]
    return listed[0]["id"] if listed else None


# Well-formed but wrong


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, None),
        ({"x0": [1], "params": [P]}, None),
        ({"x0": []}, "x0"),
        ({"x0": None}, "x0"),
        ({"x0": "1,2"}, "x0"),
        ({"x0": 5}, "x0"),
        ({"x0": {"0": 1}}, "x0"),
        ({"x0": [1, "two"]}, "x0[1]"),
        ({"x0": [1, None]}, "x0[1]"),
        ({"x0": [1, True]}, "x0[1]"),
        ({"x0": [1, [2]]}, "x0[1]"),
        ({"params": []}, "params"),
        ({"params": {}}, "params"),
        ({"params": ["w"]}, "params[0]"),
        ({"params": [{**P, "values": [1]}]}, "params[0].values"),
        ({"params": [{**P, "values": [1, 2, 3]}]}, "params[0].values"),
        ({"params": [{**P, "values": "12"}]}, "params[0].values"),
        ({"params": [{**P, "values": [1, {}]}]}, "params[0].values[1]"),
        ({"params": [P, {**P, "name": "b", "values": []}]}, "params[1].values"),
        ({"params": [{"name": "w", "shape": [2]}]}, "params[0].values"),
        ({"params": [{"name": "w", "values": [1, 2]}]}, "params[0].shape"),
        ({"params": [{**P, "shape": 2}]}, "params[0].shape"),
        ({"params": [{**P, "shape": [-2]}]}, "params[0].shape[0]"),
        ({"params": [{**P, "shape": [2.5]}]}, "params[0].shape[0]"),
        ({"params": [{**P, "shape": ["2"]}]}, "params[0].shape[0]"),
        ({"params": [{**P, "name": 7}]}, "params[0].name"),
        ({"params": [{**P, "colour": "red"}]}, "params[0].colour"),
        ({"params": [P, P]}, "params"),
        ({"x0": [1], "dtype": "float16"}, "dtype"),
        ({"x0": [1], "dtype": None}, "dtype"),
        ({"x0": [1], "dtype": 64}, "dtype"),
        ({"x0": [1], "name": 5}, "name"),
        ({"x0": [1], "name": "n" * 10_000}, "name"),
        ({"x0": [1], "labels": ["a"]}, "labels"),
        ({"x0": [1], "labels": {"a": 1}}, "labels.a"),
        ({"x0": [1], "labels": {"a": "v" * 10_000}}, "labels.a"),
        ({"x0": [1], "labels": {f"l{i}": "v" for i in range(1000)}}, "labels"),
        ({"x0": [1], "id": "mine"}, "id"),
        ({"x0": [1], "options": []}, "options"),
        ({"x0": [1], "options": {"momentum": 0.9}}, "options.momentum"),
        ({"x0": [1], "options": {"lr": -1}}, "options.lr"),
        ({"x0": [1], "options": {"lr": "fast"}}, "options.lr"),
        ({"x0": [1], "options": {"lr": "NaN"}}, "options.lr"),
        ({"x0": [1], "options": {"lr": "Infinity"}}, "options.lr"),
        ({"x0": [1], "options": {"lr": True}}, "options.lr"),
        ({"x0": [1], "options": {"lr": None}}, "options.lr"),
        ({"x0": [1], "options": {"max_iter": 0}}, "options.max_iter"),
        ({"x0": [1], "options": {"max_iter": -5}}, "options.max_iter"),
        ({"x0": [1], "options": {"max_iter": 1.5}}, "options.max_iter"),
        ({"x0": [1], "options": {"max_iter": "20"}}, "options.max_iter"),
        ({"x0": [1], "options": {"max_iter": 10**30}}, "options.max_iter"),
        ({"x0": [1], "options": {"max_iter": False}}, "options.max_iter"),
        ({"x0": [1], "options": {"max_eval": 0}}, "options.max_eval"),
        ({"x0": [1], "options": {"max_eval": -(2**63)}}, "options.max_eval"),
        ({"x0": [1], "options": {"tolerance_grad": -1e-9}}, "options.tolerance_grad"),
        ({"x0": [1], "options": {"tolerance_grad": "NaN"}}, "options.tolerance_grad"),
        ({"x0": [1], "options": {"tolerance_change": -1}}, "options.tolerance_change"),
        ({"x0": [1], "options": {"history_size": 0}}, "options.history_size"),
        ({"x0": [1], "options": {"history_size": -1}}, "options.history_size"),
        ({"x0": [1], "options": {"line_search_fn": "armijo"}}, "options.line_search_fn"),
        ({"x0": [1], "options": {"line_search_fn": 1}}, "options.line_search_fn"),
        ({"x0": [1], "options": {"mode": "magic"}}, "options.mode"),
        ({"x0": [1], "options": {"mode": None}}, "options.mode"),
    ],
)
def test_a_bad_creation_is_refused(client: Client, body: dict[str, Any], field: str | None) -> None:
    before = newest(client)
    problem = assert_problem(create(client, **body), 422, "invalid-request", field)
    assert problem["errors"]
    assert newest(client) == before


@pytest.mark.parametrize(
    "shape",
    [[10**9], [10**18, 10**18], [2**63], [2**62, 2, 2], [0], [2, 0], [1] * 100_000, [2**64 + 2]],
)
def test_a_shape_that_cannot_be_is_refused(client: Client, shape: Any) -> None:
    before = newest(client)
    assert_problem(create(client, params=[{**P, "shape": shape}]), (413, 422))
    assert newest(client) == before


def test_every_count_has_a_limit_that_is_served(client: Client) -> None:
    limits = client.ok("GET", "/v1/limits")
    rank, size = limits["rank_max"], limits["history_size_max"]
    fill = {"name": "w", "fill": 1}
    assert create(client, params=[{**fill, "shape": [1] * rank}]).status_code == 201
    response = create(client, params=[{**fill, "shape": [1] * (rank + 1)}])
    assert_problem(response, 422, "invalid-request", "params[0].shape")
    assert create(client, x0=[1], options={"history_size": size}).status_code == 201
    response = create(client, x0=[1], options={"history_size": size + 1})
    assert_problem(response, 422, "invalid-request", "options.history_size")
    labels = {f"k{i}": "" for i in range(limits["labels_max"] + 1)}
    response = create(client, x0=[1], labels=labels)
    assert_problem(response, 422, "invalid-request", "labels")
    session = client.create()
    client.begin(session)
    path = f"/v1/sessions/{session}/evaluations/1/result"
    response = client.call("PUT", path, {"failed": "x" * (limits["reason_length_max"] + 1)})
    assert_problem(response, 422, "invalid-request", "failed")
    url = "https://h/" + "x" * limits["url_length_max"]
    hook = {"event": "step.pre", "kind": "observe", "url": url}
    response = client.call("POST", f"/v1/sessions/{session}/hooks", hook)
    assert_problem(response, 422, "invalid-request", "url")


def test_a_state_dict_cannot_pad_al_without_end(client: Client) -> None:
    session = client.create(options={"max_iter": 2})
    client.step(session, rosenbrock)
    path = f"/v1/sessions/{session}/state-dict"
    dict_ = client.ok("GET", path)
    size = client.ok("GET", "/v1/limits")["history_size_max"]
    dict_["state"]["0"]["al"] = [None] * (size + 1)
    assert_problem(client.call("PUT", path, dict_), 422, "invalid-request", "state.0.al")
    dict_ = client.ok("GET", path)
    dict_["param_groups"][0]["history_size"] = 500_000_000
    response = client.call("PUT", path, dict_)
    assert_problem(response, 422, "invalid-request", "options.history_size")


def test_all_errors_of_a_request_are_told_at_once(client: Client) -> None:
    response = create(client, x0=[1], dtype="int8", options={"lr": -1, "max_iter": 0})
    fields = {error["field"] for error in assert_problem(response, 422)["errors"]}
    assert len(fields) >= 1
    assert fields <= {"dtype", "options.lr", "options.max_iter"}


def test_a_history_that_needs_too_much_memory_is_refused(client: Client) -> None:
    response = create(client, x0=[0.0] * 100_000, options={"history_size": 10**12})
    if response.status_code == 201:
        # This is accepted only because the server does not allocate the history in advance.
        session = response.json()["id"]
        assert client.answer(client.begin(session), lambda x: (1.0, x))["state"] == "idle"
    else:
        assert_problem(response, (413, 422), field="options.history_size")


def test_huge_budgets_do_not_overflow(client: Client) -> None:
    session = client.create(options={"max_iter": 2**62, "max_eval": 2**62, "line_search_fn": None})
    turn = client.begin(session)
    for _ in range(3):
        turn = client.answer(turn, rosenbrock)
    assert client.get(session)["options"]["max_iter"] == 2**62


def test_values_beyond_float32_do_not_crash(client: Client) -> None:
    response = create(client, x0=[1e300, 2], dtype="float32")
    assert response.status_code in (201, 422)
    session = client.create(dtype="float32")
    client.begin(session)
    response = client.call(
        "PUT",
        f"/v1/sessions/{session}/evaluations/1/result",
        {"loss": 1e300, "gradient": [1e300, -1e300]},
    )
    assert response.status_code in (200, 422)


def test_an_extreme_but_finite_evaluation_leaves_the_point_finite(client: Client) -> None:
    for loss, gradient in [
        (1.7e308, [1.7e308, 1.7e308]),
        (5e-324, [5e-324, 0]),
        (-1.7e308, [1e-300, 1]),
    ]:
        session = client.create(options={**WOLFE, "tolerance_grad": 0, "tolerance_change": 0})
        client.begin(session)
        turn = client.tell(session, 1, loss, gradient)
        for _ in range(60):
            if turn["state"] != "evaluating":
                break
            assert all(isinstance(value, (int, float)) for value in turn["evaluation"]["x"])
            turn = client.tell(session, turn["evaluation"]["number"], loss, gradient)


# Malformed


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"{]",
        b'{"x0": [1,]}',
        b'{"x0": [NaN]}',
        b'{"x0": [Infinity]}',
        b"{'x0': [1]}",
        b'{"x0": [1]} {}',
        b'{"x0": [1]}x',
        b'{"x0": [01]}',
        b'{"x0": [.5]}',
        b'{"x0": [1.]}',
        b'{"x0": [+1]}',
        b'{"x0": [0x1]}',
        b'{"x0": [1e]}',
        b'{"x0": [- 1]}',
        b'{"x0" [1]}',
        b"{x0: [1]}",
        b'{"x0": [1] // c\n}',
        b'{"x0": [tru]}',
        b'{"name": "\xff\xfe", "x0": [1]}',
        b'{"name": "a\nb", "x0": [1]}',
        b'{"name": "\\x", "x0": [1]}',
        b'{"name": "\\u12", "x0": [1]}',
        b'{"name": "open',
        b"[" * 100_000,
        b'{"x0":' * 50_000,
        b"[" * 2000 + b"]" * 2000,
        b"\x00",
        b"nul",
        '{"x0": [1]}'.encode("utf-16"),
        b'\xef\xbb\xbf{"x0": [1]',
    ],
)
def test_malformed_json_is_refused(client: Client, body: Any) -> None:
    before = newest(client)
    response = client.call(
        "POST", "/v1/sessions", body or b"", {"Content-Type": "application/json"}
    )
    if body.startswith(b"[" * 2000 + b"]"):
        assert_problem(response, (400, 422))
    else:
        assert_problem(response, 400, "malformed")
    assert newest(client) == before


@pytest.mark.parametrize("body", [b"[]", b"[1]", b'"text"', b"5", b"null", b"true"])
def test_json_that_is_no_object_is_refused(client: Client, body: bytes) -> None:
    response = client.call("POST", "/v1/sessions", body, {"Content-Type": "application/json"})
    assert_problem(response, (400, 422))


@pytest.mark.parametrize(
    "body",
    [
        b'{"x0": [1e400]}',
        b'{"x0": [-1e999999999999]}',
        b'{"x0": [1], "options": {"lr": 1e400}}',
        b'{"x0": [1], "name": "\\ud800"}',
        b'{"x0": [1], "x0": [2]}',
        b'{"x0": [1' + b"0" * 100_000 + b"]}",
        b'{"x0": [0.' + b"1" * 100_000 + b"]}",
    ],
)
def test_strange_but_parsable_json_never_breaks_the_daemon(client: Client, body: Any) -> None:
    response = client.call("POST", "/v1/sessions", body, {"Content-Type": "application/json"})
    if response.status_code != 201:
        assert_problem(response, (400, 413, 422))


def test_odd_names_are_kept_as_they_are(daemon: Daemon, own_client: Client) -> None:
    client = own_client
    for name in (
        "",
        " ",
        "käse 🧀",
        "../../etc/passwd",
        "a\tb\nc",
        "<script>",
        "'; DROP TABLE session; --",
        "\u0000",
        "\u2028",
        "%s%n",
    ):
        response = create(client, x0=[1], name=name)
        if response.status_code == 201:
            assert client.get(response.json()["id"])["name"] == name
        else:
            assert_problem(response, 422, field="name")
    daemon.restart()
    assert client.call("GET", "/v1/sessions").status_code == 200


def test_a_problem_never_shows_the_inside(client: Client) -> None:
    for response in (
        create(client),
        client.call("GET", "/v1/sessions/x"),
        client.call("POST", "/v1/sessions", b"{", {"Content-Type": "application/json"}),
    ):
        assert not re.search(
            r"Swift|fatal|\.swift|/home/|/root/|SQLITE|0x[0-9a-f]{6}", response.text
        )


# Framing: requests that no client library would send


def exchange(daemon: Daemon, request: bytes, close: bool = False, seconds: float = 5) -> bytes:
    """Sends bytes as they are. Returns all that comes back until the server closes or is silent."""
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=seconds) as connection:
        connection.sendall(request)
        if close:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        try:
            while piece := connection.recv(65536):
                received += piece
                if b"\r\n\r\n" in received:
                    connection.settimeout(0.5)
        except (TimeoutError, ConnectionResetError):
            pass
        return received


def head(path: str = "/v1/sessions", method: str = "POST", *lines: str) -> bytes:
    lines = ("Host: localhost", "Content-Type: application/json", *lines)
    return "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode("latin-1")


def statuses(answer: bytes) -> list[int]:
    return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


BODY = b'{"x0": [1, 2]}'


@pytest.mark.parametrize(
    ("request_bytes", "expected"),
    [
        (
            head("/v1/sessions", "POST", "Transfer-Encoding: chunked")
            + b"e\r\n"
            + BODY
            + b"\r\n0\r\n\r\n",
            {411},
        ),
        (
            head(
                "/v1/sessions", "POST", f"Content-Length: {len(BODY)}", "Transfer-Encoding: chunked"
            )
            + BODY,
            {400},
        ),
        (
            head("/v1/sessions", "POST", f"Content-Length: {len(BODY)}", "Content-Length: 3")
            + BODY,
            {400},
        ),
        (head("/v1/sessions", "POST", "Content-Length: fourteen") + BODY, {400}),
        (head("/v1/sessions", "POST", "Content-Length: -1") + BODY, {400}),
        (head("/v1/sessions", "POST", "Content-Length: 0x0e") + BODY, {400}),
        (head("/v1/sessions", "POST", "Content-Length: 99999999999999999999") + BODY, {400, 413}),
        (
            head("/v1/sessions", "POST", "Content-Length: 1000000000000", "Expect: 100-continue"),
            {413},
        ),
        (head("/v1/sessions", "POST", "Content-Length : 14") + BODY, {400}),
        (head("/v1/sessions", "POST", "Host: other", f"Content-Length: {len(BODY)}") + BODY, {400}),
        (
            b"POST /v1/sessions HTTP/1.1\r\nContent-Type: application/json\r\n"
            b"Content-Length: 14\r\n\r\n" + BODY,
            {400},
        ),
        (head("/v1/sessions\x00x", "GET"), {400, 404}),
        (head("/v1/sessions%00x", "GET"), {400, 404}),
        (head("/v1/sessions/%zz", "GET"), {400, 404}),
        (head("/" + "a" * 100_000, "GET"), {400, 413, 414, 431}),
        (head("/v1/limits", "GET", *(f"X-{i}: {'v' * 1000}" for i in range(200))), {400, 413, 431}),
        (head("/v1/sessions", "BREW"), {400, 405, 501}),
        (head("/v1/sessions", "G(T"), {400}),
        (head("/v1/sessions", "TRACE"), {400, 405, 501}),
        (b"nonsense\r\n\r\n", {400}),
        (b"GET /v1/limits\r\n\r\n", {400}),
        (b"GET /v1/limits HTTP/9.9\r\nHost: x\r\n\r\n", {400, 505}),
    ],
    ids=lambda value: (
        value[:60].decode("latin-1").replace("\r\n", " ") if isinstance(value, bytes) else ""
    ),
)
def test_a_smuggled_or_garbled_request_is_refused(
    client: Client, shared_daemon: Daemon, request_bytes: Any, expected: Any
) -> None:
    before = newest(client)
    answer = exchange(shared_daemon, request_bytes)
    # An answer, or a connection closed without one.
    codes = statuses(answer)
    assert not codes or codes[0] in expected, answer[:500]
    assert not answer or codes
    assert 100 not in codes and 201 not in codes
    assert newest(client) == before


def test_a_body_shorter_than_announced_makes_nothing(client: Client, shared_daemon: Daemon) -> None:
    before = newest(client)
    assert 201 not in statuses(
        exchange(
            shared_daemon, head("/v1/sessions", "POST", "Content-Length: 1000") + BODY, close=True
        )
    )
    assert newest(client) == before


def test_a_body_longer_than_announced_is_cut(client: Client, shared_daemon: Daemon) -> None:
    before = newest(client)
    answer = exchange(shared_daemon, head("/v1/sessions", "POST", "Content-Length: 5") + BODY)
    assert statuses(answer)[0] == 400 and 201 not in statuses(answer)
    assert newest(client) == before


def test_a_result_shorter_than_announced_tells_nothing(
    client: Client, shared_daemon: Daemon
) -> None:
    session = client.create()
    turn = client.begin(session)
    body = b'{"loss": 1, "gradient": [1, 2]}'
    answer = exchange(
        shared_daemon,
        head(
            f"/v1/sessions/{session}/evaluations/1/result",
            "PUT",
            f"Content-Length: {len(body) + 1}",
        )
        + body,
        close=True,
    )
    assert 200 not in statuses(answer)
    assert client.ask(session) == turn and client.trace(session) == []


def test_a_body_beyond_the_limit_is_refused_before_it_is_sent(
    client: Client, shared_daemon: Daemon
) -> None:
    answer = exchange(shared_daemon, head("/v1/sessions", "POST", "Content-Length: 1000000000000"))
    assert statuses(answer) == [413]
    problem = json.loads(answer.split(b"\r\n\r\n", 1)[1])
    assert problem["type"].endswith("content-too-large")
    assert any(isinstance(value, int) and value > 1000 for value in problem.values()), (
        "the problem should say the limit"
    )


def test_a_client_that_expects_100_gets_it(client: Client, shared_daemon: Daemon) -> None:
    request = head("/v1/sessions", "POST", f"Content-Length: {len(BODY)}", "Expect: 100-continue")
    with socket.create_connection(("127.0.0.1", shared_daemon.port), timeout=5) as connection:
        connection.sendall(request)
        assert statuses(connection.recv(65536)) == [100]
        connection.sendall(BODY)
        assert statuses(connection.recv(65536)) == [201]


def test_a_request_in_single_bytes_is_understood(client: Client, shared_daemon: Daemon) -> None:
    request = (
        head("/v1/sessions", "POST", f"Content-Length: {len(BODY)}", "Connection: close") + BODY
    )
    with socket.create_connection(("127.0.0.1", shared_daemon.port), timeout=5) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for index in range(len(request)):
            connection.sendall(request[index : index + 1])
        assert statuses(connection.recv(65536)) == [201]


def test_pipelined_requests_are_answered_in_order(client: Client, shared_daemon: Daemon) -> None:
    session = client.create()
    requests = (
        head("/livez", "GET") + head(f"/v1/sessions/{session}", "GET") + head("/nothing", "GET")
    )
    assert statuses(exchange(shared_daemon, requests)) == [200, 200, 404]


@pytest.mark.parametrize("key", ["", "k" * 10_000, "a b\tc", "\x7f"])
def test_an_odd_idempotency_key_is_refused_or_kept(client: Client, key: Any) -> None:
    body, headers = {"x0": [1]}, {"Idempotency-Key": key}
    first = client.call("POST", "/v1/sessions", body, headers)
    if first.status_code == 201:
        second = client.call("POST", "/v1/sessions", body, headers)
        assert key == "" or second.json()["id"] == first.json()["id"]
    else:
        assert_problem(first, (400, 422, 431))


@pytest.mark.parametrize("tag", ["nonsense", '"unclosed', "", '"a" "b"', "W/"])
def test_an_odd_if_match_changes_nothing(client: Client, tag: str) -> None:
    session = client.create(name="as it was")
    response = client.call("PATCH", f"/v1/sessions/{session}", {"name": "b"}, {"If-Match": tag})
    assert_problem(response, (400, 412))
    assert client.get(session)["name"] == "as it was"
