"""Exceptions: one class for each type of problem that the server reports."""

from __future__ import annotations

import os
from typing import Any, ClassVar


class Infeasible(Exception):
    """Raised by a function or a closure where the loss is undefined ("mesh inverted")."""


class Error(Exception):
    """The base of the exceptions of this package."""


class JournalError(Error):
    """The file of a durable local run can't be used: it is damaged, in use, another problem's, or
    can't be written. `path` is its name."""

    def __init__(self, path: str | os.PathLike[str], reason: str) -> None:
        self.path = os.fspath(path)
        self.reason = reason
        super().__init__(f"{self.path} {reason}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path, self.reason)


class ConnectionFailed(Error):
    """The server could not be reached, or connections broke, until the deadline passed."""


class BadReply(Error):
    """A reply that does not follow the service's protocol."""


class ProblemError(Error):
    """The server refused the request. `problem` is its problem document (RFC 9457)."""

    types: ClassVar[tuple[str, ...]] = ()
    retry_after: float = 0.0
    """The seconds after which the server suggests to try again; 0 if it doesn't say."""

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
        """The mistakes in the request, each with its `field` and `reason`."""
        return list(self.problem.get("errors", []))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problem,), self.__dict__


class Malformed(ProblemError):
    types = ("malformed",)


class DigestMismatch(Malformed):
    """The body that the server received does not have the digest that was sent with it."""

    types = ("digest-mismatch",)


class Unauthorized(ProblemError):
    """The token is missing, unknown, expired or revoked, or lacks a scope."""

    types = ("unauthorized", "insufficient-scope")


class ForeignRequest(ProblemError):
    """The request's Host, or the page that it comes from, is none that the server knows: what a
    proxy forwards as Host may have to be among its `allowed-hosts`."""

    types = ("misdirected-request", "foreign-origin")


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
    """The session, or the server, is not in the state that the request needs."""

    types: ClassVar[tuple[str, ...]] = ("replication-off", "other-standby")


class ChangesGone(ProblemError):
    """The changes that a standby asked for are not kept."""

    types = ("changes-gone",)


class StepRunning(Conflict):
    types = ("step-running",)


class NoStepRunning(Conflict):
    types = ("no-step-running",)


class AlreadyTold(Conflict):
    """The evaluation has been told another result, which stays."""

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
    """The hook's call has been given another answer, which stays."""

    types = ("already-answered",)


class AbortedByHook(Conflict):
    """A hook was not answered in time, and its default is to abort."""

    types = ("aborted-by-hook",)


class EvaluationClosed(ProblemError):
    """A stop or a restore closed the evaluation, which no longer needs a result."""

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


class RangeNotSatisfiable(ProblemError):
    """The reply does not have the range of bytes that was asked for."""

    types = ("range-not-satisfiable",)


class InvalidRequest(ProblemError):
    """Well-formed but wrong; `errors` names the fields."""

    types = ("invalid-request",)


class IdempotencyKeyReused(ProblemError):
    types = ("idempotency-key-reused",)


class HeaderFieldsTooLarge(ProblemError):
    types = ("header-fields-too-large",)


class ServerError(ProblemError):
    """The server failed."""

    types = ("internal",)


class Corrupt(ServerError):
    """The stored session is damaged."""

    types = ("corrupt",)


class StorageFull(ProblemError):
    """The disk is full, or the tenant has as many sessions or bytes as it may. Reads still work."""

    types = ("storage-full", "quota-exceeded")


class Unavailable(ProblemError):
    """The server was unavailable until the deadline, in spite of retries."""


class Busy(Unavailable):
    types = ("busy", "tenant-busy")


class Overloaded(Unavailable):
    types = ("overloaded",)


class ShuttingDown(Unavailable):
    types = ("shutting-down",)


class NotReady(Unavailable):
    types = ("not-ready",)


class StandbyMissing(Unavailable):
    """Each write has to be on a standby too, and none has acknowledged it. After `unacknowledged`
    the write may take effect; repeated, it is told how it ended."""

    types = ("standby-missing", "unacknowledged")


class Fenced(Unavailable):
    """Another store was promoted in the place of the server's, which takes no writes any more."""

    types = ("fenced",)


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
