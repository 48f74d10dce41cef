"""Bounds and L1 terms in the Python client: `minimize`, SciPy's interface, `lbfgsd.torch`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from scipy import optimize

import lbfgsd
from daemon import Daemon
from lbfgsd._minimize.box import Box
from lbfgsd.torch import LBFGS
from problems import Quadratic, rosenbrock, rosenbrock_start


@pytest.fixture
def api(shared_daemon: Daemon) -> Iterator[lbfgsd.Client]:
    with lbfgsd.Client(shared_daemon.url) as client:
        yield client


BOUNDS: dict[str, Any] = {
    "pairs": [(None, 0.5), (-0.5, 2), (0.25, None), (None, None)] * 3,
    "SciPy's": optimize.Bounds([-np.inf, -0.5, 0.25, -np.inf] * 3, [0.5, 2, np.inf, np.inf] * 3),
    "one for all": optimize.Bounds(-0.5, 0.8),
    "fixed": [(0.5, 0.5), (None, None), (0.25, None)] * 4,
}


@pytest.mark.parametrize("name", BOUNDS)
@pytest.mark.parametrize("jac", [True, "2-point", "3-point"])
def test_it_finds_what_scipy_finds_within_the_bounds(
    api: lbfgsd.Client, name: str, jac: Any
) -> None:
    bounds, start = BOUNDS[name], rosenbrock_start(12)
    box = Box.of(bounds, 12)
    assert box is not None

    def fun(x: Any) -> Any:
        assert (box.lower <= x).all() and (x <= box.upper).all(), "outside the bounds"
        loss, gradient = rosenbrock(x)
        return (loss, gradient) if jac is True else loss

    options = {"gtol": 1e-6, "ftol": 1e-14}
    ours = lbfgsd.minimize(fun, start, jac=jac, bounds=bounds, client=api, options=options)
    theirs = optimize.minimize(
        rosenbrock, start, jac=True, bounds=bounds, method="L-BFGS-B", options=options
    )
    assert ours.success and ours.status == 0, ours
    assert ours.message.startswith("CONVERGENCE: ")
    assert np.allclose(ours.x, theirs.x, atol=1e-4) and ours.fun <= theirs.fun + 1e-8
    active = ours.active_set
    at = (ours.x == box.lower) | (ours.x == box.upper)
    assert np.array_equal(active.mask(12), at) and len(active) == at.sum()
    assert np.array_equal(active.value, ours.x[active.index])
    gradient = rosenbrock(ours.x)[1]
    loose = active.side != "fixed"
    assert np.allclose(active.multiplier[loose], gradient[active.index][loose], atol=1e-3)
    assert (active.multiplier[active.side == "upper"] < 0).all()
    if jac is True:
        assert ours.projected_gradient_norm_inf <= 1e-4


def test_a_run_that_is_taken_up_keeps_its_bounds(api: lbfgsd.Client) -> None:
    class Interrupted(Exception):
        pass

    calls = 0

    def fun(x: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 7:
            raise Interrupted
        return rosenbrock(x)

    with pytest.raises(Interrupted) as caught:
        lbfgsd.minimize(fun, rosenbrock_start(4), jac=True, bounds=[(None, 0.5)] * 4, client=api)
    session = caught.value.lbfgsd_session  # type: ignore[attr-defined]
    result = lbfgsd.minimize(fun, jac=True, session=session, client=api)
    assert result.success and result.x.max() == 0.5 and len(result.active_set) > 0
    with pytest.raises(ValueError, match="its own bounds"):
        lbfgsd.minimize(fun, jac=True, session=session, bounds=[(0, 1)] * 4, client=api)


def test_l1(api: lbfgsd.Client) -> None:
    fun = Quadratic(5, 10)
    weights = np.array([0.5, 2, 20, 0, 1])
    result = lbfgsd.minimize(
        fun, [0.5] * 5, jac=True, l1=weights, client=api, options={"gtol": 1e-9, "ftol": 0}
    )
    expected = np.maximum(0, 1 - weights / fun.curvatures)
    assert np.allclose(result.x, expected, atol=1e-7)
    assert (result.x[expected == 0] == 0).all()
    assert result.fun == pytest.approx(fun(result.x)[0] + weights @ np.abs(result.x), rel=1e-12)
    both = lbfgsd.minimize(fun, [0.5] * 5, jac=True, l1=0.5, bounds=[(None, 0.25)] * 5, client=api)
    assert both.success and both.x.max() == 0.25


@pytest.mark.parametrize(
    ("bounds", "match"),
    [
        ([(0, 1)], "number of bounds is not compatible"),
        (optimize.Bounds([0, 0, 0], 1), "number of bounds is not compatible"),
        ([(0, 1), (2, 1)], "upper bound is less than the corresponding lower"),
        ([(0, 1), (float("nan"), 1)], "NaN"),
    ],
)
def test_wrong_bounds(api: lbfgsd.Client, bounds: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        lbfgsd.minimize(rosenbrock, [0, 0], jac=True, bounds=bounds, client=api)


def test_all_fixed_needs_no_session(api: lbfgsd.Client) -> None:
    result = lbfgsd.minimize(rosenbrock, [0, 0], jac=True, bounds=[(1, 1), (2, 2)], client=api)
    assert result.success and result.nfev == 1 and result.session is None
    assert np.array_equal(result.x, [1, 2]) and result.fun == 100
    assert "fixed by bounds" in result.message


def test_options_of_scipy(api: lbfgsd.Client, capsys: pytest.CaptureFixture[str]) -> None:
    options = {"maxiter": 3, "disp": True}
    result = lbfgsd.minimize(rosenbrock, [-1.2, 1], jac=True, client=api, options=options)
    assert result.status == 1 and not result.success and result.nit == 3
    assert result.message == "STOP: TOTAL NO. OF ITERATIONS REACHED LIMIT"
    assert result.message in capsys.readouterr().out
    limited = lbfgsd.minimize(rosenbrock, [-1.2, 1], jac=True, client=api, options={"maxls": 3})
    assert limited.success and np.allclose(limited.x, 1, atol=1e-3)
    with pytest.raises(ValueError, match="maxls must be positive"):
        lbfgsd.minimize(rosenbrock, [-1.2, 1], jac=True, client=api, options={"maxls": 0})


def test_scipys_minimize(api: lbfgsd.Client) -> None:
    method, seen = lbfgsd.scipy_method(api), []

    def callback(intermediate_result: Any) -> None:
        seen.append(intermediate_result.fun)
        if len(seen) == 8:
            raise StopIteration

    def fun(x: Any, scale: float) -> Any:
        loss, gradient = rosenbrock(x)
        return scale * loss, scale * gradient

    bounds = optimize.Bounds([-2] * 4, [0.8] * 4)
    start = rosenbrock_start(4)
    full = optimize.minimize(fun, start, (2.0,), jac=True, bounds=bounds, method=method)
    assert full.success and full.x.max() <= 0.8
    assert isinstance(full.hess_inv, optimize.LbfgsInvHessProduct)
    pairs = full.hess_inv.n_corrs
    assert 0 < pairs <= 100 and full.hess_inv.shape == (4, 4)
    s, y = full.hess_inv.sk[-1], full.hess_inv.yk[-1]
    assert np.allclose(full.hess_inv @ y, s)
    halted = optimize.minimize(
        fun, start, (2.0,), jac=True, bounds=bounds, method=method, callback=callback
    )
    assert halted.status == 99 and halted.nit == len(seen) == 8 and not halted.success
    assert halted.message.startswith("`callback` raised `StopIteration`")
    bare = lbfgsd.scipy_method(api, hess_inv=False)
    assert "hess_inv" not in optimize.minimize(fun, start, (2.0,), jac=True, method=bare)


@pytest.mark.parametrize("n", [10, 200, 20_000])
def test_sessions_with_bounds(api: lbfgsd.Client, n: int) -> None:
    lower = np.linspace(-1, 1, n)
    created = api.create_session(
        np.zeros(n), lower=lower, upper=2, dtype="float32", options={"mode": "robust"}
    )
    bounds = api.get_bounds(created)
    assert created.bounded and not created.l1
    assert bounds.lower.dtype == np.float32 and (bounds.lower >= lower).all()
    assert np.allclose(bounds.lower, lower, rtol=1e-6) and (bounds.upper == 2).all()
    assert np.array_equal(api.get_params(created).x, np.maximum(0, bounds.lower))
    changed = api.set_bounds(created, upper=np.full(n, 0.5), l1=0.1)
    assert changed.projected == (bounds.lower > 0.5).sum()
    assert np.isneginf(changed.lower).all() and (changed.l1 == np.float32(0.1)).all()
    active = api.active_set(created)
    assert len(active) == changed.projected and np.isnan(active.multiplier).all()
    assert (active.side == "upper").all() and (active.value == 0.5).all()
    group = api.add_param_group(created, [np.ones(2)], lower=[[0, None]], upper=[3])
    assert group.count == 2 and api.get_bounds(created).lower[-2:].tolist() == [0, -np.inf]


def test_bounds_by_parameter(api: lbfgsd.Client) -> None:
    params = {"w": np.ones((2, 2)), "b": np.zeros(2)}
    robust = {"mode": "robust"}
    created = api.create_session(
        params=params, lower={"b": [0, None]}, upper=[None, 5], l1=0.5, options=robust
    )
    bounds = api.get_bounds(created)
    assert bounds.lower.tolist() == [-np.inf] * 4 + [0, -np.inf]
    assert bounds.upper.tolist() == [np.inf] * 4 + [5, 5] and (bounds.l1 == 0.5).all()
    with pytest.raises(ValueError, match="no such parameter"):
        api.create_session(params=params, lower={"c": 0}, options=robust)
    with pytest.raises(lbfgsd.InvalidRequest, match="mode robust"):
        api.create_session([0], lower=0)


# torch


def least_squares(seed: int = 0) -> tuple[Any, Any, Any]:
    """The layers of a model, and its closure for an optimizer."""
    torch.manual_seed(seed)
    inputs = torch.rand(50, 4, dtype=torch.float64)
    targets = inputs @ torch.tensor([1.0, -2.0, 3.0, -0.5], dtype=torch.float64) - 0.25
    weight = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    bias = torch.full((1,), 2.0, dtype=torch.float64, requires_grad=True)

    def closure_for(optimizer: Any) -> Any:
        def closure() -> Any:
            optimizer.zero_grad()
            loss = ((inputs @ weight + bias - targets) ** 2).mean()
            loss.backward()
            return loss

        return closure

    return weight, bias, closure_for


def test_groups_with_bounds(api: lbfgsd.Client) -> None:
    weight, bias, closure_for = least_squares()
    upper = torch.tensor([0.5, 5, 2, 5], dtype=torch.float64)
    groups = [
        {"params": [weight], "lower": 0.0, "upper": upper},
        {"params": [bias], "upper": 1.0},
    ]
    optimizer = LBFGS(groups, max_iter=100, max_eval=200, client=api)
    optimizer.step(closure_for(optimizer))
    w, b = weight.detach(), bias.detach()
    assert (w >= 0).all() and (w <= upper).all() and (b <= 1).all()
    assert api.get_session(str(optimizer.session)).options["mode"] == "robust"
    assert w[1] == 0 and w[2] == 2
    # A change of the bounds takes effect with the next step, and moves the parameters.
    optimizer.param_groups[0]["upper"] = 0.25
    optimizer.step(closure_for(optimizer))
    assert (weight.detach() <= 0.25).all() and weight.detach().max() == 0.25
    saved = optimizer.state_dict()
    optimizer.load_state_dict(saved)
    assert optimizer.param_groups[0]["upper"] == 0.25 and "upper" in optimizer.param_groups[1]
    optimizer.step(closure_for(optimizer))
    assert weight.detach().max() == 0.25
    with torch.no_grad():
        weight.fill_(7)
    optimizer.step(closure_for(optimizer))
    assert weight.detach().max() <= 0.25


def test_a_group_that_joins_with_bounds_and_l1(api: lbfgsd.Client) -> None:
    weight, bias, closure_for = least_squares()
    optimizer = LBFGS([{"params": [weight], "l1": 0.05}], max_iter=60, max_eval=200, client=api)
    optimizer.step(closure_for(optimizer))
    optimizer.add_param_group({"params": [bias], "lower": 1.5, "upper": 1.75})
    optimizer.step(closure_for(optimizer))
    assert 1.5 <= bias.item() <= 1.75
    assert api.get_session(str(optimizer.session)).l1
    assert api.get_bounds(str(optimizer.session)).lower[-1] == 1.5


def test_wrong_groups(api: lbfgsd.Client) -> None:
    weight, bias, _ = least_squares()
    with pytest.raises(ValueError, match="per-parameter options"):
        LBFGS([{"params": [weight]}, {"params": [bias]}], client=api)
    with pytest.raises(ValueError, match="per-parameter options"):
        LBFGS([{"params": [weight], "lower": 0}, {"params": [bias], "lr": 0.5}], client=api)
    with pytest.raises(ValueError, match="shape"):
        LBFGS([{"params": [weight], "lower": torch.zeros(3)}], client=api)
    with pytest.raises(ValueError, match="2 entries"):
        LBFGS([{"params": [weight], "lower": [0, 0]}], client=api)
