"""The values that calls take and return, as frozen dataclasses. Wire formats are elsewhere."""

from __future__ import annotations

from .arrays import Floats, Options, StateDict
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
    Session,
    SessionSummary,
)
from .steps import Evaluation, Lease, Shards, Step, Tell, Turn
from .trace import Event, Trace, TracePoint

__all__ = [
    "Best",
    "Checkpoint",
    "Delivery",
    "Evaluation",
    "Event",
    "Floats",
    "Hook",
    "HookCall",
    "Lease",
    "LineSearchFailure",
    "Options",
    "Origin",
    "ParamGroup",
    "Parameter",
    "ParameterSpec",
    "Parameters",
    "Session",
    "SessionSummary",
    "Shards",
    "StateDict",
    "Step",
    "StepResult",
    "Tell",
    "Trace",
    "TracePoint",
    "Turn",
]
