"""The solvers that are compared: each drives `Counted` from x0 and returns where it ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from lbfgsd import Client

HISTORY = 10
"""Pairs, for each solver that is told how many: what SciPy has as its default."""


class BudgetSpent(Exception):
    """A solver asked for more evaluations than it may have."""


@dataclass(frozen=True)
class Setting:
    name: str
    tolerance: float
    """Solved is max|g| <= tolerance max(1, max|g| at the start)."""
    noise: str
    evaluations_max: int

    def limit(self, gradient: np.ndarray) -> float:
        return self.tolerance * max(1.0, float(np.max(np.abs(gradient))))


class Counted:
    """Loss and gradient of a problem as a setting sees them, counted."""

    def __init__(self, function: Callable[..., Any], setting: Setting):
        self._function, self.setting, self.evaluations = function, setting, 0

    def measure(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Not counted."""
        loss, gradient = self._function(x)
        if self.setting.noise == "float64":
            return loss, gradient
        with np.errstate(over="ignore"):
            return float(np.float32(loss)), gradient.astype(np.float32).astype(np.float64)

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        # One more than the limit: a solver may ask once to find that it may not.
        if self.evaluations > self.setting.evaluations_max:
            raise BudgetSpent
        self.evaluations += 1
        return self.measure(x)


Solver = Callable[[Counted, np.ndarray, float], tuple[np.ndarray, str]]
"""(function, x0, limit of max|g|) -> (x, reason)"""


def lbfgsd(client: Client, options: dict[str, Any]) -> Solver:
    """One step of a session, over HTTP."""

    def solve(function: Counted, x0: np.ndarray, limit: float) -> tuple[np.ndarray, str]:
        budget = function.setting.evaluations_max
        given = {"max_iter": budget, "max_eval": budget, "tolerance_grad": limit, **options}
        if options.get("mode") == "robust":
            # The service works the limit out itself: max(tolerance, tolerance max|g0|).
            given["tolerance_grad"] = function.setting.tolerance
            given["tolerance_grad_relative"] = function.setting.tolerance
            given["noise"] = function.setting.noise
        session = client.create_session(x0, options=given)
        x = x0
        try:
            turn = client.begin_step(session)
            while turn.evaluation is not None:
                x = turn.evaluation.x
                loss, gradient = function(x)
                turn = client.tell(session, turn.evaluation.number, loss, gradient)
            return turn.x, turn.result.reason
        finally:
            client.delete_session(session)

    return solve


def scipy_lbfgsb(function: Counted, x0: np.ndarray, limit: float) -> tuple[np.ndarray, str]:
    from scipy.optimize import minimize

    budget = function.setting.evaluations_max
    options = {"maxcor": HISTORY, "ftol": 0, "gtol": limit, "maxfun": budget, "maxiter": budget}
    result = minimize(function, x0, jac=True, method="L-BFGS-B", options=options)
    return result.x, str(result.message)


def torch_lbfgs(function: Counted, x0: np.ndarray, limit: float) -> tuple[np.ndarray, str]:
    """Strong Wolfe, one step."""
    import torch

    budget = function.setting.evaluations_max
    x = torch.tensor(x0, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [x],
        max_iter=budget,
        max_eval=budget,
        tolerance_grad=limit,
        history_size=HISTORY,
        line_search_fn="strong_wolfe",
    )

    def closure() -> torch.Tensor:
        loss, gradient = function(x.detach().numpy().copy())
        x.grad = torch.from_numpy(gradient)
        return torch.tensor(loss, dtype=torch.float64)

    optimizer.step(closure)
    return x.detach().numpy().copy(), "returned"


def solvers(client: Client) -> dict[str, Solver]:
    """By name, ours first; torch only where it can be imported."""
    torch_mode = {"mode": "torch", "line_search_fn": "strong_wolfe", "history_size": HISTORY}
    chosen: dict[str, Solver] = {
        "lbfgsd robust": lbfgsd(client, {"mode": "robust"}),
        f"lbfgsd robust, history {HISTORY}": lbfgsd(
            client, {"mode": "robust", "history_size": HISTORY}
        ),
        "SciPy L-BFGS-B": scipy_lbfgsb,
        "lbfgsd torch": lbfgsd(client, torch_mode),
    }
    try:
        import torch  # noqa: F401
    except ImportError:
        return chosen
    return {**chosen, "torch strong Wolfe": torch_lbfgs}
