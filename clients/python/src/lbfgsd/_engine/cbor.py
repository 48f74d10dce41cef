"""CBOR (RFC 8949), as far as the scalars of a snapshot need it."""

from __future__ import annotations

import struct
from typing import Any

_UNSIGNED, _NEGATIVE, _TEXT, _ARRAY, _MAP, _SIMPLE = 0, 1, 3, 4, 5, 7
_SIMPLE_VALUES = {20: False, 21: True, 22: None}
_FLOAT64 = 27
_WIDTHS = {24: 1, 25: 2, 26: 4, 27: 8}


def encode(value: Any) -> bytes:
    """Integers have their shortest form, and floating-point numbers eight bytes."""
    if value is None or isinstance(value, bool):
        number = next(k for k, v in _SIMPLE_VALUES.items() if v is value)
        return bytes([_SIMPLE << 5 | number])
    if isinstance(value, int):
        return _head(_NEGATIVE, ~value) if value < 0 else _head(_UNSIGNED, value)
    if isinstance(value, float):
        return bytes([_SIMPLE << 5 | _FLOAT64]) + struct.pack(">d", value)
    if isinstance(value, str):
        text = value.encode()
        return _head(_TEXT, len(text)) + text
    if isinstance(value, (list, tuple)):
        return _head(_ARRAY, len(value)) + b"".join(map(encode, value))
    if isinstance(value, dict):
        items = b"".join(encode(key) + encode(item) for key, item in value.items())
        return _head(_MAP, len(value)) + items
    raise TypeError(f"{type(value).__name__} has no form in CBOR")


def _head(major: int, argument: int) -> bytes:
    if argument < 24:
        return bytes([major << 5 | argument])
    for size, width in _WIDTHS.items():
        if argument < 1 << 8 * width:
            return bytes([major << 5 | size]) + argument.to_bytes(width, "big")
    raise ValueError(f"{argument} is too large")


def decode(content: bytes) -> Any:
    """Reads one value, which takes all of the bytes. Raises ValueError for anything else."""
    try:
        value, end = _value(content, 0)
    except (IndexError, struct.error, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"no CBOR: {error}") from error
    if end != len(content):
        raise ValueError("bytes follow the value")
    return value


def _value(content: bytes, at: int) -> tuple[Any, int]:
    major, size = content[at] >> 5, content[at] & 31
    at += 1
    if major == _SIMPLE:
        if size == _FLOAT64:
            return struct.unpack_from(">d", content, at)[0], at + 8
        if size in _SIMPLE_VALUES:
            return _SIMPLE_VALUES[size], at
        raise ValueError(f"a simple value of type {size}")
    argument = size
    if size >= 24:
        width = _WIDTHS.get(size, 0)
        if not width or at + width > len(content):
            raise ValueError("a length that is not there")
        argument = int.from_bytes(content[at : at + width], "big")
        at += width
    if major == _UNSIGNED:
        return argument, at
    if major == _NEGATIVE:
        return ~argument, at
    if argument > len(content) - at:
        raise ValueError("the bytes end too early")
    if major == _TEXT:
        return content[at : at + argument].decode(), at + argument
    if major == _ARRAY:
        items = []
        for _ in range(argument):
            item, at = _value(content, at)
            items.append(item)
        return items, at
    if major == _MAP:
        entries = {}
        for _ in range(argument):
            key, at = _value(content, at)
            entries[key], at = _value(content, at)
        return entries, at
    raise ValueError(f"an item of type {major}")
