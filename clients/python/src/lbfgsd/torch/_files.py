"""State dicts of the optimizer in files, and between torch's form and the client's."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, cast

import torch

from .._wire import state_dict_file
from ._tensors import to_arrays, to_tensors


def as_torch(state_dict: Mapping[str, Any], dtype: torch.dtype | None = None) -> dict[str, Any]:
    """Converts a state dict of `Client` or of a file into the form that torch.optim.LBFGS loads.
    Its CPU tensors have the given dtype, by default that of the arrays."""

    def converted(state: Mapping[str, Any]) -> dict[str, Any]:
        vector = state.get("d")
        own = torch.float64 if vector is None else torch.as_tensor(vector).dtype
        return to_tensors(to_arrays(state), dtype or own, torch.device("cpu"))

    states = {first: converted(state) for first, state in state_dict["state"].items()}
    return {"state": states, "param_groups": [dict(group) for group in state_dict["param_groups"]]}


def state_dict_to_safetensors(state_dict: Mapping[str, Any]) -> bytes:
    """Returns a state dict, torch's or a client's, as the content of a safetensors file."""
    states = {first: to_arrays(state) for first, state in state_dict["state"].items()}
    return state_dict_file.dump({**state_dict, "state": states})


def state_dict_from_safetensors(content: bytes, dtype: torch.dtype | None = None) -> dict[str, Any]:
    """Returns the state dict in a safetensors file's content, for torch.optim.LBFGS to load."""
    return as_torch(state_dict_file.load(content), dtype)


def load_pt(path: str | os.PathLike[str], key: str | None = None) -> dict[str, Any]:
    """Returns the optimizer's state dict in a file of torch.save. If the file is a dictionary of
    several things, `key` names the entry; by default "optimizer" and "optimizer_state_dict" are
    tried. The file is read with `weights_only=True`, so it can't run code."""
    found = torch.load(path, map_location="cpu", weights_only=True)
    keys = (key,) if key is not None else ("optimizer", "optimizer_state_dict")
    if key is not None or not _is_state_dict(found):
        given = found if isinstance(found, Mapping) else {}
        found = next((given[key] for key in keys if key in given), None)
    if not _is_state_dict(found):
        raise ValueError(f"{os.fspath(path)} has no state dict of an optimizer; give its key")
    return cast("dict[str, Any]", found)


def save_pt(
    state_dict: Mapping[str, Any], path: str | os.PathLike[str], dtype: torch.dtype | None = None
) -> None:
    """Saves a state dict, torch's or a client's, to a file that torch.load reads."""
    torch.save(as_torch(state_dict, dtype), path)


def _is_state_dict(value: Any) -> bool:
    return isinstance(value, Mapping) and "state" in value and "param_groups" in value
