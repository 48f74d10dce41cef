"""`Client` and `AsyncClient`: all operations, each over its transport."""

from __future__ import annotations

import copy
import os
from types import TracebackType
from typing import TypeVar

from .ensembles import EnsembleOperations
from .evaluations import EvaluationOperations
from .hooks import HookOperations
from .observation import ObservationOperations
from .retry import Retry
from .sessions import SessionOperations
from .state import StateOperations
from .transport import Arguments, AsyncTransport, BlockingTransport

DEFAULT_URL = "http://127.0.0.1:8080"

C = TypeVar("C", bound="Operations")


class Operations(
    SessionOperations,
    EvaluationOperations,
    EnsembleOperations,
    StateOperations,
    HookOperations,
    ObservationOperations,
):
    """Every operation of one server."""

    def __init__(self, url: str | None, retry: Retry | None, content_digest: bool) -> None:
        address = (url or os.environ.get("LBFGSD_URL") or DEFAULT_URL).rstrip("/")
        super().__init__(address, retry or Retry(), content_digest)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    @property
    def retry(self) -> Retry:
        return self._retry

    def _arguments_with(self, token: str | None, timeout: float) -> Arguments:
        headers = {"User-Agent": "lbfgsd-python"}
        token = token or os.environ.get("LBFGSD_TOKEN")
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return Arguments(self.url, headers, timeout)


def with_retry(client: C, retry: Retry) -> C:
    """The same client, over the same connections, with another policy."""
    other = copy.copy(client)
    other._retry = retry
    return other


class Client(Operations, BlockingTransport):
    """A client of one server.

    `url` is the server's, by default $LBFGSD_URL or http://127.0.0.1:8080; `token` is a bearer
    token, by default $LBFGSD_TOKEN. `timeout` is the number of seconds that one attempt may take;
    `retry` says how long to go on trying. With `content_digest` bodies are sent with their SHA-256,
    which the server verifies. Wherever a call takes a session, it takes its identifier or what
    another call has returned. Several threads may use one client.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        timeout: float = 60.0,
        retry: Retry | None = None,
        content_digest: bool = False,
    ) -> None:
        Operations.__init__(self, url, retry, content_digest)
        BlockingTransport.__init__(self, self._arguments_with(token, timeout))

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class AsyncClient(Operations, AsyncTransport):
    """As `Client`, with coroutines and asynchronous iterators."""

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        timeout: float = 60.0,
        retry: Retry | None = None,
        content_digest: bool = False,
    ) -> None:
        Operations.__init__(self, url, retry, content_digest)
        AsyncTransport.__init__(self, self._arguments_with(token, timeout))

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()
