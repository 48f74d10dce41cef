"""Gradients by finite differences, with SciPy's names and step lengths."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._model import Floats
from .box import Box

METHODS = ("2-point", "3-point", "cs")

MapLike = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
"""Called as `map` is, such as `multiprocessing.Pool().map`."""


def calls_per_gradient(method: str, n: int) -> int:
    """The function calls that a gradient of n numbers takes, besides the one at the point."""
    return 2 * n if method == "3-point" else n


@dataclass(frozen=True)
class Steps:
    """How far finite differences go: by an absolute step, a relative one or, where both are None,
    SciPy's. Either is one number or one for each parameter."""

    absolute: Any = None
    relative: Any = None

    def of(self, x: Floats, method: str) -> Floats:
        """The signed step of each number: the absolute one, or the relative one times x_i.

        By default h = sqrt(eps) * sign(x_i) * max(1, |x_i|), away from zero, for "3-point" with the
        cube root; so it is where the step that was asked for changes nothing, as at x_i = 0.
        """
        epsilon = np.finfo(np.float64).eps
        usual = epsilon ** (1 / 3) if method == "3-point" else epsilon**0.5
        sign = np.where(x >= 0, 1.0, -1.0)
        default = usual * sign * np.maximum(1.0, np.abs(x))
        wanted: Floats
        if self.absolute is not None:
            wanted = np.broadcast_to(np.asarray(self.absolute, dtype=float), x.shape)
        elif self.relative is not None:
            wanted = np.asarray(self.relative, dtype=float) * sign * np.abs(x)
        else:
            wanted = default
        chosen: Floats = np.where((x + wanted) - x == 0, default, wanted)
        return chosen


@dataclass(frozen=True)
class Stencil:
    """Where the function is called for one component of the gradient: at the point, with number
    `index` replaced by each of `ends`; and how its values make the component."""

    index: int
    ends: tuple[Any, ...]
    derivative: Callable[..., float]


def estimate_gradient(
    fun: Callable[[Any], Any],
    x: Floats,
    loss: float,
    method: str,
    steps: Steps,
    box: Box | None = None,
    apply: MapLike = map,
) -> Floats:
    """Estimates the gradient of `fun` at x, where its value is `loss`.

    "cs" is the complex step: Im f(x + i h) / h. No point is outside the box: the step turns round
    at a bound, or is shortened to the wider side, and "3-point" becomes one-sided. A number that
    can't move counts as 0. `apply` calls the function for all points.
    """
    lengths = steps.of(x, method)
    stencils = []
    for i in range(x.size):
        bounds = (box.lower[i], box.upper[i]) if box else (-np.inf, np.inf)
        if bounds[0] < bounds[1]:
            stencils.append(_stencil(i, float(x[i]), float(lengths[i]), loss, method, bounds))
    values = iter(apply(fun, _points(x, stencils)))
    gradient = np.zeros_like(x)
    for stencil in stencils:
        gradient[stencil.index] = stencil.derivative(*(next(values) for _ in stencil.ends))
    return gradient


def _points(x: Floats, stencils: list[Stencil]) -> Iterator[Any]:
    for stencil in stencils:
        for end in stencil.ends:
            moved = x.astype(np.complex128) if isinstance(end, complex) else x.copy()
            moved[stencil.index] = end
            yield moved


def _stencil(
    i: int, x: float, h: float, loss: float, method: str, bounds: tuple[float, float]
) -> Stencil:
    def moved(by: float) -> float:
        # Adding what is left to a bound may round beyond it.
        return float(np.clip(x + by, *bounds))

    below, above = x - bounds[0], bounds[1] - x
    if method == "cs":
        return Stencil(i, (complex(x, h),), lambda f: np.asarray(f).item().imag / h)
    if method == "2-point":
        end = moved(_within(h, above, below))
        return Stencil(i, (end,), lambda f: (scalar(f) - loss) / (end - x))
    if abs(h) <= min(above, below):
        high, low = moved(abs(h)), moved(-abs(h))
        return Stencil(i, (high, low), lambda f, g: (scalar(f) - scalar(g)) / (high - low))
    # Both points on one side: a parabola through the three.
    half = _within(2 * abs(h), above, below) / 2
    middle, end = moved(half), moved(2 * half)
    return Stencil(
        i, (middle, end), lambda f, g: (4 * scalar(f) - 3 * loss - scalar(g)) / (end - x)
    )


def _within(h: float, above: float, below: float) -> float:
    """A step with at most the length of h that stays within what is left on either side."""
    if h <= above if h > 0 else -h <= below:
        return h
    if -h <= above if h < 0 else h <= below:
        return -h
    return above if above >= below else -below


def scalar(loss: Any) -> float:
    if type(loss) is float:
        return loss
    return float(np.asarray(loss).item())


@contextlib.contextmanager
def map_of(workers: int | MapLike | None) -> Iterator[MapLike]:
    """SciPy's `workers`: a function like map, or a number of processes, -1 for one per processor,
    to which the function is pickled."""
    if callable(workers):
        yield workers
        return
    count = 1 if workers is None else int(workers)
    if count == -1:
        count = os.cpu_count() or 1
    if count < 1:
        raise ValueError("workers must be -1, a number from 1 on, or a function like map")
    if count == 1:
        yield map
        return
    method = multiprocessing.get_start_method(allow_none=True)
    if method is None and os.name == "posix" and sys.version_info < (3, 14):
        # A fork of a program with threads may wait for a lock for ever.
        method = "forkserver"
    with multiprocessing.get_context(method).Pool(count) as pool:
        yield pool.map
