"""Forms of vectors: filled parameters, safetensors and .npy."""

from __future__ import annotations

import io

import numpy as np
import pytest
import safetensors.numpy
from problems import Perceptron, rosenbrock

OCTETS = "application/octet-stream"
SAFETENSORS = "application/vnd.safetensors"
NPY = "application/x-npy"
WOLFE = {"line_search_fn": "strong_wolfe"}


def npy(array, **how) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asanyarray(array), **how)
    return file.getvalue()


def send(client, method, path, body=None, form=None, accept=None, headers=None, **query):
    headers = dict(headers or {})
    if form:
        headers["Content-Type"] = form
    if accept:
        headers["Accept"] = accept
    return client.call(method, path, body, headers, params=query)


def problem(response, status, kind, *fields):
    assert response.status_code == status, response.text
    document = response.json()
    assert document["type"] == f"/problems/{kind}"
    assert [error["field"] for error in document.get("errors", [])] == list(fields)
    return document


class Coded:
    """Vectors of named tensors in one of the forms, there and back."""

    def __init__(self, form: str, shapes: dict[str, tuple], dtype: str):
        self.form, self.shapes, self.dtype = form, shapes, dtype

    def tensors(self, flat) -> dict[str, np.ndarray]:
        parts, start = {}, 0
        for name, shape in self.shapes.items():
            end = start + int(np.prod(shape))
            parts[name] = np.asarray(flat[start:end], self.dtype).reshape(shape)
            start = end
        return parts

    def encode(self, flat) -> bytes:
        if self.form == SAFETENSORS:
            return safetensors.numpy.save(self.tensors(flat))
        array = np.asarray(flat, self.dtype)
        return npy(array) if self.form == NPY else array.tobytes()

    def decode(self, body: bytes) -> np.ndarray:
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


def named(flat, shapes) -> list[dict]:
    params, start = [], 0
    for name, shape in shapes.items():
        end = start + int(np.prod(shape))
        values = [float(value) for value in flat[start:end]]
        params.append({"name": name, "shape": list(shape), "values": values})
        start = end
    return params


# Fill


def test_parameters_can_be_filled_with_one_number(client):
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


def test_a_group_can_be_filled(client):
    session = client.create(params=[{"name": "w", "shape": [2], "fill": 1}])
    path = f"/v1/sessions/{session}/param-groups"
    client.ok("POST", path, {"params": [{"name": "v", "shape": [3], "fill": 7}]}, status=201)
    assert client.x(session) == [1.0] * 2 + [7.0] * 3


def test_a_million_parameters_take_a_hundred_bytes(client):
    body = {"params": [{"shape": [1000, 1000], "fill": 0.5}], "options": {"history_size": 2}}
    session = client.create(**body)
    response = send(client, "GET", f"/v1/sessions/{session}/params", accept=NPY)
    assert (np.load(io.BytesIO(response.content)) == 0.5).all()
    assert response.headers["Lbfgsd-Count"] == "1000000"


@pytest.mark.parametrize(
    "parameter, field",
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
        ({"shape": [10_000_001], "fill": 1}, "params"),
        ({"name": "__metadata__", "shape": [1], "fill": 1}, "params[0].name"),
    ],
)
def test_a_fill_that_cannot_be_is_refused(client, parameter, field):
    body = {"dtype": "float32", "params": [parameter]}
    problem(client.call("POST", "/v1/sessions", body), 422, "invalid-request", field)


def test_memory_is_checked_before_it_is_taken(client):
    body = {"params": [{"shape": [10_000_000], "fill": 1}], "options": {"history_size": 10_000}}
    response = client.call("POST", "/v1/sessions", body)
    problem(response, 422, "invalid-request", "options.history_size")


# Safetensors and .npy


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("form", [OCTETS, SAFETENSORS, NPY])
def test_every_form_leads_to_the_same_points_as_json(client, form, dtype):
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
def test_parameters_go_both_ways(client, form):
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


def test_parameters_without_names_go_by_their_position(client):
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


def test_an_absent_gradient_is_zeros(client):
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


def test_a_gradient_told_before_a_group_joined_may_be_told_again(client):
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
def test_shards(client, form):
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
    "tensors, fields",
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
def test_tensors_that_cannot_be_are_refused_by_name(client, tensors, fields):
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
    "body, status, fields",
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
def test_arrays_that_cannot_be_are_refused(client, body, status, fields):
    session = client.create()
    turn = client.begin(session)
    path = f"/v1/sessions/{session}/evaluations/1/result"
    response = send(client, "PUT", path, body, NPY, loss="1")
    problem(response, status, "malformed" if status == 400 else "invalid-request", *fields)
    assert client.ask(session) == turn


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version_and_every_shape_of_an_array_is_read(client, version):
    x = np.arange(12.0)
    for shape in [(12,), (3, 4), (2, 1, 6), (1, 12)]:
        session = client.create(x0=[0.0] * 12)
        body = npy(x.reshape(shape), version=version)
        path = f"/v1/sessions/{session}/params"
        assert send(client, "PUT", path, body, NPY).status_code == 200
        assert client.x(session) == x.tolist()


def test_a_vector_has_its_loss_in_the_query(client):
    session = client.create()
    client.begin(session)
    path = f"/v1/sessions/{session}/evaluations/1/result"
    response = send(client, "PUT", path, npy(np.zeros(2)), NPY)
    problem(response, 422, "invalid-request", "query.loss")
