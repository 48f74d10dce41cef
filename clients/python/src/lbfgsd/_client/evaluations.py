"""Operations that drive steps: asking for points, telling results, shards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from numpy.typing import ArrayLike

from .._errors import ProblemError
from .._model import Lease, Step, Tell, Turn
from .._wire import bodies, documents
from .._wire.messages import Content, json_content
from .binding import operation
from .exchange import given
from .identifiers import SessionLike, session_id, session_path
from .transport.effects import Operation
from .vectors import Vectors


class EvaluationOperations(Vectors):
    @operation
    def begin_step(
        self, session: SessionLike, *, shards: int | None = None, if_match: str | None = None
    ) -> Operation[Turn]:
        """Begins a step: one `optimizer.step(closure)`. With `shards` its evaluations are told in
        that many parts."""
        content = json_content(given(shards=shards))
        return self._turn(session, self._post(session_path(session, "steps"), content, if_match))

    @operation
    def get_step(self, session: SessionLike, number: int) -> Operation[Step]:
        """Returns a step; steps are numbered 1, 2, 3 ..."""
        request = self._get(session_path(session, "steps", number))
        return self._exchange(request, documents.one(documents.step))

    @operation
    def ask(self, session: SessionLike, *, wait: float | None = None) -> Operation[Turn]:
        """Returns the session's position and what it waits for. With `wait`, the server answers for
        an idle session when a step begins, or after that many seconds (at most 30)."""
        request = self._get(session_path(session, "evaluation"))
        return self._turn(session, self._waiting(request, wait))

    @operation
    def tell(
        self,
        session: SessionLike,
        number: int,
        loss: Any,
        gradient: ArrayLike | None = None,
        *,
        gradients: Mapping[str, ArrayLike | None] | None = None,
        shard: int | None = None,
        if_match: str | None = None,
    ) -> Operation[Turn]:
        """Tells the loss and the gradient of evaluation `number`. The gradient is flat, or by
        parameter name in `gradients`, where None and missing entries stand for zeros. With `shard`
        the result is one part, and counts when all parts are there. May be repeated."""
        if (gradient is None) == (gradients is None):
            raise TypeError("either gradient or gradients")
        value = float(loss)
        if gradient is not None:
            content = yield from self._flat_result(session, value, bodies.flat_real(gradient))
        else:
            items = (gradients or {}).items()
            named = {k: None if g is None else bodies.flat_real(g) for k, g in items}
            content = yield from self._named_result(session, value, named)
        return (yield from self._tell(session, number, shard, content, if_match))

    @operation
    def tell_failed(
        self,
        session: SessionLike,
        number: int,
        reason: str,
        *,
        shard: int | None = None,
        if_match: str | None = None,
    ) -> Operation[Turn]:
        """Tells that evaluation `number` failed, so that its point is infeasible. With `shard` one
        part failed, which is enough for the whole."""
        return self._tell(session, number, shard, json_content({"failed": reason}), if_match)

    def _tell(
        self,
        session: SessionLike,
        number: int,
        shard: int | None,
        content: Content,
        if_match: str | None,
    ) -> Operation[Turn]:
        part = ("result",) if shard is None else ("shards", shard)
        path = session_path(session, "evaluations", number, *part)
        return self._turn(session, self._write("PUT", path, content, if_match))

    @operation
    def evaluate(self, items: Iterable[SessionLike | Tell]) -> Operation[list[Turn | ProblemError]]:
        """Asks and tells for many sessions in one request: an item that is a session asks, a `Tell`
        tells. Returns, in the same order, a turn for each item, or the error that its own call
        would have raised. May be repeated as a whole."""
        listed = []
        for item in items:
            tell = item if isinstance(item, Tell) else None
            session = item.session if isinstance(item, Tell) else item
            listed.append(bodies.batch_item(session_id(session), tell))
        # No Idempotency-Key: each item may be repeated by itself.
        content = json_content({"evaluations": listed})
        request = self._write("POST", "/v1/evaluations:batch", content)
        return self._exchange(request, documents.batch_results)

    @operation
    def lease(
        self, session: SessionLike, number: int, worker: str, *, seconds: float | None = None
    ) -> Operation[Lease]:
        """Reserves one shard of evaluation `number` for `worker`, for so many seconds. Raises
        `NoShardFree` if all shards are told or leased. A late result is accepted nevertheless."""
        content = json_content(given(worker=worker, seconds=seconds))
        path = session_path(session, "evaluations", number, "lease")
        return self._exchange(self._post(path, content), partial(self._read_lease, session))

    @operation
    def zero_grad(
        self, session: SessionLike, *, set_to_none: bool = True, if_match: str | None = None
    ) -> Operation[Turn]:
        """Drops the shards that have been told of the pending evaluation. With `set_to_none` false
        they stay told, with zeros."""
        content = json_content({"set_to_none": set_to_none})
        path = session_path(session, "zero-grad")
        return self._turn(session, self._post(path, content, if_match))

    @operation
    def stop(self, session: SessionLike, *, if_match: str | None = None) -> Operation[Turn]:
        """Ends the running step now, at the best finite point that it has seen."""
        return self._turn(session, self._post(session_path(session, "stop"), None, if_match))
