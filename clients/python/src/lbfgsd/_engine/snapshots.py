"""Snapshots of the library, read and written here: docs/design/engine-snapshot.md."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._model import Floats
from . import cbor
from .crc32c import crc32c

MAGIC = b"\x8bLBFGSD\n"
_VERSION = 1
_HEADER = struct.Struct("<8sIIQQIIQ")
_ALIGNMENT = 8


@dataclass(frozen=True)
class Pair:
    """A curvature pair: s, then y, as they are stored, and its products with the older ones."""

    number: int
    item_size: int
    sy: Floats
    yy: Floats
    octets: bytes

    @property
    def halves(self) -> tuple[bytes, bytes]:
        middle = len(self.octets) // 2
        return self.octets[:middle], self.octets[middle:]

    def vectors(self, dtype: Any) -> tuple[Floats, Floats]:
        """s and y as numbers."""
        s, y = (_numbers(half, self.item_size).astype(dtype) for half in self.halves)
        return s, y


@dataclass(frozen=True)
class Snapshot:
    """The parts of a snapshot."""

    dtype: Any
    n: int
    scalars: dict[str, Any]
    vectors: dict[str, Floats]
    pairs: tuple[Pair, ...]

    @classmethod
    def read(cls, content: bytes) -> Snapshot:
        """Reads what `LocalOptimizer.snapshot` returns. The library has checked it, or will."""
        magic, version, size, n, _, vector_count, pair_count, length = _HEADER.unpack_from(content)
        if magic != MAGIC or version != _VERSION:
            raise ValueError("no snapshot of a known version")
        dtype, at = np.dtype(np.float64 if size == 8 else np.float32), _HEADER.size
        scalars = cbor.decode(content[at : at + length])
        at = _aligned(at + length)
        vectors: dict[str, Floats] = {}
        for _ in range(vector_count):
            (length,) = struct.unpack_from("<Q", content, at)
            name = content[at + 8 : at + 8 + length].decode()
            at = _aligned(at + 8 + length)
            vectors[name] = np.frombuffer(content, dtype.newbyteorder("<"), n, at).astype(dtype)
            at = _aligned(at + n * size)
        pairs = []
        for _ in range(pair_count):
            number, item_size, count = struct.unpack_from("<QII", content, at)
            products = np.frombuffer(content, "<f8", 2 * count, at + 16).astype(np.float64)
            at += 16 + 16 * count
            octets = content[at : at + 2 * n * item_size]
            pairs.append(Pair(number, item_size, products[:count], products[count:], octets))
            at = _aligned(at + len(octets))
        return cls(dtype, n, scalars, vectors, tuple(pairs))

    def written(self) -> bytes:
        """The bytes, which the library reads."""
        scalars = cbor.encode(self.scalars)
        parts = [b"", _padded(scalars)]
        for name, vector in sorted(self.vectors.items()):
            text = name.encode()
            parts.append(_padded(struct.pack("<Q", len(text)) + text))
            parts.append(_padded(vector.astype(self.dtype.newbyteorder("<")).tobytes()))
        for pair in self.pairs:
            parts.append(struct.pack("<QII", pair.number, pair.item_size, pair.sy.size))
            parts += [pair.sy.astype("<f8").tobytes(), pair.yy.astype("<f8").tobytes()]
            parts.append(_padded(pair.octets))
        size = _HEADER.size + sum(map(len, parts)) + _ALIGNMENT
        parts[0] = _HEADER.pack(
            MAGIC,
            _VERSION,
            self.dtype.itemsize,
            self.n,
            size,
            len(self.vectors),
            len(self.pairs),
            len(scalars),
        )
        content = b"".join(parts)
        return content + struct.pack("<Q", crc32c(content))

    def torch_state(self) -> dict[str, Any] | None:
        """torch's state of its first parameter; None before the first evaluation."""
        engine = self.scalars["engine"]
        if not engine["evaluationCount"]:
            return None
        state: dict[str, Any] = {
            "func_evals": engine["evaluationCount"],
            "n_iter": engine["iterationCount"],
        }
        if not engine["iterationCount"]:
            return state
        vectors = [pair.vectors(self.dtype) for pair in self.pairs]
        alphas = engine.get("alphas")
        if alphas is not None:
            # torch runs its recursion on -g: its alphas have the other sign.
            size = max(engine["options"]["historySize"], len(alphas))
            alphas = [-alpha for alpha in alphas] + [None] * (size - len(alphas))
        none: Floats = np.empty(0, self.dtype)
        return {
            **state,
            "d": self.vectors.get("d", none),
            "t": engine["stepLength"],
            "old_dirs": [y for _, y in vectors],
            "old_stps": [s for s, _ in vectors],
            "ro": [1 / float(pair.sy[-1]) for pair in self.pairs],
            "H_diag": engine["initialScale"],
            "prev_flat_grad": self.vectors.get("previous_g", none),
            "prev_loss": engine.get("previousLoss"),
            "al": alphas,
        }


def _numbers(octets: bytes, item_size: int) -> NDArray[Any]:
    if item_size == 2:
        # bfloat16, the upper half of a single.
        return (np.frombuffer(octets, "<u2").astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(octets, f"<f{item_size}")


def _aligned(offset: int) -> int:
    return -(-offset // _ALIGNMENT) * _ALIGNMENT


def _padded(content: bytes) -> bytes:
    return content + b"\0" * (-len(content) % _ALIGNMENT)
