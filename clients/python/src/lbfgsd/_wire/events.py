"""Server-sent events (WHATWG HTML, section 9.2), parsed incrementally."""

from __future__ import annotations

from collections.abc import Mapping

from .._model import Event
from . import documents, json_text


class EventParser:
    """Makes events of pieces of text, however they are cut. Kinds it doesn't know are skipped."""

    def __init__(self) -> None:
        self._rest = b""
        self._fields: dict[str, str] = {}

    def feed(self, piece: bytes) -> list[Event]:
        *lines, self._rest = (self._rest + piece).split(b"\n")
        events = (self._line(line.rstrip(b"\r").decode()) for line in lines)
        return [event for event in events if event is not None]

    def _line(self, line: str) -> Event | None:
        if not line:
            fields, self._fields = self._fields, {}
            return _event(fields) if "data" in fields else None
        name, _, value = line.partition(":")
        if name:
            value = value.removeprefix(" ")
            repeated = name == "data" and name in self._fields
            self._fields[name] = f"{self._fields[name]}\n{value}" if repeated else value
        return None


_OF_SESSIONS = ("created", "deleted", "expiring")
"""Events without data of their own."""


def _event(fields: Mapping[str, str]) -> Event | None:
    kind = fields.get("event", "message")
    document = json_text.decode(fields["data"].encode())
    number = int(fields["id"]) if fields.get("id") else None
    session = document.get("session")
    if kind == "evaluation":
        return Event(kind, number, documents.trace_point(document), session)
    if kind == "step":
        return Event(kind, number, documents.step(document), session)
    return Event(kind, number, None, session) if kind in _OF_SESSIONS else None
