"""`minimize_many`: the runs of `minimize`, with the requests of a few."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from test_client_scipy_users import Requests

import lbfgsd
from daemon import Daemon
from problems import rosenbrock


@pytest.fixture
def api(shared_daemon: Daemon) -> Iterator[lbfgsd.Client]:
    with lbfgsd.Client(shared_daemon.url) as client:
        yield client


STARTS = np.random.default_rng(3).uniform(-2, 2, (20, 4))


def test_each_run_is_that_of_minimize(api: lbfgsd.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = [lbfgsd.minimize(rosenbrock, start, jac=True, client=api) for start in STARTS]
    sent = Requests(api, monkeypatch)
    calls: list[Any] = []

    def counted(x: Any) -> Any:
        calls.append(x)
        return rosenbrock(x)

    together = lbfgsd.minimize_many(counted, STARTS, jac=True, client=api, name="many")
    assert len(together) == len(STARTS)
    for one, other in zip(alone, together, strict=True):
        assert np.array_equal(one.x, other.x) and np.array_equal(one.jac, other.jac)
        for key in ("fun", "nfev", "njev", "nit", "status", "success", "reason", "message"):
            assert one[key] == other[key], key
    assert len(calls) == sum(result.nfev for result in together)
    # The longest run asks for its points one after the other, and the others go along.
    assert len(sent.lines) < 3 * max(result.nfev for result in together)
    assert len({result.session for result in together}) == len(STARTS)


def test_bounds_hold_for_differences_too(api: lbfgsd.Client) -> None:
    seen: list[Any] = []

    def bowl(x: Any) -> float:
        seen.append(x)
        return float(((x - 3) ** 2).sum())

    results = lbfgsd.minimize_many(
        bowl, [[-1.0, 0.5], [0.2, 9.0]], client=api, bounds=[(0, 1), (None, 2)]
    )
    assert all(result.success and np.allclose(result.x, [1, 2]) for result in results)
    assert np.max(seen, axis=0).tolist() == [1, 2] and np.min(seen, axis=0)[0] == 0
    assert len(seen) == sum(result.nfev for result in results)


def test_workers_evaluate(api: lbfgsd.Client) -> None:
    here = lbfgsd.minimize_many(rosenbrock, STARTS[:6], jac=True, client=api)
    threads = lbfgsd.minimize_many(rosenbrock, STARTS[:6], jac=True, client=api, workers=2)
    for one, other in zip(here, threads, strict=True):
        assert np.array_equal(one.x, other.x)


def test_an_exception_stops_all_runs(api: lbfgsd.Client) -> None:
    calls: list[Any] = []

    def broken(x: Any) -> Any:
        calls.append(x)
        if len(calls) == 30:
            raise ZeroDivisionError
        return rosenbrock(x)

    with pytest.raises(ZeroDivisionError) as caught:
        lbfgsd.minimize_many(broken, STARTS[:4], jac=True, client=api)
    ensemble = caught.value.lbfgsd_ensemble  # type: ignore[attr-defined]
    assert api.get_ensemble(ensemble).state == "finished"
    assert all(api.ask(member.session).state == "idle" for member in api.members(ensemble))


def test_infeasible_points_are_contracted(api: lbfgsd.Client) -> None:
    def logarithm(x: Any) -> Any:
        if x[0] <= 0:
            raise lbfgsd.Infeasible("negative")
        return float(x[0] - np.log(x[0])), 1 - 1 / x

    results = lbfgsd.minimize_many(logarithm, [[0.1], [20.0]], jac=True, client=api)
    assert all(result.success and abs(result.x[0] - 1) < 1e-4 for result in results)
