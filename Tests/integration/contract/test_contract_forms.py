"""Formats of vectors: filled parameters, safetensors and .npy; digests of bodies; and ranges of
responses."""

from __future__ import annotations

import base64
import hashlib
import io
from typing import Any

import numpy as np
import pytest
import requests
import safetensors.numpy
from numpy.typing import NDArray

from daemon import Client
from problems import Perceptron, rosenbrock, rosenbrock_start

OCTETS = "application/octet-stream"
SAFETENSORS = "application/vnd.safetensors"
NPY = "application/x-npy"
WOLFE = {"line_search_fn": "strong_wolfe"}


def npy(array: Any, **how: Any) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asanyarray(array), **how)
    return file.getvalue()


def send(
    client: Client,
    method: str,
    path: str,
    body: Any = None,
    form: str | None = None,
    accept: Any = None,
    headers: Any = None,
    **query: Any,
) -> Any:
    headers = dict(headers or {})
    if form:
        headers["Content-Type"] = form
    if accept:
        headers["Accept"] = accept
    return client.call(method, path, body, headers, params=query)


def problem(response: requests.Response, status: Any, kind: str, *fields: Any) -> Any:
    assert response.status_code == status, response.text
    document = response.json()
    assert document["type"] == f"/problems/{kind}"
    assert [error["field"] for error in document.get("errors", [])] == list(fields)
    return document


class Coded:
    """Writes and reads vectors of named tensors in one of the formats."""

    def __init__(self, form: str, shapes: dict[str, tuple[Any, ...]], dtype: str) -> None:
        self.form, self.shapes, self.dtype = form, shapes, dtype

    def tensors(self, flat: Any) -> dict[str, NDArray[Any]]:
        parts, start = {}, 0
        for name, shape in self.shapes.items():
            end = start + int(np.prod(shape))
            parts[name] = np.asarray(flat[start:end], self.dtype).reshape(shape)
            start = end
        return parts

    def encode(self, flat: Any) -> bytes:
        if self.form == SAFETENSORS:
            return safetensors.numpy.save(self.tensors(flat))
        array = np.asarray(flat, self.dtype)
        return npy(array) if self.form == NPY else array.tobytes()

    def decode(self, body: bytes) -> NDArray[Any]:
        if self.form == SAFETENSORS:
            tensors = safetensors.numpy.load(body)
            assert {name: tensor.shape for name, tensor in tensors.items()} == self.shapes
            assert {tensor.dtype for tensor in tensors.values()} == {np.dtype(self.dtype)}
            return np.concatenate([tensors[name].ravel() for name in self.shapes])
        if self.form == NPY:
            array = np.load(io.BytesIO(body))
            assert array.dtype == self.dtype and array.ndim == 1
            return array
        return np.frombuffer(body, self.dtype)


def named(flat: Any, shapes: Any) -> list[dict[str, Any]]:
    params, start = [], 0
    for name, shape in shapes.items():
        end = start + int(np.prod(shape))
        values = [float(value) for value in flat[start:end]]
        params.append({"name": name, "shape": list(shape), "values": values})
        start = end
    return params


# Fill


def test_parameters_can_be_filled_with_one_number(client: Client) -> None:
    session = client.create(
        dtype="float32",
        params=[
            {"name": "w", "shape": [2, 3], "fill": 0.1},
            {"name": "b", "shape": [], "values": [2]},
            {"name": "z", "shape": [4], "fill": -0.0},
        ],
    )
    tenth = float(np.float32(0.1))
    x = client.x(session)
    assert x == [tenth] * 6 + [2.0] + [0.0] * 4
    assert np.signbit(x[7:]).all()
    turn = client.begin(session)
    turn = client.tell(session, turn["evaluation"]["number"], 1.0, [1.0] * 11)
    assert turn["state"] == "evaluating"


def test_a_group_can_be_filled(client: Client) -> None:
    session = client.create(params=[{"name": "w", "shape": [2], "fill": 1}])
    path = f"/v1/sessions/{session}/param-groups"
    client.ok("POST", path, {"params": [{"name": "v", "shape": [3], "fill": 7}]}, status=201)
    assert client.x(session) == [1.0] * 2 + [7.0] * 3


def test_a_million_parameters_take_a_hundred_bytes(client: Client) -> None:
    body = {"params": [{"shape": [1000, 1000], "fill": 0.5}], "options": {"history_size": 2}}
    session = client.create(**body)
    response = send(client, "GET", f"/v1/sessions/{session}/params", accept=NPY)
    assert (np.load(io.BytesIO(response.content)) == 0.5).all()
    assert response.headers["Lbfgsd-Count"] == "1000000"


@pytest.mark.parametrize(
    ("parameter", "field"),
    [
        ({"shape": [2], "values": [1, 2], "fill": 1}, "params[0].fill"),
        ({"shape": [2]}, "params[0].values"),
        ({"shape": [2], "fill": "1"}, "params[0].fill"),
        ({"shape": [2], "fill": None}, "params[0].fill"),
        ({"shape": [2], "fill": [1]}, "params[0].fill"),
        ({"shape": [2], "fill": "NaN"}, "params[0].fill"),
        ({"shape": [2], "fill": 1e39}, "params[0].fill"),
        ({"shape": [0], "fill": 1}, "params[0].shape[0]"),
        ({"fill": 1}, "params[0].shape"),
        ({"shape": [2**62, 4], "fill": 1}, "params[0].shape"),
        ({"shape": [2**62], "fill": 1}, "params"),
        ({"shape": [250_000_001], "fill": 1}, "params"),
        ({"name": "__metadata__", "shape": [1], "fill": 1}, "params[0].name"),
    ],
)
def test_a_fill_that_cannot_be_is_refused(
    client: Client, parameter: dict[str, Any], field: str
) -> None:
    body = {"dtype": "float32", "params": [parameter]}
    problem(client.call("POST", "/v1/sessions", body), 422, "invalid-request", field)


def test_memory_is_checked_before_it_is_taken(client: Client) -> None:
    body = {"params": [{"shape": [10_000_000], "fill": 1}], "options": {"history_size": 10_000}}
    response = client.call("POST", "/v1/sessions", body)
    problem(response, 422, "invalid-request", "options.history_size")


# Safetensors and .npy


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("form", [OCTETS, SAFETENSORS, NPY])
def test_every_form_leads_to_the_same_points_as_json(client: Client, form: Any, dtype: str) -> None:
    model = Perceptron()
    coded = Coded(form, model.SHAPES, dtype)
    create = {"params": named(model.start, model.SHAPES), "options": WOLFE, "dtype": dtype}
    one, other = client.create(**create), client.create(**create)
    turn = client.begin(one)
    response = send(client, "POST", f"/v1/sessions/{other}/steps", accept=form)
    assert response.status_code == 201
    while turn["state"] == "evaluating":
        k = turn["evaluation"]["number"]
        assert response.headers["Content-Type"] == form
        assert response.headers["Lbfgsd-Evaluation"] == str(k)
        assert coded.decode(response.content).astype(float).tolist() == turn["evaluation"]["x"]
        asked = send(client, "GET", f"/v1/sessions/{other}/evaluation", accept=form)
        assert asked.content == response.content
        loss, gradient = model(turn["evaluation"]["x"])
        gradient = np.asarray(gradient, dtype)
        turn = client.tell(one, k, loss, gradient.astype(float).tolist())
        path = f"/v1/sessions/{other}/evaluations/{k}/result"
        body = coded.encode(gradient)
        response = send(client, "PUT", path, body, form, form, loss=repr(loss))
        assert response.status_code == 200, response.text
        again = send(client, "PUT", path, body, form, form, loss=repr(loss))
        assert again.headers["Idempotent-Replayed"] == "true"
        assert again.content == response.content
    assert response.headers["Lbfgsd-Reason"] == turn["result"]["reason"]
    assert coded.decode(response.content).astype(float).tolist() == turn["x"]


@pytest.mark.parametrize("form", [SAFETENSORS, NPY])
def test_parameters_go_both_ways(client: Client, form: Any) -> None:
    shapes = {"w": (2, 2), "b": ()}
    session = client.create(params=named([1, 2, 3, 4, 5], shapes))
    path = f"/v1/sessions/{session}/params"
    coded = Coded(form, shapes, "float64")
    read = send(client, "GET", path, accept=form)
    assert coded.decode(read.content).tolist() == [1, 2, 3, 4, 5]
    assert send(client, "PUT", path, read.content, form, form).content == read.content
    new = coded.encode([5.0, 4.0, 3.0, 2.0, 1.0])
    assert send(client, "PUT", path, new, form).status_code == 200
    assert client.x(session) == [5, 4, 3, 2, 1]
    infinite = coded.encode([5.0, np.inf, 3.0, 2.0, 1.0])
    problem(send(client, "PUT", path, infinite, form), 422, "invalid-request", "body")
    assert client.x(session) == [5, 4, 3, 2, 1]


def test_parameters_without_names_go_by_their_position(client: Client) -> None:
    session = client.create(params=[{"shape": [2], "fill": 1}, {"shape": [1, 1], "fill": 2}])
    path = f"/v1/sessions/{session}/params"
    tensors = safetensors.numpy.load(send(client, "GET", path, accept=SAFETENSORS).content)
    assert {name: tensor.tolist() for name, tensor in tensors.items()} == {
        "0": [1, 1],
        "1": [[2]],
    }
    body = safetensors.numpy.save({"1": np.array([[4.0]]), "0": np.array([3.0, 3.5])})
    assert send(client, "PUT", path, body, SAFETENSORS).status_code == 200
    assert client.x(session) == [3, 3.5, 4]
    body = safetensors.numpy.save({"0": np.array([3.0, 3.5])})
    problem(send(client, "PUT", path, body, SAFETENSORS), 422, "invalid-request", "1")


def test_an_absent_gradient_is_zeros(client: Client) -> None:
    shapes = {"w": (2,), "b": (2, 1)}
    one, other = (client.create(params=named([1, 2, 3, 4], shapes)) for _ in range(2))
    client.begin(one), client.begin(other)
    expected = client.tell(one, 1, 3.0, [0, 0, 1, 2])
    body = safetensors.numpy.save({"b": np.array([[1.0], [2.0]])}, metadata={"format": "pt"})
    path = f"/v1/sessions/{other}/evaluations/1/result"
    response = send(client, "PUT", path, body, SAFETENSORS, loss="3")
    assert response.json()["evaluation"] == expected["evaluation"]
    whole = {"loss": 3, "gradients": {"w": None, "b": [1, 2]}}
    assert client.call("PUT", path, whole).headers["Idempotent-Replayed"] == "true"
    assert send(client, "PUT", path, body, SAFETENSORS, loss="3").headers["Idempotent-Replayed"]
    other_body = safetensors.numpy.save({"b": np.array([[1.0], [2.5]])})
    problem(send(client, "PUT", path, other_body, SAFETENSORS, loss="3"), 409, "already-told")


def test_a_gradient_told_before_a_group_joined_may_be_told_again(client: Client) -> None:
    session = client.create(params=[{"name": "w", "shape": [2], "fill": 1}])
    client.begin(session)
    path = f"/v1/sessions/{session}/evaluations/1/result"
    bodies = [
        (safetensors.numpy.save({"w": np.array([1.0, 1.0])}), SAFETENSORS),
        (npy(np.array([1.0, 1.0])), NPY),
    ]
    for body, form in bodies:
        assert send(client, "PUT", path, body, form, loss="1").status_code == 200
    client.ok("POST", f"/v1/sessions/{session}/stop")
    group = {"params": [{"name": "v", "shape": [1], "fill": 1}]}
    client.ok("POST", f"/v1/sessions/{session}/param-groups", group, status=201)
    for body, form in bodies:
        response = send(client, "PUT", path, body, form, loss="1")
        assert response.headers.get("Idempotent-Replayed") == "true", response.text


@pytest.mark.parametrize("form", [SAFETENSORS, NPY])
def test_shards(client: Client, form: Any) -> None:
    session = client.create(x0=[-1.2, 1.0], options=WOLFE, shards=2)
    client.begin(session)
    loss, gradient = rosenbrock([-1.2, 1.0])
    half = Coded(form, {"0": (2,)}, "float64").encode(gradient / 2)
    path = f"/v1/sessions/{session}/evaluations/1/shards"
    response = send(client, "PUT", f"{path}/1", half, form, form, loss=loss / 2)
    assert response.headers["Lbfgsd-Shards-Delivered"] == "1"
    response = send(client, "PUT", f"{path}/0", half, form, form, loss=loss / 2)
    assert response.headers["Lbfgsd-Evaluation"] == "2"
    again = send(client, "PUT", f"{path}/0", half, form, form, loss=loss / 2)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert client.trace(session)[0]["loss"] == loss


@pytest.mark.parametrize(
    ("tensors", "fields"),
    [
        ({"w": np.zeros((3, 2))}, ["w.shape"]),
        ({"w": np.zeros(6)}, ["w.shape"]),
        ({"w": np.zeros((2, 3), "float32")}, ["w.dtype"]),
        ({"w": np.zeros((2, 3), "float16")}, ["w.dtype"]),
        ({"w": np.zeros((2, 3), "int64")}, ["w.dtype"]),
        ({"v": np.zeros(2), "w": np.zeros((2, 3))}, ["v"]),
        ({"b": np.zeros(0), "u": np.zeros(1), "w": np.zeros(5)}, ["w.shape", "b.shape", "u"]),
    ],
)
def test_tensors_that_cannot_be_are_refused_by_name(
    client: Client, tensors: dict[str, Any], fields: Any
) -> None:
    session = client.create(params=named(range(7), {"w": (2, 3), "b": (1,)}))
    turn = client.begin(session)
    path = f"/v1/sessions/{session}/evaluations/1/result"
    body = safetensors.numpy.save(tensors)
    response = send(client, "PUT", path, body, SAFETENSORS, loss="1")
    problem(response, 422, "invalid-request", *fields)
    assert client.ask(session) == turn


def header(text: str, data: bytes = bytes(16)) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + data


@pytest.mark.parametrize(
    ("body", "status", "fields"),
    [
        (npy(np.zeros(3)), 422, ["shape"]),
        (npy(np.zeros((2, 0))), 422, ["shape"]),
        (npy(np.zeros(2, "float32")), 422, ["dtype"]),
        (npy(np.zeros(2, ">f8")), 422, ["descr"]),
        (npy(np.zeros(2, "int64")), 422, ["descr"]),
        (npy(np.zeros(2, "complex128")), 422, ["descr"]),
        (npy(np.zeros(2, [("a", "<f8")])), 422, ["descr"]),
        (npy(np.array([None, None]), allow_pickle=True), 422, ["descr"]),
        (npy(np.asfortranarray(np.zeros((2, 2)))), 422, ["fortran_order"]),
        (npy(np.zeros(2))[:-1], 400, []),
        (npy(np.zeros(2)) + b"\0", 422, ["body"]),
        (npy(np.zeros(2))[:60], 400, []),
        (b"", 400, []),
        (b"\x93NUMPY\x04\x00" + bytes(8), 400, []),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(64), 422, ["header"]),
        (header("{'descr': '<f8', 'fortran_order': False, 'shape': (2)}"), 400, []),
        (header("{'descr': '<f8', 'fortran_order': False, 'shape': (-2,)}"), 400, []),
        (header("{'descr': '<f8', 'fortran_order': False}"), 422, ["shape"]),
        (header("__import__('os').abort()"), 400, []),
        (header("{'descr': '<f8', 'fortran_order': False, 'shape': (2**9,)}"), 400, []),
        (
            header("{'descr': '<f8', 'fortran_order': False, 'shape': (4611686018427387904, 4)}"),
            422,
            ["shape"],
        ),
        (
            header("{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999,)}"),
            422,
            ["shape"],
        ),
    ],
)
def test_arrays_that_cannot_be_are_refused(
    client: Client, body: Any, status: int, fields: Any
) -> None:
    session = client.create()
    turn = client.begin(session)
    path = f"/v1/sessions/{session}/evaluations/1/result"
    response = send(client, "PUT", path, body, NPY, loss="1")
    problem(response, status, "malformed" if status == 400 else "invalid-request", *fields)
    assert client.ask(session) == turn


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version_and_every_shape_of_an_array_is_read(client: Client, version: Any) -> None:
    x = np.arange(12.0)
    for shape in [(12,), (3, 4), (2, 1, 6), (1, 12)]:
        session = client.create(x0=[0.0] * 12)
        body = npy(x.reshape(shape), version=version)
        path = f"/v1/sessions/{session}/params"
        assert send(client, "PUT", path, body, NPY).status_code == 200
        assert client.x(session) == x.tolist()


def test_a_vector_has_its_loss_in_the_query(client: Client) -> None:
    session = client.create()
    client.begin(session)
    path = f"/v1/sessions/{session}/evaluations/1/result"
    response = send(client, "PUT", path, npy(np.zeros(2)), NPY)
    problem(response, 422, "invalid-request", "query.loss")


# Digests


def digest(body: bytes, algorithm: str = "sha-256") -> str:
    raw = hashlib.new(algorithm.replace("-", ""), body).digest()
    return f"{algorithm}=:{base64.b64encode(raw).decode()}:"


def test_a_body_that_is_not_what_its_digest_says_changes_nothing(client: Client) -> None:
    session = client.create()
    turn = client.begin(session)
    path = f"/v1/sessions/{session}/evaluations/1/result"
    sent = np.array([1.0, 2.0]).tobytes()
    damaged = np.array([1.0, 2.5]).tobytes()
    for algorithm in ("sha-256", "sha-512"):
        headers = {"Content-Digest": digest(sent, algorithm)}
        response = send(client, "PUT", path, damaged, OCTETS, headers=headers, loss="1")
        document = problem(response, 400, "digest-mismatch")
        assert document["content_digest"] == digest(sent, algorithm)
        assert document["computed_digest"] == digest(damaged, algorithm)
        assert client.ask(session) == turn
    both = f"{digest(sent, 'sha-512')}, {digest(damaged)}"
    response = send(client, "PUT", path, sent, OCTETS, headers={"Content-Digest": both}, loss="1")
    problem(response, 400, "digest-mismatch")
    both = f"md5=:AAAA:,{digest(sent, 'sha-512')} , {digest(sent)};q=1"
    response = send(client, "PUT", path, sent, OCTETS, headers={"Content-Digest": both}, loss="1")
    assert response.status_code == 200 and response.json() != turn


def test_digests_hold_for_json_and_for_bodies_that_are_absent(client: Client) -> None:
    body = b'{"x0": [1, 2]}'
    for value, status in [(digest(body), 201), (digest(body + b" "), 400)]:
        response = client.call("POST", "/v1/sessions", body, {"Content-Digest": value})
        assert response.status_code == status
    path = f"/v1/sessions/{client.create()}/steps"
    assert client.call("POST", path, headers={"Content-Digest": digest(b"x")}).status_code == 400
    assert client.call("POST", path, headers={"Content-Digest": digest(b"")}).status_code == 201


@pytest.mark.parametrize(
    "value",
    [
        "sha-256",
        "sha-256=abc",
        "sha-256=:abc",
        "sha-256=:????:",
        "sha-256=:AAAA:",
        "=:AAAA:",
        "SHA-256=:AAAA:",
        digest(b"") + ",",
    ],
)
def test_a_digest_that_cannot_be_read_is_malformed(client: Client, value: Any) -> None:
    headers = {"Content-Digest": value}
    response = client.call("POST", "/v1/sessions", {"x0": [1]}, headers)
    problem(response, 400, "malformed")


def test_an_answer_has_its_digest_if_one_is_wanted(client: Client) -> None:
    path = f"/v1/sessions/{client.create()}/params"
    for want, algorithm in [
        ("sha-256=1", "sha-256"),
        ("sha-256=3, sha-512=10", "sha-512"),
        ("md5=10, sha-512=1", "sha-512"),
    ]:
        headers = {"Want-Content-Digest": want}
        response = send(client, "GET", path, accept=OCTETS, headers=headers)
        assert response.headers["Content-Digest"] == digest(response.content, algorithm)
        headers["Range"] = "bytes=3-6"
        part = send(client, "GET", path, accept=OCTETS, headers=headers)
        assert part.status_code == 206
        assert part.headers["Content-Digest"] == digest(part.content, algorithm)
    for want in ("md5=1", "sha-256=0", "nonsense", "sha-256=11"):
        headers = {"Want-Content-Digest": want}
        assert "Content-Digest" not in send(client, "GET", path, headers=headers).headers


# Parts


def test_a_download_that_was_cut_goes_on(client: Client) -> None:
    session = client.create(x0=rosenbrock_start(1000))
    client.begin(session)
    path = f"/v1/sessions/{session}/evaluation"
    for form in (OCTETS, SAFETENSORS, NPY, "application/json"):
        whole = send(client, "GET", path, accept=form)
        assert whole.headers["Accept-Ranges"] == "bytes"
        length, tag = len(whole.content), whole.headers["ETag"]
        for field, first, last in [
            ("bytes=0-99", 0, 99),
            ("bytes=100-", 100, length - 1),
            ("bytes=-50", length - 50, length - 1),
            (f"bytes=10-{10**30}", 10, length - 1),
            (f"bytes=-{10**30}", 0, length - 1),
            ("Bytes = 7-7", 7, 7),
        ]:
            part = send(client, "GET", path, accept=form, headers={"Range": field, "If-Range": tag})
            assert part.status_code == 206, field
            assert part.content == whole.content[first : last + 1]
            assert part.headers["Content-Range"] == f"bytes {first}-{last}/{length}"
            assert part.headers["ETag"] == tag
            assert part.headers["Content-Type"] == whole.headers["Content-Type"]
    loss, gradient = rosenbrock(rosenbrock_start(1000))
    client.tell(session, 1, loss, list(gradient))
    headers = {"Range": "bytes=100-", "If-Range": tag}
    assert send(client, "GET", path, headers=headers).status_code == 200


def test_a_large_part_is_what_the_whole_has_there(client: Client) -> None:
    session = client.create(x0=[float(value) for value in range(100_000)])
    path = f"/v1/sessions/{session}/params"
    whole = send(client, "GET", path, accept=NPY).content
    for first, last in [(1, len(whole) - 1), (77_777, 777_777), (0, 65_536), (0, 65_535)]:
        headers = {"Range": f"bytes={first}-{last}", "Want-Content-Digest": "sha-512=1"}
        part = send(client, "GET", path, accept=NPY, headers=headers)
        assert part.status_code == 206 and part.content == whole[first : last + 1]
        assert part.headers["Content-Length"] == str(last - first + 1)
        assert part.headers["Content-Digest"] == digest(part.content, "sha-512")


@pytest.mark.parametrize(
    "field",
    [
        "bytes=0-1,4-5",
        "bytes=5-4",
        "bytes=-",
        "bytes=a-b",
        "bytes=",
        "bytes 0-1",
        "lines=0-1",
        "bytes=+1-2",
        "bytes=0x1-2",
        "0-1",
    ],
)
def test_several_ranges_and_what_is_none_are_answered_with_the_whole(
    client: Client, field: str
) -> None:
    path = f"/v1/sessions/{client.create()}/params"
    response = send(client, "GET", path, accept=OCTETS, headers={"Range": field})
    assert response.status_code == 200 and len(response.content) == 16


@pytest.mark.parametrize("field", ["bytes=16-", "bytes=16-20", "bytes=-0", f"bytes={10**30}-"])
def test_a_range_without_bytes_is_refused(client: Client, field: str) -> None:
    path = f"/v1/sessions/{client.create()}/params"
    response = send(client, "GET", path, accept=OCTETS, headers={"Range": field})
    assert problem(response, 416, "range-not-satisfiable")["length"] == 16
    assert response.headers["Content-Range"] == "bytes */16"


def test_a_range_is_for_get_alone_and_for_an_answer_that_is_whole(client: Client) -> None:
    session = client.create()
    path = f"/v1/sessions/{session}/params"
    headers = {"Range": "bytes=0-3"}
    head = send(client, "HEAD", path, accept=OCTETS, headers=headers)
    assert head.status_code == 200 and head.headers["Content-Length"] == "16"
    body = np.zeros(2).tobytes()
    response = send(client, "PUT", path, body, OCTETS, OCTETS, headers)
    assert response.status_code == 200 and response.content == body
    seen = {**headers, "If-None-Match": response.headers["ETag"]}
    assert send(client, "GET", path, accept=OCTETS, headers=seen).status_code == 304
    assert send(client, "GET", path + "x", headers=headers).status_code == 404
    response = client.call("GET", f"/v1/sessions/{session}", headers=headers)
    assert response.status_code == 200 and "Accept-Ranges" not in response.headers


def test_each_form_has_its_own_tag_and_a_write_takes_any(client: Client) -> None:
    session = client.create()
    path = f"/v1/sessions/{session}/params"
    forms = ("application/json", OCTETS, SAFETENSORS, NPY)
    tags = {form: send(client, "GET", path, accept=form).headers["ETag"] for form in forms}
    assert len(set(tags.values())) == 4
    assert tags["application/json"] == client.call("GET", f"/v1/sessions/{session}").headers["ETag"]
    for form in forms:
        for tag in tags.values():
            response = send(client, "GET", path, accept=form, headers={"If-None-Match": tag})
            assert response.status_code == (304 if tag == tags[form] else 200)
            headers = {"Range": "bytes=0-3", "If-Range": tag}
            response = send(client, "GET", path, accept=form, headers=headers)
            assert response.status_code == (206 if tag == tags[form] else 200)
    for if_range in (f"W/{tags[OCTETS]}", "*", "Sun, 06 Nov 1994 08:49:37 GMT", "x"):
        headers = {"Range": "bytes=0-3", "If-Range": if_range}
        assert send(client, "GET", path, accept=OCTETS, headers=headers).status_code == 200
    for form in forms:
        tag = send(client, "GET", path, accept=form).headers["ETag"]
        stale = tags[form]
        body = {"name": form.replace("/", " ")}
        response = client.call("PATCH", f"/v1/sessions/{session}", body, {"If-Match": tag})
        assert response.status_code == 200, tag
        response = client.call("PATCH", f"/v1/sessions/{session}", body, {"If-Match": stale})
        assert response.status_code == 412


def test_state_dicts_come_in_parts_and_a_checkpoint_keeps_its_tag(client: Client) -> None:
    session = client.create(options=WOLFE)
    client.step(session, rosenbrock)
    client.ok("POST", f"/v1/sessions/{session}/checkpoints", status=201)
    path = f"/v1/sessions/{session}/checkpoints/1/state-dict"
    for form in (SAFETENSORS, "application/json"):
        whole = send(client, "GET", path, accept=form)
        tag = whole.headers["ETag"]
        now = send(client, "GET", f"/v1/sessions/{session}/state-dict", accept=form)
        assert now.content == whole.content and now.headers["ETag"] != tag
        first = send(client, "GET", path, accept=form, headers={"Range": "bytes=0-63"})
        client.step(session, rosenbrock)
        headers = {"Range": "bytes=64-", "If-Range": tag}
        rest = send(client, "GET", path, accept=form, headers=headers)
        assert (first.status_code, rest.status_code) == (206, 206)
        assert first.content + rest.content == whole.content
        seen = send(client, "GET", path, accept=form, headers={"If-None-Match": tag})
        assert seen.status_code == 304
        client.ok("POST", f"/v1/sessions/{session}/checkpoints/1/restore")
    response = client.call("POST", f"/v1/sessions/{session}/steps", headers={"If-Match": tag})
    assert response.status_code == 412
