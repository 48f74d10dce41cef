"""Evaluating points in a pool of threads, of processes, or of whatever an executor has."""

from __future__ import annotations

import concurrent.futures
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

import numpy as np

from .._errors import Infeasible
from .._minimize.box import Box
from .._minimize.differences import Steps
from .._minimize.objective import CountedObjective, Jacobian
from .._model import Floats
from .._progress import Progress

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Task:
    """What a worker evaluates: the user's function and its gradient, estimated within the box if it
    is not given. It is sent to processes."""

    fun: Callable[..., Any]
    jac: Jacobian
    args: tuple[Any, ...]
    differences: Steps
    box: Box | None = None

    def __call__(self, x: Floats) -> Value:
        objective = CountedObjective(
            self.fun, self.jac, self.args, Progress(False, ""), self.differences
        )
        objective.box = self.box
        began = time.perf_counter()
        loss, gradient, reason = np.nan, None, None
        try:
            value = objective(x)
            loss, gradient = value.loss, value.gradient
        except Infeasible as error:
            reason = str(error) or "infeasible"
        seconds = time.perf_counter() - began
        return Value(loss, gradient, objective.nfev, objective.njev, seconds, reason)


@dataclass(frozen=True)
class Value:
    """The loss and the gradient at a point, or why there are none; and how often the function and
    its gradient were called, and how long that took."""

    loss: float
    gradient: Floats | None
    nfev: int
    njev: int
    seconds: float
    failed: str | None = None


class CallingThread(concurrent.futures.Executor):
    """Evaluates at once, in the thread that submits."""

    _max_workers = 1

    def submit(
        self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> concurrent.futures.Future[T]:
        future: concurrent.futures.Future[T] = concurrent.futures.Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


_installed: list[Task] = []
"""In a process of a pool: its task, which is sent once."""


def _install(task: Task) -> None:
    _installed[:] = [task]


def _run_installed(x: Floats) -> Value:
    return _installed[0](x)


class Pool:
    """Workers: threads, processes, or those of an executor, which stays the caller's."""

    def __init__(
        self,
        task: Task,
        workers: int | concurrent.futures.Executor | None,
        processes: bool,
    ) -> None:
        self._task = task
        self._owned: concurrent.futures.Executor | None = None
        self._is_installed = False
        if isinstance(workers, concurrent.futures.Executor):
            if processes:
                raise ValueError("processes=True makes a pool: it can't be with an executor")
            self._executor = workers
            # Those of the standard library say how many they have.
            self.size = int(getattr(workers, "_max_workers", None) or os.cpu_count() or 1)
            return
        self.size = int(workers or os.cpu_count() or 1)
        if self.size < 1:
            raise ValueError("workers must be at least 1")
        if processes:
            self._owned = concurrent.futures.ProcessPoolExecutor(
                self.size, initializer=_install, initargs=(task,)
            )
            self._is_installed = True
        else:
            self._owned = concurrent.futures.ThreadPoolExecutor(self.size, "lbfgsd worker")
        self._executor = self._owned

    def submit(self, x: Floats) -> concurrent.futures.Future[Value]:
        if self._is_installed:
            return self._executor.submit(_run_installed, x)
        return self._executor.submit(self._task, x)

    def close(self) -> None:
        """Ends the workers, without those evaluations that have not begun."""
        if self._owned is not None:
            self._owned.shutdown(wait=True, cancel_futures=True)
