"""The engine of rank 0: reports in, commands out."""

from __future__ import annotations

import ctypes
import math
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .._engine.library import DTYPES, ErrorStruct, ResultStruct, load
from .._engine.optimizer import read_options, step_result
from .._model import Floats, StepResult

REPORT_FIXED = 10
"""The numbers of a report that don't depend on the number of pairs."""
COMMAND_FIXED = 14
"""The same of a command."""


@dataclass(frozen=True)
class Command:
    """What every worker does to its slices, in this order; `lbfgsd.h` has the definition."""

    number: int
    save: float | None
    accept: float | None
    restore: bool
    clear: bool
    push: bool
    drop: bool
    gradient_coefficient: float | None
    """The coefficient of g in a new direction; None if the direction stays."""
    move: float | None
    trial: float | None
    """The step length to evaluate at; None if the step is over."""
    retain: tuple[float, ...]
    step_coefficients: Floats
    change_coefficients: Floats

    @classmethod
    def read(cls, numbers: Floats) -> Command:
        """The command that the numbers say."""
        pairs = (numbers.size - COMMAND_FIXED) // 2
        rest = numbers[COMMAND_FIXED:]
        return cls(
            number=int(numbers[0]),
            save=_known(numbers[1]),
            accept=_known(numbers[2]),
            restore=bool(numbers[3]),
            clear=bool(numbers[4]),
            push=bool(numbers[5]),
            drop=bool(numbers[6]),
            gradient_coefficient=float(numbers[8]) if numbers[7] else None,
            move=_known(numbers[9]),
            trial=_known(numbers[10]),
            retain=tuple(float(t) for t in numbers[11:14] if not math.isnan(t)),
            step_coefficients=rest[:pairs],
            change_coefficients=rest[pairs:],
        )


class Coordinator:
    """The engine over vectors that live elsewhere. One thread at a time uses it."""

    def __init__(self, path: Path, dtype: str, options: Mapping[str, Any]) -> None:
        self._open(path)
        read = read_options(self._library, options)
        self._call("create", ctypes.byref(self._pointer), DTYPES[dtype], read)
        self._own()

    @classmethod
    def restored(cls, path: Path, snapshot: bytes) -> Coordinator:
        """The coordinator of a snapshot."""
        coordinator = cls.__new__(cls)
        coordinator._open(path)
        coordinator._call("restore", ctypes.byref(coordinator._pointer), snapshot, len(snapshot))
        coordinator._own()
        return coordinator

    def _open(self, path: Path) -> None:
        self._library = load(path)
        self._pointer = ctypes.c_void_p()
        self._error = ErrorStruct()

    def _own(self) -> None:
        weakref.finalize(self, self._library.lbfgsd_coordinator_destroy, self._pointer)

    @property
    def pairs(self) -> int:
        """How many pairs the workers have."""
        count: int = self._library.lbfgsd_coordinator_pairs(self._pointer)
        return count

    def begin(self, options: Mapping[str, Any] | None = None) -> None:
        """Begins a step."""
        read = None if options is None else read_options(self._library, options)
        self._call("begin", self._pointer, read)

    def advance(self, loss: float, report: Floats) -> None:
        """Takes the sums of the workers' reports. Where a rank had no gradient, they aren't finite,
        and the point is infeasible. What a loss that isn't finite means is for the engine to say,
        as on arrays."""
        numbers = np.ascontiguousarray(report, dtype=np.float64)
        found = math.isfinite(loss) or bool(np.isfinite(numbers).all())
        address = numbers.ctypes.data if found else None
        self._call("advance", self._pointer, loss, address, numbers.size)

    def stop(self) -> None:
        """Ends the step at its best point."""
        self._call("stop", self._pointer)

    def command(self) -> Floats:
        """The newest command, as numbers."""
        numbers = np.empty(COMMAND_FIXED + 2 * self.pairs)
        count = ctypes.c_size_t()
        self._call("command", self._pointer, numbers.ctypes.data, numbers.size, ctypes.byref(count))
        return numbers[: count.value]

    def result(self) -> StepResult:
        """The result of the last step, or so far."""
        found = ResultStruct(size=ctypes.sizeof(ResultStruct))
        self._call("get_result", self._pointer, ctypes.byref(found))
        return step_result(self._library, found)

    def snapshot(self) -> bytes:
        """The state, in some hundred bytes a pair."""
        size = ctypes.c_size_t(self._library.lbfgsd_coordinator_snapshot_size(self._pointer))
        memory = ctypes.create_string_buffer(size.value)
        self._call("snapshot", self._pointer, memory, size.value, ctypes.byref(size))
        return memory.raw[: size.value]

    def _call(self, name: str, *arguments: Any) -> int:
        function = getattr(self._library, f"lbfgsd_coordinator_{name}")
        status: int = function(*arguments, ctypes.byref(self._error))
        if status < 0:
            raise ValueError(self._error.text.decode())
        return status


def _known(number: float) -> float | None:
    return None if math.isnan(number) else float(number)
