"""Carrying a step to its end: evaluate what a turn asks for, tell, and again."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from ._client import Client
from ._core import SessionLike
from ._errors import AlreadyTold, Error, EvaluationClosed, Infeasible, NoStepRunning
from ._types import Floats, Turn

STOP_SECONDS = 5.0
"""How long an interrupted program may still try to stop its step."""


@dataclass(frozen=True)
class Measured:
    loss: float
    gradient: Floats


def carry_on(client: Client, turn: Turn, evaluate: Callable[[Floats], Measured]) -> Turn:
    """Goes on until the session is idle. What `evaluate` raises goes through, and leaves the
    step running; `Infeasible` is told."""
    while turn.evaluation is not None:
        number = turn.evaluation.number
        try:
            try:
                measured = evaluate(turn.evaluation.x)
            except Infeasible as error:
                reason = str(error) or "infeasible"
                turn = client.tell_failed(turn.session, number, reason)
            else:
                turn = client.tell(turn.session, number, measured.loss, measured.gradient)
        except (AlreadyTold, EvaluationClosed):
            # Somebody else works on this session too, or stopped it.
            turn = client.ask(turn.session)
    return turn


def stop_after(client: Client, session: SessionLike, error: BaseException) -> Turn | None:
    """Stops the step that `error` interrupted, if the server can be reached soon."""
    turn = None
    soon = replace(client.retry, deadline=STOP_SECONDS)
    with contextlib.suppress(Error):
        try:
            turn = client._run(client._api.stop(session, None), soon)
        except NoStepRunning:
            turn = client._run(client._api.ask(session, None), soon)
    stopped = "stopped at its best point" if turn else "left where it was"
    note = f"lbfgsd session {session} was {stopped}; session={str(session)!r} takes it up again."
    with contextlib.suppress(Exception):
        error.lbfgsd_session = str(session)  # type: ignore[attr-defined]
        error.__notes__ = [*getattr(error, "__notes__", []), note]  # type: ignore[attr-defined]
    return turn
