"""Sessions, their parameters and parameter groups, and their checkpoints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .arrays import Floats


@dataclass(frozen=True)
class ParameterSpec:
    """The name and the shape of a parameter."""

    name: str | None
    shape: tuple[int, ...]


@dataclass(frozen=True)
class ParamGroup:
    """A parameter group: the positions of its parameters in the session, and how many numbers they
    have in all (`count`). The optimizer does not move the parameters of a frozen group."""

    index: int
    name: str | None
    frozen: bool
    params: tuple[int, ...]
    param_names: tuple[str, ...] | None
    count: int


@dataclass(frozen=True)
class Best:
    """The lowest finite loss that a session was told (the highest if it maximizes), and the number
    of the evaluation that had it."""

    loss: float
    evaluation: int


@dataclass(frozen=True)
class Origin:
    """The checkpoint that a fork was made from."""

    session: str
    checkpoint: str


@dataclass(frozen=True)
class SessionSummary:
    """An entry in the list of sessions. `gradient_norm_inf` is that of the newest evaluation;
    `ensemble` is the one that it is a member of."""

    id: str
    name: str | None
    labels: dict[str, str]
    state: str
    dtype: str
    n: int
    step: int
    evaluation: int
    loss: float | None
    origin: Origin | None
    created_at: str
    updated_at: str
    best: Best | None = field(default=None, kw_only=True)
    mode: str | None = field(default=None, kw_only=True)
    gradient_norm_inf: float | None = field(default=None, kw_only=True)
    ensemble: str | None = field(default=None, kw_only=True)

    def __str__(self) -> str:
        return self.id


@dataclass(frozen=True)
class Session(SessionSummary):
    """A session without its vectors. `shards` is the number of parts that its evaluations are told
    in, or None; `bounded` and `l1` are whether it has bounds and an L1 term; `projected` is how
    many numbers of its start were outside their bounds; `etag` is the entity tag that `if_match`
    takes."""

    params: tuple[ParameterSpec, ...]
    options: dict[str, Any]
    shards: int | None
    param_groups: tuple[ParamGroup, ...]
    memory_bytes_estimate: int
    disk_bytes: int
    etag: str | None = None
    bounded: bool = False
    l1: bool = False
    projected: int = 0

    def __str__(self) -> str:
        return self.id


@dataclass(frozen=True)
class Purge:
    """What `purge` found and did: how many sessions met the criteria, up to 100 of them, how many
    were deleted (None if that was not asked for), and whether some were left to another call."""

    count: int
    sessions: tuple[str, ...]
    deleted: int | None = None
    more: bool = False


@dataclass(frozen=True)
class Parameter:
    """The values of a parameter, in its shape."""

    name: str | None
    values: Floats


@dataclass(frozen=True)
class Parameters:
    """The parameters of a session in their shapes. `x` is all of them in one flat vector, which may
    share their memory."""

    dtype: str
    params: tuple[Parameter, ...]
    etag: str | None = None
    _flat: Floats | None = field(default=None, repr=False, compare=False)

    @property
    def x(self) -> Floats:
        if self._flat is not None:
            return self._flat
        return np.concatenate([param.values.reshape(-1) for param in self.params])

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self.params)

    def __len__(self) -> int:
        return len(self.params)

    def __getitem__(self, key: int | str) -> Floats:
        """The values of a parameter, by its position or by its name."""
        if isinstance(key, int):
            return self.params[key].values
        for param in self.params:
            if param.name == key:
                return param.values
        raise KeyError(key)


@dataclass(frozen=True)
class Checkpoint:
    """A saved state of a session, which can be restored or forked."""

    id: str
    session: str
    name: str | None
    state: str
    step: int
    evaluation: int
    loss: float | None
    created_at: str

    def __str__(self) -> str:
        return self.id
