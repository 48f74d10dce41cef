"""What a rank does with its slices."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np

from .._model import Floats
from .coordinator import REPORT_FIXED, Command

BLOCK = 16384
"""Numbers that are multiplied and summed at a time; the sums of blocks are added in order."""


class Vectors(Protocol):
    """Operations on slices, wherever they live. Sums are taken in Float64 in a fixed order; the
    results of the same slices have the same bits."""

    def copy(self, vector: Any) -> Any:
        """A copy."""

    def difference(self, one: Any, other: Any) -> Any:
        """one - other."""

    def combination(self, vectors: list[Any], coefficients: list[float]) -> Any:
        """sum_i coefficients[i] vectors[i], added in Float64 in this order, rounded once."""

    def dots(self, rows: list[Any], columns: list[Any]) -> Floats:
        """The dot products of each row with each column, over the part of the slice that counts."""

    def norms(self, vector: Any) -> tuple[float, float]:
        """The maximum norm and the sum of absolute values, over the part that counts."""


class NumPyVectors:
    """Slices that are NumPy arrays of one dimension."""

    def copy(self, vector: Any) -> Any:
        return vector.copy()

    def difference(self, one: Any, other: Any) -> Any:
        return one - other

    def combination(self, vectors: list[Any], coefficients: list[float]) -> Any:
        result = np.empty_like(vectors[0])
        for start in range(0, result.size, BLOCK):
            part = slice(start, start + BLOCK)
            total = coefficients[0] * vectors[0][part].astype(np.float64)
            for vector, coefficient in zip(vectors[1:], coefficients[1:], strict=True):
                total += coefficient * vector[part].astype(np.float64, copy=False)
            result[part] = total
        return result

    def dots(self, rows: list[Any], columns: list[Any]) -> Floats:
        total = np.zeros((len(rows), len(columns)))
        size = rows[0].size if rows else 0
        for start in range(0, size, BLOCK):
            part = slice(start, start + BLOCK)
            wide = [column[part].astype(np.float64, copy=False) for column in columns]
            for row, sums in zip(rows, total, strict=True):
                numbers = row[part].astype(np.float64, copy=False)
                for index, column in enumerate(wide):
                    # Not BLAS, whose order of additions depends on the machine.
                    sums[index] += np.add.reduce(numbers * column)
        return total

    def norms(self, vector: Any) -> tuple[float, float]:
        largest, total = 0.0, 0.0
        for start in range(0, vector.size, BLOCK):
            absolute = np.abs(vector[start : start + BLOCK].astype(np.float64, copy=False))
            part = float(absolute.max())
            # NaN is passed on.
            largest = part if math.isnan(part) else max(largest, part)
            total += float(np.add.reduce(absolute))
        return largest, total


class Worker:
    """The slices of one rank.

    Memory: 2 m + 5 slices for m pairs, one more for each trial of the line search that may still be
    accepted (three at most), and one for a point that a step may return to.
    """

    def __init__(self, x: Any, vectors: Vectors) -> None:
        self.vectors = vectors
        self.x = x
        self.number = 0
        """The number of the last command that was executed."""
        self.step_length = 0.0
        self.direction: Any = None
        self.gradient: Any = None
        self.start_gradient: Any = None
        self.steps: list[Any] = []
        self.changes: list[Any] = []
        self.trials: dict[float, Any] = {}
        self.saved: Any = None

    def point(self, step_length: float) -> Any:
        """x + t d; x itself for 0."""
        if step_length == 0:
            return self.x
        return self.vectors.combination([self.x, self.direction], [1.0, step_length])

    def execute(self, command: Command) -> None:
        """Changes the slices as the command says.

        Raises `ValueError` if the command is not the next one.
        """
        if command.number != self.number + 1:
            raise ValueError(
                f"the next command is number {self.number + 1}, not {command.number}: "
                "this rank has missed some, or belongs to another run"
            )
        vectors = self.vectors
        if command.save is not None:
            self.saved = vectors.copy(self.point(command.save))
        if command.accept is not None:
            if command.accept != 0:
                self.x = self.point(command.accept)
                self.step_length = command.accept
            self.gradient = self.trials.get(command.accept, self.gradient)
            self.trials = {}
        if command.restore:
            self.x, self.saved = self.saved, None
        if command.clear:
            self.steps, self.changes = [], []
        if command.push:
            self.steps.append(vectors.combination([self.direction], [self.step_length]))
            self.changes.append(vectors.difference(self.gradient, self.start_gradient))
        if command.drop:
            del self.steps[0], self.changes[0]
        if command.gradient_coefficient is not None:
            terms, coefficients = [self.gradient], [command.gradient_coefficient]
            for index, (step, change) in enumerate(zip(self.steps, self.changes, strict=True)):
                terms += [step, change]
                coefficients += [
                    float(command.step_coefficients[index]),
                    float(command.change_coefficients[index]),
                ]
            self.direction = vectors.combination(terms, coefficients)
            self.start_gradient = self.gradient
        if command.move is not None:
            self.x = self.point(command.move)
            self.step_length = command.move
        self.trials = {t: g for t, g in self.trials.items() if t in command.retain}
        self.number = command.number

    def report(self, gradient: Any, step_length: float) -> Floats:
        """Keeps the gradient at a trial, and returns the numbers that the coordinator needs of it:
        10 + 4 m in Float64."""
        self.trials[step_length] = gradient
        columns = [gradient]
        fixed: Floats = np.zeros(REPORT_FIXED)
        fixed[7], fixed[8] = self.vectors.norms(gradient)
        rows = [*self.steps, *self.changes]
        if self.direction is None:
            fixed[6] = self.vectors.dots([gradient], [gradient])[0, 0]
            return fixed
        change = self.vectors.difference(gradient, self.start_gradient)
        columns.append(change)
        found = self.vectors.dots([*rows, gradient, change, self.direction], columns)
        pairs = len(self.steps)
        # g.g, v.g and v.v; d.g and d.v.
        fixed[6], fixed[5], fixed[4] = found[-3, 0], found[-2, 0], found[-2, 1]
        fixed[0], fixed[2] = found[-1, 0], found[-1, 1]
        along = self.vectors.dots([self.start_gradient, self.direction], [self.direction])
        fixed[1], fixed[3] = along[0, 0], along[1, 0]
        fixed[9] = self.vectors.norms(self.direction)[0]
        # s.g of all pairs, then y.g, s.v, y.v.
        by_pair = found[: 2 * pairs].T.reshape(-1)
        numbers: Floats = np.concatenate([fixed, by_pair])
        return numbers


def added(reports: list[Floats]) -> Floats:
    """The sum of the ranks' reports, in the order of the ranks."""
    total: Floats = reports[0].copy()
    for report in reports[1:]:
        largest = [max(total[index], report[index]) for index in (7, 9)]
        total += report
        total[7], total[9] = largest
    return total
