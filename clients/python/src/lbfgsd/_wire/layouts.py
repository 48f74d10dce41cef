"""What a client has to know of a session in order to write its vectors as octets."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from .._model import ParameterSpec, SessionSummary

LAYOUTS_MAX = 4096
"""The number of sessions whose layout a client remembers, about a megabyte."""


@dataclass(frozen=True)
class Layout:
    """The dtype and the number of parameters of a session; `specs` is None if only those are
    known."""

    dtype: str
    n: int
    specs: tuple[ParameterSpec, ...] | None = None

    @classmethod
    def of(cls, session: SessionSummary) -> Layout:
        return cls(session.dtype, session.n, getattr(session, "params", None))


class LayoutCache:
    """The layouts of the sessions that a client has seen most recently. May be used by several
    threads. A session's dtype never changes; its size grows when parameters are added."""

    def __init__(self) -> None:
        self._layouts: dict[str, Layout] = {}
        self._lock = threading.Lock()

    def get(self, session: str) -> Layout | None:
        return self._layouts.get(session)

    def note(self, session: str, dtype: str, n: int) -> None:
        """Records the size of a vector in octets. Specs that no longer fit are dropped."""
        old = self._layouts.get(session)
        if old is None or (old.dtype, old.n) != (dtype, n):
            self.put(session, Layout(dtype, n))

    def note_count(self, session: str, n: int) -> None:
        """Records the size of a vector in JSON, which does not tell the dtype."""
        old = self._layouts.get(session)
        if old is not None and old.n != n:
            self.put(session, Layout(old.dtype, n))

    def put(self, session: str, layout: Layout) -> None:
        with self._lock:
            self._layouts.pop(session, None)
            if len(self._layouts) >= LAYOUTS_MAX:
                del self._layouts[next(iter(self._layouts))]
            self._layouts[session] = layout
