"""The result of a run, in SciPy's form."""

from __future__ import annotations

from typing import Any


class AttributeDict(dict[str, Any]):
    """A dictionary whose entries are attributes too: what SciPy's OptimizeResult is."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(name) from error

    __setattr__ = dict.__setitem__
    __delattr__ = dict.__delitem__

    def __dir__(self) -> list[str]:
        return list(self)


OptimizeResult: Any
"""SciPy's class where SciPy is installed."""
try:
    import scipy.optimize
except ImportError:
    OptimizeResult = AttributeDict
else:
    OptimizeResult = scipy.optimize.OptimizeResult

CONVERGED, EXHAUSTED, FAILED, INTERRUPTED = 0, 1, 2, 99
"""SciPy's statuses for L-BFGS-B, and for a callback that ends the run."""

FIXED = "All independent variables were fixed by bounds."

# The words of SciPy's L-BFGS-B, where it has the case.
MESSAGES = {
    "gradient_tolerance": "CONVERGENCE: NORM OF PROJECTED GRADIENT <= PGTOL",
    "loss_tolerance": "CONVERGENCE: RELATIVE REDUCTION OF F <= FACTR*EPSMCH",
    "step_tolerance": "CONVERGENCE: the parameters change by no more than ftol",
    "slope_tolerance": "CONVERGENCE: the loss would fall by no more than ftol",
    "max_iterations": "STOP: TOTAL NO. OF ITERATIONS REACHED LIMIT",
    "max_evaluations": "STOP: TOTAL NO. OF F,G EVALUATIONS EXCEEDS LIMIT",
    "line_search_failed": "ABNORMAL: the line search finds no lower point",
    "no_progress": "ABNORMAL: the line search finds no lower point",
    "within_noise": "ABNORMAL: neither loss nor gradient fall beyond the noise any more",
    "not_a_descent_direction": "ABNORMAL: the gradient gives no direction that goes down",
    "non_finite": "ABNORMAL: neither loss nor gradient are finite",
    "unbounded": "ABNORMAL: the loss falls without end",
    "stopped": "STOP: the step was stopped by another client",
    "callback": "`callback` raised `StopIteration`.",
}
CHECK = "lbfgsd.check_gradient(fun, x) tells whether the gradient is right"
"""What is added to the message of a run whose gradient may be the reason for its end."""
GRADIENT_SUSPECTED = ("line_search_failed", "no_progress", "not_a_descent_direction")
STATUSES = {
    "gradient_tolerance": CONVERGED,
    "loss_tolerance": CONVERGED,
    "step_tolerance": CONVERGED,
    "slope_tolerance": CONVERGED,
    "max_iterations": EXHAUSTED,
    "max_evaluations": EXHAUSTED,
    "stopped": INTERRUPTED,
    "callback": INTERRUPTED,
}
