"""Evaluations that are told in parts, and groups of parameters."""

from __future__ import annotations

import itertools
import random
import struct
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
import requests

from daemon import Client, Daemon, Function, flat
from problems import Quadratic, rosenbrock, rosenbrock_start

WOLFE = {"line_search_fn": "strong_wolfe"}


def problem(response: requests.Response) -> str:
    return response.json()["type"].removeprefix("/problems/")


def parts(x: Any, count: int) -> list[Any]:
    """Losses and gradients that add up to Rosenbrock's, and have very different magnitudes."""
    loss, gradient = rosenbrock(x)
    weights = [10.0 ** (i % 5) for i in range(count)]
    weights = [w / sum(weights) for w in weights]
    return [(loss * w, [g * w for g in gradient]) for w in weights]


def drive(
    client: Client,
    session: str,
    count: int,
    order: Callable[[int], Iterable[int]],
    step: Any = None,
) -> tuple[Any, Any]:
    turn = client.ok("POST", f"/v1/sessions/{session}/steps", step or {}, status=201)
    points = []
    while turn["state"] == "evaluating":
        number, x = turn["evaluation"]["number"], turn["evaluation"]["x"]
        points.append(struct.pack(f"{len(x)}d", *x))
        told = parts(x, count)
        for done, shard in enumerate(order(count)):
            assert len(turn["evaluation"]["shards"]["delivered"]) == done
            assert turn["evaluation"]["number"] == number
            loss, gradient = told[shard]
            turn = client.ok(
                "PUT",
                f"/v1/sessions/{session}/evaluations/{number}/shards/{shard}",
                {"loss": loss, "gradient": gradient},
            )
    return points, turn


def shuffled(seed: Any) -> Any:
    """Returns a function that orders shards at random, differently for each evaluation."""
    chance = random.Random(seed)
    return lambda count: chance.sample(range(count), count)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_order_of_arrival_changes_no_bit(client: Client, dtype: str) -> None:
    runs = []
    for seed in range(3):
        session = client.create(x0=rosenbrock_start(6), options=WOLFE, dtype=dtype, shards=5)
        points, turn = drive(client, session, 5, shuffled(seed))
        assert turn["result"]["evaluations"] == len(points) > 10
        runs.append(points)
    assert runs[0] == runs[1] == runs[2]


def test_shards_can_be_declared_for_one_step(client: Client) -> None:
    session = client.create(x0=[-1.2, 1.0], options=WOLFE)
    _, turn = drive(client, session, 3, range, {"shards": 3})
    assert turn["state"] == "idle"
    turn = client.begin(session)
    assert "shards" not in turn["evaluation"]
    assert client.answer(turn, rosenbrock)["state"] == "evaluating"


def test_one_part_makes_no_evaluation_and_a_repeated_one_changes_nothing(client: Client) -> None:
    session = client.create(x0=[-1.2, 1.0], options=WOLFE, shards=2)
    turn = client.begin(session)
    url = f"/v1/sessions/{session}/evaluations/1/shards"
    body = {"loss": 1.0, "gradient": [1.0, 2.0]}
    assert client.ok("PUT", f"{url}/1", body)["evaluation"]["shards"]["delivered"] == [1]
    again = client.call("PUT", f"{url}/1", body)
    assert again.status_code == 200 and again.headers["Idempotent-Replayed"] == "true"
    other = client.call("PUT", f"{url}/1", {"loss": 2.0, "gradient": [1.0, 2.0]})
    assert (other.status_code, problem(other)) == (409, "already-told")
    assert client.call("PUT", f"{url}/2", body).status_code == 404
    whole = client.call("PUT", f"/v1/sessions/{session}/evaluations/1/result", body)
    assert (whole.status_code, problem(whole)) == (409, "evaluation-in-shards")
    short = client.call("PUT", f"{url}/0", {"loss": 2.0, "gradient": [1.0]})
    assert short.status_code == 422 and client.ask(session)["evaluation"]["number"] == 1
    turn = client.ok("PUT", f"{url}/0", body)
    assert turn["evaluation"]["number"] == 2 and client.trace(session)[0]["loss"] == 2.0
    # The result is told again after the session has moved on.
    assert client.call("PUT", f"{url}/0", body).headers["Idempotent-Replayed"] == "true"
    late = client.call("PUT", f"{url}/0", {"loss": 5.0, "gradient": [1.0, 2.0]})
    assert (late.status_code, problem(late)) == (409, "already-told")


def test_a_part_that_failed_makes_the_evaluation_fail_once_all_are_there(client: Client) -> None:
    session = client.create(x0=[-1.2, 1.0], options=WOLFE, shards=2)
    client.begin(session)
    url = f"/v1/sessions/{session}/evaluations/1/shards"
    assert client.ok("PUT", f"{url}/0", {"failed": "out of memory"})["state"] == "evaluating"
    turn = client.ok("PUT", f"{url}/1", {"loss": 1.0, "gradient": [1.0, 2.0]})
    assert turn["state"] == "idle" and turn["result"]["reason"] == "non_finite"


def test_zero_grad_drops_what_was_accumulated(client: Client) -> None:
    session = client.create(x0=[-1.2, 1.0], options=WOLFE, shards=2)
    url = f"/v1/sessions/{session}"
    assert client.ok("POST", f"{url}/zero-grad")["state"] == "idle"
    client.begin(session)
    shard = f"{url}/evaluations/1/shards"
    client.ok("PUT", f"{shard}/0", {"loss": 1.0, "gradient": [1.0, 2.0]})
    turn = client.ok("POST", f"{url}/zero-grad", {"set_to_none": True})
    assert turn["evaluation"]["shards"]["delivered"] == []
    client.ok("PUT", f"{shard}/0", {"loss": 9.0, "gradient": [7.0, 7.0]})
    turn = client.ok("POST", f"{url}/zero-grad", {"set_to_none": False})
    assert turn["evaluation"]["shards"]["delivered"] == [0]
    client.ok("PUT", f"{shard}/1", {"loss": 2.0, "gradient": [3.0, -4.0]})
    point = client.trace(session)[0]
    assert (point["loss"], point["gradient_norm_inf"]) == (2.0, 4.0)


def test_parts_survive_kill_9(daemon: Daemon, own_client: Client) -> None:
    session = own_client.create(x0=[-1.2, 1.0], options=WOLFE, shards=3)
    own_client.begin(session)
    url = f"/v1/sessions/{session}/evaluations/1"
    own_client.ok("PUT", f"{url}/shards/2", {"loss": 1.0, "gradient": [1.0, 2.0]})
    lease = own_client.ok("POST", f"{url}/lease", {"worker": "a", "seconds": 600})
    daemon.kill()
    daemon.start()
    assert own_client.ask(session)["evaluation"]["shards"]["delivered"] == [2]
    assert own_client.ok("POST", f"{url}/lease", {"worker": "b"})["shard"] != lease["shard"]


def test_a_lease_gives_each_worker_another_part_until_it_runs_out(client: Client) -> None:
    session = client.create(x0=[-1.2, 1.0], options=WOLFE, shards=2)
    client.begin(session)
    url = f"/v1/sessions/{session}/evaluations/1"
    first = client.ok("POST", f"{url}/lease", {"worker": "a", "seconds": 600})
    assert first["x"] == [-1.2, 1.0] and (first["shard"], first["shards"]) == (0, 2)
    assert client.ok("POST", f"{url}/lease", {"worker": "a", "seconds": 600})["shard"] == 0
    assert client.ok("POST", f"{url}/lease", {"worker": "b", "seconds": 0.2})["shard"] == 1
    refused = client.call("POST", f"{url}/lease", {"worker": "c"})
    assert (refused.status_code, problem(refused)) == (409, "no-shard-free")
    assert int(refused.headers["Retry-After"]) >= 1
    time.sleep(0.3)
    response = client.call("POST", f"{url}/lease", {"worker": "c"})
    assert response.json()["shard"] == 1
    # The late result is accepted.
    turn = client.ok("PUT", f"{url}/shards/1", {"loss": 1.0, "gradient": [1.0, 2.0]})
    assert turn["evaluation"]["shards"]["delivered"] == [1]


def test_a_session_maximises_with_its_own_sign(client: Client) -> None:
    lossy = client.create(x0=[-1.2, 1.0], options=WOLFE)
    gainful = client.create(x0=[-1.2, 1.0], options={**WOLFE, "maximize": True})
    one, other = client.begin(lossy), client.begin(gainful)
    while one["state"] == "evaluating":
        assert one["evaluation"] == other["evaluation"]
        loss, gradient = rosenbrock(one["evaluation"]["x"])
        number = one["evaluation"]["number"]
        one = client.tell(lossy, number, loss, list(gradient))
        other = client.tell(gainful, number, -loss, list(-gradient))
    assert one["x"] == other["x"] and other["result"]["loss"] == -one["result"]["loss"]
    assert other["result"]["loss_before"] == -one["result"]["loss_before"]
    assert client.get(gainful)["loss"] == other["result"]["loss"]
    refused = client.call("PATCH", f"/v1/sessions/{gainful}", {"options": {"maximize": False}})
    assert refused.status_code == 422


def test_complex_parameters_are_refused(client: Client) -> None:
    response = client.call("POST", "/v1/sessions", {"x0": [1.0], "dtype": "complex128"})
    assert response.status_code == 422 and "Parameters must be real" in response.text


# Groups


def run(client: Client, session: str, fun: Function, steps: int = 1) -> Any:
    for _ in range(steps):
        turn = client.step(session, fun)
    return turn


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("max_iter", [1, 5])
def test_a_group_joins_and_the_run_goes_on(client: Client, dtype: str, max_iter: int) -> None:
    small, large = Quadratic(4), Quadratic(7)
    session = client.create(
        x0=[0.0] * 4, dtype=dtype, options={**WOLFE, "max_iter": max_iter, "max_eval": 25}
    )
    run(client, session, small, 3)
    url = f"/v1/sessions/{session}"
    before = client.ok("GET", f"{url}/state-dict")["state"]["0"]
    group = {"name": "head", "params": [{"shape": [3], "values": [0.5, 0.25, 0.0]}]}
    response = client.call("POST", f"{url}/param-groups", group)
    assert response.status_code == 201
    assert response.headers["Location"] == f"{url}/param-groups/1"
    assert response.json() == {
        "index": 1,
        "name": "head",
        "frozen": False,
        "params": [1],
        "param_names": None,
        "count": 3,
        "projected": 0,
    }
    dict_ = client.ok("GET", f"{url}/state-dict")
    after = dict_["state"]["0"]
    for key in ("old_dirs", "old_stps"):
        assert len(after[key]) >= len(before[key]) > 0
        for old, new in zip(before[key], after[key], strict=False):
            assert new == old + [0.0] * 3
    assert after["ro"][: len(before["ro"])] == before["ro"]
    assert [g.get("name") for g in dict_["param_groups"]] == [None, "head"]
    assert [g["params"] for g in dict_["param_groups"]] == [[0], [1]]
    assert client.get(session)["n"] == 7
    assert flat(client.ok("GET", f"{url}/params"))[4:] == [0.5, 0.25, 0.0]
    turn = run(client, session, large, 40)
    assert np.allclose(turn["x"], 1, atol=1e-3 if dtype == "float32" else 1e-6)


def test_a_frozen_group_stands_still_and_goes_on_when_it_is_let_go(client: Client) -> None:
    fun = Quadratic(5)
    session = client.create(x0=[0.0] * 3, options={**WOLFE, "max_iter": 4})
    url = f"/v1/sessions/{session}"
    run(client, session, Quadratic(3), 1)
    client.ok(
        "POST", f"{url}/param-groups", {"params": [{"shape": [2], "values": [0, 0]}]}, status=201
    )
    run(client, session, fun, 1)
    x = client.x(session)
    assert client.ok("PATCH", f"{url}/param-groups/0", {"frozen": True})["frozen"] is True
    for _ in range(3):
        turn = client.begin(session)
        while turn["state"] == "evaluating":
            assert turn["evaluation"]["x"][:3] == x[:3]
            turn = client.answer(turn, fun)
    assert turn["x"][:3] == x[:3] and turn["x"][3:] != x[3:]
    assert np.allclose(turn["x"][3:], 1, atol=1e-5)
    client.ok("PATCH", f"{url}/param-groups/0", {"frozen": False, "name": "body"})
    turn = run(client, session, fun, 30)
    assert np.allclose(turn["x"], 1, atol=1e-6)
    assert client.get(session)["param_groups"][0]["name"] == "body"


def test_groups_change_between_steps_only_and_have_no_options(client: Client) -> None:
    session = client.create(x0=[0.0, 0.0])
    url = f"/v1/sessions/{session}/param-groups"
    group = {"params": [{"shape": [2], "values": [0, 0]}]}
    response = client.call("POST", url, {**group, "lr": 0.5, "max_iter": 3})
    assert response.status_code == 422
    assert [e["field"] for e in response.json()["errors"]] == ["lr", "max_iter"]
    named = client.call("POST", url, {"params": [{"name": "w", "shape": [1], "values": [0]}]})
    assert named.status_code == 422 and named.json()["errors"][0]["field"] == "params"
    client.begin(session)
    for method, path, body in [("POST", url, group), ("PATCH", f"{url}/0", {"frozen": True})]:
        response = client.call(method, path, body)
        assert (response.status_code, problem(response)) == (409, "step-running")
    assert client.call("GET", f"{url}/1").status_code == 404
    assert client.ok("GET", url)["param_groups"][0]["count"] == 2


def test_groups_survive_kill_9_and_a_restore_takes_them_back(
    daemon: Daemon, own_client: Client
) -> None:
    client = own_client
    session = client.create(x0=[0.0] * 3, options={**WOLFE, "max_iter": 3})
    url = f"/v1/sessions/{session}"
    run(client, session, Quadratic(3), 2)
    checkpoint = client.ok("POST", f"{url}/checkpoints", status=201)["id"]
    client.ok(
        "POST", f"{url}/param-groups", {"params": [{"shape": [2], "values": [0, 0]}]}, status=201
    )
    client.ok("PATCH", f"{url}/param-groups/0", {"frozen": True})
    run(client, session, Quadratic(5), 1)
    seen = client.ok("GET", f"{url}/state-dict"), client.x(session)
    daemon.kill()
    daemon.start()
    assert seen == (client.ok("GET", f"{url}/state-dict"), client.x(session))
    fork = client.ok("POST", f"{url}/checkpoints/{checkpoint}/fork", status=201)
    assert fork["n"] == 3
    client.ok("POST", f"{url}/checkpoints/{checkpoint}/restore")
    assert client.get(session)["n"] == 3 and len(client.get(session)["params"]) == 1
    run(client, session, Quadratic(3), 1)


# State dicts


def named_session(client: Client, names: Any, sizes: Any, **more: Any) -> Any:
    start = itertools.count()
    return client.create(
        params=[
            {"name": name, "shape": [size], "values": [0.1 * next(start) for _ in range(size)]}
            for name, size in zip(names, sizes, strict=True)
        ],
        options={**WOLFE, "max_iter": 4},
        **more,
    )


def test_a_dict_can_be_matched_by_name(client: Client) -> None:
    one = named_session(client, ["w", "b", "c"], [2, 1, 3])
    run(client, one, Quadratic(6), 2)
    dict_ = client.ok("GET", f"/v1/sessions/{one}/state-dict")
    other = named_session(client, ["c", "w", "b"], [3, 2, 1])
    url = f"/v1/sessions/{other}/state-dict"
    loaded = client.ok("PUT", f"{url}?match=name", dict_)
    d = dict_["state"]["0"]["d"]
    assert loaded["state"]["0"]["d"] == d[3:] + d[:2] + d[2:3]
    assert loaded["param_groups"][0]["param_names"] == ["c", "w", "b"]
    # By position the loaded names replace the session's, as in torch.
    assert client.ok("PUT", url, dict_)["param_groups"][0]["param_names"] == ["w", "b", "c"]
    dict_["param_groups"][0]["param_names"] = ["w", "x", "y"]
    refused = client.call("PUT", f"{url}?match=name", dict_)
    reasons = " ".join(e["reason"] for e in refused.json()["errors"])
    assert refused.status_code == 422
    for text in ("b is missing", "c is missing", "x is unexpected", "y is unexpected"):
        assert text in reasons
    assert client.call("PUT", f"{url}?match=shape", dict_).status_code == 422


def test_a_mismatch_lists_all_that_is_wrong_and_changes_nothing(client: Client) -> None:
    session = client.create(x0=[0.0] * 3, options={**WOLFE, "max_iter": 4})
    run(client, session, Quadratic(3), 1)
    url = f"/v1/sessions/{session}/state-dict"
    before = client.ok("GET", url)
    dict_ = client.ok("GET", url)
    state = dict_["state"]["0"]
    del state["t"], state["H_diag"]
    state["d"] = [1.0]
    state["old_stps"][0] = [1.0, 2.0]
    refused = client.call("PUT", url, dict_)
    fields = {e["field"] for e in refused.json()["errors"]}
    assert refused.status_code == 422
    assert fields == {"state.0.t", "state.0.H_diag", "state.0.d", "state.0.old_stps[0]"}
    assert client.ok("GET", url) == before
