"""The optimizer's parameter groups, and how they follow those of a session."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from .._model import Floats, ParamGroup
from .._wire.bodies import NO_BOUND
from ._tensors import with_elements

OPTIONS = (
    "lr",
    "max_iter",
    "max_eval",
    "tolerance_grad",
    "tolerance_change",
    "history_size",
    "line_search_fn",
)
"""The options of a parameter group, as torch.optim.LBFGS has them."""

BOUNDS = ("lower", "upper", "l1")
"""What a parameter group may have besides: bounds and weights of an L1 term. Each is a number for
all, or a tensor of the shape of the group's only parameter, or a list with one for each."""

PER_PARAMETER = "LBFGS doesn't support per-parameter options (parameter groups)"

Groups = list[dict[str, Any]]


def step_options(groups: Groups) -> dict[str, Any]:
    """The options that a session gets: those of the first group."""
    options = {name: groups[0][name] for name in OPTIONS}
    options["lr"] = float(options["lr"])
    return options


def set_options(groups: Groups, options: Mapping[str, Any]) -> None:
    """Sets the options of all groups. A tensor for the learning rate stays the same object."""
    for group in groups:
        for name in OPTIONS:
            if name == "lr" and isinstance(group["lr"], Tensor):
                group["lr"].fill_(options["lr"])
            else:
                group[name] = options[name]


def share_options(groups: Groups, options: Mapping[str, Any], sent: Mapping[str, Any]) -> None:
    """Sets the options of all groups to those of the first, which are `options`. Raises ValueError
    if another group has an option that differs from these and from what was last `sent`."""
    first, *others = groups
    for group in others:
        for name in OPTIONS:
            own = float(group[name]) if name == "lr" else group[name]
            if own not in (options[name], sent.get(name, options[name])):
                raise ValueError(PER_PARAMETER)
            group[name] = first[name]


def has_bounds(groups: Groups) -> bool:
    return any(group.get(key) is not None for group in groups for key in BOUNDS)


def flat_bounds(groups: Groups) -> dict[str, Floats]:
    """The bounds of all parameters, flat."""
    bounds = {}
    for key in BOUNDS:
        if any(group.get(key) is not None for group in groups):
            pieces = [piece for group in groups for piece in _bounds_of(group, key)]
            bounds[key] = np.concatenate(pieces)
    return bounds


def _bounds_of(group: Mapping[str, Any], key: str) -> list[Floats]:
    given, params = group.get(key), group["params"]
    listed = list(given) if isinstance(given, (list, tuple)) else [given] * len(params)
    if len(listed) != len(params):
        raise ValueError(f"{key} has {len(listed)} entries, the group {len(params)} parameters")
    pieces: list[Floats] = []
    for p, bound in zip(params, listed, strict=True):
        array = bound.detach().cpu().numpy() if isinstance(bound, Tensor) else bound
        value = np.asarray(NO_BOUND[key] if array is None else array, dtype=np.float64)
        if value.ndim > 0 and value.shape != tuple(p.shape):
            raise ValueError(f"{key} has the shape {value.shape}, its parameter {tuple(p.shape)}")
        pieces.append(np.broadcast_to(value, tuple(p.shape)).reshape(-1))
    return pieces


def session_positions(groups: Groups) -> list[list[int]]:
    """The positions in the session of each group's parameters."""
    positions, end = [], 0
    for group in groups:
        if params := with_elements(group):
            positions.append(list(range(end, end + len(params))))
            end += len(params)
    return positions


def regroup(groups: Groups, theirs: tuple[ParamGroup, ...]) -> None:
    """Splits a single group as the session's are, in place, and takes their names and what is
    frozen. Raises ValueError if there are several groups, and not those of the session."""
    counts = [len(group.params) for group in theirs]
    if [len(params) for group in groups if (params := with_elements(group))] != counts:
        if len(groups) != 1:
            raise ValueError(f"the session has groups of {counts} parameters")
        groups[:] = _split(groups[0], theirs)
    own = [group for group in groups if with_elements(group)]
    for group, their in zip(own, theirs, strict=True):
        if their.name is not None:
            group["name"] = their.name
        if their.frozen or "frozen" in group:
            group["frozen"] = their.frozen


def _split(whole: dict[str, Any], theirs: tuple[ParamGroup, ...]) -> Groups:
    starts = [i for i, p in enumerate(whole["params"]) if p.numel() > 0]
    cuts = [0, *(starts[group.params[0]] for group in theirs[1:]), len(whole["params"])]
    listed = [key for key in ("params", "param_names") if key in whole]
    return [
        {**whole, **{key: whole[key][begin:end] for key in listed}}
        for begin, end in itertools.pairwise(cuts)
    ]
