"""torch.optim.LBFGS on a function of a flat point, with every evaluation recorded."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch


@dataclass
class Run:
    """What one optimizer did: the points it evaluated, and each step's outcome."""

    points: list[np.ndarray] = field(default_factory=list)
    steps: list[dict] = field(default_factory=list)
    x: np.ndarray | None = None
    state: dict | None = None


class Reference:
    def __init__(self, fun, start, dtype: str, options: dict):
        self.fun, self.options = fun, options
        self.x = torch.tensor(start, dtype=getattr(torch, dtype), requires_grad=True)
        self.optimizer = torch.optim.LBFGS([self.x], **options)
        self.run = Run()

    def step(self) -> None:
        state = self.optimizer.state[self.x]
        iterations, evaluations = state.get("n_iter", 0), state.get("func_evals", 0)
        before = float(self.optimizer.step(self._closure))
        loss = float(self._closure())  # at the point where it ended, rounded as torch sees it
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

    def _closure(self):
        x = self.x.detach().numpy()
        self.run.points.append(x.copy())
        loss, gradient = self.fun(x.astype(float))
        self.x.grad = torch.tensor(np.asarray(gradient), dtype=self.x.dtype)
        # The dtype of the loss is that of the model: what torch compares is rounded to it.
        return torch.tensor(loss, dtype=self.x.dtype)

    def _reason(self, state, iterations, evaluations, loss, gradient) -> str:
        """torch doesn't tell why a step ended; its conditions in its order, on what it left."""
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
