"""Steps, asking, telling, waiting and stopping over HTTP."""

from __future__ import annotations

import math
import threading
import time
from typing import Any

import numpy as np
import pytest

from daemon import Client, encode, numbers
from expectations import assert_problem, assert_turn, replayed, same_bits
from problems import barrier, rosenbrock

WOLFE = {"line_search_fn": "strong_wolfe"}
ROUNDS_MAX = 500


def result_path(session: str, number: int | str) -> str:
    return f"/v1/sessions/{session}/evaluations/{number}/result"


def make_evaluating(client: Client, told: int = 0, **body: Any) -> tuple[str, dict[str, Any]]:
    """A session in a step, after so many results, and its turn."""
    session = client.create(**{"options": WOLFE, **body})
    turn = client.begin(session)
    for _ in range(told):
        turn = client.answer(turn, rosenbrock)
    return session, turn


# Steps


def test_a_fresh_session_is_idle_at_its_start(client: Client) -> None:
    session = client.create(x0=[-1.2, 1.0])
    turn = assert_turn(client.ask(session), session)
    assert turn["state"] == "idle" and turn["x"] == [-1.2, 1.0]
    assert turn["step"] == 0 and turn.get("result") is None


def test_a_step_asks_for_its_start_first(client: Client) -> None:
    session = client.create(x0=[-1.2, 1.0])
    turn = assert_turn(client.begin(session), session)
    assert turn == {
        "session": session,
        "state": "evaluating",
        "step": 1,
        "evaluation": {"number": 1, "x": [-1.2, 1.0]},
        "iterations": 0,
    }
    assert client.ask(session) == turn


def test_the_whole_client_of_the_contract_finds_a_minimum(client: Client) -> None:
    session = client.create(options=WOLFE)
    for _ in range(ROUNDS_MAX):
        turn = assert_turn(client.step(session, rosenbrock), session)
        if not turn["result"]["reason"].startswith("max_"):
            break
    assert turn["result"]["converged"] or turn["result"]["reason"] == "not_a_descent_direction"
    assert np.allclose(turn["x"], 1, atol=1e-4)
    assert same_bits(client.x(session), turn["x"])


def test_a_step_counts_what_it_did(client: Client) -> None:
    session = client.create(options={**WOLFE, "max_iter": 5, "max_eval": 1000})
    start = rosenbrock([-1.2, 1.0])[0]
    calls: list[list[float]] = []

    def fun(x: list[float]) -> tuple[float, Any]:
        calls.append(list(x))
        return rosenbrock(x)

    turn = client.step(session, fun)
    result = turn["result"]
    assert result["reason"] == "max_iterations" and not result["converged"]
    assert result["iterations"] == 5 and result["evaluations"] == len(calls)
    assert result["loss_before"] == start
    loss, gradient = rosenbrock(turn["x"])
    assert result["loss"] == loss and result["gradient_norm_inf"] == abs(gradient).max()


def test_a_step_ends_when_its_evaluations_are_spent(client: Client) -> None:
    session = client.create(options={**WOLFE, "max_eval": 3})
    result = client.step(session, rosenbrock)["result"]
    assert result["reason"] == "max_evaluations" and result["evaluations"] == 3


def test_numbers_go_on_over_the_steps(client: Client) -> None:
    session = client.create(options={**WOLFE, "max_iter": 2})
    seen = []
    for step in (1, 2, 3):
        turn = client.begin(session)
        assert turn["step"] == step
        while turn["state"] == "evaluating":
            seen.append(turn["evaluation"]["number"])
            turn = client.answer(turn, rosenbrock)
        assert turn["step"] == step
    assert seen == list(range(1, len(seen) + 1))
    assert client.get(session)["evaluation"] == seen[-1]


def test_a_second_step_must_wait_for_the_first(client: Client) -> None:
    session, turn = make_evaluating(client, told=2)
    problem = assert_problem(
        client.call("POST", f"/v1/sessions/{session}/steps"), 409, "step-running"
    )
    assert 1 in problem.values(), "the problem should say which step runs"
    assert client.ask(session) == turn


def test_a_step_can_be_looked_at_while_it_runs_and_when_it_has_ended(client: Client) -> None:
    session = client.create(options={**WOLFE, "max_iter": 2})
    running = client.begin(session)
    shown = client.ok("GET", f"/v1/sessions/{session}/steps/1")
    assert shown["step"] == 1 and shown["state"] == "running" and shown["result"] is None
    turn = client.step(session, rosenbrock, running)
    shown = client.ok("GET", f"/v1/sessions/{session}/steps/1")
    assert shown["state"] == "ended" and shown["result"] == turn["result"]
    assert (shown["first_evaluation"], shown["last_evaluation"]) == (
        1,
        turn["result"]["evaluations"],
    )
    client.step(session, rosenbrock)
    assert client.ok("GET", f"/v1/sessions/{session}/steps/1") == shown


@pytest.mark.parametrize("number", ["0", "2", "-1", "one", "99999999999999999999", "1.0"])
def test_a_step_that_was_not_begun_is_not_found(client: Client, number: str) -> None:
    session, _ = make_evaluating(client)
    assert_problem(client.call("GET", f"/v1/sessions/{session}/steps/{number}"), 404, "not-found")


def test_a_converged_start_needs_one_evaluation(client: Client) -> None:
    session = client.create(x0=[1.0, 1.0])
    result = client.step(session, rosenbrock)["result"]
    assert (result["reason"], result["evaluations"]) == ("gradient_tolerance", 1)
    assert result["loss"] == 0 and result["converged"] is True


# Asking


def test_asking_changes_nothing(client: Client) -> None:
    session, turn = make_evaluating(client, told=3)
    tag = client.call("GET", f"/v1/sessions/{session}").headers["ETag"]
    assert [client.ask(session) for _ in range(3)] == [turn] * 3
    assert client.call("GET", f"/v1/sessions/{session}").headers["ETag"] == tag


def test_a_long_poll_on_an_idle_session_returns_when_the_time_is_up(client: Client) -> None:
    session = client.create()
    began = time.monotonic()
    response = client.call(
        "GET", f"/v1/sessions/{session}/evaluation", headers={"Prefer": "wait=2"}
    )
    seconds = time.monotonic() - began
    assert response.status_code == 200 and response.json()["state"] == "idle"
    assert 1.8 <= seconds <= 4, f"{seconds} s"
    assert response.headers["Preference-Applied"].replace(" ", "") == "wait=2"


def test_a_long_poll_returns_when_a_step_begins(client: Client) -> None:
    session = client.create()
    other = Client(client.url)
    begin = threading.Timer(0.5, lambda: other.begin(session))
    begin.start()
    began = time.monotonic()
    response = client.call(
        "GET", f"/v1/sessions/{session}/evaluation", headers={"Prefer": "wait=20"}
    )
    seconds = time.monotonic() - began
    begin.join()
    assert response.json()["state"] == "evaluating"
    assert response.json() == client.ask(session)
    assert 0.4 <= seconds <= 2, f"{seconds} s"


def test_a_long_poll_on_an_evaluating_session_returns_at_once(client: Client) -> None:
    session, turn = make_evaluating(client)
    began = time.monotonic()
    response = client.call(
        "GET", f"/v1/sessions/{session}/evaluation", headers={"Prefer": "wait=20"}
    )
    assert response.json() == turn and time.monotonic() - began < 1


def test_a_long_poll_ends_when_the_session_is_deleted(client: Client) -> None:
    session = client.create()
    delete = threading.Timer(
        0.3, lambda: Client(client.url).call("DELETE", f"/v1/sessions/{session}")
    )
    delete.start()
    began = time.monotonic()
    response = client.call(
        "GET", f"/v1/sessions/{session}/evaluation", headers={"Prefer": "wait=20"}
    )
    delete.join()
    assert_problem(response, 404, "not-found")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "preference", ["wait=soon", "wait=-1", "wait", "respond-async", "wait=0", ""]
)
def test_a_preference_that_makes_no_sense_is_ignored(client: Client, preference: str) -> None:
    session = client.create()
    began = time.monotonic()
    response = client.call(
        "GET", f"/v1/sessions/{session}/evaluation", headers={"Prefer": preference}
    )
    assert response.status_code == 200 and time.monotonic() - began < 1


def test_many_long_polls_wait_at_once(client: Client) -> None:
    session, answers = client.create(), []

    def wait() -> None:
        turn = (
            Client(client.url)
            .call("GET", f"/v1/sessions/{session}/evaluation", headers={"Prefer": "wait=20"})
            .json()
        )
        answers.append(turn["evaluation"]["number"])

    threads = [threading.Thread(target=wait) for _ in range(40)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    client.begin(session)
    for thread in threads:
        thread.join(10)
    assert answers == [1] * 40


# Telling


def test_a_repeated_result_is_replayed(client: Client) -> None:
    session, turn = make_evaluating(client)
    loss, gradient = rosenbrock(numbers(turn["evaluation"]["x"]))
    body = encode({"loss": loss, "gradient": list(gradient)})
    first = client.call("PUT", result_path(session, 1), body)
    second = client.call("PUT", result_path(session, 1), body)
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json() == second.json() and first.json()["evaluation"]["number"] == 2
    assert not replayed(first) and replayed(second)


def test_a_repeated_result_gets_the_turn_of_now(client: Client) -> None:
    session, turn = make_evaluating(client)
    loss, gradient = rosenbrock(numbers(turn["evaluation"]["x"]))
    body = encode({"loss": loss, "gradient": list(gradient)})
    turn = client.ok("PUT", result_path(session, 1), body)
    for _ in range(3):
        turn = client.answer(turn, rosenbrock)
    again = client.call("PUT", result_path(session, 1), body)
    assert again.json() == turn and replayed(again)


def test_the_last_result_of_a_step_can_be_repeated(client: Client) -> None:
    session = client.create()
    client.begin(session)
    body = encode({"loss": 1.5, "gradient": [0, 0]})
    first, second = (client.call("PUT", result_path(session, 1), body) for _ in range(2))
    assert first.json()["state"] == "idle" and first.json() == second.json()
    assert replayed(second)


@pytest.mark.parametrize(
    "other",
    [
        {"loss": 1.5, "gradient": [1, 3]},
        {"loss": 1.25, "gradient": [1, 2]},
        {"loss": 1.5, "gradient": [1, -2]},
        {"failed": "no"},
    ],
)
def test_another_result_for_the_same_evaluation_is_refused(
    client: Client, other: dict[str, Any]
) -> None:
    session, _ = make_evaluating(client)
    client.tell(session, 1, 1.5, [1, 2])
    turn = client.ask(session)
    assert_problem(client.call("PUT", result_path(session, 1), other), 409, "already-told")
    assert client.ask(session) == turn
    assert len(client.trace(session)) == 1


def test_a_result_for_a_number_not_reached_is_not_found(client: Client) -> None:
    session, turn = make_evaluating(client, told=2)
    for number in (4, 5, 1000, 2**63, 10**30):
        response = client.call("PUT", result_path(session, number), {"loss": 1, "gradient": [1, 2]})
        assert_problem(response, 404)
    assert client.ask(session) == turn


@pytest.mark.parametrize("number", ["0", "-1", "x", "1.0", "+1", "0x1", "%31x", ""])
def test_a_result_for_no_number_is_not_found(client: Client, number: str) -> None:
    session, turn = make_evaluating(client)
    response = client.call("PUT", result_path(session, number), {"loss": 1, "gradient": [1, 2]})
    assert_problem(response, (400, 404))
    assert client.ask(session) == turn


def test_a_result_for_an_idle_session_is_not_found(client: Client) -> None:
    session = client.create()
    response = client.call("PUT", result_path(session, 1), {"loss": 1, "gradient": [1, 2]})
    assert_problem(response, 404, "evaluation-not-reached")


def test_concurrent_tells_of_the_same_result_are_applied_once(client: Client) -> None:
    session, _turn = make_evaluating(client)
    body, answers = encode({"loss": 24.2, "gradient": [-215.6, -88]}), []
    threads = [
        threading.Thread(
            target=lambda: answers.append(
                Client(client.url).call("PUT", result_path(session, 1), body)
            )
        )
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [200] * 16
    assert sum(not replayed(answer) for answer in answers) == 1
    assert len({answer.text for answer in answers}) == 1


def test_concurrent_tells_of_different_results_have_one_winner(client: Client) -> None:
    session, _ = make_evaluating(client)
    statuses = []
    threads = [
        threading.Thread(
            target=lambda i=i: statuses.append(
                Client(client.url)
                .call("PUT", result_path(session, 1), {"loss": i, "gradient": [1, i]})
                .status_code
            )
        )
        for i in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] + [409] * 15
    assert len(client.trace(session)) == 1


def test_gradients_may_come_by_name(client: Client) -> None:
    params = [
        {"name": "w", "shape": [2, 2], "values": [1, 2, 3, 4]},
        {"name": "b", "shape": [2], "values": [5, 6]},
    ]
    named, flat = (client.create(params=params, options=WOLFE) for _ in range(2))
    client.begin(named)
    client.begin(flat)
    by_name = client.ok(
        "PUT", result_path(named, 1), {"loss": 3, "gradients": {"b": [5, 6], "w": [1, 2, 3, 4]}}
    )
    assert by_name["evaluation"] == client.tell(flat, 1, 3, [1, 2, 3, 4, 5, 6])["evaluation"]


@pytest.mark.parametrize("gradients", [{"w": [1, 2], "b": None}, {"w": [1, 2]}])
def test_a_gradient_that_is_null_or_absent_is_zeros(
    client: Client, gradients: dict[str, Any]
) -> None:
    params = [
        {"name": "w", "shape": [2], "values": [1, 2]},
        {"name": "b", "shape": [1], "values": [5]},
    ]
    named, flat = (client.create(params=params) for _ in range(2))
    client.begin(named)
    client.begin(flat)
    by_name = client.ok("PUT", result_path(named, 1), {"loss": 3, "gradients": gradients})
    assert by_name["evaluation"] == client.tell(flat, 1, 3, [1, 2, 0])["evaluation"]


def test_no_gradients_at_all_are_all_zeros(client: Client) -> None:
    params = [{"name": "w", "shape": [2], "values": [1, 2]}]
    session = client.create(params=params)
    client.begin(session)
    turn = client.ok("PUT", result_path(session, 1), {"loss": 3, "gradients": {}})
    assert turn["result"]["reason"] == "gradient_tolerance"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"loss": 1, "gradient": [1]}, "gradient"),
        ({"loss": 1, "gradient": [1, 2, 3]}, "gradient"),
        ({"loss": 1, "gradient": []}, "gradient"),
        ({"loss": 1, "gradient": 5}, "gradient"),
        ({"loss": 1, "gradient": [1, "two"]}, "gradient[1]"),
        ({"loss": 1, "gradient": [1, None]}, "gradient[1]"),
        ({"loss": 1, "gradient": [1, True]}, "gradient[1]"),
        ({"loss": 1, "gradient": [[1, 2]]}, None),
        ({"loss": 1, "gradient": None}, "gradient"),
        ({"loss": 1}, "gradient"),
        ({"gradient": [1, 2]}, "loss"),
        ({"loss": None, "gradient": [1, 2]}, "loss"),
        ({"loss": "low", "gradient": [1, 2]}, "loss"),
        ({"loss": "nan", "gradient": [1, 2]}, "loss"),
        ({"loss": True, "gradient": [1, 2]}, "loss"),
        ({"loss": [1], "gradient": [1, 2]}, "loss"),
        ({"loss": 1, "gradient": [1, 2], "gradients": {}}, None),
        ({"loss": 1, "gradients": {"nobody": [1, 2]}}, None),
        ({"loss": 1, "gradients": [1, 2]}, "gradients"),
        ({"loss": 1, "gradient": [1, 2], "hessian": []}, "hessian"),
        ({"failed": 5}, "failed"),
        ({"failed": None}, "failed"),
        ({"failed": "x", "loss": 1}, None),
        ({"failed": "x", "loss": 1, "gradient": [1, 2]}, None),
        ({}, None),
        ([], None),
        ("text", None),
        (5, None),
    ],
)
def test_a_bad_result_is_refused_and_changes_nothing(
    client: Client, body: Any, field: str | None
) -> None:
    session, turn = make_evaluating(client)
    response = client.call("PUT", result_path(session, 1), encode(body))
    assert_problem(response, 422 if isinstance(body, dict) else (400, 422), field=field)
    assert client.ask(session) == turn and client.trace(session) == []


def test_a_wrong_length_says_both_lengths(client: Client) -> None:
    session, _ = make_evaluating(client)
    response = client.call("PUT", result_path(session, 1), {"loss": 1, "gradient": [1, 2, 3]})
    (error,) = assert_problem(response, 422, "invalid-request", "gradient")["errors"]
    assert "2" in error["reason"] and "3" in error["reason"], error


def test_a_bad_gradient_by_name_is_named(client: Client) -> None:
    session = client.create(params=[{"name": "w", "shape": [2], "values": [1, 2]}])
    client.begin(session)
    for gradients, field in [
        ({"w": [1]}, "gradients.w"),
        ({"w": 1}, "gradients.w"),
        ({"w": [1, "x"]}, "gradients.w[1]"),
        ({"v": [1, 2]}, "gradients.v"),
    ]:
        response = client.call("PUT", result_path(session, 1), {"loss": 1, "gradients": gradients})
        assert_problem(response, 422, field=field)


# Points that can't be evaluated


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_non_finite_loss_is_taken_and_poisons_nothing(client: Client, loss: Any) -> None:
    session, turn = make_evaluating(client, told=1)
    turn = client.tell(session, 2, loss, [math.nan, math.inf])
    for _ in range(ROUNDS_MAX):
        if turn["state"] != "evaluating":
            break
        assert np.isfinite(numbers(turn["evaluation"]["x"])).all()
        turn = client.answer(turn, rosenbrock)
    assert np.isfinite(client.x(session)).all()
    assert turn["result"]["loss"] <= rosenbrock([-1.2, 1.0])[0]
    assert (
        client.trace(session)[1]["loss"]
        == {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(loss)]
    )


def test_an_infeasible_point_is_stepped_around(client: Client) -> None:
    session, turn = make_evaluating(client, told=1)
    turn = client.ok("PUT", result_path(session, 2), {"failed": "mesh inverted"})
    for _ in range(ROUNDS_MAX):
        if turn["state"] != "evaluating":
            break
        turn = client.answer(turn, rosenbrock)
    assert rosenbrock(client.x(session))[0] <= rosenbrock([-1.2, 1.0])[0]
    failed = client.trace(session)[1]
    assert failed["loss"] is None and failed["gradient_norm_inf"] is None


def test_a_repeated_failure_is_replayed(client: Client) -> None:
    session, _ = make_evaluating(client, told=1)
    first, second = (
        client.call("PUT", result_path(session, 2), {"failed": "no"}) for _ in range(2)
    )
    assert first.status_code == second.status_code == 200
    assert first.json() == second.json() and replayed(second)


def test_a_start_that_cannot_be_evaluated_ends_the_step_where_it_was(client: Client) -> None:
    for told in (
        {"failed": "no"},
        {"loss": "NaN", "gradient": ["NaN", "NaN"]},
        {"loss": "Infinity", "gradient": [1, "Infinity"]},
        {"loss": "-Infinity", "gradient": [1, 2]},
    ):
        session, _ = make_evaluating(client)
        turn = client.ok("PUT", result_path(session, 1), told)
        assert turn["state"] == "idle" and turn["x"] == [-1.2, 1.0]
        assert turn["result"]["reason"] == "non_finite" and not turn["result"]["converged"]


@pytest.mark.parametrize("search", ["strong_wolfe", None])
def test_a_function_that_is_nan_beyond_a_border_is_minimised(
    client: Client, search: str | None
) -> None:
    session = client.create(x0=[0.5], options={"line_search_fn": search, "max_iter": 100})
    for _ in range(10):
        turn = client.step(session, barrier)
        if turn["result"]["converged"]:
            break
    assert math.isfinite(turn["x"][0]) and turn["x"][0] > 0
    assert barrier(turn["x"])[0] <= barrier([0.5])[0]


def test_when_everything_fails_the_step_ends_at_its_start(client: Client) -> None:
    session, turn = make_evaluating(client, told=1)
    for _ in range(ROUNDS_MAX):
        if turn["state"] != "evaluating":
            break
        turn = client.ok(
            "PUT", result_path(session, turn["evaluation"]["number"]), {"failed": "no"}
        )
    assert turn["state"] == "idle" and turn["x"] == [-1.2, 1.0]
    assert turn["result"]["loss"] == rosenbrock([-1.2, 1.0])[0]


# Stopping


def test_a_stop_ends_the_step_at_the_best_finite_point(client: Client) -> None:
    session, turn = make_evaluating(client)
    points = []
    for _ in range(6):
        x = numbers(turn["evaluation"]["x"])
        points.append((rosenbrock(x)[0], x))
        turn = client.answer(turn, rosenbrock)
    pending = turn["evaluation"]["number"]
    turn = assert_turn(client.ok("POST", f"/v1/sessions/{session}/stop", status=200), session)
    best_loss, best_x = min(points)
    assert turn["state"] == "idle" and turn["result"]["reason"] == "stopped"
    assert same_bits(turn["x"], best_x) and turn["result"]["loss"] == best_loss
    assert turn["result"]["evaluations"] == 6
    late = client.call("PUT", result_path(session, pending), {"loss": 1, "gradient": [1, 2]})
    assert_problem(late, 410, "evaluation-closed")


def test_a_stop_never_takes_a_point_with_a_non_finite_loss(client: Client) -> None:
    session, turn = make_evaluating(client, told=1)
    client.tell(session, 2, -math.inf, [1, 1])
    turn = client.ok("POST", f"/v1/sessions/{session}/stop")
    assert turn["x"] == [-1.2, 1.0]


def test_a_stop_before_the_first_result_stays_at_the_start(client: Client) -> None:
    session, _ = make_evaluating(client)
    turn = client.ok("POST", f"/v1/sessions/{session}/stop")
    assert turn["x"] == [-1.2, 1.0]
    assert turn["result"]["reason"] == "stopped" and turn["result"]["evaluations"] == 0


def test_an_idle_session_cannot_be_stopped(client: Client) -> None:
    session = client.create()
    assert_problem(client.call("POST", f"/v1/sessions/{session}/stop"), 409, "no-step-running")


def test_after_a_stop_the_next_step_takes_the_next_number(client: Client) -> None:
    session, _ = make_evaluating(client, told=4)
    stopped = client.ok("POST", f"/v1/sessions/{session}/stop")
    turn = client.begin(session)
    assert turn["step"] == 2 and turn["evaluation"]["number"] == 6
    assert same_bits(turn["evaluation"]["x"], stopped["x"])
    assert client.step(session, rosenbrock, turn)["result"]["loss"] <= stopped["result"]["loss"]


# Precision


def test_a_float32_session_asks_for_float32_points(client: Client) -> None:
    _session, turn = make_evaluating(client, dtype="float32", x0=[0.1, 0.7])
    for _ in range(10):
        x = np.array(numbers(turn["evaluation"]["x"]))
        assert np.array_equal(x, x.astype(np.float32).astype(float))
        turn = client.answer(turn, rosenbrock)
        if turn["state"] != "evaluating":
            break


def test_numbers_are_written_with_all_their_digits(client: Client) -> None:
    values = list(np.random.default_rng(1).normal(size=50) * 10.0 ** np.arange(-25, 25))
    session = client.create(x0=values)
    assert same_bits(client.begin(session)["evaluation"]["x"], values)


def test_a_large_session_works(client: Client) -> None:
    n = 20_000
    session = client.create(x0=[0.5] * n, options=WOLFE)
    turn = client.step(session, lambda x: (0.5 * sum(v * v for v in x), x))
    assert turn["result"]["converged"] and max(map(abs, turn["x"])) < 1e-6
