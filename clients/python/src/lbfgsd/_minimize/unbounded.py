"""When a run may say that its loss is unbounded below."""

from __future__ import annotations

import math

import numpy as np

from .._model import Floats

GROWTH = 1e18
"""Line searches multiply a step that is too short by 5 or 10, up to 30 times. A minimum that is so
many times farther away than the first trial would have no correct digit in what is left of it."""
LOSS = -1e300
"""A loss below this is near the end of the numbers, and no minimum of a problem."""


class UnboundedTest:
    """Watches evaluations: points that move away from one of them, each at least twice as far as
    the one before and with a lower loss, until they are `GROWTH` times as far as the first; or a
    finite loss below `LOSS`."""

    def __init__(self) -> None:
        self._origin: Floats | None = None
        self._away: Floats
        self._loss = np.inf
        self._first = self._distance = 0.0

    def is_met(self, x: Floats, loss: float) -> bool:
        """Takes note of an evaluation."""
        if self._origin is None or not loss < self._loss:
            return self._restart(x, loss)
        # Any norm does: points that move away without end do so along one line.
        away = np.subtract(x, self._origin, self._away)
        distance = math.sqrt(away @ away)
        if distance < 2 * self._distance:
            return self._restart(x, loss)
        self._loss, self._distance = loss, distance
        self._first = self._first or distance
        return self._is_low(loss) or distance >= GROWTH * self._first > 0

    def _restart(self, x: Floats, loss: float) -> bool:
        if self._origin is None:
            self._origin, self._away = np.empty(x.shape), np.empty(x.shape)
        self._origin[:] = x
        self._loss = loss
        self._first = self._distance = 0.0
        return self._is_low(loss)

    @staticmethod
    def _is_low(loss: float) -> bool:
        return bool(-np.inf < loss < LOSS)
