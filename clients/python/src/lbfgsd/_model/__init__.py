"""The values that calls take and return, as frozen dataclasses. Wire formats are elsewhere."""

from __future__ import annotations

from .arrays import Floats, Options, StateDict
from .bounds import ActiveSet, SessionBounds
from .ensembles import (
    Abandoned,
    BestMember,
    Ensemble,
    EnsembleSummary,
    EnsembleTurn,
    Member,
    MemberEvaluation,
    MemberTracePoint,
    Told,
)
from .hooks import Delivery, Hook, HookCall
from .results import LineSearchFailure, StepResult
from .sessions import (
    Best,
    Checkpoint,
    Origin,
    Parameter,
    Parameters,
    ParameterSpec,
    ParamGroup,
    Purge,
    Session,
    SessionSummary,
)
from .steps import Evaluation, Lease, Shards, Step, Tell, Turn
from .trace import Event, Trace, TracePoint

__all__ = [
    "Abandoned",
    "ActiveSet",
    "Best",
    "BestMember",
    "Checkpoint",
    "Delivery",
    "Ensemble",
    "EnsembleSummary",
    "EnsembleTurn",
    "Evaluation",
    "Event",
    "Floats",
    "Hook",
    "HookCall",
    "Lease",
    "LineSearchFailure",
    "Member",
    "MemberEvaluation",
    "MemberTracePoint",
    "Options",
    "Origin",
    "ParamGroup",
    "Parameter",
    "ParameterSpec",
    "Parameters",
    "Purge",
    "Session",
    "SessionBounds",
    "SessionSummary",
    "Shards",
    "StateDict",
    "Step",
    "StepResult",
    "Tell",
    "Told",
    "Trace",
    "TracePoint",
    "Turn",
]
