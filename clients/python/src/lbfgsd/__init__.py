"""Client of lbfgsd, the L-BFGS service.

`minimize` works as SciPy's, `lbfgsd.torch.LBFGS` as torch.optim.LBFGS (imported when it is asked
for), and `Client` and `AsyncClient` have every call of the service.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ._client import AsyncClient, Client
from ._core import Retry
from ._errors import (
    AbortedByHook,
    AlreadyAnswered,
    AlreadyTold,
    AwaitingHook,
    BadReply,
    Busy,
    Conflict,
    ConnectionFailed,
    ContentTooLarge,
    Corrupt,
    DigestMismatch,
    Error,
    EvaluationClosed,
    EvaluationInShards,
    EvaluationNotReached,
    HeaderFieldsTooLarge,
    HookCallClosed,
    HookCallNotReached,
    IdempotencyKeyReused,
    Infeasible,
    InvalidRequest,
    LengthRequired,
    Malformed,
    MethodNotAllowed,
    NoShardFree,
    NoStepRunning,
    NotAcceptable,
    NotFound,
    NotReady,
    Overloaded,
    PreconditionFailed,
    ProblemError,
    ServerError,
    ShuttingDown,
    StepRunning,
    StepUndone,
    StorageFull,
    Unanswered,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
)
from ._minimize import minimize, scipy_method
from ._safetensors import dump as state_dict_to_safetensors
from ._safetensors import load as state_dict_from_safetensors
from ._types import (
    Best,
    Checkpoint,
    Delivery,
    Evaluation,
    Event,
    Hook,
    HookCall,
    Lease,
    LineSearchFailure,
    Origin,
    Parameter,
    Parameters,
    ParameterSpec,
    ParamGroup,
    Session,
    SessionSummary,
    Shards,
    Step,
    StepResult,
    Trace,
    TracePoint,
    Turn,
)

if TYPE_CHECKING:
    from . import torch as torch

__version__ = "0.1.0"

__all__ = [
    "AbortedByHook",
    "AlreadyAnswered",
    "AlreadyTold",
    "AsyncClient",
    "AwaitingHook",
    "BadReply",
    "Best",
    "Busy",
    "Checkpoint",
    "Client",
    "Conflict",
    "ConnectionFailed",
    "ContentTooLarge",
    "Corrupt",
    "Delivery",
    "DigestMismatch",
    "Error",
    "Evaluation",
    "EvaluationClosed",
    "EvaluationInShards",
    "EvaluationNotReached",
    "Event",
    "HeaderFieldsTooLarge",
    "Hook",
    "HookCall",
    "HookCallClosed",
    "HookCallNotReached",
    "IdempotencyKeyReused",
    "Infeasible",
    "InvalidRequest",
    "Lease",
    "LengthRequired",
    "LineSearchFailure",
    "Malformed",
    "MethodNotAllowed",
    "NoShardFree",
    "NoStepRunning",
    "NotAcceptable",
    "NotFound",
    "NotReady",
    "Origin",
    "Overloaded",
    "ParamGroup",
    "Parameter",
    "ParameterSpec",
    "Parameters",
    "PreconditionFailed",
    "ProblemError",
    "Retry",
    "ServerError",
    "Session",
    "SessionSummary",
    "Shards",
    "ShuttingDown",
    "Step",
    "StepResult",
    "StepRunning",
    "StepUndone",
    "StorageFull",
    "Trace",
    "TracePoint",
    "Turn",
    "Unanswered",
    "Unauthorized",
    "Unavailable",
    "UnsupportedMediaType",
    "minimize",
    "scipy_method",
    "state_dict_from_safetensors",
    "state_dict_to_safetensors",
]


def __getattr__(name: str) -> Any:
    if name == "torch":
        return importlib.import_module(".torch", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
