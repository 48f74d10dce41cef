"""`minimize_many`: the minimum from each of many starts, with few requests."""

from __future__ import annotations

import concurrent.futures
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._client import Client
from .._minimize.box import Box
from .._minimize.objective import Jacobian
from .._minimize.options import RunOptions
from .._model import Floats, MemberEvaluation
from .._progress import Progress
from .evaluation import CallingThread, Pool, Task, Value
from .run import MultistartRun, run_result

LEASE_SECONDS = 3600.0
"""How long an evaluation may take before its point is offered again, if nothing else is said."""


def minimize_many(
    fun: Callable[..., Any],
    starts: ArrayLike,
    args: Any = (),
    jac: Jacobian = None,
    *,
    bounds: Any = None,
    tol: float | None = None,
    options: Mapping[str, Any] | None = None,
    workers: int | concurrent.futures.Executor | None = None,
    processes: bool = False,
    client: Client | None = None,
    url: str | None = None,
    name: str | None = None,
    labels: Mapping[str, str] | None = None,
    progress: bool = False,
) -> list[Any]:
    """Minimizes a function from each start, a row of `starts`, and returns a result for each.

    It is `minimize` in a loop, but that one request tells the results of many runs and asks for
    their next points, so that 50 runs take little longer than one. `fun`, `args`, `jac`, `bounds`,
    `tol` and `options` are those of `minimize`; maxiter and maxfun hold for each run, whose step
    has them, and counts evaluations, not calls of finite differences. A loss that falls without end
    is not noticed before they are used up.

    The function is called in this thread, or by `workers` threads, or with `processes` by so many
    processes, or by an executor, as in `multistart`. All runs are an ensemble of the service, to
    which `name` and `labels` belong. An exception in `fun` stops all runs at their best points and
    goes to the caller; its attribute `lbfgsd_ensemble` names the ensemble, which
    `multistart(fun, ensemble=...)` takes up.

    Each result has x, fun, jac, nfev, njev, nit, status, success, message, reason and session.
    """
    if not isinstance(args, tuple):
        args = (args,)
    points: Floats = np.atleast_2d(np.asarray(starts, dtype=np.float64))
    if points.ndim > 2:
        raise ValueError("starts must have a start in each row")
    run_options = RunOptions.of(options or {}, tol)
    box = Box.of(bounds, points.shape[1])
    task = Task(fun, jac, args, run_options.differences, box)
    if box is not None:
        points = box.clip(points)
    with contextlib.ExitStack() as stack:
        if client is None:
            client = stack.enter_context(Client(url))
        here = workers is None and not processes
        pool = Pool(task, CallingThread() if here else workers, processes)
        stack.callback(pool.close)
        created = client.create_ensemble(
            points,
            lower=None if box is None else box.lower,
            upper=None if box is None else box.upper,
            options=run_options.step_options(run_options.iterations, run_options.evaluations),
            name=name,
            labels=labels,
        )
        bar = Progress(progress, name or "minimize_many")
        stack.callback(bar.close)
        return ManyRun(client, created.id, pool, bar, None, LEASE_SECONDS).results()


class ManyRun(MultistartRun):
    """One call of `minimize_many`."""

    WORKER = "minimize_many"

    def results(self) -> list[Any]:
        self.lowest: dict[str, tuple[Floats, Value]] = {}
        self.calls: dict[str, tuple[int, int]] = {}
        self._run()
        members = self.client.members(self.ensemble, points=True)
        results = []
        for member in sorted(members, key=lambda member: member.member):
            result = run_result(member)
            result.nfev, result.njev = self.calls.get(member.session, (0, 0))
            result.jac = np.full_like(result.x, np.nan)
            if member.session in self.lowest:
                x, value = self.lowest[member.session]
                if np.array_equal(x, result.x):
                    result.jac = value.gradient
            results.append(result)
        return results

    def _count(self, evaluation: MemberEvaluation, value: Value) -> None:
        super()._count(evaluation, value)
        nfev, njev = self.calls.get(evaluation.session, (0, 0))
        self.calls[evaluation.session] = (nfev + value.nfev, njev + value.njev)

    def _note(self, evaluation: MemberEvaluation, value: Value) -> None:
        super()._note(evaluation, value)
        lowest = self.lowest.get(evaluation.session)
        # A later point with the same loss is where a step ends.
        if lowest is None or value.loss <= lowest[1].loss:
            self.lowest[evaluation.session] = (evaluation.x, value)
