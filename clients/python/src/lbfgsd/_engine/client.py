"""What `minimize` asks of a client, carried out by an optimizer in this process."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._errors import Infeasible
from .._model import ActiveSet, Evaluation, Floats, Turn
from .._stepping import LossAndGradient
from .library import EVALUATE
from .optimizer import LocalOptimizer

SESSION = "local"


@dataclass(frozen=True)
class LocalSession:
    """What `create_session` and `update_session` return."""

    id: str
    options: dict[str, Any]


class LocalClient:
    """A client of one session, which is an optimizer in this process. It has those of `Client`'s
    methods that a run uses; their `session` is always the same."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._steps = self._evaluations = 0

    def create_session(
        self,
        x0: ArrayLike,
        *,
        options: Mapping[str, Any],
        name: None = None,
        labels: None = None,
        lower: ArrayLike | None = None,
        upper: ArrayLike | None = None,
        l1: ArrayLike | None = None,
    ) -> LocalSession:
        x = np.ascontiguousarray(x0, dtype=np.float64)
        robust = options.get("mode") == "robust"
        self._options = {"reuse_evaluation": robust, "line_search_fn": None, **options}
        self._optimizer = LocalOptimizer(self._path, x, self._options)
        if lower is not None or upper is not None:
            self._optimizer.set_bounds(_spread(lower, x), _spread(upper, x))
        weights = _spread(l1, x)
        if weights is not None:
            self._optimizer.set_l1(weights)
        return LocalSession(SESSION, dict(self._options))

    def update_session(self, session: Any, *, options: Mapping[str, Any]) -> LocalSession:
        changed = {**self._options, **options}
        self._optimizer.set_options(changed)
        self._options = changed
        return LocalSession(SESSION, dict(changed))

    def begin_step(self, session: Any) -> Turn:
        self._steps += 1
        return self._turn(self._optimizer.begin())

    def run_step(
        self,
        objective: Callable[[Floats], LossAndGradient],
        ends: Callable[[Floats, float], bool],
    ) -> Turn:
        """Runs a whole step, as `begin_step` and `tell` do, without a `Turn` for each evaluation.

        `objective` gets the same array each time, with other numbers, and may raise `Infeasible`.
        `ends(x, loss)` ends the step after the evaluation.
        """
        self._steps += 1
        optimizer = self._optimizer
        read_trial, advance, x = optimizer.read_trial, optimizer.advance, optimizer.trial
        status, has_ended = optimizer.begin(), False
        while status == EVALUATE:
            if has_ended:
                status = optimizer.stop()
                break
            read_trial()
            try:
                loss, gradient = objective(x)
            except Infeasible:
                status = advance(math.nan, None)
            else:
                has_ended = ends(x, loss)
                status = advance(loss, gradient)
        return self._turn(status)

    def tell(self, session: Any, number: int, loss: Any, gradient: ArrayLike) -> Turn:
        numbers = np.ascontiguousarray(gradient, dtype=np.float64)
        if numbers.shape != (self._optimizer.n,):
            message = f"the gradient has {numbers.size} numbers, x has {self._optimizer.n}"
            raise ValueError(message)
        return self._turn(self._optimizer.advance(float(loss), numbers))

    def tell_failed(self, session: Any, number: int, reason: str) -> Turn:
        return self._turn(self._optimizer.advance(np.nan, None))

    def stop(self, session: Any) -> Turn:
        return self._turn(self._optimizer.stop())

    def active_set(self, session: Any) -> ActiveSet:
        return self._optimizer.active_set()

    def get_state_dict(self, session: Any, *, format: str | None = None) -> dict[str, Any]:
        """The part of torch's state that `hess_inv` is made of."""
        s, y = self._optimizer.pairs()
        return {"state": {0: {"old_stps": list(s), "old_dirs": list(y)}}}

    def _turn(self, status: int) -> Turn:
        if status != EVALUATE:
            x, result = self._optimizer.x, self._optimizer.result()
            return Turn(SESSION, "idle", self._steps, None, x, result)
        self._evaluations += 1
        begun, loss = self._optimizer.progress()
        evaluation = Evaluation(self._evaluations, self._optimizer.point)
        return Turn(
            SESSION,
            "evaluating",
            self._steps,
            evaluation,
            None,
            None,
            # The one that the trial belongs to has not ended.
            iterations=max(0, begun - 1),
            loss=loss,
        )


def _spread(values: ArrayLike | None, x: Floats) -> Floats | None:
    """One number for each of x."""
    if values is None:
        return None
    return np.ascontiguousarray(np.broadcast_to(np.asarray(values, dtype=np.float64), x.shape))
