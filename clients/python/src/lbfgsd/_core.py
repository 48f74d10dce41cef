"""The protocol without I/O: which requests there are, when to try again, how to read a reply.

A client of either kind runs a `Flow`: it does what the flow asks for (send this, wait that long)
and hands the outcome back, until the flow returns a value or raises.
"""

from __future__ import annotations

import email.utils
import logging
import random
import time
import uuid
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Generic, Protocol, TypeVar, Union
from urllib.parse import quote

import httpx
import numpy as np
from numpy.typing import ArrayLike

from . import _json, _octets, _state, _wire
from ._errors import (
    BadReply,
    ConnectionFailed,
    NotFound,
    ProblemError,
    problem_error,
)
from ._octets import Layout, Layouts
from ._transfer import OCTETS_TYPE, Body, Reply, content_digest
from ._types import (
    Checkpoint,
    Delivery,
    Event,
    Floats,
    Hook,
    Lease,
    Parameters,
    ParamGroup,
    Session,
    SessionSummary,
    StateDict,
    Step,
    Tell,
    TracePoint,
    Turn,
)
from ._wire import (
    JSON_TYPE,
    Content,
    ParamsLike,
    StateDictFormat,
    json_content,
    read_state_dict,
    state_dict_media_type,
)

log = logging.getLogger("lbfgsd")

T = TypeVar("T")
S = TypeVar("S")
SessionLike = str | SessionSummary
CheckpointLike = str | int | Checkpoint
HookLike = str | int | Hook
DeliveryLike = str | int | Delivery

AGAIN = frozenset({408, 429, 502, 503, 504})


@dataclass(frozen=True)
class Retry:
    """When a request is tried again, after the connection failed or the server said 429 or 503.

    Every request may be: telling is idempotent by its number, and POSTs carry an Idempotency-Key.

    `deadline` is how many seconds a call may take with all its attempts, which is how long an
    outage of the server may last; 0 means no second attempt. Until the server has answered for the
    first time `first_deadline` counts, so that a wrong address is noticed soon. Waits begin at
    `initial` seconds, double up to `maximum`, and are shortened at random by up to a half. A
    `Retry-After` of the server is the least that is waited.
    """

    deadline: float = 300.0
    first_deadline: float = 10.0
    initial: float = 0.1
    maximum: float = 10.0

    def pause(self, attempt: int) -> float:
        longest = min(self.maximum, self.initial * 2.0 ** min(attempt, 60))
        return longest * random.uniform(0.5, 1)


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | Body | None = None
    wait: float = 0
    """Seconds that the server may take on purpose."""


@dataclass(frozen=True)
class Pause:
    seconds: float


@dataclass(frozen=True)
class Call(Generic[T]):
    """A request, and how to read the reply to it."""

    request: Request
    read: Callable[[Reply], T]


Outcome = Reply | httpx.TransportError | None
Flow = Generator[Request | Pause, Outcome, T]


class Exchange(Protocol):
    """Carries out one request of a script."""

    def __call__(self, call: Call[S]) -> Flow[S]: ...


@dataclass(frozen=True)
class Script(Generic[T]):
    """What takes more than one request, at least sometimes."""

    run: Callable[[Exchange], Flow[T]]


Plan = Union[Call[T], Script[T]]  # noqa: UP007 (Python 3.10 can't write it with a bar)


class Engine:
    """What a client knows: the policy, and whether the server has ever answered."""

    def __init__(self, retry: Retry) -> None:
        self.retry = retry
        self.answered = False

    def flow(self, plan: Plan[T], retry: Retry | None = None) -> Flow[T]:
        def exchange(call: Call[S]) -> Flow[S]:
            return self._exchange(call, retry or self.retry)

        return plan.run(exchange) if isinstance(plan, Script) else exchange(plan)

    def _exchange(self, call: Call[T], retry: Retry) -> Flow[T]:
        patience = Patience(self, retry)
        lost = False
        while True:
            outcome = yield call.request
            if isinstance(outcome, httpx.TransportError):
                lost = True
                yield Pause(patience.after_failure(outcome))
                continue
            assert outcome is not None
            self.answered = True
            if outcome.status in AGAIN:
                lost = lost or outcome.status in (408, 502, 504)
                yield Pause(patience.after_refusal(outcome))
                continue
            if outcome.status == 404 and lost and call.request.method == "DELETE":
                # An earlier attempt had deleted it, and only its reply was lost.
                outcome = replace(outcome, status=204, content=b"")
            check(outcome)
            try:
                return call.read(outcome)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise BadReply(f"{call.request.method} {call.request.path}: {error!r}") from error


class Patience:
    """How long to wait before the next attempt, as long as the deadline allows for one."""

    def __init__(self, engine: Engine, retry: Retry) -> None:
        self.engine, self.retry = engine, retry
        self.restart()

    def restart(self) -> None:
        self.began, self.attempt = time.monotonic(), 0

    def after_failure(self, error: httpx.TransportError) -> float:
        kind = type(error).__name__
        permanent = isinstance(error, (httpx.UnsupportedProtocol, httpx.LocalProtocolError))
        seconds = None if permanent else self._pause(0)
        if seconds is None:
            raise ConnectionFailed(f"{kind}: {error}" if str(error) else kind) from error
        log.warning("%s: %s; trying again in %.1f s", kind, error, seconds)
        return seconds

    def after_refusal(self, reply: Reply) -> float:
        seconds = self._pause(retry_after(reply.headers))
        if seconds is None:
            raise refusal(reply)
        log.warning("the server answered %d; trying again in %.1f s", reply.status, seconds)
        return seconds

    def _pause(self, least: float) -> float | None:
        retry = self.retry
        deadline = retry.deadline
        if not self.engine.answered:
            deadline = min(deadline, retry.first_deadline)
        left = deadline - (time.monotonic() - self.began)
        seconds = retry.pause(self.attempt)
        if least > 0:
            seconds += least
        self.attempt += 1
        if left <= 0 or least > left:
            return None
        return max(least, min(seconds, left))


def retry_after(headers: httpx.Headers) -> float:
    """Seconds; 0 if the server doesn't say."""
    text = headers.get("Retry-After", "").strip()
    if text.isdigit():
        return float(text)
    try:
        when = email.utils.parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, IndexError):
        return 0.0
    return max(0.0, when - time.time())


def refusal(reply: Reply) -> Exception:
    try:
        document = reply.json()
    except BadReply:
        document = None
    error = problem_error(reply.status, document)
    error.retry_after = retry_after(reply.headers)
    return error


def check(reply: Reply) -> None:
    if reply.status >= 400:
        raise refusal(reply)
    if reply.status >= 300:
        raise BadReply(f"status {reply.status}")


def segment(value: object) -> str:
    return quote(str(value), safe="")


class API:
    """Every call that there is, as a value. Short vectors travel as JSON, others as octets, which
    needs to know the session's layout: it is learned from what the server says, and asked for where
    it isn't known yet. With `digests` bodies go with their Content-Digest."""

    def __init__(self, digests: bool = False) -> None:
        self.layouts = Layouts()
        self._digests = digests

    # Sessions

    def create_session(
        self,
        x0: ArrayLike | None,
        params: ParamsLike | None,
        options: Mapping[str, Any] | None,
        name: str | None,
        labels: Mapping[str, str] | None,
        dtype: str,
        shards: int | None,
    ) -> Plan[Session]:
        if (x0 is None) == (params is None):
            raise TypeError("either x0 or params")
        document: dict[str, Any] = {"dtype": dtype}
        if name is not None:
            document["name"] = name
        if labels is not None:
            document["labels"] = dict(labels)
        if options:
            document["options"] = _state.write_options(options)
        if shards is not None:
            document["shards"] = shards
        given = _wire.create_params([x0] if x0 is not None else params or [])
        if _wire.count(given) < _octets.CREATED_WITH_ZEROS_FROM:
            return self._session(self._post("/v1/sessions", _wire.create(document, given)))
        return Script(lambda exchange: self._create_large(exchange, document, given))

    def _create_large(
        self, exchange: Exchange, document: Mapping[str, Any], given: list[dict[str, Any]]
    ) -> Flow[Session]:
        arrays = [_octets.numbers(param["values"], document["dtype"]) for param in given]
        if not all(np.isfinite(array).all() for array in arrays):
            raise ValueError(f"Parameters must be finite, in {document['dtype']} too")
        zeros = [{**param, "values": None, "fill": 0} for param in given]
        content = _wire.create(document, zeros)
        created = yield from exchange(self._session(self._post("/v1/sessions", content)))
        if all(_octets.is_zero(array) for array in arrays):
            return created
        request = self._write("PUT", self._path(created, "params"), _octets_content(arrays))
        try:
            read = partial(self._read_parameters, created)
            yield from exchange(Call(self._octets(request), read))
        except ProblemError:
            yield from exchange(self.delete_session(created, None))
            raise
        return (yield from exchange(self.get_session(created)))

    def list_sessions(
        self, label: str | None, page_size: int | None, page_token: str | None
    ) -> Call[tuple[list[SessionSummary], str | None]]:
        query = {"label": label, "page_size": page_size, "page_token": page_token}
        return Call(self._get("/v1/sessions", query), _wire.session_page)

    def get_session(self, session: SessionLike) -> Call[Session]:
        return self._session(self._get(self._path(session)))

    def update_session(
        self, session: SessionLike, changes: Mapping[str, Any], if_match: str | None
    ) -> Call[Session]:
        document = dict(changes)
        if "options" in document:
            document["options"] = _state.write_options(document["options"])
        content = json_content(document)
        return self._session(self._write("PATCH", self._path(session), content, if_match))

    def delete_session(self, session: SessionLike, if_match: str | None) -> Call[None]:
        return Call(self._write("DELETE", self._path(session), None, if_match), lambda _: None)

    # Steps and evaluations

    def begin_step(
        self, session: SessionLike, shards: int | None, if_match: str | None
    ) -> Plan[Turn]:
        content = json_content({} if shards is None else {"shards": shards})
        return self._turn(session, self._post(self._path(session, "steps"), content, if_match))

    def get_step(self, session: SessionLike, number: int) -> Call[Step]:
        request = self._get(self._path(session, "steps", number))
        return Call(request, lambda reply: _wire.step(reply.json()))

    def ask(self, session: SessionLike, wait: float | None) -> Plan[Turn]:
        request = self._get(self._path(session, "evaluation"))
        if wait:
            headers = {**request.headers, "Prefer": f"wait={max(1, round(wait))}"}
            request = replace(request, headers=headers, wait=wait)
        return self._turn(session, request)

    def tell(
        self,
        session: SessionLike,
        number: int,
        loss: Any,
        gradient: ArrayLike | None,
        gradients: Mapping[str, ArrayLike | None] | None,
        shard: int | None,
        if_match: str | None,
    ) -> Plan[Turn]:
        if (gradient is None) == (gradients is None):
            raise TypeError("either gradient or gradients")
        value = float(loss)

        def script(exchange: Exchange) -> Flow[Turn]:
            if gradient is not None:
                content = yield from self._result(exchange, session, value, _real(gradient))
            else:
                named = {k: None if g is None else _real(g) for k, g in (gradients or {}).items()}
                content = yield from self._named_result(exchange, session, value, named)
            turn = self._tell(session, number, shard, content, if_match)
            return (yield from turn.run(exchange))

        return Script(script)

    def _result(
        self, exchange: Exchange, session: SessionLike, loss: float, gradient: Floats
    ) -> Flow[Content]:
        if gradient.size < _octets.OCTETS_FROM:
            return _wire.result(loss, gradient)
        layout = yield from self._layout(exchange, session)
        return _octets_content([_octets.numbers(gradient, layout.dtype)], loss)

    def _named_result(
        self,
        exchange: Exchange,
        session: SessionLike,
        loss: float,
        gradients: Mapping[str, Floats | None],
    ) -> Flow[Content]:
        if sum(0 if g is None else g.size for g in gradients.values()) >= _octets.OCTETS_FROM:
            layout = yield from self._layout(exchange, session, with_specs=True)
            arrays = _octets.assembled(gradients, layout, complete=False)
            if arrays is not None:
                return _octets_content(arrays, loss)
        return _wire.named_result(loss, gradients)

    def tell_failed(
        self,
        session: SessionLike,
        number: int,
        reason: str,
        shard: int | None,
        if_match: str | None,
    ) -> Plan[Turn]:
        return self._tell(session, number, shard, json_content({"failed": reason}), if_match)

    def evaluate(self, items: Iterable[SessionLike | Tell]) -> Call[list[Turn | ProblemError]]:
        listed = []
        for item in items:
            tell = item if isinstance(item, Tell) else None
            session = item.session if isinstance(item, Tell) else item
            name = session if isinstance(session, str) else session.id
            listed.append(_wire.batch_item(name, tell, _real))
        # Without an Idempotency-Key: each item may be repeated as it is.
        request = self._write(
            "POST", "/v1/evaluations:batch", json_content({"evaluations": listed})
        )
        headers = {**request.headers, "Accept": "application/json"}
        return Call(replace(request, headers=headers), _wire.batch_results)

    def lease(
        self, session: SessionLike, number: int, worker: str, seconds: float | None
    ) -> Call[Lease]:
        document: dict[str, Any] = {"worker": worker}
        if seconds is not None:
            document["seconds"] = seconds
        path = self._path(session, "evaluations", number, "lease")
        return Call(self._post(path, json_content(document)), partial(self._read_lease, session))

    def zero_grad(
        self, session: SessionLike, set_to_none: bool, if_match: str | None
    ) -> Plan[Turn]:
        content = json_content({"set_to_none": set_to_none})
        return self._turn(session, self._post(self._path(session, "zero-grad"), content, if_match))

    def stop(self, session: SessionLike, if_match: str | None) -> Plan[Turn]:
        return self._turn(session, self._post(self._path(session, "stop"), None, if_match))

    # State

    def get_params(self, session: SessionLike) -> Plan[Parameters]:
        return self._parameters(session, self._get(self._path(session, "params")))

    def set_params(
        self,
        session: SessionLike,
        params: ArrayLike | Mapping[str, ArrayLike],
        if_match: str | None,
    ) -> Plan[Parameters]:
        def script(exchange: Exchange) -> Flow[Parameters]:
            if isinstance(params, Mapping):
                content = yield from self._named_parameters(exchange, session, params)
            else:
                content = yield from self._flat_parameters(exchange, session, _real(params))
            request = self._write("PUT", self._path(session, "params"), content, if_match)
            return (yield from self._parameters(session, request).run(exchange))

        return Script(script)

    def _flat_parameters(
        self, exchange: Exchange, session: SessionLike, x: Floats
    ) -> Flow[Content]:
        if x.size < _octets.OCTETS_FROM:
            return _wire.flat_parameters(x)
        layout = yield from self._layout(exchange, session)
        return _octets_content([_octets.numbers(x, layout.dtype)])

    def _named_parameters(
        self, exchange: Exchange, session: SessionLike, params: Mapping[str, ArrayLike]
    ) -> Flow[Content]:
        given = _wire.create_params(params)
        if _wire.count(given) >= _octets.OCTETS_FROM:
            layout = yield from self._layout(exchange, session, with_specs=True)
            named = {param["name"]: param["values"] for param in given}
            arrays = _octets.assembled(named, layout, complete=True)
            if arrays is not None:
                return _octets_content(arrays)
        return _wire.named_parameters(given)

    def get_state_dict(self, session: SessionLike, format: StateDictFormat) -> Call[StateDict]:
        return self._state_dict(self._path(session, "state-dict"), format)

    def load_state_dict(
        self,
        session: SessionLike,
        state_dict: Mapping[str, Any],
        match: str,
        format: StateDictFormat,
        if_match: str | None,
    ) -> Call[StateDict]:
        content = _wire.write_state_dict(state_dict, format)
        if match != "position":
            content = replace(content, query={"match": match})
        request = self._write("PUT", self._path(session, "state-dict"), content, if_match)
        headers = {**request.headers, "Accept": state_dict_media_type(format)}
        return Call(replace(request, headers=headers), read_state_dict)

    def _state_dict(self, path: str, format: StateDictFormat) -> Call[StateDict]:
        request = self._get(path)
        headers = {**request.headers, "Accept": state_dict_media_type(format)}
        return Call(replace(request, headers=headers), read_state_dict)

    # Parameter groups

    def add_param_group(
        self,
        session: SessionLike,
        params: ParamsLike,
        name: str | None,
        if_match: str | None,
    ) -> Call[ParamGroup]:
        document = {} if name is None else {"name": name}
        content = _wire.create(document, _wire.create_params(params))
        request = self._post(self._path(session, "param-groups"), content, if_match)
        return Call(request, lambda reply: _wire.param_group(reply.json()))

    def param_groups(self, session: SessionLike) -> Call[list[ParamGroup]]:
        request = self._get(self._path(session, "param-groups"))
        return Call(request, lambda reply: _listed(reply, "param_groups", _wire.param_group))

    def get_param_group(self, session: SessionLike, index: int) -> Call[ParamGroup]:
        request = self._get(self._path(session, "param-groups", index))
        return Call(request, lambda reply: _wire.param_group(reply.json()))

    def update_param_group(
        self, session: SessionLike, index: int, changes: Mapping[str, Any], if_match: str | None
    ) -> Call[ParamGroup]:
        path = self._path(session, "param-groups", index)
        request = self._write("PATCH", path, json_content(changes), if_match)
        return Call(request, lambda reply: _wire.param_group(reply.json()))

    # Hooks

    def create_hook(
        self, session: SessionLike, document: Mapping[str, Any], if_match: str | None
    ) -> Call[Hook]:
        given = {key: value for key, value in document.items() if value is not None}
        request = self._post(self._path(session, "hooks"), json_content(given), if_match)
        return Call(request, lambda reply: _wire.hook(reply.json()))

    def hooks(self, session: SessionLike) -> Call[list[Hook]]:
        request = self._get(self._path(session, "hooks"))
        return Call(request, lambda reply: _listed(reply, "hooks", _wire.hook))

    def get_hook(self, session: SessionLike, hook: HookLike) -> Call[Hook]:
        request = self._get(self._path(session, "hooks", hook))
        return Call(request, lambda reply: _wire.hook(reply.json()))

    def delete_hook(self, session: SessionLike, hook: HookLike, if_match: str | None) -> Call[None]:
        path = self._path(session, "hooks", hook)
        return Call(self._write("DELETE", path, None, if_match), lambda _: None)

    def answer_hook(
        self,
        session: SessionLike,
        number: int,
        options: Mapping[str, Any] | None,
        state_dict: Mapping[str, Any] | None,
        if_match: str | None,
    ) -> Call[Turn]:
        document: dict[str, Any] = {}
        if options is not None:
            document["options"] = _state.write_options(options)
        if state_dict is not None:
            document["state_dict"] = _state.write(state_dict)
        path = self._path(session, "hook-calls", number, "answer")
        # The answer to a hook's call is JSON in both directions.
        request = self._write("PUT", path, json_content(document), if_match)
        return Call(request, partial(self._read_turn, session))

    def list_deliveries(
        self,
        session: SessionLike,
        hook: HookLike,
        page_size: int | None,
        page_token: str | None,
    ) -> Call[tuple[list[Delivery], str | None]]:
        query = {"page_size": page_size, "page_token": page_token}
        request = self._get(self._path(session, "hooks", hook, "deliveries"), query)
        return Call(request, _wire.delivery_page)

    def redeliver(
        self, session: SessionLike, hook: HookLike, delivery: DeliveryLike
    ) -> Call[Delivery]:
        path = self._path(session, "hooks", hook, "deliveries", delivery, "redeliver")
        return Call(self._post(path, None), lambda reply: _wire.delivery(reply.json()))

    # Checkpoints

    def create_checkpoint(
        self, session: SessionLike, name: str | None, if_match: str | None
    ) -> Call[Checkpoint]:
        content = json_content({} if name is None else {"name": name})
        request = self._post(self._path(session, "checkpoints"), content, if_match)
        return Call(request, lambda reply: _wire.checkpoint(reply.json()))

    def list_checkpoints(
        self, session: SessionLike, page_size: int | None, page_token: str | None
    ) -> Call[tuple[list[Checkpoint], str | None]]:
        query = {"page_size": page_size, "page_token": page_token}
        request = self._get(self._path(session, "checkpoints"), query)
        return Call(request, _wire.checkpoint_page)

    def get_checkpoint(self, session: SessionLike, checkpoint: CheckpointLike) -> Call[Checkpoint]:
        request = self._get(self._path(session, "checkpoints", checkpoint))
        return Call(request, lambda reply: _wire.checkpoint(reply.json()))

    def delete_checkpoint(
        self, session: SessionLike, checkpoint: CheckpointLike, if_match: str | None
    ) -> Call[None]:
        path = self._path(session, "checkpoints", checkpoint)
        return Call(self._write("DELETE", path, None, if_match), lambda _: None)

    def get_checkpoint_state_dict(
        self, session: SessionLike, checkpoint: CheckpointLike, format: StateDictFormat
    ) -> Call[StateDict]:
        path = self._path(session, "checkpoints", checkpoint, "state-dict")
        return self._state_dict(path, format)

    def restore(
        self, session: SessionLike, checkpoint: CheckpointLike, if_match: str | None
    ) -> Plan[Turn]:
        path = self._path(session, "checkpoints", checkpoint, "restore")
        return self._turn(session, self._post(path, None, if_match))

    def fork(
        self,
        session: SessionLike,
        checkpoint: CheckpointLike,
        name: str | None,
        labels: Mapping[str, str] | None,
        if_match: str | None,
    ) -> Call[Session]:
        document: dict[str, Any] = {}
        if name is not None:
            document["name"] = name
        if labels is not None:
            document["labels"] = dict(labels)
        path = self._path(session, "checkpoints", checkpoint, "fork")
        return self._session(self._post(path, json_content(document), if_match))

    # Watching, and the server

    def trace_page(
        self, session: SessionLike, start: int, limit: int | None
    ) -> Call[tuple[list[TracePoint], int | None]]:
        query = {"from": start, "limit": limit}
        return Call(self._get(self._path(session, "trace"), query), _wire.trace_page)

    def events(self, session: SessionLike, last_event_id: int) -> Request:
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(last_event_id)}
        return Request("GET", self._path(session, "events"), headers=headers)

    def limits(self) -> Call[dict[str, Any]]:
        return Call(self._get("/v1/limits"), _wire.limits)

    def ready(self) -> Call[None]:
        return Call(self._get("/readyz"), lambda _: None)

    # Parts

    def _path(self, session: SessionLike, *rest: object) -> str:
        return "/".join(["/v1/sessions", *(segment(part) for part in (_id(session), *rest))])

    def _get(self, path: str, query: Mapping[str, object] | None = None) -> Request:
        given = {key: str(value) for key, value in (query or {}).items() if value is not None}
        return Request("GET", path, given, {"Accept": JSON_TYPE})

    def _write(
        self, method: str, path: str, content: Content | None, if_match: str | None = None
    ) -> Request:
        headers = {"Accept": JSON_TYPE}
        if if_match is not None:
            headers["If-Match"] = if_match
        if content is None:
            return Request(method, path, headers=headers)
        headers["Content-Type"] = content.media_type
        if self._digests:
            headers["Content-Digest"] = content_digest(content.body)
        return Request(method, path, content.query, headers, content.body)

    def _post(self, path: str, content: Content | None, if_match: str | None = None) -> Request:
        request = self._write("POST", path, content or json_content({}), if_match)
        return replace(request, headers={**request.headers, "Idempotency-Key": str(uuid.uuid4())})

    def _tell(
        self,
        session: SessionLike,
        number: int,
        shard: int | None,
        content: Content,
        if_match: str | None,
    ) -> Script[Turn]:
        part = ("result",) if shard is None else ("shards", shard)
        path = self._path(session, "evaluations", number, *part)
        return self._turn(session, self._write("PUT", path, content, if_match))

    # Layouts, and what depends on them

    def _session(self, request: Request) -> Call[Session]:
        def read(reply: Reply) -> Session:
            found = _wire.session(reply)
            self.layouts.put(found.id, _octets.layout_of(found))
            return found

        return Call(request, read)

    def _layout(
        self, exchange: Exchange, session: SessionLike, with_specs: bool = False
    ) -> Flow[Layout]:
        known = self._known(session)
        if known is None or (with_specs and known.specs is None):
            found = yield from exchange(self.get_session(session))
            known = _octets.layout_of(found)
        return known

    def _known(self, session: SessionLike) -> Layout | None:
        known = self.layouts.get(_id(session))
        if known is None and isinstance(session, SessionSummary):
            known = _octets.layout_of(session)
        return known

    def _octets(self, request: Request) -> Request:
        return replace(request, headers={**request.headers, "Accept": OCTETS_TYPE})

    def _asking(self, session: SessionLike, request: Request) -> Request:
        """Octets are asked for unless the session is known to be small."""
        known = self._known(session)
        small = known is not None and known.n < _octets.OCTETS_FROM
        return request if small else self._octets(request)

    def _turn(self, session: SessionLike, request: Request) -> Script[Turn]:
        def script(exchange: Exchange) -> Flow[Turn]:
            read = partial(self._read_turn, session)
            turn = yield from exchange(Call(self._asking(session, request), read))
            if turn.state == "awaiting_hook" and turn.hook_call is None:
                asked = self._get(self._path(session, "evaluation"))
                newer = yield from exchange(Call(asked, read))
                return replace(newer, replayed=turn.replayed)
            result = turn.result
            if result is None or result.reason != "line_search_failed" or result.failure:
                return turn
            step = yield from exchange(self.get_step(session, turn.step))
            return replace(turn, result=step.result or result)

        return Script(script)

    def _read_turn(self, session: SessionLike, reply: Reply) -> Turn:
        if reply.vector is not None:
            turn = _octets.turn(reply.headers, reply.vector)
            self._note(session, reply.vector)
            return turn
        known = self._known(session)
        turn = _wire.turn(reply, known.dtype if known else None)
        x = turn.x if turn.evaluation is None else turn.evaluation.x
        if x is not None:
            self.layouts.note_count(_id(session), x.size)
        return turn

    def _read_lease(self, session: SessionLike, reply: Reply) -> Lease:
        known = self._known(session)
        return _wire.lease(reply, known.dtype if known else None)

    def _parameters(self, session: SessionLike, request: Request) -> Script[Parameters]:
        def script(exchange: Exchange) -> Flow[Parameters]:
            read = partial(self._read_parameters, session)
            yield from self._layout(exchange, session, with_specs=True)
            found = yield from exchange(Call(self._asking(session, request), read))
            if found is None:
                # Parameters have joined meanwhile.
                yield from exchange(self.get_session(session))
                found = yield from exchange(Call(self._octets(self._get(request.path)), read))
            if found is None:
                raise BadReply(f"parameters of session {_id(session)} don't fit its shapes")
            return found

        return Script(script)

    def _read_parameters(self, session: SessionLike, reply: Reply) -> Parameters | None:
        if reply.vector is None:
            return _wire.parameters(reply)
        self._note(session, reply.vector)
        known = self._known(session)
        if known is None or known.specs is None:
            return None
        return _octets.parameters(reply.headers, reply.vector, known.specs)

    def _note(self, session: SessionLike, vector: Floats) -> None:
        self.layouts.note(_id(session), vector.dtype.name, vector.size)


def _id(session: SessionLike) -> str:
    return session if isinstance(session, str) else session.id


def _octets_content(arrays: list[Floats], loss: float | None = None) -> Content:
    query = {} if loss is None else {"loss": str(_json.number(loss))}
    return Content(Body(arrays), OCTETS_TYPE, query)


def _listed(reply: Reply, key: str, read: Callable[[Mapping[str, Any]], T]) -> list[T]:
    return [read(item) for item in reply.json()[key]]


def _real(values: ArrayLike) -> Floats:
    """The numbers that are given, flat and as they are."""
    array = np.asarray(values)
    if np.iscomplexobj(array):
        raise ValueError("Parameters and gradients must be real")
    if array.dtype.kind != "f":
        array = array.astype(np.float64)
    return array.reshape(-1)


class EventParser:
    """Server-sent events out of pieces of text."""

    def __init__(self) -> None:
        self._rest = b""
        self._fields: dict[str, str] = {}

    def feed(self, piece: bytes) -> list[Event]:
        *lines, self._rest = (self._rest + piece).split(b"\n")
        events = (self._line(line.rstrip(b"\r").decode()) for line in lines)
        return [event for event in events if event is not None]

    def _line(self, line: str) -> Event | None:
        if not line:
            fields, self._fields = self._fields, {}
            return self._event(fields) if "data" in fields else None
        name, _, value = line.partition(":")
        if name:
            value = value.removeprefix(" ")
            both = name == "data" and name in self._fields
            self._fields[name] = f"{self._fields[name]}\n{value}" if both else value
        return None

    @staticmethod
    def _event(fields: Mapping[str, str]) -> Event | None:
        from ._json import decode

        kind = fields.get("event", "message")
        document = decode(fields["data"].encode())
        number = int(fields["id"]) if fields.get("id") else None
        if kind == "evaluation":
            return Event(kind, number, _wire.trace_point(document))
        if kind == "step":
            return Event(kind, number, _wire.step(document))
        return None


class EventFeed:
    """A stream of events over as many connections as it takes, none missed, none twice."""

    def __init__(self, engine: Engine, api: API, session: SessionLike, last_event_id: int) -> None:
        self._api, self._session = api, session
        self._patience = Patience(engine, engine.retry)
        self._last_id, self._last_step = last_event_id, 0
        self._connected = False
        self.ended = False
        self.connect()

    def connect(self) -> Request:
        self._parser = EventParser()
        return self._api.events(self._session, self._last_id)

    def opened(self, reply: Reply) -> float | None:
        """Takes the head of a reply. None means that events follow, a number to try again then."""
        if reply.status in AGAIN:
            return self._patience.after_refusal(reply)
        try:
            check(reply)
        except NotFound:
            if not self._connected:
                raise
            self.ended = True
            return 0
        self._connected = True
        return None

    def feed(self, piece: bytes) -> list[Event]:
        self._patience.restart()
        fresh = []
        for event in self._parser.feed(piece):
            if event.id is not None:
                if event.id <= self._last_id:
                    continue
                self._last_id = event.id
            elif isinstance(event.data, Step):
                if event.data.step <= self._last_step:
                    continue
                self._last_step = event.data.step
            fresh.append(event)
        return fresh

    def broken(self, error: httpx.TransportError | None) -> float:
        """The connection ended; returns how long to wait before the next."""
        if error is None:
            return self._patience.retry.initial
        return self._patience.after_failure(error)


def last_event_of(session: Session) -> int:
    """What has happened by now: the evaluation that is pending is not told yet."""
    return session.evaluation - 1 if session.state == "evaluating" else session.evaluation
