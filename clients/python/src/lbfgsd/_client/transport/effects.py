"""What operations ask a transport to do, and the types of operations."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Generic, TypeVar, Union

from ..._wire.messages import OctetBody, Reply

T = TypeVar("T")


EVENT_SILENCE_SECONDS = 60.0
"""A stream of events counts as broken after so long a silence. The server sends a comment every
15 seconds."""


class TransportError(Exception):
    """A connection could not be made, or broke before the whole reply was there."""

    permanent = False
    """Whether another attempt would fail in the same way."""


@dataclass(frozen=True)
class Arguments:
    """What a transport has to know of its server: the URL, the header fields of every request, and
    the seconds that a connection may take to be made, or be silent."""

    url: str
    headers: Mapping[str, str]
    timeout: float


@dataclass(frozen=True)
class Request:
    """Send this request. The outcome is its reply, or the error of the connection."""

    method: str
    path: str
    query: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
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
Outcome = Reply | bytes | TransportError | None

Operation = Generator[Effect, Outcome, T]
"""Runs to a value of type T."""
Stream = Generator[Union[Effect, Emit[T]], Outcome, None]  # noqa: UP007 (Python 3.10: no bar here)
"""Yields items of type T to its caller between its effects."""
