"""Gradients by finite differences, with SciPy's names and step lengths."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._model import Floats

METHODS = ("2-point", "3-point", "cs")


def calls_per_gradient(method: str, n: int) -> int:
    """The function calls that a gradient of n numbers takes, besides the one at the point."""
    return 2 * n if method == "3-point" else n


def estimate_gradient(
    fun: Callable[[Any], Any], x: Floats, loss: float, method: str, step: float | None
) -> Floats:
    """Estimates the gradient of `fun` at x, where its value is `loss`.

    The absolute step is `step`, or by default sqrt(eps), for "3-point" its cube root, times
    max(1, |x_i|), away from zero. "cs" is the complex step: Im f(x + i h) / h.
    """
    epsilon = np.finfo(np.float64).eps
    relative = epsilon ** (1 / 3) if method == "3-point" else epsilon**0.5
    gradient = np.empty_like(x)
    for i in range(x.size):
        sign = 1.0 if x[i] >= 0 else -1.0
        h = step or relative * sign * max(1.0, abs(float(x[i])))
        if method == "cs":
            moved = x.astype(np.complex128)
            moved[i] += 1j * h
            gradient[i] = np.asarray(fun(moved)).item().imag / h
            continue
        above = x.copy()
        above[i] += h
        if method == "3-point":
            below = x.copy()
            below[i] -= h
            gradient[i] = (scalar(fun(above)) - scalar(fun(below))) / (above[i] - below[i])
        else:
            gradient[i] = (scalar(fun(above)) - loss) / (above[i] - x[i])
    return gradient


def scalar(loss: Any) -> float:
    return float(np.asarray(loss).item())
