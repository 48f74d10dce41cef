"""`minimize`, with the interface of scipy.optimize.minimize."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._client import Client, SessionLike
from .._engine import Engine, LocalClient, engine_client
from .._naming import check_names, newest_session
from .._progress import Progress
from .._stepping import HookHandler
from .differences import map_of
from .durable import Durable
from .inverse import inverse_hessian
from .objective import CountedObjective, Jacobian
from .options import MODE, RunOptions
from .run import Run


def minimize(
    fun: Callable[..., Any],
    x0: ArrayLike | None = None,
    args: Any = (),
    jac: Jacobian = None,
    *,
    bounds: Any = None,
    l1: ArrayLike | None = None,
    tol: float | None = None,
    options: Mapping[str, Any] | None = None,
    callback: Callable[..., Any] | None = None,
    client: Client | None = None,
    url: str | None = None,
    session: SessionLike | None = None,
    name: str | None = None,
    labels: Mapping[str, str] | None = None,
    resume: bool = False,
    progress: bool = False,
    on_hook: HookHandler | None = None,
    engine: Engine | None = None,
    journal: str | os.PathLike[str] | None = None,
) -> Any:
    """Minimizes a function of several variables, as scipy.optimize.minimize does.

    It runs in this process, without a server, if nothing names one: neither `client`, `url`,
    `session` nor $LBFGSD_URL, nor an argument that needs one (`name`, `labels`, `resume`,
    `on_hook`). `engine` decides it explicitly: "local" or "server". The results are the same, bit
    for bit; a local run is not stored, and its `session` is None. A package that was installed
    without the engine's library asks the server at http://127.0.0.1:8080 instead.

    `fun(x, *args)` returns the loss; with `jac=True` it returns the loss and the gradient.
    Otherwise `jac(x, *args)` returns the gradient, or `jac` names a finite-difference scheme:
    "2-point" (also if it is None), "3-point" or "cs". `fun` may raise `Infeasible` where the loss
    is undefined.

    `bounds` are SciPy's: an object with `lb` and `ub`, such as scipy.optimize.Bounds, or a pair
    (lower, upper) for each number, with None for no bound. No point outside them is evaluated, by
    finite differences neither; x0 is clipped to them. `l1` weighs a term sum(l1 * abs(x)) that is
    added to the loss, one weight or one for each number; `fun` and `jac` leave it out, and the
    minimum has exact zeros. Both need mode "robust".

    `options` may have SciPy's names: maxiter, maxfun, gtol, ftol, maxcor, eps,
    finite_diff_rel_step, workers (who evaluates finite differences: a number of processes, or a
    function like map), maxls, disp (which prints the outcome); and the service's:
    mode, lr, line_search_fn, tolerance_grad (the same as gtol), tolerance_grad_relative,
    tolerance_loss_relative (the same as ftol), tolerance_change, history_size (the same as maxcor),
    history_dtype, noise, reuse_evaluation, and max_iter and max_eval, which are budgets of one
    step. The default mode is "robust". `noise` is "float32" or a relative error, for a loss and a
    gradient that are less precise than Float64. In mode "torch" the line search is torch's
    strong_wolfe, and ftol means tolerance_change.

    Steps follow one another until a tolerance is met. The callback is called after each iteration,
    as `callback(x)` or `callback(intermediate_result=...)`; it ends the run by raising
    StopIteration. It costs no request.

    An exception in `fun`, such as KeyboardInterrupt, stops the step at the best point so far and
    goes to the caller. Its attribute `lbfgsd_session` is the value of `session` with which a later
    call, in this process or another, goes on. That call may leave out `x0`; it takes up a pending
    evaluation, and the session keeps its mode unless the options say another.

    With `resume=True` the newest session of the given `name` goes on, if there is one; otherwise it
    is created. So a script that is run again continues where it ended. `name`, `labels`, `bounds`
    and `l1` are those of the session then, and x0 is its start.

    `journal` names a file that makes a run in this process durable: each evaluation is on disk
    before the next one begins. A process that was killed goes on at the same point if it makes the
    same call again, with the result, nfev and nit of the whole run; `x0` may be left out then, and
    the callback may see the newest iteration twice. A file of a run that has ended returns its
    result. `JournalError` says what is wrong with a file: it is damaged, another process uses it,
    the disk is full, or x0, bounds, l1 or an option differ.

    `on_hook(call)` answers hooks that intercept: None lets the call pass, and options replace those
    of the step. Without it the calls are left to other clients, or to the hook's default.

    Returns an OptimizeResult with x, fun, jac, nfev, njev, nit, status, success, message, and
    besides reason, session and engine ("local" or "server"); the reason is "unbounded" where the
    loss falls without end. With the reason "line_search_failed" there is failure, a
    `LineSearchFailure`. nfev, njev and nit count what this call did, also where it goes on with a
    session. status and message are those of SciPy's L-BFGS-B. With bounds there are active_set, an
    `ActiveSet` with the bounds that hold and their multipliers, and projected_gradient_norm_inf,
    which gtol bounds. With `l1` fun has the term, and jac does not.
    """
    if not isinstance(args, tuple):
        args = (args,)
    options = options or {}
    check_names(session, name, labels, resume)
    with contextlib.ExitStack() as stack:
        durable = None
        if journal is not None:
            if engine == "server":
                raise TypeError("engine='server' has a journal of its own")
            engine = "local"
        if client is None or engine == "local":
            client = engine_client(
                engine,
                client=client,
                url=url,
                session=session,
                name=name,
                labels=labels,
                resume=resume,
                on_hook=on_hook,
            ) or stack.enter_context(Client(url))
        # Processes that are forked before the journal is open have no share in its lock.
        apply = stack.enter_context(map_of(options.get("workers")))
        if journal is not None:
            durable = stack.enter_context(contextlib.closing(Durable(journal)))
        if session is None:
            mode = None if durable is None or not durable.is_imported else durable.mode
            run_options = RunOptions.of(options, tol, mode or MODE)
        is_local = isinstance(client, LocalClient)
        if resume and name is not None:
            session = newest_session(client, name)
        found = None
        if session is not None:
            found = client.get_session(session)
            run_options = RunOptions.of(options, tol, found.options["mode"])
        bar = Progress(progress, name or "minimize")
        stack.callback(bar.close)
        objective = CountedObjective(fun, jac, args, bar, run_options.differences, apply)
        if durable is not None:
            objective.make_lasting()
        run = Run(client, run_options, objective, callback, on_hook, durable)
        if found is None:
            result = run.start(x0, name, labels, bounds, l1)
            result["engine"] = "local" if is_local else "server"
            if is_local:
                result["session"] = None
            return result
        if not resume and (bounds is not None or l1 is not None):
            raise ValueError("a session has its own bounds and l1, which set_bounds changes")
        result = run.resume(found, x0)
        result["engine"] = "server"
        return result


def scipy_method(
    client: Client | None = None,
    *,
    url: str | None = None,
    progress: bool = False,
    hess_inv: bool = True,
) -> Callable[..., Any]:
    """Returns a method for scipy.optimize.minimize(..., method=lbfgsd.scipy_method(client)).

    It takes what SciPy's L-BFGS-B takes: bounds in both forms, args, both forms of callbacks,
    StopIteration, and its options. The result has `hess_inv`, SciPy's LbfgsInvHessProduct of the
    curvature pairs that the session has at the end, unless that is switched off: they are 2 n
    numbers for each of up to `maxcor` pairs, which are fetched.
    """

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
        if constraints is not None and np.size(constraints) > 0:
            raise ValueError("lbfgsd takes no constraints but bounds")
        if hess is not None or hessp is not None:
            warnings.warn("lbfgsd doesn't use Hessians", RuntimeWarning, stacklevel=3)
        with contextlib.ExitStack() as stack:
            own = client or engine_client(None, url=url) or stack.enter_context(Client(url))
            result = minimize(
                fun,
                x0,
                args,
                jac,
                bounds=bounds,
                options=options,
                callback=callback,
                client=own,
                progress=progress,
            )
            if hess_inv and result.reason != "fixed":
                result.hess_inv = inverse_hessian(own, result.session, result.x.size)
        return result

    return method
