"""`minimize` in this process: the same results as on a server, bit for bit, and how the two are
chosen."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import lbfgsd
from daemon import Daemon
from lbfgsd import Client
from lbfgsd._engine import library as loading
from problems import Logistic, Quadratic, rosenbrock, rosenbrock_start

PROBLEMS: dict[str, Any] = {
    "rosenbrock": (rosenbrock, rosenbrock_start(8)),
    "logistic": (Logistic(), Logistic().start),
    "quadratic": (Quadratic(40, 1e5), Quadratic(40).start),
}
BOXES: dict[str, Any] = {
    "free": {},
    "bounded": {"bounds": [(-0.5, 0.75)] * 4 + [(None, None)] * 100},
    "l1": {"l1": 0.05},
    "both": {"bounds": [(-0.5, 0.75)] * 4 + [(None, 2)] * 100, "l1": 0.05},
}
OPTIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "ten pairs": {"maxcor": 10, "gtol": 1e-9, "ftol": 0},
    "noise": {"noise": "float32", "history_dtype": "bfloat16", "line_search_fn": "more_thuente"},
    "budget": {"maxiter": 7, "tolerance_grad_relative": 1e-12},
    "many steps": {"max_iter": 3, "reuse_evaluation": False},
}


pytestmark = pytest.mark.usefixtures("engine_library")


@pytest.fixture(scope="module")
def client(shared_daemon: Daemon) -> Iterator[Client]:
    with Client(shared_daemon.url) as client:
        yield client


def compared(client: Client, fun: Any, x0: Any, **arguments: Any) -> tuple[Any, Any]:
    """The results of both engines, which must be the same, and so must all points."""
    runs = []
    for more in ({"engine": "local"}, {"client": client}):
        points: list[bytes] = []

        def observed(x: Any, points: list[bytes] = points) -> Any:
            points.append(x.tobytes())
            return fun(x)

        result = lbfgsd.minimize(observed, x0, **{"jac": True, **arguments, **more})
        runs.append((points, result))
    (own, local), (theirs, served) = runs
    assert own == theirs
    assert (local.engine, served.engine) == ("local", "server")
    assert local.session is None and served.session is not None
    for name in ("fun", "nit", "nfev", "njev", "status", "success", "message", "reason"):
        assert local[name] == served[name], name
    for name in ("x", "jac"):
        np.testing.assert_array_equal(local[name], served[name])
    assert set(local) == set(served)
    return local, served


@pytest.mark.parametrize(
    ("problem", "box", "options"),
    [
        *itertools.product(PROBLEMS, BOXES, ["default"]),
        *itertools.product(["rosenbrock"], BOXES, ["ten pairs", "noise", "budget", "many steps"]),
    ],
)
def test_both_engines_give_the_same_bits(
    client: Client, problem: str, box: str, options: str
) -> None:
    fun, x0 = PROBLEMS[problem]
    more = dict(BOXES[box])
    if "bounds" in more:
        more["bounds"] = more["bounds"][: len(x0)]
    local, served = compared(client, fun, x0, options=OPTIONS[options], **more)
    if "bounds" in more:
        for name in ("index", "side", "value", "multiplier"):
            mine, theirs = getattr(local.active_set, name), getattr(served.active_set, name)
            np.testing.assert_array_equal(mine, theirs)
        assert local.projected_gradient_norm_inf == served.projected_gradient_norm_inf


def test_both_engines_give_the_same_bits_in_mode_torch(client: Client) -> None:
    local, _ = compared(client, rosenbrock, rosenbrock_start(8), options={"mode": "torch"})
    assert local.success


def test_both_engines_take_undefined_points_and_finite_differences(client: Client) -> None:
    def root(x: Any) -> float:
        if x[0] <= 0:
            raise lbfgsd.Infeasible("not there")
        return float(x[0] - np.log(x[0]))

    local, _ = compared(client, root, [20.0], jac=None, options={"lr": 100.0})
    assert abs(local.x[0] - 1) < 1e-3


def test_callbacks_are_called_alike_and_can_end_a_run(client: Client) -> None:
    seen: list[list[bytes]] = []
    for more in ({"engine": "local"}, {"client": client}):
        points: list[bytes] = []

        def callback(x: Any, points: list[bytes] = points) -> None:
            points.append(x.tobytes())
            if len(points) == 5:
                raise StopIteration

        x0 = rosenbrock_start(8)
        arguments: dict[str, Any] = {"jac": True, "callback": callback, **more}
        result = lbfgsd.minimize(rosenbrock, x0, **arguments)
        assert result.reason == "callback" and result.nit == 5
        seen.append(points)
    assert seen[0] == seen[1] and len(seen[0]) == 5


def test_a_failed_search_says_the_same(client: Client) -> None:
    def wrong(x: Any) -> Any:
        loss, gradient = rosenbrock(x)
        return loss, -gradient

    local, served = compared(client, wrong, [-1.2, 1.0])
    assert local.reason == "line_search_failed" and local.failure == served.failure


def test_scipy_gets_the_inverse_hessian() -> None:
    scipy_optimize = pytest.importorskip("scipy.optimize")
    result = scipy_optimize.minimize(
        rosenbrock, rosenbrock_start(4), jac=True, method=lbfgsd.scipy_method()
    )
    assert result.success and result.engine == "local"
    inverse = result.hess_inv.todense()
    assert np.linalg.eigvalsh(inverse).min() > 0


def test_an_exception_of_the_function_goes_to_the_caller() -> None:
    def broken(x: Any) -> Any:
        raise ZeroDivisionError("as asked")

    with pytest.raises(ZeroDivisionError, match="as asked"):
        lbfgsd.minimize(broken, [1.0], jac=True)


def test_it_runs_here_unless_something_names_a_server(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def engine(**more: Any) -> str:
        return str(lbfgsd.minimize(rosenbrock, [-1.2, 1.0], jac=True, **more).engine)

    assert engine() == "local"
    assert engine(client=client) == engine(url=client.url) == "server"
    monkeypatch.setenv("LBFGSD_URL", client.url)
    assert engine() == engine(engine="server") == engine(name="named") == "server"
    assert engine(engine="local") == "local"


def test_wrong_choices_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(**more: Any) -> Any:
        return lbfgsd.minimize(rosenbrock, [-1.2, 1.0], jac=True, **more)

    with pytest.raises(ValueError, match="'local' or 'server', not 'remote'"):
        run(engine="remote")
    with pytest.raises(TypeError, match="has no name, resume"):
        run(engine="local", name="kept", resume=True)
    with pytest.raises(ValueError, match="history_size must be at least 1"):
        run(options={"maxcor": 0})
    with pytest.raises(ValueError, match="line_search_fn must be one of"):
        run(options={"line_search_fn": "armijo"})
    monkeypatch.delenv("LBFGSD_LIBRARY")
    # The loader would find the one that is loaded already, by its name.
    monkeypatch.setattr(loading, "INSTALLED", "liblbfgsd.so.absent")
    with pytest.raises(RuntimeError, match=r"no liblbfgsd\.so"):
        run(engine="local")
