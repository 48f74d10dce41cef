"""Bounds in SciPy's two forms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._model import Floats

INCOMPATIBLE = "The number of bounds is not compatible with the length of `x0`."
CROSSED = "An upper bound is less than the corresponding lower bound."


@dataclass(frozen=True)
class Box:
    """Bounds of n numbers."""

    lower: Floats
    upper: Floats

    @classmethod
    def of(cls, bounds: Any, n: int) -> Box | None:
        """Reads an object with `lb` and `ub`, such as SciPy's Bounds, or a sequence of n pairs,
        where None means no bound. None if nothing is bounded."""
        if bounds is None:
            return None
        if hasattr(bounds, "lb") and hasattr(bounds, "ub"):
            ends = [bounds.lb, bounds.ub]
        else:
            pairs: list[Sequence[Any]] = list(bounds)
            if len(pairs) != n or any(np.size(pair) != 2 for pair in pairs):
                raise ValueError(INCOMPATIBLE)
            ends = [
                [-np.inf if low is None else low for low, _ in pairs],
                [np.inf if high is None else high for _, high in pairs],
            ]
        try:
            lower, upper = (np.broadcast_to(np.asarray(e, float), n).copy() for e in ends)
        except ValueError as error:
            raise ValueError(INCOMPATIBLE) from error
        if np.isnan(lower).any() or np.isnan(upper).any():
            raise ValueError("A bound is NaN.")
        if (lower > upper).any():
            raise ValueError(CROSSED)
        if np.isneginf(lower).all() and np.isposinf(upper).all():
            return None
        return cls(lower, upper)

    @property
    def fixed(self) -> Any:
        """Which numbers can't move."""
        return self.lower == self.upper

    def clip(self, x: Floats) -> Floats:
        clipped: Floats = np.clip(x, self.lower, self.upper)
        return clipped
