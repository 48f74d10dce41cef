"""The transports: each carries out the effects of operations, one blocking and one with asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, TypeVar

import httpx

from .._wire.messages import OctetBody, Reply, ReplyReceiver
from .effects import Effect, Emit, Open, Operation, Outcome, Receive, Request, Sleep, Stream

T = TypeVar("T")

EVENT_SILENCE_SECONDS = 60.0
"""A stream of events counts as broken after so long a silence. The server sends a comment every
15 seconds."""


class Arguments:
    """The arguments that httpx gets, which are the same for both transports."""

    def __init__(self, url: str, token: str | None, timeout: float) -> None:
        self._url, self._timeout = url, timeout
        headers = {"User-Agent": "lbfgsd-python"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self.of_client: dict[str, Any] = {"headers": headers, "timeout": timeout}

    def of_request(self, request: Request, is_async: bool) -> dict[str, Any]:
        headers, content = dict(request.headers), request.content
        body: Any = content
        if isinstance(content, OctetBody):
            # No `Expect: 100-continue`: httpx sends the body without waiting for the answer. A
            # server that refuses the header is heard nevertheless, since sending then ends.
            headers["Content-Length"] = str(content.size)
            body = content.blocks_async() if is_async else content.blocks()
        return {
            "method": request.method,
            "url": self._url + request.path,
            "params": dict(request.query) or None,
            "headers": headers,
            "content": body,
            "timeout": self._timeout + request.wait_seconds,
        }

    def of_stream(self, request: Request, is_async: bool) -> dict[str, Any]:
        timeout = httpx.Timeout(self._timeout, read=EVENT_SILENCE_SECONDS)
        return {**self.of_request(request, is_async), "timeout": timeout}


class BlockingTransport:
    """Carries out operations in the calling thread."""

    def __init__(self, arguments: Arguments) -> None:
        self._arguments = arguments
        self._http = httpx.Client(**arguments.of_client)

    def close(self) -> None:
        self._http.close()

    def _run(self, operation: Operation[T]) -> T:
        outcome: Outcome = None
        while True:
            try:
                effect = operation.send(outcome)
            except StopIteration as end:
                value: T = end.value
                return value
            outcome = self._perform(effect)

    def _perform(self, effect: Effect) -> Outcome:
        if isinstance(effect, Sleep):
            time.sleep(effect.seconds)
            return None
        assert isinstance(effect, Request)
        try:
            with self._http.stream(**self._arguments.of_request(effect, False)) as response:
                receiver = ReplyReceiver(response.status_code, response.headers, effect.file)
                for piece in response.iter_bytes():
                    receiver.feed(piece)
        except httpx.TransportError as error:
            return error
        return receiver.reply()

    def _iterate(self, stream: Stream[T]) -> Iterator[T]:
        outcome: Outcome = None
        pieces: Iterator[bytes] = iter(())
        with contextlib.ExitStack() as opened:
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
                        arguments = self._arguments.of_stream(effect.request, False)
                        response = opened.enter_context(self._http.stream(**arguments))
                        content = b"" if response.status_code == 200 else response.read()
                        pieces = response.iter_bytes()
                        outcome = Reply(response.status_code, response.headers, content)
                    elif isinstance(effect, Receive):
                        outcome = next(pieces, None)
                    else:
                        opened.close()
                        outcome = self._perform(effect)
                except httpx.TransportError as error:
                    outcome = error


class AsyncTransport:
    """Carries out operations in the running event loop."""

    def __init__(self, arguments: Arguments) -> None:
        self._arguments = arguments
        self._http = httpx.AsyncClient(**arguments.of_client)

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
            arguments = self._arguments.of_request(effect, True)
            async with self._http.stream(**arguments) as response:
                receiver = ReplyReceiver(response.status_code, response.headers, effect.file)
                async for piece in response.aiter_bytes():
                    receiver.feed(piece)
        except httpx.TransportError as error:
            return error
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
                        arguments = self._arguments.of_stream(effect.request, True)
                        response = await opened.enter_async_context(self._http.stream(**arguments))
                        content = b"" if response.status_code == 200 else await response.aread()
                        pieces = response.aiter_bytes()
                        outcome = Reply(response.status_code, response.headers, content)
                    elif isinstance(effect, Receive):
                        assert pieces is not None
                        outcome = await anext(pieces, None)
                    else:
                        await opened.aclose()
                        outcome = await self._perform(effect)
                except httpx.TransportError as error:
                    outcome = error
