"""torch.optim.LBFGS on a function of a flat point, with every evaluation recorded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from daemon import Function


@dataclass
class Run:
    """The record of one optimizer: the points it evaluated, and the result of each step."""

    points: list[NDArray[Any]] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    x: NDArray[Any] | None = None
    state: dict[str, Any] | None = None


class Reference:
    def __init__(
        self, fun: Function, start: list[float], dtype: str, options: dict[str, Any]
    ) -> None:
        self.fun, self.options = fun, options
        self.x = torch.tensor(start, dtype=getattr(torch, dtype), requires_grad=True)
        self.optimizer = torch.optim.LBFGS([self.x], **options)
        self.run = Run()

    def step(self) -> None:
        state = self.optimizer.state[self.x]
        iterations, evaluations = state.get("n_iter", 0), state.get("func_evals", 0)
        before = float(self.optimizer.step(self._closure))
        loss = float(self._closure())  # at the point where it ended, rounded as torch rounds it
        self.run.points.pop()
        gradient = self.x.grad.numpy()
        iterations = state.get("n_iter", 0) - iterations
        evaluations = state["func_evals"] - evaluations
        self.run.steps.append(
            {
                "loss_before": before,
                "loss": loss,
                "iterations": iterations,
                "evaluations": evaluations,
                "reason": self._reason(state, iterations, evaluations, loss, gradient),
            }
        )
        self.run.x = self.x.detach().numpy().copy()
        self.run.state = self.optimizer.state_dict()

    def _closure(self) -> Any:
        x = self.x.detach().numpy()
        self.run.points.append(x.copy())
        loss, gradient = self.fun(x.astype(float))
        self.x.grad = torch.tensor(np.asarray(gradient), dtype=self.x.dtype)
        # The loss has the model's dtype, so that torch compares rounded losses.
        return torch.tensor(loss, dtype=self.x.dtype)

    def _reason(
        self, state: Any, iterations: Any, evaluations: Any, loss: Any, gradient: Any
    ) -> str:
        """Infers why a step ended, which torch does not say, from its state: torch's conditions in
        torch's order."""
        group = self.optimizer.param_groups[0]
        if iterations == 0:
            return "gradient_tolerance"
        d, t, slope = state["d"], state["t"], state["prev_flat_grad"].dot(state["d"])
        if slope > -group["tolerance_change"]:
            return "not_a_descent_direction"
        if iterations == group["max_iter"]:
            return "max_iterations"
        if evaluations >= group["max_eval"]:
            return "max_evaluations"
        if abs(gradient).max() <= group["tolerance_grad"]:
            return "gradient_tolerance"
        if float(d.mul(t).abs().max()) <= group["tolerance_change"]:
            return "step_tolerance"
        if abs(loss - float(state["prev_loss"])) < group["tolerance_change"]:
            return "loss_tolerance"
        raise AssertionError("torch stopped for no reason that it knows")


def dot(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """The dot product as torch adds it."""
    return float(torch.dot(torch.tensor(a), torch.tensor(b)))
