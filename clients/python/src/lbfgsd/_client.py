"""The two clients. Both only carry out what `_core` says."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Literal, TypeVar

import httpx
from numpy.typing import ArrayLike

from ._core import (
    API,
    CheckpointLike,
    DeliveryLike,
    Engine,
    EventFeed,
    HookLike,
    Outcome,
    Pause,
    Plan,
    Request,
    Retry,
    SessionLike,
    last_event_of,
)
from ._errors import ProblemError
from ._transfer import Body, Inbox, Reply
from ._types import (
    Checkpoint,
    Delivery,
    Event,
    Hook,
    Lease,
    Options,
    Parameters,
    ParamGroup,
    Session,
    SessionSummary,
    StateDict,
    Step,
    Tell,
    Trace,
    TracePoint,
    Turn,
)
from ._wire import ParamsLike, StateDictFormat

T = TypeVar("T")

DEFAULT_URL = "http://127.0.0.1:8080"
EVENT_SILENCE_SECONDS = 60.0
"""After which a stream of events counts as broken; the server sends a comment every 15."""


class _Unset:
    def __repr__(self) -> str:
        return "UNSET"


UNSET = _Unset()
"""A field that stays as it is, where None would take it away."""


def _changes(**fields: object) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if not isinstance(value, _Unset)}


class _Base:
    def __init__(
        self,
        url: str | None,
        token: str | None,
        timeout: float,
        retry: Retry | None,
        content_digest: bool,
    ) -> None:
        self.url = (url or os.environ.get("LBFGSD_URL") or DEFAULT_URL).rstrip("/")
        self._token = token or os.environ.get("LBFGSD_TOKEN")
        self._timeout = timeout
        self._engine = Engine(retry or Retry())
        self._api = API(content_digest)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    @property
    def retry(self) -> Retry:
        return self._engine.retry

    def _settings(self) -> dict[str, Any]:
        headers = {"User-Agent": "lbfgsd-python"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        return {"headers": headers, "timeout": self._timeout}

    def _arguments(self, request: Request) -> dict[str, Any]:
        headers, content = dict(request.headers), request.content
        if isinstance(content, Body):
            # No `Expect: 100-continue`: httpx sends the body without waiting for the answer. A
            # server that refuses the head is heard nevertheless, since sending then ends.
            headers["Content-Length"] = str(content.size)
        return {
            "method": request.method,
            "url": self.url + request.path,
            "params": dict(request.query) or None,
            "headers": headers,
            "content": self._streamed(content) if isinstance(content, Body) else content,
            "timeout": self._timeout + request.wait,
        }

    @staticmethod
    def _streamed(body: Body) -> Any:
        return body.blocks()

    def _stream_arguments(self, request: Request) -> dict[str, Any]:
        timeout = httpx.Timeout(self._timeout, read=EVENT_SILENCE_SECONDS)
        return {**self._arguments(request), "timeout": timeout}


class Client(_Base):
    """A client of one server.

    `url` is that of the server, $LBFGSD_URL or http://127.0.0.1:8080 if left out; `token` a bearer
    token, or $LBFGSD_TOKEN. `timeout` is how many seconds one attempt may take, `retry` says how
    long to go on trying. With `content_digest` bodies are sent with their SHA-256, which the server
    verifies. Sessions are given by their identifier or by what a call returned. May be used by
    several threads.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        timeout: float = 60.0,
        retry: Retry | None = None,
        content_digest: bool = False,
    ) -> None:
        super().__init__(url, token, timeout, retry, content_digest)
        self._http = httpx.Client(**self._settings())

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def _run(self, plan: Plan[T], retry: Retry | None = None) -> T:
        flow = self._engine.flow(plan, retry)
        outcome: Outcome = None
        while True:
            try:
                action = flow.send(outcome)
            except StopIteration as end:
                value: T = end.value
                return value
            outcome = None
            if isinstance(action, Pause):
                time.sleep(action.seconds)
            else:
                outcome = self._attempt(action)

    def _attempt(self, request: Request) -> Reply | httpx.TransportError:
        try:
            with self._http.stream(**self._arguments(request)) as response:
                inbox = Inbox(response.status_code, response.headers)
                for piece in response.iter_bytes():
                    inbox.feed(piece)
        except httpx.TransportError as error:
            return error
        return inbox.reply()

    def create_session(
        self,
        x0: ArrayLike | None = None,
        *,
        params: ParamsLike | None = None,
        options: Options | None = None,
        name: str | None = None,
        labels: Mapping[str, str] | None = None,
        dtype: str = "float64",
        shards: int | None = None,
    ) -> Session:
        """A new session, from one vector `x0` or from `params`: arrays by name, or a
        sequence of arrays. `options` are torch's; those left out take torch's defaults. With
        `shards` every evaluation is told in that many parts, whose sum it is."""
        return self._run(self._api.create_session(x0, params, options, name, labels, dtype, shards))

    def get_session(self, session: SessionLike) -> Session:
        """Looks at a session, without its vectors."""
        return self._run(self._api.get_session(session))

    def update_session(
        self,
        session: SessionLike,
        *,
        name: str | _Unset | None = UNSET,
        labels: Mapping[str, str] | _Unset | None = UNSET,
        options: Options | _Unset = UNSET,
        if_match: str | None = None,
    ) -> Session:
        """Changes what is given. Options count from the next step on; `labels` replaces all."""
        return self._run(
            self._api.update_session(
                session, _changes(name=name, labels=labels, options=options), if_match
            )
        )

    def delete_session(self, session: SessionLike, *, if_match: str | None = None) -> None:
        """Deletes a session with its trace and its checkpoints, for good. Forks of it stay."""
        return self._run(self._api.delete_session(session, if_match))

    def begin_step(
        self,
        session: SessionLike,
        *,
        shards: int | None = None,
        if_match: str | None = None,
    ) -> Turn:
        """Begins a step: one `optimizer.step(closure)`. With `shards` its evaluations are told in
        that many parts."""
        return self._run(self._api.begin_step(session, shards, if_match))

    def get_step(self, session: SessionLike, number: int) -> Step:
        """Looks at a step; steps are numbered 1, 2, 3 ..."""
        return self._run(self._api.get_step(session, number))

    def ask(self, session: SessionLike, *, wait: float | None = None) -> Turn:
        """Where the session stands, and what it waits for. With `wait`, an idle session is answered
        when a step begins, or after that many seconds (30 at most) as it is."""
        return self._run(self._api.ask(session, wait))

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
    ) -> Turn:
        """The loss and the gradient of evaluation `number`: flat, or by the parameters' names in
        `gradients`, where None or no entry means zeros. With `shard` a part of them, which count
        when all parts are there. May be told twice."""
        return self._run(
            self._api.tell(session, number, loss, gradient, gradients, shard, if_match)
        )

    def tell_failed(
        self,
        session: SessionLike,
        number: int,
        reason: str,
        *,
        shard: int | None = None,
        if_match: str | None = None,
    ) -> Turn:
        """Evaluation `number` failed: its point is infeasible. One shard that fails is enough."""
        return self._run(self._api.tell_failed(session, number, reason, shard, if_match))

    def evaluate(self, items: Iterable[SessionLike | Tell]) -> list[Turn | ProblemError]:
        """Asks and tells for many sessions in one request: a session asks, a `Tell` tells. What
        comes back stands in the same order, a turn or the error that the call of its own would
        have raised. May be repeated as a whole."""
        return self._run(self._api.evaluate(items))

    def lease(
        self, session: SessionLike, number: int, worker: str, *, seconds: float | None = None
    ) -> Lease:
        """One shard of evaluation `number` for `worker` to compute, offered to nobody else for so
        long. `NoShardFree` if all are told or leased. A late result is taken nevertheless."""
        return self._run(self._api.lease(session, number, worker, seconds))

    def zero_grad(
        self, session: SessionLike, *, set_to_none: bool = True, if_match: str | None = None
    ) -> Turn:
        """Drops what has been told of the pending evaluation in shards; with `set_to_none` false
        those shards stay told, with zeros."""
        return self._run(self._api.zero_grad(session, set_to_none, if_match))

    def stop(self, session: SessionLike, *, if_match: str | None = None) -> Turn:
        """Ends the running step now, at the best finite point that it has seen."""
        return self._run(self._api.stop(session, if_match))

    def get_params(self, session: SessionLike) -> Parameters:
        """The parameters at the newest accepted point."""
        return self._run(self._api.get_params(session))

    def set_params(
        self,
        session: SessionLike,
        params: ArrayLike | Mapping[str, ArrayLike],
        *,
        if_match: str | None = None,
    ) -> Parameters:
        """Replaces all parameters, from one flat vector or by name. The history stays."""
        return self._run(self._api.set_params(session, params, if_match))

    def get_state_dict(
        self, session: SessionLike, *, format: StateDictFormat = "json"
    ) -> StateDict:
        """What `torch.optim.LBFGS.state_dict()` has, with arrays for tensors. `format` is how it
        travels, "json" or "safetensors", which is smaller; the numbers are the same."""
        return self._run(self._api.get_state_dict(session, format))

    def load_state_dict(
        self,
        session: SessionLike,
        state_dict: Mapping[str, Any],
        *,
        match: Literal["position", "name"] = "position",
        format: StateDictFormat = "json",
        if_match: str | None = None,
    ) -> StateDict:
        """Loads a state dict, with arrays or CPU tensors; options that are left out stay. The
        parameters are matched by position, as in torch, or by name."""
        return self._run(self._api.load_state_dict(session, state_dict, match, format, if_match))

    def add_param_group(
        self,
        session: SessionLike,
        params: ParamsLike,
        *,
        name: str | None = None,
        if_match: str | None = None,
    ) -> ParamGroup:
        """More parameters join, between steps: arrays by name, or a sequence of arrays. The history
        stays and counts; options are those of the session."""
        return self._run(self._api.add_param_group(session, params, name, if_match))

    def param_groups(self, session: SessionLike) -> list[ParamGroup]:
        """The parameter groups, in order. There is one at first."""
        return self._run(self._api.param_groups(session))

    def get_param_group(self, session: SessionLike, index: int) -> ParamGroup:
        """Looks at a parameter group; they are numbered 0, 1, 2 ..."""
        return self._run(self._api.get_param_group(session, index))

    def update_param_group(
        self,
        session: SessionLike,
        index: int,
        *,
        name: str | _Unset | None = UNSET,
        frozen: bool | _Unset = UNSET,
        if_match: str | None = None,
    ) -> ParamGroup:
        """Names a group; freezes it, so that it doesn't move, or unfreezes it. Between steps."""
        changes = _changes(name=name, frozen=frozen)
        return self._run(self._api.update_param_group(session, index, changes, if_match))

    def create_hook(
        self,
        session: SessionLike,
        event: str,
        *,
        kind: Literal["intercept", "observe"] = "intercept",
        prepend: bool = False,
        deadline_seconds: float | None = None,
        default: Literal["continue", "abort"] | None = None,
        url: str | None = None,
        secret: str | None = None,
        if_match: str | None = None,
    ) -> Hook:
        """Registers a hook on "step.pre", "step.post", or "pre" and "post" of "state_dict" and
        "load_state_dict".

        One that intercepts makes the session wait for `answer_hook`, `deadline_seconds` at most,
        and then do the `default`. One that observes is told afterwards by a signed message to
        `url`. `prepend` puts it before those that are there. `delete_hook` removes it.
        """
        document = {
            "event": event,
            "kind": kind,
            "prepend": prepend,
            "deadline_seconds": deadline_seconds,
            "default": default,
            "url": url,
            "secret": secret,
        }
        return self._run(self._api.create_hook(session, document, if_match))

    def hooks(self, session: SessionLike) -> list[Hook]:
        """The hooks of a session, in the order in which they are called."""
        return self._run(self._api.hooks(session))

    def get_hook(self, session: SessionLike, hook: HookLike) -> Hook:
        """Looks at a hook."""
        return self._run(self._api.get_hook(session, hook))

    def delete_hook(
        self, session: SessionLike, hook: HookLike, *, if_match: str | None = None
    ) -> None:
        """Removes a hook. A call of it that waits goes on as if answered with nothing."""
        return self._run(self._api.delete_hook(session, hook, if_match))

    def answer_hook(
        self,
        session: SessionLike,
        number: int,
        *,
        options: Options | None = None,
        state_dict: Mapping[str, Any] | None = None,
        if_match: str | None = None,
    ) -> Turn:
        """Answers the call `number` of a hook: with nothing, or with a replacement of the step's
        options or of the state dict. May be repeated."""
        return self._run(self._api.answer_hook(session, number, options, state_dict, if_match))

    def redeliver(self, session: SessionLike, hook: HookLike, delivery: DeliveryLike) -> Delivery:
        """Has a message sent again."""
        return self._run(self._api.redeliver(session, hook, delivery))

    def create_checkpoint(
        self, session: SessionLike, name: str | None = None, *, if_match: str | None = None
    ) -> Checkpoint:
        """Pins the session as it is, the middle of a line search included."""
        return self._run(self._api.create_checkpoint(session, name, if_match))

    def get_checkpoint(self, session: SessionLike, checkpoint: CheckpointLike) -> Checkpoint:
        """Looks at a checkpoint."""
        return self._run(self._api.get_checkpoint(session, checkpoint))

    def delete_checkpoint(
        self, session: SessionLike, checkpoint: CheckpointLike, *, if_match: str | None = None
    ) -> None:
        """Deletes a checkpoint."""
        return self._run(self._api.delete_checkpoint(session, checkpoint, if_match))

    def get_checkpoint_state_dict(
        self,
        session: SessionLike,
        checkpoint: CheckpointLike,
        *,
        format: StateDictFormat = "json",
    ) -> StateDict:
        """The state dict as it was when the checkpoint was made."""
        return self._run(self._api.get_checkpoint_state_dict(session, checkpoint, format))

    def restore(
        self, session: SessionLike, checkpoint: CheckpointLike, *, if_match: str | None = None
    ) -> Turn:
        """Takes the session back to a checkpoint, bit for bit."""
        return self._run(self._api.restore(session, checkpoint, if_match))

    def fork(
        self,
        session: SessionLike,
        checkpoint: CheckpointLike,
        *,
        name: str | None = None,
        labels: Mapping[str, str] | None = None,
        if_match: str | None = None,
    ) -> Session:
        """A new session that starts as this one was at the checkpoint."""
        return self._run(self._api.fork(session, checkpoint, name, labels, if_match))

    def limits(self) -> dict[str, Any]:
        """What a client can run into."""
        return self._run(self._api.limits())

    def ready(self) -> None:
        """Returns when the server takes writes, and raises at the deadline."""
        return self._run(self._api.ready())

    def sessions(
        self, *, label: str | None = None, page_size: int | None = None
    ) -> Iterator[SessionSummary]:
        """All sessions, or those with the label "key:value", newest first, page by page."""
        token: str | None = None
        while True:
            page, token = self._run(self._api.list_sessions(label, page_size, token))
            yield from page
            if token is None:
                return

    def checkpoints(
        self, session: SessionLike, *, page_size: int | None = None
    ) -> Iterator[Checkpoint]:
        """A session's checkpoints, newest first, page by page."""
        token: str | None = None
        while True:
            page, token = self._run(self._api.list_checkpoints(session, page_size, token))
            yield from page
            if token is None:
                return

    def deliveries(
        self, session: SessionLike, hook: HookLike, *, page_size: int | None = None
    ) -> Iterator[Delivery]:
        """The messages of a hook that observes, newest first, page by page."""
        token: str | None = None
        while True:
            page, token = self._run(self._api.list_deliveries(session, hook, page_size, token))
            yield from page
            if token is None:
                return

    def trace(self, session: SessionLike, *, start: int = 1, limit: int | None = None) -> Trace:
        """The evaluations from number `start` on, at most `limit` of them."""
        points: list[TracePoint] = []
        following: int | None = start
        while following is not None and (limit is None or len(points) < limit):
            left = None if limit is None else min(limit - len(points), 10_000)
            page, following = self._run(self._api.trace_page(session, following, left))
            points += page
        return Trace.of(str(session), points)

    def events(self, session: SessionLike, *, last_event_id: int | None = None) -> Iterator[Event]:
        """What happens to a session from now on, or after the event `last_event_id`.

        Connects again when the connection breaks, and goes on where it was. Ends when the session
        is deleted.
        """
        if last_event_id is None:
            last_event_id = last_event_of(self.get_session(session))
        feed = EventFeed(self._engine, self._api, session, last_event_id)
        while not feed.ended:
            pause: float | None = None
            try:
                with self._http.stream(**self._stream_arguments(feed.connect())) as response:
                    reading = response.status_code == 200
                    content = b"" if reading else response.read()
                    pause = feed.opened(Reply(response.status_code, response.headers, content))
                    if pause is None:
                        for piece in response.iter_bytes():
                            yield from feed.feed(piece)
                if pause is None:
                    pause = feed.broken(None)
            except httpx.TransportError as error:
                pause = feed.broken(error)
            if not feed.ended:
                time.sleep(pause)


class AsyncClient(_Base):
    """As `Client`, with coroutines and asynchronous iterators."""

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        timeout: float = 60.0,
        retry: Retry | None = None,
        content_digest: bool = False,
    ) -> None:
        super().__init__(url, token, timeout, retry, content_digest)
        self._http = httpx.AsyncClient(**self._settings())

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _run(self, plan: Plan[T], retry: Retry | None = None) -> T:
        flow = self._engine.flow(plan, retry)
        outcome: Outcome = None
        while True:
            try:
                action = flow.send(outcome)
            except StopIteration as end:
                value: T = end.value
                return value
            outcome = None
            if isinstance(action, Pause):
                await asyncio.sleep(action.seconds)
            else:
                outcome = await self._attempt(action)

    async def _attempt(self, request: Request) -> Reply | httpx.TransportError:
        try:
            async with self._http.stream(**self._arguments(request)) as response:
                inbox = Inbox(response.status_code, response.headers)
                async for piece in response.aiter_bytes():
                    inbox.feed(piece)
        except httpx.TransportError as error:
            return error
        return inbox.reply()

    @staticmethod
    def _streamed(body: Body) -> Any:
        return body.blocks_async()

    async def create_session(
        self,
        x0: ArrayLike | None = None,
        *,
        params: ParamsLike | None = None,
        options: Options | None = None,
        name: str | None = None,
        labels: Mapping[str, str] | None = None,
        dtype: str = "float64",
        shards: int | None = None,
    ) -> Session:
        """A new session, from one vector `x0` or from `params`: arrays by name, or a
        sequence of arrays. `options` are torch's; those left out take torch's defaults. With
        `shards` every evaluation is told in that many parts, whose sum it is."""
        return await self._run(
            self._api.create_session(x0, params, options, name, labels, dtype, shards)
        )

    async def get_session(self, session: SessionLike) -> Session:
        """Looks at a session, without its vectors."""
        return await self._run(self._api.get_session(session))

    async def update_session(
        self,
        session: SessionLike,
        *,
        name: str | _Unset | None = UNSET,
        labels: Mapping[str, str] | _Unset | None = UNSET,
        options: Options | _Unset = UNSET,
        if_match: str | None = None,
    ) -> Session:
        """Changes what is given. Options count from the next step on; `labels` replaces all."""
        return await self._run(
            self._api.update_session(
                session, _changes(name=name, labels=labels, options=options), if_match
            )
        )

    async def delete_session(self, session: SessionLike, *, if_match: str | None = None) -> None:
        """Deletes a session with its trace and its checkpoints, for good. Forks of it stay."""
        return await self._run(self._api.delete_session(session, if_match))

    async def begin_step(
        self,
        session: SessionLike,
        *,
        shards: int | None = None,
        if_match: str | None = None,
    ) -> Turn:
        """Begins a step: one `optimizer.step(closure)`. With `shards` its evaluations are told in
        that many parts."""
        return await self._run(self._api.begin_step(session, shards, if_match))

    async def get_step(self, session: SessionLike, number: int) -> Step:
        """Looks at a step; steps are numbered 1, 2, 3 ..."""
        return await self._run(self._api.get_step(session, number))

    async def ask(self, session: SessionLike, *, wait: float | None = None) -> Turn:
        """Where the session stands, and what it waits for. With `wait`, an idle session is answered
        when a step begins, or after that many seconds (30 at most) as it is."""
        return await self._run(self._api.ask(session, wait))

    async def tell(
        self,
        session: SessionLike,
        number: int,
        loss: Any,
        gradient: ArrayLike | None = None,
        *,
        gradients: Mapping[str, ArrayLike | None] | None = None,
        shard: int | None = None,
        if_match: str | None = None,
    ) -> Turn:
        """The loss and the gradient of evaluation `number`: flat, or by the parameters' names in
        `gradients`, where None or no entry means zeros. With `shard` a part of them, which count
        when all parts are there. May be told twice."""
        return await self._run(
            self._api.tell(session, number, loss, gradient, gradients, shard, if_match)
        )

    async def tell_failed(
        self,
        session: SessionLike,
        number: int,
        reason: str,
        *,
        shard: int | None = None,
        if_match: str | None = None,
    ) -> Turn:
        """Evaluation `number` failed: its point is infeasible. One shard that fails is enough."""
        return await self._run(self._api.tell_failed(session, number, reason, shard, if_match))

    async def evaluate(self, items: Iterable[SessionLike | Tell]) -> list[Turn | ProblemError]:
        """Asks and tells for many sessions in one request: a session asks, a `Tell` tells. What
        comes back stands in the same order, a turn or the error that the call of its own would
        have raised. May be repeated as a whole."""
        return await self._run(self._api.evaluate(items))

    async def lease(
        self, session: SessionLike, number: int, worker: str, *, seconds: float | None = None
    ) -> Lease:
        """One shard of evaluation `number` for `worker` to compute, offered to nobody else for so
        long. `NoShardFree` if all are told or leased. A late result is taken nevertheless."""
        return await self._run(self._api.lease(session, number, worker, seconds))

    async def zero_grad(
        self, session: SessionLike, *, set_to_none: bool = True, if_match: str | None = None
    ) -> Turn:
        """Drops what has been told of the pending evaluation in shards; with `set_to_none` false
        those shards stay told, with zeros."""
        return await self._run(self._api.zero_grad(session, set_to_none, if_match))

    async def stop(self, session: SessionLike, *, if_match: str | None = None) -> Turn:
        """Ends the running step now, at the best finite point that it has seen."""
        return await self._run(self._api.stop(session, if_match))

    async def get_params(self, session: SessionLike) -> Parameters:
        """The parameters at the newest accepted point."""
        return await self._run(self._api.get_params(session))

    async def set_params(
        self,
        session: SessionLike,
        params: ArrayLike | Mapping[str, ArrayLike],
        *,
        if_match: str | None = None,
    ) -> Parameters:
        """Replaces all parameters, from one flat vector or by name. The history stays."""
        return await self._run(self._api.set_params(session, params, if_match))

    async def get_state_dict(
        self, session: SessionLike, *, format: StateDictFormat = "json"
    ) -> StateDict:
        """What `torch.optim.LBFGS.state_dict()` has, with arrays for tensors. `format` is how it
        travels, "json" or "safetensors", which is smaller; the numbers are the same."""
        return await self._run(self._api.get_state_dict(session, format))

    async def load_state_dict(
        self,
        session: SessionLike,
        state_dict: Mapping[str, Any],
        *,
        match: Literal["position", "name"] = "position",
        format: StateDictFormat = "json",
        if_match: str | None = None,
    ) -> StateDict:
        """Loads a state dict, with arrays or CPU tensors; options that are left out stay. The
        parameters are matched by position, as in torch, or by name."""
        return await self._run(
            self._api.load_state_dict(session, state_dict, match, format, if_match)
        )

    async def add_param_group(
        self,
        session: SessionLike,
        params: ParamsLike,
        *,
        name: str | None = None,
        if_match: str | None = None,
    ) -> ParamGroup:
        """More parameters join, between steps: arrays by name, or a sequence of arrays. The history
        stays and counts; options are those of the session."""
        return await self._run(self._api.add_param_group(session, params, name, if_match))

    async def param_groups(self, session: SessionLike) -> list[ParamGroup]:
        """The parameter groups, in order. There is one at first."""
        return await self._run(self._api.param_groups(session))

    async def get_param_group(self, session: SessionLike, index: int) -> ParamGroup:
        """Looks at a parameter group; they are numbered 0, 1, 2 ..."""
        return await self._run(self._api.get_param_group(session, index))

    async def update_param_group(
        self,
        session: SessionLike,
        index: int,
        *,
        name: str | _Unset | None = UNSET,
        frozen: bool | _Unset = UNSET,
        if_match: str | None = None,
    ) -> ParamGroup:
        """Names a group; freezes it, so that it doesn't move, or unfreezes it. Between steps."""
        changes = _changes(name=name, frozen=frozen)
        return await self._run(self._api.update_param_group(session, index, changes, if_match))

    async def create_hook(
        self,
        session: SessionLike,
        event: str,
        *,
        kind: Literal["intercept", "observe"] = "intercept",
        prepend: bool = False,
        deadline_seconds: float | None = None,
        default: Literal["continue", "abort"] | None = None,
        url: str | None = None,
        secret: str | None = None,
        if_match: str | None = None,
    ) -> Hook:
        """Registers a hook on "step.pre", "step.post", or "pre" and "post" of "state_dict" and
        "load_state_dict".

        One that intercepts makes the session wait for `answer_hook`, `deadline_seconds` at most,
        and then do the `default`. One that observes is told afterwards by a signed message to
        `url`. `prepend` puts it before those that are there. `delete_hook` removes it.
        """
        document = {
            "event": event,
            "kind": kind,
            "prepend": prepend,
            "deadline_seconds": deadline_seconds,
            "default": default,
            "url": url,
            "secret": secret,
        }
        return await self._run(self._api.create_hook(session, document, if_match))

    async def hooks(self, session: SessionLike) -> list[Hook]:
        """The hooks of a session, in the order in which they are called."""
        return await self._run(self._api.hooks(session))

    async def get_hook(self, session: SessionLike, hook: HookLike) -> Hook:
        """Looks at a hook."""
        return await self._run(self._api.get_hook(session, hook))

    async def delete_hook(
        self, session: SessionLike, hook: HookLike, *, if_match: str | None = None
    ) -> None:
        """Removes a hook. A call of it that waits goes on as if answered with nothing."""
        return await self._run(self._api.delete_hook(session, hook, if_match))

    async def answer_hook(
        self,
        session: SessionLike,
        number: int,
        *,
        options: Options | None = None,
        state_dict: Mapping[str, Any] | None = None,
        if_match: str | None = None,
    ) -> Turn:
        """Answers the call `number` of a hook: with nothing, or with a replacement of the step's
        options or of the state dict. May be repeated."""
        return await self._run(
            self._api.answer_hook(session, number, options, state_dict, if_match)
        )

    async def redeliver(
        self, session: SessionLike, hook: HookLike, delivery: DeliveryLike
    ) -> Delivery:
        """Has a message sent again."""
        return await self._run(self._api.redeliver(session, hook, delivery))

    async def create_checkpoint(
        self, session: SessionLike, name: str | None = None, *, if_match: str | None = None
    ) -> Checkpoint:
        """Pins the session as it is, the middle of a line search included."""
        return await self._run(self._api.create_checkpoint(session, name, if_match))

    async def get_checkpoint(self, session: SessionLike, checkpoint: CheckpointLike) -> Checkpoint:
        """Looks at a checkpoint."""
        return await self._run(self._api.get_checkpoint(session, checkpoint))

    async def delete_checkpoint(
        self, session: SessionLike, checkpoint: CheckpointLike, *, if_match: str | None = None
    ) -> None:
        """Deletes a checkpoint."""
        return await self._run(self._api.delete_checkpoint(session, checkpoint, if_match))

    async def get_checkpoint_state_dict(
        self,
        session: SessionLike,
        checkpoint: CheckpointLike,
        *,
        format: StateDictFormat = "json",
    ) -> StateDict:
        """The state dict as it was when the checkpoint was made."""
        return await self._run(self._api.get_checkpoint_state_dict(session, checkpoint, format))

    async def restore(
        self, session: SessionLike, checkpoint: CheckpointLike, *, if_match: str | None = None
    ) -> Turn:
        """Takes the session back to a checkpoint, bit for bit."""
        return await self._run(self._api.restore(session, checkpoint, if_match))

    async def fork(
        self,
        session: SessionLike,
        checkpoint: CheckpointLike,
        *,
        name: str | None = None,
        labels: Mapping[str, str] | None = None,
        if_match: str | None = None,
    ) -> Session:
        """A new session that starts as this one was at the checkpoint."""
        return await self._run(self._api.fork(session, checkpoint, name, labels, if_match))

    async def limits(self) -> dict[str, Any]:
        """What a client can run into."""
        return await self._run(self._api.limits())

    async def ready(self) -> None:
        """Returns when the server takes writes, and raises at the deadline."""
        return await self._run(self._api.ready())

    async def sessions(
        self, *, label: str | None = None, page_size: int | None = None
    ) -> AsyncIterator[SessionSummary]:
        """All sessions, or those with the label "key:value", newest first, page by page."""
        token: str | None = None
        while True:
            page, token = await self._run(self._api.list_sessions(label, page_size, token))
            for session in page:
                yield session
            if token is None:
                return

    async def checkpoints(
        self, session: SessionLike, *, page_size: int | None = None
    ) -> AsyncIterator[Checkpoint]:
        """A session's checkpoints, newest first, page by page."""
        token: str | None = None
        while True:
            page, token = await self._run(self._api.list_checkpoints(session, page_size, token))
            for checkpoint in page:
                yield checkpoint
            if token is None:
                return

    async def deliveries(
        self, session: SessionLike, hook: HookLike, *, page_size: int | None = None
    ) -> AsyncIterator[Delivery]:
        """The messages of a hook that observes, newest first, page by page."""
        token: str | None = None
        while True:
            page, token = await self._run(
                self._api.list_deliveries(session, hook, page_size, token)
            )
            for delivery in page:
                yield delivery
            if token is None:
                return

    async def trace(
        self, session: SessionLike, *, start: int = 1, limit: int | None = None
    ) -> Trace:
        """The evaluations from number `start` on, at most `limit` of them."""
        points: list[TracePoint] = []
        following: int | None = start
        while following is not None and (limit is None or len(points) < limit):
            left = None if limit is None else min(limit - len(points), 10_000)
            page, following = await self._run(self._api.trace_page(session, following, left))
            points += page
        return Trace.of(str(session), points)

    async def events(
        self, session: SessionLike, *, last_event_id: int | None = None
    ) -> AsyncIterator[Event]:
        """What happens to a session from now on, or after the event `last_event_id`.

        Connects again when the connection breaks, and goes on where it was. Ends when the session
        is deleted.
        """
        if last_event_id is None:
            last_event_id = last_event_of(await self.get_session(session))
        feed = EventFeed(self._engine, self._api, session, last_event_id)
        while not feed.ended:
            pause: float | None = None
            try:
                async with self._http.stream(**self._stream_arguments(feed.connect())) as response:
                    reading = response.status_code == 200
                    content = b"" if reading else await response.aread()
                    pause = feed.opened(Reply(response.status_code, response.headers, content))
                    if pause is None:
                        async for piece in response.aiter_bytes():
                            for event in feed.feed(piece):
                                yield event
                if pause is None:
                    pause = feed.broken(None)
            except httpx.TransportError as error:
                pause = feed.broken(error)
            if not feed.ended:
                await asyncio.sleep(pause)
