"""State dicts and options between values and JSON, in torch's words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from . import _json
from ._types import StateDict

COUNTS = ("func_evals", "n_iter")
NUMBERS = ("t", "H_diag", "prev_loss")
VECTORS = ("d", "prev_flat_grad")
LISTS_OF_VECTORS = ("old_dirs", "old_stps")
LISTS_OF_NUMBERS = ("ro", "al")

OPTIONS: dict[str, type] = {
    "lr": float,
    "max_iter": int,
    "max_eval": int,
    "tolerance_grad": float,
    "tolerance_change": float,
    "tolerance_grad_relative": float,
    "tolerance_loss_relative": float,
    "history_size": int,
    "noise": float,
}
"""Those that are numbers; `noise` may be a name too."""

SCHEDULERS = ("initial_lr", "max_lr", "min_lr", "swa_lr")
"""What torch's learning-rate schedulers leave in a parameter group."""


def write(state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """A state dict as JSON has it: vectors are arrays or CPU tensors, numbers all that float()
    takes."""
    state = {str(key): _write_state(value) for key, value in state_dict["state"].items()}
    return {"state": state, "param_groups": write_groups(state_dict["param_groups"])}


def read(document: Mapping[str, Any]) -> StateDict:
    state = {int(key): _read_state(value) for key, value in document["state"].items()}
    return {"state": state, "param_groups": read_groups(document["param_groups"])}


def _write_state(state: Mapping[str, Any]) -> dict[str, Any]:
    written: dict[str, Any] = {}
    for key, value in state.items():
        if value is None:
            written[key] = None
        elif key in COUNTS:
            written[key] = int(value)
        elif key in NUMBERS:
            written[key] = _json.number(value)
        elif key in VECTORS:
            written[key] = _json.vector(value)
        elif key in LISTS_OF_VECTORS:
            written[key] = [_json.vector(item) for item in value]
        elif key in LISTS_OF_NUMBERS:
            written[key] = [None if item is None else _json.number(item) for item in value]
        else:
            written[key] = value
    return written


def _read_state(state: Mapping[str, Any]) -> dict[str, Any]:
    read: dict[str, Any] = {}
    for key, value in state.items():
        if value is None:
            read[key] = None
        elif key in NUMBERS:
            read[key] = _json.read_number(value)
        elif key in VECTORS or key == "ro":
            read[key] = _json.read_vector(value)
        elif key in LISTS_OF_VECTORS:
            read[key] = [_json.read_vector(item) for item in value]
        elif key == "al":
            read[key] = [_json.read_optional(item) for item in value]
        else:
            read[key] = value
    return read


def write_groups(groups: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    own = ({k: v for k, v in group.items() if k not in SCHEDULERS} for group in groups)
    return [write_options(group) for group in own]


def read_groups(groups: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [read_options(group) for group in groups]


def write_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as JSON has them: numbers may be NumPy's, and tensors of one element."""

    def written(key: str, value: Any) -> Any:
        kind = OPTIONS.get(key)
        if value is None or kind is None or isinstance(value, str):
            return value
        number = float(value)
        if kind is int and number.is_integer():
            return int(value)
        return _json.number(number)

    return {key: written(key, value) for key, value in options.items()}


def read_options(options: Mapping[str, Any]) -> dict[str, Any]:
    def value(key: str, value: Any) -> Any:
        number = OPTIONS.get(key) is float and isinstance(value, str) and key != "noise"
        return float(value) if number else value

    return {key: value(key, item) for key, item in options.items()}
