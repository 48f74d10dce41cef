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
    AlreadyTold,
    BadReply,
    Busy,
    Conflict,
    ConnectionFailed,
    ContentTooLarge,
    Corrupt,
    Error,
    EvaluationClosed,
    EvaluationNotReached,
    HeaderFieldsTooLarge,
    IdempotencyKeyReused,
    Infeasible,
    InvalidRequest,
    LengthRequired,
    Malformed,
    MethodNotAllowed,
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
    StorageFull,
    Unanswered,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
)
from ._minimize import minimize, scipy_method
from ._types import (
    Checkpoint,
    Evaluation,
    Event,
    Origin,
    Parameter,
    Parameters,
    ParameterSpec,
    Session,
    SessionSummary,
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
    "AlreadyTold",
    "AsyncClient",
    "BadReply",
    "Busy",
    "Checkpoint",
    "Client",
    "Conflict",
    "ConnectionFailed",
    "ContentTooLarge",
    "Corrupt",
    "Error",
    "Evaluation",
    "EvaluationClosed",
    "EvaluationNotReached",
    "Event",
    "HeaderFieldsTooLarge",
    "IdempotencyKeyReused",
    "Infeasible",
    "InvalidRequest",
    "LengthRequired",
    "Malformed",
    "MethodNotAllowed",
    "NoStepRunning",
    "NotAcceptable",
    "NotFound",
    "NotReady",
    "Origin",
    "Overloaded",
    "Parameter",
    "ParameterSpec",
    "Parameters",
    "PreconditionFailed",
    "ProblemError",
    "Retry",
    "ServerError",
    "Session",
    "SessionSummary",
    "ShuttingDown",
    "Step",
    "StepResult",
    "StepRunning",
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
]


def __getattr__(name: str) -> Any:
    if name == "torch":
        return importlib.import_module(".torch", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
