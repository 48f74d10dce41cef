"""A model of a disk under a recorded run: what is durable, and what a power loss may leave.

A file is durable as of its last successful sync (what was written before that began). What was
written since may be there or not, in any order, torn at sectors. A name is durable after a sync of
its directory (`strict`, what POSIX promises) or after any sync that follows it (`ordered`, as ext4
with its one journal). After a failed sync the kernel takes the pages for clean: a later sync
succeeds without them, and only writing them anew makes them durable.
"""

from __future__ import annotations

import copy
import os
import random
from dataclasses import dataclass, field
from pathlib import Path

from torture import recording
from torture.recording import Call

PAGE = 4096
KEEP_SIZE, PUNCH_HOLE = 1, 2
POLICIES = ("none", "all", "prefix", "sectors", "pages", "mixed")


@dataclass
class Change:
    """A change of a file's content: bytes at an offset, or (with `size`) a truncation, or (with
    `zeros`) a hole."""

    sequence: int
    offset: int = 0
    data: bytes = b""
    size: int | None = None
    zeros: int = 0
    is_stuck: bool = False

    def apply(self, content: bytearray) -> None:
        if self.size is not None:
            if self.size < len(content):
                del content[self.size :]
            else:
                content.extend(bytes(self.size - len(content)))
        elif self.zeros:
            end = min(self.offset + self.zeros, len(content))
            content[self.offset : end] = bytes(max(0, end - self.offset))
        else:
            if len(content) < self.offset:
                content.extend(bytes(self.offset - len(content)))
            content[self.offset : self.offset + len(self.data)] = self.data

    def pieces(self, unit: int) -> list[Change]:
        """The change in parts that lie in one unit (sector or page) each."""
        if not self.data:
            return [self]
        parts, at, end = [], self.offset, self.offset + len(self.data)
        while at < end:
            stop = min((at // unit + 1) * unit, end)
            data = self.data[at - self.offset : stop - self.offset]
            parts.append(Change(self.sequence, at, data, is_stuck=self.is_stuck))
            at = stop
        return parts


@dataclass
class File:
    """A file or a directory, whatever its names."""

    is_directory: bool = False
    content: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    pending: list[Change] = field(default_factory=list)
    names: dict[str, int] = field(default_factory=dict)
    strict_names: dict[str, int] = field(default_factory=dict)
    ordered_names: dict[str, int] = field(default_factory=dict)

    def change(self, change: Change) -> None:
        change.apply(self.content)
        self.pending.append(change)

    def sync(self, began: int) -> None:
        done = [c for c in self.pending if c.sequence <= began]
        rest = [c for c in self.pending if c.sequence > began]
        stuck = [c for c in done if c.is_stuck]
        if not stuck:
            for change in done:
                change.apply(self.durable)
            self.pending = rest
            return
        # A page that was written anew since the failure is written back whole; the others of the
        # stuck ones stay in doubt.
        cached = bytearray(self.durable)
        for change in done:
            change.apply(cached)
        fresh: set[int] = set()
        for change in done:
            if not change.is_stuck:
                change.apply(self.durable)
                count = max(len(change.data), change.zeros, 1)
                fresh.update(range(change.offset // PAGE, (change.offset + count - 1) // PAGE + 1))
        for page in fresh:
            data = bytes(cached[page * PAGE : (page + 1) * PAGE])
            Change(0, page * PAGE, data).apply(self.durable)
        parts = [part for change in stuck for part in change.pieces(PAGE)]
        self.pending = [part for part in parts if part.offset // PAGE not in fresh] + rest

    def fail_sync(self, began: int) -> None:
        for change in self.pending:
            if change.sequence <= began:
                change.is_stuck = True

    def crashed(self, policy: str, chance: random.Random) -> bytes:
        """The content after a power loss."""
        if policy == "all":
            return bytes(self.content)
        content = bytearray(self.durable)
        if not self.pending or policy == "none":
            return bytes(content)
        if policy == "prefix":
            for change in self.pending[: chance.randint(0, len(self.pending))]:
                change.apply(content)
            return bytes(content)
        unit = 512 if policy == "sectors" else PAGE
        share = chance.choice((0.1, 0.5, 0.9))
        for change in self.pending:
            for part in change.pieces(unit):
                if chance.random() < share:
                    part.apply(content)
        if len(content) < len(self.content) and chance.random() < 0.3:
            # The file's length was written, its blocks were not.
            content.extend(bytes(len(self.content) - len(content)))
        return bytes(content)


@dataclass
class NameChange:
    """A name that was given (to a file) or taken (None) in a directory."""

    sequence: int
    directory: int
    name: str
    file: int | None


class Disk:
    """The state of a data directory, driven by recorded calls."""

    def __init__(self) -> None:
        self.files: dict[int, File] = {0: File(is_directory=True)}
        self.descriptors: dict[int, int] = {}
        self.syncs: dict[tuple[int, int], int] = {}
        self.strict: list[NameChange] = []
        self.ordered: list[NameChange] = []
        self.sequence = 0

    def copy(self) -> Disk:
        return copy.deepcopy(self)

    # The recorded calls.

    def apply(self, call: Call) -> None:
        self.sequence = call.sequence
        match call.operation:
            case recording.PROCESS:
                self.descriptors.clear()
                self.syncs.clear()
            case recording.OPEN:
                self._open(call)
            case recording.CLOSE:
                self.descriptors.pop(call.descriptor, None)
            case recording.WRITE:
                change = Change(call.sequence, call.offset, call.data)
                self._file(call.descriptor).change(change)
            case recording.TRUNCATE:
                self._file(call.descriptor).change(Change(call.sequence, size=call.length))
            case recording.ALLOCATE:
                self._allocate(call)
            case recording.MAKE_DIRECTORY:
                self._name(call, call.path, self._make(is_directory=True))
            case recording.UNLINK:
                self._name(call, call.path, None)
            case recording.LINK:
                self._name(call, call.data.decode(), self._find(call.path))
            case recording.RENAME:
                file = self._find(call.path)
                self._name(call, call.path, None)
                self._name(call, call.data.decode(), file)
            case recording.SYNC_BEGIN:
                self.syncs[call.descriptor, self.descriptors[call.descriptor]] = call.sequence
            case recording.SYNC_END:
                self._sync(call)

    def _file(self, descriptor: int) -> File:
        return self.files[self.descriptors[descriptor]]

    def _make(self, is_directory: bool = False) -> int:
        number = len(self.files)
        self.files[number] = File(is_directory=is_directory)
        return number

    def _parent(self, path: str) -> tuple[int, str]:
        parent, _, name = path.rpartition("/")
        number = self._find(parent) if parent else 0
        assert number is not None, f"no directory {parent}"
        return number, name

    def _find(self, path: str) -> int | None:
        number = 0
        for part in path.split("/") if path else []:
            found = self.files[number].names.get(part)
            if found is None:
                return None
            number = found
        return number

    def _open(self, call: Call) -> None:
        number = self._find(call.path)
        if number is None:
            number = self._make()
            self._name(call, call.path, number)
        self.descriptors[call.descriptor] = number
        if call.offset & os.O_TRUNC and self.files[number].content:
            self.files[number].change(Change(call.sequence, size=0))

    def _allocate(self, call: Call) -> None:
        file = self._file(call.descriptor)
        if call.result & PUNCH_HOLE:
            file.change(Change(call.sequence, call.offset, zeros=call.length))
        elif not call.result & KEEP_SIZE and call.offset + call.length > len(file.content):
            file.change(Change(call.sequence, size=call.offset + call.length))

    def _name(self, call: Call, path: str, file: int | None) -> None:
        directory, name = self._parent(path)
        change = NameChange(call.sequence, directory, name, file)
        _rename(self.files[directory].names, change)
        self.strict.append(change)
        self.ordered.append(change)

    def _sync(self, call: Call) -> None:
        number = self.descriptors[call.descriptor]
        began = self.syncs.pop((call.descriptor, number))
        if call.result:
            self.files[number].fail_sync(began)
            return
        self.files[number].sync(began)
        for change in self.ordered:
            if change.sequence <= began:
                _rename(self.files[change.directory].ordered_names, change)
        self.ordered = [c for c in self.ordered if c.sequence > began]
        if self.files[number].is_directory:
            durable = [c for c in self.strict if c.directory == number and c.sequence <= began]
            for change in durable:
                _rename(self.files[number].strict_names, change)
            self.strict = [c for c in self.strict if c not in durable]

    # What a crash leaves.

    def page_cache(self, target: Path) -> None:
        """Writes what a killed process leaves: everything that it wrote."""
        self._build(target, {n: f.names for n, f in self.files.items()}, lambda f: bytes(f.content))

    def crash(
        self, target: Path, chance: random.Random, names: str, policy: str, lost_names: str
    ) -> None:
        """Writes what a power loss may leave. `names` is strict or ordered; `lost_names` says how
        many of the names that aren't durable are lost: none, some, all."""
        tables: dict[int, dict[str, int]] = {}
        for number, file in self.files.items():
            durable = file.strict_names if names == "strict" else file.ordered_names
            tables[number] = dict(durable)
        pending = self.strict if names == "strict" else self.ordered
        if lost_names == "all":
            kept = []
        elif lost_names == "none":
            kept = list(pending)
        elif names == "strict":
            kept = [change for change in pending if chance.random() < 0.5]
        else:
            kept = pending[: chance.randint(0, len(pending))]
        for change in kept:
            _rename(tables[change.directory], change)

        def content(file: File) -> bytes:
            chosen = chance.choice(POLICIES[:-1]) if policy == "mixed" else policy
            return file.crashed(chosen, chance)

        self._build(target, tables, content)

    def _build(self, target: Path, tables: dict[int, dict[str, int]], content: object) -> None:
        assert callable(content)

        def build(number: int, path: Path) -> None:
            path.mkdir(mode=0o700)
            for name, child in sorted(tables[number].items()):
                file = self.files[child]
                if file.is_directory:
                    build(child, path / name)
                else:
                    (path / name).write_bytes(content(file))
                    (path / name).chmod(0o600)

        build(0, target)


def _rename(names: dict[str, int], change: NameChange) -> None:
    if change.file is None:
        names.pop(change.name, None)
    else:
        names[change.name] = change.file
