"""Values as bodies of requests, in JSON and, for state dicts, safetensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._model import Floats, Tell
from . import json_text, safetensors, state_dict_file, state_dict_json
from .messages import Content, json_content

ParamsLike = Mapping[str, ArrayLike] | Sequence[ArrayLike]
StateDictFormat = Literal["json", "safetensors"]


@dataclass(frozen=True)
class NewParameter:
    """A parameter that is sent: `values` in their shape, and its name if it has one."""

    name: str | None
    values: NDArray[Any]
    bounds: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """lower, upper and l1, those that there are: numbers of the shape of `values`, or a scalar for
    all."""

    def written(self, with_values: bool = True) -> dict[str, Any]:
        """As JSON; without its values, zeros in its shape."""
        named = {} if self.name is None else {"name": self.name}
        shape = {"shape": list(self.values.shape)}
        values = {"values": json_text.write_vector(self.values)} if with_values else {"fill": 0}
        return {**named, **shape, **values, **written_bounds(self.bounds)}


BoundLike = ArrayLike | Sequence[float | None]
"""Bounds of one parameter: a number for all, or an array with one for each; None is none."""
BoundsLike = BoundLike | Mapping[str, BoundLike | None] | Sequence[BoundLike | None]
"""Bounds of parameters: a number for all, or something for each, by name or in order."""
NO_BOUND = {"lower": -np.inf, "upper": np.inf, "l1": 0.0}
"""What a number has that has none."""


def written_bounds(bounds: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    return {
        name: json_text.write_number(values) if values.ndim == 0 else json_text.write_vector(values)
        for name, values in bounds.items()
    }


def new_parameters(
    params: ParamsLike, bounds: Mapping[str, BoundsLike | None] | None = None
) -> list[NewParameter]:
    """`bounds` has lower, upper and l1, each a number for all parameters, or something for each
    of them, by name or in order."""
    given = {name: values for name, values in (bounds or {}).items() if values is not None}

    def one(position: int, name: str | None, values: ArrayLike) -> NewParameter:
        array = np.asarray(values)
        if np.iscomplexobj(array):
            raise ValueError("Parameters must be real")
        own = {key: _bound_of(key, bound, position, name) for key, bound in given.items()}
        return NewParameter(name, array, {k: b for k, b in own.items() if b is not None})

    if isinstance(params, Mapping):
        for key, bound in given.items():
            if isinstance(bound, Mapping) and (unknown := set(bound) - set(params)):
                raise ValueError(f"{key} has no such parameter: {', '.join(sorted(unknown))}")
        return [one(i, name, values) for i, (name, values) in enumerate(params.items())]
    return [one(i, None, values) for i, values in enumerate(params)]


def _bound_of(key: str, bound: BoundsLike, position: int, name: str | None) -> NDArray[Any] | None:
    if isinstance(bound, Mapping):
        if name is None:
            raise TypeError(f"{key} is by name, and the parameters have no names")
        found = bound.get(name)
    elif isinstance(bound, Sequence) and not isinstance(bound, str):
        if position >= len(bound):
            raise ValueError(f"{key} has {len(bound)} entries, fewer than there are parameters")
        found = bound[position]
    else:
        found = bound
    return None if found is None else as_bound(key, found)


def as_bound(key: str, values: Any) -> NDArray[Any]:
    """Numbers of lower, upper or l1; None in place of a number means that there is none."""
    missing = NO_BOUND[key]
    array = np.asarray(values)
    if array.dtype == object:
        array = np.array([missing if v is None else v for v in array.reshape(-1)]).reshape(
            array.shape
        )
    return array.astype(np.float64)


def joined_bounds(params: Sequence[NewParameter]) -> dict[str, NDArray[Any]]:
    """The bounds of all parameters, flat."""
    return {
        key: np.concatenate(
            [
                np.broadcast_to(param.bounds.get(key, np.asarray(none)), param.values.shape).ravel()
                for param in params
            ]
        )
        for key, none in NO_BOUND.items()
        if any(key in param.bounds for param in params)
    }


def flat_real(values: ArrayLike) -> Floats:
    """An array, flat, in the floating-point type that it has; Float64 if it has none."""
    array = np.asarray(values)
    if np.iscomplexobj(array):
        raise ValueError("Parameters and gradients must be real")
    if array.dtype.kind != "f":
        array = array.astype(np.float64)
    return array.reshape(-1)


def with_parameters(
    document: Mapping[str, Any], params: Sequence[NewParameter], with_values: bool = True
) -> Content:
    """A document that has parameters besides: of a new session, a group, or a replacement."""
    return json_content({**document, "params": [p.written(with_values) for p in params]})


def flat_parameters(x: Floats) -> Content:
    return json_content({"x": json_text.write_vector(x)})


def result(loss: float, gradient: Floats) -> Content:
    document = {
        "loss": json_text.write_number(loss),
        "gradient": json_text.write_vector(gradient),
    }
    return json_content(document)


def named_result(loss: float, gradients: Mapping[str, Floats | None]) -> Content:
    return json_content({"loss": json_text.write_number(loss), "gradients": _named(gradients)})


def batch_item(session: str, tell: Tell | None) -> dict[str, Any]:
    """One entry of a batch: an ask, or a tell."""
    if tell is None:
        return {"session": session}
    item: dict[str, Any] = {"session": session, "number": tell.number}
    if tell.failed is not None:
        return {**item, "failed": tell.failed}
    item["loss"] = json_text.write_number(tell.loss)
    if tell.gradient is not None:
        item["gradient"] = json_text.write_vector(flat_real(tell.gradient))
    if tell.gradients is not None:
        gradients = tell.gradients.items()
        item["gradients"] = _named({k: None if g is None else flat_real(g) for k, g in gradients})
    return item


def _named(gradients: Mapping[str, Floats | None]) -> dict[str, Any]:
    return {k: None if g is None else json_text.write_vector(g) for k, g in gradients.items()}


def state_dict_media_type(format: StateDictFormat) -> str:
    if format not in ("json", "safetensors"):
        raise ValueError(f'a state dict travels as "json" or "safetensors", not {format!r}')
    return json_text.MEDIA_TYPE if format == "json" else safetensors.MEDIA_TYPE


def state_dict(values: Mapping[str, Any], format: StateDictFormat) -> Content:
    media_type = state_dict_media_type(format)
    if format == "safetensors":
        return Content(state_dict_file.dump(values), media_type)
    return json_content(state_dict_json.write(values))
