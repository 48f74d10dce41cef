"""JSON as the server reads and writes it: numbers that are not finite are strings, both ways."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._errors import BadReply
from .._model import Floats

MEDIA_TYPE = "application/json"


def encode(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, allow_nan=False, separators=(",", ":")).encode()


def decode(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError as error:
        raise BadReply(f"not JSON: {content[:100]!r}") from error


def write_number(value: Any) -> float | str:
    """A number in JSON. Accepts whatever float() accepts, such as tensors of one element."""
    real = float(value)
    if math.isfinite(real):
        return real
    return "NaN" if math.isnan(real) else "Infinity" if real > 0 else "-Infinity"


def write_vector(values: ArrayLike) -> list[Any]:
    """An array as a flat list of numbers, in row-major order."""
    flat = np.asarray(values, dtype=np.float64).reshape(-1)
    listed: list[Any] = flat.tolist()
    if not np.isfinite(flat).all():
        listed = [write_number(value) for value in listed]
    return listed


def read_number(value: Any) -> float:
    """A number, or one of the strings NaN, Infinity and -Infinity, which float() knows."""
    return float(value)


def read_optional(value: Any) -> float | None:
    return None if value is None else float(value)


def read_vector(values: list[Any]) -> Floats:
    try:
        return np.array(values, dtype=np.float64).reshape(-1)
    except (TypeError, ValueError):
        return np.array([float(value) for value in values], dtype=np.float64)
