"""The base of all operations: requests with their headers, sent until they are answered."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from .._errors import BadReply
from .._wire import json_text
from .._wire.layouts import LayoutCache
from .._wire.messages import Content, Reply, content_digest, json_content
from .retry import (
    RETRIED_STATUSES,
    STATUSES_OF_LOST_REPLIES,
    Backoff,
    Reachability,
    Retry,
    check_status,
)
from .transport.effects import Emit, Operation, Request, Sleep, Stream, TransportError

T = TypeVar("T")


class _Unset:
    def __repr__(self) -> str:
        return "UNSET"


UNSET = _Unset()
"""The default of fields that a call leaves as they are; None would clear them."""


def given(**fields: object) -> dict[str, Any]:
    """The fields that are not None."""
    return {key: value for key, value in fields.items() if value is not None}


def changes(**fields: object) -> dict[str, Any]:
    """The fields that are not UNSET."""
    return {key: value for key, value in fields.items() if not isinstance(value, _Unset)}


class Exchange:
    """Builds requests and exchanges them for replies.

    Writing vectors as octets needs the session's layout, which is learned from replies. With
    `content_digest` every body is sent with its Content-Digest.
    """

    def __init__(self, url: str, retry: Retry, content_digest: bool) -> None:
        self.url = url
        self._retry = retry
        self._reachability = Reachability()
        self._layouts = LayoutCache()
        self._content_digest = content_digest

    # Requests

    def _get(self, path: str, **query: object) -> Request:
        written = {key: str(value) for key, value in given(**query).items()}
        return Request("GET", path, written, {"Accept": json_text.MEDIA_TYPE})

    def _write(
        self, method: str, path: str, content: Content | None, if_match: str | None = None
    ) -> Request:
        headers = {"Accept": json_text.MEDIA_TYPE}
        if if_match is not None:
            headers["If-Match"] = if_match
        if content is None:
            return Request(method, path, headers=headers)
        headers["Content-Type"] = content.media_type
        if self._content_digest:
            headers["Content-Digest"] = content_digest(content.body)
        return Request(method, path, content.query, headers, content.body)

    def _post(
        self, path: str, content: Content | None = None, if_match: str | None = None
    ) -> Request:
        """A POST with an Idempotency-Key, which all attempts share."""
        request = self._write("POST", path, content or json_content({}), if_match)
        return with_headers(request, {"Idempotency-Key": str(uuid.uuid4())})

    def _waiting(self, request: Request, wait: float | None) -> Request:
        """The same, for a reply that the server may delay so many seconds."""
        if not wait:
            return request
        preference = {"Prefer": f"wait={max(1, round(wait))}"}
        return replace(with_headers(request, preference), wait_seconds=wait)

    # Exchanges

    def _backoff(self) -> Backoff:
        return Backoff(self._retry, self._reachability, self.url)

    def _exchange(self, request: Request, read: Callable[[Reply], T]) -> Operation[T]:
        """Sends the request until it is answered, and reads the reply. Raises `BadReply` if `read`
        can't make sense of it."""
        reply = yield from self._answered(request)
        try:
            return read(reply)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadReply(f"{request.method} {request.path}: {error!r}") from error

    def _answered(self, request: Request) -> Operation[Reply]:
        backoff = self._backoff()
        lost = False
        """Whether an earlier attempt may have been carried out."""
        while True:
            reply = yield request
            if isinstance(reply, TransportError):
                lost = True
                yield Sleep(backoff.after_failure(reply))
                continue
            assert isinstance(reply, Reply)
            self._reachability.has_answered = True
            if reply.status in RETRIED_STATUSES:
                lost = lost or reply.status in STATUSES_OF_LOST_REPLIES
                yield Sleep(backoff.after_refusal(reply))
                continue
            if reply.status == 404 and lost and request.method == "DELETE":
                # An earlier attempt had deleted it, and only its reply was lost.
                reply = replace(reply, status=204, content=b"")
            check_status(reply)
            return reply

    def _pages(
        self,
        path: str,
        read: Callable[[Reply], tuple[list[T], str | None]],
        **query: object,
    ) -> Stream[T]:
        """The items of a list, page by page."""
        token: str | None = None
        while True:
            request = self._get(path, **query, page_token=token)
            items, token = yield from self._exchange(request, read)
            for item in items:
                yield Emit(item)
            if token is None:
                return


def with_headers(request: Request, headers: Mapping[str, str]) -> Request:
    return Request(
        request.method,
        request.path,
        request.query,
        {**request.headers, **headers},
        request.content,
        request.wait_seconds,
        request.file,
    )
