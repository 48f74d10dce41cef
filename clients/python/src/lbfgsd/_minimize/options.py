"""The options of a run: SciPy's names, and the service's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .differences import MapLike, Steps

# The defaults of SciPy's L-BFGS-B.
ITERATIONS, EVALUATIONS, GTOL, FTOL = 15_000, 15_000, 1e-5, 2.2e-9
HISTORY = 10
"""The curvature pairs, as in SciPy. The service's own default, 100, needs fewer evaluations, and
costs ten times the memory and the time of each."""
# The defaults of mode torch: evaluations of a line search, iterations of a step.
TORCH_SEARCH, TORCH_ITERATIONS = 25, 20
MODE = "robust"
FORWARDED = (
    "noise",
    "tolerance_grad_relative",
    "tolerance_loss_relative",
    "reuse_evaluation",
    "history_dtype",
)
"""The options that are passed on as they are, if they are given."""
IGNORED = ("iprint",)
ROBUST_SEARCH = 30
"""The evaluations of a line search of mode robust, at most."""


@dataclass
class RunOptions:
    """The options of a run, with defaults for those that are not given."""

    mode: str = MODE
    iterations: int = ITERATIONS
    evaluations: int = EVALUATIONS
    gtol: float = GTOL
    ftol: float = FTOL
    step_iterations: int = ITERATIONS
    step_evaluations: int = EVALUATIONS
    differences: Steps = field(default_factory=Steps)
    """The steps of finite differences."""
    workers: int | MapLike | None = None
    """Who evaluates them."""
    disp: bool = False
    service: dict[str, Any] = field(default_factory=dict)
    """The options of the session, except the budgets of a step."""

    @property
    def robust(self) -> bool:
        return self.mode == "robust"

    @classmethod
    def of(
        cls,
        options: Mapping[str, Any],
        tol: float | None,
        mode: str = MODE,
    ) -> RunOptions:
        """Reads `options` in either kind of names; `mode` is the default of that option."""
        given = {key: value for key, value in options.items() if key not in IGNORED}
        tol = given.pop("tol", tol)
        run = cls(mode=str(_take(given, "mode", default=mode)))
        if tol is not None:
            run.gtol = run.ftol = float(tol)
        # As in SciPy, 0 is reached after one.
        run.iterations = int(_take(given, "maxiter", default=run.iterations)) or 1
        run.evaluations = int(_take(given, "maxfun", "maxfev", default=run.evaluations)) or 1
        run.gtol = float(_take(given, "gtol", "tolerance_grad", default=run.gtol))
        run.differences = Steps(given.pop("eps", None), given.pop("finite_diff_rel_step", None))
        run.workers = given.pop("workers", None)
        run.disp = bool(given.pop("disp", False))
        steps = run.iterations if run.robust else TORCH_ITERATIONS
        steps = int(_take(given, "max_iter", default=steps))
        searches = given.pop("maxls", None)
        if searches is not None and not searches > 0:
            raise ValueError("maxls must be positive.")
        # A step of one iteration has one line search, whose evaluations max_eval then bounds.
        bounds_search = run.robust and searches is not None and searches < ROBUST_SEARCH
        steps = 1 if bounds_search else steps
        run.step_iterations, run.step_evaluations = steps, run.evaluations
        run.service = {
            "mode": run.mode,
            "lr": given.pop("lr", 1.0),
            "history_size": int(_take(given, "maxcor", "history_size", default=HISTORY)),
            "tolerance_grad": run.gtol,
        }
        if run.robust:
            if bounds_search:
                run.step_evaluations = 1 + int(searches)
            loss_names = ("ftol", "tolerance_loss_relative")
            run.ftol = float(_take(given, *loss_names, default=run.ftol))
            run.service["tolerance_loss_relative"] = run.ftol
            run.service["tolerance_change"] = float(_take(given, "tolerance_change", default=0.0))
            run.service["line_search_fn"] = given.pop("line_search_fn", None)
        else:
            run.ftol = float(_take(given, "ftol", "tolerance_change", default=run.ftol))
            run.service["tolerance_change"] = run.ftol
            run.service["line_search_fn"] = given.pop("line_search_fn", "strong_wolfe")
            run.step_evaluations = 1 + int(TORCH_SEARCH if searches is None else searches) * steps
        run.step_evaluations = int(_take(given, "max_eval", default=run.step_evaluations))
        run.service.update({key: given.pop(key) for key in FORWARDED if key in given})
        if given:
            raise TypeError(f"unknown options: {', '.join(sorted(given))}")
        if min(run.iterations, run.evaluations, steps, run.step_evaluations) < 1:
            raise ValueError("maxiter, maxfun, max_iter and max_eval must be at least 1")
        return run

    def step_options(self, iterations_left: int, evaluations_left: int) -> dict[str, Any]:
        return {
            **self.service,
            "max_iter": max(1, min(self.step_iterations, iterations_left)),
            "max_eval": max(1, min(self.step_evaluations, evaluations_left)),
        }


def _take(options: dict[str, Any], *names: str, default: Any) -> Any:
    """Removes an option that has several names, and returns its value."""
    value, count = None, 0
    for name in names:
        if name in options:
            value, count = options.pop(name), count + 1
    if count > 1:
        raise TypeError(f"{' and '.join(names)} are the same option")
    return default if value is None else value
