"""One optimizer of the library."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .._model import ActiveSet, Floats, LineSearchFailure, StepResult
from .library import (
    DTYPES,
    LINE_SEARCHES,
    MODES,
    OPTIONS,
    ActiveBoundStruct,
    ErrorStruct,
    OptionsStruct,
    ResultStruct,
    load,
)

PASSED_MAX = 1024
"""The most numbers of a gradient that are passed through memory with a known address."""
SIDES = {-1: "lower", 0: "fixed", 1: "upper"}


class LocalOptimizer:
    """An optimizer in float64, whose vectors are NumPy's. One thread at a time uses it. Errors of
    the library are `ValueError`s.

    What every evaluation needs is made once: pointers, the structure for errors, and memory through
    which vectors pass. To make such an object takes longer than the call that gets it.
    """

    def __init__(self, path: Path, x0: Floats, options: Mapping[str, Any]) -> None:
        self._pointer = ctypes.c_void_p()
        self._library = load(path)
        self._destroy = self._library.lbfgsd_destroy
        self.n = x0.size
        self._error = ErrorStruct()
        self._error_pointer = ctypes.byref(self._error)
        self._found = ResultStruct(size=ctypes.sizeof(ResultStruct))
        self._found_pointer = ctypes.byref(self._found)
        self._advance = self._library.lbfgsd_advance
        self._point = self._library.lbfgsd_point
        memory: Floats = np.empty(self.n + min(self.n, PASSED_MAX))
        self.trial: Floats = memory[: self.n]
        """Memory for the point that is to be evaluated, which `read_trial` writes."""
        self._gradient: Floats = memory[self.n :]
        self._trial_address, self._trial_bytes = _data(memory), self.trial.nbytes
        self._gradient_address = ctypes.c_void_p(self._trial_address + self._trial_bytes)
        self.trial[:] = x0
        created = ctypes.byref(self._pointer)
        self._call("create", created, self.n, self._trial_address, self._read(options))

    def __del__(self) -> None:
        # NULL, if there was an error.
        self._destroy(self._pointer)

    def set_options(self, options: Mapping[str, Any]) -> None:
        self._call("set_options", self._pointer, self._read(options))

    def set_bounds(self, lower: Floats | None, upper: Floats | None) -> None:
        self._call("set_bounds", self._pointer, _data(lower), _data(upper))

    def set_l1(self, weights: Floats) -> None:
        self._call("set_l1", self._pointer, _data(weights))

    def begin(self) -> int:
        return self._call("begin", self._pointer, None)

    def advance(self, loss: float, gradient: Floats | None) -> int:
        """Answers the evaluation. The gradient has n numbers, one after the other in memory."""
        if gradient is None:
            address: Any = None
        elif self.n <= PASSED_MAX:
            # To copy few numbers takes less time than to ask for their address.
            self._gradient[:] = gradient
            address = self._gradient_address
        else:
            address = _data(gradient)
        status: int = self._advance(self._pointer, loss, address, self._error_pointer)
        if status < 0:
            raise ValueError(self._error.text.decode())
        return status

    def stop(self) -> int:
        return self._call("stop", self._pointer)

    def read_trial(self) -> None:
        """Writes the point that is to be evaluated to `trial`."""
        ctypes.memmove(self._trial_address, self._point(self._pointer), self._trial_bytes)

    @property
    def point(self) -> Floats:
        """A copy of the point that is to be evaluated."""
        self.read_trial()
        return self.trial.copy()

    @property
    def x(self) -> Floats:
        """A copy of the last point that was accepted."""
        pointer = self._library.lbfgsd_x(self._pointer)
        ctypes.memmove(self._trial_address, pointer, self._trial_bytes)
        return self.trial.copy()

    def progress(self) -> tuple[int, float | None]:
        """The iterations that the running step has begun, and the loss at the last point that was
        accepted, if it is known."""
        self._call("get_result", self._pointer, self._found_pointer)
        return self._found.iterations, _known(self._found.loss)

    def result(self) -> StepResult:
        """The result of the last step, or so far."""
        found = self._found
        self._call("get_result", self._pointer, self._found_pointer)
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
            reason=self._library.lbfgsd_reason_name(found.reason).decode(),
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
        status: int = function(*arguments, self._error_pointer)
        if status < 0:
            raise ValueError(self._error.text.decode())
        return status

    def _read(self, options: Mapping[str, Any]) -> Any:
        """The options of a session, as the library takes them."""
        given = dict(options)
        mode = _choice(MODES, "mode", given.pop("mode", "torch"))
        read = OptionsStruct()
        self._library.lbfgsd_options_init(ctypes.byref(read), ctypes.sizeof(read), mode)
        read.line_search = _choice(
            LINE_SEARCHES, "line_search_fn", given.pop("line_search_fn", None)
        )
        read.history_dtype = _choice(DTYPES, "history_dtype", given.pop("history_dtype", None))
        noise = given.pop("noise", None)
        if noise is not None:
            epsilon = {"float64": np.finfo(float).eps, "float32": np.finfo(np.float32).eps}
            read.noise = epsilon.get(noise, noise)
            if not read.noise >= 0:
                raise ValueError(f"noise must be at least 0, not {noise}")
        for name, value in given.items():
            if name not in OPTIONS:
                raise TypeError(f"unknown option: {name}")
            if value is not None:
                setattr(read, name, value)
        return ctypes.byref(read)


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
