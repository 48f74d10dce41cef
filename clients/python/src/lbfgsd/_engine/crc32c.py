"""CRC-32C, which the snapshots of the library end with."""

from __future__ import annotations

import numpy as np

_POLYNOMIAL = 0x82F63B78
_ONES = 0xFFFFFFFF
_ROWS = 4096
"""How many parts of the bytes are run through at once."""


def _table() -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
    values = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        values = (values >> 1) ^ np.where(values & 1, np.uint32(_POLYNOMIAL), np.uint32(0))
    return values


_TABLE = _table()


def crc32c(content: bytes) -> int:
    """The checksum of at least four bytes.

    The checksum is linear: leading zeros don't change it where it begins with zero, and the ones
    that it begins with are the same as inverting the first four bytes. So the bytes are cut into
    rows of equal lengths, whose checksums are computed at once, column by column, and then joined.
    """
    whole = np.frombuffer(content, np.uint8).copy()
    whole[:4] ^= 0xFF
    length = max(1, -(-whole.size // _ROWS))
    rows = -(-whole.size // length)
    padded = np.zeros(rows * length, np.uint8)
    padded[padded.size - whole.size :] = whole
    columns = np.ascontiguousarray(padded.reshape(rows, length).T)
    sums = np.zeros(rows, np.uint32)
    for column in columns:
        sums = _TABLE[(sums ^ column) & 0xFF] ^ (sums >> np.uint32(8))
    # What the next row's bytes, as zeros, make of each bit of a checksum.
    bits = np.uint32(1) << np.arange(32, dtype=np.uint32)
    for _ in range(length):
        bits = _TABLE[bits & 0xFF] ^ (bits >> np.uint32(8))
    shifted = [int(bit) for bit in bits]
    total = 0
    for own in map(int, sums):
        moved, index = 0, 0
        while total:
            if total & 1:
                moved ^= shifted[index]
            total >>= 1
            index += 1
        total = moved ^ own
    return total ^ _ONES
