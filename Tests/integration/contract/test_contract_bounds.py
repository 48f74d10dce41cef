"""Bounds and L1 weights: at creation, read and replaced, in results, and on disk."""

from __future__ import annotations

import io
import math
import struct
from typing import Any

import numpy as np
import pytest
import requests
from scipy import optimize

from daemon import Client, Daemon, flat
from problems import Quadratic, rosenbrock, rosenbrock_start
from store_reader import read

ROBUST = {"mode": "robust", "tolerance_grad": 1e-9, "max_iter": 500, "max_eval": 500}
OCTETS, SAFETENSORS = "application/octet-stream", "application/vnd.safetensors"
NPY = "application/x-npy"


def problem(response: requests.Response) -> str:
    return response.json()["type"].removeprefix("/problems/")


def fields(response: requests.Response) -> list[str]:
    assert response.status_code == 422, response.text
    return [error["field"] for error in response.json()["errors"]]


def points(client: Client, session: str, fun: Any) -> tuple[list[Any], dict[str, Any]]:
    """All trial points of a step, and its last turn."""
    turn, seen = client.begin(session), []
    while turn["state"] == "evaluating":
        seen.append(turn["evaluation"]["x"])
        turn = client.answer(turn, fun)
    return seen, turn


def test_no_trial_point_is_outside_and_the_minimum_is_scipys(client: Client) -> None:
    n = 12
    start = rosenbrock_start(n)
    lower = [None, -0.5, "-Infinity", 0.25] * 3
    upper = [0.5, 2, None, 0.9] * 3
    session = client.create(x0=start, lower=lower, upper=upper, options=ROBUST)
    seen, turn = points(client, session, rosenbrock)
    low = np.array([-math.inf if v in (None, "-Infinity") else v for v in lower], dtype=float)
    high = np.array([math.inf if v is None else v for v in upper], dtype=float)
    assert all((low <= x).all() and (x <= high).all() for x in map(np.array, seen))
    x, result = np.array(turn["x"]), turn["result"]
    theirs = optimize.minimize(
        rosenbrock,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=list(zip(low, high, strict=True)),
        options={"gtol": 1e-9, "ftol": 0},
    )
    assert np.allclose(x, theirs.x, atol=1e-6)
    assert result["projected_gradient_norm_inf"] <= 1e-9 < result["gradient_norm_inf"]
    at = (x == low) | (x == high)
    assert result["active_bounds"] == at.sum() > 0
    stored = client.ok("GET", f"/v1/sessions/{session}/steps/1")["result"]
    assert stored == result


def test_the_active_set_has_the_multipliers(client: Client) -> None:
    fun = Quadratic(6, 10)
    params = [
        {"name": "w", "shape": [2, 2], "values": [0, 0, 0, 0], "upper": 0.5},
        {"name": "b", "shape": [2], "values": [5, 7], "lower": [2, 7], "upper": [None, 7]},
    ]
    session = client.create(params=params, options=ROBUST)
    turn = client.step(session, fun)
    gradient = fun(turn["x"])[1]
    found = client.ok("GET", f"/v1/sessions/{session}/active-set")
    assert found["count"] == 6 == turn["result"]["active_bounds"] and found["next"] is None
    assert [entry["index"] for entry in found["active"]] == list(range(6))
    assert [entry["side"] for entry in found["active"]] == ["upper"] * 4 + ["lower", "fixed"]
    assert [(e["parameter"], e["offset"]) for e in found["active"]] == [
        *(("w", i) for i in range(4)),
        ("b", 0),
        ("b", 1),
    ]
    assert [entry["value"] for entry in found["active"]] == [0.5] * 4 + [2, 7]
    assert np.allclose([entry["multiplier"] for entry in found["active"]], gradient)
    first = client.call("GET", f"/v1/sessions/{session}/active-set?limit=4")
    page = first.json()
    assert len(page["active"]) == 4 and page["count"] == 6 and page["next"] == 4
    assert f"/v1/sessions/{session}/active-set?from=4&limit=4" in first.headers["Link"]
    rest = client.ok("GET", f"/v1/sessions/{session}/active-set?from=4&limit=4")
    assert page["active"] + rest["active"] == found["active"] and rest["next"] is None
    assert client.call("GET", f"/v1/sessions/{session}/active-set?limit=10001").status_code == 422


def test_a_start_outside_is_projected_and_the_answer_says_so(client: Client) -> None:
    body = {"x0": [-3, 0.5, 9], "lower": -1, "upper": 1, "options": ROBUST}
    created = client.ok("POST", "/v1/sessions", body, status=201)
    assert created["projected"] == 2 and created["bounded"] and not created["l1"]
    session = created["id"]
    assert client.x(session) == [-1, 0.5, 1]
    put = client.ok("PUT", f"/v1/sessions/{session}/params", {"x": [5, 0, 0]})
    assert put["projected"] == 1 and flat(put) == [1, 0, 0]
    group = {"params": [{"shape": [2], "values": [3, 4], "lower": 3.5}]}
    joined = client.ok("POST", f"/v1/sessions/{session}/param-groups", group, status=201)
    assert joined["projected"] == 1 and client.x(session) == [1, 0, 0, 3.5, 4]
    bounds = client.ok("GET", f"/v1/sessions/{session}/bounds")
    assert bounds["lower"] == [-1, -1, -1, 3.5, 3.5]
    assert bounds["upper"] == [1, 1, 1, "Infinity", "Infinity"]
    assert not client.get(client.create())["bounded"]


def test_bounds_are_rounded_inwards_in_float32(client: Client) -> None:
    body = {"x0": [0.1, 0.1], "lower": 0.1, "upper": [0.2, None], "options": ROBUST}
    session = client.create(dtype="float32", **body)
    bounds = client.ok("GET", f"/v1/sessions/{session}/bounds")
    single = np.float32(0.1) if np.float32(0.1) >= 0.1 else np.nextafter(np.float32(0.1), 1)
    assert bounds["dtype"] == "float32"
    assert bounds["lower"] == float(single) >= 0.1 and bounds["upper"][0] <= 0.2
    assert client.x(session) == [float(single)] * 2
    between = {"x0": [0], "lower": 0.1, "upper": 0.1 + 1e-12, "options": ROBUST}
    refused = client.call("POST", "/v1/sessions", {**between, "dtype": "float32"})
    assert fields(refused) == ["lower"] and "precision" in refused.text


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        ({"lower": [0, 2], "upper": [1, 1]}, "lower[1]", "above upper at index 1"),
        ({"lower": 2, "upper": 1}, "lower", "above upper"),
        ({"upper": [1, "NaN"]}, "upper[1]", "NaN"),
        ({"lower": "NaN"}, "lower", "NaN"),
        ({"lower": [0]}, "lower", "1 numbers; must have 2"),
        ({"upper": [0, 1, 2]}, "upper", "3 numbers; must have 2"),
        ({"lower": "Infinity"}, "lower", "finite"),
        ({"upper": [0, "-Infinity"]}, "upper[1]", "finite"),
        ({"l1": -1}, "l1", "at least 0"),
        ({"l1": [0, "Infinity"]}, "l1[1]", "finite"),
        ({"lower": "low"}, "lower", "must be a number"),
        ({"lower": [0, [1]]}, "lower[1]", "must be a number"),
    ],
)
def test_wrong_bounds_name_the_field_and_the_index(
    client: Client, body: dict[str, Any], field: str, reason: str
) -> None:
    response = client.call("POST", "/v1/sessions", {"x0": [0, 0], "options": ROBUST, **body})
    assert fields(response) == [field] and reason in response.text
    named = {"name": "w", "shape": [1], "values": [0]}, {"name": "b", "shape": [2], "fill": 0}
    params = [named[0], {**named[1], **body}]
    response = client.call("POST", "/v1/sessions", {"params": params, "options": ROBUST})
    assert fields(response) == [f"params[1].{field}"] and reason in response.text
    session = client.create(x0=[0, 0], options=ROBUST)
    response = client.call("PUT", f"/v1/sessions/{session}/bounds", body)
    assert fields(response) == [field] and reason in response.text
    assert client.ok("GET", f"/v1/sessions/{session}/bounds")["lower"] is None


def test_mode_torch_has_no_bounds(client: Client) -> None:
    for body, field in ((({"lower": 0}), "lower"), ({"upper": [1, 1]}, "upper"), ({"l1": 1}, "l1")):
        response = client.call("POST", "/v1/sessions", {"x0": [0, 0], **body})
        assert fields(response) == [field] and "mode robust" in response.text
        session = client.create()
        response = client.call("PUT", f"/v1/sessions/{session}/bounds", body)
        assert fields(response) == [field] and "mode robust" in response.text
    assert client.create(lower=None, upper="Infinity", l1=0)
    session = client.create(lower=0, options=ROBUST)
    change = {"options": {"mode": "torch"}}
    response = client.call("PATCH", f"/v1/sessions/{session}", change)
    assert fields(response) == ["options.mode"] and "bounds" in response.text
    client.ok("PUT", f"/v1/sessions/{session}/bounds", {})
    client.ok("PATCH", f"/v1/sessions/{session}", change)


def test_bounds_of_x0_and_of_params_are_not_confused(client: Client) -> None:
    params = [{"shape": [1], "values": [0]}]
    body = {"params": params, "lower": 0, "options": ROBUST}
    assert fields(client.call("POST", "/v1/sessions", body)) == ["lower"]
    session = client.create(x0=[0, 0], options=ROBUST)
    both = {"lower": 0, "params": [{"lower": 0}]}
    assert fields(client.call("PUT", f"/v1/sessions/{session}/bounds", both)) == ["lower"]


def tensor_file(tensors: dict[str, Any]) -> bytes:
    from safetensors.numpy import save

    return save({name: np.asarray(values) for name, values in tensors.items()})


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_bounds_are_read_and_written_in_every_form(client: Client, dtype: str) -> None:
    params = [
        {"name": "w", "shape": [2, 2], "values": [1, 1, 1, 1]},
        {"name": "b.lower", "shape": [], "values": [9]},
    ]
    session = client.create(params=params, dtype=dtype, options=ROBUST)
    path = f"/v1/sessions/{session}/bounds"
    lower = np.array([0, -np.inf, 0.5, 2, -1], dtype=dtype)
    upper = np.array([1, 3, np.inf, 2, 4], dtype=dtype)
    l1 = np.array([0, 0, 0.5, 0, 0.25], dtype=dtype)
    rows = np.stack([lower, upper, l1])

    def check(response: requests.Response, projected: int) -> None:
        assert response.status_code == 200, response.text
        found = response.json()
        assert found["projected"] == projected
        for key, row in zip(("lower", "upper", "l1"), rows, strict=True):
            assert np.array_equal(np.array(found[key], dtype=float), row.astype(float)), key

    listed = {
        key: [v if math.isfinite(v) else str(v).replace("inf", "Infinity") for v in row.tolist()]
        for key, row in zip(("lower", "upper", "l1"), rows, strict=True)
    }
    check(client.call("PUT", path, listed), 2)
    assert np.array_equal(client.x(session), [1, 1, 1, 2, 4])
    named = [
        {"name": "b.lower", "shape": [], "lower": -1, "upper": 4, "l1": 0.25},
        {"name": "w", **{key: values[:4] for key, values in listed.items()}},
    ]
    check(client.call("PUT", path, {"dtype": dtype, "params": named}), 0)
    for form, body in (
        (OCTETS, rows.astype(f"<f{rows.itemsize}").tobytes()),
        (
            SAFETENSORS,
            tensor_file(
                {
                    "w.lower": lower[:4].reshape(2, 2),
                    "w.upper": upper[:4].reshape(2, 2),
                    "w.l1": l1[:4].reshape(2, 2),
                    "b.lower.lower": lower[4:].reshape(()),
                    "b.lower.upper": upper[4:].reshape(()),
                    "b.lower.l1": l1[4:].reshape(()),
                }
            ),
        ),
        (NPY, npy(rows)),
    ):
        client.ok("PUT", path, {})
        answer = client.call("PUT", path, body, {"Content-Type": form})
        check(answer, 0)
        read_back = client.call("GET", path, headers={"Accept": form})
        assert read_back.headers["Content-Type"] == form
        assert read_back.headers["Lbfgsd-Count"] == "15"
        if form == OCTETS:
            assert read_back.content == body
        elif form == NPY:
            assert np.array_equal(np.load(io.BytesIO(read_back.content)), rows)
        again = client.call("PUT", path, read_back.content, {"Content-Type": form})
        check(again, 0)
    # Without an L1 term there are two rows.
    client.ok("PUT", path, {"lower": -1})
    two = np.load(io.BytesIO(client.call("GET", path, headers={"Accept": NPY}).content))
    assert two.shape == (2, 5) and (two[0] == -1).all() and np.isposinf(two[1]).all()
    found = client.ok("GET", path)
    assert (found["lower"], found["upper"], found["l1"]) == (-1, None, None)
    part = client.call("GET", path, headers={"Accept": OCTETS, "Range": "bytes=0-7"})
    assert part.status_code == 206


def npy(array: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def test_wrong_binary_bounds_are_refused(client: Client) -> None:
    session = client.create(x0=[0, 0], options=ROBUST)
    path = f"/v1/sessions/{session}/bounds"

    def put(form: str, body: bytes) -> requests.Response:
        return client.call("PUT", path, body, {"Content-Type": form})

    assert fields(put(OCTETS, struct.pack("<2d", 0, 1))) == ["body"]
    assert fields(put(OCTETS, b"1234567")) == ["body"]
    assert fields(put(NPY, npy(np.zeros((2, 2), dtype="<f4")))) == ["dtype"]
    assert fields(put(SAFETENSORS, tensor_file({"0.low": np.zeros(2)}))) == ["0.low"]
    assert fields(put(SAFETENSORS, tensor_file({"1.lower": np.zeros(2)}))) == ["1.lower"]
    assert fields(put(SAFETENSORS, tensor_file({"0.lower": np.zeros(3)}))) == ["0.lower.shape"]
    crossed = tensor_file({"0.lower": np.array([0.0, 3]), "0.upper": np.array(1.0)})
    assert fields(put(SAFETENSORS, crossed)) == ["0.lower[1]"]


def test_bounds_change_between_steps_only_and_by_the_rules_of_writes(client: Client) -> None:
    session = client.create(options=ROBUST)
    path = f"/v1/sessions/{session}/bounds"
    turn = client.begin(session)
    assert problem(client.call("PUT", path, {"upper": 0.5})) == "step-running"
    assert client.ok("GET", path)["upper"] is None
    client.ok("POST", f"/v1/sessions/{session}/stop")
    response = client.call("PUT", path, {"upper": 0.5}, {"If-Match": '"1.1"'})
    assert problem(response) == "precondition-failed"
    tag = client.call("GET", path).headers["ETag"]
    key = {"Idempotency-Key": "once", "If-Match": tag}
    first = client.call("PUT", path, {"upper": 0.5}, key)
    assert first.status_code == 200 and first.json()["projected"] == 1
    again = client.call("PUT", path, {"upper": 0.5}, key)
    assert again.headers["Idempotent-Replayed"] == "true" and again.json() == first.json()
    other = client.call("PUT", path, {"upper": 0.25}, {"Idempotency-Key": "once"})
    assert problem(other) == "idempotency-key-reused"
    seen = client.call("GET", path, headers={"If-None-Match": first.headers["ETag"]})
    assert seen.status_code == 304
    assert turn["state"] == "evaluating"


def test_a_change_of_the_bounds_keeps_the_pairs(client: Client) -> None:
    session = client.create(x0=rosenbrock_start(6), options={**ROBUST, "max_iter": 8})
    client.step(session, rosenbrock)
    before = client.ok("GET", f"/v1/sessions/{session}/state-dict")["state"]["0"]["old_dirs"]
    client.ok("PUT", f"/v1/sessions/{session}/bounds", {"upper": 0.75})
    after = client.ok("GET", f"/v1/sessions/{session}/state-dict")["state"]["0"]["old_dirs"]
    assert before and after == before
    client.ok("PATCH", f"/v1/sessions/{session}", {"options": {"max_iter": 300}})
    seen, turn = points(client, session, rosenbrock)
    assert turn["result"]["converged"] and np.max(seen) <= 0.75


def test_l1_gives_exact_zeros_and_the_loss_has_its_term(client: Client) -> None:
    fun = Quadratic(5, 10)
    session = client.create(x0=[0.5] * 5, l1=[0.5, 2, 20, 0, 1], options=ROBUST)
    turn = client.step(session, fun)
    x, result = np.array(turn["x"]), turn["result"]
    expected = np.maximum(0, 1 - np.array([0.5, 2, 20, 0, 1]) / fun.curvatures)
    assert np.allclose(x, expected, atol=1e-7) and (x[expected == 0] == 0).all()
    total = fun(x)[0] + np.array([0.5, 2, 20, 0, 1]) @ np.abs(x)
    assert result["loss"] == pytest.approx(total, rel=1e-14)
    assert result["projected_gradient_norm_inf"] <= 1e-9
    shown = client.get(session)
    assert shown["l1"] and shown["best"]["loss"] <= result["loss"]
    assert shown["best"]["loss"] == pytest.approx(total, rel=1e-12)
    client.ok("PUT", f"/v1/sessions/{session}/bounds", {})
    assert client.get(session)["best"] is None and not client.get(session)["l1"]


def test_maximizing_keeps_the_clients_signs(client: Client) -> None:
    fun = Quadratic(3, 5)

    def negative(x: Any) -> Any:
        loss, gradient = fun(x)
        return -loss, -gradient

    session = client.create(x0=[0] * 3, upper=0.5, options={**ROBUST, "maximize": True})
    turn = client.step(session, negative)
    assert turn["x"] == [0.5] * 3 and turn["result"]["converged"]
    active = client.ok("GET", f"/v1/sessions/{session}/active-set")["active"]
    assert np.allclose([entry["multiplier"] for entry in active], negative(turn["x"])[1])


def test_checkpoints_forks_and_kills_keep_the_bounds(daemon: Daemon, own_client: Client) -> None:
    client = own_client
    options = {**ROBUST, "max_iter": 5}
    lower = [0.1 * (i % 7) - 0.4 for i in range(700)]
    start = rosenbrock_start(700)
    bounds = {"lower": lower, "upper": 0.9}

    def life(disturb: bool) -> list[bytes]:
        session = client.create(x0=start, **bounds, options=options)
        turn, seen = client.begin(session), []
        for _ in range(60):
            if turn["state"] == "evaluating":
                seen.append(struct.pack("<700d", *turn["evaluation"]["x"]))
                turn = client.answer(turn, rosenbrock)
            else:
                turn = client.begin(session)
            if disturb and len(seen) % 7 == 3:
                daemon.restart(cleanly=len(seen) % 2 == 0)
                turn = client.ask(session)
        return seen

    calm = life(False)
    assert life(True) == calm
    session = client.create(x0=start, **bounds, options=options)
    turn = client.begin(session)
    for _ in range(4):
        turn = client.answer(turn, rosenbrock)
    path = f"/v1/sessions/{session}"
    point = client.ok("POST", f"{path}/checkpoints")["id"]
    client.ok("POST", f"{path}/stop")
    client.ok("PUT", f"{path}/bounds", {"upper": 0.1})
    fork = client.ok("POST", f"{path}/checkpoints/{point}/fork")["id"]
    daemon.restart()
    assert client.ask(fork)["evaluation"]["x"] == turn["evaluation"]["x"]
    assert client.ok("GET", f"/v1/sessions/{fork}/bounds")["upper"] == 0.9
    assert client.ok("GET", f"{path}/bounds")["upper"] == 0.1
    restored = client.ok("POST", f"{path}/checkpoints/{point}/restore")
    assert restored["evaluation"]["x"] == turn["evaluation"]["x"]
    assert client.ok("GET", f"{path}/bounds")["lower"] == lower


def test_a_reader_knows_the_pending_point_of_a_bounded_session(
    daemon: Daemon, own_client: Client
) -> None:
    expected = {}
    for dtype in ("float64", "float32"):
        for l1 in (None, 0.125):
            for told in range(1, 12, 2):
                session = own_client.create(
                    x0=rosenbrock_start(6),
                    dtype=dtype,
                    lower=[-0.5, None, 0, -1, 0.3, None],
                    upper=[0.4, 0.8, None, 0.7, 0.7, 1],
                    l1=l1,
                    options=ROBUST,
                )
                turn = own_client.begin(session)
                for _ in range(told):
                    turn = own_client.answer(turn, rosenbrock)
                code = "<6d" if dtype == "float64" else "<6f"
                expected[session] = struct.pack(code, *turn["evaluation"]["x"])
    daemon.stop()
    found = {session.id: session.point for session in read(daemon.data)}
    assert found == expected


def test_bounds_count_in_the_memory_of_a_session(client: Client) -> None:
    plain = client.get(client.create(x0=[0.0] * 1000, options=ROBUST))
    path = client.create(x0=[0.0] * 1000, lower=0, options=ROBUST)
    scalar = client.get(path)
    vectors = client.get(client.create(x0=[0.0] * 1000, lower=[0] * 999 + [1], options=ROBUST))
    sizes = [view["memory_bytes_estimate"] for view in (plain, scalar, vectors)]
    assert sizes[0] < sizes[1] and sizes[2] == sizes[1] + 8000
    client.ok("PUT", f"/v1/sessions/{path}/bounds", {"lower": [0] * 999 + [1]})
    assert client.get(path)["memory_bytes_estimate"] == sizes[2]


def test_frozen_groups_shards_and_state_dicts_live_with_bounds(client: Client) -> None:
    fun = Quadratic(4, 5)
    session = client.create(x0=[0, 0], upper=0.25, shards=2, options=ROBUST)
    path = f"/v1/sessions/{session}"
    group = {"params": [{"shape": [2], "values": [0.5, 2], "lower": [None, 1.5]}]}
    client.ok("POST", f"{path}/param-groups", group)
    client.ok("PATCH", f"{path}/param-groups/0", {"frozen": True})
    turn = client.begin(session)
    while turn["state"] == "evaluating":
        loss, gradient = fun(turn["evaluation"]["x"])
        number = turn["evaluation"]["number"]
        half = {"loss": loss / 2, "gradient": (gradient / 2).tolist()}
        for shard in range(2):
            turn = client.ok("PUT", f"{path}/evaluations/{number}/shards/{shard}", half)
    assert np.allclose(turn["x"], [0, 0, 1, 1.5]) and turn["x"][3] == 1.5
    assert turn["result"]["converged"]
    loaded = client.ok("PUT", f"{path}/state-dict", client.ok("GET", f"{path}/state-dict"))
    assert "lower" not in loaded["param_groups"][0]
    assert client.ok("GET", f"{path}/bounds")["lower"][3] == 1.5
    client.ok("PATCH", f"{path}/param-groups/0", {"frozen": False})


def test_a_filled_parameter_takes_no_more_disk_for_its_bounds(client: Client) -> None:
    params = [
        {"shape": [50_000], "fill": 1, "lower": 0},
        {"shape": [50_000], "fill": 2, "lower": 1, "upper": 3},
    ]
    session = client.create(params=params, options=ROBUST)
    assert client.get(session)["disk_bytes"] < 20_000
    bounds = client.ok("GET", f"/v1/sessions/{session}/bounds")
    assert bounds["lower"][49_999:50_001] == [0, 1]
