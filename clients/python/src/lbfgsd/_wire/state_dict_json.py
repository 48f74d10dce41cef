"""State dicts as JSON, with torch's names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._model import StateDict
from . import json_text, options

COUNTS = ("func_evals", "n_iter")
NUMBERS = ("t", "H_diag", "prev_loss")
VECTORS = ("d", "prev_flat_grad")
LISTS_OF_VECTORS = ("old_dirs", "old_stps")
LISTS_OF_NUMBERS = ("ro", "al")


def write(state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """A state dict as JSON. Vectors may be arrays or CPU tensors, numbers whatever float()
    accepts."""
    state = {str(key): _write_state(value) for key, value in state_dict["state"].items()}
    return {"state": state, "param_groups": options.write_groups(state_dict["param_groups"])}


def read(document: Mapping[str, Any]) -> StateDict:
    state = {int(key): _read_state(value) for key, value in document["state"].items()}
    return {"state": state, "param_groups": options.read_groups(document["param_groups"])}


def _write_state(state: Mapping[str, Any]) -> dict[str, Any]:
    written: dict[str, Any] = {}
    for key, value in state.items():
        if value is None:
            written[key] = None
        elif key in COUNTS:
            written[key] = int(value)
        elif key in NUMBERS:
            written[key] = json_text.write_number(value)
        elif key in VECTORS:
            written[key] = json_text.write_vector(value)
        elif key in LISTS_OF_VECTORS:
            written[key] = [json_text.write_vector(item) for item in value]
        elif key in LISTS_OF_NUMBERS:
            written[key] = [
                None if item is None else json_text.write_number(item) for item in value
            ]
        else:
            written[key] = value
    return written


def _read_state(state: Mapping[str, Any]) -> dict[str, Any]:
    read: dict[str, Any] = {}
    for key, value in state.items():
        if value is None:
            read[key] = None
        elif key in NUMBERS:
            read[key] = json_text.read_number(value)
        elif key in VECTORS or key == "ro":
            read[key] = json_text.read_vector(value)
        elif key in LISTS_OF_VECTORS:
            read[key] = [json_text.read_vector(item) for item in value]
        elif key == "al":
            read[key] = [json_text.read_optional(item) for item in value]
        else:
            read[key] = value
    return read
