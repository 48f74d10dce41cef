"""Vectors in the format that suits their length, and the replies that have them.

Short vectors travel as JSON, others as octets. Writing octets needs the session's layout; if it is
not known yet, the session is fetched first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from numpy.typing import ArrayLike

from .._errors import BadReply
from .._model import Floats, Lease, Parameters, Session, SessionSummary, Turn
from .._wire import bodies, documents, octets
from .._wire.layouts import Layout
from .._wire.messages import OCTETS_TYPE, Content, Reply, octet_content
from .exchange import Exchange, with_headers
from .identifiers import SessionLike, session_id, session_path
from .transport.effects import Operation, Request


class Vectors(Exchange):
    """Operations that others are made of."""

    # Layouts

    def _find_session(self, session: SessionLike) -> Operation[Session]:
        return self._session(self._get(session_path(session)))

    def _session(self, request: Request) -> Operation[Session]:
        found = yield from self._exchange(request, documents.session)
        self._layouts.put(found.id, Layout.of(found))
        return found

    def _known_layout(self, session: SessionLike) -> Layout | None:
        known = self._layouts.get(session_id(session))
        if known is None and isinstance(session, SessionSummary):
            known = Layout.of(session)
        return known

    def _layout(self, session: SessionLike, with_specs: bool = False) -> Operation[Layout]:
        known = self._known_layout(session)
        if known is None or (with_specs and known.specs is None):
            known = Layout.of((yield from self._find_session(session)))
        return known

    def _note_layout(self, session: SessionLike, vector: Floats) -> None:
        self._layouts.note(session_id(session), octets.NAMES[vector.dtype], vector.size)

    def _dtype(self, session: SessionLike) -> str | None:
        known = self._known_layout(session)
        return known.dtype if known else None

    def _accepting_octets(self, session: SessionLike, request: Request) -> Request:
        """Asks for octets, unless the session is known to be small."""
        known = self._known_layout(session)
        small = known is not None and known.n < octets.OCTETS_FROM
        return request if small else with_headers(request, {"Accept": OCTETS_TYPE})

    # Writing

    def _flat_result(
        self, session: SessionLike, loss: float, gradient: Floats
    ) -> Operation[Content]:
        if gradient.size < octets.OCTETS_FROM:
            return bodies.result(loss, gradient)
        layout = yield from self._layout(session)
        return octet_content([octets.as_dtype(gradient, layout.dtype)], loss)

    def _named_result(
        self, session: SessionLike, loss: float, gradients: Mapping[str, Floats | None]
    ) -> Operation[Content]:
        if sum(0 if g is None else g.size for g in gradients.values()) >= octets.OCTETS_FROM:
            layout = yield from self._layout(session, with_specs=True)
            arrays = octets.in_order(gradients, layout, complete=False)
            if arrays is not None:
                return octet_content(arrays, loss)
        return bodies.named_result(loss, gradients)

    def _flat_parameters(self, session: SessionLike, x: Floats) -> Operation[Content]:
        if x.size < octets.OCTETS_FROM:
            return bodies.flat_parameters(x)
        layout = yield from self._layout(session)
        return octet_content([octets.as_dtype(x, layout.dtype)])

    def _named_parameters(
        self, session: SessionLike, params: Mapping[str, ArrayLike]
    ) -> Operation[Content]:
        new = bodies.new_parameters(params)
        if sum(param.values.size for param in new) >= octets.OCTETS_FROM:
            layout = yield from self._layout(session, with_specs=True)
            named = {str(param.name): param.values for param in new}
            arrays = octets.in_order(named, layout, complete=True)
            if arrays is not None:
                return octet_content(arrays)
        return bodies.with_parameters({}, new)

    # Reading

    def _turn(self, session: SessionLike, request: Request) -> Operation[Turn]:
        """Sends a request that is answered with a turn. What header fields have no place for is
        fetched: the arguments of a hook's call, and the numbers of a failed line search."""
        read = partial(self._read_turn, session)
        turn = yield from self._exchange(self._accepting_octets(session, request), read)
        if turn.state == "awaiting_hook" and turn.hook_call is None:
            path = session_path(session, "evaluation")
            newer = yield from self._exchange(self._get(path), read)
            return replace(newer, replayed=turn.replayed)
        result = turn.result
        if result is None or result.reason != "line_search_failed" or result.failure:
            return turn
        path = session_path(session, "steps", turn.step)
        step = yield from self._exchange(self._get(path), documents.one(documents.step))
        return replace(turn, result=step.result or result)

    def _read_turn(self, session: SessionLike, reply: Reply) -> Turn:
        if reply.vector is not None:
            turn = octets.turn(reply.headers, reply.vector)
            self._note_layout(session, reply.vector)
            return turn
        turn = documents.turn(reply, self._dtype(session))
        x = turn.x if turn.evaluation is None else turn.evaluation.x
        if x is not None:
            self._layouts.note_count(session_id(session), x.size)
        return turn

    def _read_lease(self, session: SessionLike, reply: Reply) -> Lease:
        return documents.lease(reply, self._dtype(session))

    def _parameters(self, session: SessionLike, request: Request) -> Operation[Parameters]:
        """Sends a request that is answered with the parameters."""
        read = partial(self._read_parameters, session)
        yield from self._layout(session, with_specs=True)
        found = yield from self._exchange(self._accepting_octets(session, request), read)
        if found is None:
            # Another client has added parameters since.
            yield from self._find_session(session)
            again = with_headers(self._get(request.path), {"Accept": OCTETS_TYPE})
            found = yield from self._exchange(again, read)
        if found is None:
            raise BadReply(f"parameters of session {session_id(session)} don't fit its shapes")
        return found

    def _read_parameters(self, session: SessionLike, reply: Reply) -> Parameters | None:
        """None if the shapes of the parameters are not known."""
        if reply.vector is None:
            return documents.parameters(reply)
        self._note_layout(session, reply.vector)
        known = self._known_layout(session)
        if known is None or known.specs is None:
            return None
        return octets.parameters(reply.headers, reply.vector, known.specs)
