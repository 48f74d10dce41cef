"""Carrying a step to its end: evaluate what a turn asks for, tell, and again."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ._client import Client
from ._core import SessionLike
from ._errors import (
    AlreadyAnswered,
    AlreadyTold,
    Error,
    EvaluationClosed,
    HookCallClosed,
    Infeasible,
    NoStepRunning,
)
from ._types import Evaluation, Floats, HookCall, Turn

STOP_SECONDS = 5.0
"""How long an interrupted program may still try to stop its step."""


HOOK_PAUSE_SECONDS = (0.02, 1.0)
"""Between questions whether somebody else has answered a hook: at first, and at most."""

HookHandler = Callable[[HookCall], Mapping[str, Any] | None]
"""Answers a hook's call: None lets it pass, otherwise the options of the step that is to begin, or
the state dict, as it should be."""


@dataclass(frozen=True)
class Measured:
    loss: float
    gradient: Floats


def carry_on(
    client: Client,
    turn: Turn,
    evaluate: Callable[[Floats], Measured],
    on_hook: HookHandler | None = None,
) -> Turn:
    """Goes on until the session is idle. What `evaluate` raises goes through, and leaves the
    step running; `Infeasible` is told. Calls of hooks are given to `on_hook`; without it they are
    left to other clients, or to the hook's default."""
    while True:
        if turn.hook_call is not None:
            turn = past_hook(client, turn.session, turn.hook_call, on_hook)
        elif turn.evaluation is not None:
            turn = _evaluated(client, turn.session, turn.evaluation, evaluate)
        else:
            return turn


def _evaluated(
    client: Client,
    session: str,
    evaluation: Evaluation,
    evaluate: Callable[[Floats], Measured],
) -> Turn:
    try:
        try:
            measured = evaluate(evaluation.x)
        except Infeasible as error:
            reason = str(error) or "infeasible"
            return client.tell_failed(session, evaluation.number, reason)
        return client.tell(session, evaluation.number, measured.loss, measured.gradient)
    except (AlreadyTold, EvaluationClosed):
        # Somebody else works on this session too, or stopped it.
        return client.ask(session)


def past_hook(client: Client, session: str, call: HookCall, on_hook: HookHandler | None) -> Turn:
    """The turn after a hook was answered, by `on_hook` or by somebody else."""
    if on_hook is not None:
        replacement = on_hook(call)
        key = "options" if call.event == "step.pre" else "state_dict"
        answer: dict[str, Any] = {} if replacement is None else {key: replacement}
        try:
            return client.answer_hook(session, call.number, **answer)
        except (AlreadyAnswered, HookCallClosed):
            # Somebody else was faster, or it took too long.
            return client.ask(session)
    pause, longest = HOOK_PAUSE_SECONDS
    turn = client.ask(session)
    while turn.hook_call is not None and turn.hook_call.number == call.number:
        time.sleep(pause)
        pause = min(2 * pause, longest)
        turn = client.ask(session)
    return turn


@contextlib.contextmanager
def answering(client: Client, session: str, on_hook: HookHandler | None) -> Iterator[None]:
    """Answers hooks by `on_hook`, in a thread, during a call that waits for them: one that reads or
    loads a state dict. What `on_hook` raises comes out at the end."""
    if on_hook is None:
        yield
        return
    done, failures = threading.Event(), []

    def watch() -> None:
        try:
            while not done.wait(HOOK_PAUSE_SECONDS[0]):
                call = client.ask(session).hook_call
                if call is not None and "state_dict" in call.event:
                    past_hook(client, session, call, on_hook)
        except Exception as error:
            failures.append(error)

    watcher = threading.Thread(target=watch, name="lbfgsd hooks", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
        if failures:
            raise failures[0]


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
