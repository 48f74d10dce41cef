"""Functions to minimise. Each maps a flat point to its loss and gradient, and gives the same bits
for the same point."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Vector = NDArray[np.float64]


def rosenbrock(x: ArrayLike) -> tuple[float, Vector]:
    """Chained Rosenbrock function; its minimum is 0 at (1, ..., 1)."""
    x = np.asarray(x, dtype=float)
    rises, rests = x[1:] - x[:-1] ** 2, 1 - x[:-1]
    gradient = np.zeros_like(x)
    gradient[:-1] = -400 * x[:-1] * rises - 2 * rests
    gradient[1:] += 200 * rises
    return float((100 * rises**2 + rests**2).sum()), gradient


def rosenbrock_start(n: int) -> list[float]:
    return [-1.2 if i % 2 == 0 else 1.0 for i in range(n)]


class Quadratic:
    """1/2 sum c_i (x_i - 1)^2 with curvatures c_i spread geometrically from 1 to `condition`."""

    def __init__(self, n: int, condition: float = 100) -> None:
        self.curvatures = np.geomspace(1, condition, n)
        self.start = [0.0] * n

    def __call__(self, x: ArrayLike) -> tuple[float, Vector]:
        gradient = self.curvatures * (np.asarray(x, dtype=float) - 1)
        return float(0.5 * (gradient**2 / self.curvatures).sum()), gradient


class Logistic:
    """L2-regularised logistic regression on random data."""

    def __init__(self, n: int = 10, rows: int = 60, penalty: float = 1e-2, seed: int = 3) -> None:
        generator = np.random.default_rng(seed)
        self.rows = generator.normal(size=(rows, n))
        truth = generator.normal(size=n)
        self.signs = np.where(self.rows @ truth + generator.normal(size=rows) > 0, 1.0, -1.0)
        self.penalty = penalty
        self.start = [0.0] * n

    def __call__(self, x: ArrayLike) -> tuple[float, Vector]:
        x = np.asarray(x, dtype=float)
        margins = self.signs * (self.rows @ x)
        loss = np.logaddexp(0, -margins).mean() + self.penalty / 2 * (x @ x)
        weights = -self.signs / (1 + np.exp(margins)) / len(margins)
        return float(loss), self.rows.T @ weights + self.penalty * x


class Perceptron:
    """A small network (2 inputs, 6 tanh units, 1 output) with squared loss on random data."""

    HIDDEN = 6
    SHAPES: ClassVar = {
        "hidden.weight": (HIDDEN, 2),
        "hidden.bias": (HIDDEN,),
        "output.weight": (1, HIDDEN),
        "output.bias": (1,),
    }

    def __init__(self, rows: int = 40, seed: int = 5) -> None:
        generator = np.random.default_rng(seed)
        self.inputs = generator.uniform(-1, 1, size=(rows, 2))
        self.targets = np.sin(3 * self.inputs[:, :1]) * self.inputs[:, 1:]
        self.start = generator.normal(
            scale=0.5, size=sum(math.prod(shape) for shape in self.SHAPES.values())
        ).tolist()

    def __call__(self, x: ArrayLike) -> tuple[float, Vector]:
        h = self.HIDDEN
        x = np.asarray(x, dtype=float)
        weights, bias = x[: 2 * h].reshape(h, 2), x[2 * h : 3 * h]
        out_weights, out_bias = x[3 * h : 4 * h].reshape(1, h), x[4 * h :]
        hidden = np.tanh(self.inputs @ weights.T + bias)
        errors = hidden @ out_weights.T + out_bias - self.targets
        rows = len(errors)
        d_out = 2 * errors / rows
        d_hidden = d_out @ out_weights * (1 - hidden**2)
        parts = (d_hidden.T @ self.inputs, d_hidden.sum(0), d_out.T @ hidden, d_out.sum(0))
        return float((errors**2).mean()), np.concatenate([part.ravel() for part in parts])


def barrier(x: Sequence[float]) -> tuple[float, list[float]]:
    """x - 0.01 log x: NaN at and left of 0, minimum at 0.01."""
    (value,) = x
    if value <= 0:
        return math.nan, [math.nan]
    return value - 0.01 * math.log(value), [1 - 0.01 / value]
