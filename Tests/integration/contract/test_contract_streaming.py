"""Long vectors: checked before they are sent, streamed into place, stored once."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from numpy.typing import NDArray
from test_contract_octets import OCTETS, WOLFE, point, send

from daemon import Client, Daemon

LONG = 200_000  # 1.6 MB: a segment of its own
MIB = 1 << 20


def quadratic(x: NDArray[Any]) -> tuple[float, NDArray[Any]]:
    """A separable quadratic with its minimum at a known point."""
    weight = 1 + (np.arange(len(x)) % 100) / 10
    away = x.astype(np.float64) - np.linspace(-1, 1, len(x))
    return float(0.5 * np.sum(weight * away**2)), weight * away


def tell(client: Client, session: str, response: requests.Response, dtype: str) -> Any:
    """Tells the result that `response` asks for, and returns the next response."""
    loss, gradient = quadratic(point(response, dtype))
    k = response.headers["Lbfgsd-Evaluation"]
    body = gradient.astype(dtype).tobytes()
    path = f"/v1/sessions/{session}/evaluations/{k}/result"
    answer = send(client, "PUT", path, body, loss=repr(loss))
    assert answer.status_code == 200, answer.text
    return answer


def begin(client: Client, n: int, dtype: str = "float64", **options: Any) -> tuple[Any, Any]:
    session = client.create(
        x0=[0] * n, dtype=dtype, options={**WOLFE, "history_size": 3, "max_iter": 500, **options}
    )
    return session, send(client, "POST", f"/v1/sessions/{session}/steps")


def written(daemon: Daemon) -> int:
    text = Path(f"/proc/{daemon.pid}/io").read_text()
    return int(re.findall(r"^write_bytes: (\d+)", text, re.MULTILINE)[0])


def status(daemon: Daemon, field: Any) -> int:
    text = Path(f"/proc/{daemon.pid}/status").read_text()
    return int(re.findall(rf"^{field}:\s+(\d+) kB", text, re.MULTILINE)[0]) * 1024


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_long_vectors_survive_kills_between_any_two_tells(
    own_client: Client, daemon: Daemon, dtype: str
) -> None:
    session, response = begin(own_client, LONG, dtype)
    other, undisturbed = begin(own_client, LONG, dtype)
    tells = 0
    while response.headers["Lbfgsd-State"] == "evaluating" and tells < 24:
        undisturbed = tell(own_client, other, undisturbed, dtype)
        response = tell(own_client, session, response, dtype)
        assert response.content == undisturbed.content
        tells += 1
        if tells % 5 == 0:
            daemon.kill()
            daemon.start()
            asked = send(own_client, "GET", f"/v1/sessions/{session}/evaluation")
            assert asked.content == response.content
    assert tells >= 10
    segments = Path(daemon.data) / "segments"
    assert any(name.suffix == ".vec" for name in segments.iterdir())
    for each in (session, other):
        own_client.call("DELETE", f"/v1/sessions/{each}")
    daemon.stop()
    daemon.start()
    assert not [name for name in segments.iterdir() if name.suffix == ".vec"]


def test_no_more_than_two_and_a_half_bytes_are_written_for_one(
    own_client: Client, daemon: Daemon
) -> None:
    session, response = begin(own_client, LONG, tolerance_grad=0, tolerance_change=0)
    before, tells = written(daemon), 0
    while response.headers["Lbfgsd-State"] == "evaluating" and tells < 60:
        response = tell(own_client, session, response, "float64")
        tells += 1
    ratio = (written(daemon) - before) / (tells * LONG * 8)
    if written(daemon) == 0:
        pytest.skip("the data directory is not on a disk")
    assert tells > 20 and 1 <= ratio <= 2.5, (tells, ratio)


def test_memory_stays_within_the_estimate_and_one_vector(
    own_client: Client, daemon: Daemon
) -> None:
    n = 2_000_000
    session, response = begin(own_client, n)
    idle = status(daemon, "VmRSS")
    Path(f"/proc/{daemon.pid}/clear_refs").write_text("5")
    for _ in range(8):
        if response.headers["Lbfgsd-State"] == "evaluating":
            response = tell(own_client, session, response, "float64")
    estimate = own_client.get(session)["memory_bytes_estimate"]
    assert status(daemon, "VmHWM") <= estimate + 8 * n + 64 * MIB, idle


class Waiting:
    """Sends a header with `Expect: 100-continue`, and waits."""

    def __init__(self, daemon: Daemon, path: str, length: int, media_type: str = OCTETS) -> None:
        self.socket = socket.create_connection(("127.0.0.1", daemon.port), timeout=20)
        self.socket.sendall(
            f"PUT {path} HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Type: {media_type}\r\nAccept: {OCTETS}\r\n"
            f"Content-Length: {length}\r\nExpect: 100-continue\r\n\r\n".encode()
        )

    def status(self) -> int:
        """The status of the next response; its body is left unread."""
        head = b""
        while b"\r\n\r\n" not in head:
            piece = self.socket.recv(1)
            assert piece, head
            head += piece
        return int(head.split()[1])


@pytest.fixture
def evaluating(client: Client) -> tuple[Any, Any]:
    session, response = begin(client, 100)
    response = tell(client, session, response, "float64")
    return session, int(response.headers["Lbfgsd-Evaluation"])


def path(session: str, k: Any, loss: str = "1") -> str:
    return f"/v1/sessions/{session}/evaluations/{k}/result?loss={loss}"


def test_who_waits_for_leave_hears_what_is_wrong_first(
    client: Client, shared_daemon: Daemon, evaluating: Any
) -> None:
    session, k = evaluating
    cases = [
        (path(session, k), 799, 422),
        (path(session, k), 801, 422),
        (path(session, k), 8 * 1024 * MIB, 413),
        (path(session, k + 1), 800, 404),
        (path("nosuchsession00000000", k), 800, 404),
        (f"/v1/sessions/{session}/params", 800, 409),
    ]
    for target, length, status in cases:
        assert Waiting(shared_daemon, target, length).status() == status, (target, length)
    client.ok("POST", f"/v1/sessions/{session}/stop")
    assert Waiting(shared_daemon, path(session, k), 800).status() == 410
    assert Waiting(shared_daemon, f"/v1/sessions/{session}/params", 799).status() == 422
    assert client.ask(session)["state"] == "idle"


def test_who_waits_for_leave_gets_it(
    client: Client, shared_daemon: Daemon, evaluating: Any
) -> None:
    session, k = evaluating
    for _ in range(2):  # the second time is a repetition
        waiting = Waiting(shared_daemon, path(session, k, "0.5"), 800)
        assert waiting.status() == 100
        waiting.socket.sendall(np.ones(100).tobytes())
        assert waiting.status() == 200
    assert client.trace(session)[-1]["loss"] == 0.5


def test_a_long_body_of_the_wrong_length_is_refused(client: Client) -> None:
    session, response = begin(client, LONG)
    k = response.headers["Lbfgsd-Evaluation"]
    body = np.zeros(LONG + 1).tobytes()
    refused = send(client, "PUT", path(session, k), body)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "body"
    assert client.ask(session)["evaluation"]["number"] == int(k)


def test_long_parameters_go_both_ways(client: Client) -> None:
    session = client.create(x0=[0] * LONG)
    new = np.random.default_rng(3).normal(size=LONG)
    target = f"/v1/sessions/{session}/params"
    assert send(client, "PUT", target, new.tobytes()).content == new.tobytes()
    assert send(client, "GET", target).content == new.tobytes()
    new[-1] = np.nan
    assert send(client, "PUT", target, new.tobytes()).status_code == 422


def test_a_long_result_told_again_is_compared(client: Client) -> None:
    session, response = begin(client, LONG)
    k = response.headers["Lbfgsd-Evaluation"]
    loss, gradient = quadratic(point(response, "float64"))
    told = send(client, "PUT", path(session, k, repr(loss)), gradient.tobytes())
    again = send(client, "PUT", path(session, k, repr(loss)), gradient.tobytes())
    assert again.headers["Idempotent-Replayed"] == "true" and again.content == told.content
    gradient[77_777] += 1
    other = send(client, "PUT", path(session, k, repr(loss)), gradient.tobytes())
    assert other.status_code == 409
    assert other.json()["type"].endswith("already-told")
