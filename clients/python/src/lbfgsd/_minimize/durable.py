"""A local run that a file makes durable: what is in it, and how a killed run goes on."""

from __future__ import annotations

import hashlib
import os
import struct
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._engine import LocalClient
from .._engine.journal import (
    END,
    EVALUATION,
    FAILURE,
    STOP,
    Header,
    JournalFile,
    State,
    compared,
)
from .._engine.snapshots import Snapshot
from .._errors import Infeasible, JournalError
from .._model import Floats, Turn
from .._stepping import LossAndGradient
from .box import Box
from .objective import CountedObjective, lasting_hash
from .options import MODE, RunOptions

if TYPE_CHECKING:
    from .run import Run

_ANSWER = struct.Struct("<QQQ16s")
_LOSS = struct.Struct("<d")
_IMPORTED = "imported"


class Durable:
    """The journal of one call of `minimize`.

    Each evaluation is on disk before the optimizer gets it. A run that was killed starts from the
    file's state, and its evaluations are answered from the file as long as there are any: so it
    passes through the same states, and goes on at the point that it was killed at.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._file = JournalFile.opened(self.path)
        self._replayed = 0
        self._problem: dict[str, Any] = {}

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    @property
    def is_new(self) -> bool:
        return self._file is None

    @property
    def n(self) -> int:
        """How many numbers x has in the file."""
        assert self._file is not None
        return self._file.header.n

    @property
    def mode(self) -> str | None:
        """The mode of the run in the file."""
        return None if self._file is None else str(self._file.state.values["options"]["mode"])

    @property
    def is_imported(self) -> bool:
        return self._file is not None and bool(self._file.header.problem.get(_IMPORTED))

    # The problem

    def check(self, run: Run, x0: Floats | None) -> None:
        """Takes note of what the call is about, and compares it with the file."""
        options = vars(run.options).copy()
        jac = run.objective.scheme
        for name in ("disp", "workers", "differences"):
            del options[name]
        if jac is not None:
            options |= vars(run.options.differences)
        ours: dict[str, Any] = {"options": _plain(options), "jac": jac}
        if self._file is None or not self.is_imported:
            ours["x0"] = _digest(x0)
            box = run.box
            ours["lower"] = None if box is None else _digest(box.lower)
            ours["upper"] = None if box is None else _digest(box.upper)
            ours["l1"] = _digest(run.l1) if run.l1.any() else None
        else:
            ours[_IMPORTED] = True
        self._problem = ours
        if self._file is None:
            return
        theirs, n = self._file.header.problem, self._file.header.n
        if x0 is None and "x0" in theirs:
            ours["x0"] = theirs["x0"]
        elif x0 is not None and x0.size != n:
            raise self._refused(f"x0 has {x0.size} numbers, the journal's has {n}")
        if "options" in theirs:
            compared(self.path, theirs, ours)

    def _refused(self, reason: str) -> JournalError:
        return JournalError(self.path, f"is the journal of another problem: {reason}")

    def options(self) -> tuple[RunOptions, str | bool]:
        """The options of the run in the file, and its scheme of finite differences."""
        assert self._file is not None
        problem = self._file.header.problem
        self._problem = problem
        if "options" not in problem:
            return RunOptions(mode=self.mode or MODE), True
        known = {field.name for field in fields(RunOptions)}
        options = {k: v for k, v in problem["options"].items() if k in known}
        return RunOptions(**options), problem["jac"] or True

    # The state

    def begin(self, run: Run) -> None:
        """Creates the file."""
        state, snapshot = self._state(run)
        self._file = JournalFile.created(self.path, self._header(snapshot), state)

    def restore(self, run: Run) -> Turn | None:
        """Takes up the run in the file. The evaluation that it waits for, or None where a step has
        not begun."""
        assert self._file is not None and isinstance(run.client, LocalClient)
        header, state = self._file.header, self._file.state
        values, content = state.values, state.arrays["snapshot"].tobytes()
        try:
            counts = values["steps"], values["evaluations"]
            turn = run.client.restore(content, values["options"], *counts)
        except ValueError as error:
            raise JournalError(self.path, f"has a state that can't be used: {error}") from error
        run.session_options = dict(values["options"])
        snapshot = Snapshot.read(content)
        if (snapshot.n, snapshot.dtype.itemsize) != (header.n, header.item_size):
            raise JournalError(self.path, "is damaged: its header and its state differ")
        self._take_bounds(run, snapshot)
        run.calls = run.objective.calls(snapshot.n)
        if "run" not in values:
            self._adopt(run, turn)
        else:
            own = values["run"]
            run.is_new, run.nit, run.nit_before = own["is_new"], own["nit"], own["nit_before"]
            run.reported, run.stalled = own["reported"], own["stalled"]
            run.ended = None if "ended" not in state.arrays else state.arrays["ended"].tobytes()
            run.points = [(state.arrays[f"point/{i}"], its) for i, its in enumerate(own["points"])]
            run.objective.keep(own["objective"], state.arrays)
            run.unbounded.keep(own["unbounded"], state.arrays)
        return turn

    def _take_bounds(self, run: Run, snapshot: Snapshot) -> None:
        """Bounds and weights, if the call has none of its own."""
        box, vectors = snapshot.scalars["engine"].get("bounds") or {}, snapshot.vectors
        ends = {"lower": -np.inf, "upper": np.inf, "l1": 0.0}

        def whole(name: str) -> Floats:
            value = vectors.get(name)
            if value is None:
                value = np.full(snapshot.n, box.get(name, ends[name]))
            return value.astype(np.float64)

        lower, upper = whole("lower"), whole("upper")
        if run.box is None and (np.isfinite(lower).any() or np.isfinite(upper).any()):
            run.box = run.objective.box = Box(lower, upper)
        if not run.l1.any():
            run.l1 = whole("l1")

    def _adopt(self, run: Run, turn: Turn | None) -> None:
        """Goes on with what was a session."""
        assert self._file is not None
        if turn is not None and turn.iterations is not None:
            run.reported, run.nit_before = turn.iterations, -turn.iterations
        if "options" in self._problem:
            state, snapshot = self._state(run)
            self._file.replace(self._header(snapshot), state)

    def _state(self, run: Run) -> tuple[State, Snapshot]:
        assert isinstance(run.client, LocalClient)
        content = run.client.snapshot()
        objective, cached = run.objective.kept()
        unbounded, origin = run.unbounded.kept()
        arrays: dict[str, Any] = {
            "snapshot": np.frombuffer(content, np.uint8),
            **cached,
            **origin,
            **{f"point/{i}": x for i, (x, _) in enumerate(run.points)},
        }
        if run.ended is not None:
            arrays["ended"] = np.frombuffer(run.ended, np.uint8)
        own = {
            "is_new": run.is_new,
            "nit": run.nit,
            "nit_before": run.nit_before,
            "reported": run.reported,
            "stalled": run.stalled,
            "points": [loss for _, loss in run.points],
            "objective": objective,
            "unbounded": unbounded,
        }
        values = {
            "run": own,
            "options": run.session_options,
            "steps": run.client.steps,
            "evaluations": run.client.evaluations,
        }
        return State(_plain(values), arrays), Snapshot.read(content)

    def _header(self, snapshot: Snapshot) -> Header:
        numerics = snapshot.scalars["engine"].get("numerics", 1)
        return Header(numerics, snapshot.dtype.itemsize, snapshot.n, self._problem)

    # The records

    def _next(self) -> tuple[int, bytes] | None:
        """The next record that is to be replayed."""
        assert self._file is not None
        records = self._file.records
        return records[self._replayed] if self._replayed < len(records) else None

    def compact(self, run: Run) -> None:
        """Writes the file anew if it is long. An evaluation is wanted."""
        assert self._file is not None
        if self._next() is None and self._file.is_long:
            state, snapshot = self._state(run)
            self._file.replace(self._header(snapshot), state)
            self._replayed = 0

    def evaluate(self, objective: CountedObjective, x: Floats, number: int) -> LossAndGradient:
        """The evaluation at x: from the file if it is there, or else the function's, which is on
        disk afterwards."""
        assert self._file is not None
        digest = lasting_hash(np.ascontiguousarray(x).tobytes())
        found = self._next()
        if found is not None:
            return self._replay(objective, x, number, digest, *found)
        try:
            value = objective(x)
        except Infeasible as error:
            counts = _ANSWER.pack(number, objective.nfev, objective.njev, digest)
            self._file.append(FAILURE, counts, str(error).encode())
            raise
        counts = _ANSWER.pack(number, objective.nfev, objective.njev, digest)
        gradient = value.gradient.astype("<f8", copy=False)
        self._file.append(EVALUATION, counts, _LOSS.pack(value.loss), gradient.tobytes())
        return value

    def _replay(
        self,
        objective: CountedObjective,
        x: Floats,
        number: int,
        digest: bytes,
        kind: int,
        payload: bytes,
    ) -> LossAndGradient:
        size = _ANSWER.size
        lengths = {EVALUATION: size + _LOSS.size + 8 * x.size}
        if kind not in (EVALUATION, FAILURE) or len(payload) < lengths.get(kind, size):
            raise JournalError(self.path, f"is damaged: evaluation {number} is missing")
        own, nfev, njev, theirs = _ANSWER.unpack_from(payload)
        if (own, theirs) != (number, digest):
            raise JournalError(
                self.path, f"does not fit: it has evaluation {own}, of another point than {number}"
            )
        self._replayed += 1
        if kind == FAILURE:
            objective.nfev, objective.njev = nfev, njev
            raise Infeasible(payload[size:].decode())
        (loss,) = _LOSS.unpack_from(payload, size)
        gradient = np.frombuffer(payload, "<f8", x.size, size + _LOSS.size).astype(np.float64)
        return objective.recorded(x, LossAndGradient(loss, gradient), nfev, njev)

    def replayed_callback(self) -> bool | None:
        """Whether the run goes on after a callback that was called by another process; None if it
        is to be called now."""
        found = self._next()
        if found is None:
            return None
        if found[0] != STOP:
            return True
        self._replayed += 1
        return False

    def stop(self) -> None:
        """The callback ends the run."""
        assert self._file is not None
        self._file.append(STOP)

    def end(self) -> None:
        """The run is over."""
        assert self._file is not None
        if self._next() is None:
            self._file.append(END)


def _digest(vector: Floats | None) -> str | None:
    if vector is None:
        return None
    return hashlib.sha256(np.ascontiguousarray(vector, dtype="<f8").tobytes()).hexdigest()


def _plain(value: Any) -> Any:
    """The value as JSON has it."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return _plain(value.tolist())
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)
