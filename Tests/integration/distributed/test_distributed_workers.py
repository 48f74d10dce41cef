"""Workers, coordinator and `minimize` of `lbfgsd.distributed` in this process."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lbfgsd
from engine_files import library
from lbfgsd.distributed import Command, Coordinator, NumPyVectors, Worker, minimize
from lbfgsd.distributed.worker import added
from problems import Quadratic, rosenbrock, rosenbrock_start

ROBUST = {"mode": "robust", "history_size": 5, "max_iter": 1000}


@pytest.fixture(autouse=True)
def engine_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LBFGSD_LIBRARY", str(library()))


def ranks(x0: Any, count: int) -> list[Worker]:
    return [Worker(part.copy(), NumPyVectors()) for part in np.array_split(x0, count)]


def turn(coordinator: Coordinator, workers: list[Worker], fun: Any, *, last: Any = None) -> Any:
    """Executes the newest command and answers it; returns the point, or None at the end."""
    command = Command.read(coordinator.command())
    for worker in workers:
        worker.execute(command)
    if command.trial is None:
        return None
    point = np.concatenate([worker.point(command.trial) for worker in workers])
    loss, gradient = fun(point)
    parts = np.split(gradient, np.cumsum([worker.x.size for worker in workers])[:-1])
    reports = [
        worker.report(part.copy(), command.trial)
        for worker, part in zip(workers, parts, strict=True)
    ]
    coordinator.advance(loss, added(reports))
    return point


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("options", [{}, {"mode": "torch", "line_search_fn": "strong_wolfe"}])
def test_minimize_finds_what_the_engine_on_arrays_finds(options: Any, dtype: Any) -> None:
    x0 = np.array(rosenbrock_start(40), dtype=dtype)
    budget: dict[str, Any] = {"max_iter": 1000, "max_eval": 1250}
    result = minimize(
        lambda x: rosenbrock(x.astype(np.float64)), x0, tolerance_grad=1e-4, **budget, **options
    )
    assert result.x.dtype == dtype
    assert result.fun < 1e-4
    np.testing.assert_allclose(result.x, 1, atol=0.05)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_coordinator_restored_at_every_command_gives_the_same_points(count: int) -> None:
    runs = []
    for resumes in (False, True):
        coordinator = Coordinator(library(), "float64", ROBUST)
        coordinator.begin()
        workers = ranks(rosenbrock_start(12), count)
        points = []
        while (point := turn(coordinator, workers, rosenbrock)) is not None:
            points.append(point.tobytes())
            if resumes:
                coordinator = Coordinator.restored(library(), coordinator.snapshot())
        runs.append((points, coordinator.result()))
    assert runs[0] == runs[1]
    assert runs[0][1].converged


def test_a_snapshot_that_is_cut_or_changed_is_refused() -> None:
    coordinator = Coordinator(library(), "float64", ROBUST)
    coordinator.begin()
    workers = ranks(rosenbrock_start(4), 2)
    for _ in range(9):
        turn(coordinator, workers, rosenbrock)
    snapshot = coordinator.snapshot()
    for end in range(0, len(snapshot), 7):
        with pytest.raises(ValueError, match=r"snapshot|bytes"):
            Coordinator.restored(library(), snapshot[:end])
    for index in range(0, len(snapshot), 5):
        changed = bytearray(snapshot)
        changed[index] ^= 1 << index % 8
        with pytest.raises(ValueError, match=r"snapshot|bytes"):
            Coordinator.restored(library(), bytes(changed))


def test_a_worker_refuses_a_command_twice_and_one_after_a_gap() -> None:
    coordinator = Coordinator(library(), "float64", ROBUST)
    coordinator.begin()
    workers = ranks(rosenbrock_start(4), 2)
    turn(coordinator, workers, rosenbrock)
    second = Command.read(coordinator.command())
    workers[0].execute(second)
    with pytest.raises(ValueError, match="next command is number 3, not 2"):
        workers[0].execute(second)
    late = Worker(workers[1].x, NumPyVectors())
    with pytest.raises(ValueError, match="next command is number 1, not 2"):
        late.execute(second)


def test_a_report_of_another_length_changes_nothing() -> None:
    coordinator = Coordinator(library(), "float64", ROBUST)
    coordinator.begin()
    before = coordinator.snapshot()
    with pytest.raises(ValueError, match="10 numbers, not 11"):
        coordinator.advance(1.0, np.zeros(11))
    assert coordinator.snapshot() == before


def test_infeasible_points_and_exceptions() -> None:
    problem = Quadratic(20, 100)

    def walled(x: Any) -> tuple[float, Any]:
        if np.abs(x).max() > 1.5:
            raise lbfgsd.Infeasible
        return problem(x)

    result = minimize(walled, problem.start)
    assert result.success

    def broken(x: Any) -> tuple[float, Any]:
        raise KeyError("mesh")

    with pytest.raises(KeyError, match="mesh"):
        minimize(broken, problem.start)


@pytest.mark.parametrize(
    ("x0", "message"),
    [
        (np.zeros((2, 2)), "2 dimensions"),
        (np.zeros(2, dtype=int), "int64"),
        (np.array([0.0, np.nan]), "must be finite"),
    ],
)
def test_a_start_that_is_none(x0: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        minimize(rosenbrock, x0)


def test_a_gradient_of_another_shape_and_an_unknown_option() -> None:
    with pytest.raises(ValueError, match="must have 2 numbers"):
        minimize(lambda x: (0.0, np.zeros(3)), np.zeros(2))
    with pytest.raises(TypeError, match="unknown option: historysize"):
        minimize(rosenbrock, np.zeros(2), historysize=3)
