"""`minimize` in SciPy's manner."""

from __future__ import annotations

import contextlib
import inspect
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ._client import Client
from ._core import SessionLike
from ._drive import HookHandler, Measured, carry_on, stop_after
from ._progress import Progress
from ._types import Floats, StepResult, Turn

try:
    from scipy.optimize import OptimizeResult
except ImportError:

    class OptimizeResult(dict):  # type: ignore[no-redef,type-arg]
        """A dictionary whose entries are attributes too, as SciPy's."""

        def __getattr__(self, name: str) -> Any:
            try:
                return self[name]
            except KeyError as error:
                raise AttributeError(name) from error

        __setattr__ = dict.__setitem__
        __delattr__ = dict.__delitem__

        def __dir__(self) -> list[str]:
            return list(self)


Jacobian = Callable[..., ArrayLike] | bool | str | None

CONVERGED, EXHAUSTED, FAILED, INTERRUPTED = 0, 1, 2, 99
"""SciPy's statuses of L-BFGS-B, and of a callback that stops."""

MESSAGES = {
    "gradient_tolerance": "CONVERGENCE: max|gradient| <= gtol",
    "loss_tolerance": "CONVERGENCE: the loss changes by no more than ftol",
    "step_tolerance": "CONVERGENCE: the parameters change by no more than ftol",
    "slope_tolerance": "CONVERGENCE: the loss would fall by no more than ftol",
    "max_iterations": "STOP: maxiter iterations are done",
    "max_evaluations": "STOP: maxfun evaluations are done",
    "no_progress": "ABNORMAL: the line search finds no lower point",
    "non_finite": "ABNORMAL: neither loss nor gradient are finite",
    "stopped": "STOP: the step was stopped by another client",
    "callback": "STOP: the callback raised StopIteration",
}
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

# What SciPy's L-BFGS-B has as defaults, except that steps are torch's.
ITERATIONS, EVALUATIONS, GTOL, FTOL, HISTORY, SEARCH = 15_000, 15_000, 1e-5, 2.2e-9, 10, 25
ITERATIONS_A_STEP = 20
IGNORED = ("disp", "iprint")


@dataclass
class Plan:
    """The options of a run, SciPy's and torch's together."""

    iterations: int = ITERATIONS
    evaluations: int = EVALUATIONS
    gtol: float = GTOL
    ftol: float = FTOL
    step_iterations: int = ITERATIONS_A_STEP
    step_evaluations: int | None = None
    difference: float | None = None
    service: dict[str, Any] = field(default_factory=dict)
    """What goes to the server as it is."""

    @classmethod
    def of(cls, options: Mapping[str, Any], tol: float | None, by_iteration: bool) -> Plan:
        given = {key: value for key, value in options.items() if key not in IGNORED}
        tol = given.pop("tol", tol)
        plan = cls(step_iterations=1 if by_iteration else ITERATIONS_A_STEP)
        if tol is not None:
            plan.gtol = plan.ftol = float(tol)
        plan.iterations = int(_take(given, "maxiter", default=plan.iterations))
        plan.evaluations = int(_take(given, "maxfun", "maxfev", default=plan.evaluations))
        plan.gtol = float(_take(given, "gtol", "tolerance_grad", default=plan.gtol))
        plan.ftol = float(_take(given, "ftol", "tolerance_change", default=plan.ftol))
        plan.step_iterations = int(_take(given, "max_iter", default=plan.step_iterations))
        plan.step_evaluations = given.pop("max_eval", None)
        plan.difference = given.pop("eps", None)
        searches = given.pop("maxls", SEARCH)
        if plan.step_evaluations is None:
            plan.step_evaluations = 1 + int(searches) * plan.step_iterations
        if plan.iterations < 1 or plan.evaluations < 1 or plan.step_iterations < 1:
            raise ValueError("maxiter, maxfun and max_iter must be at least 1")
        plan.service = {
            "lr": given.pop("lr", 1.0),
            "line_search_fn": given.pop("line_search_fn", "strong_wolfe"),
            "history_size": int(_take(given, "maxcor", "history_size", default=HISTORY)),
        }
        if "mode" in given:
            plan.service["mode"] = given.pop("mode")
        if given:
            raise TypeError(f"unknown options: {', '.join(sorted(given))}")
        return plan

    def step_options(self, iterations_left: int, evaluations_left: int) -> dict[str, Any]:
        assert self.step_evaluations is not None
        return {
            **self.service,
            "tolerance_grad": self.gtol,
            "tolerance_change": self.ftol,
            "max_iter": max(1, min(self.step_iterations, iterations_left)),
            "max_eval": max(1, min(self.step_evaluations, evaluations_left)),
        }


def _take(options: dict[str, Any], *names: str, default: Any) -> Any:
    found = [options.pop(name) for name in names if name in options]
    if len(found) > 1:
        raise TypeError(f"{' and '.join(names)} are the same option")
    return default if not found or found[0] is None else found[0]


class Function:
    """The user's function with its gradient. Counts, and keeps the newest points' values: every
    step begins with an evaluation where the one before ended."""

    KEPT = 64

    def __init__(
        self,
        fun: Callable[..., Any],
        jac: Jacobian,
        args: tuple[Any, ...],
        progress: Progress,
        difference: float | None,
    ) -> None:
        self._fun, self._jac, self._args = fun, jac, args
        self._progress, self._difference = progress, difference
        self._kept: dict[bytes, Measured] = {}
        self.nfev = self.njev = 0
        if isinstance(jac, str) and jac not in ("2-point", "3-point", "cs"):
            raise ValueError(f"jac can't be {jac!r}")

    def __call__(self, x: Floats) -> Measured:
        key = x.tobytes()
        if key in self._kept:
            return self._kept[key]
        measured = self._measure(x)
        norm = float(np.max(np.abs(measured.gradient), initial=0.0))
        self._progress.update(measured.loss, norm)
        if len(self._kept) == self.KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = measured
        return measured

    def at(self, x: Floats) -> Measured | None:
        return self._kept.get(x.tobytes())

    def _measure(self, x: Floats) -> Measured:
        if self._jac is True:
            loss, gradient = self._fun(x.copy(), *self._args)
            self.nfev += 1
            self.njev += 1
        elif callable(self._jac):
            loss = self._value(x)
            gradient = self._jac(x.copy(), *self._args)
            self.njev += 1
        else:
            loss = self._value(x)
            gradient = self._differences(x, float(_scalar(loss)))
            self.njev += 1
        gradient = np.array(gradient, dtype=np.float64).reshape(-1)
        if gradient.size != x.size:
            message = f"the gradient has {gradient.size} numbers, the parameters {x.size}"
            raise ValueError(message)
        return Measured(_scalar(loss), gradient)

    def _value(self, x: Floats) -> Any:
        self.nfev += 1
        return self._fun(x.copy(), *self._args)

    def _differences(self, x: Floats, loss: float) -> Floats:
        kind = self._jac or "2-point"
        epsilon = np.finfo(np.float64).eps
        relative = epsilon ** (1 / 3) if kind == "3-point" else epsilon**0.5
        gradient = np.empty_like(x)
        for i in range(x.size):
            sign = 1.0 if x[i] >= 0 else -1.0
            h = self._difference or relative * sign * max(1.0, abs(float(x[i])))
            if kind == "cs":
                moved = x.astype(np.complex128)
                moved[i] += 1j * h
                self.nfev += 1
                gradient[i] = np.asarray(self._fun(moved, *self._args)).item().imag / h
                continue
            above = x.copy()
            above[i] += h
            if kind == "3-point":
                below = x.copy()
                below[i] -= h
                rise = _scalar(self._value(above)) - _scalar(self._value(below))
                gradient[i] = rise / (above[i] - below[i])
            else:
                gradient[i] = (_scalar(self._value(above)) - loss) / (above[i] - x[i])
        return gradient


def _scalar(loss: Any) -> float:
    return float(np.asarray(loss).item())


def minimize(
    fun: Callable[..., Any],
    x0: ArrayLike | None = None,
    args: Any = (),
    jac: Jacobian = None,
    *,
    tol: float | None = None,
    options: Mapping[str, Any] | None = None,
    callback: Callable[..., Any] | None = None,
    client: Client | None = None,
    url: str | None = None,
    session: SessionLike | None = None,
    name: str | None = None,
    labels: Mapping[str, str] | None = None,
    progress: bool = False,
    on_hook: HookHandler | None = None,
) -> Any:
    """Minimizes a function of several variables, as scipy.optimize.minimize does.

    `fun(x, *args)` returns the loss, and with `jac=True` the loss and the gradient. Otherwise
    `jac(x, *args)` returns the gradient; with None or "2-point", "3-point" and "cs" it is
    estimated by differences. `fun` may raise `Infeasible` where there is no loss.

    Options, in SciPy's names: maxiter, maxfun, gtol, ftol, maxcor, maxls, eps; and in torch's: lr,
    line_search_fn, tolerance_grad, tolerance_change, history_size, and max_iter and max_eval, which
    are those of one step. Steps follow one another until a tolerance is met. With a callback steps
    have one iteration, so that it is called after each one, as `callback(x)` or
    `callback(intermediate_result=...)`; it ends the run by raising StopIteration.

    An exception in `fun`, such as KeyboardInterrupt, stops the step at the best point so far and
    goes on to the caller; its attribute `lbfgsd_session` is what `session` takes to go on, in this
    process or another. There `x0` may be left out, and a pending evaluation is taken up.

    `on_hook(call)` answers hooks that intercept: None lets the call pass, options of the step
    replace them. Without it they are left to other clients, or to their default.

    Returns an OptimizeResult: x, fun, jac, nfev, njev, nit, status, success, message, and besides
    reason and session. nfev, njev and nit count this call's.
    """
    if not isinstance(args, tuple):
        args = (args,)
    plan = Plan.of(options or {}, tol, by_iteration=callback is not None)
    with contextlib.ExitStack() as stack:
        if client is None:
            client = stack.enter_context(Client(url))
        bar = Progress(progress, name or "minimize")
        stack.callback(bar.close)
        function = Function(fun, jac, args, bar, plan.difference)
        run = Run(client, plan, function, callback, on_hook)
        return run.resume(session, x0) if session is not None else run.start(x0, name, labels)


class Run:
    def __init__(
        self,
        client: Client,
        plan: Plan,
        function: Function,
        callback: Callable[..., Any] | None,
        on_hook: HookHandler | None,
    ) -> None:
        self.client, self.plan, self.function = client, plan, function
        self.on_hook = on_hook
        self.callback = _adapted(callback)
        self.nit = 0

    def start(
        self, x0: ArrayLike | None, name: str | None, labels: Mapping[str, str] | None
    ) -> Any:
        if x0 is None:
            raise TypeError("x0 is missing")
        x = np.atleast_1d(np.array(x0, dtype=np.float64)).reshape(-1)
        self.options = self.plan.step_options(self.plan.iterations, self.plan.evaluations)
        created = self.client.create_session(x, options=self.options, name=name, labels=labels)
        self.session = created.id
        return self._guarded(None)

    def resume(self, session: SessionLike, x0: ArrayLike | None) -> Any:
        found = self.client.get_session(session)
        if x0 is not None and np.size(x0) != found.n:
            raise ValueError(f"x0 has {np.size(x0)} numbers, the session {found.n}")
        self.session = found.id
        self.options = dict(found.options)
        return self._guarded(self.client.ask(found) if found.state != "idle" else None)

    def _guarded(self, turn: Turn | None) -> Any:
        try:
            return self._loop(turn)
        except BaseException as error:
            stop_after(self.client, self.session, error)
            raise

    def _loop(self, turn: Turn | None) -> Any:
        while True:
            if turn is None:
                self._set_options()
                turn = self.client.begin_step(self.session)
            turn = carry_on(self.client, turn, self.function, self.on_hook)
            result, x = turn.result, turn.x
            assert result is not None and x is not None
            self.nit += result.iterations
            reason = self._verdict(result)
            outcome = self._outcome(x, result, reason or "max_iterations")
            if self.callback is not None and result.iterations > 0:
                try:
                    self.callback(outcome)
                except StopIteration:
                    return self._outcome(x, result, "callback")
            if reason is not None:
                return outcome
            turn = None

    def _set_options(self) -> None:
        # The evaluation at the start of a step is one that has been made, except for the first.
        spare = 1 if self.nit > 0 else 0
        left = self.plan.evaluations - self.function.nfev + spare
        wanted = self.plan.step_options(self.plan.iterations - self.nit, left)
        changed = {k: v for k, v in wanted.items() if self.options.get(k) != v}
        if changed:
            self.client.update_session(self.session, options=changed)
            self.options.update(changed)

    def _verdict(self, result: StepResult) -> str | None:
        """Why the run is over; None if it goes on."""
        before, loss, norm = result.loss_before, result.loss, result.gradient_norm_inf
        if norm is not None and norm <= self.plan.gtol:
            return "gradient_tolerance"
        searched = self.options["line_search_fn"] is not None
        if result.converged:
            # A search that fails ends with a step of length 0, which is below any tolerance.
            failed = searched and before is not None and loss is not None and loss >= before
            return "no_progress" if failed else result.reason
        if result.reason in ("stopped", "non_finite"):
            return result.reason
        if result.reason == "not_a_descent_direction":
            # The slope is above -ftol: going on would gain less than that.
            return "slope_tolerance"
        if searched and before is not None and loss is not None:
            if not math.isfinite(loss):
                return "non_finite"
            if loss >= before:
                return "no_progress"
            if before - loss <= self.plan.ftol * max(abs(before), abs(loss), 1.0):
                return "loss_tolerance"
        if self.nit >= self.plan.iterations:
            return "max_iterations"
        if self.function.nfev >= self.plan.evaluations:
            return "max_evaluations"
        return None

    def _outcome(self, x: Floats, result: StepResult, reason: str) -> Any:
        known = self.function.at(x)
        loss = known.loss if known else result.loss
        status = STATUSES.get(reason, FAILED)
        return OptimizeResult(
            x=x,
            fun=math.nan if loss is None else loss,
            jac=known.gradient.copy() if known else np.full_like(x, np.nan),
            nfev=self.function.nfev,
            njev=self.function.njev,
            nit=self.nit,
            status=status,
            success=status == CONVERGED,
            message=MESSAGES.get(reason, reason),
            reason=reason,
            session=self.session,
        )


def _adapted(callback: Callable[..., Any] | None) -> Callable[[Any], Any] | None:
    """SciPy's two forms of a callback as one that takes the result so far."""
    if callback is None:
        return None
    try:
        names = set(inspect.signature(callback).parameters)
    except (TypeError, ValueError):
        names = set()
    if names == {"intermediate_result"}:
        return lambda result: callback(intermediate_result=result)
    return lambda result: callback(np.copy(result.x))


def scipy_method(
    client: Client | None = None, *, url: str | None = None, progress: bool = False
) -> Callable[..., Any]:
    """For scipy.optimize.minimize(..., method=lbfgsd.scipy_method(client))."""

    def method(
        fun: Callable[..., Any],
        x0: ArrayLike,
        args: Any = (),
        jac: Jacobian = None,
        hess: Any = None,
        hessp: Any = None,
        bounds: Any = None,
        constraints: Any = (),
        callback: Callable[..., Any] | None = None,
        **options: Any,
    ) -> Any:
        if bounds is not None or (constraints is not None and np.size(constraints) > 0):
            raise ValueError("lbfgsd takes neither bounds nor constraints")
        if hess is not None or hessp is not None:
            warnings.warn("lbfgsd doesn't use Hessians", RuntimeWarning, stacklevel=3)
        return minimize(
            fun,
            x0,
            args,
            jac,
            options=options,
            callback=callback,
            client=client,
            url=url,
            progress=progress,
        )

    return method
