"""The trace of a run, and the events that a session's stream reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arrays import Floats
from .steps import Step


@dataclass(frozen=True)
class TracePoint:
    """An evaluation in the trace. `loss` and `gradient_norm_inf` are None if it failed."""

    evaluation: int
    step: int
    iteration: int
    loss: float | None
    gradient_norm_inf: float | None
    step_length: float
    time: str


@dataclass(frozen=True)
class Event:
    """An event of a session's stream; `kind` is "evaluation" or "step"."""

    kind: str
    id: int | None
    data: TracePoint | Step


@dataclass(frozen=True)
class Trace:
    """A run as columns, with one entry per evaluation. Loss and gradient norm are NaN where the
    evaluation failed."""

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
        """Plots loss and gradient norm over the evaluations. Returns the axes; needs matplotlib.

        Both share one logarithmic axis if all losses are positive; otherwise the loss has a linear
        axis of its own.
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
