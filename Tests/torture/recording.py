"""The preloaded recorder: building it, what it shares with this program, and its trace."""

from __future__ import annotations

import atexit
import mmap
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

OPEN, CLOSE, WRITE, TRUNCATE, ALLOCATE, RENAME, LINK, UNLINK, MAKE_DIRECTORY = range(1, 10)
SYNC_BEGIN, SYNC_END, PROCESS = 10, 11, 12
KINDS = ("open", "write", "sync", "truncate", "allocate", "rename", "unlink", "mkdir")

_RECORD = struct.Struct("<IIQqqqqII")
_MAGIC = 0x54524345


@cache
def library() -> Path:
    """The recorder, compiled for this run."""
    source = Path(__file__).with_name("recorder.c")
    target = Path(tempfile.mkdtemp(prefix="lbfgsd-recorder-")) / "recorder.so"
    atexit.register(shutil.rmtree, target.parent)
    flags = ["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    # A toolchain of Swift brings clang.
    compiler = next(found for name in ("cc", "clang", "gcc") if (found := shutil.which(name)))
    subprocess.run([compiler, *flags, "-o", target, source, "-ldl", "-lpthread"], check=True)
    return target


class Control:
    """The page that the recorder and this program share: `struct control` of recorder.c."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_bytes(bytes(4096))
        with path.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), 4096)

    def _get(self, index: int) -> int:
        (value,) = struct.unpack_from("<q", self._page, 8 * index)
        return int(value)

    @property
    def sequence(self) -> int:
        """The number of the newest recorded call."""
        return self._get(0)

    @sequence.setter
    def sequence(self, value: int) -> None:
        struct.pack_into("<q", self._page, 0, value)

    @property
    def calls(self) -> dict[str, int]:
        """How many calls of each kind there were."""
        return {kind: self._get(1 + index) for index, kind in enumerate(KINDS)}

    @property
    def fired(self) -> int:
        """How often the fault took effect."""
        return self._get(3 + len(KINDS))

    def fail_writes(self, code: int) -> None:
        """From now on every call that writes fails with this errno; 0 ends that."""
        struct.pack_into("<q", self._page, 8 * (1 + len(KINDS)), code)

    def step_clock(self, seconds: float) -> None:
        struct.pack_into("<q", self._page, 8 * (2 + len(KINDS)), int(seconds * 1e9))


@dataclass(frozen=True)
class Call:
    """One recorded call. `path` is below the data directory; `data` is what was written, or the
    new name of a rename."""

    operation: int
    sequence: int
    descriptor: int
    result: int
    offset: int
    length: int
    path: str
    data: bytes


def read_trace(path: Path) -> Iterator[Call]:
    with path.open("rb") as file:
        while len(head := file.read(_RECORD.size)) == _RECORD.size:
            magic, operation, sequence, descriptor, result, offset, length, names, size = (
                _RECORD.unpack(head)
            )
            assert magic == _MAGIC, f"{path} is no trace at byte {file.tell() - _RECORD.size}"
            name, data = file.read(names), file.read(size)
            if len(name) + len(data) < names + size:
                return  # The process was killed while it wrote this.
            yield Call(operation, sequence, descriptor, result, offset, length, name.decode(), data)
