"""Parameters and state as tensors, and as the arrays that a client sends and receives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .._model import Floats

DTYPES = {torch.float32: "float32", torch.float64: "float64"}
"""The dtypes of sessions."""


def gather(params: Sequence[Tensor]) -> Tensor:
    """The parameters as one flat CPU tensor."""
    return torch.cat([p.detach().reshape(-1).cpu() for p in params])


def gather_gradient(params: Sequence[Tensor]) -> Floats:
    """The gradient as one flat array of the parameters' dtype. For a single parameter on the CPU it
    is the memory of its gradient."""
    pieces = []
    for p in params:
        grad = torch.zeros(p.numel(), dtype=p.dtype) if p.grad is None else p.grad
        grad = grad.to_dense() if grad.is_sparse else grad
        pieces.append(grad.detach().reshape(-1).cpu())
    whole = pieces[0] if len(pieces) == 1 else torch.cat(pieces)
    gathered: Floats = whole.numpy()
    return gathered


def scatter(params: Sequence[Tensor], x: Floats) -> None:
    """Sets the parameters from one flat array."""
    flat, offset = torch.from_numpy(x).to(params[0].dtype), 0
    with torch.no_grad():
        for p in params:
            p.copy_(flat[offset : offset + p.numel()].view(p.shape))
            offset += p.numel()


def same_bits(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are equal bit for bit, so that -0.0 differs from 0.0."""
    bits = torch.int32 if one.dtype == torch.float32 else torch.int64
    return one.shape == other.shape and bool(torch.equal(one.view(bits), other.view(bits)))


def common_dtype(params: Sequence[Tensor]) -> torch.dtype:
    """The dtype that all parameters share. Raises ValueError if they don't, or if it is neither
    float32 nor float64."""
    for p in params:
        if torch.is_complex(p) or p.dtype not in DTYPES:
            raise ValueError(f"Parameters must be real, float32 or float64, not {p.dtype}")
    dtypes = {p.dtype for p in params}
    if len(dtypes) > 1:
        listed = " and ".join(sorted(str(dtype) for dtype in dtypes))
        raise ValueError(f"Parameters must be real and of one dtype, not {listed}")
    return dtypes.pop()


def with_elements(group: Mapping[str, Any]) -> list[Tensor]:
    """A group's parameters that have elements. The service knows nothing of the others."""
    return [p for p in group["params"] if p.numel() > 0]


def named_values(group: Mapping[str, Any]) -> Any:
    """The values of a group's parameters, by name if the group has names for them."""
    arrays = [p.detach().cpu().numpy() for p in with_elements(group)]
    names = group.get("param_names")
    if names is None:
        return arrays
    own = [name for name, p in zip(names, group["params"], strict=True) if p.numel() > 0]
    return dict(zip(own, arrays, strict=True))


def to_arrays(state: Mapping[str, Any]) -> dict[str, Any]:
    """A parameter's state with arrays for tensors."""

    def array(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value.detach().cpu().numpy()
        if isinstance(value, (list, tuple)):
            return [array(item) for item in value]
        return value

    return {key: array(value) for key, value in state.items()}


def to_tensors(
    state: Mapping[str, Any], dtype: torch.dtype, device: torch.device
) -> dict[str, Any]:
    """A parameter's state with tensors for the arrays that torch has as tensors."""

    def tensor(values: Any) -> Tensor:
        return torch.tensor(values, dtype=dtype, device=device)

    shaped = dict(state)
    for key in ("d", "prev_flat_grad"):
        if shaped.get(key) is not None:
            shaped[key] = tensor(shaped[key])
    for key in ("old_dirs", "old_stps", "ro", "al"):
        if shaped.get(key) is not None:
            shaped[key] = [None if item is None else tensor(item) for item in shaped[key]]
    return shaped
