"""What `minimize` asks of a client, carried out by an optimizer in this process."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._errors import Infeasible
from .._model import ActiveSet, Evaluation, Floats, Parameter, Parameters, StateDict, Turn
from .._stepping import LossAndGradient
from .library import EVALUATE
from .optimizer import LocalOptimizer
from .snapshots import Snapshot

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
        self.steps = self.evaluations = 0
        """The numbers of the newest step, and of its newest evaluation."""

    def create_session(
        self,
        x0: ArrayLike | None = None,
        *,
        options: Mapping[str, Any],
        params: Sequence[ArrayLike] = (),
        dtype: str = "float64",
        name: None = None,
        labels: None = None,
        lower: ArrayLike | None = None,
        upper: ArrayLike | None = None,
        l1: ArrayLike | None = None,
    ) -> LocalSession:
        if x0 is None:
            x0 = np.concatenate([np.asarray(values).reshape(-1) for values in params])
        x: Floats = np.ascontiguousarray(x0, dtype=dtype)
        given = dict(options)
        self.sign = -1.0 if given.pop("maximize", False) else 1.0
        robust = given.get("mode") == "robust"
        self._options = {"mode": "torch", "reuse_evaluation": robust, "line_search_fn": None}
        self._options |= given
        self.optimizer = LocalOptimizer(self._path, x, self._options)
        if lower is not None or upper is not None:
            self.optimizer.set_bounds(_spread(lower, x), _spread(upper, x))
        if l1 is not None:
            self.optimizer.set_l1(_spread(l1, x))
        return LocalSession(SESSION, dict(self._options))

    def restore(
        self, snapshot: bytes, options: Mapping[str, Any], steps: int, evaluations: int
    ) -> Turn | None:
        """Goes on from a snapshot. The turn if an evaluation is wanted."""
        self.optimizer = LocalOptimizer.restored(self._path, snapshot)
        self._options, self.steps, self.evaluations = dict(options), steps, evaluations
        if self.optimizer.wants != EVALUATE:
            return None
        self.evaluations -= 1
        self.optimizer.read_trial()
        return self._turn(EVALUATE)

    @property
    def is_stepping(self) -> bool:
        """Whether an evaluation is wanted."""
        return self.optimizer.is_stepping

    def snapshot(self) -> bytes:
        return self.optimizer.snapshot()

    def update_session(self, session: Any, *, options: Mapping[str, Any]) -> LocalSession:
        changed = {**self._options, **options}
        self.optimizer.set_options(changed)
        self._options = changed
        return LocalSession(SESSION, dict(changed))

    def begin(self) -> int:
        """Begins a step, whose evaluations are made with `optimizer`."""
        self.steps += 1
        return self.optimizer.begin()

    def begin_step(self, session: Any) -> Turn:
        return self._turn(self.begin())

    def run_step(
        self,
        objective: Callable[[Floats], LossAndGradient],
        ends: Callable[[Floats, float], bool],
    ) -> Turn:
        """Runs a whole step, as `begin_step` and `tell` do, without a `Turn` for each evaluation.

        `objective` gets the same array each time, with other numbers, and may raise `Infeasible`.
        `ends(x, loss)` ends the step after the evaluation.
        """
        optimizer = self.optimizer
        advance, x = optimizer.advance, optimizer.trial
        status, has_ended = self.begin(), False
        while status == EVALUATE:
            if has_ended:
                status = optimizer.stop()
                break
            try:
                loss, gradient = objective(x)
            except Infeasible:
                status = advance(math.nan, None)
            else:
                has_ended = ends(x, loss)
                status = advance(loss, gradient)
        return self._turn(status)

    def tell(self, session: Any, number: int, loss: Any, gradient: ArrayLike) -> Turn:
        numbers = np.ascontiguousarray(gradient, dtype=self.optimizer.dtype)
        if numbers.shape != (self.optimizer.n,):
            message = f"the gradient has {numbers.size} numbers, x has {self.optimizer.n}"
            raise ValueError(message)
        return self._turn(self.optimizer.advance(float(loss), numbers))

    def tell_failed(self, session: Any, number: int, reason: str) -> Turn:
        return self._turn(self.optimizer.advance(np.nan, None))

    def stop(self, session: Any) -> Turn:
        return self._turn(self.optimizer.stop())

    def active_set(self, session: Any) -> ActiveSet:
        return self.optimizer.active_set()

    def get_state_dict(self, session: Any, *, format: str | None = None) -> dict[str, Any]:
        """torch's state."""
        state = Snapshot.read(self.optimizer.snapshot()).torch_state()
        return {"state": {} if state is None else {0: state}}

    def load_state_dict(
        self, session: Any, state_dict: StateDict, *, format: str | None = None
    ) -> None:
        """Loads torch's state and the options of the first group."""
        self.update_session(session, options=_options(state_dict["param_groups"][0]))
        self.optimizer.load_torch_state(state_dict["state"].get(0))

    def get_params(self, session: Any) -> Parameters:
        x = self.optimizer.x
        return Parameters(x.dtype.name, (Parameter(None, x),), None, x)

    def set_params(self, session: Any, values: Floats) -> None:
        self.optimizer.set_x(np.ascontiguousarray(values, dtype=self.optimizer.dtype))

    def set_bounds(
        self,
        session: Any,
        lower: ArrayLike | None = None,
        upper: ArrayLike | None = None,
        l1: ArrayLike | None = None,
    ) -> None:
        x = self.optimizer.trial
        self.optimizer.set_l1(_spread(l1, x))
        self.optimizer.set_bounds(_spread(lower, x), _spread(upper, x))

    def _turn(self, status: int) -> Turn:
        if status != EVALUATE:
            x, result = self.optimizer.trial.copy(), self.optimizer.result()
            return Turn(SESSION, "idle", self.steps, None, x, result)
        self.evaluations += 1
        begun, loss = self.optimizer.progress()
        evaluation = Evaluation(self.evaluations, self.optimizer.trial.copy())
        return Turn(
            SESSION,
            "evaluating",
            self.steps,
            evaluation,
            None,
            None,
            # The one that the trial belongs to has not ended.
            iterations=max(0, begun - 1),
            loss=loss,
        )


def _options(group: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in group.items() if name != "params"}


def _spread(values: ArrayLike | None, x: Floats) -> Floats | None:
    """One number for each of x."""
    if values is None:
        return None
    return np.ascontiguousarray(np.broadcast_to(np.asarray(values, dtype=np.float64), x.shape))
