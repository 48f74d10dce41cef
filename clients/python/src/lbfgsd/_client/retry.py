"""When a request is sent again, and how long a client waits before that."""

from __future__ import annotations

import email.utils
import logging
import random
import time
from dataclasses import dataclass

from .._errors import BadReply, ConnectionFailed, problem_error
from .._wire.messages import Headers, Reply
from .transport.effects import TransportError

log = logging.getLogger("lbfgsd")

RETRIED_STATUSES = frozenset({408, 429, 502, 503, 504})
STATUSES_OF_LOST_REPLIES = frozenset({408, 502, 504})
"""With these the request may have been carried out all the same."""


@dataclass(frozen=True)
class Retry:
    """When a request is sent again, after the connection failed or the server answered 429 or 503.

    Repeating a request is always safe: telling is idempotent by the evaluation's number, and every
    POST carries an Idempotency-Key.

    `deadline` is the number of seconds that a call may take with all its attempts, and so the
    longest outage of the server that a call survives; with 0 there is no second attempt. Until the
    server has answered for the first time `first_deadline` applies if it is shorter, so that a
    wrong address is noticed at once; more is for programs that are started beside their server.
    The pauses between attempts begin at `initial` seconds, double up
    to `maximum`, and are shortened at random by up to a half. A pause is never shorter than what
    the server says in `Retry-After`.
    """

    deadline: float = 300.0
    first_deadline: float = 0.0
    initial: float = 0.1
    maximum: float = 10.0

    def pause(self, attempt: int) -> float:
        longest = min(self.maximum, self.initial * 2.0 ** min(attempt, 60))
        return longest * random.uniform(0.5, 1)


class Reachability:
    """Whether the server has ever answered this client."""

    def __init__(self) -> None:
        self.has_answered = False


class Backoff:
    """Computes the pauses of one call, and raises its last error when the deadline has passed."""

    def __init__(self, retry: Retry, reachability: Reachability, url: str) -> None:
        self.retry, self.reachability, self.url = retry, reachability, url
        self.restart()

    def restart(self) -> None:
        self.began, self.attempt = time.monotonic(), 0

    def after_failure(self, error: TransportError) -> float:
        """The seconds to wait after the connection failed."""
        seconds = None if error.permanent else self._pause(0)
        if seconds is None:
            if self.reachability.has_answered:
                raise ConnectionFailed(f"{self.url} answers no more ({error})") from error
            # Without the traces of the layers below, which say no more.
            raise ConnectionFailed(
                f"no server answers at {self.url} ({error}).\n"
                "`lbfgsd serve` starts one; url= or $LBFGSD_URL names another."
            ) from None
        log.warning("%s; trying again in %.1f s", error, seconds)
        return seconds

    def after_refusal(self, reply: Reply) -> float:
        """The seconds to wait after a reply with one of `RETRIED_STATUSES`."""
        seconds = self._pause(retry_after_seconds(reply.headers))
        if seconds is None:
            raise refusal(reply)
        log.warning("the server answered %d; trying again in %.1f s", reply.status, seconds)
        return seconds

    def _pause(self, least: float) -> float | None:
        retry = self.retry
        deadline = retry.deadline
        if not self.reachability.has_answered:
            deadline = min(deadline, retry.first_deadline)
        left = deadline - (time.monotonic() - self.began)
        seconds = retry.pause(self.attempt)
        if least > 0:
            seconds += least
        self.attempt += 1
        if left <= 0 or least > left:
            return None
        return max(least, min(seconds, left))


def retry_after_seconds(headers: Headers) -> float:
    """What `Retry-After` says, as a number or as a date; 0 if the server doesn't say."""
    text = headers.get("retry-after", "").strip()
    if text.isdigit():
        return float(text)
    try:
        when = email.utils.parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, IndexError):
        return 0.0
    return max(0.0, when - time.time())


def refusal(reply: Reply) -> Exception:
    """The exception for a reply of 4xx or 5xx."""
    try:
        document = reply.json()
    except BadReply:
        document = None
    error = problem_error(reply.status, document)
    error.retry_after = retry_after_seconds(reply.headers)
    return error


def check_status(reply: Reply) -> None:
    if reply.status >= 400:
        raise refusal(reply)
    if reply.status >= 300:
        raise BadReply(f"status {reply.status}")
