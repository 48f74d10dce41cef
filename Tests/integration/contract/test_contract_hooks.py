"""Hooks that intercept: a session that waits, and a client that answers."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import requests

from daemon import Client, Daemon
from problems import Quadratic

WOLFE = {"line_search_fn": "strong_wolfe"}


def problem(response: requests.Response) -> str:
    return response.json()["type"].removeprefix("/problems/")


def register(client: Client, session: str, event: str, **more: Any) -> str:
    body = {"event": event, "kind": "intercept", **more}
    return client.ok("POST", f"/v1/sessions/{session}/hooks", body, status=201)["id"]


def answer(client: Client, turn: dict[str, Any], body: Any = None) -> Any:
    number = turn["hook_call"]["number"]
    return client.ok(
        "PUT", f"/v1/sessions/{turn['session']}/hook-calls/{number}/answer", body or {}
    )


def until_called(client: Client, session: str, seconds: int = 10) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        turn = client.ask(session)
        if turn["state"] == "awaiting_hook":
            return turn
        time.sleep(0.02)
    raise AssertionError("the hook was not called")


def test_a_step_waits_for_its_hooks_in_torchs_order(client: Client) -> None:
    session = client.create(x0=[0.0, 0.0], options={**WOLFE, "max_iter": 2})
    last = register(client, session, "step.pre")
    first = register(client, session, "step.pre", prepend=True)
    after = register(client, session, "step.post")
    listed = client.ok("GET", f"/v1/sessions/{session}/hooks")["hooks"]
    assert [hook["id"] for hook in listed] == [first, last, after]
    turn = client.begin(session)
    assert turn["state"] == "awaiting_hook" and turn["step"] == 1
    assert turn["hook_call"]["hook"] == first and turn["hook_call"]["event"] == "step.pre"
    assert turn["hook_call"]["options"]["max_iter"] == 2
    assert client.ask(session) == turn
    turn = answer(client, turn, {"options": {"max_iter": 1}})
    assert turn["hook_call"]["hook"] == last and turn["hook_call"]["options"]["max_iter"] == 1
    turn = answer(client, turn)
    assert turn["state"] == "evaluating"
    fun = Quadratic(2)
    while turn["state"] == "evaluating":
        turn = client.answer(turn, fun)
    # The options applied to that step only.
    assert turn["state"] == "awaiting_hook" and turn["hook_call"]["hook"] == after
    assert turn["hook_call"]["result"]["iterations"] == 1
    assert client.get(session)["options"]["max_iter"] == 2
    assert client.get(session)["state"] == "awaiting_hook"
    turn = answer(client, turn)
    assert turn["state"] == "idle" and turn["result"]["iterations"] == 1


def test_an_answer_counts_once(client: Client) -> None:
    session = client.create(x0=[0.0, 0.0])
    register(client, session, "step.pre")
    client.begin(session)
    url = f"/v1/sessions/{session}/hook-calls"
    wrong = client.call("PUT", f"{url}/1/answer", {"state_dict": {"state": {}, "param_groups": []}})
    assert wrong.status_code == 422
    refused = client.call("PUT", f"{url}/1/answer", {"options": {"lr": -1}})
    assert refused.status_code == 422 and client.ask(session)["state"] == "awaiting_hook"
    assert client.ok("PUT", f"{url}/1/answer", {"options": {"lr": 0.5}})["state"] == "evaluating"
    again = client.call("PUT", f"{url}/1/answer", {"options": {"lr": 0.5}})
    assert again.status_code == 200 and again.headers["Idempotent-Replayed"] == "true"
    other = client.call("PUT", f"{url}/1/answer", {})
    assert (other.status_code, problem(other)) == (409, "already-answered")
    early = client.call("PUT", f"{url}/2/answer", {})
    assert (early.status_code, problem(early)) == (404, "hook-call-not-reached")


def test_nothing_else_happens_while_a_hook_is_waited_for(client: Client) -> None:
    session = client.create(x0=[0.0, 0.0])
    hook = register(client, session, "step.pre")
    client.begin(session)
    url = f"/v1/sessions/{session}"
    for method, path, body in [
        ("POST", "/steps", {}),
        ("PUT", "/params", {"x": [1, 1]}),
        ("POST", "/checkpoints", {}),
    ]:
        response = client.call(method, url + path, body)
        assert (response.status_code, problem(response)) == (409, "awaiting-hook"), path
        assert int(response.headers["Retry-After"]) >= 1
    # handle.remove() lets the step go on.
    assert client.call("DELETE", f"{url}/hooks/{hook}").status_code == 204
    assert client.ask(session)["state"] == "evaluating"
    assert client.call("DELETE", f"{url}/hooks/{hook}").status_code == 404


@pytest.mark.parametrize(("default", "state"), [("continue", "evaluating"), ("abort", "idle")])
def test_the_default_applies_when_nobody_answers(client: Client, default: str, state: str) -> None:
    session = client.create(x0=[0.0, 0.0])
    register(client, session, "step.pre", deadline_seconds=0.3, default=default)
    assert client.begin(session)["hook_call"]["default"] == default
    deadline = time.monotonic() + 10
    while client.ask(session)["state"] == "awaiting_hook" and time.monotonic() < deadline:
        time.sleep(0.05)
    turn = client.ask(session)
    assert turn["state"] == state
    if default == "abort":
        assert turn["result"]["reason"] == "stopped" and turn["result"]["evaluations"] == 0
        step = client.ok("GET", f"/v1/sessions/{session}/steps/1")
        assert (step["first_evaluation"], step["last_evaluation"]) == (1, 0)
    late = client.call("PUT", f"/v1/sessions/{session}/hook-calls/1/answer", {})
    assert (late.status_code, problem(late)) == (410, "hook-call-closed")


def test_stop_ends_a_step_that_waits_to_begin(client: Client) -> None:
    session = client.create(x0=[0.0, 0.0])
    register(client, session, "step.pre")
    client.begin(session)
    turn = client.ok("POST", f"/v1/sessions/{session}/stop")
    assert turn["state"] == "idle" and turn["result"]["reason"] == "stopped"


def in_background(work: Any) -> tuple[Any, Any]:
    box = []
    thread = threading.Thread(target=lambda: box.append(work()))
    thread.start()
    return thread, box


def test_a_state_dict_passes_through_hooks(client: Client) -> None:
    session = client.create(x0=[0.0, 0.0], options={**WOLFE, "max_iter": 2})
    client.step(session, Quadratic(2))
    url = f"/v1/sessions/{session}/state-dict"
    plain = client.ok("GET", url)
    register(client, session, "state_dict.pre")
    register(client, session, "state_dict.post")
    thread, box = in_background(lambda: client.ok("GET", url))
    turn = until_called(client, session)
    assert turn["hook_call"]["event"] == "state_dict.pre"
    turn = answer(client, turn)
    assert turn["hook_call"]["event"] == "state_dict.post"
    assert turn["hook_call"]["state_dict"] == plain
    changed = turn["hook_call"]["state_dict"]
    changed["param_groups"][0]["lr"] = 0.125
    assert answer(client, turn, {"state_dict": changed})["state"] == "idle"
    thread.join(20)
    assert box[0] == changed and client.get(session)["options"]["lr"] == 1


def test_a_dict_to_be_loaded_passes_through_hooks(client: Client) -> None:
    session = client.create(x0=[0.0, 0.0], options={**WOLFE, "max_iter": 2})
    client.step(session, Quadratic(2))
    url = f"/v1/sessions/{session}/state-dict"
    dict_ = client.ok("GET", url)
    register(client, session, "load_state_dict.pre")
    register(client, session, "load_state_dict.post")
    thread, box = in_background(lambda: client.ok("PUT", url, dict_))
    turn = until_called(client, session)
    replacement = turn["hook_call"]["state_dict"]
    replacement["param_groups"][0]["max_iter"] = 9
    turn = answer(client, turn, {"state_dict": replacement})
    assert turn["hook_call"]["event"] == "load_state_dict.post"
    assert answer(client, turn)["state"] == "idle"
    thread.join(20)
    assert box[0]["param_groups"][0]["max_iter"] == 9
    assert client.get(session)["options"]["max_iter"] == 9


def test_a_load_that_is_aborted_changes_nothing(client: Client) -> None:
    session = client.create(x0=[0.0, 0.0], options={**WOLFE, "max_iter": 2})
    client.step(session, Quadratic(2))
    url = f"/v1/sessions/{session}/state-dict"
    before = client.ok("GET", url)
    register(client, session, "load_state_dict.pre", deadline_seconds=0.3, default="abort")
    response = client.call("PUT", url, {"state": {}, "param_groups": [{"params": [0]}]})
    assert (response.status_code, problem(response)) == (409, "aborted-by-hook")
    assert client.ok("GET", url) == before


def test_a_call_survives_kill_9(daemon: Daemon, own_client: Client) -> None:
    client = own_client
    session = client.create(x0=[0.0, 0.0], options={**WOLFE, "max_iter": 2})
    register(client, session, "step.pre", deadline_seconds=600)
    register(client, session, "step.post", deadline_seconds=600)
    turn = client.begin(session)
    daemon.kill()
    daemon.start()
    assert client.ask(session) == turn
    turn = answer(client, turn, {"options": {"max_iter": 1}})
    daemon.kill()
    daemon.start()
    assert client.ask(session) == turn
    fun = Quadratic(2)
    while turn["state"] == "evaluating":
        turn = client.answer(turn, fun)
    daemon.kill()
    daemon.start()
    assert client.ask(session) == turn and turn["hook_call"]["event"] == "step.post"
    repeated = client.call(
        "PUT", f"/v1/sessions/{session}/hook-calls/1/answer", {"options": {"max_iter": 1}}
    )
    assert repeated.headers["Idempotent-Replayed"] == "true"
    assert answer(client, turn)["state"] == "idle"


def test_a_deadline_that_passes_while_the_daemon_is_down_applies_afterwards(
    daemon: Daemon, own_client: Client
) -> None:
    session = own_client.create(x0=[0.0, 0.0])
    register(own_client, session, "step.pre", deadline_seconds=0.5, default="abort")
    own_client.begin(session)
    daemon.kill()
    time.sleep(0.6)
    daemon.start()
    deadline = time.monotonic() + 10
    while own_client.ask(session)["state"] != "idle" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert own_client.ask(session)["result"]["reason"] == "stopped"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"event": "step.pre"}, "kind"),
        ({"kind": "intercept"}, "event"),
        ({"event": "step", "kind": "intercept"}, "event"),
        ({"event": "step.pre", "kind": "intercept", "url": "https://x.example/"}, "url"),
        ({"event": "step.pre", "kind": "intercept", "deadline_seconds": 0}, "deadline_seconds"),
        (
            {"event": "state_dict.pre", "kind": "intercept", "deadline_seconds": 31},
            "deadline_seconds",
        ),
        ({"event": "step.pre", "kind": "intercept", "default": "wait"}, "default"),
        ({"event": "step.post", "kind": "observe"}, "url"),
        ({"event": "step.post", "kind": "observe", "url": "https://x.example/"}, "url"),
    ],
)
def test_a_hook_that_cannot_be_is_refused(client: Client, body: dict[str, Any], field: str) -> None:
    session = client.create()
    response = client.call("POST", f"/v1/sessions/{session}/hooks", body)
    assert response.status_code == 422
    assert field in [error["field"] for error in response.json()["errors"]]
    assert client.ok("GET", f"/v1/sessions/{session}/hooks") == {"hooks": []}


def test_a_fork_has_no_hooks(client: Client) -> None:
    session = client.create(x0=[0.0, 0.0])
    register(client, session, "step.pre")
    url = f"/v1/sessions/{session}/checkpoints"
    checkpoint = client.ok("POST", url, status=201)["id"]
    fork = client.ok("POST", f"{url}/{checkpoint}/fork", status=201)["id"]
    assert client.ok("GET", f"/v1/sessions/{fork}/hooks") == {"hooks": []}
    assert client.begin(fork)["state"] == "evaluating"
