"""The engine in this process: liblbfgsd.so by ctypes, in place of a server."""

from __future__ import annotations

from .choice import Engine, engine_client
from .client import LocalClient

__all__ = ["Engine", "LocalClient", "engine_client"]
