"""What users of SciPy expect of `minimize`: options, counts, callbacks and ends of runs."""

from __future__ import annotations

import multiprocessing.pool
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pytest
from scipy import optimize

import lbfgsd
from daemon import Daemon
from problems import rosenbrock, rosenbrock_start


def value(x: Any) -> float:
    return float(rosenbrock(x)[0])


@pytest.fixture
def api(shared_daemon: Daemon) -> Iterator[lbfgsd.Client]:
    with lbfgsd.Client(shared_daemon.url) as client:
        yield client


class Requests:
    """Counts the requests of a client."""

    def __init__(self, client: lbfgsd.Client, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lines: list[str] = []
        perform = client._perform

        def counted(effect: Any) -> Any:
            self.lines.append(f"{effect.method} {effect.path}")
            return perform(effect)

        monkeypatch.setattr(client, "_perform", counted)


def recorded(calls: list[Any]) -> Callable[[Any], Any]:
    """A polynomial, also of complex numbers, that notes where it is called."""

    def fun(x: Any) -> Any:
        calls.append(x.copy())
        return (x * x).sum() + (x * x * x).sum() / 100

    return fun


# Options


def test_a_relative_step_is_scipys(api: lbfgsd.Client) -> None:
    """Every point where the function is called up to the second gradient is the same."""
    x0 = np.array([0.5, -3.0, 0.0, 40.0])
    for scheme in ("2-point", "3-point", "cs"):
        ours: list[Any] = []
        theirs: list[Any] = []
        options = {"finite_diff_rel_step": [1e-3, 1e-4, 1e-5, 1e-6], "maxiter": 1}

        lbfgsd.minimize(recorded(ours), x0, jac=scheme, client=api, options=options)
        optimize.minimize(recorded(theirs), x0, jac=scheme, method="L-BFGS-B", options=options)
        count = 9 if scheme == "3-point" else 5
        first = {tuple(x.tolist()) for x in ours[:count]}
        assert first == {tuple(x.tolist()) for x in theirs[:count]}, scheme


def test_workers_evaluate_finite_differences(api: lbfgsd.Client) -> None:
    sizes: list[int] = []

    def apply(fun: Any, points: Iterable[Any]) -> list[Any]:
        listed = list(points)
        sizes.append(len(listed))
        return [fun(x) for x in listed]

    alone = lbfgsd.minimize(value, rosenbrock_start(4), client=api)
    together = lbfgsd.minimize(value, rosenbrock_start(4), client=api, options={"workers": apply})
    assert np.array_equal(alone.x, together.x) and alone.nfev == together.nfev
    assert set(sizes) == {4} and together.nfev == 5 * len(sizes)
    with multiprocessing.pool.ThreadPool(2) as pool:
        pooled = optimize.minimize(
            value,
            rosenbrock_start(4),
            method=lbfgsd.scipy_method(api),
            options={"workers": pool.map},
        )
    assert np.array_equal(alone.x, pooled.x)
    processes = lbfgsd.minimize(
        optimize.rosen, [1.1, 1.2], client=api, jac="3-point", options={"workers": 2}
    )
    assert processes.success and np.allclose(processes.x, 1, atol=1e-3)
    with pytest.raises(ValueError, match="workers"):
        lbfgsd.minimize(value, [1.0, 2.0], client=api, options={"workers": 0})


def test_ten_pairs_unless_more_are_asked_for(api: lbfgsd.Client) -> None:
    usual = lbfgsd.minimize(rosenbrock, [-1.2, 1.0], jac=True, client=api)
    assert api.get_session(usual.session).options["history_size"] == 10
    more = lbfgsd.minimize(rosenbrock, [-1.2, 1.0], jac=True, client=api, options={"maxcor": 30})
    assert api.get_session(more.session).options["history_size"] == 30


def test_disp_prints_the_outcome(api: lbfgsd.Client, capsys: pytest.CaptureFixture[str]) -> None:
    result = lbfgsd.minimize(rosenbrock, [-1.2, 1.0], jac=True, client=api, options={"disp": True})
    printed = capsys.readouterr().out
    assert result.message in printed and f"{result.nit} iterations" in printed


def test_a_start_has_one_dimension(api: lbfgsd.Client) -> None:
    with pytest.raises(ValueError, match="one dimension"):
        lbfgsd.minimize(rosenbrock, [[-1.2, 1.0]], jac=True, client=api)
    known = lbfgsd.minimize(rosenbrock, [-1.2, 1.0], jac=True, client=api)
    with pytest.raises(ValueError, match="one dimension"):
        lbfgsd.minimize(rosenbrock, [[1.0, 1.0]], jac=True, client=api, session=known.session)


def test_a_session_with_another_name_is_an_error(api: lbfgsd.Client) -> None:
    known = lbfgsd.minimize(rosenbrock, [-1.2, 1.0], jac=True, client=api)
    for more in ({"name": "other"}, {"labels": {"a": "b"}}):
        with pytest.raises(ValueError, match="update_session"):
            lbfgsd.minimize(rosenbrock, jac=True, client=api, session=known.session, **more)


# Counts and callbacks


@pytest.mark.parametrize("mode", ["robust", "torch"])
def test_a_resumed_run_counts_what_it_did(api: lbfgsd.Client, mode: str) -> None:
    """A run whose program was killed in the middle of a step, and one that goes on with it."""
    options = {"mode": mode, "gtol": 1e-8}
    whole = lbfgsd.minimize(rosenbrock, rosenbrock_start(6), jac=True, client=api, options=options)
    first = api.create_session(rosenbrock_start(6), options=api.get_session(whole.session).options)
    turn = api.begin_step(first)
    for _ in range(15):
        turn = api.tell(first, turn.evaluation.number, *rosenbrock(turn.evaluation.x))
    assert turn.evaluation is not None and turn.iterations is not None
    assert 5 < turn.iterations < 15
    calls: list[Any] = []

    def counted(x: Any) -> Any:
        calls.append(x)
        return rosenbrock(x)

    rest = lbfgsd.minimize(counted, jac=True, client=api, session=first, options=options)
    assert rest.success and rest.nfev == len(calls)
    if mode == "robust":
        assert np.array_equal(rest.x, whole.x)
        assert rest.nfev == whole.nfev - 15 and rest.nit == whole.nit - turn.iterations


@pytest.mark.parametrize("mode", ["robust", "torch"])
def test_a_callback_costs_no_request(
    api: lbfgsd.Client, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    sent = Requests(api, monkeypatch)
    options = {"mode": mode}
    plain = lbfgsd.minimize(rosenbrock, rosenbrock_start(6), jac=True, client=api, options=options)
    before, sent.lines = sent.lines, []
    seen: list[Any] = []

    def keep(intermediate_result: Any) -> None:
        seen.append(intermediate_result)

    called = lbfgsd.minimize(
        rosenbrock,
        rosenbrock_start(6),
        jac=True,
        client=api,
        options=options,
        callback=keep,
    )
    assert len(sent.lines) == len(before) and np.array_equal(plain.x, called.x)
    assert called.nit == plain.nit == seen[-1].nit
    if mode == "robust":
        assert [result.nit for result in seen] == list(range(1, called.nit + 1))
    else:
        # The last iteration may end where it begins, when torch finds no way down.
        assert called.nit - 1 <= len(seen) <= called.nit
    for result in seen:
        loss, gradient = rosenbrock(result.x)
        assert result.fun == loss and np.array_equal(result.jac, gradient)
    losses = [result.fun for result in seen]
    assert losses == sorted(losses, reverse=True) and losses[-1] == called.fun
    # They are the points where steps of one iteration end.
    if mode == "robust":
        ends: list[Any] = []
        lbfgsd.minimize(
            rosenbrock,
            rosenbrock_start(6),
            jac=True,
            client=api,
            options={"max_iter": 1},
            callback=ends.append,
        )
        assert np.array_equal(ends, [result.x for result in seen])


def test_a_callback_with_an_l1_term_sees_the_whole_loss(api: lbfgsd.Client) -> None:
    seen: list[Any] = []

    def bowl(x: Any) -> Any:
        return float(((x - 2) ** 2).sum()), 2 * (x - 2)

    def keep(intermediate_result: Any) -> None:
        seen.append(intermediate_result)

    result = lbfgsd.minimize(bowl, [5.0, -1.0], jac=True, client=api, l1=[1.0, 6.0], callback=keep)
    assert len(seen) == result.nit > 0 and seen[-1].fun == result.fun
    for its in seen:
        assert its.fun == pytest.approx(bowl(its.x)[0] + abs(its.x) @ [1.0, 6.0])


def test_a_callback_ends_the_run_at_its_iteration(api: lbfgsd.Client) -> None:
    points: list[Any] = []

    def third(x: Any) -> None:
        points.append(x)
        if len(points) == 3:
            raise StopIteration

    result = lbfgsd.minimize(rosenbrock, rosenbrock_start(6), jac=True, client=api, callback=third)
    assert result.status == 99 and result.nit == 3 and np.array_equal(result.x, points[-1])
    assert api.ask(result.session).state == "idle"


# Losses without end


ENDLESS: dict[str, Callable[[Any], Any]] = {
    "linear": lambda x: (x.sum(), np.ones_like(x)),
    "a concave parabola": lambda x: (-(x @ x), -2 * x),
    "an exponential": lambda x: (-np.exp(x).sum(), -np.exp(x)),
    "a cubic": lambda x: (-(x**3).sum(), -3 * x**2),
}


@pytest.mark.parametrize("mode", ["robust", "torch"])
@pytest.mark.parametrize("problem", ENDLESS)
def test_an_unbounded_loss_has_a_reason_of_its_own(
    api: lbfgsd.Client, problem: str, mode: str
) -> None:
    with np.errstate(over="ignore"):
        result = lbfgsd.minimize(
            ENDLESS[problem], [1.0, 0.5], jac=True, client=api, options={"mode": mode}
        )
    assert result.reason == "unbounded" and result.status == 2 and not result.success
    assert "without end" in result.message and result.fun < -1e15
    assert result.nfev < (40 if mode == "robust" else 400)
    assert api.ask(result.session).state == "idle"


def test_far_minima_and_steep_losses_are_no_loss_without_end(api: lbfgsd.Client) -> None:
    for centre, scale in ((1e9, 1.0), (-3e14, 1.0), (2.0, 1e200), (1e6, 1e-12)):

        def bowl(x: Any, centre: float = centre, scale: float = scale) -> Any:
            return scale * float(((x - centre) ** 2).sum()), 2 * scale * (x - centre)

        options = {"gtol": 1e-12 * scale * abs(centre), "ftol": 0}
        result = lbfgsd.minimize(bowl, [0.0, 1.0], jac=True, client=api, options=options)
        assert result.reason != "unbounded", (centre, scale)
        assert np.allclose(result.x, centre), (centre, scale, result)


def test_bounds_end_what_has_no_end(api: lbfgsd.Client) -> None:
    result = lbfgsd.minimize(
        ENDLESS["linear"], [1.0, 0.5], jac=True, client=api, bounds=[(-1e12, None), (-3, 3)]
    )
    assert result.success and result.x.tolist() == [-1e12, -3]
