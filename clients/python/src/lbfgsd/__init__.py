"""Client of lbfgsd, the L-BFGS service.

`minimize` works as SciPy's and `lbfgsd.torch.LBFGS` as torch.optim.LBFGS; `Client` and
`AsyncClient` have every operation of the service. `lbfgsd.torch` is imported on first use, since
torch is optional.

The package's parts: `_model` has the values that calls return, `_wire` their formats in requests
and replies, `_client` the operations and the two clients. `_minimize` and `torch` are built on
`Client`; `_stepping` is what they share.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ._client import AsyncClient, Client, Retry
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
    RangeNotSatisfiable,
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
from ._model import (
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
    Tell,
    Trace,
    TracePoint,
    Turn,
)
from ._wire.state_dict_file import dump as state_dict_to_safetensors
from ._wire.state_dict_file import load as state_dict_from_safetensors

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
    "RangeNotSatisfiable",
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
    "Tell",
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
