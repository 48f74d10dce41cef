"""`minimize`, with the interface of scipy.optimize.minimize."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._client import Client, SessionLike
from .._progress import Progress
from .._stepping import HookHandler
from .objective import CountedObjective, Jacobian
from .options import RunOptions
from .run import Run


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

    `fun(x, *args)` returns the loss; with `jac=True` it returns the loss and the gradient.
    Otherwise `jac(x, *args)` returns the gradient, or `jac` names a finite-difference scheme:
    "2-point" (also if it is None), "3-point" or "cs". `fun` may raise `Infeasible` where the loss
    is undefined.

    `options` may have SciPy's names: maxiter, maxfun, gtol, ftol, maxcor, eps; and the service's:
    mode, lr, line_search_fn, tolerance_grad (the same as gtol), tolerance_grad_relative,
    tolerance_loss_relative (the same as ftol), tolerance_change, history_size (the same as maxcor),
    history_dtype, noise, reuse_evaluation, and max_iter and max_eval, which are budgets of one
    step. The default mode is "robust". `noise` is "float32" or a relative error, for a loss and a
    gradient that are less precise than Float64. In mode "torch" the line search is torch's
    strong_wolfe, ftol means tolerance_change, and maxls bounds the evaluations of a line search.

    Steps follow one another until a tolerance is met. With a callback every step has one
    iteration, and the callback is called after each, as `callback(x)` or
    `callback(intermediate_result=...)`; it ends the run by raising StopIteration.

    An exception in `fun`, such as KeyboardInterrupt, stops the step at the best point so far and
    goes to the caller. Its attribute `lbfgsd_session` is the value of `session` with which a later
    call, in this process or another, goes on. That call may leave out `x0`; it takes up a pending
    evaluation, and the session keeps its mode unless the options say another.

    `on_hook(call)` answers hooks that intercept: None lets the call pass, and options replace those
    of the step. Without it the calls are left to other clients, or to the hook's default.

    Returns an OptimizeResult with x, fun, jac, nfev, njev, nit, status, success, message, and
    besides reason and session, and with the reason "line_search_failed" also failure, a
    `LineSearchFailure`. nfev, njev and nit count what this call did.
    """
    if not isinstance(args, tuple):
        args = (args,)
    options, by_iteration = options or {}, callback is not None
    if session is None:
        run_options = RunOptions.of(options, tol, by_iteration)
    with contextlib.ExitStack() as stack:
        if client is None:
            client = stack.enter_context(Client(url))
        found = None
        if session is not None:
            found = client.get_session(session)
            run_options = RunOptions.of(options, tol, by_iteration, found.options["mode"])
        bar = Progress(progress, name or "minimize")
        stack.callback(bar.close)
        objective = CountedObjective(fun, jac, args, bar, run_options.difference)
        run = Run(client, run_options, objective, callback, on_hook)
        return run.resume(found, x0) if found is not None else run.start(x0, name, labels)


def scipy_method(
    client: Client | None = None, *, url: str | None = None, progress: bool = False
) -> Callable[..., Any]:
    """Returns a method for scipy.optimize.minimize(..., method=lbfgsd.scipy_method(client))."""

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
