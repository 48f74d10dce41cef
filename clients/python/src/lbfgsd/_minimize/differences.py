"""Gradients by finite differences, with SciPy's names and step lengths."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._model import Floats
from .box import Box

METHODS = ("2-point", "3-point", "cs")


def calls_per_gradient(method: str, n: int) -> int:
    """The function calls that a gradient of n numbers takes, besides the one at the point."""
    return 2 * n if method == "3-point" else n


def estimate_gradient(
    fun: Callable[[Any], Any],
    x: Floats,
    loss: float,
    method: str,
    step: float | None,
    box: Box | None = None,
    relative: Any = None,
) -> Floats:
    """Estimates the gradient of `fun` at x, where its value is `loss`.

    The absolute step is `step`, or else h = relative * sign(x_i) * max(1, |x_i|), away from zero,
    where `relative` is by default sqrt(eps), for "3-point" its cube root. "cs" is the complex step:
    Im f(x + i h) / h. No point is outside the box: the step turns round at a bound, or is shortened
    to the wider side, and "3-point" becomes one-sided. A number that can't move counts as 0.
    """
    epsilon = np.finfo(np.float64).eps
    default = epsilon ** (1 / 3) if method == "3-point" else epsilon**0.5
    gradient = np.zeros_like(x)
    for i in range(x.size):
        below, above = (box.lower[i], box.upper[i]) if box else (-np.inf, np.inf)
        if below == above:
            continue
        sign = 1.0 if x[i] >= 0 else -1.0
        factor = default if relative is None else float(np.broadcast_to(relative, x.shape)[i])
        h = step or factor * sign * max(1.0, abs(float(x[i])))
        if method == "cs":
            moved = x.astype(np.complex128)
            moved[i] += 1j * h
            gradient[i] = np.asarray(fun(moved)).item().imag / h
        elif method == "2-point":
            end = _moved(x, i, _within(h, above - x[i], x[i] - below), box)
            gradient[i] = (scalar(fun(end)) - loss) / (end[i] - x[i])
        elif abs(h) <= min(above - x[i], x[i] - below):
            high, low = _moved(x, i, abs(h), box), _moved(x, i, -abs(h), box)
            gradient[i] = (scalar(fun(high)) - scalar(fun(low))) / (high[i] - low[i])
        else:
            # Both points on one side: a parabola through the three.
            h = _within(2 * abs(h), above - x[i], x[i] - below) / 2
            middle, end = _moved(x, i, h, box), _moved(x, i, 2 * h, box)
            rise = 4 * scalar(fun(middle)) - 3 * loss - scalar(fun(end))
            gradient[i] = rise / (end[i] - x[i])
    return gradient


def _within(h: float, above: float, below: float) -> float:
    """A step with at most the length of h that stays within what is left on either side."""
    if h <= above if h > 0 else -h <= below:
        return h
    if -h <= above if h < 0 else h <= below:
        return -h
    return above if above >= below else -below


def _moved(x: Floats, i: int, h: float, box: Box | None) -> Floats:
    moved: Floats = x.copy()
    moved[i] += h
    # Adding what is left to a bound may round beyond it.
    return moved if box is None else box.clip(moved)


def scalar(loss: Any) -> float:
    return float(np.asarray(loss).item())
