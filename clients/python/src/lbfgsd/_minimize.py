"""`minimize` in SciPy's manner."""

from __future__ import annotations

import contextlib
import hashlib
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
from ._errors import Infeasible
from ._progress import Progress
from ._types import Floats, Session, StepResult, Turn

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
    "line_search_failed": "ABNORMAL: the line search finds no lower point",
    "no_progress": "ABNORMAL: the line search finds no lower point",
    "within_noise": "ABNORMAL: neither loss nor gradient fall beyond the noise any more",
    "not_a_descent_direction": "ABNORMAL: the gradient gives no direction that goes down",
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

# What SciPy's L-BFGS-B has as defaults.
ITERATIONS, EVALUATIONS, GTOL, FTOL = 15_000, 15_000, 1e-5, 2.2e-9
# Of mode torch: pairs, evaluations of a line search, iterations of a step.
TORCH_HISTORY, TORCH_SEARCH, TORCH_ITERATIONS = 10, 25, 20
HISTORY = 100
"""Pairs in robust mode, the service's default: fewer evaluations than with SciPy's 10."""
MODE = "robust"
ITERATIONS_WITH_RESTARTS = 4
FORWARDED = (
    "noise",
    "tolerance_grad_relative",
    "tolerance_loss_relative",
    "reuse_evaluation",
    "history_dtype",
)
IGNORED = ("disp", "iprint")


@dataclass
class Plan:
    """The options of a run, SciPy's and the service's together."""

    mode: str = MODE
    iterations: int = ITERATIONS
    evaluations: int = EVALUATIONS
    gtol: float = GTOL
    ftol: float = FTOL
    step_iterations: int = ITERATIONS
    step_evaluations: int = EVALUATIONS
    difference: float | None = None
    service: dict[str, Any] = field(default_factory=dict)
    """What goes to the server as it is."""

    @property
    def robust(self) -> bool:
        return self.mode == "robust"

    @classmethod
    def of(
        cls,
        options: Mapping[str, Any],
        tol: float | None,
        by_iteration: bool,
        mode: str = MODE,
    ) -> Plan:
        """`mode` is that of a run that doesn't say which."""
        given = {key: value for key, value in options.items() if key not in IGNORED}
        tol = given.pop("tol", tol)
        plan = cls(mode=str(_take(given, "mode", default=mode)))
        if tol is not None:
            plan.gtol = plan.ftol = float(tol)
        plan.iterations = int(_take(given, "maxiter", default=plan.iterations))
        plan.evaluations = int(_take(given, "maxfun", "maxfev", default=plan.evaluations))
        plan.gtol = float(_take(given, "gtol", "tolerance_grad", default=plan.gtol))
        plan.difference = given.pop("eps", None)
        pairs = HISTORY if plan.robust else TORCH_HISTORY
        steps = plan.iterations if plan.robust else TORCH_ITERATIONS
        steps = int(_take(given, "max_iter", default=1 if by_iteration else steps))
        searches = given.pop("maxls", None)
        plan.step_iterations, plan.step_evaluations = steps, plan.evaluations
        plan.service = {
            "mode": plan.mode,
            "lr": given.pop("lr", 1.0),
            "history_size": int(_take(given, "maxcor", "history_size", default=pairs)),
            "tolerance_grad": plan.gtol,
        }
        if plan.robust:
            if searches is not None:
                warnings.warn("maxls bounds mode torch only", RuntimeWarning, stacklevel=3)
            loss_names = ("ftol", "tolerance_loss_relative")
            plan.ftol = float(_take(given, *loss_names, default=plan.ftol))
            plan.service["tolerance_loss_relative"] = plan.ftol
            plan.service["tolerance_change"] = float(_take(given, "tolerance_change", default=0.0))
            plan.service["line_search_fn"] = given.pop("line_search_fn", None)
        else:
            plan.ftol = float(_take(given, "ftol", "tolerance_change", default=plan.ftol))
            plan.service["tolerance_change"] = plan.ftol
            plan.service["line_search_fn"] = given.pop("line_search_fn", "strong_wolfe")
            plan.step_evaluations = 1 + int(TORCH_SEARCH if searches is None else searches) * steps
        plan.step_evaluations = int(_take(given, "max_eval", default=plan.step_evaluations))
        plan.service.update({key: given.pop(key) for key in FORWARDED if key in given})
        if given:
            raise TypeError(f"unknown options: {', '.join(sorted(given))}")
        if min(plan.iterations, plan.evaluations, steps, plan.step_evaluations) < 1:
            raise ValueError("maxiter, maxfun, max_iter and max_eval must be at least 1")
        return plan

    def step_options(self, iterations_left: int, evaluations_left: int) -> dict[str, Any]:
        return {
            **self.service,
            "max_iter": max(1, min(self.step_iterations, iterations_left)),
            "max_eval": max(1, min(self.step_evaluations, evaluations_left)),
        }


def _take(options: dict[str, Any], *names: str, default: Any) -> Any:
    found = [options.pop(name) for name in names if name in options]
    if len(found) > 1:
        raise TypeError(f"{' and '.join(names)} are the same option")
    return default if not found or found[0] is None else found[0]


class Function:
    """The user's function with its gradient. Counts, and keeps the values of the newest points,
    with which steps of mode torch begin, and of the best, where steps end."""

    KEPT = 64
    KEPT_BYTES = 256 << 20
    """Of gradients, if there are more than the two that are needed: the best and the newest."""

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
        self._best: bytes | None = None
        self.nfev = self.njev = 0
        if isinstance(jac, str) and jac not in ("2-point", "3-point", "cs"):
            raise ValueError(f"jac can't be {jac!r}")

    def __call__(self, x: Floats) -> Measured:
        # SciPy's functions get Float64, whatever the session's precision is.
        x = x.astype(np.float64, copy=False)
        key = _key(x)
        if key in self._kept:
            return self._kept[key]
        measured = self._measure(x)
        norm = float(np.max(np.abs(measured.gradient), initial=0.0))
        self._progress.update(measured.loss, norm)
        if len(self._kept) >= max(2, min(self.KEPT, self.KEPT_BYTES // (x.nbytes or 1))):
            del self._kept[next(old for old in self._kept if old != self._best)]
        self._kept[key] = measured
        if self._best is None or measured.loss < self._kept[self._best].loss:
            self._best = key
        return measured

    def at(self, x: Floats) -> Measured | None:
        return self._kept.get(_key(x))

    def calls(self, n: int) -> int:
        """How often the function is called for one evaluation at n parameters."""
        if self._jac is True or callable(self._jac):
            return 1
        return 1 + (2 * n if self._jac == "3-point" else n)

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


def _key(x: Floats) -> bytes:
    """A point in few bytes, that of a large one too."""
    bits = x.astype(np.float64, copy=False)
    return hashlib.blake2b(np.ascontiguousarray(bits).data, digest_size=16).digest()


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

    Options, in SciPy's names: maxiter, maxfun, gtol, ftol, maxcor, eps; and in the service's: mode,
    lr, line_search_fn, tolerance_grad (which is gtol), tolerance_grad_relative,
    tolerance_loss_relative (which is ftol), tolerance_change, history_size (which is maxcor),
    history_dtype, noise, reuse_evaluation, and max_iter and max_eval, which are those of one step.
    The mode is "robust" unless it is said, and noise, if loss and gradient aren't precise to
    Float64, "float32" or a number. With mode "torch" the line search is torch's strong_wolfe, ftol
    is tolerance_change, and maxls bounds the searches.

    Steps follow one another until a tolerance is met. With a callback steps have one iteration, so
    that it is called after each one, as `callback(x)` or `callback(intermediate_result=...)`; it
    ends the run by raising StopIteration.

    An exception in `fun`, such as KeyboardInterrupt, stops the step at the best point so far and
    goes on to the caller; its attribute `lbfgsd_session` is what `session` takes to go on, in this
    process or another. There `x0` may be left out, a pending evaluation is taken up, and the
    session keeps its mode unless another is said.

    `on_hook(call)` answers hooks that intercept: None lets the call pass, options of the step
    replace them. Without it they are left to other clients, or to their default.

    Returns an OptimizeResult: x, fun, jac, nfev, njev, nit, status, success, message, and besides
    reason and session, and failure, a `LineSearchFailure`, with the reason "line_search_failed".
    nfev, njev and nit count this call's.
    """
    if not isinstance(args, tuple):
        args = (args,)
    options, by_iteration = options or {}, callback is not None
    if session is None:
        plan = Plan.of(options, tol, by_iteration)
    with contextlib.ExitStack() as stack:
        if client is None:
            client = stack.enter_context(Client(url))
        found = None
        if session is not None:
            found = client.get_session(session)
            plan = Plan.of(options, tol, by_iteration, found.options["mode"])
        bar = Progress(progress, name or "minimize")
        stack.callback(bar.close)
        function = Function(fun, jac, args, bar, plan.difference)
        run = Run(client, plan, function, callback, on_hook)
        return run.resume(found, x0) if found is not None else run.start(x0, name, labels)


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
        self.ended: bytes | None = None
        """Where the newest step ended."""
        self.stalled = 0
        """How many steps in a row ended for a budget where they began."""

    def start(
        self, x0: ArrayLike | None, name: str | None, labels: Mapping[str, str] | None
    ) -> Any:
        if x0 is None:
            raise TypeError("x0 is missing")
        x = np.atleast_1d(np.array(x0, dtype=np.float64)).reshape(-1)
        self.calls = self.function.calls(x.size)
        options = self.plan.step_options(self.plan.iterations, self._evaluations_left())
        created = self.client.create_session(x, options=options, name=name, labels=labels)
        self.session, self.options = created.id, dict(created.options)
        return self._guarded(None)

    def resume(self, found: Session, x0: ArrayLike | None) -> Any:
        if x0 is not None and np.size(x0) != found.n:
            raise ValueError(f"x0 has {np.size(x0)} numbers, the session {found.n}")
        self.session = found.id
        self.options = dict(found.options)
        self.calls = self.function.calls(found.n)
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
            x = x.astype(np.float64, copy=False)
            self.nit += result.iterations
            reason = self._verdict(x, result)
            if reason is not None and self.function.at(x) is None:
                # The session knew it from before, and what it doesn't show is the gradient.
                with contextlib.suppress(Infeasible):
                    self.function(x)
            outcome = self._outcome(x, result, reason or "max_iterations")
            if self.callback is not None and result.iterations > 0:
                try:
                    self.callback(outcome)
                except StopIteration:
                    return self._outcome(x, result, "callback")
            if reason is not None:
                return outcome
            turn = None

    def _evaluations_left(self) -> int:
        calls = self.plan.evaluations - self.function.nfev
        return max(0, calls // self.calls if self.plan.robust else calls)

    def _set_options(self) -> None:
        # Without reuse the evaluation at the start of a step is one that has been made, except for
        # the first.
        spare = 1 if self.nit > 0 and not self.options["reuse_evaluation"] else 0
        left = self._evaluations_left() + spare
        iterations = self.plan.iterations - self.nit
        wanted = self.plan.step_options(iterations, left)
        if self.stalled:
            # A step has to be long enough for the restarts after which a line search has failed.
            least = min(ITERATIONS_WITH_RESTARTS, iterations)
            wanted["max_iter"] = max(wanted["max_iter"], least)
        changed = {k: v for k, v in wanted.items() if self.options.get(k) != v}
        if changed:
            updated = self.client.update_session(self.session, options=changed)
            self.options = dict(updated.options)

    def _verdict(self, x: Floats, result: StepResult) -> str | None:
        """Why the run is over; None if it goes on."""
        if self.plan.robust:
            return self._robust_verdict(x, result)
        return self._torch_verdict(result)

    def _robust_verdict(self, x: Floats, result: StepResult) -> str | None:
        if result.reason not in ("max_iterations", "max_evaluations"):
            return result.reason
        if self.nit >= self.plan.iterations:
            return "max_iterations"
        if self._evaluations_left() == 0:
            return "max_evaluations"
        before, self.ended = self.ended, _key(x)
        self.stalled = self.stalled + 1 if self.ended == before else 0
        return "no_progress" if self.stalled > 1 else None

    def _torch_verdict(self, result: StepResult) -> str | None:
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
        message = MESSAGES.get(reason, reason)
        more = {}
        if result.failure is not None:
            message = f"{message}: {result.failure}"
            more["failure"] = result.failure
        return OptimizeResult(
            x=x,
            fun=math.nan if loss is None else loss,
            jac=known.gradient.copy() if known else np.full_like(x, np.nan),
            nfev=self.function.nfev,
            njev=self.function.njev,
            nit=self.nit,
            status=status,
            success=status == CONVERGED,
            message=message,
            reason=reason,
            session=self.session,
            **more,
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
