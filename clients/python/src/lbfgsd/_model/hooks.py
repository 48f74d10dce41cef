"""Hooks, the calls of those that intercept, and the messages of those that observe."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .arrays import StateDict
from .results import StepResult


@dataclass(frozen=True)
class Hook:
    """A registered hook. A hook that intercepts has a deadline and a default, one that observes has
    a URL. Only the reply that creates a hook shows the secret that signs its messages."""

    id: str
    event: str
    kind: str
    deadline_seconds: float | None = None
    default: str | None = None
    url: str | None = None
    secret: str | None = field(default=None, repr=False)
    created_at: str | None = None

    def __str__(self) -> str:
        return self.id


@dataclass(frozen=True)
class HookCall:
    """A call of a hook that waits for its answer: its arguments, and what the server does
    (`default`: "continue" or "abort") if nobody answers before the `deadline`."""

    number: int
    hook: str
    event: str
    deadline: str
    default: str
    options: dict[str, Any] | None = None
    """The options of the step that is about to begin."""
    state_dict: StateDict | None = None
    result: StepResult | None = None
    """The result of the step that has ended."""


@dataclass(frozen=True)
class Delivery:
    """A message of a hook that observes. `status` is "pending", "delivered", or "failed", after
    which the server does not try again."""

    id: str
    hook: str
    event: str
    url: str
    status: str
    attempts: int
    created_at: str
    next_attempt_at: str | None
    last_attempt_at: str | None
    last_outcome: str | None

    def __str__(self) -> str:
        return self.id
