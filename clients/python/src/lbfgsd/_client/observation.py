"""Operations that observe: the trace, the stream of events, and the server itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from .._errors import NotFound
from .._model import Event, Session, Step, Trace, TracePoint
from .._wire import documents
from .._wire.events import EventParser
from .._wire.messages import Reply
from .binding import operation, stream
from .identifiers import SessionLike, session_path
from .retry import RETRIED_STATUSES, check_status
from .transport.effects import (
    Emit,
    Open,
    Operation,
    Receive,
    Request,
    Sleep,
    Stream,
    TransportError,
)
from .vectors import Vectors

TRACE_PAGE_MAX = 10_000
"""The most evaluations that are asked for at once."""


class ObservationOperations(Vectors):
    @operation
    def trace(
        self,
        session: SessionLike,
        *,
        start: int = 1,
        limit: int | None = None,
        points: int | None = None,
        iteration: int | None = None,
        step: int | None = None,
    ) -> Operation[Trace]:
        """Returns the evaluations from number `start` on, at most `limit` of them.

        With `points`, the whole trace in at most so many, which have the least and the greatest
        loss of equal ranges. With `iteration`, the evaluations of one, of the newest step that has
        it or of `step`."""
        path = session_path(session, "trace")
        if points is not None or iteration is not None:
            if start != 1 or limit is not None:
                raise TypeError("either start and limit, or points, or iteration")
            one = documents.listed("trace", documents.trace_point)
            request = self._get(path, points=points, iteration=iteration, step=step)
            return Trace.of(str(session), (yield from self._exchange(request, one)))
        read = documents.page("trace", documents.trace_point, next_key="next")
        found: list[TracePoint] = []
        following: int | None = start
        while following is not None and (limit is None or len(found) < limit):
            left = None if limit is None else min(limit - len(found), TRACE_PAGE_MAX)
            request = self._get(path, **{"from": following, "limit": left})
            page, following = yield from self._exchange(request, read)
            found += page
        return Trace.of(str(session), found)

    @stream
    def events(
        self,
        session: SessionLike | Sequence[SessionLike] | None = None,
        *,
        label: str | None = None,
        last_event_id: int | None = None,
    ) -> Stream[Event]:
        """Iterates over what happens to a session from now on, or after event `last_event_id`; or
        to many: those in a list, those with the label "key:value", or all.

        Connects again when the connection breaks. Of one session it neither loses nor repeats an
        event, and ends when the session is deleted. Of many it may lose some then, which an event
        of kind "reconnected" says, and has no end.
        """
        if isinstance(session, (list, tuple)) or session is None:
            if last_event_id is not None:
                raise TypeError("last_event_id is for the events of one session")
            yield from self._events_of_many(session or (), label)
            return
        if label is not None:
            raise TypeError("either session or label")
        yield from self._events_of_one(cast("SessionLike", session), last_event_id)

    def _events_of_many(self, sessions: Sequence[SessionLike], label: str | None) -> Stream[Event]:
        query: dict[str, str | Sequence[str]] = {} if label is None else {"label": label}
        if sessions:
            query["session"] = [str(session) for session in sessions]
        request = Request("GET", "/v1/events", query, {"Accept": "text/event-stream"})
        backoff, was_connected = self._backoff(), False
        while True:
            reply = yield Open(request)
            if isinstance(reply, TransportError):
                yield Sleep(backoff.after_failure(reply))
                continue
            assert isinstance(reply, Reply)
            if reply.status in RETRIED_STATUSES:
                yield Sleep(backoff.after_refusal(reply))
                continue
            check_status(reply)
            if was_connected:
                yield Emit(Event("reconnected", None, None))
            was_connected, parser = True, EventParser()
            while isinstance(piece := (yield Receive()), bytes):
                backoff.restart()
                for event in parser.feed(piece):
                    yield Emit(event)
            if isinstance(piece, TransportError):
                yield Sleep(backoff.after_failure(piece))
            else:
                yield Sleep(self._retry.initial)

    def _events_of_one(self, session: SessionLike, last_event_id: int | None) -> Stream[Event]:
        if last_event_id is None:
            last_event_id = _last_event_id((yield from self._find_session(session)))
        backoff, position, was_connected = self._backoff(), EventPosition(last_event_id), False
        while True:
            reply = yield Open(_event_request(session, position.event_id))
            if isinstance(reply, TransportError):
                yield Sleep(backoff.after_failure(reply))
                continue
            assert isinstance(reply, Reply)
            if reply.status in RETRIED_STATUSES:
                yield Sleep(backoff.after_refusal(reply))
                continue
            try:
                check_status(reply)
            except NotFound:
                if was_connected:
                    return
                raise
            was_connected, parser = True, EventParser()
            while isinstance(piece := (yield Receive()), bytes):
                backoff.restart()
                for event in parser.feed(piece):
                    if event.data is not None and position.advance(event):
                        yield Emit(event)
            if isinstance(piece, TransportError):
                yield Sleep(backoff.after_failure(piece))
            else:
                yield Sleep(self._retry.initial)

    @operation
    def limits(self) -> Operation[dict[str, Any]]:
        """Returns the server's limits."""
        return self._exchange(self._get("/v1/limits"), documents.limits)

    @operation
    def ready(self) -> Operation[None]:
        """Returns when the server accepts writes; raises at the deadline."""
        return self._exchange(self._get("/readyz"), documents.nothing)


class EventPosition:
    """How far a stream of events has got. Evaluations are numbered by the event's id; the end of a
    step has none, and is told apart by the number of the step."""

    def __init__(self, event_id: int) -> None:
        self.event_id, self.step = event_id, 0

    def advance(self, event: Event) -> bool:
        """Whether the event is new; a new connection may begin with some that are not."""
        if event.id is not None:
            if event.id <= self.event_id:
                return False
            self.event_id = event.id
        elif isinstance(event.data, Step):
            if event.data.step <= self.step:
                return False
            self.step = event.data.step
        return True


def _event_request(session: SessionLike, last_event_id: int) -> Request:
    headers = {"Accept": "text/event-stream", "Last-Event-ID": str(last_event_id)}
    return Request("GET", session_path(session, "events"), headers=headers)


def _last_event_id(session: Session) -> int:
    """The newest event of a session. A pending evaluation has not been told, and has none yet."""
    return session.evaluation - 1 if session.state == "evaluating" else session.evaluation
