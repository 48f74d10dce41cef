"""`multistart` and the ensembles of the Python client."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from scipy import optimize

import lbfgsd
from daemon import Daemon
from problems import rosenbrock

BOX = [(-5.0, 5.0), (-5.0, 5.0)]


def himmelblau(x: Any) -> Any:
    a, b = x[0] ** 2 + x[1] - 11, x[0] + x[1] ** 2 - 7
    return a * a + b * b, np.array([4 * x[0] * a + 2 * b, 2 * a + 4 * x[1] * b])


@pytest.fixture
def api(shared_daemon: Daemon) -> Iterator[lbfgsd.Client]:
    with lbfgsd.Client(shared_daemon.url) as client:
        yield client


@pytest.mark.parametrize("design", ["sobol", "latin_hypercube", "uniform"])
def test_it_finds_all_minima(api: lbfgsd.Client, design: str) -> None:
    result = lbfgsd.multistart(
        himmelblau, BOX, jac=True, starts=40, design=design, seed=3, workers=3, client=api
    )
    assert isinstance(result, optimize.OptimizeResult)
    assert result.success and result.status == 0 and result.reason == "all_ended"
    assert result.fun < 1e-8 and len(result.runs) == 40
    minima = {tuple(run.x.round(2)) for run in result.runs if run.success}
    assert minima == {(3.0, 2.0), (-2.81, 3.13), (-3.78, -3.28), (3.58, -1.85)}
    abandoned = [run for run in result.runs if run.reason == "same_basin"]
    assert len(abandoned) > 10 and all(not run.success for run in abandoned)
    assert result.nfev >= sum(run.nfev for run in result.runs) - 1
    assert sorted(run.member for run in result.runs) == list(range(40))
    assert [run.fun for run in result.runs] == sorted(run.fun for run in result.runs)


def test_given_starts_give_what_minimize_gives(api: lbfgsd.Client) -> None:
    starts = np.random.default_rng(4).normal(size=(6, 3))
    result = lbfgsd.multistart(
        rosenbrock, jac=True, starts=starts, same_basin=None, workers=2, client=api
    )
    for run in result.runs:
        alone = lbfgsd.minimize(rosenbrock, starts[run.member], jac=True, client=api)
        assert np.array_equal(run.x, alone.x) and run.fun == alone.fun
        assert run.nfev == alone.nfev and run.message == alone.message


def test_pools(api: lbfgsd.Client) -> None:
    bounds = optimize.Bounds([-5, -5], [5, 5])
    common: dict[str, Any] = {"jac": True, "starts": 8, "client": api, "same_basin": None}
    threads = lbfgsd.multistart(himmelblau, bounds, workers=2, **common)
    processes = lbfgsd.multistart(himmelblau, bounds, workers=2, processes=True, **common)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        mine = lbfgsd.multistart(himmelblau, bounds, workers=pool, **common)
        assert pool.submit(int, 3).result() == 3
    for other in (processes, mine):
        assert other.fun == threads.fun and other.nfev == threads.nfev


def test_differences_and_arguments(api: lbfgsd.Client) -> None:
    def fun(x: Any, shift: float) -> float:
        return float(((x - shift) ** 2).sum())

    result = lbfgsd.multistart(fun, BOX, 1.5, starts=3, workers=1, client=api)
    assert np.allclose(result.x, 1.5, atol=1e-4)
    assert result.nfev == 3 * result.njev


def test_target_budget_and_callback(api: lbfgsd.Client) -> None:
    common: dict[str, Any] = {"jac": True, "starts": 20, "workers": 2, "client": api}
    target = lbfgsd.multistart(himmelblau, BOX, target=1e-3, **common)
    assert target.success and target.reason == "target" and target.fun <= 1e-3
    budget = lbfgsd.multistart(himmelblau, BOX, max_evaluations=25, **common)
    assert budget.reason == "evaluations"
    assert sum(run.nfev for run in budget.runs) == 25

    def stop(intermediate: Any) -> None:
        if intermediate.nfev > 10:
            raise StopIteration

    stopped = lbfgsd.multistart(himmelblau, BOX, callback=stop, **common)
    assert stopped.reason == "stopped" and 10 < stopped.nfev < 40


def test_points_without_a_loss(api: lbfgsd.Client) -> None:
    def fun(x: Any) -> Any:
        if x[0] < -4:
            raise lbfgsd.Infeasible("mesh inverted")
        return himmelblau(x)

    result = lbfgsd.multistart(fun, BOX, jac=True, starts=20, workers=2, client=api)
    assert result.success
    assert any(run.reason == "non_finite" for run in result.runs)


def test_an_exception_stops_all_and_the_ensemble_is_named(api: lbfgsd.Client) -> None:
    calls = []

    def fun(x: Any) -> Any:
        calls.append(x)
        if len(calls) > 15:
            raise ZeroDivisionError("in the model")
        return himmelblau(x)

    with pytest.raises(ZeroDivisionError) as caught:
        lbfgsd.multistart(fun, BOX, jac=True, starts=5, workers=2, client=api)
    ensemble = api.get_ensemble(caught.value.lbfgsd_ensemble)  # type: ignore[attr-defined]
    assert ensemble.reason == "stopped"


def test_an_ensemble_is_taken_up_after_a_restart(daemon: Daemon) -> None:
    with lbfgsd.Client(daemon.url) as api:
        made = api.create_ensemble(
            {"method": "sobol", "count": 10, "seed": 1}, n=2, lower=-5, upper=5,
            options={"mode": "robust", "max_iter": 100, "max_eval": 100},
        )  # fmt: skip
        turn = api.ask_ensemble(made, 4, worker="lost")
        assert len(turn.evaluations) == 4
        killer = threading.Timer(0.2, daemon.restart)
        killer.start()
        daemon.kill()
        killer.join()
        result = lbfgsd.multistart(himmelblau, jac=True, ensemble=made, workers=2, client=api)
        assert result.success and {run.reason for run in result.runs} == {"gradient_tolerance"} | {
            run.reason for run in result.runs
        }
        assert result.ensemble == made.id


def test_operations(api: lbfgsd.Client) -> None:
    made = api.create_ensemble([[1.0, 2.0], [3.0, 4.0]], name="few", labels={"a": "b"})
    assert made.members["waiting"] == 2 and str(made) == made.id and made.best is None
    assert next(iter(api.ensembles())).id == made.id
    points = api.ask_ensemble(made, 2, worker="w", seconds=30, wait=1).evaluations
    tells = [
        lbfgsd.Tell(p.session, p.number, loss=himmelblau(p.x)[0], gradient=himmelblau(p.x)[1])
        for p in points
    ]
    tells.append(lbfgsd.Tell(points[0].session, 7, loss=1.0, gradient=[0.0, 0.0]))
    answers, turn = api.tell_ensemble(made, tells, ask=1)
    assert [type(answer) for answer in answers] == [
        lbfgsd.Told, lbfgsd.Told, lbfgsd.EvaluationNotReached
    ]  # fmt: skip
    assert len(turn.evaluations) == 1
    assert [m.loss for m in api.members(made)] == sorted(float(himmelblau(p.x)[0]) for p in points)
    assert all(m.x is not None for m in api.members(made, points=True))
    assert [p.point.evaluation for p in api.ensemble_trace(made)] == [1, 1]
    assert api.stop_ensemble(made).reason == "stopped"
    api.delete_ensemble(made)
    with pytest.raises(lbfgsd.NotFound):
        api.get_ensemble(made)


def test_asynchronous(shared_daemon: Daemon) -> None:
    async def use() -> None:
        async with lbfgsd.AsyncClient(shared_daemon.url) as api:
            made = await api.create_ensemble([[1.0, 2.0]])
            (point,) = (await api.ask_ensemble(made)).evaluations
            assert np.array_equal(point.x, [1.0, 2.0])
            assert made.id in [e.id async for e in api.ensembles()]
            await api.delete_ensemble(made)

    asyncio.run(use())


def test_wrong_arguments() -> None:
    with pytest.raises(TypeError):
        lbfgsd.multistart(himmelblau)
    with pytest.raises(ValueError, match="finite"):
        lbfgsd.multistart(himmelblau, [(-1, np.inf)])
    with pytest.raises(ValueError, match="pairs"):
        lbfgsd.multistart(himmelblau, [1, 2])
