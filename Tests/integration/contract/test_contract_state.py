"""Parameters, state dicts and checkpoints over HTTP."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from daemon import Client, Daemon, flat, numbers
from expectations import assert_problem, same_bits
from problems import rosenbrock, rosenbrock_start

WOLFE = {"line_search_fn": "strong_wolfe"}
PARAMS = [
    {"name": "w", "shape": [2, 3], "values": [-1.2, 1, -1.2, 1, -1.2, 1]},
    {"name": "b", "shape": [2], "values": [-1.2, 1]},
]
STATE_KEYS = {
    "func_evals",
    "n_iter",
    "d",
    "t",
    "old_dirs",
    "old_stps",
    "ro",
    "H_diag",
    "prev_flat_grad",
    "prev_loss",
}


def make_stepped(client: Client, steps: int = 1, **body: Any) -> str:
    session = client.create(**{"params": PARAMS, "options": {**WOLFE, "max_iter": 4}, **body})
    for _ in range(steps):
        client.step(session, rosenbrock)
    return session


def points_of(
    client: Client, session: str, count: int, turn: dict[str, Any] | None = None
) -> list[list[float]]:
    """The next points that a session asks for, over step ends."""
    points: list[Any] = []
    turn = turn or client.ask(session)
    while len(points) < count:
        if turn["state"] == "idle":
            turn = client.begin(session)
        points.append(numbers(turn["evaluation"]["x"]))
        turn = client.answer(turn, rosenbrock)
    return points


def assert_same_points(a: Any, b: Any) -> None:
    assert len(a) == len(b)
    for index, (one, other) in enumerate(zip(a, b, strict=True)):
        assert same_bits(one, other), f"point {index} differs"


# Parameters


def test_parameters_come_by_name_and_shape(client: Client) -> None:
    document = client.ok("GET", f"/v1/sessions/{client.create(params=PARAMS)}/params")
    assert [(p["name"], p["shape"], p["values"]) for p in document["params"]] == [
        (p["name"], p["shape"], p["values"]) for p in PARAMS
    ]


def test_parameters_during_a_line_search_are_those_it_started_from(client: Client) -> None:
    session = client.create(options=WOLFE)
    turn = client.begin(session)
    client.answer(turn, rosenbrock)
    assert client.x(session) == [-1.2, 1.0]


def test_parameters_can_be_replaced_between_steps(client: Client) -> None:
    session = client.create(params=PARAMS)
    before = client.call("GET", f"/v1/sessions/{session}").headers["ETag"]
    new = [
        {"name": "w", "shape": [2, 3], "values": [6, 5, 4, 3, 2, 1]},
        {"name": "b", "shape": [2], "values": [0, -1]},
    ]
    document = client.ok("PUT", f"/v1/sessions/{session}/params", {"params": new})
    assert flat(document) == [6, 5, 4, 3, 2, 1, 0, -1] == client.x(session)
    assert client.call("GET", f"/v1/sessions/{session}").headers["ETag"] != before
    assert client.begin(session)["evaluation"]["x"] == [6, 5, 4, 3, 2, 1, 0, -1]


def test_what_params_says_can_be_put_back(client: Client) -> None:
    session = make_stepped(client)
    document = client.ok("GET", f"/v1/sessions/{session}/params")
    assert (
        client.ok("PUT", f"/v1/sessions/{session}/params", document)["params"] == document["params"]
    )


def test_parameters_can_be_replaced_by_one_flat_vector(client: Client) -> None:
    session = client.create(params=PARAMS)
    document = client.ok("PUT", f"/v1/sessions/{session}/params", {"x": [1, 2, 3, 4, 5, 6, 7, 8]})
    assert flat(document) == [1, 2, 3, 4, 5, 6, 7, 8] == client.x(session)


def test_parameters_come_by_name_in_any_order(client: Client) -> None:
    session = client.create(params=PARAMS)
    document = client.ok("GET", f"/v1/sessions/{session}/params")
    document["params"].reverse()
    client.ok("PUT", f"/v1/sessions/{session}/params", document)
    assert client.x(session) == [-1.2, 1] * 4


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "params"),
        ({"x": [1]}, "x"),
        ({"x": [1] * 8, "params": []}, "x"),
        ({"x": [1] * 8, "dtype": "float32"}, "dtype"),
        ({"x": [1] * 7 + ["one"]}, "x[7]"),
    ],
)
def test_a_flat_vector_that_does_not_fit_is_refused(
    client: Client, body: dict[str, Any], field: str
) -> None:
    session = client.create(params=PARAMS)
    response = client.call("PUT", f"/v1/sessions/{session}/params", body)
    assert_problem(response, 422, field=field)
    assert client.x(session) == [-1.2, 1] * 4


def test_parameters_cannot_be_replaced_during_a_step(client: Client) -> None:
    session = client.create()
    client.begin(session)
    document = client.ok("GET", f"/v1/sessions/{session}/params")
    assert_problem(client.call("PUT", f"/v1/sessions/{session}/params", document), 409)


@pytest.mark.parametrize(
    "change",
    [
        lambda ps: ps.pop(),
        lambda ps: ps[0]["values"].pop(),
        lambda ps: ps[0].update(name="v"),
        lambda ps: ps[0].update(shape=[3, 3]),
        lambda ps: ps[0].update(values="x"),
        lambda ps: ps[0]["values"].__setitem__(0, None),
        lambda ps: ps.append(ps[0]),
    ],
)
def test_parameters_that_do_not_fit_are_refused(client: Client, change: Any) -> None:
    session = client.create(params=PARAMS)
    document = client.ok("GET", f"/v1/sessions/{session}/params")
    change(document["params"])
    problem = assert_problem(client.call("PUT", f"/v1/sessions/{session}/params", document), 422)
    assert problem["errors"][0]["field"].startswith("params")
    assert client.x(session) == [-1.2, 1] * 4


# State dicts


def test_a_state_dict_has_the_shape_of_torch(client: Client) -> None:
    session = make_stepped(client)
    dictionary = client.ok("GET", f"/v1/sessions/{session}/state-dict")
    assert dictionary.keys() == {"state", "param_groups"} and dictionary["state"].keys() == {"0"}
    state = dictionary["state"]["0"]
    assert STATE_KEYS <= state.keys() <= STATE_KEYS | {"al"}
    assert state["n_iter"] == 4 and state["func_evals"] == len(client.trace(session))
    pairs = len(state["old_dirs"])
    assert pairs == len(state["old_stps"]) == len(state["ro"]) == 3
    assert all(len(v) == 8 for v in (*state["old_dirs"], *state["old_stps"], state["d"]))
    for y, s, ro in zip(state["old_dirs"], state["old_stps"], state["ro"], strict=True):
        assert np.isclose(ro, 1 / np.dot(y, s), rtol=1e-12)
    y, s = np.array(state["old_dirs"][-1]), np.array(state["old_stps"][-1])
    assert np.isclose(state["H_diag"], (y @ s) / (y @ y), rtol=1e-12)
    (group,) = dictionary["param_groups"]
    assert {**group, "mode": None} == {
        "lr": 1,
        "max_iter": 4,
        "max_eval": 5,
        "tolerance_grad": 1e-7,
        "tolerance_change": 1e-9,
        "history_size": 100,
        "line_search_fn": "strong_wolfe",
        "params": [0, 1],
        "param_names": ["w", "b"],
        "mode": None,
    }


def test_a_fresh_state_dict_has_no_state(client: Client) -> None:
    dictionary = client.ok("GET", f"/v1/sessions/{client.create(params=PARAMS)}/state-dict")
    assert dictionary["state"] == {}


def test_a_loaded_state_dict_goes_on_bit_for_bit(client: Client) -> None:
    original = make_stepped(client, steps=2)
    copy = client.create(params=PARAMS)
    for what in ("params", "state-dict"):
        document = client.ok("GET", f"/v1/sessions/{original}/{what}")
        client.ok("PUT", f"/v1/sessions/{copy}/{what}", document)
    assert client.get(copy)["options"] == client.get(original)["options"]
    assert client.ok("GET", f"/v1/sessions/{copy}/state-dict") == client.ok(
        "GET", f"/v1/sessions/{original}/state-dict"
    )
    assert_same_points(points_of(client, original, 12), points_of(client, copy, 12))


def test_a_loaded_state_dict_survives_a_kill(daemon: Daemon, own_client: Client) -> None:
    client = own_client
    original = make_stepped(client, steps=2)
    copy = client.create(params=PARAMS)
    for what in ("params", "state-dict"):
        client.ok(
            "PUT",
            f"/v1/sessions/{copy}/{what}",
            client.ok("GET", f"/v1/sessions/{original}/{what}"),
        )
    daemon.restart()
    assert_same_points(points_of(client, original, 6), points_of(client, copy, 6))


def test_a_state_dict_cannot_be_loaded_during_a_step(client: Client) -> None:
    session = make_stepped(client)
    dictionary = client.ok("GET", f"/v1/sessions/{session}/state-dict")
    client.begin(session)
    assert_problem(client.call("PUT", f"/v1/sessions/{session}/state-dict", dictionary), 409)


def test_a_state_dict_without_names_keeps_the_names(client: Client) -> None:
    session = make_stepped(client)
    dictionary = client.ok("GET", f"/v1/sessions/{session}/state-dict")
    del dictionary["param_groups"][0]["param_names"]
    loaded = client.ok("PUT", f"/v1/sessions/{session}/state-dict", dictionary)
    assert loaded["param_groups"][0]["param_names"] == ["w", "b"]


def _state(dictionary: Any) -> Any:
    return dictionary["state"]["0"]


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.pop("param_groups"),
        lambda d: d.pop("state"),
        lambda d: d["param_groups"].clear(),
        lambda d: d["param_groups"].append(d["param_groups"][0]),
        lambda d: d["param_groups"][0].update(params=[0]),
        lambda d: d.update(state=[]),
        lambda d: d["param_groups"][0].update(lr=-1),
        lambda d: d["param_groups"][0].update(max_iter="x"),
        lambda d: _state(d)["old_dirs"].pop(),
        lambda d: _state(d)["d"].pop(),
        lambda d: _state(d)["old_stps"][0].append(1),
        lambda d: _state(d).update(n_iter=-1),
        lambda d: _state(d).update(n_iter="many"),
        lambda d: _state(d).update(old_dirs=5),
        lambda d: _state(d).update(prev_flat_grad=[1]),
        lambda d: _state(d).update(H_diag="x"),
        lambda d: d.update(state={"7": _state(d)}),
        lambda d: _state(d).update(ro=[1]),
    ],
)
def test_a_state_dict_that_does_not_fit_is_refused(client: Client, change: Any) -> None:
    session = make_stepped(client)
    before = client.ok("GET", f"/v1/sessions/{session}/state-dict")
    dictionary = client.ok("GET", f"/v1/sessions/{session}/state-dict")
    change(dictionary)
    problem = assert_problem(
        client.call("PUT", f"/v1/sessions/{session}/state-dict", dictionary), 422
    )
    assert problem["errors"], problem
    assert client.ok("GET", f"/v1/sessions/{session}/state-dict") == before


# Checkpoints


def checkpoint(client: Client, session: str, **body: Any) -> str:
    return client.ok("POST", f"/v1/sessions/{session}/checkpoints", body or None, status=201)["id"]


def test_a_checkpoint_is_made_listed_shown_and_deleted(client: Client) -> None:
    session = make_stepped(client)
    path = f"/v1/sessions/{session}/checkpoints"
    response = client.call("POST", path, {"name": "before the change"})
    assert response.status_code == 201
    made = response.json()
    assert made["id"] == "1" and made["name"] == "before the change"
    assert response.headers["Location"].endswith(f"{path}/1")
    assert client.ok("GET", f"{path}/1") == made
    assert checkpoint(client, session) == "2"
    assert [c["id"] for c in client.ok("GET", path)["checkpoints"]] == ["2", "1"]
    assert client.call("DELETE", f"{path}/1").status_code == 204
    assert [c["id"] for c in client.ok("GET", path)["checkpoints"]] == ["2"]
    for method, target in [
        ("GET", f"{path}/1"),
        ("DELETE", f"{path}/1"),
        ("GET", f"{path}/1/state-dict"),
        ("POST", f"{path}/1/restore"),
        ("POST", f"{path}/1/fork"),
        ("GET", f"{path}/99"),
        ("GET", f"{path}/x"),
        ("GET", f"{path}/-1"),
    ]:
        assert_problem(client.call(method, target), 404, "not-found")
    assert checkpoint(client, session) == "3", "numbers are not used twice"


def test_checkpoints_are_listed_by_page(client: Client) -> None:
    session = client.create()
    made = [checkpoint(client, session) for _ in range(5)]
    path, seen = f"/v1/sessions/{session}/checkpoints", []
    page = client.ok("GET", f"{path}?page_size=2")
    while True:
        seen += [item["id"] for item in page["checkpoints"]]
        if page["next_page_token"] is None:
            break
        page = client.ok("GET", f"{path}?page_size=2&page_token={page['next_page_token']}")
    assert seen == made[::-1]


def test_a_checkpoint_keeps_its_state_dict(client: Client) -> None:
    session = make_stepped(client)
    then = client.ok("GET", f"/v1/sessions/{session}/state-dict")
    number = checkpoint(client, session)
    client.step(session, rosenbrock)
    assert client.ok("GET", f"/v1/sessions/{session}/state-dict") != then
    assert client.ok("GET", f"/v1/sessions/{session}/checkpoints/{number}/state-dict") == then


def test_a_restore_between_steps_brings_back_everything(client: Client) -> None:
    session = make_stepped(client)
    state, x = client.ok("GET", f"/v1/sessions/{session}/state-dict"), client.x(session)
    number = checkpoint(client, session)
    first = points_of(client, session, 8)
    client.ok("POST", f"/v1/sessions/{session}/stop")
    client.ok("POST", f"/v1/sessions/{session}/checkpoints/{number}/restore")
    assert same_bits(client.x(session), x)
    assert client.ok("GET", f"/v1/sessions/{session}/state-dict") == state
    assert_same_points(points_of(client, session, 8), first)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("told", [1, 2, 3, 5, 8, 13])
def test_a_restore_during_a_line_search_goes_on_bit_for_bit(
    client: Client, dtype: str, told: int
) -> None:
    session = client.create(x0=rosenbrock_start(6), dtype=dtype, options=WOLFE)
    turn = client.begin(session)
    for _ in range(told):
        turn = client.answer(turn, rosenbrock)
    number = checkpoint(client, session)
    first = points_of(client, session, 10)
    client.ok("POST", f"/v1/sessions/{session}/checkpoints/{number}/restore")
    restored = client.ask(session)
    assert same_bits(restored["evaluation"]["x"], turn["evaluation"]["x"])
    assert restored["evaluation"]["number"] > turn["evaluation"]["number"]
    assert_same_points(points_of(client, session, 10), first)


def test_two_forks_told_the_same_ask_the_same(client: Client) -> None:
    session = client.create(x0=rosenbrock_start(6), options=WOLFE, labels={"a": "b"})
    turn = client.begin(session)
    for _ in range(6):
        turn = client.answer(turn, rosenbrock)
    number = checkpoint(client, session)
    forks = []
    for _ in range(2):
        response = client.call("POST", f"/v1/sessions/{session}/checkpoints/{number}/fork")
        assert response.status_code == 201
        fork = response.json()["id"]
        assert response.headers["Location"].endswith(f"/v1/sessions/{fork}")
        forks.append(fork)
    assert len({session, *forks}) == 3
    for fork in forks:
        assert same_bits(client.ask(fork)["evaluation"]["x"], turn["evaluation"]["x"])
    expected = points_of(client, session, 15)
    for fork in forks:
        assert_same_points(points_of(client, fork, 15), expected)


def test_a_fork_lives_on_when_the_original_is_deleted(daemon: Daemon, own_client: Client) -> None:
    client = own_client
    session = client.create(x0=rosenbrock_start(6), options=WOLFE)
    twin = client.create(x0=rosenbrock_start(6), options=WOLFE)
    points_of(client, session, 9)
    points_of(client, twin, 9)
    number = checkpoint(client, session)
    fork = client.ok("POST", f"/v1/sessions/{session}/checkpoints/{number}/fork")["id"]
    assert client.call("DELETE", f"/v1/sessions/{session}").status_code == 204
    daemon.restart()
    assert_same_points(points_of(client, fork, 10), points_of(client, twin, 10))


def test_numbers_are_not_reused_after_a_restore(client: Client) -> None:
    session = client.create(options=WOLFE)
    turn = client.begin(session)
    for _ in range(3):
        turn = client.answer(turn, rosenbrock)
    number = checkpoint(client, session)
    turn = client.ask(session)
    for _ in range(4):
        turn = client.answer(turn, rosenbrock)
    pending = turn["evaluation"]["number"]
    assert pending == 8
    client.ok("POST", f"/v1/sessions/{session}/checkpoints/{number}/restore")
    turn = client.ask(session)
    assert turn["evaluation"]["number"] == 9
    late = client.call(
        "PUT", f"/v1/sessions/{session}/evaluations/8/result", {"loss": 1, "gradient": [1, 2]}
    )
    assert_problem(late, 410, "evaluation-closed")
    assert client.ask(session) == turn
    numbers_told = [point["evaluation"] for point in client.trace(session)]
    assert numbers_told == [1, 2, 3, 4, 5, 6, 7]
    client.answer(turn, rosenbrock)
    assert [point["evaluation"] for point in client.trace(session)] == [1, 2, 3, 4, 5, 6, 7, 9]


def test_a_restore_to_an_idle_checkpoint_closes_the_pending_evaluation(client: Client) -> None:
    session = client.create(options=WOLFE)
    number = checkpoint(client, session)
    client.begin(session)
    client.ok("POST", f"/v1/sessions/{session}/checkpoints/{number}/restore")
    assert client.ask(session)["state"] == "idle"
    late = client.call(
        "PUT", f"/v1/sessions/{session}/evaluations/1/result", {"loss": 1, "gradient": [1, 2]}
    )
    assert_problem(late, 410, "evaluation-closed")
    cut_short = client.ok("GET", f"/v1/sessions/{session}/steps/1")
    assert cut_short["state"] == "ended" and not cut_short["result"]["converged"]
    turn = client.begin(session)
    assert turn["evaluation"] == {"number": 2, "x": [-1.2, 1.0]} and turn["step"] == 2


def test_checkpoints_survive_a_kill(daemon: Daemon, own_client: Client) -> None:
    client = own_client
    session = client.create(x0=rosenbrock_start(4), options=WOLFE)
    points_of(client, session, 7)
    number = checkpoint(client, session, name="seven")
    shown = client.ok("GET", f"/v1/sessions/{session}/checkpoints/{number}")
    expected = points_of(client, session, 9)
    daemon.restart()
    assert client.ok("GET", f"/v1/sessions/{session}/checkpoints/{number}") == shown
    client.ok("POST", f"/v1/sessions/{session}/checkpoints/{number}/restore")
    daemon.restart()
    assert_same_points(points_of(client, session, 9), expected)


def test_restoring_twice_is_possible(client: Client) -> None:
    session = client.create(x0=rosenbrock_start(4), options=WOLFE)
    points_of(client, session, 5)
    number = checkpoint(client, session)
    runs = []
    for length in (4, 7, 4):
        client.ok("POST", f"/v1/sessions/{session}/checkpoints/{number}/restore")
        runs.append(points_of(client, session, length))
    assert_same_points(runs[0], runs[1][:4])
    assert_same_points(runs[0], runs[2])
