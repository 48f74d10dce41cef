"""Bounds, L1 weights, and the bounds that are active."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arrays import Floats


@dataclass(frozen=True)
class SessionBounds:
    """The bounds and L1 weights of a session, each a flat vector of all its numbers in the
    session's precision; a number without a bound has an infinite one. `projected` is how many
    numbers of x the bounds moved, if they were just set."""

    lower: Floats
    upper: Floats
    l1: Floats
    projected: int | None = None
    etag: str | None = None


@dataclass(frozen=True)
class ActiveSet:
    """The parameters that are at a bound, by their indices in the flat vector x, in rising order.

    `side` is "lower", "upper" or "fixed" (the bounds are equal). `value` is the bound. `multiplier`
    is the gradient there, as in SciPy: where it is positive at a lower bound, or negative at an
    upper one, the bound keeps the loss from decreasing. It is NaN where the gradient is not
    known."""

    index: NDArray[Any]
    side: NDArray[Any]
    value: Floats
    multiplier: Floats

    def __len__(self) -> int:
        return int(self.index.size)

    def mask(self, n: int) -> NDArray[Any]:
        """A vector of n booleans, true where a bound is active."""
        found = np.zeros(n, dtype=bool)
        found[self.index] = True
        return found
