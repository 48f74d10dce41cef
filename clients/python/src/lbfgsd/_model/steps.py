"""Steps, the evaluations that they ask for, and the results that they are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import ArrayLike

from .arrays import Floats
from .hooks import HookCall
from .results import StepResult
from .sessions import SessionSummary


@dataclass(frozen=True)
class Shards:
    """The parts that an evaluation is told in: their number, and the indices (0, 1, ...) of those
    that have been told."""

    count: int
    delivered: tuple[int, ...]

    @property
    def missing(self) -> tuple[int, ...]:
        return tuple(i for i in range(self.count) if i not in self.delivered)


@dataclass(frozen=True)
class Evaluation:
    """A call of the closure that the session waits for, at the point `x`; with `shards` if its
    result is told in parts."""

    number: int
    x: Floats
    shards: Shards | None = None


@dataclass(frozen=True)
class Lease:
    """One shard of an evaluation, reserved for one worker until `expires_at`."""

    session: str
    evaluation: int
    shard: int
    shards: int
    worker: str
    expires_at: str
    x: Floats


@dataclass(frozen=True)
class Turn:
    """The position of a session: the `evaluation` or the `hook_call` that it waits for, or, when it
    is idle, the point `x` that it has reached.

    `replayed` is true if the server had already carried out the request, so that this repetition
    changed nothing.
    """

    session: str
    state: str
    step: int
    evaluation: Evaluation | None
    x: Floats | None
    result: StepResult | None
    etag: str | None = None
    replayed: bool = False
    hook_call: HookCall | None = None
    iterations: int | None = None
    """While an evaluation is wanted: the iterations of the running step that have ended."""
    loss: float | None = None
    """With these: the loss at the point that they have reached, if it is known."""


@dataclass(frozen=True)
class Tell:
    """One result among those that `evaluate` sends: a loss with a gradient, flat or by parameter
    name, or the reason why the evaluation failed."""

    session: str | SessionSummary
    number: int
    loss: Any = None
    gradient: ArrayLike | None = None
    gradients: Mapping[str, ArrayLike | None] | None = None
    failed: str | None = None


@dataclass(frozen=True)
class Step:
    """A step of a session, running or ended."""

    session: str
    step: int
    state: str
    started_at: str
    ended_at: str | None
    first_evaluation: int | None
    last_evaluation: int | None
    result: StepResult | None
