"""Which numbers of a gradient are the worst: a search by halves.

The difference along a direction that has some numbers only shows how wrong the gradient is in
these. The half that is more wrong is looked into first, so that one wrong number among n takes some
2 log2(n) differences, and not n.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from .._model import Floats
from .probe import Probe
from .result import CoordinateCheck

SAFETY = 10.0
"""A difference is wrong by this many times its precision, or not at all."""


@dataclass(frozen=True, order=True)
class Block:
    """Numbers from `first` up to `end`, and the negative of how wrong they are together."""

    rank: float
    first: int
    end: int


def worst_coordinates(
    probe: Probe, direction: Floats, count: int, power: int
) -> tuple[CoordinateCheck, ...]:
    """The worst numbers, at most `count`, of those that are wrong beyond the precision."""
    powers = (power + 1, power, power - 1)
    queue = [Block(-np.inf, 0, direction.size)]
    found: list[CoordinateCheck] = []
    while queue and len(found) < count:
        block = heapq.heappop(queue)
        if block.end - block.first == 1:
            found.append(_coordinate(probe, direction, block.first, powers))
            continue
        middle = (block.first + block.end) // 2
        for first, end in ((block.first, middle), (middle, block.end)):
            part = np.zeros_like(direction)
            part[first:end] = direction[first:end]
            if not part.any():
                continue
            difference = probe.difference(part, powers)
            if abs(difference.residual) > SAFETY * difference.precision:
                heapq.heappush(queue, Block(-abs(difference.residual), first, end))
    return tuple(sorted(found, key=lambda one: -abs(one.gradient - one.difference)))


def _coordinate(
    probe: Probe, direction: Floats, index: int, powers: tuple[int, ...]
) -> CoordinateCheck:
    part = np.zeros_like(direction)
    part[index] = direction[index]
    found, length = probe.difference(part, powers), float(direction[index])
    gradient = float(probe.gradient[index])
    return CoordinateCheck(
        index, gradient, gradient + found.residual / length, found.precision / abs(length)
    )
