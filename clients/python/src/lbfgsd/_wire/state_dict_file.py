"""State dicts as safetensors files. Tensors are named by their place, such as `state.0.old_dirs.3`;
one string of metadata, `state_dict`, has the JSON of everything that is not a tensor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .._errors import BadReply
from .._model import StateDict
from . import json_text, options
from .safetensors import Tensors, as_tensor, pack, unpack
from .state_dict_json import (
    COUNTS,
    LISTS_OF_NUMBERS,
    LISTS_OF_VECTORS,
    NUMBERS,
    VECTORS,
)


def dump(state_dict: Mapping[str, Any]) -> bytes:
    """A state dict as the content of a safetensors file. Vectors keep their precision; numbers
    are Float64."""
    tensors: Tensors = {}
    states: dict[str, Any] = {}
    for first, state in state_dict["state"].items():
        rest = states[str(first)] = {}
        for key, value in state.items():
            _dump(f"state.{first}.{key}", key, value, tensors, rest)
    rest = {"state": states, "param_groups": options.write_groups(state_dict["param_groups"])}
    return pack(tensors, {"state_dict": json_text.encode(rest).decode()})


def _dump(name: str, key: str, value: Any, tensors: Tensors, rest: dict[str, Any]) -> None:
    if value is None:
        return
    if key in VECTORS:
        tensors[name] = as_tensor(value)
    elif key == "H_diag":
        tensors[name] = np.array(float(value))
    elif key in LISTS_OF_VECTORS or key in LISTS_OF_NUMBERS:
        items = list(value)
        for index, item in enumerate(items):
            if item is not None:
                vectors = key in LISTS_OF_VECTORS
                tensors[f"{name}.{index}"] = as_tensor(item) if vectors else np.array(float(item))
        if key == "al" or not items:
            rest[key] = [None] * len(items)
    elif key in COUNTS:
        rest[key] = int(value)
    elif key in NUMBERS:
        rest[key] = json_text.write_number(value)
    else:
        raise ValueError(f"{name} is no state of L-BFGS")


def load(content: bytes) -> StateDict:
    """The state dict in the content of a safetensors file; vectors keep the precision they have
    there. Raises ValueError if the file has no state dict."""
    tensors, metadata = unpack(content)
    try:
        document = json_text.decode(metadata["state_dict"].encode())
        states = {int(first): dict(state) for first, state in document["state"].items()}
        groups = options.read_groups(document["param_groups"])
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
