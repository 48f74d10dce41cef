"""`minimize` of the Python client: against SciPy, and through interruptions of a run."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from scipy import optimize

import lbfgsd
from daemon import ROOT, Daemon
from problems import Logistic, Quadratic, rosenbrock, rosenbrock_start

EXAMPLES = ROOT / "clients" / "python" / "examples"


def value(x: Any) -> Any:
    return rosenbrock(x)[0]


def slope(x: Any) -> Any:
    return rosenbrock(x)[1]


@pytest.fixture
def api(shared_daemon: Daemon) -> Iterator[lbfgsd.Client]:
    with lbfgsd.Client(shared_daemon.url) as client:
        yield client


PROBLEMS: dict[str, tuple[Any, Any]] = {
    "rosenbrock": (rosenbrock, [-1.2, 1.0]),
    "rosenbrock in 30 dimensions": (rosenbrock, rosenbrock_start(30)),
    "logistic": (Logistic(), Logistic().start),
    "quadratic": (Quadratic(20, 100), Quadratic(20).start),
    "a scalar": (lambda x: (float((x[0] - 2) ** 4 + x[0]), 4 * (x - 2) ** 3 + 1), 7.0),
    "large losses": (lambda x: (1e6 + 1e4 * float(x @ x), 2e4 * x), [3.0, -4.0]),
}


@pytest.mark.parametrize("mode", ["robust", "torch"])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_it_finds_what_scipy_finds(api: lbfgsd.Client, problem: Any, mode: str) -> None:
    fun, start = PROBLEMS[problem]
    options = {"gtol": 1e-7, "ftol": 1e-14}
    named = {**options, "mode": mode}
    ours = lbfgsd.minimize(fun, start, jac=True, client=api, options=named)
    theirs = optimize.minimize(fun, start, jac=True, method="L-BFGS-B", options=options)
    assert ours.success and ours.status == 0, ours
    assert np.allclose(ours.x, theirs.x, atol=1e-4)
    assert ours.fun <= theirs.fun + 1e-9 * max(1, abs(theirs.fun))
    assert ours.nfev <= 2 * theirs.nfev + 10
    loss, gradient = fun(ours.x)
    assert ours.fun == loss and np.array_equal(ours.jac, gradient)


def test_defaults(api: lbfgsd.Client) -> None:
    result = lbfgsd.minimize(rosenbrock, [-1.2, 1.0], jac=True, client=api)
    assert isinstance(result, optimize.OptimizeResult)
    assert result.success and result.status == 0 and "CONVERGENCE" in result.message
    assert result.nit > 20 and result.nfev == result.njev >= result.nit
    assert np.allclose(result.x, 1, atol=1e-3)
    assert api.get_session(result.session).state == "idle"


def test_by_url(shared_daemon: Daemon) -> None:
    result = lbfgsd.minimize(rosenbrock, [-1.2, 1.0], jac=True, url=shared_daemon.url)
    assert result.success


def test_separate_gradient_and_arguments(api: lbfgsd.Client) -> None:
    def fun(x: Any, a: Any, b: Any) -> Any:
        return float(a * (x @ x) - b * x.sum())

    def jac(x: Any, a: Any, b: Any) -> Any:
        return 2 * a * x - b

    result = lbfgsd.minimize(fun, [5.0, -7.0], (2.0, 8.0), jac, client=api)
    assert result.success and np.allclose(result.x, 2, atol=1e-5)
    single = lbfgsd.minimize(lambda x, a: float(x @ x) * a, [1.0], 3.0, client=api)
    assert single.success


@pytest.mark.parametrize("jac", [None, False, "2-point", "3-point", "cs"])
def test_differences(api: lbfgsd.Client, jac: bool | str | None) -> None:
    def fun(x: Any) -> Any:
        return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2

    result = lbfgsd.minimize(fun, [-1.2, 1.0], jac=jac, client=api)
    assert result.success and np.allclose(result.x, 1, atol=1e-3)
    assert result.nfev >= 3 * result.njev


def test_a_point_is_evaluated_once(api: lbfgsd.Client) -> None:
    seen = []

    def fun(x: Any) -> Any:
        seen.append(x.tobytes())
        x += 1  # harmless, since the function gets a copy
        return rosenbrock(x - 1)

    result = lbfgsd.minimize(fun, [-1.2, 1.0], jac=True, client=api)
    assert len(seen) == len(set(seen)) == result.nfev


def test_limits_of_a_run(api: lbfgsd.Client) -> None:
    few = lbfgsd.minimize(
        rosenbrock, [-1.2, 1.0], jac=True, client=api, options={"maxiter": 23, "gtol": 0, "ftol": 0}
    )
    assert few.nit == 23 and few.status == 1 and not few.success and few.reason == "max_iterations"
    cut = lbfgsd.minimize(
        rosenbrock, [-1.2, 1.0], jac=True, client=api, options={"maxfun": 17, "gtol": 0, "ftol": 0}
    )
    assert 17 <= cut.nfev <= 18 and cut.status == 1 and cut.reason == "max_evaluations"


def test_options(api: lbfgsd.Client) -> None:
    result = lbfgsd.minimize(
        rosenbrock,
        [-1.2, 1.0],
        jac=True,
        client=api,
        options={"maxcor": 5, "max_iter": 7, "tolerance_grad": 1e-9, "lr": 0.5},
        name="tuned",
        labels={"a": "b"},
    )
    session = api.get_session(result.session)
    assert session.name == "tuned" and session.labels == {"a": "b"}
    assert session.options["history_size"] == 5 and session.options["max_iter"] == 7
    assert session.options["tolerance_grad"] == 1e-9 and session.options["lr"] == 0.5
    plain = lbfgsd.minimize(
        Quadratic(3, 2),
        [0.0] * 3,
        jac=True,
        client=api,
        options={"line_search_fn": None, "mode": "torch"},
    )
    assert plain.success and np.allclose(plain.x, 1, atol=1e-4)
    for wrong in (
        {"xtol": 1, "mode": "torch"},
        {"gtol": 1, "tolerance_grad": 1, "mode": "torch"},
        {"ftol": 1, "tolerance_change": 1, "mode": "torch"},
    ):
        with pytest.raises(TypeError):
            lbfgsd.minimize(rosenbrock, [1.0, 2.0], jac=True, client=api, options=wrong)
    with pytest.raises(ValueError):
        lbfgsd.minimize(rosenbrock, [1.0, 2.0], jac="4-point", client=api)


def test_the_mode_is_robust_unless_it_is_said(api: lbfgsd.Client) -> None:
    def options_of(**options: Any) -> Any:
        result = lbfgsd.minimize(rosenbrock, [-1.2, 1.0], jac=True, client=api, options=options)
        assert result.success
        return api.get_session(result.session).options

    robust = options_of(gtol=1e-6, ftol=1e-12)
    assert robust["mode"] == "robust" and robust["reuse_evaluation"] is True
    assert robust["tolerance_grad"] == 1e-6 and robust["tolerance_loss_relative"] == 1e-12
    assert robust["tolerance_change"] == 0 and robust["history_size"] == 10
    torch = options_of(mode="torch", gtol=1e-6, ftol=1e-12, maxls=20)
    assert torch["mode"] == "torch" and torch["reuse_evaluation"] is False
    assert torch["line_search_fn"] == "strong_wolfe" and torch["max_iter"] == 20
    assert torch["tolerance_grad"] == 1e-6 and torch["tolerance_change"] == 1e-12
    assert torch["tolerance_loss_relative"] == 0 and torch["history_size"] == 10
    limited, free = options_of(maxls=20), options_of(maxls=30)
    assert limited["max_iter"] == 1 and limited["max_eval"] == 21
    assert free["max_iter"] == free["max_eval"] == 15_000
    assert api.create_session([1.0]).options["mode"] == "torch"


def test_options_go_through(api: lbfgsd.Client) -> None:
    given = {
        "line_search_fn": "more_thuente",
        "noise": 1e-12,
        "tolerance_grad_relative": 1e-9,
        "tolerance_loss_relative": 1e-13,
        "tolerance_change": 1e-15,
        "reuse_evaluation": False,
        "history_dtype": "float32",
    }
    result = lbfgsd.minimize(rosenbrock, [-1.2, 1.0], jac=True, client=api, options=given)
    session = api.get_session(result.session)
    assert result.success and {key: session.options[key] for key in given} == given
    changed = api.update_session(session, options={"noise": np.float32(0.25)})
    assert changed.options["noise"] == 0.25
    assert api.update_session(session, options={"noise": "float32"}).options["noise"] == "float32"
    wide = {"tolerance_grad_relative": np.inf, "tolerance_loss_relative": np.inf}
    changed = api.update_session(session, options=wide)
    assert {key: changed.options[key] for key in wide} == wide


@pytest.mark.parametrize("search", [None, "hager_zhang", "more_thuente", "strong_wolfe"])
def test_a_loss_in_float32(api: lbfgsd.Client, search: str | None) -> None:
    """The run ends at the best point when the loss has no more digits."""
    problem = Logistic()
    points: list[Any] = []

    def fun(x: Any) -> tuple[Any, Any]:
        loss, gradient = problem(x)
        points.append((float(np.float32(loss)), x.copy()))
        return points[-1][0], np.float32(gradient)

    options = {"noise": "float32", "line_search_fn": search, "gtol": 0}
    result = lbfgsd.minimize(fun, problem.start, jac=True, client=api, options=options)
    exact = optimize.minimize(problem, problem.start, jac=True, tol=1e-12)
    assert result.fun <= exact.fun * (1 + 1e-6)
    assert result.fun <= min(loss for loss, _ in points) * (1 + 2e-6)
    assert result.nfev == len(points) < 300


def test_a_step_that_ends_at_once(api: lbfgsd.Client) -> None:
    options = {"gtol": 1e-8}
    result = lbfgsd.minimize(rosenbrock, [-1.2, 1.0], jac=True, client=api, options=options)
    assert result.reason == "gradient_tolerance"
    turn = api.begin_step(result.session)
    assert turn.state == "idle" and turn.evaluation is None
    assert turn.x is not None and np.array_equal(turn.x, result.x)
    assert turn.result.evaluations == 0 and turn.result.reason == "gradient_tolerance"
    again = lbfgsd.minimize(
        rosenbrock, jac=True, client=api, session=result.session, options=options
    )
    assert again.success and again.nit == 0 and again.nfev == 1
    assert again.fun == result.fun and np.array_equal(again.jac, result.jac)
    closer = lbfgsd.minimize(
        rosenbrock, jac=True, client=api, session=result.session, options={"gtol": 1e-12, "ftol": 0}
    )
    assert closer.success and closer.nit > 0 and abs(closer.jac).max() <= 1e-12


def test_a_session_keeps_its_mode(api: lbfgsd.Client) -> None:
    session = api.create_session([-1.2, 1.0])
    result = lbfgsd.minimize(rosenbrock, jac=True, client=api, session=session)
    assert result.success and api.get_session(session).options["mode"] == "torch"
    session = api.create_session([-1.2, 1.0])
    result = lbfgsd.minimize(
        rosenbrock, jac=True, client=api, session=session, options={"mode": "robust"}
    )
    options = api.get_session(session).options
    assert result.success and options["mode"] == "robust" and options["tolerance_change"] == 0


def test_the_best_evaluation(api: lbfgsd.Client) -> None:
    session = api.create_session([-1.2, 1.0], options={"mode": "robust"})
    assert session.best is None
    turn, losses = api.begin_step(session), []
    for _ in range(8):
        loss, gradient = rosenbrock(turn.evaluation.x)
        losses.append(loss)
        turn = api.tell(session, turn.evaluation.number, loss, gradient)
    best = api.get_session(session).best
    assert isinstance(best, lbfgsd.Best)
    assert best == lbfgsd.Best(min(losses), 1 + losses.index(min(losses)))


def test_differences_count_for_maxfun(api: lbfgsd.Client) -> None:
    fun = optimize.rosen
    for jac, calls in (("2-point", 5), ("3-point", 9)):
        options = {"maxfun": 60, "gtol": 0, "ftol": 0}
        result = lbfgsd.minimize(fun, [-1.2, 1, 2, 3], jac=jac, client=api, options=options)
        assert result.reason == "max_evaluations" and result.status == 1
        assert 60 - calls < result.nfev <= 60


def test_steps_too_short_for_a_search(api: lbfgsd.Client) -> None:
    def fun(x: Any) -> tuple[Any, Any]:
        return float(np.abs(x).max()), np.sign(x) * (np.abs(x) == np.abs(x).max()) * 1e9

    result = lbfgsd.minimize(fun, [1.0, 2.0], jac=True, client=api, options={"max_eval": 1})
    assert not result.success and result.nfev < 100 and np.isfinite(result.fun)


def test_callbacks(api: lbfgsd.Client) -> None:
    points: list[Any] = []
    losses: list[float] = []
    result = lbfgsd.minimize(rosenbrock, [-1.2, 1.0], jac=True, client=api, callback=points.append)
    assert result.success and len(points) == result.nit
    assert np.array_equal(points[-1], result.x)

    def stop_early(intermediate_result: Any) -> None:
        losses.append(intermediate_result.fun)
        if intermediate_result.nit == 5:
            raise StopIteration

    stopped = lbfgsd.minimize(rosenbrock, [-1.2, 1.0], jac=True, client=api, callback=stop_early)
    assert stopped.nit == 5 and stopped.status == 99 and not stopped.success
    assert losses == sorted(losses, reverse=True) and stopped.fun == losses[-1]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, ZeroDivisionError])
def test_an_exception_stops_the_step_and_the_session_goes_on(api: lbfgsd.Client, kind: Any) -> None:
    calls = []

    def interrupted(x: Any) -> Any:
        calls.append(x.copy())
        if len(calls) == 12:
            raise kind("now")
        return rosenbrock(x)

    with pytest.raises(kind) as caught:
        lbfgsd.minimize(interrupted, [-1.2, 1.0], jac=True, client=api)
    session = caught.value.lbfgsd_session
    turn = api.ask(session)
    assert turn.state == "idle" and turn.result.reason == "stopped"
    assert value(turn.x) == min(value(x) for x in calls[:11])
    assert session in caught.value.__notes__[0]
    result = lbfgsd.minimize(rosenbrock, jac=True, client=api, session=session)
    assert result.success and result.session == session and result.nfev < 60


def test_a_pending_evaluation_is_taken_up(api: lbfgsd.Client) -> None:
    session = api.create_session([-1.2, 1.0], options={"line_search_fn": "strong_wolfe"})
    turn = api.begin_step(session)
    for _ in range(5):
        turn = api.tell(session, turn.evaluation.number, *rosenbrock(turn.evaluation.x))
    seen = []

    def fun(x: Any) -> Any:
        seen.append(x.copy())
        return rosenbrock(x)

    result = lbfgsd.minimize(fun, [0.0, 0.0], jac=True, client=api, session=session)
    assert result.success and np.array_equal(seen[0], turn.evaluation.x)
    with pytest.raises(ValueError):
        lbfgsd.minimize(rosenbrock, [0.0] * 3, jac=True, client=api, session=session)
    with pytest.raises(TypeError):
        lbfgsd.minimize(rosenbrock, jac=True, client=api)


def test_others_at_the_same_session(api: lbfgsd.Client) -> None:
    """Another client's result counts, and another client's stop ends the run."""
    calls = []

    def fun(x: Any) -> tuple[Any, Any]:
        calls.append(x)
        loss, gradient = rosenbrock(x)
        newest = next(iter(api.sessions(label="shared:yes")))
        if len(calls) == 3:
            api.tell(newest, newest.evaluation, loss + 1e-9, gradient)
        if len(calls) == 9:
            api.stop(newest)
        return loss, gradient

    labels = {"shared": "yes"}
    result = lbfgsd.minimize(fun, [-1.2, 1.0], jac=True, client=api, labels=labels)
    assert result.reason == "stopped" and not result.success and len(calls) == result.nfev == 9
    assert api.trace(result.session).loss[2] == value(calls[2]) + 1e-9


def test_infeasible_points(api: lbfgsd.Client) -> None:
    failures = []

    def fun(x: Any) -> tuple[Any, Any]:
        if x[0] <= 0:
            failures.append(x[0])
            raise lbfgsd.Infeasible("mesh inverted")
        return x[0] - np.log(x[0]), np.array([1 - 1 / x[0]])

    result = lbfgsd.minimize(fun, [20.0], jac=True, client=api, options={"lr": 30})
    assert failures and result.success and abs(result.x[0] - 1) < 1e-4
    assert api.trace(result.session).failed.sum() == len(failures)


def test_losses_that_are_not_finite(api: lbfgsd.Client) -> None:
    def fun(x: Any) -> tuple[Any, Any]:
        with np.errstate(all="ignore"):
            return x[0] - 0.01 * np.log(x[0]), np.array([1 - 0.01 / x[0]])

    result = lbfgsd.minimize(fun, [0.5], jac=True, client=api)
    assert result.success and abs(result.x[0] - 0.01) < 1e-4
    nothing = lbfgsd.minimize(lambda x: (np.nan, x * np.nan), [0.5], jac=True, client=api)
    assert not nothing.success and nothing.reason == "non_finite" and nothing.status == 2


def test_a_wrong_gradient_is_noticed(api: lbfgsd.Client) -> None:
    wrong = lbfgsd.minimize(lambda x: (float(x @ x), -2 * x), [1.0, 2.0], jac=True, client=api)
    assert not wrong.success and wrong.reason == "line_search_failed" and wrong.status == 2
    failure = wrong.failure
    assert isinstance(failure, lbfgsd.LineSearchFailure)
    assert failure.trials > 0 and failure.slope < 0 and failure.step_length_lower == 0
    assert failure == api.ask(wrong.session).result.failure
    assert f"{failure.trials} trials" in wrong.message and f"{failure.slope:.2g}" in wrong.message
    assert wrong.x.tolist() == [1.0, 2.0] and wrong.fun == 5.0
    points: list[Any] = []
    stepwise = lbfgsd.minimize(
        lambda x: (float(x @ x), -2 * x), [1.0, 2.0], jac=True, client=api, callback=points.append
    )
    assert stepwise.reason == "line_search_failed" and stepwise.status == 2 and stepwise.nfev < 200
    torch = lbfgsd.minimize(
        lambda x: (float(x @ x), -2 * x),
        [1.0, 2.0],
        jac=True,
        client=api,
        options={"mode": "torch"},
    )
    assert not torch.success and torch.reason == "no_progress" and torch.status == 2
    assert "failure" not in torch
    with pytest.raises(ValueError, match="3 numbers"):
        lbfgsd.minimize(lambda x: (0.0, [1, 2, 3]), [1.0, 2.0], jac=True, client=api)


def test_progress(api: lbfgsd.Client, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tqdm")
    lbfgsd.minimize(rosenbrock, [-1.2, 1.0], jac=True, client=api, progress=True, name="bar")
    shown = capsys.readouterr().err
    assert "bar" in shown and "loss" in shown


def test_as_a_method_of_scipy(api: lbfgsd.Client) -> None:
    method = lbfgsd.scipy_method(api)
    ours = optimize.minimize(
        optimize.rosen, [1.3, 0.7, 0.8], jac=optimize.rosen_der, method=method, tol=1e-8
    )
    assert ours.success and np.allclose(ours.x, 1, atol=1e-4) and ours.session
    points: list[Any] = []
    together = optimize.minimize(
        rosenbrock,
        [-1.2, 1.0],
        jac=True,
        method=method,
        callback=points.append,
        options={"maxiter": 100, "disp": False},
    )
    assert together.success and len(points) == together.nit
    assert optimize.minimize(optimize.rosen, [1.3, 0.7], method=method).success
    with pytest.raises(ValueError):
        optimize.minimize(
            optimize.rosen,
            [1.3, 1],
            constraints={"type": "ineq", "fun": lambda x: x[0]},
            method=method,
        )
    with pytest.warns(RuntimeWarning):
        optimize.minimize(rosenbrock, [1.3, 1], jac=True, hess=optimize.rosen_hess, method=method)


@pytest.mark.parametrize("name", ["rosenbrock.py", "scipy_style.py"])
def test_examples(
    shared_daemon: Daemon,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    monkeypatch.setenv("LBFGSD_URL", shared_daemon.url)
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    assert capsys.readouterr().out
