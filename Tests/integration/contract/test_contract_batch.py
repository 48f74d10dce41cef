"""Asks and tells for many sessions in one request."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lbfgsd
from daemon import Client, Daemon, encode
from expectations import assert_problem, assert_turn, same_bits
from problems import rosenbrock

BATCH = "/v1/evaluations:batch"
WOLFE = {"line_search_fn": "strong_wolfe"}


def evaluate(client: Client, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    results = client.ok("POST", BATCH, {"evaluations": items}, status=200)["results"]
    assert [result["session"] for result in results] == [item["session"] for item in items]
    return results


def begun(client: Client, count: int) -> list[dict[str, Any]]:
    """Turns of sessions that wait for their first evaluation, each at a different point."""
    sessions = [client.create(x0=[-1.2 + 0.1 * i, 1.0], options=WOLFE) for i in range(count)]
    return [client.begin(session) for session in sessions]


def tell(turn: dict[str, Any]) -> dict[str, Any]:
    loss, gradient = rosenbrock(turn["evaluation"]["x"])
    number = turn["evaluation"]["number"]
    return {"session": turn["session"], "number": number, "loss": loss, "gradient": list(gradient)}


def test_a_batch_takes_sessions_where_single_tells_take_them(client: Client) -> None:
    together = begun(client, 5)
    alone = begun(client, 5)
    for _ in range(8):
        results = evaluate(client, [tell(turn) for turn in together])
        assert all(result["status"] == 200 for result in results)
        together = [assert_turn(r["turn"], r["session"]) for r in results]
        alone = [client.answer(turn, rosenbrock) for turn in alone]
        for one, other in zip(together, alone, strict=True):
            assert one["evaluation"]["number"] == other["evaluation"]["number"]
            assert same_bits(one["evaluation"]["x"], other["evaluation"]["x"])


def test_an_item_without_a_number_asks(client: Client) -> None:
    turns = begun(client, 2)
    idle = client.create()
    items = [{"session": turn["session"]} for turn in turns] + [{"session": idle}]
    results = evaluate(client, items)
    assert [result["turn"] for result in results] == [*turns, client.ask(idle)]


def test_items_of_one_session_happen_in_their_order(client: Client) -> None:
    (turn,), (other,) = begun(client, 1), begun(client, 1)
    after = client.answer(other, rosenbrock)
    first = tell(turn)
    second = {**tell(after), "session": turn["session"]}
    results = evaluate(client, [{"session": turn["session"]}, first, second, first])
    assert [result["status"] for result in results] == [200] * 4
    assert results[0]["turn"] == turn
    assert [r["turn"]["evaluation"]["number"] for r in results] == [1, 2, 3, 3]
    assert [result.get("replayed", False) for result in results] == [False, False, False, True]


def test_a_batch_told_again_changes_nothing(client: Client) -> None:
    items = [tell(turn) for turn in begun(client, 3)]
    first = evaluate(client, items)
    again = evaluate(client, items)
    assert [result["turn"] for result in again] == [result["turn"] for result in first]
    assert all(result["replayed"] for result in again)
    assert not any("replayed" in result for result in first)


def test_what_is_wrong_with_one_item_leaves_the_others(client: Client) -> None:
    good, told, early, short, last = begun(client, 5)
    client.answer(told, rosenbrock)
    items = [
        tell(good),
        {**tell(told), "loss": 1e6},
        {**tell(early), "number": 9},
        {**tell(short), "gradient": [1.0]},
        {"session": "s" + "0" * 20},
        {"session": "nonsense"},
        {"session": last["session"], "number": 1, "failed": "mesh inverted"},
    ]
    results = evaluate(client, items)
    assert [result["status"] for result in results] == [200, 409, 404, 422, 404, 404, 200]
    kinds = [result["problem"]["type"] for result in results[1:6]]
    assert [kind.rpartition("/")[2] for kind in kinds] == [
        "already-told",
        "evaluation-not-reached",
        "invalid-request",
        "not-found",
        "not-found",
    ]
    assert results[3]["problem"]["errors"][0]["field"] == "evaluations[3].gradient"
    assert all(r["problem"]["status"] == r["status"] for r in results[1:6])
    assert client.ask(short["session"]) == short and client.ask(early["session"]) == early


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"gradient": "north"}, "evaluations[1].gradient"),
        ({"gradient": [1.0, None]}, "evaluations[1].gradient[1]"),
        ({"loss": None}, "evaluations[1].loss"),
        ({"number": "one"}, "evaluations[1].number"),
        ({"number": ...}, "evaluations[1].number"),
        ({"gradient": ...}, "evaluations[1].gradient"),
        ({"session": 7}, "evaluations[1].session"),
        ({"failed": "and told"}, "evaluations[1].loss"),
        ({"color": "red"}, "evaluations[1].color"),
    ],
)
def test_a_batch_that_is_malformed_does_nothing(
    client: Client, wrong: dict[str, Any], field: str
) -> None:
    good, bad = begun(client, 2)
    item = {k: v for k, v in {**tell(bad), **wrong}.items() if v is not ...}
    response = client.call("POST", BATCH, {"evaluations": [tell(good), item]})
    assert_problem(response, 422, "invalid-request", field)
    assert client.ask(good["session"]) == good


def test_a_batch_has_limits(client: Client) -> None:
    limits = client.ok("GET", "/v1/limits")
    most = limits["batch_items_max"]
    (turn,) = begun(client, 1)
    items = [{"session": turn["session"]}] * (most + 1)
    assert_problem(client.call("POST", BATCH, {"evaluations": items}), 422, None, "evaluations")
    assert len(evaluate(client, items[:most])) == most
    assert evaluate(client, []) == []
    large = client.create(x0=[0.0] * 10_000)
    count = limits["batch_numbers_max"] // 10_000 + 1
    results = evaluate(client, [{"session": large}] * count)
    assert [r["status"] for r in results] == [200] * (count - 1) + [422]
    (error,) = results[-1]["problem"]["errors"]
    assert error["field"] == f"evaluations[{count - 1}].session"


def test_a_batch_is_posted_as_json(client: Client) -> None:
    assert_problem(client.call("GET", BATCH), 405)
    assert_problem(client.call("POST", "/v1/evaluations", {"evaluations": []}), 404)
    assert_problem(client.call("POST", BATCH, {}), 422, None, "evaluations")
    assert_problem(client.call("POST", BATCH, b'{"evaluations": [}'), 400, "malformed")
    headers = {"Content-Type": "application/octet-stream"}
    assert_problem(client.call("POST", BATCH, encode([1]), headers=headers), 415)


def test_what_a_batch_told_outlives_a_kill(daemon: Daemon, own_client: Client) -> None:
    client = own_client
    results = evaluate(client, [tell(turn) for turn in begun(client, 8)])
    daemon.restart()
    for result in results:
        assert client.ask(result["session"]) == result["turn"]


def test_the_python_client_evaluates_many(shared_daemon: Daemon, client: Client) -> None:
    turns = begun(client, 3)
    with lbfgsd.Client(shared_daemon.url) as service:
        items = [lbfgsd.Tell(**tell(turn)) for turn in turns]
        results = service.evaluate([*items, turns[0]["session"], "nothing"])
        assert [turn.evaluation.number for turn in results[:4]] == [2] * 4
        assert np.array_equal(results[3].evaluation.x, results[0].evaluation.x)
        assert isinstance(results[4], lbfgsd.NotFound)
        assert service.evaluate(items)[0].replayed
        failed = lbfgsd.Tell(turns[0]["session"], 2, failed="mesh inverted")
        assert service.evaluate([failed])[0].evaluation.number == 3
