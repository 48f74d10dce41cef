"""`check_gradient`: is a gradient that of its function?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._errors import Infeasible
from .._minimize.box import Box
from .._minimize.differences import scalar
from .._model import Floats
from .noise import estimate
from .probe import RATIO, SWEEP, WIDEST, Difference, Probe
from .result import RIGHT, UNCLEAR, WRONG, CoordinateCheck, DirectionCheck, GradientCheck
from .worst import SAFETY, worst_coordinates

__all__ = ["CoordinateCheck", "DirectionCheck", "GradientCheck", "check_gradient"]

TOLERANCE_LEAST = 1e-6
IMPRECISE = 0.05
"""Differences whose relative error may be more than this decide nothing."""
NOISE_START = 3 / 8
"""The distance of the points that show the noise, as a power of the precision of x: the third
difference of a smooth function is then below it."""


def check_gradient(
    fun: Callable[..., Any],
    x0: ArrayLike,
    args: Any = (),
    jac: Callable[..., ArrayLike] | bool = True,
    *,
    bounds: Any = None,
    directions: int = 4,
    coordinates: int = 0,
    noise: float | None = None,
    tolerance: float | None = None,
    scale: ArrayLike | None = None,
    seed: int = 0,
) -> GradientCheck:
    """Compares a gradient with differences of the loss, in directions chosen at random.

    `fun`, `args`, `jac` and `bounds` are those of `minimize`: `fun` returns the loss and the
    gradient, or `jac` is a function that returns the gradient. No point outside the bounds is
    evaluated. Where x0 is an array of Float32, so are all points.

    A random direction has every number of x, so that one wrong number in ten thousand is noticed
    with some fifty evaluations of the loss, whatever n is. `coordinates` names so many of the worst
    numbers at most, by a search that takes some 12 log2(n) evaluations for each.

    The noise of the loss is estimated from its values (Moré & Wild 2011) unless `noise`, its
    standard deviation relative to the loss, is given. Each difference is taken with several steps,
    and the one with the least noise and disagreement with its neighbours counts (as in Moré & Wild
    2012, where the derivatives that the best step depends on aren't known beforehand).

    The gradient is wrong where it differs from a difference by more than that difference's
    precision and by more than `tolerance`, relative to the norm of the derivatives: by default the
    square root of the relative noise, 1e-6 at least. Steps are relative to `scale`, one number or
    one for each of x; by default to abs(x), or to the largest of these, 1 at most, where a number
    is smaller. `seed` chooses the directions.

    Returns a `GradientCheck`, which prints as a table.
    """
    if not isinstance(args, tuple):
        args = (args,)
    if directions < 1 or coordinates < 0:
        raise ValueError("directions must be at least 1, and coordinates at least 0")
    start = np.atleast_1d(np.asarray(x0))
    start = start.astype(np.float32 if start.dtype == np.float32 else np.float64)
    if start.ndim > 1:
        raise ValueError("'x0' must only have one dimension.")
    lengths = _scales(start, scale)
    x, lengths = _inside(start, lengths, Box.of(bounds, start.size))
    value, gradient = _evaluate(fun, jac, args, x)

    def loss(point: Floats) -> float:
        try:
            returned = fun(point, *args)
        except Infeasible:
            return float("nan")
        return scalar(returned[0] if jac is True else returned)

    probe = Probe(loss, x, value, gradient)
    chance = np.random.default_rng(seed)
    ways = [_direction(chance, lengths) for _ in range(directions)]
    if noise is not None:
        probe.set_noise(noise * abs(value))
    else:
        distance = float(np.finfo(x.dtype).eps) ** NOISE_START
        probe.set_noise(estimate(lambda where: probe.sample(ways[0], where), distance))
    relative = probe.noise / abs(value) if value else 0.0
    if tolerance is None:
        tolerance = max(TOLERANCE_LEAST, relative**0.5)
    first = probe.difference(ways[0], SWEEP)
    # Directions of one function have about the same best step.
    around = (first.power + 1, first.power, first.power - 1)
    differences = [first, *(probe.difference(way, around) for way in ways[1:])]
    checks = tuple(
        _check(difference, way, gradient) for difference, way in zip(differences, ways, strict=True)
    )
    worst: tuple[CoordinateCheck, ...] = ()
    if coordinates:
        worst = worst_coordinates(probe, ways[0], coordinates, first.power)
    return GradientCheck(
        _verdict(checks, tolerance),
        checks,
        relative,
        tolerance,
        value,
        probe.evaluations,
        x,
        worst,
    )


def _evaluate(
    fun: Callable[..., Any], jac: Any, args: tuple[Any, ...], x: Floats
) -> tuple[float, Floats]:
    if jac is True:
        loss, gradient = fun(x.copy(), *args)
    elif callable(jac):
        loss, gradient = fun(x.copy(), *args), jac(x.copy(), *args)
    else:
        raise ValueError(f"jac must be True or a function, not {jac!r}: there is nothing to check")
    value, numbers = scalar(loss), np.array(gradient, dtype=np.float64).reshape(-1)
    if numbers.size != x.size:
        raise ValueError(f"the gradient has {numbers.size} numbers, the parameters {x.size}")
    if not np.isfinite(value) or not np.isfinite(numbers).all():
        raise ValueError("loss or gradient are not finite at x0: check them at another point")
    return value, numbers


def _scales(x: Floats, scale: ArrayLike | None) -> Floats:
    """What the step of each number is relative to."""
    if scale is not None:
        given: Floats = np.broadcast_to(np.asarray(scale, dtype=np.float64), x.shape).copy()
        return given
    sizes = np.abs(x).astype(np.float64)
    usual = min(1.0, float(sizes.max(initial=0.0))) or 1.0
    return np.maximum(sizes, usual)


def _inside(x: Floats, lengths: Floats, box: Box | None) -> tuple[Floats, Floats]:
    """A point with room on both sides for the widest step, and the lengths that fit; a number that
    can't move has length 0."""
    if box is None:
        return x, lengths
    widest = float(np.finfo(x.dtype).eps) ** (1 / 3) * RATIO**WIDEST
    # Directions have up to 1.5 times the lengths, and noise makes steps longer.
    room = np.minimum(16 * widest * lengths, (box.upper - box.lower) / 4)
    moved = np.clip(x.astype(np.float64), box.lower + room, box.upper - room).astype(x.dtype)
    free = np.minimum(moved - box.lower, box.upper - moved)
    return moved, np.minimum(lengths, free / (12 * widest))


def _direction(chance: np.random.Generator, lengths: Floats) -> Floats:
    """Signs at random, times a length at random, so that errors don't cancel each other."""
    signs = chance.integers(0, 2, lengths.size) * 2 - 1
    return lengths * signs * chance.uniform(0.5, 1.5, lengths.size)


def _check(difference: Difference, direction: Floats, gradient: Floats) -> DirectionCheck:
    derivative = difference.slope + difference.residual
    size = max(float(np.linalg.norm(gradient * direction)), abs(derivative))
    size = size or 1.0
    return DirectionCheck(
        difference.slope,
        derivative,
        difference.step,
        abs(difference.residual) / size,
        difference.precision / size,
    )


def _verdict(checks: tuple[DirectionCheck, ...], tolerance: float) -> str:
    for check in checks:
        if check.relative_error > max(tolerance, SAFETY * check.precision):
            return WRONG
    return UNCLEAR if max(check.precision for check in checks) > IMPRECISE else RIGHT
