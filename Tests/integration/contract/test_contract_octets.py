"""Vectors as octets, with the rest of a turn in header fields."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import requests
import yaml

from daemon import Client
from problems import rosenbrock, rosenbrock_start

OCTETS = "application/octet-stream"
WOLFE = {"line_search_fn": "strong_wolfe"}


def send(client: Client, method: str, path: str, body: Any = None, **query: Any) -> Any:
    headers = {"Accept": OCTETS}
    if body is not None:
        headers["Content-Type"] = OCTETS
    return requests.request(
        method, client.url + path, data=body, params=query, headers=headers, timeout=20
    )


def point(response: requests.Response, dtype: str) -> Any:
    assert response.headers["Content-Type"] == OCTETS
    assert response.headers["Lbfgsd-Dtype"] == dtype
    x = np.frombuffer(response.content, np.dtype(dtype).newbyteorder("<"))
    assert len(x) == int(response.headers["Lbfgsd-Count"])
    return x


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_octets_and_json_lead_to_the_same_points(client: Client, dtype: str) -> None:
    n = 7
    one = client.create(x0=rosenbrock_start(n), options=WOLFE, dtype=dtype)
    other = client.create(x0=rosenbrock_start(n), options=WOLFE, dtype=dtype)
    turn = client.begin(one)
    response = send(client, "POST", f"/v1/sessions/{other}/steps")
    assert response.status_code == 201
    while turn["state"] == "evaluating":
        k = turn["evaluation"]["number"]
        assert response.headers["Lbfgsd-State"] == "evaluating"
        assert response.headers["Lbfgsd-Evaluation"] == str(k)
        assert point(response, dtype).astype(float).tolist() == turn["evaluation"]["x"]
        loss, gradient = rosenbrock(turn["evaluation"]["x"])
        turn = client.tell(one, k, loss, list(gradient))
        body = np.asarray(gradient, np.dtype(dtype).newbyteorder("<")).tobytes()
        path = f"/v1/sessions/{other}/evaluations/{k}/result"
        response = send(client, "PUT", path, body, loss=repr(loss))
        assert response.status_code == 200, response.text
        again = send(client, "PUT", path, body, loss=repr(loss))
        assert again.headers["Idempotent-Replayed"] == "true"
    assert response.headers["Lbfgsd-State"] == "idle"
    result = turn["result"]
    assert response.headers["Lbfgsd-Reason"] == result["reason"]
    assert float(response.headers["Lbfgsd-Loss"]) == result["loss"]
    assert float(response.headers["Lbfgsd-Gradient-Norm-Inf"]) == result["gradient_norm_inf"]
    assert point(response, dtype).astype(float).tolist() == turn["x"]
    asked = send(client, "GET", f"/v1/sessions/{other}/evaluation")
    assert asked.content == response.content


@pytest.mark.parametrize("loss", ["1e-9", "-1E+9", "2.5e-07", "0.000000000000000001", "-Infinity"])
def test_every_notation_of_a_loss_is_taken_and_documented(client: Client, loss: str) -> None:
    session = client.create(x0=[1.0])
    client.begin(session)
    path = f"/v1/sessions/{session}/evaluations/1/result"
    assert send(client, "PUT", path, b"\0" * 8, loss=loss).status_code == 200
    document = yaml.safe_load(client.call("GET", "/openapi.yaml").text)
    pattern = document["components"]["parameters"]["Loss"]["schema"]["pattern"]
    assert re.search(pattern, loss)


def test_parameters_go_both_ways_in_octets(client: Client) -> None:
    session = client.create(
        params=[
            {"name": "w", "shape": [2], "values": [1, 2]},
            {"name": "b", "shape": [], "values": [3]},
        ]
    )
    path = f"/v1/sessions/{session}/params"
    assert point(send(client, "GET", path), "float64").tolist() == [1, 2, 3]
    new = np.array([4.0, 5.0, 6.0], "<f8").tobytes()
    assert send(client, "PUT", path, new).content == new
    assert client.x(session) == [4, 5, 6]
    assert send(client, "PUT", path, new[:-1]).status_code == 422
    infinite = np.array([np.inf, 0, 0], "<f8").tobytes()
    assert send(client, "PUT", path, infinite).status_code == 422


def test_shards_in_octets(client: Client) -> None:
    session = client.create(x0=[-1.2, 1.0], options=WOLFE, shards=2)
    client.begin(session)
    loss, gradient = rosenbrock([-1.2, 1.0])
    half = np.asarray(gradient / 2, "<f8").tobytes()
    path = f"/v1/sessions/{session}/evaluations/1/shards"
    response = send(client, "PUT", f"{path}/1", half, loss=loss / 2)
    assert response.headers["Lbfgsd-Shards"] == "2"
    assert response.headers["Lbfgsd-Shards-Delivered"] == "1"
    response = send(client, "PUT", f"{path}/0", half, loss=loss / 2)
    assert response.headers["Lbfgsd-Evaluation"] == "2"
    assert client.trace(session)[0]["loss"] == loss


@pytest.mark.parametrize(
    ("body", "query", "field"),
    [
        (b"\0" * 16, {}, "query.loss"),
        (b"\0" * 16, {"loss": "1e999"}, "query.loss"),
        (b"\0" * 16, {"loss": "0x1p3"}, "query.loss"),
        (b"\0" * 15, {"loss": "1"}, "body"),
        (b"\0" * 24, {"loss": "1"}, "body"),
        (b"", {"loss": "1"}, "body"),
    ],
)
def test_octets_that_cannot_be_are_refused(
    client: Client, body: Any, query: dict[str, Any], field: str
) -> None:
    session = client.create(x0=[-1.2, 1.0])
    turn = client.begin(session)
    path = f"/v1/sessions/{session}/evaluations/1/result"
    response = send(client, "PUT", path, body, **query)
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == [field]
    assert client.ask(session) == turn


def test_a_loss_that_is_not_a_number_can_be_told_in_octets(client: Client) -> None:
    session = client.create(x0=[-1.2, 1.0])
    client.begin(session)
    path = f"/v1/sessions/{session}/evaluations/1/result"
    response = send(client, "PUT", path, b"\0" * 16, loss="NaN")
    assert response.headers["Lbfgsd-Reason"] == "non_finite"


def test_a_loss_in_the_query_belongs_to_octets(client: Client) -> None:
    session = client.create(x0=[-1.2, 1.0])
    client.begin(session)
    path = f"/v1/sessions/{session}/evaluations/1/result?loss=1"
    response = client.call("PUT", path, {"loss": 1.0, "gradient": [1.0, 2.0]})
    assert response.status_code == 422
