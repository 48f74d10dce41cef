"""One optimizer of the library."""

from __future__ import annotations

import ctypes
import math
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .._model import ActiveSet, Floats, LineSearchFailure, StepResult
from .library import (
    DTYPES,
    LINE_SEARCHES,
    MODES,
    ActiveBoundStruct,
    ErrorStruct,
    OptionsStruct,
    ResultStruct,
    load,
)

SIDES = {-1: "lower", 0: "fixed", 1: "upper"}


class LocalOptimizer:
    """An optimizer in float64, whose vectors are NumPy's. One thread at a time uses it. Errors of
    the library are `ValueError`s."""

    def __init__(self, path: Path, x0: Floats, options: Mapping[str, Any]) -> None:
        self._library = load(path)
        self.n = x0.size
        self._pointer = ctypes.c_void_p()
        # Used by every call: making them anew takes longer than the call.
        self._error = ErrorStruct()
        self._found = ResultStruct(size=ctypes.sizeof(ResultStruct))
        self._call(
            "create",
            ctypes.byref(self._pointer),
            x0.size,
            _data(x0),
            read_options(self._library, options),
        )
        weakref.finalize(self, self._library.lbfgsd_destroy, self._pointer)

    def set_options(self, options: Mapping[str, Any]) -> None:
        self._call("set_options", self._pointer, read_options(self._library, options))

    def set_bounds(self, lower: Floats | None, upper: Floats | None) -> None:
        self._call("set_bounds", self._pointer, _data(lower), _data(upper))

    def set_l1(self, weights: Floats) -> None:
        self._call("set_l1", self._pointer, _data(weights))

    def begin(self) -> int:
        return self._call("begin", self._pointer, None)

    def advance(self, loss: float, gradient: Floats | None) -> int:
        return self._call("advance", self._pointer, loss, _data(gradient))

    def stop(self) -> int:
        return self._call("stop", self._pointer)

    @property
    def point(self) -> Floats:
        """A copy of the point that is to be evaluated."""
        return self._copied(self._library.lbfgsd_point(self._pointer))

    @property
    def x(self) -> Floats:
        """A copy of the last point that was accepted."""
        return self._copied(self._library.lbfgsd_x(self._pointer))

    def progress(self) -> tuple[int, float | None]:
        """The iterations that the running step has begun, and the loss at the last point that was
        accepted, if it is known."""
        self._call("get_result", self._pointer, ctypes.byref(self._found))
        return self._found.iterations, _known(self._found.loss)

    def result(self) -> StepResult:
        """The result of the last step, or so far."""
        found = self._found
        self._call("get_result", self._pointer, ctypes.byref(found))
        return step_result(self._library, found)

    def active_set(self) -> ActiveSet:
        count = ctypes.c_size_t()
        active = (ActiveBoundStruct * self.n)()
        self._call("get_active_bounds", self._pointer, active, self.n, ctypes.byref(count))
        found = active[: count.value]
        index = np.array([bound.index for bound in found], dtype=np.int64)
        return ActiveSet(
            index=index,
            side=np.array([SIDES[bound.side] for bound in found], dtype="<U5"),
            # A number that is at a bound is the bound.
            value=self.x[index],
            multiplier=np.array([bound.multiplier for bound in found], dtype=np.float64),
        )

    def pairs(self) -> tuple[Floats, Floats]:
        """The steps s and the changes of the gradient y of the history, oldest first."""
        count = ctypes.c_size_t()
        self._call("get_pairs", self._pointer, None, None, 0, ctypes.byref(count))
        s, y = np.empty((2, count.value, self.n))
        self._call("get_pairs", self._pointer, _data(s), _data(y), count.value, ctypes.byref(count))
        return s, y

    def _call(self, name: str, *arguments: Any) -> int:
        function = getattr(self._library, f"lbfgsd_{name}")
        status: int = function(*arguments, ctypes.byref(self._error))
        if status < 0:
            raise ValueError(self._error.text.decode())
        return status

    def _copied(self, pointer: Any) -> Floats:
        numbers: Floats = np.empty(self.n)
        ctypes.memmove(numbers.ctypes.data, pointer, numbers.nbytes)
        return numbers


def read_options(library: Any, options: Mapping[str, Any]) -> Any:
    """The options of a session, as the library takes them."""
    given = dict(options)
    mode = _choice(MODES, "mode", given.pop("mode", "torch"))
    read = OptionsStruct()
    library.lbfgsd_options_init(ctypes.byref(read), ctypes.sizeof(read), mode)
    read.line_search = _choice(LINE_SEARCHES, "line_search_fn", given.pop("line_search_fn", None))
    read.history_dtype = _choice(DTYPES, "history_dtype", given.pop("history_dtype", None))
    noise = given.pop("noise", None)
    if noise is not None:
        epsilon = {"float64": np.finfo(float).eps, "float32": np.finfo(np.float32).eps}
        read.noise = epsilon.get(noise, noise)
        if not read.noise >= 0:
            raise ValueError(f"noise must be at least 0, not {noise}")
    for name, value in given.items():
        if name not in {field[0] for field in OptionsStruct._fields_}:
            raise TypeError(f"unknown option: {name}")
        if value is not None:
            setattr(read, name, value)
    return ctypes.byref(read)


def step_result(library: Any, found: ResultStruct) -> StepResult:
    """A result of the library."""
    failure = None
    if found.failed_search_trials > 0:
        failure = LineSearchFailure(
            step_length_lower=found.failed_search_step_length_lower,
            step_length_upper=found.failed_search_step_length_upper,
            slope=found.failed_search_slope,
            loss_change=_known(found.failed_search_loss_change),
            loss_noise=found.failed_search_loss_noise,
            direction_norm_inf=found.failed_search_direction_norm_inf,
            trials=found.failed_search_trials,
        )
    return StepResult(
        reason=library.lbfgsd_reason_name(found.reason).decode(),
        converged=bool(found.converged),
        loss_before=_known(found.loss_before),
        loss=_known(found.loss),
        iterations=found.iterations,
        evaluations=found.evaluations,
        gradient_norm_inf=_known(found.gradient_norm_inf),
        failure=failure,
        projected_gradient_norm_inf=_known(found.projected_gradient_norm_inf),
        active_bounds=None if found.active_bounds < 0 else found.active_bounds,
    )


def _data(vector: Floats | None) -> Any:
    """The address of a vector's numbers; None for none."""
    if vector is None:
        return None
    assert vector.dtype == np.float64 and vector.flags.c_contiguous
    return vector.ctypes.data


def _choice(numbers: Mapping[Any, int], name: str, value: Any) -> int:
    if value not in numbers:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, numbers))}, not {value!r}")
    return numbers[value]


def _known(number: float) -> float | None:
    return None if math.isnan(number) else number
