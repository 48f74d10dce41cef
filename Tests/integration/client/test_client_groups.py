"""Parameter groups in the Python client: added during a run, frozen, unfrozen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import lbfgsd
from daemon import Client, Daemon
from problems import rosenbrock

OPTIONS = {
    "line_search_fn": "strong_wolfe",
    "max_iter": 10,
    "max_eval": 100,
    "tolerance_grad": 1e-10,
    "tolerance_change": 1e-15,
}
DTYPES = ["float32", "float64"]


@pytest.fixture
def api(shared_daemon: Daemon) -> Iterator[lbfgsd.Client]:
    with lbfgsd.Client(shared_daemon.url) as client:
        yield client


def step(api: lbfgsd.Client, session: lbfgsd.Session, fun: Any) -> Any:
    turn = api.begin_step(session)
    while turn.evaluation is not None:
        turn = api.tell(turn.session, turn.evaluation.number, *fun(turn.evaluation.x))
    return turn


def bowl(x: Any) -> tuple[Any, Any]:
    """A quadratic that couples all parameters; its minimum is 0 at (1, ..., 1)."""
    rest = x - 1
    total = rest.sum()
    return float((rest**2 @ np.arange(1, x.size + 1.0)) + total**2), (
        2 * np.arange(1, x.size + 1.0) * rest + 2 * total
    )


def test_add_list_get_and_name(api: lbfgsd.Client) -> None:
    session = api.create_session(params={"w": np.ones((2, 3)), "b": np.zeros(3)}, options=OPTIONS)
    (first,) = session.param_groups
    assert (first.index, first.frozen, first.params, first.count) == (0, False, (0, 1), 9)
    assert first.param_names == ("w", "b") and session.shards is None
    head: dict[str, Any] = {"head.w": np.full((3, 4), 2.0), "head.b": 0.5}
    added = api.add_param_group(session, head, name="head")
    assert (added.index, added.name, added.params, added.count) == (1, "head", (2, 3), 13)
    assert added.param_names == ("head.w", "head.b") and not added.frozen
    assert api.param_groups(session)[1] == added == api.get_param_group(session, 1)
    assert api.get_session(session).n == 22 and api.get_session(session).param_groups[1] == added
    params = api.get_params(session)
    assert np.array_equal(params["head.w"], head["head.w"]) and params["head.b"] == 0.5
    renamed = api.update_param_group(session, 1, name="tail", frozen=True)
    assert renamed.name == "tail" and renamed.frozen
    group = api.get_state_dict(session)["param_groups"][1]
    assert (group["name"], group["frozen"], group["params"]) == ("tail", True, [2, 3])
    assert group["param_names"] == ["head.w", "head.b"]
    assert api.update_param_group(session, 1, name=None).name is None
    assert api.update_param_group(session, 1, frozen=False).name is None
    with pytest.raises(lbfgsd.NotFound):
        api.get_param_group(session, 2)


def test_unnamed(api: lbfgsd.Client) -> None:
    session = api.create_session([1.0, 2.0], options=OPTIONS)
    added = api.add_param_group(session, [np.ones(2), np.zeros((2, 2))])
    assert added.params == (1, 2) and added.param_names is None and added.name is None
    assert np.array_equal(api.get_params(session).x, [1, 2, 1, 1, 0, 0, 0, 0])


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_group_joins_a_run(api: lbfgsd.Client, dtype: str) -> None:
    """The history of the old parameters stays, padded with zeros, and the run converges."""
    session = api.create_session([3.0, -4.0, 5.0], options={**OPTIONS, "max_iter": 3}, dtype=dtype)
    step(api, session, bowl)
    before = api.get_state_dict(session)["state"][0]
    api.add_param_group(session, [[-2.0, 7.0]])
    after = api.get_state_dict(session)["state"][0]
    assert (after["n_iter"], after["func_evals"]) == (before["n_iter"], before["func_evals"])
    # The last step's pair is complete: its gradients do not have the new parameters.
    known = len(before["old_dirs"])
    assert 0 < known <= len(after["old_dirs"]) <= known + 1
    assert np.array_equal(after["ro"][:known], before["ro"])
    for key in ("old_dirs", "old_stps"):
        assert all(np.array_equal(vector[-2:], [0, 0]) for vector in after[key])
        for mine, old in zip(after[key], before[key], strict=False):
            assert np.array_equal(mine[:-2], old)
    for key in ("d", "prev_flat_grad"):
        assert np.array_equal(after[key], [*before[key], 0, 0])
    turn = api.ask(session)
    for _ in range(12):
        turn = step(api, session, bowl)
    assert turn.x is not None and turn.x.size == 5
    assert abs(turn.x - 1).max() < (1e-3 if dtype == "float32" else 1e-7)


@pytest.mark.parametrize("dtype", DTYPES)
def test_frozen_and_unfrozen(api: lbfgsd.Client, dtype: str) -> None:
    session = api.create_session([3.0, -4.0], options={**OPTIONS, "max_iter": 2}, dtype=dtype)
    api.add_param_group(session, [[-2.0, 7.0]])
    step(api, session, bowl)
    x = api.get_params(session).x
    api.update_param_group(session, 0, frozen=True)
    frozen = step(api, session, bowl)
    assert frozen.x[:2].tobytes() == x[:2].tobytes() and (frozen.x[2:] != x[2:]).any()
    assert frozen.result.loss < frozen.result.loss_before or frozen.result.converged
    api.update_param_group(session, 0, frozen=False)
    turn = frozen
    for _ in range(12):
        turn = step(api, session, bowl)
    assert abs(turn.x - 1).max() < (1e-3 if dtype == "float32" else 1e-7)


def test_a_state_dict_with_groups_goes_on_elsewhere(api: lbfgsd.Client) -> None:
    session = api.create_session([3.0, -4.0], options=OPTIONS)
    api.add_param_group(session, [[-2.0, 7.0]], name="more")
    step(api, session, bowl)
    other = api.create_session(api.get_params(session).x[:2], options=OPTIONS)
    state = api.get_state_dict(session, format="safetensors")
    with pytest.raises(lbfgsd.InvalidRequest) as caught:
        api.load_state_dict(other, state, format="safetensors")
    assert "param_groups" in {error["field"] for error in caught.value.errors}
    api.add_param_group(other, [api.get_params(session).x[2:]])
    api.load_state_dict(other, state, format="safetensors")
    assert api.get_param_group(other, 1).name == "more"
    for _ in range(2):
        mine, theirs = step(api, session, bowl), step(api, other, bowl)
        assert mine.x.tobytes() == theirs.x.tobytes()


def test_only_between_steps_and_without_options(api: lbfgsd.Client, client: Client) -> None:
    session = api.create_session([-1.2, 1.0], options=OPTIONS)
    turn = api.begin_step(session)
    with pytest.raises(lbfgsd.StepRunning):
        api.add_param_group(session, [[1.0]])
    with pytest.raises(lbfgsd.StepRunning):
        api.update_param_group(session, 0, frozen=True)
    api.stop(session)
    assert turn.evaluation.number == 1
    params = [{"shape": [1], "values": [1.0]}]
    path = f"/v1/sessions/{session.id}/param-groups"
    answer = client.call("POST", path, {"params": params, "lr": 0.5})
    assert answer.status_code == 422 and answer.json()["errors"][0]["field"] == "lr"
    with pytest.raises(lbfgsd.InvalidRequest):
        api.add_param_group(session, [[float("nan")]])
    with pytest.raises(ValueError, match="Parameters must be real"):
        api.add_param_group(session, [[1j]])
    assert api.get_session(session).n == 2


def test_a_group_survives_a_kill(daemon: Daemon) -> None:
    with lbfgsd.Client(daemon.url) as api:
        runs = []
        for kill in (False, True):
            session = api.create_session([-1.2, 1.0], options=OPTIONS)
            step(api, session, rosenbrock)
            api.add_param_group(session, [[0.5, -0.5]])
            if kill:
                daemon.restart()
            api.update_param_group(session, 0, frozen=True)
            turn = api.begin_step(session)
            while turn.evaluation is not None:
                if kill and turn.evaluation.number % 4 == 0:
                    daemon.restart()
                    turn = api.ask(session)
                told = rosenbrock(turn.evaluation.x)
                turn = api.tell(session, turn.evaluation.number, *told)
            runs.append(turn.x.tobytes())
    assert runs[0] == runs[1]
