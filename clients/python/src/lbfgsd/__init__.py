"""Client of lbfgsd, the L-BFGS service.

`minimize` works as SciPy's, `minimize_many` does so from each of many starts, `multistart` looks
for the best minimum from many starts with many workers, and `lbfgsd.torch.LBFGS` works as
torch.optim.LBFGS; `Client` and `AsyncClient` have every operation of the service. `lbfgsd.torch`
is imported on first use, since torch is optional.

`check_gradient` compares a gradient with differences.

The package's parts: `_model` has the values that calls return, `_wire` their formats in requests
and replies, `_client` the operations and the two clients. `_minimize`, `_multistart` and `torch`
are built on `Client`; `_stepping` is what they share. `_gradient` needs none of them.
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
    ChangesGone,
    Conflict,
    ConnectionFailed,
    ContentTooLarge,
    Corrupt,
    DigestMismatch,
    Error,
    EvaluationClosed,
    EvaluationInShards,
    EvaluationNotReached,
    Fenced,
    ForeignRequest,
    HeaderFieldsTooLarge,
    HookCallClosed,
    HookCallNotReached,
    IdempotencyKeyReused,
    Infeasible,
    InvalidRequest,
    JournalError,
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
    StandbyMissing,
    StepRunning,
    StepUndone,
    StorageFull,
    Unanswered,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
)
from ._gradient import CoordinateCheck, DirectionCheck, GradientCheck, check_gradient
from ._minimize import minimize, scipy_method
from ._minimize.transfer import (
    export_journal,
    import_journal,
    journal_to_session_file,
    session_file_to_journal,
)
from ._model import (
    Abandoned,
    ActiveSet,
    Best,
    BestMember,
    Checkpoint,
    Delivery,
    Ensemble,
    EnsembleSummary,
    EnsembleTurn,
    Evaluation,
    Event,
    Hook,
    HookCall,
    Lease,
    LineSearchFailure,
    Member,
    MemberEvaluation,
    MemberTracePoint,
    Origin,
    Parameter,
    Parameters,
    ParameterSpec,
    ParamGroup,
    Session,
    SessionBounds,
    SessionSummary,
    Shards,
    Step,
    StepResult,
    Tell,
    Told,
    Trace,
    TracePoint,
    Turn,
)
from ._multistart import minimize_many, multistart
from ._wire.state_dict_file import dump as state_dict_to_safetensors
from ._wire.state_dict_file import load as state_dict_from_safetensors

if TYPE_CHECKING:
    from . import torch as torch

__version__ = "0.1.0"

__all__ = [
    "Abandoned",
    "AbortedByHook",
    "ActiveSet",
    "AlreadyAnswered",
    "AlreadyTold",
    "AsyncClient",
    "AwaitingHook",
    "BadReply",
    "Best",
    "BestMember",
    "Busy",
    "ChangesGone",
    "Checkpoint",
    "Client",
    "Conflict",
    "ConnectionFailed",
    "ContentTooLarge",
    "CoordinateCheck",
    "Corrupt",
    "Delivery",
    "DigestMismatch",
    "DirectionCheck",
    "Ensemble",
    "EnsembleSummary",
    "EnsembleTurn",
    "Error",
    "Evaluation",
    "EvaluationClosed",
    "EvaluationInShards",
    "EvaluationNotReached",
    "Event",
    "Fenced",
    "ForeignRequest",
    "GradientCheck",
    "HeaderFieldsTooLarge",
    "Hook",
    "HookCall",
    "HookCallClosed",
    "HookCallNotReached",
    "IdempotencyKeyReused",
    "Infeasible",
    "InvalidRequest",
    "JournalError",
    "Lease",
    "LengthRequired",
    "LineSearchFailure",
    "Malformed",
    "Member",
    "MemberEvaluation",
    "MemberTracePoint",
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
    "SessionBounds",
    "SessionSummary",
    "Shards",
    "ShuttingDown",
    "StandbyMissing",
    "Step",
    "StepResult",
    "StepRunning",
    "StepUndone",
    "StorageFull",
    "Tell",
    "Told",
    "Trace",
    "TracePoint",
    "Turn",
    "Unanswered",
    "Unauthorized",
    "Unavailable",
    "UnsupportedMediaType",
    "check_gradient",
    "export_journal",
    "import_journal",
    "journal_to_session_file",
    "minimize",
    "minimize_many",
    "multistart",
    "scipy_method",
    "session_file_to_journal",
    "state_dict_from_safetensors",
    "state_dict_to_safetensors",
]


def __getattr__(name: str) -> Any:
    if name == "torch":
        return importlib.import_module(".torch", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
