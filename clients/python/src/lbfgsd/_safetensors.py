"""State dicts as safetensors files: tensors named by their place, `state.0.old_dirs.3`, and one
string of metadata, `state_dict`, with the JSON of what is no tensor.

The container takes few lines; the safetensors package is not needed, and reads and writes the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _json
from ._errors import BadReply
from ._state import (
    COUNTS,
    LISTS_OF_NUMBERS,
    LISTS_OF_VECTORS,
    NUMBERS,
    VECTORS,
    read_groups,
    write_groups,
)
from ._types import StateDict

MEDIA_TYPE = "application/vnd.safetensors"

_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_NAMES = {np.dtype(np.float64): "F64", np.dtype(np.float32): "F32"}
_METADATA = "__metadata__"
_PREFIX = 8

Tensors = dict[str, NDArray[Any]]


def pack(tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> bytes:
    """A safetensors file. Wider numbers come first, so that all are aligned."""
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
    text = _json.encode(header)
    text += b" " * (-len(text) % _PREFIX)
    data = [array.astype(_DTYPES[_NAMES[array.dtype]]).tobytes() for _, array in ordered]
    return b"".join([len(text).to_bytes(_PREFIX, "little"), text, *data])


def unpack(content: bytes) -> tuple[Tensors, dict[str, str]]:
    """The tensors and the metadata of a safetensors file. ValueError if it is none."""
    start = _PREFIX + int.from_bytes(content[:_PREFIX], "little")
    if len(content) < _PREFIX or len(content) < start:
        raise ValueError("not a safetensors file: it ends within its header")
    try:
        header = _json.decode(content[_PREFIX:start])
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


def dump(state_dict: Mapping[str, Any]) -> bytes:
    """A state dict as the content of a safetensors file. Vectors keep their precision, numbers
    have 64 bits."""
    tensors: Tensors = {}
    states: dict[str, Any] = {}
    for first, state in state_dict["state"].items():
        rest = states[str(first)] = {}
        for key, value in state.items():
            _dump(f"state.{first}.{key}", key, value, tensors, rest)
    rest = {"state": states, "param_groups": write_groups(state_dict["param_groups"])}
    return pack(tensors, {"state_dict": _json.encode(rest).decode()})


def _dump(name: str, key: str, value: Any, tensors: Tensors, rest: dict[str, Any]) -> None:
    if value is None:
        return
    if key in VECTORS:
        tensors[name] = _vector(value)
    elif key == "H_diag":
        tensors[name] = np.array(float(value))
    elif key in LISTS_OF_VECTORS or key in LISTS_OF_NUMBERS:
        items = list(value)
        for index, item in enumerate(items):
            if item is not None:
                vectors = key in LISTS_OF_VECTORS
                tensors[f"{name}.{index}"] = _vector(item) if vectors else np.array(float(item))
        if key == "al" or not items:
            rest[key] = [None] * len(items)
    elif key in COUNTS:
        rest[key] = int(value)
    elif key in NUMBERS:
        rest[key] = _json.number(value)
    else:
        raise ValueError(f"{name} is no state of L-BFGS")


def _vector(values: Any) -> NDArray[Any]:
    array = np.ascontiguousarray(values).reshape(-1)
    return array if array.dtype in _NAMES else array.astype(np.float64)


def load(content: bytes) -> StateDict:
    """The state dict in the content of a safetensors file, its vectors as precise as they are
    there. ValueError if there is none."""
    tensors, metadata = unpack(content)
    try:
        document = _json.decode(metadata["state_dict"].encode())
        states = {int(first): dict(state) for first, state in document["state"].items()}
        groups = read_groups(document["param_groups"])
    except (BadReply, AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not a state dict: {error!r}") from error
    for state in states.values():
        for key in NUMBERS:
            if state.get(key) is not None:
                state[key] = float(state[key])
    lists: dict[tuple[int, str], dict[int, Any]] = {}
    for name, tensor in tensors.items():
        value: Any = tensor
        match name.split("."):
            case ["state", first, key] if key in VECTORS:
                states[int(first)][key] = value
            case ["state", first, key] if key in NUMBERS:
                states[int(first)][key] = float(value.item())
            case ["state", first, key, index] if key in LISTS_OF_VECTORS:
                lists.setdefault((int(first), key), {})[int(index)] = value
            case ["state", first, key, index] if key in LISTS_OF_NUMBERS:
                lists.setdefault((int(first), key), {})[int(index)] = float(value.item())
            case ["param_groups", group, "lr"]:
                groups[int(group)]["lr"] = float(value.item())
            case _:
                raise ValueError(f"{name} is no state of L-BFGS")
    for (position, key), items in lists.items():
        given = len(states[position].get(key) or [])
        length = max(given, 1 + max(items))
        if length > max(given if key == "al" else 0, len(items)):
            raise ValueError(f"state.{position}.{key} has {len(items)} of {length} tensors")
        listed = [items.get(index) for index in range(length)]
        states[position][key] = np.array(listed) if key == "ro" else listed
    for state in states.values():
        if isinstance(state.get("ro"), list):
            state["ro"] = np.array(state["ro"], dtype=np.float64)
    return {"state": states, "param_groups": groups}
