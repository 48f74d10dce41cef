"""Whether a call runs in this process or on a server."""

from __future__ import annotations

import os
from typing import Any, Literal, cast

from .._client import Client
from .client import LocalClient
from .library import LIBRARY, library_path

Engine = Literal["local", "server"]


def engine_client(engine: Engine | None, **of_server: Any) -> Client | None:
    """A client that is the engine in this process, or None for a server.

    `of_server` are the arguments that only a server can answer. With `engine=None` the engine is
    local if there are none, $LBFGSD_URL is not set, and the package has its library.
    """
    named = [name for name, value in of_server.items() if value]
    path = library_path()
    if engine == "local":
        if named:
            raise TypeError(f"engine='local' has no {', '.join(named)}: these need a server")
        if path is None:
            raise RuntimeError(f"this installation has no liblbfgsd.so; ${LIBRARY} can name one")
    elif engine == "server" or named or path is None or os.environ.get("LBFGSD_URL"):
        if engine not in (None, "server"):
            raise ValueError(f"engine must be 'local' or 'server', not {engine!r}")
        return None
    elif engine is not None:
        raise ValueError(f"engine must be 'local' or 'server', not {engine!r}")
    assert path is not None
    # It has the methods that a run calls.
    return cast(Client, LocalClient(path))
