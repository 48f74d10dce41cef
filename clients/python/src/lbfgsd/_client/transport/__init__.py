"""The transports: each carries out the effects of operations.

`BlockingTransport` works in the calling thread with libcurl, which costs a small request less than
the standard library's `http.client` does; `AsyncTransport` works in the running event loop with
httpx, which is imported when the first one is made.
"""

from __future__ import annotations

from .asynchronous import AsyncTransport
from .blocking import BlockingTransport
from .effects import Arguments

__all__ = ["Arguments", "AsyncTransport", "BlockingTransport"]
