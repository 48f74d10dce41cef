"""Bodies of requests and replies as bytes. Vectors are sent from the memory where they are, and
received into the memory where they stay.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .._errors import BadReply
from .._model import Floats
from . import json_text

OCTETS_TYPE = "application/octet-stream"
SESSION_FILE_TYPE = "application/vnd.lbfgsd.session"
BLOCK_BYTES = 256 << 10
"""The most bytes of a vector that are handed to the transport at once."""

DTYPES: dict[str, np.dtype[Any]] = {"float32": np.dtype("<f4"), "float64": np.dtype("<f8")}
"""The formats in which the numbers of a session travel, by its dtype."""


class OctetBody:
    """A request body that consists of arrays where they are: nothing is joined or copied."""

    def __init__(self, arrays: Sequence[Floats]) -> None:
        self._pieces = [array.reshape(-1).view(np.uint8).data for array in arrays]
        self.size = sum(len(piece) for piece in self._pieces)

    def blocks(self) -> Iterator[memoryview]:
        """The body in blocks; each call starts at the beginning, so that a request can be
        repeated."""
        for piece in self._pieces:
            for start in range(0, len(piece), BLOCK_BYTES):
                yield piece[start : start + BLOCK_BYTES]

    async def blocks_async(self) -> AsyncIterator[memoryview]:
        for block in self.blocks():
            yield block


class FileBody(OctetBody):
    """A request body that is a file, read while it is sent."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.size = path.stat().st_size

    def blocks(self) -> Iterator[memoryview]:
        with self._path.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                yield memoryview(block)


Headers = Mapping[str, str]
"""The header fields of a reply. Their names are in lower case."""


@dataclass(frozen=True)
class Content:
    """A request's body, its media type, and the query parameters that belong to it."""

    body: bytes | OctetBody
    media_type: str
    query: Mapping[str, str] = field(default_factory=dict)


def json_content(document: Mapping[str, Any]) -> Content:
    return Content(json_text.encode(document), json_text.MEDIA_TYPE)


def octet_content(arrays: Sequence[Floats], loss: float | None = None) -> Content:
    """Vectors as octets; a loss that belongs to them goes into the query."""
    query = {} if loss is None else {"loss": str(json_text.write_number(loss))}
    return Content(OctetBody(arrays), OCTETS_TYPE, query)


def content_digest(content: bytes | OctetBody) -> str:
    """The value of the field Content-Digest (RFC 9530)."""
    sha = hashlib.sha256()
    for block in content.blocks() if isinstance(content, OctetBody) else (content,):
        sha.update(block)
    return f"sha-256=:{base64.b64encode(sha.digest()).decode()}:"


def media_type(headers: Headers) -> str:
    return str(headers.get("content-type", "")).split(";")[0].strip()


@dataclass(frozen=True)
class Reply:
    """A complete reply. `vector` is its body if that is octets; `content` is then empty."""

    status: int
    headers: Headers
    content: bytes
    vector: Floats | None = None

    @property
    def etag(self) -> str | None:
        etag = self.headers.get("etag")
        return None if etag is None else str(etag)

    @property
    def replayed(self) -> bool:
        return bool(self.headers.get("idempotent-replayed") == "true")

    def json(self) -> Any:
        return json_text.decode(self.content)


class ReplyReceiver:
    """Receives the body of a reply piece by piece. Octets go straight into their array, and what is
    asked for as a file into that."""

    def __init__(self, status: int, headers: Headers, file: BinaryIO | None = None) -> None:
        self._status, self._headers = status, headers
        self._pieces: list[bytes] = []
        self._file = file if status < 300 else None
        if self._file is not None:
            # An earlier attempt may have left a part.
            self._file.seek(0)
            self._file.truncate()
        self._vector: Floats | None = None
        self._filled = 0
        if status < 300 and media_type(headers) == OCTETS_TYPE:
            self._vector = _announced_array(headers)
            self._memory = self._vector.view(np.uint8).data

    def feed(self, piece: bytes) -> None:
        if self._file is not None:
            self._file.write(piece)
            return
        if self._vector is None:
            self._pieces.append(piece)
            return
        end = self._filled + len(piece)
        if end > len(self._memory):
            raise BadReply(f"more octets than the {self._vector.size} numbers that were announced")
        self._memory[self._filled : end] = piece
        self._filled = end

    def reply(self) -> Reply:
        if self._vector is None:
            content = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
            return Reply(self._status, self._headers, content)
        if self._filled < len(self._memory):
            raise BadReply(f"{self._filled} octets for {self._vector.size} numbers")
        native = self._vector.astype(self._vector.dtype.newbyteorder("="), copy=False)
        return Reply(self._status, self._headers, b"", native)


def _announced_array(headers: Headers) -> Floats:
    """An array for as many numbers as the headers announce. It is allocated only if the length of
    the body agrees, so that a broken reply cannot ask for arbitrary memory."""
    try:
        dtype, count = DTYPES[headers["lbfgsd-dtype"]], int(headers["lbfgsd-count"])
        if "content-encoding" not in headers:
            fits = int(headers["content-length"]) == count * dtype.itemsize
        else:
            fits = count >= 0
    except (KeyError, ValueError) as error:
        raise BadReply(f"octets without their dtype, count or length: {error!r}") from error
    if not fits:
        raise BadReply(f"{headers['content-length']} octets for {count} numbers of {dtype.name}")
    return np.empty(count, dtype)
