"""Ensembles, their members, and the points that they ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .arrays import Floats
from .results import StepResult
from .sessions import ParameterSpec
from .trace import TracePoint


@dataclass(frozen=True)
class EnsembleSummary:
    """An entry in the list of ensembles. `reason` says why one is finished."""

    id: str
    name: str | None
    labels: dict[str, str]
    state: str
    reason: str | None
    dtype: str
    n: int
    params: tuple[ParameterSpec, ...]
    maximize: bool
    created_at: str
    finished_at: str | None

    def __str__(self) -> str:
        return self.id


@dataclass(frozen=True)
class BestMember:
    """The member with the lowest loss (the highest, when maximizing). `x` is its newest accepted
    point, None if its session could not be loaded."""

    member: int
    session: str
    state: str
    loss: float
    x: Floats | None


@dataclass(frozen=True)
class Ensemble(EnsembleSummary):
    """An ensemble. `members` counts them by state; `leased` points are being evaluated; `starts`,
    `stop` and `abandon` are what it was created with."""

    members: dict[str, int]
    leased: int
    evaluations: int
    best: BestMember | None
    starts: dict[str, Any]
    stop: dict[str, Any]
    abandon: dict[str, Any]
    lower: float | Floats | None
    upper: float | Floats | None
    expires_after: int | None
    etag: str | None = None

    def __str__(self) -> str:
        return self.id


@dataclass(frozen=True)
class Abandoned:
    """Why a member's step was ended early: "stagnation", or "same_basin" as the member `other`."""

    reason: str
    other: int | None


@dataclass(frozen=True)
class Member:
    """A member: its start's number, its session and where that stands. `x` is its newest accepted
    point, if it was asked for."""

    member: int
    session: str
    state: str
    rank: int | None
    loss: float | None
    step: int
    evaluations: int
    result: StepResult | None
    abandoned: Abandoned | None
    worker: str | None
    lease_expires_at: str | None
    x: Floats | None = None


@dataclass(frozen=True)
class MemberEvaluation:
    """A point of a member, which its worker is to evaluate before the lease ends."""

    member: int
    session: str
    number: int
    x: Floats
    lease_expires_at: str


@dataclass(frozen=True)
class EnsembleTurn:
    """The points that an ensemble asks for. Without any, `retry_after_seconds` says when there may
    be one, unless the ensemble is finished."""

    ensemble: str
    state: str
    reason: str | None
    evaluations: tuple[MemberEvaluation, ...]
    retry_after_seconds: int | None


@dataclass(frozen=True)
class Told:
    """A result that was accepted, and the state of its session then."""

    member: int
    session: str
    state: str
    replayed: bool = False


@dataclass(frozen=True)
class MemberTracePoint:
    """A point of a member's trace."""

    member: int
    session: str
    point: TracePoint
