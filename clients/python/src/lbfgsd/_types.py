"""What the server answers, as values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.floating[Any]]
"""Float64, or Float32 of a session that is."""
StateDict = dict[str, Any]
Options = Mapping[str, Any]


@dataclass(frozen=True)
class ParameterSpec:
    name: str | None
    shape: tuple[int, ...]


@dataclass(frozen=True)
class ParamGroup:
    """A parameter group: the positions of its parameters, and how many numbers they have. A frozen
    group doesn't move."""

    index: int
    name: str | None
    frozen: bool
    params: tuple[int, ...]
    param_names: tuple[str, ...] | None
    count: int


@dataclass(frozen=True)
class LineSearchFailure:
    """The line search that found no point: the interval of step lengths that was left, the slope at
    its start, the lowest loss of its trials less the loss at the start (None when no trial was
    finite), what counted as noise in it, and the direction that lengths are along."""

    step_length_lower: float
    step_length_upper: float
    slope: float
    loss_change: float | None
    loss_noise: float
    direction_norm_inf: float
    trials: int

    def __str__(self) -> str:
        trials = "1 trial" if self.trials == 1 else f"{self.trials} trials"
        change = "no finite loss"
        if self.loss_change is not None:
            change = f"a change of the loss by {self.loss_change:.2g} at best"
        return (
            f"{trials}, step lengths {self.step_length_lower:.2g} to {self.step_length_upper:.2g} "
            f"left, {change} (noise {self.loss_noise:.2g}), slope {self.slope:.2g}, "
            f"max|direction| {self.direction_norm_inf:.2g}"
        )


@dataclass(frozen=True)
class StepResult:
    """How a step ended, and why; with the `failure` if the reason is "line_search_failed"."""

    reason: str
    converged: bool
    loss_before: float | None
    loss: float | None
    iterations: int
    evaluations: int
    gradient_norm_inf: float | None
    failure: LineSearchFailure | None = None


@dataclass(frozen=True)
class Best:
    """The lowest finite loss that a session was told, the highest if it maximizes, and the number
    of its evaluation."""

    loss: float
    evaluation: int


@dataclass(frozen=True)
class Origin:
    """The checkpoint that a fork was made from."""

    session: str
    checkpoint: str


@dataclass(frozen=True)
class SessionSummary:
    """A line of the list of sessions."""

    id: str
    name: str | None
    labels: dict[str, str]
    state: str
    dtype: str
    n: int
    step: int
    evaluation: int
    loss: float | None
    origin: Origin | None
    created_at: str
    updated_at: str

    def __str__(self) -> str:
        return self.id


@dataclass(frozen=True)
class Session(SessionSummary):
    """A session without its vectors. `shards` is how many parts its evaluations are told in, if
    any; `etag` is for `if_match`."""

    params: tuple[ParameterSpec, ...]
    options: dict[str, Any]
    shards: int | None
    param_groups: tuple[ParamGroup, ...]
    memory_bytes_estimate: int
    disk_bytes: int
    best: Best | None = None
    etag: str | None = None

    def __str__(self) -> str:
        return self.id


@dataclass(frozen=True)
class Shards:
    """The parts that an evaluation is told in: how many, and which of 0, 1 ... have been told."""

    count: int
    delivered: tuple[int, ...]

    @property
    def missing(self) -> tuple[int, ...]:
        return tuple(i for i in range(self.count) if i not in self.delivered)


@dataclass(frozen=True)
class Evaluation:
    """A call of the closure that the session waits for; with `shards` if it is told in parts."""

    number: int
    x: Floats
    shards: Shards | None = None


@dataclass(frozen=True)
class Lease:
    """One shard of an evaluation, held by one worker until `expires_at`."""

    session: str
    evaluation: int
    shard: int
    shards: int
    worker: str
    expires_at: str
    x: Floats


@dataclass(frozen=True)
class Hook:
    """A registered hook. One that intercepts has a deadline and a default, one that observes a URL;
    the secret that signs its messages is shown only when the hook is created."""

    id: str
    event: str
    kind: str
    deadline_seconds: float | None = None
    default: str | None = None
    url: str | None = None
    secret: str | None = field(default=None, repr=False)
    created_at: str | None = None

    def __str__(self) -> str:
        return self.id


@dataclass(frozen=True)
class Delivery:
    """A message of a hook that observes, and what became of it: `status` is "pending", "delivered"
    or "failed", which is given up."""

    id: str
    hook: str
    event: str
    url: str
    status: str
    attempts: int
    created_at: str
    next_attempt_at: str | None
    last_attempt_at: str | None
    last_outcome: str | None

    def __str__(self) -> str:
        return self.id


@dataclass(frozen=True)
class HookCall:
    """A hook that waits for its answer: what it was called with, and what happens (`default`:
    "continue" or "abort") when nobody has answered by the `deadline`."""

    number: int
    hook: str
    event: str
    deadline: str
    default: str
    options: dict[str, Any] | None = None
    """Of the step that is to begin."""
    state_dict: StateDict | None = None
    result: StepResult | None = None
    """Of the step that has ended."""


@dataclass(frozen=True)
class Turn:
    """Where a session stands: with an `evaluation` or a `hook_call` that it waits for, or idle at
    `x`.

    `replayed` says that the request had been carried out before and changed nothing now.
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


@dataclass(frozen=True)
class Tell:
    """One of many results, for `evaluate`: a loss with a gradient, flat or by the parameters'
    names, or why the evaluation failed."""

    session: str | SessionSummary
    number: int
    loss: Any = None
    gradient: ArrayLike | None = None
    gradients: Mapping[str, ArrayLike | None] | None = None
    failed: str | None = None


@dataclass(frozen=True)
class Step:
    session: str
    step: int
    state: str
    started_at: str
    ended_at: str | None
    first_evaluation: int | None
    last_evaluation: int | None
    result: StepResult | None


@dataclass(frozen=True)
class Parameter:
    name: str | None
    values: Floats


@dataclass(frozen=True)
class Parameters:
    """The parameters in their shapes; `x` has them flat, in one vector, which may be the memory
    that they share."""

    dtype: str
    params: tuple[Parameter, ...]
    etag: str | None = None
    _flat: Floats | None = field(default=None, repr=False, compare=False)

    @property
    def x(self) -> Floats:
        if self._flat is not None:
            return self._flat
        return np.concatenate([param.values.reshape(-1) for param in self.params])

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self.params)

    def __len__(self) -> int:
        return len(self.params)

    def __getitem__(self, key: int | str) -> Floats:
        """By position or by name."""
        if isinstance(key, int):
            return self.params[key].values
        for param in self.params:
            if param.name == key:
                return param.values
        raise KeyError(key)


@dataclass(frozen=True)
class Checkpoint:
    id: str
    session: str
    name: str | None
    state: str
    step: int
    evaluation: int
    loss: float | None
    created_at: str

    def __str__(self) -> str:
        return self.id


@dataclass(frozen=True)
class TracePoint:
    """One evaluation. `loss` and `gradient_norm_inf` are None when it failed."""

    evaluation: int
    step: int
    iteration: int
    loss: float | None
    gradient_norm_inf: float | None
    step_length: float
    time: str


@dataclass(frozen=True)
class Event:
    """What a session's stream says: `kind` is "evaluation" or "step"."""

    kind: str
    id: int | None
    data: TracePoint | Step


@dataclass(frozen=True)
class Trace:
    """A run, one entry an evaluation; what failed has NaN for loss and gradient norm."""

    session: str
    evaluation: NDArray[np.int64]
    step: NDArray[np.int64]
    iteration: NDArray[np.int64]
    loss: Floats
    gradient_norm_inf: Floats
    step_length: Floats
    failed: NDArray[np.bool_]
    time: NDArray[np.datetime64]

    @classmethod
    def of(cls, session: str, points: list[TracePoint]) -> Trace:
        def floats(values: list[float | None]) -> Floats:
            return np.array([np.nan if v is None else v for v in values], dtype=np.float64)

        return cls(
            session=session,
            evaluation=np.array([p.evaluation for p in points], dtype=np.int64),
            step=np.array([p.step for p in points], dtype=np.int64),
            iteration=np.array([p.iteration for p in points], dtype=np.int64),
            loss=floats([p.loss for p in points]),
            gradient_norm_inf=floats([p.gradient_norm_inf for p in points]),
            step_length=floats([p.step_length for p in points]),
            failed=np.array([p.loss is None for p in points], dtype=np.bool_),
            time=np.array([p.time.rstrip("Z") for p in points], dtype="datetime64[us]"),
        )

    def __len__(self) -> int:
        return len(self.evaluation)

    def plot(self, axes: Any = None) -> Any:
        """Draws loss and gradient norm over the evaluations; needs matplotlib. Returns the axes.

        Both on one logarithmic axis when all losses are positive, otherwise the loss on a linear
        one of its own.
        """
        if axes is None:
            try:
                import matplotlib.pyplot as plt
            except ImportError as error:
                raise ImportError('plot() needs matplotlib: install "lbfgsd[plot]"') from error
            axes = plt.figure().subplots()
        finite = self.loss[np.isfinite(self.loss)]
        shared = bool(finite.size) and bool((finite > 0).all())
        norms = axes if shared else axes.twinx()
        drawn = axes.plot(self.evaluation, self.loss, ".-", color="C0", label="loss")
        drawn += norms.plot(
            self.evaluation, self.gradient_norm_inf, ".-", color="C1", label="max|gradient|"
        )
        norms.set_yscale("log")
        axes.set_xlabel("evaluation")
        if not shared:
            axes.set_ylabel("loss")
            norms.set_ylabel("max|gradient|")
        axes.legend(handles=drawn)
        axes.set_title(self.session)
        return axes


__all__ = [
    "Best",
    "Checkpoint",
    "Delivery",
    "Evaluation",
    "Event",
    "Floats",
    "Hook",
    "HookCall",
    "Lease",
    "LineSearchFailure",
    "Options",
    "Origin",
    "ParamGroup",
    "Parameter",
    "ParameterSpec",
    "Parameters",
    "Session",
    "SessionSummary",
    "Shards",
    "StateDict",
    "Step",
    "StepResult",
    "Trace",
    "TracePoint",
    "Turn",
]
