"""The solvers that are compared. Each minimizes a `Counted` function from x0 and returns the point
where it ended."""

from __future__ import annotations

import contextlib
import ctypes
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lbfgsd import Client

SCIPY = "SciPy L-BFGS-B"
HISTORY = 10
"""The curvature pairs of each solver that has such an option: SciPy's default."""

OWLQN_LINE_SEARCH = 2
"""LBFGS_LINESEARCH_BACKTRACKING, the only one that libLBFGS has for an L1 term."""

CHANGE = 1e-15
"""torch's tolerance_change besides its default, 1e-9, which ends a run before max|g| is small."""


class BudgetSpent(Exception):
    """A solver asked for more evaluations than the budget has."""


@dataclass(frozen=True)
class Setting:
    name: str
    tolerance: float
    """A problem is solved where max|g| <= tolerance max(1, max|g| at the start). With bounds it is
    the projected gradient."""
    noise: str
    evaluations_max: int
    same_minimum: float
    """The relative difference of losses up to which two solvers have found the same minimum."""


class Counted:
    """Loss and gradient of a problem in the precision of a setting. Counts evaluations."""

    def __init__(
        self,
        function: Callable[..., Any],
        setting: Setting,
        lower: NDArray[Any] | None = None,
        upper: NDArray[Any] | None = None,
    ) -> None:
        self._function, self.setting, self.evaluations = function, setting, 0
        self.lower = np.float64(-np.inf) if lower is None else lower
        self.upper = np.float64(np.inf) if upper is None else upper
        self.outside = 0
        """Evaluations outside the bounds."""

    def clip(self, x: NDArray[Any]) -> NDArray[Any]:
        return np.clip(x, self.lower, self.upper)

    def norm(self, x: NDArray[Any], gradient: NDArray[Any]) -> float:
        """The largest component of the projected gradient: min(x - l, g) where g >= 0, and
        max(x - u, g) else, as L-BFGS-B measures it. Without bounds that of the gradient."""
        below, above = x - self.lower, x - self.upper
        projected = np.where(
            gradient >= 0, np.minimum(below, gradient), np.maximum(above, gradient)
        )
        return float(np.max(np.abs(projected)))

    def measure(self, x: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        """Evaluates without counting."""
        loss, gradient = self._function(x)
        if self.setting.noise == "float64":
            return loss, gradient
        with np.errstate(over="ignore"):
            return float(np.float32(loss)), gradient.astype(np.float32).astype(np.float64)

    def __call__(self, x: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        # One more than the limit, so that a solver can notice that the budget is used up.
        if self.evaluations > self.setting.evaluations_max:
            raise BudgetSpent
        self.evaluations += 1
        self.outside += bool((x < self.lower).any() or (x > self.upper).any())
        return self.measure(x)


Solver = Callable[[Counted, np.ndarray, float], tuple[np.ndarray, str]]
"""(function, x0, limit of max|g|) -> (x, reason)"""


def lbfgsd(client: Client, options: dict[str, Any]) -> Solver:
    """Runs one step of a session, over HTTP."""

    def solve(function: Counted, x0: NDArray[Any], limit: float) -> tuple[NDArray[Any], str]:
        budget = function.setting.evaluations_max
        given = {"max_iter": budget, "max_eval": budget, "tolerance_grad": limit, **options}
        if options.get("mode") == "robust":
            # The service computes the limit itself: max(tolerance, tolerance max|g0|).
            given["tolerance_grad"] = function.setting.tolerance
            given["tolerance_grad_relative"] = function.setting.tolerance
            given["noise"] = function.setting.noise
        session = client.create_session(
            x0, options=given, lower=function.lower, upper=function.upper
        )
        x = x0
        try:
            turn = client.begin_step(session)
            while turn.evaluation is not None:
                x = turn.evaluation.x
                loss, gradient = function(x)
                turn = client.tell(session, turn.evaluation.number, loss, gradient)
            assert turn.x is not None and turn.result is not None
            return turn.x, turn.result.reason
        finally:
            client.delete_session(session)

    return solve


def scipy_lbfgsb(function: Counted, x0: NDArray[Any], limit: float) -> tuple[NDArray[Any], str]:
    from scipy.optimize import minimize

    budget = function.setting.evaluations_max
    options = {"maxcor": HISTORY, "ftol": 0, "gtol": limit, "maxfun": budget, "maxiter": budget}
    bounds = scipy_bounds(function, x0)
    result = minimize(function, x0, jac=True, method="L-BFGS-B", options=options, bounds=bounds)
    return result.x, str(result.message)


def scipy_tnc(function: Counted, x0: NDArray[Any], limit: float) -> tuple[NDArray[Any], str]:
    """Its tolerances besides that of the projected gradient are off, and its gradient is not
    rescaled."""
    from scipy.optimize import minimize

    options = {"maxfun": function.setting.evaluations_max, "gtol": limit, "ftol": 0, "xtol": 0}
    bounds = scipy_bounds(function, x0)
    result = minimize(function, x0, jac=True, method="TNC", options=options, bounds=bounds)
    return result.x, str(result.message)


def scipy_bounds(function: Counted, x0: NDArray[Any]) -> Any:
    """None where nothing is bounded, so that SciPy takes the same way as without bounds."""
    from scipy.optimize import Bounds

    lower, upper = (np.broadcast_to(b, x0.shape) for b in (function.lower, function.upper))
    return None if np.isinf(lower).all() and np.isinf(upper).all() else Bounds(lower, upper)


def torch_lbfgs(tolerance_change: float, *, backwards: bool = False) -> Solver:
    """Runs one step with strong Wolfe, on the parameters in their order or in reverse order."""
    import torch

    def solve(function: Counted, x0: NDArray[Any], limit: float) -> tuple[NDArray[Any], str]:
        budget = function.setting.evaluations_max
        order = slice(None, None, -1 if backwards else 1)
        x = torch.tensor(x0[order].copy(), dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.LBFGS(
            [x],
            max_iter=budget,
            max_eval=budget,
            tolerance_grad=limit,
            tolerance_change=tolerance_change,
            history_size=HISTORY,
            line_search_fn="strong_wolfe",
        )

        def closure() -> torch.Tensor:
            loss, gradient = function(x.detach().numpy()[order].copy())
            x.grad = torch.from_numpy(gradient[order].copy())
            return torch.tensor(loss, dtype=torch.float64)

        optimizer.step(closure)
        return x.detach().numpy()[order].copy(), "returned"

    return solve


def liblbfgs(l1: float = 0) -> Solver:
    """libLBFGS with its defaults besides the history. Its test of ||g||_2 gets the limit of
    max|g|. With a weight of an L1 term it is OWL-QN, which needs a backtracking line search."""
    library = ctypes.CDLL("liblbfgs.so.0")
    number, pointer = ctypes.c_double, ctypes.POINTER(ctypes.c_double)
    fields = {
        "m": ctypes.c_int,
        "epsilon": number,
        "past": ctypes.c_int,
        "delta": number,
        "max_iterations": ctypes.c_int,
        "linesearch": ctypes.c_int,
        "max_linesearch": ctypes.c_int,
        **dict.fromkeys(("min_step", "max_step", "ftol", "wolfe", "gtol", "xtol"), number),
        "orthantwise_c": number,
        "orthantwise_start": ctypes.c_int,
        "orthantwise_end": ctypes.c_int,
    }
    parameters_type = type("Parameters", (ctypes.Structure,), {"_fields_": list(fields.items())})
    evaluate_type = ctypes.CFUNCTYPE(
        number, ctypes.c_void_p, pointer, pointer, ctypes.c_int, number
    )
    progress_type = ctypes.CFUNCTYPE(
        ctypes.c_int,
        *(ctypes.c_void_p, pointer, pointer, number, number, number, number),
        *(ctypes.c_int, ctypes.c_int, ctypes.c_int),
    )
    library.lbfgs_malloc.restype = pointer
    library.lbfgs_free.argtypes = [pointer]

    def solve(function: Counted, x0: NDArray[Any], limit: float) -> tuple[NDArray[Any], str]:
        n, last, spent = x0.size, (0.0, np.zeros_like(x0)), False

        def evaluate(
            _: Any, x: Any, gradient: Any, size: int, step: Any
        ) -> Any:  # size may be n rounded up
            nonlocal last, spent
            try:
                last = function(np.ctypeslib.as_array(x, (n,)).copy())
            except BudgetSpent:
                spent = True
            told = np.ctypeslib.as_array(gradient, (size,))
            told[:n], told[n:] = last[1], 0
            return last[0]

        def progress(_: Any, x: Any, gradient: Any, *more: Any) -> Any:
            return int(spent or np.max(np.abs(np.ctypeslib.as_array(gradient, (n,)))) <= limit)

        parameters = parameters_type()
        library.lbfgs_parameter_init(ctypes.byref(parameters))
        parameters.m, parameters.epsilon = HISTORY, 0
        if l1 > 0:
            parameters.orthantwise_c, parameters.linesearch = l1, OWLQN_LINE_SEARCH
        memory = library.lbfgs_malloc(ctypes.c_int(n))
        try:
            np.ctypeslib.as_array(memory, (n,))[:] = x0
            status = library.lbfgs(
                ctypes.c_int(n),
                memory,
                None,
                evaluate_type(evaluate),
                progress_type(progress),
                None,
                ctypes.byref(parameters),
            )
            if spent:
                raise BudgetSpent
            return np.ctypeslib.as_array(memory, (n,)).copy(), f"status {status}"
        finally:
            library.lbfgs_free(memory)

    return solve


def nlopt_solver(algorithm: str) -> Solver:
    """One of NLopt's, which have no test of max|g|, stopped at the first point within the limit."""
    import nlopt

    def solve(function: Counted, x0: NDArray[Any], limit: float) -> tuple[NDArray[Any], str]:
        best_loss, best, spent, found = math.inf, x0, False, False
        optimizer = nlopt.opt(getattr(nlopt, algorithm), x0.size)
        optimizer.set_lower_bounds(np.broadcast_to(function.lower, x0.shape).copy())
        optimizer.set_upper_bounds(np.broadcast_to(function.upper, x0.shape).copy())

        def objective(x: NDArray[Any], gradient: NDArray[Any]) -> float:
            nonlocal best_loss, best, spent, found
            if spent or found:  # It evaluates a few more times after force_stop.
                gradient[:] = 0
                return best_loss
            try:
                loss, gradient[:] = function(x.copy())
            except BudgetSpent:
                spent = True
                optimizer.force_stop()
                gradient[:] = 0
                return best_loss
            found = function.norm(x, gradient) <= limit
            if found or loss < best_loss:
                best_loss, best = loss, x.copy()
            if found:
                optimizer.force_stop()
            return loss

        optimizer.set_min_objective(objective)
        optimizer.set_vector_storage(HISTORY)
        optimizer.set_maxeval(function.setting.evaluations_max)
        try:
            optimizer.optimize(x0)
            reason = "found" if found else f"status {optimizer.last_optimize_result()}"
        except Exception as error:  # A stop is one of its exceptions.
            reason = "found" if found else type(error).__name__
        if spent:
            raise BudgetSpent
        return best, reason

    return solve


def solvers(client: Client) -> dict[str, Solver]:
    """The solvers by name: ours first, then those of the others that are installed."""
    chosen: dict[str, Solver] = {
        "lbfgsd robust": lbfgsd(client, {"mode": "robust"}),
        f"lbfgsd robust, history {HISTORY}": lbfgsd(
            client, {"mode": "robust", "history_size": HISTORY}
        ),
        SCIPY: scipy_lbfgsb,
    }
    with contextlib.suppress(OSError):
        chosen["libLBFGS"] = liblbfgs()
    with contextlib.suppress(ImportError):
        chosen["NLopt LD_LBFGS"] = nlopt_solver("LD_LBFGS")
    with contextlib.suppress(ImportError):
        chosen[f"torch, tolerance_change {CHANGE:g}"] = torch_lbfgs(CHANGE)
    return chosen


def bounded_solvers(client: Client) -> dict[str, Solver]:
    """Those that take bounds."""
    chosen = {
        name: solver
        for name, solver in solvers(client).items()
        if name.startswith(("lbfgsd", SCIPY, "NLopt"))
    }
    chosen["SciPy TNC"] = scipy_tnc
    with contextlib.suppress(ImportError):
        for algorithm in ("LD_TNEWTON_PRECOND_RESTART", "LD_VAR2"):
            chosen[f"NLopt {algorithm}"] = nlopt_solver(algorithm)
    return chosen


OURS, THEIRS, BACKWARDS = "lbfgsd torch", "torch", "torch, parameters reversed"


def torch_solvers(client: Client) -> dict[str, Solver]:
    """Mode torch, torch itself, and torch with its parameters in reverse order, which differs only
    in the order in which dot products are summed and so shows the effect of rounding."""
    mode = {"mode": "torch", "line_search_fn": "strong_wolfe", "history_size": HISTORY}
    chosen: dict[str, Solver] = {}
    for note, change in (("", 1e-9), (f", tolerance_change {CHANGE:g}", CHANGE)):
        chosen[OURS + note] = lbfgsd(client, {**mode, "tolerance_change": change})
        with contextlib.suppress(ImportError):
            chosen[THEIRS + note] = torch_lbfgs(change)
            chosen[BACKWARDS + note] = torch_lbfgs(change, backwards=True)
    return chosen
