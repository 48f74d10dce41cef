"""Writes directions.bin from the direction numbers that SciPy has: new-joe-kuo-6.21201.

    python Sources/CSobol/pack.py

A stream of bits, the lowest of each byte first. For each dimension from the second on: the degree s
of its primitive polynomial in 5 bits; the s - 1 coefficients between the first and the last, which
are 1, the highest power in the highest bit; then for i = 1 ... s the number m_i, which is odd and
below 2^i, without its lowest bit, in i - 1 bits.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.stats import _sobol


def main() -> None:
    numbers = np.load(Path(_sobol.__file__).with_name("_sobol_direction_numbers.npz"))
    stream, length = bytearray(), 0
    pending = 0

    def write(value: int, bits: int) -> None:
        nonlocal pending, length
        pending |= value << length
        length += bits
        while length >= 8:
            stream.append(pending & 0xFF)
            pending >>= 8
            length -= 8

    rows = zip(numbers["poly"].tolist(), numbers["vinit"].tolist(), strict=True)
    for polynomial, initial in list(rows)[1:]:
        degree = polynomial.bit_length() - 1
        write(degree, 5)
        write(polynomial >> 1 & (1 << degree - 1) - 1, degree - 1)
        for i, m in enumerate(initial[:degree], 1):
            assert m % 2 == 1 and m < 1 << i
            write(m >> 1, i - 1)
    stream.append(pending & 0xFF)
    Path(__file__).with_name("directions.bin").write_bytes(stream)


main()
