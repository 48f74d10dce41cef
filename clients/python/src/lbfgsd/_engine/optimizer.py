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
    TorchStateStruct,
    load,
)

PASSED_MAX = 1024
"""The most numbers of a gradient that are passed through memory with a known address."""
SIDES = {-1: "lower", 0: "fixed", 1: "upper"}


class LocalOptimizer:
    """An optimizer whose vectors are NumPy's. One thread at a time uses it. Errors of the library
    are `ValueError`s.

    What every evaluation needs is made once: pointers, the structure for errors, and memory through
    which vectors pass. To make such an object takes longer than the call that gets it.
    """

    def __init__(self, path: Path, x0: Floats, options: Mapping[str, Any]) -> None:
        self._prepare(path, x0.size, x0.dtype)
        self.trial[:] = x0
        created = ctypes.byref(self._pointer)
        self._call(
            f"create{self._suffix}",
            created,
            self.n,
            self._trial_address,
            read_options(self._library, options),
        )

    @classmethod
    def restored(cls, path: Path, snapshot: bytes) -> LocalOptimizer:
        """The optimizer of a snapshot; `wants` says whether it waits for an evaluation."""
        library = load(path)
        pointer, error = ctypes.c_void_p(), ErrorStruct()
        found = ctypes.byref(pointer)
        status = library.lbfgsd_restore(found, snapshot, len(snapshot), ctypes.byref(error))
        if status < 0:
            raise ValueError(error.text.decode())
        self = cls.__new__(cls)
        single = library.lbfgsd_get_dtype(pointer) == DTYPES["float32"]
        dtype = np.dtype(np.float32 if single else np.float64)
        self._prepare(path, library.lbfgsd_count(pointer), dtype)
        self._pointer, self.wants = pointer, status
        return self

    wants = 0
    """The status that the snapshot was taken with."""

    def _prepare(self, path: Path, n: int, dtype: Any) -> None:
        self._pointer = ctypes.c_void_p()
        self._library = load(path)
        self._destroy = self._library.lbfgsd_destroy
        self.n, self.dtype = n, dtype
        self._suffix = "_f32" if dtype == np.float32 else ""
        self._error = ErrorStruct()
        self._error_pointer = ctypes.byref(self._error)
        self._found = ResultStruct(size=ctypes.sizeof(ResultStruct))
        self._found_pointer = ctypes.byref(self._found)
        self._advance_to = getattr(self._library, f"lbfgsd_advance_to{self._suffix}")
        self._point = getattr(self._library, f"lbfgsd_point{self._suffix}")
        self._x = getattr(self._library, f"lbfgsd_x{self._suffix}")
        memory: Floats = np.empty(n + min(n, PASSED_MAX), dtype)
        self.trial: Floats = memory[:n]
        """Memory for the point that is to be evaluated, which `begin` and `advance` write."""
        self._gradient: Floats = memory[n:]
        self._trial_address, self._trial_bytes = self._data(memory), self.trial.nbytes
        self._gradient_address = ctypes.c_void_p(self._trial_address + self._trial_bytes)
        self._trial_pointer = ctypes.c_void_p(self._trial_address)

    def __del__(self) -> None:
        # NULL, if there was an error.
        self._destroy(self._pointer)

    def set_options(self, options: Mapping[str, Any]) -> None:
        self._call("set_options", self._pointer, read_options(self._library, options))

    def set_bounds(self, lower: Floats | None, upper: Floats | None) -> None:
        """Both are in Float64."""
        self._call("set_bounds", self._pointer, _doubles(lower), _doubles(upper))

    def set_l1(self, weights: Floats | None) -> None:
        """In Float64."""
        self._call("set_l1", self._pointer, _doubles(weights))

    def set_x(self, x: Floats) -> None:
        self._call(f"set_x{self._suffix}", self._pointer, self._data(x))

    def load_torch_state(self, state: Mapping[str, Any] | None) -> None:
        """Replaces history and counts by torch's, which is a dictionary of arrays. None: those of a
        new optimizer."""
        if state is None:
            self._call("load_torch_state", self._pointer, None)
            return
        read = TorchStateStruct(size=ctypes.sizeof(TorchStateStruct))
        read.func_evals, read.n_iter = state.get("func_evals", 0), state.get("n_iter", 0)
        kept: list[Any] = []

        def numbers(value: Any, dtype: Any) -> int:
            kept.append(np.ascontiguousarray(value, dtype=dtype))
            return int(kept[-1].ctypes.data)

        for name in ("d", "prev_flat_grad"):
            if state.get(name) is not None:
                setattr(read, name, numbers(state[name], self.dtype))
                if kept[-1].size != self.n:
                    raise ValueError(f"{name} has {kept[-1].size} numbers, x has {self.n}")
        steps, changes = (list(state.get(name) or []) for name in ("old_stps", "old_dirs"))
        if len(steps) != len(changes) or any(np.size(v) != self.n for v in steps + changes):
            raise ValueError("old_dirs and old_stps must have as many vectors of n numbers")
        if steps:
            read.old_stps, read.old_dirs = (numbers(v, self.dtype) for v in (steps, changes))
            read.pair_count = len(steps)
        for name, key in (("t", "t"), ("h_diag", "H_diag"), ("prev_loss", "prev_loss")):
            value = state.get(key)
            setattr(read, name, math.nan if value is None else float(value))
        if state.get("al") is not None:
            alphas = [float(alpha) for alpha in state["al"] if alpha is not None]
            read.al, read.al_count = numbers(alphas, np.float64), len(alphas)
        self._call("load_torch_state", self._pointer, ctypes.byref(read))

    @property
    def is_stepping(self) -> bool:
        """Whether an evaluation is wanted."""
        return bool(self._point(self._pointer))

    def begin(self) -> int:
        status = self._call("begin", self._pointer, None)
        self.read_trial()
        return status

    def advance(self, loss: float, gradient: Floats | None) -> int:
        """Answers the evaluation. The gradient has n numbers of `dtype`, one after the other in
        memory."""
        if gradient is None:
            address: Any = None
        elif self.n <= PASSED_MAX:
            # To copy few numbers takes less time than to ask for their address.
            self._gradient[:] = gradient
            address = self._gradient_address
        else:
            address = self._data(gradient)
        status: int = self._advance_to(
            self._pointer, loss, address, self._trial_pointer, self._error_pointer
        )
        if status < 0:
            raise ValueError(self._error.text.decode())
        return status

    def stop(self) -> int:
        status = self._call("stop", self._pointer)
        self.read_trial()
        return status

    def read_trial(self) -> None:
        """Writes the point that is to be evaluated, or else x, to `trial`."""
        pointer = self._point(self._pointer) or self._x(self._pointer)
        ctypes.memmove(self._trial_address, pointer, self._trial_bytes)

    @property
    def x(self) -> Floats:
        """A copy of the last point that was accepted."""
        numbers: Floats = np.empty(self.n, self.dtype)
        ctypes.memmove(self._data(numbers), self._x(self._pointer), numbers.nbytes)
        return numbers

    def progress(self) -> tuple[int, float | None]:
        """The iterations that the running step has begun, and the loss at the last point that was
        accepted, if it is known."""
        self._call("get_result", self._pointer, self._found_pointer)
        return self._found.iterations, _known(self._found.loss)

    def result(self) -> StepResult:
        """The result of the last step, or so far."""
        found = self._found
        self._call("get_result", self._pointer, self._found_pointer)
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

    def snapshot(self) -> bytes:
        """The whole state, as docs/design/engine-snapshot.md describes it."""
        size = ctypes.c_size_t(self._library.lbfgsd_snapshot_size(self._pointer))
        memory = ctypes.create_string_buffer(size.value)
        self._call("snapshot", self._pointer, memory, size.value, ctypes.byref(size))
        return memory.raw

    def _call(self, name: str, *arguments: Any) -> int:
        function = getattr(self._library, f"lbfgsd_{name}")
        status: int = function(*arguments, self._error_pointer)
        if status < 0:
            raise ValueError(self._error.text.decode())
        return status

    def _data(self, vector: Floats) -> int:
        """The address of a vector's numbers."""
        assert vector.dtype == self.dtype and vector.flags.c_contiguous
        return vector.ctypes.data


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
        if name not in OPTIONS:
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


def _doubles(vector: Floats | None) -> int | None:
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
