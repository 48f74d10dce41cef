"""When a run may say that its loss is unbounded below."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

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
        self._loss = math.inf
        self._first = self._distance = 0.0

    def kept(self) -> tuple[dict[str, Any], dict[str, Floats]]:
        """What it remembers, as `keep` takes it."""
        values = {"loss": self._loss, "first": self._first, "distance": self._distance}
        return values, {} if self._origin is None else {"origin": self._origin}

    def keep(self, values: Mapping[str, Any], arrays: Mapping[str, Floats]) -> None:
        if "origin" in arrays:
            self._origin = arrays["origin"].copy()
            self._away = np.empty(self._origin.shape)
        self._loss = values["loss"]
        self._first, self._distance = values["first"], values["distance"]

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
        return -math.inf < loss < LOSS or distance >= GROWTH * self._first > 0

    def _restart(self, x: Floats, loss: float) -> bool:
        if self._origin is None:
            self._origin, self._away = np.empty(x.shape), np.empty(x.shape)
        self._origin[:] = x
        self._loss = loss
        self._first = self._distance = 0.0
        return -math.inf < loss < LOSS
