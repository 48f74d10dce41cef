"""The file of a durable local run: docs/design/local-journal.md describes it byte for byte."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import mmap
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._errors import JournalError

MAGIC = b"\x8bLBFGSJ\n"
VERSION = 1
_HEADER = struct.Struct("<8sIIIIQ32s")
_TRAILER = struct.Struct("<Q")
_MARKER = b"LBFJ"
_RECORD = struct.Struct("<4sIQII")
_ALIGNMENT = 8

STATE, EVALUATION, FAILURE, STOP, END = 1, 2, 3, 4, 5
"""The kinds of records."""

VECTORS = ("x0", "lower", "upper", "l1")
"""The fields of a problem that are digests of vectors."""

COMPACTED_BYTES_MIN = 1 << 20
COMPACTED_STATES = 4
"""A file is written anew when its records since the state have more bytes than this many states,
and than that."""


@dataclass(frozen=True)
class Header:
    """What the file is the journal of."""

    numerics: int
    item_size: int
    n: int
    problem: dict[str, Any]

    def written(self) -> bytes:
        problem = json.dumps(self.problem, sort_keys=True).encode()
        digest = hashlib.sha256(problem).digest()
        sizes = VERSION, self.numerics, self.item_size, len(problem), self.n
        content = _padded(_HEADER.pack(MAGIC, *sizes, digest) + problem)
        return content + _TRAILER.pack(zlib.crc32(content))

    @classmethod
    def read(cls, content: Any, path: Path) -> tuple[Header, int]:
        """The header, and where it ends."""
        if len(content) < _HEADER.size or content[: len(MAGIC)] != MAGIC:
            raise JournalError(path, "is no journal of a local run")
        _, version, numerics, item_size, size, n, digest = _HEADER.unpack_from(content)
        if version != VERSION:
            raise JournalError(path, f"has version {version}, this package reads {VERSION}")
        end = _aligned(_HEADER.size + size)
        if end + _TRAILER.size > len(content):
            raise JournalError(path, "is damaged: it ends within its header")
        (stored,) = _TRAILER.unpack_from(content, end)
        problem = content[_HEADER.size : _HEADER.size + size]
        if stored != zlib.crc32(content[:end]) or digest != hashlib.sha256(problem).digest():
            raise JournalError(path, "is damaged: its header has another checksum")
        return cls(numerics, item_size, n, json.loads(problem)), end + _TRAILER.size


@dataclass(frozen=True)
class State:
    """The state of a run at one moment: what is a number or a text, and arrays by name."""

    values: dict[str, Any]
    arrays: dict[str, NDArray[Any]]

    def written(self) -> bytes:
        listed = [[k, a.dtype.newbyteorder("<").str, a.size] for k, a in self.arrays.items()]
        text = json.dumps({**self.values, "arrays": listed}, sort_keys=True).encode()
        parts = [_TRAILER.pack(len(text)), _padded(text)]
        for (_, dtype, _), array in zip(listed, self.arrays.values(), strict=True):
            parts.append(_padded(array.astype(dtype, copy=False).tobytes()))
        return b"".join(parts)

    @classmethod
    def read(cls, payload: bytes) -> State:
        (size,) = _TRAILER.unpack_from(payload)
        values = json.loads(payload[_TRAILER.size : _TRAILER.size + size])
        at, arrays = _aligned(_TRAILER.size + size), {}
        for name, dtype, count in values.pop("arrays"):
            read = np.frombuffer(payload, dtype, count, at)
            arrays[name] = read.astype(read.dtype.newbyteorder("="))
            at = _aligned(at + read.nbytes)
        return cls(values, arrays)


class JournalFile:
    """A journal that this process has locked.

    Records are appended, and are on disk when `append` returns. A record at the end that is not
    whole was being written when the process died, and is cut off. A file that is written anew
    replaces the old one at once, by a rename.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path, self._descriptor = path, descriptor
        self.records: list[tuple[int, bytes]] = []
        """The records after the state, by kind and payload, as they were found."""
        self._end = self._begin = 0

    @classmethod
    def opened(cls, path: Path) -> JournalFile | None:
        """The file at `path`; None if there is none, or an empty one."""
        while True:
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:
                return None
            except OSError as error:
                raise _failed(path, "can't be opened", error) from error
            file = cls(path, descriptor)
            try:
                _lock(path, descriptor)
                if not _is_at(descriptor, path):
                    # Its owner has written it anew since.
                    file.close()
                    continue
                if os.fstat(descriptor).st_size == 0:
                    file.close()
                    return None
                file._read()
            except BaseException:
                file.close()
                raise
            return file

    @classmethod
    def created(cls, path: Path, header: Header, state: State) -> JournalFile:
        """A new file. There must be none."""
        descriptor = _written(path, header, state)
        file = cls(path, descriptor)
        try:
            if path.exists() and path.stat().st_size > 0:
                raise JournalError(path, "was created by another process meanwhile")
            file._take(header, state)
        except BaseException:
            file.close()
            raise
        return file

    def close(self) -> None:
        """Unlocks it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    @property
    def is_long(self) -> bool:
        """Whether it should be replaced."""
        state, rest = self._state_bytes, self._end - self._begin
        return rest > max(COMPACTED_BYTES_MIN, COMPACTED_STATES * state)

    def append(self, kind: int, *parts: bytes) -> None:
        """Adds a record. It is on disk, or there is an error and the file is as before."""
        record = _record(kind, b"".join(parts), self._salt)
        try:
            written = 0
            while written < len(record):
                at = self._end + written
                written += os.pwrite(self._descriptor, memoryview(record)[written:], at)
            os.fdatasync(self._descriptor)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._end)
            raise _failed(self.path, "could not be written, nothing is lost", error) from error
        self._end += len(record)

    def replace(self, header: Header, state: State) -> None:
        """Writes the file anew, with this state and no records."""
        old, descriptor = self._descriptor, _written(self.path, header, state)
        self._descriptor = descriptor
        self._take(header, state)
        os.close(old)

    def _take(self, header: Header, state: State) -> None:
        try:
            _beside(self.path).rename(self.path)
            _sync_directory(self.path)
        except OSError as error:
            raise _failed(self.path, "could not be created", error) from error
        self.header, self.state, self.records = header, state, []
        self._begin = self._end = os.fstat(self._descriptor).st_size
        self._salt = zlib.crc32(header.written())
        self._state_bytes = self._begin

    def _read(self) -> None:
        size = os.fstat(self._descriptor).st_size
        with mmap.mmap(self._descriptor, size, access=mmap.ACCESS_READ) as content:
            self.header, at = Header.read(content, self.path)
            self._salt = zlib.crc32(content[:at])
            kind, payload, at = self._whole(content, at) or (0, b"", at)
            if kind != STATE:
                raise JournalError(self.path, "is damaged: its first record is no state")
            try:
                self.state = State.read(payload)
            except (ValueError, KeyError, struct.error) as error:
                raise JournalError(self.path, f"is damaged: its state: {error}") from error
            self._begin = self._state_bytes = at
            while (found := self._whole(content, at)) is not None:
                kind, payload, at = found
                if not STATE < kind <= END:
                    raise JournalError(self.path, f"has a record of the unknown kind {kind}")
                self.records.append((kind, payload))
            self._end = at
            if any(True for _ in self._later(content, at)):
                raise JournalError(
                    self.path,
                    f"is damaged: the record at byte {at} has another checksum, and whole ones "
                    "follow it",
                )
        if size > self._end:
            try:
                os.ftruncate(self._descriptor, self._end)
                os.fsync(self._descriptor)
            except OSError as error:
                raise _failed(self.path, "can't be cut", error) from error

    def _whole(self, content: Any, at: int) -> tuple[int, bytes, int] | None:
        """The kind and the payload of the record at `at`, and where it ends; None if there is no
        whole one."""
        if at + _RECORD.size > len(content):
            return None
        head = content[at : at + _RECORD.size]
        marker, kind, size, payload_sum, head_sum = _RECORD.unpack(head)
        begin = at + _RECORD.size
        if marker != _MARKER or head_sum != zlib.crc32(head[:-4], self._salt):
            return None
        if size > len(content) - begin or _aligned(begin + size) > len(content):
            return None
        payload = content[begin : begin + size]
        if payload_sum != zlib.crc32(payload):
            return None
        return kind, payload, _aligned(begin + size)

    def _later(self, content: Any, at: int) -> Iterator[int]:
        """Where whole records are after `at`."""
        while (at := content.find(_MARKER, at + 1)) >= 0:
            if self._whole(content, at) is not None:
                yield at


def _record(kind: int, payload: bytes, salt: int) -> bytes:
    head = _RECORD.pack(_MARKER, kind, len(payload), zlib.crc32(payload), 0)[:-4]
    return _padded(head + zlib.crc32(head, salt).to_bytes(4, "little") + payload)


def _written(path: Path, header: Header, state: State) -> int:
    """Writes a file beside `path`, to disk, and locks it."""
    beside, head = _beside(path), header.written()
    try:
        descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise _failed(path, "can't be created", error) from error
    try:
        _lock(path, descriptor)
        if not _is_at(descriptor, beside):
            # Another process has just made the journal of it.
            raise JournalError(path, "is in use by another run")
        content = memoryview(head + _record(STATE, state.written(), zlib.crc32(head)))
        os.ftruncate(descriptor, 0)
        written = 0
        while written < len(content):
            written += os.pwrite(descriptor, content[written:], written)
        os.fsync(descriptor)
    except BaseException as error:
        os.close(descriptor)
        if isinstance(error, OSError):
            with contextlib.suppress(OSError):
                beside.unlink()
            raise _failed(path, "could not be written, nothing is lost", error) from error
        raise
    return descriptor


def _lock(path: Path, descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise JournalError(path, "is in use by another run") from error


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the open file still has the name."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), path.stat())
    return False


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path.absolute().parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".new")


def _failed(path: Path, what: str, error: OSError) -> JournalError:
    reason = os.strerror(error.errno) if error.errno else str(error)
    advice = ": free some space and run it again" if error.errno == errno.ENOSPC else ""
    return JournalError(path, f"{what} ({reason}){advice}")


def _aligned(offset: int) -> int:
    return -(-offset // _ALIGNMENT) * _ALIGNMENT


def _padded(content: bytes) -> bytes:
    return content + b"\0" * (-len(content) % _ALIGNMENT)


def compared(path: Path, theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
    """Raises JournalError for the first field in which two problems differ."""
    for name in sorted({*theirs, *ours}):
        one, other = theirs.get(name), ours.get(name)
        if isinstance(one, dict) and isinstance(other, dict):
            compared(path, *({f"{name}.{k}": v for k, v in d.items()} for d in (one, other)))
        elif json.dumps(one) != json.dumps(other):
            change = "differs" if name in VECTORS else f"was {one!r}, and is {other!r}"
            raise JournalError(path, f"is the journal of another problem: {name} {change}")
