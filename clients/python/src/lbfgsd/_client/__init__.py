"""The two clients over one description of the service's operations.

Theory of operation. An operation is a generator (`effects.Operation`): it yields what it wants
done, such as "send this request" or "wait 0.2 seconds", receives the outcome, and returns a value.
It does no I/O, so it is written once, with its signature and its documentation, in the module of
its resource (`sessions`, `evaluations`, ...). Retries, events and whatever else takes several
requests are such generators as well. A transport (`transport`) carries out effects:
`BlockingTransport` with `time.sleep` and libcurl, `AsyncTransport` with `asyncio.sleep` and
`httpx.AsyncClient`. The decorators in `binding` turn an operation into a method of either client,
for type checkers too.
"""

from __future__ import annotations

from .clients import AsyncClient, Client
from .identifiers import SessionLike
from .retry import Retry

__all__ = ["AsyncClient", "Client", "Retry", "SessionLike"]
