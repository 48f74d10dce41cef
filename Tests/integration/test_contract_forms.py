"""Forms of vectors: filled parameters."""

from __future__ import annotations

import numpy as np
import pytest


def problem(response, status, kind, *fields):
    assert response.status_code == status, response.text
    document = response.json()
    assert document["type"] == f"/problems/{kind}"
    assert [error["field"] for error in document.get("errors", [])] == list(fields)
    return document


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
    path = f"/v1/sessions/{session}/params"
    response = client.call("GET", path, headers={"Accept": "application/octet-stream"})
    assert (np.frombuffer(response.content, "<f8") == 0.5).all()
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
    ],
)
def test_a_fill_that_cannot_be_is_refused(client, parameter, field):
    body = {"dtype": "float32", "params": [parameter]}
    problem(client.call("POST", "/v1/sessions", body), 422, "invalid-request", field)


def test_memory_is_checked_before_it_is_taken(client):
    body = {"params": [{"shape": [10_000_000], "fill": 1}], "options": {"history_size": 10_000}}
    response = client.call("POST", "/v1/sessions", body)
    problem(response, 422, "invalid-request", "options.history_size")
