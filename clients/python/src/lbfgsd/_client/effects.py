"""What operations ask a transport to do, and the types of operations."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Generic, TypeVar, Union

import httpx

from .._wire.messages import OctetBody, Reply

T = TypeVar("T")


@dataclass(frozen=True)
class Request:
    """Send this request. The outcome is its reply, or the error of the connection."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | OctetBody | None = None
    wait_seconds: float = 0
    """How long the server may delay its reply on purpose, beyond the timeout."""
    file: BinaryIO | None = None
    """Where the body of a reply with status 2xx goes."""


@dataclass(frozen=True)
class Sleep:
    """Wait so long. There is no outcome."""

    seconds: float


@dataclass(frozen=True)
class Open:
    """Send this request and leave the body of a reply with status 200 unread, for `Receive`. The
    outcome is the reply, or the error of the connection."""

    request: Request


@dataclass(frozen=True)
class Receive:
    """Read more of the open reply. The outcome is a piece of its body, None at the end, or the
    error of the connection."""


@dataclass(frozen=True)
class Emit(Generic[T]):
    """Hand this item to the caller of a stream. There is no outcome."""

    item: T


Effect = Request | Sleep | Open | Receive
Outcome = Reply | bytes | httpx.TransportError | None

Operation = Generator[Effect, Outcome, T]
"""Runs to a value of type T."""
Stream = Generator[Union[Effect, Emit[T]], Outcome, None]  # noqa: UP007 (Python 3.10: no bar here)
"""Yields items of type T to its caller between its effects."""
