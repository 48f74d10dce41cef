"""Running a step to its end: evaluate the point that the session asks for, tell, and repeat."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from ._client import Client, SessionLike
from ._client.clients import with_retry
from ._errors import (
    AlreadyAnswered,
    AlreadyTold,
    Error,
    EvaluationClosed,
    HookCallClosed,
    Infeasible,
    NoStepRunning,
)
from ._model import Evaluation, Floats, HookCall, Turn

STOP_SECONDS = 5.0
"""How long an interrupted program goes on trying to stop its step."""

HOOK_POLL_SECONDS = (0.02, 1.0)
"""The first and the longest pause between polls for another client's answer to a hook."""

HookHandler = Callable[[HookCall], Mapping[str, Any] | None]
"""Answers a hook's call. None lets it pass; otherwise the value replaces the options of the step
that is about to begin, or the state dict."""


class LossAndGradient(NamedTuple):
    loss: float
    gradient: Floats


Objective = Callable[[Floats], LossAndGradient]
Watcher = Callable[[Turn], bool]
"""Called with each turn that wants an evaluation, before that is made; ends the step with True."""


def run_step(
    client: Client,
    turn: Turn,
    objective: Objective,
    on_hook: HookHandler | None = None,
    watch: Watcher | None = None,
) -> Turn:
    """Goes on from `turn` until the session is idle.

    An exception of `objective` goes to the caller and leaves the step running, except `Infeasible`,
    which is told. `on_hook` answers the calls of hooks; without it they are left to other clients,
    or to the hook's default.
    """
    while True:
        if turn.hook_call is not None:
            turn = resolve_hook_call(client, turn.session, turn.hook_call, on_hook)
        elif turn.evaluation is not None and watch is not None and watch(turn):
            turn = _stop(client, turn.session)
        elif turn.evaluation is not None:
            turn = _evaluate(client, turn.session, turn.evaluation, objective)
        else:
            return turn


def _evaluate(client: Client, session: str, evaluation: Evaluation, objective: Objective) -> Turn:
    try:
        try:
            value = objective(evaluation.x)
        except Infeasible as error:
            reason = str(error) or "infeasible"
            return client.tell_failed(session, evaluation.number, reason)
        return client.tell(session, evaluation.number, value.loss, value.gradient)
    except (AlreadyTold, EvaluationClosed):
        # Another client works on this session too, or has stopped it.
        return client.ask(session)


def _stop(client: Client, session: str) -> Turn:
    try:
        return client.stop(session)
    except NoStepRunning:
        return client.ask(session)


def resolve_hook_call(
    client: Client, session: str, call: HookCall, on_hook: HookHandler | None
) -> Turn:
    """Answers a hook's call with `on_hook`, or waits until another client or the deadline has
    answered it. Returns the turn after that."""
    if on_hook is not None:
        replacement = on_hook(call)
        key = "options" if call.event == "step.pre" else "state_dict"
        answer: dict[str, Any] = {} if replacement is None else {key: replacement}
        try:
            return client.answer_hook(session, call.number, **answer)
        except (AlreadyAnswered, HookCallClosed):
            # Another client was faster, or the deadline has passed.
            return client.ask(session)
    pause, longest = HOOK_POLL_SECONDS
    turn = client.ask(session)
    while turn.hook_call is not None and turn.hook_call.number == call.number:
        time.sleep(pause)
        pause = min(2 * pause, longest)
        turn = client.ask(session)
    return turn


@contextlib.contextmanager
def answering_hooks(client: Client, session: str, on_hook: HookHandler | None) -> Iterator[None]:
    """Answers hooks in a thread while the body reads or loads a state dict, which waits for them.
    Raises at the end what `on_hook` has raised."""
    if on_hook is None:
        yield
        return
    done = threading.Event()
    failures: list[Exception] = []

    def watch() -> None:
        try:
            while not done.wait(HOOK_POLL_SECONDS[0]):
                call = client.ask(session).hook_call
                if call is not None and "state_dict" in call.event:
                    resolve_hook_call(client, session, call, on_hook)
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


def stop_interrupted(client: Client, session: SessionLike, error: BaseException) -> Turn | None:
    """Stops the step that `error` interrupted, if the server can be reached soon, and notes on the
    error how to go on. Returns the turn after the stop, or None."""
    turn = None
    hurried = with_retry(client, replace(client.retry, deadline=STOP_SECONDS))
    with contextlib.suppress(Error):
        try:
            turn = hurried.stop(session)
        except NoStepRunning:
            turn = hurried.ask(session)
    stopped = "stopped at its best point" if turn else "left where it was"
    note = f"lbfgsd session {session} was {stopped}; session={str(session)!r} takes it up again."
    with contextlib.suppress(Exception):
        # Python 3.10 has no `add_note`, but later versions print these notes all the same.
        notes = [*getattr(error, "__notes__", []), note]
        vars(error).update(lbfgsd_session=str(session), __notes__=notes)
    return turn
