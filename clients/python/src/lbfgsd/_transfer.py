"""What goes over the wire byte by byte: vectors are sent from the memory where they are, and
received into the memory where they stay.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np

from . import _json
from ._errors import BadReply
from ._types import Floats

OCTETS_TYPE = "application/octet-stream"
BLOCK_BYTES = 256 << 10
"""Of a vector are handed on at once."""

DTYPES: dict[str, np.dtype[Any]] = {"float32": np.dtype("<f4"), "float64": np.dtype("<f8")}
"""How the numbers of a session's dtype travel."""


class Body:
    """A request's body in pieces that stay where they are: nothing is joined, however long."""

    def __init__(self, arrays: Sequence[Floats]) -> None:
        self._pieces = [array.reshape(-1).view(np.uint8).data for array in arrays]
        self.size = sum(len(piece) for piece in self._pieces)

    def blocks(self) -> Iterator[memoryview]:
        """From the beginning with each call, so that a request can be repeated."""
        for piece in self._pieces:
            for start in range(0, len(piece), BLOCK_BYTES):
                yield piece[start : start + BLOCK_BYTES]

    async def blocks_async(self) -> AsyncIterator[memoryview]:
        for block in self.blocks():
            yield block


def content_digest(content: bytes | Body) -> str:
    """The value of Content-Digest (RFC 9530)."""
    sha = hashlib.sha256()
    for block in content.blocks() if isinstance(content, Body) else (content,):
        sha.update(block)
    return f"sha-256=:{base64.b64encode(sha.digest()).decode()}:"


@dataclass(frozen=True)
class Reply:
    status: int
    headers: httpx.Headers
    content: bytes
    vector: Floats | None = None
    """The body, if it is octets."""

    @property
    def etag(self) -> str | None:
        etag = self.headers.get("ETag")
        return None if etag is None else str(etag)

    @property
    def replayed(self) -> bool:
        return bool(self.headers.get("Idempotent-Replayed") == "true")

    def json(self) -> Any:
        return _json.decode(self.content)


class Inbox:
    """Takes the body of a reply piece by piece: a vector straight into its array."""

    def __init__(self, status: int, headers: httpx.Headers) -> None:
        self._status, self._headers = status, headers
        self._pieces: list[bytes] = []
        self._vector: Floats | None = None
        self._filled = 0
        media_type = headers.get("Content-Type", "").split(";")[0].strip()
        if status < 300 and media_type == OCTETS_TYPE:
            self._vector = _room(headers)
            self._room = self._vector.view(np.uint8).data

    def feed(self, piece: bytes) -> None:
        if self._vector is None:
            self._pieces.append(piece)
            return
        end = self._filled + len(piece)
        if end > len(self._room):
            raise BadReply(f"more octets than the {self._vector.size} numbers that were announced")
        self._room[self._filled : end] = piece
        self._filled = end

    def reply(self) -> Reply:
        if self._vector is None:
            content = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
            return Reply(self._status, self._headers, content)
        if self._filled < len(self._room):
            raise BadReply(f"{self._filled} octets for {self._vector.size} numbers")
        native = self._vector.astype(self._vector.dtype.newbyteorder("="), copy=False)
        return Reply(self._status, self._headers, b"", native)


def _room(headers: httpx.Headers) -> Floats:
    try:
        dtype, count = DTYPES[headers["Lbfgsd-Dtype"]], int(headers["Lbfgsd-Count"])
        # Before there is room for that many: both must say the same.
        if "Content-Encoding" not in headers:
            fits = int(headers["Content-Length"]) == count * dtype.itemsize
        else:
            fits = count >= 0
    except (KeyError, ValueError) as error:
        raise BadReply(f"octets without their dtype, count or length: {error!r}") from error
    if not fits:
        raise BadReply(f"{headers['Content-Length']} octets for {count} numbers of {dtype.name}")
    return np.empty(count, dtype)
