"""Vectors as octets: little-endian numbers of the session's dtype, flat in parameter order. What
JSON says besides stands in header fields.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import httpx
import numpy as np

from ._transfer import DTYPES
from ._types import (
    Evaluation,
    Floats,
    Parameter,
    Parameters,
    ParameterSpec,
    SessionSummary,
    Shards,
    StepResult,
    Turn,
)

OCTETS_FROM = 128
"""Numbers from which on vectors travel as octets; shorter ones are JSON, which anybody can read on
the way. About here the two cost a client the same (`Benchmarks/service/run.py crossover`)."""
CREATED_WITH_ZEROS_FROM = 16_384
"""Numbers from which on a session is created with zeros, and its parameters follow as octets: a
request that creates is JSON, and a second round trip costs less than so many numbers in it."""
LAYOUTS_MAX = 4096


@dataclass(frozen=True)
class Layout:
    """What must be known of a session to write octets: `specs` are None if only its size is."""

    dtype: str
    n: int
    specs: tuple[ParameterSpec, ...] | None = None


class Layouts:
    """Of the sessions that a client has seen, the newest of them. A session's dtype never changes;
    it gets larger when parameters join."""

    def __init__(self) -> None:
        self._known: dict[str, Layout] = {}
        self._lock = threading.Lock()

    def get(self, session: str) -> Layout | None:
        return self._known.get(session)

    def note(self, session: str, dtype: str, n: int) -> None:
        old = self._known.get(session)
        if old is None or (old.dtype, old.n) != (dtype, n):
            self.put(session, Layout(dtype, n))

    def note_count(self, session: str, n: int) -> None:
        """As many numbers were seen, in JSON, which doesn't tell their dtype."""
        old = self._known.get(session)
        if old is not None and old.n != n:
            self.put(session, Layout(old.dtype, n))

    def put(self, session: str, layout: Layout) -> None:
        with self._lock:
            self._known.pop(session, None)
            if len(self._known) >= LAYOUTS_MAX:
                del self._known[next(iter(self._known))]
            self._known[session] = layout


def layout_of(session: SessionSummary) -> Layout:
    return Layout(session.dtype, session.n, getattr(session, "params", None))


def numbers(values: Any, dtype: str) -> Floats:
    """Numbers as they are sent: what is given itself, if it has this dtype and is contiguous."""
    # What doesn't fit into Float32 becomes infinite, as the server would have it.
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(values, dtype=DTYPES[dtype])


def is_zero(array: Floats) -> bool:
    """Whether these are the zeros that a session is created with: -0.0 is another."""
    return not array.any() and not np.signbit(array).any()


def assembled(named: Mapping[str, Any], layout: Layout, complete: bool) -> list[Floats] | None:
    """Named values in the session's order; None if they don't fit it, which the server will
    explain. Unless they have to be complete, missing ones are zeros."""
    specs = layout.specs or ()
    names = [str(i) if spec.name is None else spec.name for i, spec in enumerate(specs)]
    if not set(named) <= set(names) or (complete and len(named) < len(names)):
        return None
    pieces = []
    for name, spec in zip(names, specs, strict=True):
        values, count = named.get(name), int(np.prod(spec.shape, dtype=np.int64))
        if values is None:
            pieces.append(np.zeros(count, DTYPES[layout.dtype]))
            continue
        array = np.asarray(values)
        if array.size != count or (complete and array.shape != spec.shape):
            return None
        pieces.append(numbers(array.reshape(-1), layout.dtype))
    return pieces


def turn(headers: httpx.Headers, x: Floats) -> Turn:
    """All but what has no place in header fields: of a hook's call what it is about, and the
    numbers of a line search that failed."""
    state = headers["Lbfgsd-State"]
    evaluation = None
    if "Lbfgsd-Evaluation" in headers:
        evaluation = Evaluation(int(headers["Lbfgsd-Evaluation"]), x, _shards(headers))
    return Turn(
        session=headers["Lbfgsd-Session"],
        state=state,
        step=int(headers["Lbfgsd-Step"]),
        evaluation=evaluation,
        x=x if state == "idle" else None,
        result=_result(headers),
        etag=headers.get("ETag"),
        replayed=headers.get("Idempotent-Replayed") == "true",
    )


def _shards(headers: httpx.Headers) -> Shards | None:
    if "Lbfgsd-Shards" not in headers:
        return None
    delivered = headers.get("Lbfgsd-Shards-Delivered", "")
    listed = tuple(int(number) for number in delivered.split(",") if number.strip())
    return Shards(int(headers["Lbfgsd-Shards"]), listed)


def _result(headers: httpx.Headers) -> StepResult | None:
    if "Lbfgsd-Reason" not in headers:
        return None

    def number(name: str) -> float | None:
        return float(headers[name]) if name in headers else None

    return StepResult(
        reason=headers["Lbfgsd-Reason"],
        converged=headers["Lbfgsd-Converged"] == "true",
        loss_before=number("Lbfgsd-Loss-Before"),
        loss=number("Lbfgsd-Loss"),
        iterations=int(headers["Lbfgsd-Iterations"]),
        evaluations=int(headers["Lbfgsd-Evaluations"]),
        gradient_norm_inf=number("Lbfgsd-Gradient-Norm-Inf"),
    )


def parameters(headers: httpx.Headers, x: Floats, specs: tuple[ParameterSpec, ...]) -> Parameters:
    """The parameters as views of one vector."""
    params, end = [], 0
    for spec in specs:
        begin, end = end, end + int(np.prod(spec.shape, dtype=np.int64))
        params.append(Parameter(spec.name, x[begin:end].reshape(spec.shape)))
    found = Parameters(headers["Lbfgsd-Dtype"], tuple(params), headers.get("ETag"))
    return replace(found, _flat=x)
