"""Long safetensors and .npy bodies: checked when their header has arrived, streamed into place, and
never held in memory twice."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import safetensors.numpy
from numpy.typing import NDArray
from test_contract_octets import OCTETS, WOLFE, point
from test_contract_streaming import LONG, MIB, Waiting, path, quadratic, status

from daemon import Client, Daemon

SAFETENSORS = "application/vnd.safetensors"
NPY = "application/x-npy"
NAMES = ("w10", "w2", "b")  # unlike in a file, where they are sorted by name


def shapes(n: int) -> dict[str, tuple[int, ...]]:
    return dict(zip(NAMES, [(n // 4, 2), (n - n // 4 * 2 - 1,), ()], strict=True))


def tensors(flat: NDArray[Any]) -> dict[str, NDArray[Any]]:
    parts, start = {}, 0
    for name, shape in shapes(len(flat)).items():
        end = start + int(np.prod(shape))
        parts[name] = flat[start:end].reshape(shape)
        start = end
    return parts


def encode(form: str, flat: NDArray[Any]) -> bytes:
    if form == SAFETENSORS:
        # The fields of a long body are read while its numbers already arrive.
        text = {"text": "x" * 20_000} if len(flat) > 1000 else None
        return safetensors.numpy.save(tensors(flat), metadata=text)
    if form == NPY:
        file = io.BytesIO()
        np.save(file, flat)
        return file.getvalue()
    return flat.tobytes()


def put(
    client: Client,
    target: str,
    body: bytes,
    form: str,
    accept: Any = OCTETS,
    headers: Any = None,
    **query: Any,
) -> Any:
    return requests.put(
        client.url + target,
        data=body,
        params=query,
        headers={"Content-Type": form, "Accept": accept, **(headers or {})},
        timeout=60,
    )


def begin(client: Client, n: int, **options: Any) -> tuple[Any, Any]:
    session = client.create(
        params=[{"name": k, "shape": list(v), "fill": 0} for k, v in shapes(n).items()],
        options={**WOLFE, "history_size": 2, "max_iter": 500, **options},
    )
    response = requests.post(
        f"{client.url}/v1/sessions/{session}/steps", headers={"Accept": OCTETS}, timeout=60
    )
    return session, response


def tell(client: Client, session: str, response: requests.Response, form: str) -> Any:
    loss, gradient = quadratic(point(response, "float64"))
    k = response.headers["Lbfgsd-Evaluation"]
    target = f"/v1/sessions/{session}/evaluations/{k}/result"
    answer = put(client, target, encode(form, gradient), form, loss=repr(loss))
    assert answer.status_code == 200, answer.text
    return answer


def problem(response: requests.Response, status: Any, kind: str, *fields: Any) -> None:
    assert response.status_code == status, response.text
    assert response.json()["type"] == f"/problems/{kind}"
    assert [error["field"] for error in response.json().get("errors", [])] == list(fields)


@pytest.mark.parametrize("form", [SAFETENSORS, NPY])
def test_memory_and_points_are_those_of_octets(
    own_client: Client, daemon: Daemon, form: Any
) -> None:
    n = 4_000_000
    points: dict[Any, Any] = {}
    peaks: dict[Any, Any] = {}
    for each in (OCTETS, form):
        daemon.stop()
        daemon.start()
        session, response = begin(own_client, n, tolerance_grad=0, tolerance_change=0)
        estimate = own_client.get(session)["memory_bytes_estimate"]
        points[each], peaks[each] = [], []
        for _ in range(8):
            Path(f"/proc/{daemon.pid}/clear_refs").write_text("5")
            response = tell(own_client, session, response, each)
            points[each].append(response.content)
            peaks[each].append(status(daemon, "VmHWM"))
        assert max(peaks[each]) <= estimate + 8 * n + 64 * MIB
        own_client.call("DELETE", f"/v1/sessions/{session}")
    assert points[OCTETS] == points[form]
    # Freed memory may stay resident for a while.
    assert min(peaks[form]) <= min(peaks[OCTETS]) + 4 * n, peaks


@pytest.mark.parametrize("form", [SAFETENSORS, NPY])
def test_what_came_in_its_form_survives_a_kill(
    own_client: Client, daemon: Daemon, form: Any
) -> None:
    session, response = begin(own_client, LONG)
    other, undisturbed = begin(own_client, LONG)
    for _ in range(4):
        undisturbed = tell(own_client, other, undisturbed, OCTETS)
        response = tell(own_client, session, response, form)
        assert response.content == undisturbed.content
        daemon.kill()
        daemon.start()


@pytest.mark.parametrize("form", [SAFETENSORS, NPY])
def test_a_long_result_told_again_is_compared(client: Client, form: Any) -> None:
    session, response = begin(client, LONG)
    loss, gradient = quadratic(point(response, "float64"))
    target = f"/v1/sessions/{session}/evaluations/1/result"
    told = put(client, target, encode(form, gradient), form, loss=repr(loss))
    for each in (form, OCTETS):
        again = put(client, target, encode(each, gradient), each, loss=repr(loss))
        assert again.headers["Idempotent-Replayed"] == "true" and again.content == told.content
    gradient[77_777] += 1
    other = put(client, target, encode(form, gradient), form, loss=repr(loss))
    problem(other, 409, "already-told")
    client.ok("POST", f"/v1/sessions/{session}/stop")
    late = f"/v1/sessions/{session}/evaluations/2/result"
    problem(put(client, late, encode(form, gradient), form, loss="1"), 410, "evaluation-closed")


@pytest.mark.parametrize("form", [SAFETENSORS, NPY])
def test_long_parameters_and_shards_come_in_their_form(client: Client, form: Any) -> None:
    new = np.random.default_rng(4).normal(size=LONG)
    session = client.create(
        params=[{"name": k, "shape": list(v), "fill": 0} for k, v in shapes(LONG).items()],
        shards=2,
    )
    target = f"/v1/sessions/{session}/params"
    assert put(client, target, encode(form, new), form).content == new.tobytes()
    new[-1] = np.inf
    problem(put(client, target, encode(form, new), form), 422, "invalid-request", "body")
    client.begin(session)
    half = encode(form, np.full(LONG, 0.5))
    for shard in (1, 0):
        target = f"/v1/sessions/{session}/evaluations/1/shards/{shard}"
        for _ in range(2):
            assert put(client, target, half, form, loss="1").status_code == 200
    assert client.trace(session)[0]["gradient_norm_inf"] == 1


def test_absent_tensors_of_a_long_gradient_are_zeros(client: Client) -> None:
    one, response = begin(client, LONG)
    other, _ = begin(client, LONG)
    loss, gradient = quadratic(point(response, "float64"))
    present = {name: part for name, part in tensors(gradient).items() if name != "w2"}
    body = safetensors.numpy.save(present)
    target = "/v1/sessions/{}/evaluations/1/result"
    told = put(client, target.format(one), body, SAFETENSORS, loss=repr(loss))
    gradient[LONG // 4 * 2 : -1] = 0
    same = put(client, target.format(other), gradient.tobytes(), OCTETS, loss=repr(loss))
    assert told.status_code == 200 and told.content == same.content
    new = put(client, f"/v1/sessions/{one}/params", body, SAFETENSORS)
    problem(new, 409, "step-running")
    client.ok("POST", f"/v1/sessions/{one}/stop")
    new = put(client, f"/v1/sessions/{one}/params", body, SAFETENSORS)
    problem(new, 422, "invalid-request", "w2")


def test_what_is_wrong_with_a_long_body_is_said_and_not_stored(
    own_client: Client, daemon: Daemon
) -> None:
    session, _response = begin(own_client, 1000)
    target = f"/v1/sessions/{session}/evaluations/1/result"
    large = np.zeros(8_000_000)
    Path(f"/proc/{daemon.pid}/clear_refs").write_text("5")
    before = status(daemon, "VmRSS")
    whole = encode(SAFETENSORS, large)
    cases = [
        (whole, SAFETENSORS, 422, ["w10.shape", "w2.shape"]),
        (safetensors.numpy.save({"u": large}), SAFETENSORS, 422, ["u"]),
        (whole + b"\0", SAFETENSORS, 422, ["body"]),
        (whole[:-1], SAFETENSORS, 400, []),
        (b"\xff" * 8 + whole, SAFETENSORS, 422, ["header"]),
        (b"\x09" + bytes(7) + whole, SAFETENSORS, 400, []),
        (encode(NPY, large), NPY, 422, ["shape"]),
        (encode(NPY, large) + b"\0", NPY, 422, ["body"]),
        (encode(NPY, large)[:-1], NPY, 400, []),
        (large.tobytes(), NPY, 400, []),
    ]
    for body, form, expected, fields in cases:
        kind = "malformed" if expected == 400 else "invalid-request"
        problem(put(own_client, target, body, form, loss="1"), expected, kind, *fields)
    digest = {"Content-Digest": "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"}
    refused = put(own_client, target, whole, SAFETENSORS, headers=digest, loss="1")
    problem(refused, 400, "digest-mismatch")
    assert status(daemon, "VmHWM") <= before + 32 * MIB
    assert own_client.ask(session)["evaluation"]["number"] == 1


@pytest.mark.parametrize("form", [SAFETENSORS, NPY])
def test_who_waits_for_leave_hears_what_is_wrong_first(
    client: Client, shared_daemon: Daemon, form: Any
) -> None:
    session, _ = begin(client, 100)
    body = encode(form, np.ones(100))
    refused = [
        (path(session, 1), 8 * 1024 * MIB, 413),
        (path(session, 2), len(body), 404),
        (path("nosuchsession00000000", 1), len(body), 404),
        (f"/v1/sessions/{session}/params", len(body), 409),
    ]
    for target, length, expected in refused:
        assert Waiting(shared_daemon, target, length, form).status() == expected, target
    for sent, expected in [(bytes(len(body)), 400), (body, 200), (body, 200)]:
        waiting = Waiting(shared_daemon, path(session, 1), len(body), form)
        assert waiting.status() == 100
        for byte in sent:  # one at a time
            waiting.socket.sendall(bytes([byte]))
        assert waiting.status() == expected
    client.ok("POST", f"/v1/sessions/{session}/stop")
    assert Waiting(shared_daemon, path(session, 2), len(body), form).status() == 410
