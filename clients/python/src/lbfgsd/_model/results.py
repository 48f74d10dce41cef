"""How a step ended."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LineSearchFailure:
    """The numbers of a line search that found no lower point: the bounds of the last interval of
    step lengths, the directional derivative at its start (`slope`), the lowest loss of its trials
    minus the loss at the start (None when no trial was finite), the change of the loss that counted
    as noise, the infinity norm of the search direction, and the number of trial points."""

    step_length_lower: float
    step_length_upper: float
    slope: float
    loss_change: float | None
    loss_noise: float
    direction_norm_inf: float
    trials: int

    def __str__(self) -> str:
        trials = "1 trial" if self.trials == 1 else f"{self.trials} trials"
        change = "no finite loss"
        if self.loss_change is not None:
            change = f"a change of the loss by {self.loss_change:.2g} at best"
        return (
            f"{trials}, step lengths {self.step_length_lower:.2g} to {self.step_length_upper:.2g} "
            f"left, {change} (noise {self.loss_noise:.2g}), slope {self.slope:.2g}, "
            f"max|direction| {self.direction_norm_inf:.2g}"
        )


@dataclass(frozen=True)
class StepResult:
    """How and why a step ended. `failure` is set if the reason is "line_search_failed". With bounds
    or an L1 term `projected_gradient_norm_inf` is the largest component of the projected gradient,
    on which tolerance_grad is, and `active_bounds` counts the parameters at a bound; both are None
    without."""

    reason: str
    converged: bool
    loss_before: float | None
    loss: float | None
    iterations: int
    evaluations: int
    gradient_norm_inf: float | None
    failure: LineSearchFailure | None = None
    projected_gradient_norm_inf: float | None = None
    active_bounds: int | None = None
