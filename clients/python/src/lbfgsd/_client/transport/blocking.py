"""The transport that works in the calling thread."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TypeVar

from .connection import Connection
from .effects import (
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


class BlockingTransport:
    """Carries out operations in the calling thread. Several threads may use one transport: each
    exchange takes a connection that is idle, or makes one."""

    def __init__(self, arguments: Arguments) -> None:
        self._arguments = arguments
        # Appending to a list and popping from it are atomic.
        self._idle: list[Connection] = []
        self._is_closed = False

    def close(self) -> None:
        self._is_closed = True
        while self._idle:
            self._idle.pop().close()

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
        connection = self._connection()
        try:
            reply = connection.exchange(effect)
        except TransportError as error:
            self._release(connection)
            return error
        except BaseException:
            # Somewhere in the middle of a reply.
            connection.close()
            raise
        self._release(connection)
        return reply

    def _connection(self) -> Connection:
        if self._is_closed:
            raise RuntimeError("the client has been closed")
        try:
            return self._idle.pop()
        except IndexError:
            return Connection(self._arguments)

    def _release(self, connection: Connection) -> None:
        if self._is_closed:
            connection.close()
        else:
            self._idle.append(connection)

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
                        opened.close()
                        # Not one of the idle ones: it is used for as long as the stream lasts.
                        connection = Connection(self._arguments)
                        opened.callback(connection.close)
                        outcome, pieces = connection.open(effect.request)
                    elif isinstance(effect, Receive):
                        outcome = next(pieces, None)
                    else:
                        opened.close()
                        outcome = self._perform(effect)
                except TransportError as error:
                    outcome = error
