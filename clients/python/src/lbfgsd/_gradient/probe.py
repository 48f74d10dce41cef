"""Differences of the loss along a direction, with the step that they are best with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .._model import Floats
from .noise import Sample

RATIO = 4.0
"""Of one step of the sweep to the next."""
SWEEP = (3, 2, 1, 0, -1, -2, -3, -4)
"""Powers of the ratio, times the usual step of central differences, the cube root of the noise."""
WIDEST = SWEEP[0]
ROUNDINGS = 4
"""How many roundings of x its function may come to."""


@dataclass(frozen=True)
class Difference:
    """By how much a central difference differs from the gradient's slope, and how precise it is,
    both for a direction of length 1 in steps."""

    power: int
    step: float
    slope: float
    residual: float
    precision: float

    @property
    def is_known(self) -> bool:
        return bool(np.isfinite(self.residual))


class Probe:
    """The loss around a point, where the gradient is said to be `gradient`."""

    def __init__(
        self, loss: Callable[[Floats], float], x: Floats, value: float, gradient: Floats
    ) -> None:
        self._loss, self.x, self.value, self.gradient = loss, x, value, gradient
        self.evaluations = 1
        self.epsilon = float(np.finfo(x.dtype).eps)
        self.noise = float(np.finfo(np.float64).eps) * abs(value)
        self.usual_step = self.epsilon ** (1 / 3)

    def set_noise(self, noise: float) -> None:
        """Takes the standard deviation of the loss, if it is more than the rounding of a number."""
        self.noise = max(self.noise, noise)
        relative = self.noise / abs(self.value) if self.value else 0.0
        self.usual_step = max(self.epsilon, min(relative, 1e-3)) ** (1 / 3)

    def at(self, by: Floats) -> tuple[float, float]:
        """The loss at x + by, rounded to the type of x, and the gradient's slope times the way."""
        point = (self.x + by).astype(self.x.dtype)
        moved = point.astype(np.float64) - self.x.astype(np.float64)
        self.evaluations += 1
        return self._loss(point), float(self.gradient @ moved)

    def sample(self, direction: Floats, lengths: Floats) -> Sample:
        """The loss along a direction. The rounding of points to Float32 would look like noise, if
        what the gradient says of it didn't count."""
        pairs = [self.at(length * direction) for length in lengths]
        losses, slopes = (np.array(numbers) for numbers in zip(*pairs, strict=True))
        is_single = self.x.dtype == np.float32
        return Sample(losses, losses - slopes if is_single else losses)

    def difference(self, direction: Floats, powers: Sequence[int]) -> Difference:
        """The best of the central differences with these steps: where the noise and the
        disagreement with its neighbours are least.

        The error of a central difference falls with the square of the step, that by noise grows
        with its reciprocal. The change from one step to the next shows the sum of both.
        """
        ways = [self._central(direction, power) for power in powers]
        best: Difference | None = None
        for i, way in enumerate(ways):
            near = [abs(way.residual - other.residual) for other in ways[i + 1 : i + 2]]
            near += [abs(way.residual - other.residual) / RATIO**2 for other in ways[:i][-1:]]
            near = [value for value in near if np.isfinite(value)]
            if not way.is_known or not near:
                continue
            precision = way.precision + max(near)
            if best is None or precision < best.precision:
                best = Difference(way.power, way.step, way.slope, way.residual, precision)
        if best is None:
            raise ValueError("the loss is not finite around the point: check it at another one")
        return best

    def _central(self, direction: Floats, power: int) -> Difference:
        step = self.usual_step * RATIO**power
        above, ahead = self.at(step * direction)
        below, behind = self.at(-step * direction)
        residual = ((above - ahead) - (below - behind)) / (2 * step)
        slope = (ahead - behind) / (2 * step)
        # The gradient at a rounded x is that of a point nearby: at a minimum nothing but this is
        # left of it.
        curvature = abs(above - ahead + below - behind - 2 * self.value) / step**2
        precision = self.noise / step + ROUNDINGS * self.epsilon * curvature
        return Difference(power, step, slope, residual, precision)
