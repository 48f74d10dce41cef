"""One step over the ranks, and `minimize`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._engine.library import LIBRARY, library_path
from .._errors import Infeasible
from .._model import Floats, StepResult
from .communicators import Communicator, LocalCommunicator
from .coordinator import REPORT_FIXED, Command, Coordinator
from .worker import NumPyVectors, Worker, added

_FAILED = math.nan


def new_coordinator(dtype: str, options: dict[str, Any]) -> Coordinator:
    """The engine, which rank 0 has."""
    path = library_path()
    if path is None:
        raise RuntimeError(f"this installation has no liblbfgsd.so; ${LIBRARY} can name one")
    return Coordinator(path, dtype, options)


def run_step(
    coordinator: Coordinator | None,
    worker: Worker,
    communicator: Communicator,
    evaluate: Callable[[Any], tuple[float, Any]],
) -> StepResult:
    """Runs one step on all ranks.

    `evaluate` gets this rank's slice of the point, and returns its part of the loss and its slice
    of the gradient, or NaN and None where they are undefined. An exception on one rank ends the
    step on all of them, at the best point so far, and is raised on that rank; the others raise
    `RuntimeError`.
    """
    if coordinator is not None:
        coordinator.begin()
    error: BaseException | None = None
    while True:
        command = Command.read(
            communicator.broadcast(None if coordinator is None else coordinator.command())
        )
        worker.execute(command)
        if command.trial is None:
            break
        loss, gradient = _FAILED, None
        if error is None:
            try:
                loss, gradient = evaluate(worker.point(command.trial))
            except Infeasible:
                loss, gradient = _FAILED, None
            except BaseException as raised:
                error = raised
        pairs = len(worker.steps)
        if gradient is None:
            # A rank without a gradient still takes part.
            message = np.full(2 + REPORT_FIXED + 4 * pairs, _FAILED)
        else:
            message = np.concatenate([[0.0, loss], worker.report(gradient, command.trial)])
        message[0] = 0.0 if error is None else 1.0
        reports = communicator.gather(message)
        if coordinator is not None:
            assert reports is not None
            if any(report[0] != 0 for report in reports):
                coordinator.stop()
            else:
                loss = float(sum(float(report[1]) for report in reports))
                coordinator.advance(loss, added([report[2:] for report in reports]))
    return _shared_result(coordinator, communicator, error)


def _shared_result(
    coordinator: Coordinator | None, communicator: Communicator, error: BaseException | None
) -> StepResult:
    """The result, which rank 0 has, on all ranks."""
    numbers = None
    if coordinator is not None:
        found = coordinator.result()
        text = found.reason.encode()
        numbers = np.array(
            [
                float(found.converged),
                _number(found.loss_before),
                _number(found.loss),
                found.iterations,
                found.evaluations,
                _number(found.gradient_norm_inf),
                *text,
            ]
        )
    shared = communicator.broadcast(numbers)
    if error is not None:
        raise error
    result = StepResult(
        reason=bytes(int(octet) for octet in shared[6:]).decode(),
        converged=bool(shared[0]),
        loss_before=_known(shared[1]),
        loss=_known(shared[2]),
        iterations=int(shared[3]),
        evaluations=int(shared[4]),
        gradient_norm_inf=_known(shared[5]),
        failure=None,
        projected_gradient_norm_inf=None,
        active_bounds=None,
    )
    if result.reason == "stopped":
        raise RuntimeError("another rank has raised an exception, which has ended the step")
    return result


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


@dataclass(frozen=True)
class DistributedResult:
    """What `minimize` returns on every rank."""

    x: Floats
    """This rank's slice of the point."""
    fun: float
    """The loss there, of all ranks."""
    reason: str
    """Why the run ended; see `lbfgsd.StepResult`."""
    success: bool
    nit: int
    nfev: int
    gradient_norm_inf: float | None


def minimize(
    fun: Callable[[Floats], tuple[float, Floats]],
    x0: Any,
    *,
    communicator: Communicator | None = None,
    **options: Any,
) -> DistributedResult:
    """Minimizes a function whose parameters are spread over ranks. Every rank calls it.

    `fun(x)` gets this rank's slice, an array of x0's length and precision (float32 or float64),
    and returns its part of the loss, and the gradient of the whole loss by this slice. The parts
    are added up. A loss that is not finite, or `lbfgsd.Infeasible`, marks the point as infeasible,
    if any rank says so. `options` are those of a session (`mode="robust"` by default), such as
    `history_size`, `max_iter`, `tolerance_grad`.

    Cost for each rank and evaluation: two messages (2 m + 14 numbers down, 4 m + 12 up), 4 m + 6
    dot products over the slice, and where an iteration ends 2 m additions.
    """
    communicator = LocalCommunicator() if communicator is None else communicator
    x = np.array(x0)
    if x.ndim != 1 or x.dtype not in (np.float64, np.float32):
        raise ValueError(
            "x0 must be an array of one dimension in float64 or float32, not of "
            f"{x.ndim} dimensions in {x.dtype}"
        )
    if not np.isfinite(x).all():
        raise ValueError("x0 must be finite")
    given = {"mode": "robust", "max_iter": 15000, "history_size": 10, **options}
    coordinator = new_coordinator(x.dtype.name, given) if communicator.rank() == 0 else None
    worker = Worker(x, NumPyVectors())

    def evaluate(point: Any) -> tuple[float, Any]:
        # The caller may keep the point, or write to it.
        loss, gradient = fun(point.copy())
        slice_of_gradient = np.array(gradient, dtype=x.dtype)
        if slice_of_gradient.shape != x.shape:
            raise ValueError(
                f"the gradient must have {x.size} numbers, not the shape {slice_of_gradient.shape}"
            )
        return float(loss), slice_of_gradient

    result = run_step(coordinator, worker, communicator, evaluate)
    return DistributedResult(
        x=worker.x,
        fun=_number(result.loss),
        reason=result.reason,
        success=result.converged,
        nit=result.iterations,
        nfev=result.evaluations,
        gradient_norm_inf=result.gradient_norm_inf,
    )
