"""The container format of safetensors: a JSON header with the type, shape and place of each tensor,
then the tensors. Reading and writing it takes few lines, so the package needs no dependency for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._errors import BadReply
from . import json_text

MEDIA_TYPE = "application/vnd.safetensors"

_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_NAMES = {np.dtype(np.float64): "F64", np.dtype(np.float32): "F32"}
_METADATA = "__metadata__"
_LENGTH_BYTES = 8
"""The file begins with the length of its header, and the header is padded to a multiple of this."""

Tensors = dict[str, NDArray[Any]]


def pack(tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> bytes:
    """The content of a safetensors file. The widest numbers come first, so that all are aligned."""
    ordered = sorted(tensors.items(), key=lambda item: -item[1].dtype.itemsize)
    header: dict[str, Any] = {_METADATA: dict(metadata)} if metadata else {}
    begin = 0
    for name, array in ordered:
        end = begin + array.nbytes
        header[name] = {
            "dtype": _NAMES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [begin, end],
        }
        begin = end
    text = json_text.encode(header)
    text += b" " * (-len(text) % _LENGTH_BYTES)
    data = [array.astype(_DTYPES[_NAMES[array.dtype]]).tobytes() for _, array in ordered]
    return b"".join([len(text).to_bytes(_LENGTH_BYTES, "little"), text, *data])


def unpack(content: bytes) -> tuple[Tensors, dict[str, str]]:
    """The tensors and the metadata of a safetensors file. Raises ValueError if it is malformed."""
    start = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "little")
    if len(content) < _LENGTH_BYTES or len(content) < start:
        raise ValueError("not a safetensors file: it ends within its header")
    try:
        header = json_text.decode(content[_LENGTH_BYTES:start])
        metadata = header.pop(_METADATA, {})
        tensors = {
            name: _tensor(content, start, info["dtype"], info["shape"], info["data_offsets"])
            for name, info in header.items()
        }
    except (BadReply, AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not a safetensors file: {error!r}") from error
    return tensors, metadata


def _tensor(
    content: bytes, start: int, dtype: str, shape: list[int], offsets: list[int]
) -> NDArray[Any]:
    begin, end = offsets
    numbers = np.dtype(_DTYPES[dtype])
    if not 0 <= begin <= end <= len(content) - start:
        raise ValueError(f"a tensor lies at {begin} to {end} of {len(content) - start} bytes")
    if math.prod(shape) * numbers.itemsize != end - begin:
        raise ValueError(f"{end - begin} bytes for a tensor of shape {shape} and type {dtype}")
    values = np.frombuffer(content[start + begin : start + end], numbers).reshape(shape)
    if dtype == "BF16":
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(numbers.newbyteorder("="))


def as_tensor(values: Any) -> NDArray[Any]:
    """A flat array of a type that the writer knows: Float32 stays, anything else becomes
    Float64."""
    array = np.ascontiguousarray(values).reshape(-1)
    return array if array.dtype in _NAMES else array.astype(np.float64)
