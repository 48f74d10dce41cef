"""What the server answers, as values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ParameterSpec:
    name: str | None
    shape: tuple[int, ...]


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
    """A session without its vectors. `etag` is for `if_match`."""

    params: tuple[ParameterSpec, ...]
    options: dict[str, Any]
    memory_bytes_estimate: int
    etag: str | None = None

    def __str__(self) -> str:
        return self.id


@dataclass(frozen=True)
class Evaluation:
    """A call of the closure that the session waits for."""

    number: int
    x: Floats


@dataclass(frozen=True)
class StepResult:
    """How a step ended, and why."""

    reason: str
    converged: bool
    loss_before: float | None
    loss: float | None
    iterations: int
    evaluations: int
    gradient_norm_inf: float | None


@dataclass(frozen=True)
class Turn:
    """Where a session stands: with an `evaluation` that it waits for, or idle at `x`.

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
    """The parameters in their shapes; `x` has them flat, in one vector."""

    dtype: str
    params: tuple[Parameter, ...]
    etag: str | None = None

    @property
    def x(self) -> Floats:
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


StateDict = dict[str, Any]
Options = Mapping[str, Any]

__all__ = [
    "Checkpoint",
    "Evaluation",
    "Event",
    "Floats",
    "Options",
    "Origin",
    "Parameter",
    "ParameterSpec",
    "Parameters",
    "Session",
    "SessionSummary",
    "StateDict",
    "Step",
    "StepResult",
    "Trace",
    "TracePoint",
    "Turn",
]
