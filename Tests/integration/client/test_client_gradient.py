"""check_gradient, beside SciPy's check_grad, on right and on wrong gradients."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.optimize import approx_fprime, check_grad, rosen, rosen_der

import lbfgsd
from daemon import Daemon

N = 10_000
START = np.random.default_rng(7).normal(size=N)
MATRIX = np.random.default_rng(8).normal(size=(40, 40))
TARGET = np.random.default_rng(9).normal(size=40)

Gradient = Callable[[Any], Any]


def residual(x: Any) -> Any:
    return MATRIX @ x - TARGET


def squares(x: Any) -> float:
    return float(residual(x) @ residual(x)) / 2


def squares_gradient(x: Any) -> Any:
    return MATRIX.T @ residual(x)


def one_doubled(x: Any) -> Any:
    gradient = rosen_der(x)
    gradient[x.size // 3] *= 2
    return gradient


def one_missing(x: Any) -> Any:
    gradient = rosen_der(x)
    gradient[-1] = 0
    return gradient


def one_sign(x: Any) -> Any:
    gradient = rosen_der(x)
    gradient[x.size // 2] *= -1
    return gradient


WRONG: list[tuple[str, Callable[[Any], float], Gradient, Any]] = [
    ("one doubled", rosen, one_doubled, START),
    ("one missing", rosen, one_missing, START),
    ("one sign", rosen, one_sign, START),
    ("all signs", rosen, lambda x: -rosen_der(x), START),
    ("a factor", rosen, lambda x: 1.05 * rosen_der(x), START),
    ("a factor of the small", squares, lambda x: 2 * squares_gradient(x), TARGET),
    ("transposed", squares, lambda x: MATRIX @ residual(x), TARGET),
    ("shifted by one", rosen, lambda x: np.roll(rosen_der(x), 1), START),
    ("two exchanged", squares, lambda x: squares_gradient(x)[[1, 0, *range(2, 40)]], TARGET),
]


@pytest.mark.parametrize(("name", "fun", "jac", "x"), WRONG, ids=[case[0] for case in WRONG])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_wrong_gradient_is_found(
    name: str, fun: Any, jac: Gradient, x: Any, dtype: Any, seed: int
) -> None:
    check = lbfgsd.check_gradient(fun, x.astype(dtype), jac=jac, seed=seed)
    assert check.verdict == "wrong" and not check.ok, f"{name}: {check}"
    assert check.evaluations < 80
    assert "The gradient is wrong" in str(check)


RIGHT: list[tuple[str, Any, Gradient, Any]] = [
    ("rosenbrock", rosen, rosen_der, START),
    ("squares", squares, squares_gradient, TARGET),
    ("small numbers", lambda x: rosen(1e9 * x), lambda x: 1e9 * rosen_der(1e9 * x), 1e-9 * START),
    ("large loss", lambda x: 1e12 + rosen(x), rosen_der, START[:100]),
    ("steep", lambda x: float(np.exp(x).sum()), np.exp, 30 + START[:20]),
    ("linear", lambda x: float(TARGET @ x), lambda x: TARGET, np.zeros(40)),
    ("one number", lambda x: float(np.sin(x[0])), np.cos, [0.3]),
]


@pytest.mark.parametrize(("name", "fun", "jac", "x"), RIGHT, ids=[case[0] for case in RIGHT])
@pytest.mark.parametrize("seed", range(10))
def test_a_right_gradient_is_right(name: str, fun: Any, jac: Gradient, x: Any, seed: int) -> None:
    check = lbfgsd.check_gradient(fun, x, jac=jac, seed=seed)
    assert check.verdict == "right", f"{name}: {check}"


@pytest.mark.parametrize("seed", range(20))
def test_float32_counts_as_what_it_is(seed: int) -> None:
    """A gradient that is right to float32 is right, whatever the type of x."""

    def single(x: Any) -> tuple[float, Any]:
        x = np.asarray(x, dtype=np.float32)
        return float(np.float32(rosen(x))), rosen_der(x)

    for start in (START, START.astype(np.float32)):
        check = lbfgsd.check_gradient(single, start, seed=seed)
        assert check.ok, str(check)
        assert 1e-9 < check.noise < 1e-6


@pytest.mark.parametrize("digits", [4, 6, 8, 12])
def test_a_loss_of_few_digits(digits: int) -> None:
    def printed(x: Any) -> float:
        return float(f"{rosen(x):.{digits}g}")

    check = lbfgsd.check_gradient(printed, START[:20], jac=rosen_der)
    assert check.verdict != "wrong", str(check)
    assert check.ok or digits < 6, str(check)
    assert lbfgsd.check_gradient(printed, START[:20], jac=lambda x: -rosen_der(x)).verdict in (
        ("wrong",) if digits > 5 else ("wrong", "unclear")
    )


def test_the_worst_numbers_are_named() -> None:
    wrong = {17: 3.0, 5000: -1.0, 9999: 0.0}

    def jac(x: Any) -> Any:
        gradient = rosen_der(x)
        for index, factor in wrong.items():
            gradient[index] *= factor
        return gradient

    check = lbfgsd.check_gradient(rosen, START, jac=jac, coordinates=5)
    assert {one.index for one in check.coordinates} == set(wrong)
    right = rosen_der(START)
    for one in check.coordinates:
        assert one.difference == pytest.approx(right[one.index], abs=20 * one.precision + 1e-6)
        assert one.gradient == pytest.approx(wrong[one.index] * right[one.index])
    errors = [abs(one.gradient - one.difference) for one in check.coordinates]
    assert errors == sorted(errors, reverse=True)
    assert check.evaluations < 1000
    assert lbfgsd.check_gradient(rosen, START, jac=rosen_der, coordinates=5).coordinates == ()


def test_scipy_says_the_same_where_it_can() -> None:
    """SciPy's check_grad is the norm of all differences: n evaluations, and a number to judge."""
    x = START[:50]
    size = float(np.linalg.norm(rosen_der(x)))
    right, wrong = (check_grad(rosen, jac, x) / size for jac in (rosen_der, one_doubled))
    assert right < 1e-6 < wrong
    mine = lbfgsd.check_gradient(rosen, x, jac=rosen_der)
    assert mine.ok and mine.relative_error < right
    assert lbfgsd.check_gradient(rosen, x, jac=one_doubled).verdict == "wrong"
    # The same with SciPy's own differences as the gradient.
    check = lbfgsd.check_gradient(rosen, x, jac=lambda x: approx_fprime(x, rosen))
    assert check.ok, str(check)


def test_where_scipy_is_misled_by_noise() -> None:
    """A loss with a noise of 1e-6, such as that of an iterative solver: SciPy's step of 1.5e-8 sees
    the noise only."""

    def noisy(x: Any) -> float:
        chance = np.random.default_rng(zlib.crc32(x.tobytes()))
        return float(rosen(x)) * (1 + 1e-6 * chance.normal())

    x = START[:50]
    assert check_grad(noisy, rosen_der, x) > float(np.linalg.norm(rosen_der(x)))
    check = lbfgsd.check_gradient(noisy, x, jac=rosen_der)
    assert check.ok, str(check)
    assert 1e-7 < check.noise < 1e-5
    assert lbfgsd.check_gradient(noisy, x, jac=lambda x: -rosen_der(x)).verdict == "wrong"


def test_at_a_minimum_nothing_can_be_said() -> None:
    minimum = np.linalg.solve(MATRIX, TARGET)
    check = lbfgsd.check_gradient(squares, minimum, jac=squares_gradient)
    assert check.verdict == "unclear" and not check.ok
    assert "farther from the minimum" in str(check)


def test_no_point_is_outside_the_bounds() -> None:
    seen = []

    def fun(x: Any) -> tuple[float, Any]:
        seen.append(x.copy())
        return float(rosen(x)), rosen_der(x)

    bounds = [(0.5, None), (None, 0.5), (0.5, 0.5), (0.5, 0.50001), (-1, 1), (None, None)]
    check = lbfgsd.check_gradient(fun, np.full(6, 0.5), bounds=bounds)
    assert check.ok, str(check)
    for point in seen:
        for number, (low, high) in zip(point, bounds, strict=True):
            assert (-math.inf if low is None else low) <= number
            assert number <= (math.inf if high is None else high)
    assert check.evaluations == len(seen)


def test_points_without_a_loss_are_left_out() -> None:
    def fun(x: Any) -> tuple[float, Any]:
        if x[0] > 1.0001:
            raise lbfgsd.Infeasible("mesh inverted")
        return float(rosen(x)), rosen_der(x)

    assert lbfgsd.check_gradient(fun, [0.99999, 2.0, 1.5]).ok


def test_wrong_arguments_are_named() -> None:
    for arguments, message in (
        ({"jac": None}, "nothing to check"),
        ({"jac": lambda x: [1.0]}, "the gradient has 1 numbers, the parameters 3"),
        ({"jac": lambda x: x * np.nan}, "not finite at x0"),
        ({"jac": rosen_der, "directions": 0}, "directions must be"),
        ({"jac": rosen_der, "bounds": [(0, 1)]}, "not compatible"),
    ):
        with pytest.raises(ValueError, match=message):
            lbfgsd.check_gradient(rosen, [0.3, 0.4, 0.5], **arguments)


def test_the_message_of_a_failed_search_names_it(shared_daemon: Daemon) -> None:
    result = lbfgsd.minimize(rosen, [-1.2, 1.0], jac=lambda x: -rosen_der(x), url=shared_daemon.url)
    assert result.reason in ("line_search_failed", "not_a_descent_direction", "no_progress")
    assert not result.success and "lbfgsd.check_gradient" in result.message
    done = lbfgsd.minimize(rosen, [-1.2, 1.0], jac=rosen_der, url=shared_daemon.url)
    assert done.success and "check_gradient" not in done.message
