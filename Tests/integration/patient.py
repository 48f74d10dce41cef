"""A client that repeats every request until it is answered, as any client may."""

from __future__ import annotations

import time
from typing import Any

import requests

GIVE_UP_SECONDS = 60
RETRY_SECONDS = 0.005
REQUEST_SECONDS = 20


class Broken(AssertionError):
    """The daemon lost, repeated or changed something."""


class PatientApi:
    def __init__(self, url: str) -> None:
        self.url, self.session = url, requests.Session()

    def call(
        self, method: str, path: str, body: Any = None, key: Any = None, allowed: Any = ()
    ) -> requests.Response:
        """Returns the first response. `allowed` are statuses other than 2xx that are expected."""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if key:
            headers["Idempotency-Key"] = key
        deadline, tries = time.monotonic() + GIVE_UP_SECONDS, 0
        while (response := self._try(method, path, body, headers)) is None:
            tries += 1
            if time.monotonic() > deadline:
                raise Broken(f"{method} {path}: no answer for {GIVE_UP_SECONDS} s")
            time.sleep(RETRY_SECONDS)
        if not response.ok and response.status_code not in allowed:
            raise Broken(
                f"{method} {path} after {tries} tries in vain: {response.status_code} "
                f"{response.text[:500]}"
            )
        self.answered(response, method, tries)
        return response

    def _try(self, method: str, path: str, body: Any, headers: Any) -> requests.Response | None:
        self.before_try()
        try:
            response = self.session.request(
                method, self.url + path, data=body, headers=headers, timeout=REQUEST_SECONDS
            )
        except requests.RequestException:
            self.session.close()
            self.session = requests.Session()
            return None
        return None if response.status_code == 503 else response

    # Callbacks for subclasses.

    def before_try(self) -> None: ...
    def answered(self, response: requests.Response, method: str, tries: int) -> None: ...
    def told(self, session: str, number: int, path: str, body: bytes) -> None: ...
    def begun(self, session: str, role: str) -> None: ...
    def ending(self, session: str) -> None: ...
