"""What can go wrong: one class for each type of problem that the server reports."""

from __future__ import annotations

from typing import Any, ClassVar


class Infeasible(Exception):
    """Raise this in a function or a closure when a point can't be evaluated ("mesh inverted")."""


class Error(Exception):
    """Of all that this package raises by itself."""


class ConnectionFailed(Error):
    """The server could not be reached, or the connection broke, until the deadline was over."""


class BadReply(Error):
    """Something answered that does not speak this protocol."""


class ProblemError(Error):
    """The server said no. `problem` is its problem document (RFC 9457)."""

    types: ClassVar[tuple[str, ...]] = ()
    retry_after: float = 0.0
    """Seconds after which the server suggests to try again; 0 if it doesn't say."""

    def __init__(self, problem: dict[str, Any]) -> None:
        self.problem = problem
        super().__init__(self.detail or self.title or f"status {self.status}")

    @property
    def type(self) -> str:
        return str(self.problem.get("type", "about:blank"))

    @property
    def title(self) -> str:
        return str(self.problem.get("title", ""))

    @property
    def detail(self) -> str:
        return str(self.problem.get("detail", ""))

    @property
    def status(self) -> int:
        return int(self.problem.get("status", 0))

    @property
    def errors(self) -> list[dict[str, str]]:
        """What is wrong where: `field` and `reason` of each mistake."""
        return list(self.problem.get("errors", []))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problem,), self.__dict__


class Malformed(ProblemError):
    types = ("malformed",)


class DigestMismatch(Malformed):
    """The body that the server got is not the one that its Content-Digest was made of."""

    types = ("digest-mismatch",)


class Unauthorized(ProblemError):
    types = ("unauthorized",)


class NotFound(ProblemError):
    """No such session, step, checkpoint or evaluation; `resource` says which."""

    types = ("not-found",)

    @property
    def resource(self) -> str | None:
        resource = self.problem.get("resource")
        return None if resource is None else str(resource)


class EvaluationNotReached(NotFound):
    types = ("evaluation-not-reached",)


class HookCallNotReached(NotFound):
    types = ("hook-call-not-reached",)


class MethodNotAllowed(ProblemError):
    types = ("method-not-allowed",)


class NotAcceptable(ProblemError):
    types = ("not-acceptable",)


class Conflict(ProblemError):
    """The session is not in the state that the request needs."""


class StepRunning(Conflict):
    types = ("step-running",)


class NoStepRunning(Conflict):
    types = ("no-step-running",)


class AlreadyTold(Conflict):
    """The evaluation has another result, which counts."""

    types = ("already-told",)


class EvaluationInShards(Conflict):
    """The evaluation is told in shards, not as a whole."""

    types = ("evaluation-in-shards",)


class NoShardFree(Conflict):
    """All shards of the evaluation are told or leased; `retry_after` says when to ask again."""

    types = ("no-shard-free",)


class AwaitingHook(Conflict):
    """The session waits for the answer to a hook's call; `retry_after` says when its default
    applies."""

    types = ("awaiting-hook",)


class AlreadyAnswered(Conflict):
    """The hook's call has another answer, which counts."""

    types = ("already-answered",)


class AbortedByHook(Conflict):
    """A hook was not answered in time, and its default is to abort."""

    types = ("aborted-by-hook",)


class EvaluationClosed(ProblemError):
    """A stop or a restore closed the evaluation; nobody waits for it any more."""

    types = ("evaluation-closed",)


class HookCallClosed(ProblemError):
    """The deadline of the hook's call passed, or the hook was removed."""

    types = ("hook-call-closed",)


class StepUndone(ProblemError):
    """A restore undid the step that the same request had begun."""

    types = ("step-undone",)


class LengthRequired(ProblemError):
    types = ("length-required",)


class PreconditionFailed(ProblemError):
    """`if_match` names another state; `current` is the entity tag that the session has."""

    types = ("precondition-failed",)

    @property
    def current(self) -> str | None:
        current = self.problem.get("current")
        return None if current is None else str(current)


class ContentTooLarge(ProblemError):
    types = ("content-too-large",)


class UnsupportedMediaType(ProblemError):
    types = ("unsupported-media-type",)


class InvalidRequest(ProblemError):
    """Well-formed but wrong; `errors` names the fields."""

    types = ("invalid-request",)


class IdempotencyKeyReused(ProblemError):
    types = ("idempotency-key-reused",)


class HeaderFieldsTooLarge(ProblemError):
    types = ("header-fields-too-large",)


class ServerError(ProblemError):
    """The server is at fault."""

    types = ("internal",)


class Corrupt(ServerError):
    """The stored session is damaged."""

    types = ("corrupt",)


class StorageFull(ProblemError):
    """The disk is full, or the server holds as many sessions as it may; reading goes on."""

    types = ("storage-full",)


class Unavailable(ProblemError):
    """Not now: raised when trying again did not help before the deadline."""


class Busy(Unavailable):
    types = ("busy",)


class Overloaded(Unavailable):
    types = ("overloaded",)


class ShuttingDown(Unavailable):
    types = ("shutting-down",)


class NotReady(Unavailable):
    types = ("not-ready",)


class Unanswered(Unavailable):
    types = ("unanswered", "request-timeout")


def _subclasses(base: type[ProblemError]) -> list[type[ProblemError]]:
    direct = base.__subclasses__()
    return direct + [below for cls in direct for below in _subclasses(cls)]


_BY_TYPE = {f"/problems/{name}": cls for cls in _subclasses(ProblemError) for name in cls.types}
_BY_STATUS: dict[int, type[ProblemError]] = {
    400: Malformed,
    401: Unauthorized,
    403: Unauthorized,
    404: NotFound,
    408: Unanswered,
    413: ContentTooLarge,
    429: Unavailable,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
    507: StorageFull,
}


def problem_error(status: int, document: object) -> ProblemError:
    """The exception for a reply of 4xx or 5xx; `document` is its body if that is a JSON object."""
    problem: dict[str, Any] = dict(document) if isinstance(document, dict) else {}
    problem.setdefault("type", "about:blank")
    problem.setdefault("status", status)
    problem.setdefault("title", f"The server answered {status}")
    fallback = ServerError if status >= 500 else ProblemError
    cls = _BY_TYPE.get(problem["type"]) or _BY_STATUS.get(status, fallback)
    return cls(problem)
