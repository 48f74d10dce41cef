"""Options of a step, and of a parameter group in a state dict, as JSON has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from . import json_text

NUMBERS: dict[str, type] = {
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
"""The options that are numbers, with their types; `noise` may be a name too."""

SCHEDULER_ENTRIES = ("initial_lr", "max_lr", "min_lr", "swa_lr")
"""What torch's learning-rate schedulers leave in a parameter group."""


def write(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as JSON. Numbers may be NumPy's, or tensors of one element."""

    def written(key: str, value: Any) -> Any:
        kind = NUMBERS.get(key)
        if value is None or kind is None or isinstance(value, str):
            return value
        number = float(value)
        if kind is int and number.is_integer():
            return int(value)
        return json_text.write_number(number)

    return {key: written(key, value) for key, value in options.items()}


def read(options: Mapping[str, Any]) -> dict[str, Any]:
    def value(key: str, value: Any) -> Any:
        number = NUMBERS.get(key) is float and isinstance(value, str) and key != "noise"
        return float(value) if number else value

    return {key: value(key, item) for key, item in options.items()}


def write_groups(groups: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The `param_groups` of a state dict, without what schedulers have added."""
    own = ({k: v for k, v in group.items() if k not in SCHEDULER_ENTRIES} for group in groups)
    return [write(group) for group in own]


def read_groups(groups: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [read(group) for group in groups]
