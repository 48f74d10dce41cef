"""Hooks in the Python client: a session waits for an answer, which may replace things."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

import lbfgsd
from daemon import Daemon
from problems import rosenbrock
from unreliable import fake

OPTIONS = {"line_search_fn": "strong_wolfe", "max_iter": 4, "max_eval": 40}


@pytest.fixture
def api(shared_daemon: Daemon) -> Iterator[lbfgsd.Client]:
    with lbfgsd.Client(shared_daemon.url) as client:
        yield client


@pytest.fixture
def session(api: lbfgsd.Client) -> lbfgsd.Session:
    return api.create_session([-1.2, 1.0], options=OPTIONS)


def carry_on(api: lbfgsd.Client, turn: lbfgsd.Turn) -> lbfgsd.Turn:
    while turn.evaluation is not None:
        turn = api.tell(turn.session, turn.evaluation.number, *rosenbrock(turn.evaluation.x))
    return turn


@contextmanager
def answering(url: str, session: lbfgsd.Session, answer: Any, calls: int = 1) -> Iterator[Any]:
    """Another client, which answers so many calls of hooks. Yields the list of those it has
    seen."""
    seen: list[Any] = []
    failures: list[Exception] = []

    def watch() -> None:
        try:
            with lbfgsd.Client(url) as other:
                deadline = time.monotonic() + 30
                while len(seen) < calls and time.monotonic() < deadline:
                    call = other.ask(session).hook_call
                    if call is None or (seen and call.number == seen[-1].number):
                        time.sleep(0.01)
                        continue
                    seen.append(call)
                    other.answer_hook(session, call.number, **answer(call))
        except Exception as error:
            failures.append(error)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        watcher.join(40)
        assert not watcher.is_alive() and not failures, failures


def test_register_list_and_remove(api: lbfgsd.Client, session: lbfgsd.Session) -> None:
    first = api.create_hook(session, "step.pre", deadline_seconds=30, default="abort")
    assert (first.event, first.kind, first.default) == ("step.pre", "intercept", "abort")
    assert first.deadline_seconds == 30 and first.url is None and first.secret is None
    second = api.create_hook(session, "step.post")
    third = api.create_hook(session, "step.pre", prepend=True)
    assert len({first.id, second.id, third.id}) == 3 and second.default == "continue"
    listed = [hook.id for hook in api.hooks(session)]
    assert listed.index(third.id) < listed.index(first.id) and len(listed) == 3
    assert api.get_hook(session, first) == first
    assert api.delete_hook(session, third) is None
    assert [hook.id for hook in api.hooks(session)] == [first.id, second.id]
    with pytest.raises(lbfgsd.NotFound):
        api.get_hook(session, third)
    for wrong in ({"event": "backward"}, {"event": "step.pre", "deadline_seconds": 0}):
        with pytest.raises(lbfgsd.InvalidRequest):
            api.create_hook(session, **wrong)


def test_a_step_waits_for_its_hooks_in_their_order(
    api: lbfgsd.Client, session: lbfgsd.Session
) -> None:
    later = api.create_hook(session, "step.pre", deadline_seconds=60)
    sooner = api.create_hook(session, "step.pre", deadline_seconds=60, prepend=True)
    turn = api.begin_step(session)
    assert turn.state == "awaiting_hook" and turn.evaluation is None
    assert turn.x is not None and turn.x.tolist() == [-1.2, 1.0] and turn.step == 1
    call = turn.hook_call
    assert call is not None and call.options is not None
    assert (call.hook, call.event, call.default) == (sooner.id, "step.pre", "continue")
    assert call.options["max_iter"] == 4 and call.deadline.endswith("Z")
    assert api.get_session(session).state == "awaiting_hook"
    turn = api.answer_hook(session, call.number)
    assert turn.hook_call.hook == later.id and turn.hook_call.number == call.number + 1
    turn = api.answer_hook(session, turn.hook_call.number, options={"max_iter": 1})
    assert turn.state == "evaluating" and turn.evaluation.number == 1
    assert api.answer_hook(session, call.number).replayed
    turn = carry_on(api, turn)
    assert turn.result.iterations == 1
    # The replacement applied to one step.
    assert api.get_session(session).options["max_iter"] == 4


def test_an_answer_counts_once(api: lbfgsd.Client, session: lbfgsd.Session) -> None:
    api.create_hook(session, "step.pre", deadline_seconds=60)
    call = api.begin_step(session).hook_call
    with pytest.raises(lbfgsd.InvalidRequest):
        api.answer_hook(session, call.number, options={"lr": -1})
    with pytest.raises(lbfgsd.ProblemError):
        api.answer_hook(session, call.number + 1)
    api.answer_hook(session, call.number, options={"lr": 0.5})
    assert api.answer_hook(session, call.number, options={"lr": 0.5}).replayed
    with pytest.raises(lbfgsd.Conflict):
        api.answer_hook(session, call.number, options={"lr": 0.25})


def test_after_a_step(api: lbfgsd.Client, session: lbfgsd.Session) -> None:
    hook = api.create_hook(session, "step.post", deadline_seconds=60)
    turn = carry_on(api, api.begin_step(session))
    assert turn.state == "awaiting_hook" and turn.hook_call.hook == hook.id
    assert turn.hook_call.result.iterations == 4
    done = api.answer_hook(session, turn.hook_call.number)
    assert done.state == "idle" and done.result == turn.hook_call.result


@pytest.mark.parametrize("default", ["continue", "abort"])
def test_the_default_after_the_deadline(
    api: lbfgsd.Client, session: lbfgsd.Session, default: Literal["continue", "abort"]
) -> None:
    api.create_hook(session, "step.pre", deadline_seconds=0.3, default=default)
    turn = api.begin_step(session)
    assert turn.state == "awaiting_hook"
    deadline = time.monotonic() + 20
    while turn.state == "awaiting_hook" and time.monotonic() < deadline:
        time.sleep(0.02)
        turn = api.ask(session)
    if default == "continue":
        assert turn.evaluation.number == 1
    else:
        assert turn.state == "idle" and turn.result.reason == "stopped"
        assert turn.result.evaluations == 0 and turn.x.tolist() == [-1.2, 1.0]


def test_state_dicts_are_intercepted(api: lbfgsd.Client, session: lbfgsd.Session) -> None:
    carry_on(api, api.begin_step(session))
    plain = api.get_state_dict(session)
    api.create_hook(session, "state_dict.post", deadline_seconds=20)

    def doubled(call: Any) -> dict[str, Any]:
        state = call.state_dict
        state["state"][0]["t"] *= 2
        return {"state_dict": state}

    with answering(api.url, session, doubled) as seen:
        got = api.get_state_dict(session)
    assert [call.event for call in seen] == ["state_dict.post"]
    assert got["state"][0]["t"] == 2 * plain["state"][0]["t"]
    assert np.array_equal(got["state"][0]["d"], plain["state"][0]["d"])


def test_loads_are_intercepted(api: lbfgsd.Client, session: lbfgsd.Session) -> None:
    carry_on(api, api.begin_step(session))
    state = api.get_state_dict(session)
    api.create_hook(session, "load_state_dict.pre", deadline_seconds=20)
    api.create_hook(session, "load_state_dict.post", deadline_seconds=20)

    def slower(call: Any) -> dict[str, Any]:
        if call.event.endswith("post"):
            return {}
        replaced = call.state_dict
        replaced["param_groups"][0]["lr"] = 0.125
        return {"state_dict": replaced}

    with answering(api.url, session, slower, calls=2) as seen:
        api.load_state_dict(session, state)
    assert [call.event for call in seen] == ["load_state_dict.pre", "load_state_dict.post"]
    assert api.get_session(session).options["lr"] == 0.125


def test_removing_a_hook_lets_its_call_pass(api: lbfgsd.Client, session: lbfgsd.Session) -> None:
    hook = api.create_hook(session, "step.pre", deadline_seconds=60)
    assert api.begin_step(session).state == "awaiting_hook"
    api.delete_hook(session, hook)
    assert api.ask(session).evaluation.number == 1


def test_minimize_answers_by_its_handler(api: lbfgsd.Client) -> None:
    created = api.create_session([-1.2, 1.0], options={**OPTIONS, "max_iter": 3})
    api.create_hook(created, "step.pre", deadline_seconds=60)
    api.create_hook(created, "step.post", deadline_seconds=60)
    calls = []

    def on_hook(call: Any) -> Any:
        calls.append(call.event)
        return {"max_iter": 50, "max_eval": 500} if call.event == "step.pre" else None

    result = lbfgsd.minimize(
        rosenbrock, jac=True, client=api, session=created, options={"gtol": 1e-8}, on_hook=on_hook
    )
    assert result.success and abs(result.x - 1).max() < 1e-5
    assert calls[:2] == ["step.pre", "step.post"]


def test_minimize_takes_up_a_session_that_waits(
    api: lbfgsd.Client, session: lbfgsd.Session
) -> None:
    api.create_hook(session, "step.pre", deadline_seconds=60)
    api.begin_step(session)
    result = lbfgsd.minimize(
        rosenbrock, jac=True, client=api, session=session, on_hook=lambda call: None
    )
    assert result.success


def test_minimize_leaves_hooks_to_others(api: lbfgsd.Client) -> None:
    """Without a handler: another client answers, or the default applies."""
    created = api.create_session([-1.2, 1.0], options=OPTIONS)
    hook = api.create_hook(created, "step.pre", deadline_seconds=30)

    def answer(url: str) -> None:
        with lbfgsd.Client(url) as other:
            while other.ask(created).hook_call is None:
                time.sleep(0.01)
            other.delete_hook(created, hook)

    other = threading.Thread(target=answer, args=(api.url,))
    other.start()
    result = lbfgsd.minimize(rosenbrock, jac=True, client=api, session=created)
    other.join(20)
    assert result.success
    created = api.create_session([-1.2, 1.0], options=OPTIONS)
    api.create_hook(created, "step.post", deadline_seconds=0.2)
    assert lbfgsd.minimize(rosenbrock, jac=True, client=api, session=created).success


def test_a_call_survives_a_kill(daemon: Daemon) -> None:
    with lbfgsd.Client(daemon.url) as api:
        session = api.create_session([-1.2, 1.0], options=OPTIONS)
        api.create_hook(session, "step.pre", deadline_seconds=300)
        call = api.begin_step(session).hook_call
        daemon.restart()
        again = api.ask(session).hook_call
        assert again == call
        turn = api.answer_hook(session, call.number, options={"max_iter": 2})
        daemon.restart()
        assert api.answer_hook(session, call.number, options={"max_iter": 2}).replayed
        assert carry_on(api, api.ask(session)).result.iterations == 2
        assert turn.evaluation.number == 1


def test_observing_needs_the_operators_leave(api: lbfgsd.Client, session: lbfgsd.Session) -> None:
    with pytest.raises(lbfgsd.InvalidRequest) as caught:
        api.create_hook(session, "step.post", kind="observe", url="https://example.com/hook")
    assert {error["field"] for error in caught.value.errors} == {"url"}


def test_observing(tmp_path: Path) -> None:
    with fake((200, {}, b"")) as (receiver, got):
        allowed = ("--webhook-hosts", receiver, "--webhook-networks", "127.0.0.1")
        daemon = Daemon(tmp_path / "data", tmp_path / "log", allowed)
        try:
            daemon.start()
            with lbfgsd.Client(daemon.url) as api:
                session = api.create_session([-1.2, 1.0], options=OPTIONS)
                url = f"{receiver}/told"
                hook = api.create_hook(session, "step.post", kind="observe", url=url)
                assert hook.secret.startswith("whsec_") and hook.url == url
                assert api.get_hook(session, hook).secret is None
                carry_on(api, api.begin_step(session))
                deadline = time.monotonic() + 20
                while not [d for d in api.deliveries(session, hook) if d.status == "delivered"]:
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
                (delivery,) = api.deliveries(session, hook)
                assert (delivery.hook, delivery.event, delivery.url) == (hook.id, hook.event, url)
                assert delivery.attempts == 1
                assert api.redeliver(session, hook, delivery).id == delivery.id
                while len(got) < 2:
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
        finally:
            daemon.close()
    assert {path for _, _, path, _, _ in got} == {"/told"}
    assert json.loads(got[0][4])["type"] == "step.post"


DELIVERY = {
    "id": "msg_1",
    "hook": "2",
    "event": "step.post",
    "url": "https://example.com/hook",
    "status": "failed",
    "attempts": 9,
    "created_at": "2026-01-01T00:00:00.000Z",
    "next_attempt_at": None,
    "last_attempt_at": "2026-01-02T00:00:00.000Z",
    "last_outcome": "status 500",
}


def test_messages_are_listed_and_sent_again() -> None:
    pages = [
        {"deliveries": [{**DELIVERY, "id": "msg_2"}], "next_page_token": "more"},
        {"deliveries": [DELIVERY], "next_page_token": None},
    ]
    answers: list[Any] = [(200, {}, page) for page in pages] + [
        (200, {}, {**DELIVERY, "status": "pending"})
    ]
    with fake(*answers) as (url, asked), lbfgsd.Client(url) as api:
        listed = list(api.deliveries("s1", "2", page_size=1))
        assert [str(delivery) for delivery in listed] == ["msg_2", "msg_1"]
        assert (listed[1].status, listed[1].attempts) == ("failed", 9)
        assert api.redeliver("s1", "2", listed[1]).status == "pending"
    paths = [path for _, _, path, _, _ in asked]
    assert paths[0] == "/v1/sessions/s1/hooks/2/deliveries?page_size=1"
    assert paths[1].endswith("page_token=more")
    assert paths[2] == "/v1/sessions/s1/hooks/2/deliveries/msg_1/redeliver"


def test_a_secret_is_shown_but_not_printed() -> None:
    hook = {
        "id": "3",
        "event": "step.post",
        "kind": "observe",
        "url": "https://example.com/hook",
        "secret": "whsec_c2VjcmV0",
        "created_at": "2026-01-01T00:00:00.000Z",
    }
    with fake((201, {}, hook)) as (url, asked), lbfgsd.Client(url) as api:
        made = api.create_hook("s1", "step.post", kind="observe", url=hook["url"])
    assert made.secret == "whsec_c2VjcmV0" and "whsec" not in repr(made)
    assert json.loads(asked[0][4]) == {
        "event": "step.post",
        "kind": "observe",
        "prepend": False,
        "url": hook["url"],
    }
