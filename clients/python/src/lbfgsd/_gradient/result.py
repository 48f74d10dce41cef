"""What a check of a gradient found."""

from __future__ import annotations

from dataclasses import dataclass

from .._model import Floats

RIGHT, WRONG, UNCLEAR = "right", "wrong", "unclear"


@dataclass(frozen=True)
class DirectionCheck:
    """The derivative of the loss along one direction d: what the gradient says, g'd, and what
    differences say. The difference has the relative error `precision`, as far as it is known.
    Errors are relative to the norm of the derivatives, or to the difference if that is larger."""

    slope: float
    difference: float
    step: float
    relative_error: float
    precision: float


@dataclass(frozen=True)
class CoordinateCheck:
    """One number of the gradient, and what differences say instead of it."""

    index: int
    gradient: float
    difference: float
    precision: float
    """The error of the difference, absolute."""


@dataclass(frozen=True)
class GradientCheck:
    """The comparison of a gradient with differences of the loss.

    `verdict` is "right", "wrong", or "unclear" where the differences themselves are too imprecise
    to say it: near a minimum, or with a noisy loss. `noise` is the estimated standard deviation of
    the loss, relative to its size, as the option `noise` of `minimize` is."""

    verdict: str
    directions: tuple[DirectionCheck, ...]
    noise: float
    tolerance: float
    """The relative error from which the gradient counts as wrong."""
    loss: float
    evaluations: int
    x: Floats
    """The point, which is x0 unless that is too close to its bounds."""
    coordinates: tuple[CoordinateCheck, ...] = ()
    """The worst numbers of the gradient, if they were asked for, the worst first."""

    @property
    def ok(self) -> bool:
        return self.verdict == RIGHT

    @property
    def relative_error(self) -> float:
        """The largest of the directions."""
        return max(check.relative_error for check in self.directions)

    def __str__(self) -> str:
        first = (
            f"The gradient is {self.verdict}: relative error {self.relative_error:.2g} "
            f"(wrong from {self.tolerance:.2g} on), noise of the loss {self.noise:.2g}, "
            f"{self.evaluations} evaluations."
        )
        lines = [first, "direction         g'd  difference       step      error  precision"]
        for number, check in enumerate(self.directions, 1):
            lines.append(
                f"{number:9} {check.slope:11.4g} {check.difference:11.4g} {check.step:10.2g} "
                f"{check.relative_error:10.2g} {check.precision:10.2g}"
            )
        if self.coordinates:
            lines.append("    index    gradient  difference  precision")
        for worst in self.coordinates:
            lines.append(
                f"{worst.index:9} {worst.gradient:11.4g} {worst.difference:11.4g} "
                f"{worst.precision:10.2g}"
            )
        if self.verdict == UNCLEAR:
            lines.append(
                "The differences are too imprecise here: check at a point farther from the minimum,"
                " or where the loss has less noise."
            )
        return "\n".join(lines)
