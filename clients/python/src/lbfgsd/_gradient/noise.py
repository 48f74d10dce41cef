"""The noise of a function, from its values at equidistant points.

Moré & Wild, Estimating Computational Noise, SIAM J. Sci. Comput. 33 (2011): the k-th differences of
a smooth function vanish with the k-th power of the distance, those of noise do not. Where the
differences of three orders give nearly the same standard deviation, that is the noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .._model import Floats

POINTS = 7
TRIES = 4
FACTOR = 100.0
"""By which the distance of the points changes from one try to the next."""


@dataclass(frozen=True)
class Sample:
    """Values at equidistant points: as they are, and without what is known to be smooth."""

    losses: Floats
    values: Floats

    @property
    def is_finite(self) -> bool:
        return bool(np.isfinite(self.losses).all())

    @property
    def is_flat(self) -> bool:
        """Whether the points are too close: half of the values are equal."""
        return bool(np.count_nonzero(np.diff(self.losses) == 0) >= self.losses.size / 2)

    @property
    def rounding(self) -> float:
        """What the values show of their rounding: they are all numbers of Float32, or there are
        steps between equal ones, as where a program prints few digits."""
        least, single = 0.0, self.losses.astype(np.float32)
        if (single == self.losses).all():
            least = float(np.finfo(np.float32).eps * np.abs(self.losses).max() / 4)
        steps = np.abs(np.diff(self.losses))
        if self.is_flat and steps.any():
            least = max(least, float(steps[steps > 0].min()) / 2)
        return least


def standard_deviation(values: Floats) -> tuple[float, bool]:
    """ECnoise: the noise of values at equidistant points, and whether the differences of some order
    show it. Otherwise the points are too far from each other: the function changes more."""
    differences = np.array(values, dtype=np.float64)
    low, high = float(differences.min()), float(differences.max())
    if high - low > 0.1 * max(abs(low), abs(high)):
        return 0.0, False
    levels, changes_sign, gamma = [], [], 1.0
    for order in range(1, values.size):
        differences = np.diff(differences)
        # gamma = (k!)^2 / (2k)!, so that noise has the same level in each order.
        gamma *= order / (2.0 * (2 * order - 1))
        levels.append(float(np.sqrt(gamma * np.mean(differences**2))))
        changes_sign.append(differences.min() < 0 < differences.max())
    for order in range(values.size - 3):
        three = levels[order : order + 3]
        if max(three) <= 4 * min(three) and changes_sign[order]:
            return levels[order], True
    return 0.0, False


def estimate(sample: Callable[[Floats], Sample], distance: float) -> float:
    """The noise of a function near 0; if no distance of the points shows it, the rounding of its
    values, as far as that can be seen.

    `sample` returns the function's values at multiples of a direction; `distance` is where the
    search for a distance of the points begins.
    """
    places = np.arange(POINTS) - POINTS // 2
    rounding = 0.0
    for _ in range(TRIES):
        found = sample(distance * places)
        if not found.is_finite:
            distance /= FACTOR
            continue
        rounding = max(rounding, found.rounding)
        if found.is_flat:
            distance *= FACTOR
            continue
        noise, is_shown = standard_deviation(found.values)
        if is_shown:
            return max(noise, rounding)
        distance /= FACTOR
    return rounding
