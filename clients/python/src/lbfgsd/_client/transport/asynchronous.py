"""The transport with asyncio, over httpx."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, TypeVar

from ..._wire.messages import OctetBody, Reply, ReplyReceiver
from .effects import (
    EVENT_SILENCE_SECONDS,
    Arguments,
    Effect,
    Emit,
    Open,
    Operation,
    Outcome,
    Receive,
    Request,
    Sleep,
    Stream,
    TransportError,
)

T = TypeVar("T")


class AsyncTransport:
    """Carries out operations in the running event loop."""

    def __init__(self, arguments: Arguments) -> None:
        import httpx

        self._arguments = arguments
        self._http = httpx.AsyncClient(headers=arguments.headers, timeout=arguments.timeout)
        self._broken: type[Exception] = httpx.TransportError
        self._hopeless = (httpx.UnsupportedProtocol, httpx.LocalProtocolError)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _run(self, operation: Operation[T]) -> T:
        outcome: Outcome = None
        while True:
            try:
                effect = operation.send(outcome)
            except StopIteration as end:
                value: T = end.value
                return value
            outcome = await self._perform(effect)

    async def _perform(self, effect: Effect) -> Outcome:
        if isinstance(effect, Sleep):
            await asyncio.sleep(effect.seconds)
            return None
        assert isinstance(effect, Request)
        try:
            async with self._http.stream(**self._of_request(effect)) as response:
                receiver = ReplyReceiver(response.status_code, response.headers, effect.file)
                async for piece in response.aiter_bytes():
                    receiver.feed(piece)
        except self._broken as error:
            return self._failure(error)
        return receiver.reply()

    async def _iterate(self, stream: Stream[T]) -> AsyncIterator[T]:
        outcome: Outcome = None
        pieces: AsyncIterator[bytes] | None = None
        async with contextlib.AsyncExitStack() as opened:
            while True:
                try:
                    effect = stream.send(outcome)
                except StopIteration:
                    return
                if isinstance(effect, Emit):
                    yield effect.item
                    outcome = None
                    continue
                try:
                    if isinstance(effect, Open):
                        opening = self._http.stream(**self._of_stream(effect.request))
                        response = await opened.enter_async_context(opening)
                        content = b"" if response.status_code == 200 else await response.aread()
                        pieces = response.aiter_bytes()
                        outcome = Reply(response.status_code, response.headers, content)
                    elif isinstance(effect, Receive):
                        assert pieces is not None
                        outcome = await anext(pieces, None)
                    else:
                        await opened.aclose()
                        outcome = await self._perform(effect)
                except self._broken as error:
                    outcome = self._failure(error)

    def _of_request(self, request: Request) -> dict[str, Any]:
        """The arguments for httpx."""
        headers, content = dict(request.headers), request.content
        body: Any = content
        if isinstance(content, OctetBody):
            # No `Expect: 100-continue`: httpx sends the body without waiting for the answer. A
            # server that refuses the header is heard nevertheless, since sending then ends.
            headers["Content-Length"] = str(content.size)
            body = content.blocks_async()
        return {
            "method": request.method,
            "url": self._arguments.url + request.path,
            "params": dict(request.query) or None,
            "headers": headers,
            "content": body,
            "timeout": self._arguments.timeout + request.wait_seconds,
        }

    def _of_stream(self, request: Request) -> dict[str, Any]:
        import httpx

        timeout = httpx.Timeout(self._arguments.timeout, read=EVENT_SILENCE_SECONDS)
        return {**self._of_request(request), "timeout": timeout}

    def _failure(self, error: Exception) -> TransportError:
        kind = type(error).__name__
        failure = TransportError(f"{kind}: {error}" if str(error) else kind)
        failure.permanent = isinstance(error, self._hopeless)
        failure.__cause__ = error
        return failure
