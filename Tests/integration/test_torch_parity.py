"""The daemon against torch.optim.LBFGS itself, evaluation by evaluation, and against SciPy."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from daemon import Client, Function, numbers
from expectations import same_bits
from problems import Logistic, Perceptron, Quadratic, rosenbrock, rosenbrock_start

try:
    import torch_reference
except ImportError:
    torch_reference = None  # type: ignore[assignment]

needs_torch = pytest.mark.skipif(torch_reference is None, reason="torch is not installed")

ROSENBROCK = (rosenbrock, rosenbrock_start(2))
ROSENBROCK_20 = (rosenbrock, rosenbrock_start(20))


def make(problem: Any) -> tuple[Any, ...]:
    return (problem, problem.start)


# Name: ((function, start), options besides the line search, number of steps).
CASES = {
    "rosenbrock": (*ROSENBROCK, {"max_iter": 8}, 2),
    "rosenbrock, many steps": (*ROSENBROCK, {"max_iter": 3}, 6),
    "rosenbrock in 20 dimensions": (*ROSENBROCK_20, {"max_iter": 6}, 3),
    "logistic": (*make(Logistic()), {"max_iter": 4}, 2),
    "logistic until it converges": (*make(Logistic()), {"tolerance_grad": 1e-4, "max_iter": 50}, 3),
    "perceptron": (*make(Perceptron()), {"max_iter": 6}, 3),
    "quadratic with a short history": (*make(Quadratic(12)), {"max_iter": 8, "history_size": 2}, 2),
    "few evaluations": (*ROSENBROCK, {"max_iter": 20, "max_eval": 7}, 3),
    "loss tolerance": (*make(Perceptron()), {"tolerance_change": 1e-2}, 1),
    "step tolerance": (*ROSENBROCK, {"tolerance_change": 1e-2}, 1),
    "no direction": (*make(Quadratic(3, 1)), {"tolerance_change": 10}, 1),
    "at the minimum": (rosenbrock, [1.0, 1.0], {}, 2),
}
# Without a line search Rosenbrock needs a small first step to stay finite.
RATES = {"strong_wolfe": 1.0, None: 0.1}
RELATIVE = {"float64": 1e-10, "float32": 2e-3}


def by_daemon(
    client: Client,
    fun: Function,
    start: list[float],
    dtype: str,
    options: dict[str, Any],
    steps: int,
) -> tuple[Any, Any, Any]:
    session, points, turns = client.create(x0=start, dtype=dtype, options=options), [], []

    def record(x: Any) -> Any:
        points.append(np.array(x))
        return fun(np.array(x))

    for _ in range(steps):
        turns.append(client.step(session, record))
    return session, points, turns


def close(a: Any, b: Any, relative: float) -> bool:
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    return np.abs(a - b).max() <= relative * max(1, np.abs(b).max())


@needs_torch
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("search", ["strong_wolfe", None])
@pytest.mark.parametrize("name", CASES)
def test_the_daemon_asks_for_the_points_of_torch(
    client: Client, name: Any, search: str | None, dtype: str
) -> None:
    fun, start, options, steps = CASES[name]
    options = {**options, "line_search_fn": search, "lr": RATES[search]}
    reference = torch_reference.Reference(fun, start, dtype, options)
    for _ in range(steps):
        reference.step()
    expected = reference.run
    session, points, turns = by_daemon(client, fun, start, dtype, options, steps)

    relative = RELATIVE[dtype]
    for number, (ours, theirs) in enumerate(zip(points, expected.points, strict=False), start=1):
        assert close(ours, theirs, relative), f"evaluation {number}: {ours} instead of {theirs}"
        if bits_are_torch(dtype):
            assert same_bits(ours, theirs), f"evaluation {number}: {ours} instead of {theirs}"
    assert len(points) == len(expected.points)
    assert close(turns[-1]["x"], expected.x, relative)
    for turn, step in zip(turns, expected.steps, strict=True):
        ours = turn["result"]
        assert (ours["reason"], ours["iterations"], ours["evaluations"]) == (
            step["reason"],
            step["iterations"],
            step["evaluations"],
        )
        # torch rounds the loss to the dtype of the model.
        assert np.isclose(ours["loss_before"], step["loss_before"], rtol=relative, atol=relative)
        if search:
            assert np.isclose(ours["loss"], step["loss"], rtol=relative, atol=relative)
    assert expected.state is not None
    found = client.ok("GET", f"/v1/sessions/{session}/state-dict")
    assert_same_state(found, expected.state, relative)


@functools.cache
def torch_adds_as_the_engine_does() -> bool:
    """Whether MKL's dot products add in the order that they have on processors of other makers
    than Intel."""
    random = np.random.default_rng(1)
    for count in (5, 16, 37, 100):
        a, b = random.normal(size=(2, count))
        lanes, whole = [0.0] * 8, count // 8 * 8
        for index, product in enumerate(map(float, a * b)):
            lane = index % 8 if index < whole else (index - whole) % 2
            lanes[lane] += product
        even, odd = (functools.reduce(float.__add__, lanes[first::2]) for first in (0, 1))
        if torch_reference.dot(a, b) != even + odd:
            return False
    return True


def bits_are_torch(dtype: str) -> bool:
    return dtype == "float64" and torch_adds_as_the_engine_does()


@needs_torch
@pytest.mark.parametrize("search", ["strong_wolfe", None])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("first", [math.inf, math.nan])
def test_a_start_without_a_finite_loss_goes_on_as_in_torch(
    client: Client, first: Any, dtype: str, search: str | None
) -> None:
    scale, start = np.array([1.0, 5.5, 10.0]), [3.0, -2.0, 1.0]

    def fun(x: Any) -> tuple[Any, Any]:
        loss = first if np.array_equal(x, start) else float(scale @ x**2) / 2
        return loss, scale * x

    options = {"line_search_fn": search, "lr": RATES[search], "max_iter": 5}
    reference = torch_reference.Reference(fun, start, dtype, options)
    reference.step()
    _, points, (turn,) = by_daemon(client, fun, start, dtype, options, 1)
    assert len(points) == len(reference.run.points) > 3
    for ours, theirs in zip(points, reference.run.points, strict=True):
        assert close(ours, theirs, RELATIVE[dtype])
        assert not bits_are_torch(dtype) or same_bits(ours, theirs)
    assert close(turn["x"], reference.run.x, RELATIVE[dtype])
    assert turn["result"]["loss_before"] == ("NaN" if math.isnan(first) else "Infinity")


def assert_same_state(ours: dict[str, Any], theirs: dict[str, Any], relative: float) -> None:
    one, other = ours["state"]["0"], theirs["state"][0]
    assert one.keys() - {"al"} == other.keys() - {"al"}
    assert (one["n_iter"], one["func_evals"]) == (other["n_iter"], other["func_evals"])
    if one["n_iter"] == 0:
        return
    for name in ("d", "prev_flat_grad"):
        assert close(numbers(one[name]), other[name].numpy(), 100 * relative), name
    for name in ("old_dirs", "old_stps"):
        assert len(one[name]) == len(other[name]), name
        for index, (a, b) in enumerate(zip(one[name], other[name], strict=True)):
            assert close(numbers(a), b.numpy(), 100 * relative), f"{name}[{index}]"
    for name in ("t", "prev_loss"):
        assert np.isclose(one[name], float(other[name]), rtol=100 * relative), name
    if relative < 1e-6:
        assert np.isclose(one["H_diag"], float(other["H_diag"]), rtol=1e-6)
    group = dict(ours["param_groups"][0])
    group.pop("mode", None)
    group.pop("param_names", None)
    assert group == theirs["param_groups"][0]


@needs_torch
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_long_run_ends_where_torch_ends(client: Client, dtype: str) -> None:
    """Rounding separates the trajectories after a while; both must reach the same minimum."""
    options = {"line_search_fn": "strong_wolfe", "max_iter": 200, "max_eval": 1000}
    for fun, start in (ROSENBROCK, ROSENBROCK_20, make(Logistic())):
        reference = torch_reference.Reference(fun, start, dtype, options)
        reference.step()
        _, points, (turn,) = by_daemon(client, fun, start, dtype, options, 1)
        theirs = reference.run.steps[0]["loss"]
        assert abs(turn["result"]["loss"] - theirs) <= {"float64": 1e-9, "float32": 1e-5}[dtype]
        assert abs(len(points) - len(reference.run.points)) <= 0.5 * len(points) + 5


@needs_torch
def test_a_state_dict_of_torch_goes_on_here(client: Client) -> None:
    """Compares a run that moves from torch to the daemon half-way with one in torch alone."""
    fun, start = ROSENBROCK_20
    options = {"line_search_fn": "strong_wolfe", "max_iter": 5}
    reference = torch_reference.Reference(fun, start, "float64", options)
    reference.step()
    half, count = reference.run.state, len(reference.run.points)
    session = client.create(x0=[0.0] * 20)
    client.ok("PUT", f"/v1/sessions/{session}/state-dict", as_json(half))
    document = client.ok("GET", f"/v1/sessions/{session}/params")
    assert reference.run.x is not None
    document["params"][0]["values"] = reference.run.x.tolist()
    client.ok("PUT", f"/v1/sessions/{session}/params", document)
    reference.step()
    points: list[Any] = []

    def record(x: list[float]) -> tuple[float, Any]:
        points.append(x)
        return fun(x)

    client.step(session, record)
    assert len(points) == len(reference.run.points) - count
    for ours, theirs in zip(points, reference.run.points[count:], strict=True):
        assert close(ours, theirs, 1e-10)


def as_json(value: Any) -> Any:
    """A state dict of torch as JSON, with lists for tensors and strings for keys."""
    if isinstance(value, dict):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_json(item) for item in value]
    return value.tolist() if hasattr(value, "tolist") else value


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("fun", "start"),
    [
        ROSENBROCK,
        ROSENBROCK_20,
        make(Logistic()),
        make(Logistic(40, 200)),
        make(Quadratic(50, 1e4)),
    ],
    ids=["rosenbrock", "rosenbrock 20", "logistic", "logistic 40", "quadratic 50"],
)
def test_the_minimum_is_that_of_scipy(client: Client, fun: Any, start: Any, dtype: str) -> None:
    theirs = minimize(
        fun,
        start,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 10_000, "maxfun": 20_000, "ftol": 1e-15, "gtol": 1e-9},
    )
    options = {
        "line_search_fn": "strong_wolfe",
        "max_iter": 500,
        "max_eval": 2000,
        "tolerance_change": 1e-14,
    }
    _, _, turns = by_daemon(client, fun, start, dtype, options, 3)
    ours = turns[-1]["result"]["loss"]
    tolerance = {"float64": 1e-9, "float32": 1e-4}[dtype]
    assert abs(ours - theirs.fun) <= tolerance * max(1, abs(theirs.fun))
    assert close(turns[-1]["x"], theirs.x, {"float64": 1e-4, "float32": 2e-2}[dtype])
