"""Vectors as octets: little-endian numbers of the session's dtype, flat, in parameter order. What
a JSON document says besides the vector is in header fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._model import (
    Evaluation,
    Floats,
    Parameter,
    Parameters,
    ParameterSpec,
    Shards,
    StepResult,
    Turn,
)
from .bodies import NO_BOUND
from .layouts import Layout
from .messages import DTYPES, Headers

OCTETS_FROM = 16
"""The size from which on vectors travel as octets. Shorter vectors are JSON, which is easier to
inspect. Near this size both cost a client the same: `Benchmarks/service/run.py crossover`."""
CREATED_WITH_ZEROS_FROM = 16_384
"""The size from which on a session is created with zeros, and its parameters follow as octets. The
request that creates a session is JSON, and for so many numbers a second round trip costs less."""


NAMES = {np.dtype(name): name for name in DTYPES}
"""The names of dtypes, which NumPy makes anew each time."""


def as_dtype(values: Any, dtype: str) -> Floats:
    """The array as it is sent: `values` itself if it has this dtype and is contiguous."""
    wanted = DTYPES[dtype]
    if isinstance(values, np.ndarray) and values.dtype == wanted and values.flags.c_contiguous:
        return values
    # A number beyond the range of Float32 becomes infinite, as it does on the server.
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(values, dtype=wanted)


def is_zero(array: Floats) -> bool:
    """Whether the array has only the zeros that a session is created with, none of them -0.0."""
    return not array.any() and not np.signbit(array).any()


def in_order(named: Mapping[str, Any], layout: Layout, complete: bool) -> list[Floats] | None:
    """Arrays by name, put into the session's order. Without `complete`, missing ones are zeros.

    Returns None if they don't fit the session; the server then explains what is wrong when it gets
    them as JSON.
    """
    specs = layout.specs or ()
    names = [str(i) if spec.name is None else spec.name for i, spec in enumerate(specs)]
    if not set(named) <= set(names) or (complete and len(named) < len(names)):
        return None
    pieces: list[Floats] = []
    for name, spec in zip(names, specs, strict=True):
        values, count = named.get(name), _count(spec)
        if values is None:
            pieces.append(np.zeros(count, DTYPES[layout.dtype]))
            continue
        array = np.asarray(values)
        if array.size != count or (complete and array.shape != spec.shape):
            return None
        pieces.append(as_dtype(array.reshape(-1), layout.dtype))
    return pieces


def bounds_in_order(bounds: Mapping[str, NDArray[Any]], n: int, dtype: str) -> list[Floats]:
    """The lower bounds of all n numbers, the upper ones and, if there are any, the weights. Each of
    `bounds` is flat, or a scalar for all."""
    keys = [key for key in NO_BOUND if key != "l1" or key in bounds]
    given = {key: np.asarray(bounds.get(key, NO_BOUND[key])) for key in keys}
    if any(values.ndim > 0 and values.size != n for values in given.values()):
        sizes = ", ".join(f"{key} has {v.size}" for key, v in given.items() if v.ndim > 0)
        raise ValueError(f"the session has {n} numbers, {sizes}")
    flat = {key: np.broadcast_to(values.reshape(-1), n) for key, values in given.items()}
    return [_rounded_inwards(key, values, dtype) for key, values in flat.items()]


def _rounded_inwards(key: str, values: NDArray[Any], dtype: str) -> Floats:
    """Bounds in the session's dtype, none of them outside the given ones, as the server rounds
    them."""
    rounded = as_dtype(values, dtype)
    if key == "lower":
        return np.where(rounded < values, np.nextafter(rounded, np.inf), rounded)
    if key == "upper":
        return np.where(rounded > values, np.nextafter(rounded, -np.inf), rounded)
    return rounded


def turn(headers: Headers, x: Floats) -> Turn:
    """A turn from header fields, which have no place for two things: the arguments of a hook's
    call, and the numbers of a failed line search."""
    state = headers["lbfgsd-state"]
    evaluation = iterations = loss = None
    if "lbfgsd-evaluation" in headers:
        evaluation = Evaluation(int(headers["lbfgsd-evaluation"]), x, _shards(headers))
        iterations, loss = headers.get("lbfgsd-iterations"), headers.get("lbfgsd-loss")
    return Turn(
        session=headers["lbfgsd-session"],
        state=state,
        step=int(headers["lbfgsd-step"]),
        evaluation=evaluation,
        x=x if state == "idle" else None,
        result=_result(headers),
        etag=headers.get("etag"),
        replayed=headers.get("idempotent-replayed") == "true",
        iterations=None if iterations is None else int(iterations),
        loss=None if loss is None else float(loss),
    )


def _shards(headers: Headers) -> Shards | None:
    if "lbfgsd-shards" not in headers:
        return None
    delivered = headers.get("lbfgsd-shards-delivered", "")
    listed = tuple(int(number) for number in delivered.split(",") if number.strip())
    return Shards(int(headers["lbfgsd-shards"]), listed)


def _result(headers: Headers) -> StepResult | None:
    if "lbfgsd-reason" not in headers:
        return None

    def number(name: str) -> float | None:
        return float(headers[name]) if name in headers else None

    active = headers.get("lbfgsd-active-bounds")
    return StepResult(
        reason=headers["lbfgsd-reason"],
        converged=headers["lbfgsd-converged"] == "true",
        loss_before=number("lbfgsd-loss-before"),
        loss=number("lbfgsd-loss"),
        iterations=int(headers["lbfgsd-iterations"]),
        evaluations=int(headers["lbfgsd-evaluations"]),
        gradient_norm_inf=number("lbfgsd-gradient-norm-inf"),
        projected_gradient_norm_inf=number("lbfgsd-projected-gradient-norm-inf"),
        active_bounds=None if active is None else int(active),
    )


def parameters(headers: Headers, x: Floats, specs: tuple[ParameterSpec, ...]) -> Parameters:
    """The parameters as views of one vector."""
    params, end = [], 0
    for spec in specs:
        begin, end = end, end + _count(spec)
        params.append(Parameter(spec.name, x[begin:end].reshape(spec.shape)))
    found = Parameters(headers["lbfgsd-dtype"], tuple(params), headers.get("etag"))
    return replace(found, _flat=x)


def _count(spec: ParameterSpec) -> int:
    return int(np.prod(spec.shape, dtype=np.int64))
