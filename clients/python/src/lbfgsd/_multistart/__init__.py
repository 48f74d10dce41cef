"""`multistart`: minimizing from many starts, with many workers."""

from __future__ import annotations

import concurrent.futures
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._client import Client
from .._client.identifiers import EnsembleLike
from .._minimize.box import Box
from .._minimize.objective import Jacobian
from .._minimize.options import RunOptions
from .._progress import Progress
from .evaluation import Pool, Task
from .many import LEASE_SECONDS, minimize_many
from .run import MultistartRun

__all__ = ["minimize_many", "multistart"]


def multistart(
    fun: Callable[..., Any],
    bounds: Any = None,
    args: Any = (),
    jac: Jacobian = None,
    *,
    starts: int | ArrayLike = 50,
    design: str = "sobol",
    seed: int = 0,
    workers: int | concurrent.futures.Executor | None = None,
    processes: bool = False,
    tol: float | None = None,
    options: Mapping[str, Any] | None = None,
    target: float | None = None,
    max_evaluations: int | None = None,
    stagnation: tuple[int, float] | None = None,
    same_basin: tuple[float, float] | None = (1e-3, 1e-6),
    callback: Callable[[Any], Any] | None = None,
    client: Client | None = None,
    url: str | None = None,
    ensemble: EnsembleLike | None = None,
    name: str | None = None,
    labels: Mapping[str, str] | None = None,
    progress: bool = False,
    lease: float = LEASE_SECONDS,
) -> Any:
    """Minimizes a function from many starts, and returns the best minimum with all others.

    `fun`, `args`, `jac`, `tol` and `options` are those of `minimize`; options hold for each run.
    `starts` is how many starts are chosen in `bounds`, (low, high) pairs or SciPy's Bounds, by
    `design`: "sobol", "latin_hypercube" or "uniform", from `seed`; or it has a start in each row.
    In mode robust, the default, runs stay within the bounds; in mode torch they only begin there.

    The function is called by `workers` threads, or with `processes` by so many processes, to which
    it is pickled; or `workers` is an executor of concurrent.futures or one like them. Two points
    for each worker wait in the pool's queue, so that workers don't wait for the server.

    Besides when every run has ended, the call ends when a loss is at or below `target`, and after
    `max_evaluations` evaluations of all runs. A run is abandoned when it has come as near to
    another one as `same_basin` says: (distance as a part of the bounds' width, relative difference
    of losses); None keeps all. With `stagnation`, (evaluations, tolerance), a run is abandoned
    whose loss has not fallen by more than the tolerance within so many evaluations.

    `callback(intermediate_result)` is called with the best point so far, and ends the call by
    raising StopIteration. An exception in `fun` ends all runs at their best points and goes to the
    caller; its attribute `lbfgsd_ensemble` names the ensemble. `ensemble` takes up one that is not
    finished, such as after a crash of this program, with its starts, bounds and rules.

    `lease` says after how many seconds the point of a worker that has vanished is offered again.

    Returns an OptimizeResult with x, fun, nfev, njev, nit, status, success, message, reason,
    ensemble, session, and `runs`: an OptimizeResult for each start, the best first, with x, fun,
    nfev, nit, status, success, message, reason, member (the number of its start) and session.
    """
    if not isinstance(args, tuple):
        args = (args,)
    run_options = RunOptions.of(options or {}, tol)
    lower, upper = _box(bounds)
    box = None if lower is None or not run_options.robust else Box(lower, upper)
    task = Task(fun, jac, args, run_options.differences, box)
    with contextlib.ExitStack() as stack:
        if client is None:
            client = stack.enter_context(Client(url))
        pool = Pool(task, workers, processes)
        stack.callback(pool.close)
        if ensemble is None:
            session_options = run_options.step_options(
                run_options.iterations, run_options.evaluations
            )
            rules: dict[str, Any] = {}
            if stagnation is not None:
                rules["stagnation"] = dict(
                    zip(("evaluations", "tolerance"), stagnation, strict=True)
                )
            if same_basin is not None:
                rules["same_basin"] = dict(zip(("distance", "loss"), same_basin, strict=True))
            stop = {"target": target, "evaluations": max_evaluations}
            ensemble = client.create_ensemble(
                **_where(starts, bounds, design, seed),
                options=session_options,
                stop={key: value for key, value in stop.items() if value is not None},
                abandon=rules,
                name=name,
                labels=labels,
            )
        identifier = ensemble if isinstance(ensemble, str) else ensemble.id
        bar = Progress(progress, name or "multistart")
        stack.callback(bar.close)
        return MultistartRun(client, identifier, pool, bar, callback, lease).run()


def _where(starts: int | ArrayLike, bounds: Any, design: str, seed: int) -> dict[str, Any]:
    """The starts, or how to choose them, and the box."""
    lower, upper = _box(bounds)
    box = {"lower": lower, "upper": upper} if lower is not None else {}
    if not isinstance(starts, (int, np.integer)):
        return {"starts": starts, **box}
    if lower is None:
        raise TypeError("starts are chosen in bounds, which are missing")
    chosen = {"method": design, "count": int(starts), "seed": int(seed)}
    return {"starts": chosen, "n": int(lower.size), **box}


def _box(bounds: Any) -> tuple[Any, Any]:
    if bounds is None:
        return None, None
    if hasattr(bounds, "lb"):
        lower, upper = np.broadcast_arrays(
            np.atleast_1d(np.asarray(bounds.lb, dtype=float)),
            np.atleast_1d(np.asarray(bounds.ub, dtype=float)),
        )
    else:
        pairs = np.asarray(bounds, dtype=float)
        if pairs.ndim != 2 or pairs.shape[1] != 2:
            raise ValueError("bounds must be (low, high) pairs, one for each parameter")
        lower, upper = pairs[:, 0], pairs[:, 1]
    if not (np.isfinite(lower).all() and np.isfinite(upper).all()):
        raise ValueError("bounds must be finite: starts are chosen between them")
    return lower, upper
