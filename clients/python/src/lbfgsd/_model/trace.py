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
    """An evaluation in the trace. `loss` and `gradient_norm_inf` are None if it failed.

    Of a line search, `slope` is g.d at the trial point, `start_loss` and `start_slope` are what the
    search began with, and `accepted_step_length` is, with the evaluation that ends the search, t of
    the point that the iteration moved to. `accepted` is whether this is that point, or None while
    that is open."""

    evaluation: int
    step: int
    iteration: int
    loss: float | None
    gradient_norm_inf: float | None
    step_length: float
    time: str
    slope: float | None = None
    start_loss: float | None = None
    start_slope: float | None = None
    accepted_step_length: float | None = None
    accepted: bool | None = None


@dataclass(frozen=True)
class Event:
    """An event of a session's stream; `kind` is "evaluation" or "step".

    In a stream of many sessions `session` says whose it is, and `kind` may be "created", "deleted"
    or "expiring" too, or "reconnected": events may have been missed. These have no data."""

    kind: str
    id: int | None
    data: TracePoint | Step | None
    session: str | None = None


@dataclass(frozen=True)
class Trace:
    """A run as columns, with one entry per evaluation. Loss and gradient norm are NaN where the
    evaluation failed; `slope`, `start_loss` and `start_slope` are NaN outside of a line search;
    `accepted` is whether the point is known to be one that an iteration moved to."""

    session: str
    evaluation: NDArray[np.int64]
    step: NDArray[np.int64]
    iteration: NDArray[np.int64]
    loss: Floats
    gradient_norm_inf: Floats
    step_length: Floats
    failed: NDArray[np.bool_]
    time: NDArray[np.datetime64]
    slope: Floats
    start_loss: Floats
    start_slope: Floats
    accepted: NDArray[np.bool_]

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
            slope=floats([p.slope for p in points]),
            start_loss=floats([p.start_loss for p in points]),
            start_slope=floats([p.start_slope for p in points]),
            accepted=np.array([bool(p.accepted) for p in points], dtype=np.bool_),
        )

    def __len__(self) -> int:
        return len(self.evaluation)

    def plot(
        self,
        ax: Any = None,
        *,
        color: Any = None,
        gradient_color: Any = None,
        label: str | None = "loss",
        gradient_label: str | None = "max|gradient|",
        **line: Any,
    ) -> Any:
        """Plots loss and gradient norm over the evaluations, on `ax` or on axes of a new figure.
        Returns the axes; needs matplotlib.

        Both share one logarithmic axis if all losses are positive; otherwise the loss has a linear
        axis of its own. Colours are the next ones of the axes' cycle unless they are given, so that
        several runs may share axes: `label` and `gradient_label` then tell them apart, and with
        `gradient_label=None` the gradient is left out. `line` goes to matplotlib's `plot`, such as
        linewidth=1 or marker="".
        """
        if ax is None:
            try:
                import matplotlib.pyplot as plt
            except ImportError as error:
                raise ImportError('plot() needs matplotlib: install "lbfgsd[plot]"') from error
            ax = plt.figure().subplots()
        line = {"marker": ".", "linestyle": "-", **line}
        finite = self.loss[np.isfinite(self.loss)]
        is_positive = bool(finite.size) and bool((finite > 0).all())
        # Other runs may have drawn what has no logarithm.
        shared = is_positive and (not ax.lines or ax.get_yscale() == "log")
        ax.plot(self.evaluation, self.loss, color=color, label=label, **line)
        if shared:
            ax.set_yscale("log")
        if gradient_label is not None:
            norms = ax if shared else ax.twinx()
            if gradient_color is None and not shared:
                # The second axes have a cycle of their own, which would begin with the same colour.
                gradient_color = "C1"
            norms.plot(
                self.evaluation,
                self.gradient_norm_inf,
                color=gradient_color,
                label=gradient_label,
                **line,
            )
            norms.set_yscale("log")
            if not shared:
                norms.set_ylabel(gradient_label)
        ax.set_xlabel("evaluation")
        if not shared:
            ax.set_ylabel("loss")
        handles = [drawn for its in ax.figure.axes for drawn in its.lines if _is_at(its, ax)]
        ax.legend(handles=[drawn for drawn in handles if not drawn.get_label().startswith("_")])
        if not ax.get_title():
            ax.set_title(self.session)
        return ax

    def to_frame(self) -> Any:
        """The trace as a pandas DataFrame with a row for each evaluation, by whose number it is
        indexed. Needs pandas."""
        try:
            import pandas
        except ImportError as error:
            raise ImportError('to_frame() needs pandas: install "lbfgsd[pandas]"') from error
        names = ("step", "iteration", "loss", "gradient_norm_inf", "step_length", "failed", "time")
        index = pandas.Index(self.evaluation, name="evaluation")
        return pandas.DataFrame({name: getattr(self, name) for name in names}, index=index)


def _is_at(axes: Any, other: Any) -> bool:
    """Whether axes are in the place of others, as `twinx` makes them."""
    return bool(axes.get_position().bounds == other.get_position().bounds)
