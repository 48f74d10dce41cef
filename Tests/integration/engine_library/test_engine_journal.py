"""`minimize(journal=...)`: a run in this process that is killed goes on with the same bits."""

from __future__ import annotations

import functools
import os
import random
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lbfgsd
from lbfgsd._engine import journal as files
from problems import Logistic, rosenbrock, rosenbrock_start

START = rosenbrock_start(8)
BOUNDS = [(-0.5, 0.75)] * 4 + [(None, None)] * 4
CASES: dict[str, dict[str, Any]] = {
    "robust": {},
    "bounds": {"bounds": BOUNDS},
    "bounds and l1": {"bounds": BOUNDS, "l1": 0.05},
    "torch": {"options": {"mode": "torch", "ftol": 1e-14}},
    "many steps": {"options": {"max_iter": 3, "reuse_evaluation": False, "maxcor": 5}},
    "float32 noise": {"options": {"noise": "float32", "history_dtype": "bfloat16"}},
    "differences": {"jac": None},
}
KILLS = int(os.environ.get("LBFGSD_JOURNAL_KILLS", "35"))
RESULT = ("x", "fun", "jac", "nfev", "njev", "nit", "status", "message", "reason")


pytestmark = pytest.mark.usefixtures("engine_library")


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are written anew every few evaluations."""
    monkeypatch.setattr(files, "COMPACTED_BYTES_MIN", 500)
    monkeypatch.setattr(files, "COMPACTED_STATES", 0)


def value(x: Any) -> float:
    return float(rosenbrock(x)[0])


def run(path: Path | None, fun: Any = None, x0: Any = START, **more: Any) -> Any:
    arguments = {"jac": True, **more}
    fun = fun or (rosenbrock if arguments["jac"] is True else value)
    return lbfgsd.minimize(fun, x0, engine="local", journal=path, **arguments)


def unused(*_: Any) -> Any:
    raise AssertionError("this evaluation is in the journal")


def assert_same(one: Any, other: Any) -> None:
    assert set(one) == set(other)
    for name in RESULT:
        assert np.array_equal(one[name], other[name]), name


def killed(body: Callable[[], Any], after: float) -> bool:
    """Runs `body` in a process that is killed after so many seconds. Whether it ended before."""
    child = os.fork()
    if child == 0:
        try:
            body()
            os._exit(0)
        except BaseException:
            os._exit(1)
    deadline = time.monotonic() + after
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            assert status == 0
            return True
        time.sleep(0.0005)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL)
    return status == 0


@pytest.mark.parametrize("case", CASES)
def test_a_journal_changes_nothing_and_a_finished_one_has_the_result(
    tmp_path: Path, case: str
) -> None:
    path, more = tmp_path / "run.lbfgsd", CASES[case]
    whole = run(None, **more)
    assert_same(run(path, **more), whole)
    assert_same(run(path, unused, **more), whole)
    assert_same(run(path, unused, None, **more), whole)
    assert sorted(tmp_path.iterdir()) == [path]


@pytest.mark.usefixtures("short")
def test_killed_at_any_moment_it_goes_on_with_the_same_bits(tmp_path: Path) -> None:
    seed = int(os.environ.get("LBFGSD_JOURNAL_SEED", time.time_ns() % 10**6))
    chance, kills, runs = random.Random(seed), 0, 0
    print(f"LBFGSD_JOURNAL_SEED={seed}")
    wholes = {case: run(None, **more) for case, more in CASES.items()}
    while kills < KILLS or runs < len(CASES):
        case = list(CASES)[runs % len(CASES)]
        path, more = tmp_path / f"{runs}.lbfgsd", CASES[case]
        began = time.monotonic()
        run(tmp_path / "measured.lbfgsd", **more)
        seconds = time.monotonic() - began
        (tmp_path / "measured.lbfgsd").unlink()
        while not killed(functools.partial(run, path, **more), chance.uniform(0, seconds)):
            kills += 1
        assert_same(run(path, unused, **more), wholes[case])
        runs += 1
    print(f"{kills} kills, {runs} runs")


def last_records(path: Path, count: int) -> int:
    """Where the last records begin."""
    content, at = path.read_bytes(), path.stat().st_size
    for _ in range(count):
        at = content.rfind(b"LBFJ", 0, at)
    return at


def test_a_record_that_was_being_written_is_cut_off(tmp_path: Path) -> None:
    path, torn = tmp_path / "run.lbfgsd", tmp_path / "torn.lbfgsd"
    whole = run(path)
    content = path.read_bytes()
    for size in range(last_records(path, 4), len(content)):
        torn.write_bytes(content[:size])
        calls: list[Any] = []

        def counted(x: Any, calls: list[Any] = calls) -> Any:
            calls.append(x)
            return rosenbrock(x)

        assert_same(run(torn, counted), whole)
        assert len(calls) <= 3
        assert torn.read_bytes() == content
    # What a file system may leave of an append, after a power loss.
    torn.write_bytes(content[: last_records(path, 2)] + bytes(400))
    assert_same(run(torn), whole)
    assert torn.read_bytes() == content


@pytest.mark.usefixtures("short")
def test_flipped_bits_are_refused_or_harmless(tmp_path: Path) -> None:
    path, damaged = tmp_path / "run.lbfgsd", tmp_path / "damaged.lbfgsd"
    whole = run(path)
    content, chance, refused = path.read_bytes(), random.Random(5), 0
    places = [*range(0, len(content), 13), *range(last_records(path, 2), len(content))]
    for place in places:
        changed = bytearray(content)
        changed[place] ^= 1 << chance.randrange(8)
        damaged.write_bytes(changed)
        try:
            result = run(damaged)
        except lbfgsd.JournalError:
            refused += 1
            assert damaged.read_bytes() == changed
        else:
            assert_same(result, whole)
    assert refused > len(places) / 2


def test_a_journal_without_a_record_in_the_middle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.lbfgsd"
    run(path)
    content = path.read_bytes()
    begin, end = last_records(path, 5), last_records(path, 4)
    path.write_bytes(content[:begin] + content[end:])
    with pytest.raises(lbfgsd.JournalError, match="does not fit: it has evaluation"):
        run(path)
    path.write_bytes(b"something else")
    with pytest.raises(lbfgsd.JournalError, match="is no journal of a local run"):
        run(path)
    path.write_bytes(content[:50])
    with pytest.raises(lbfgsd.JournalError, match=r"is (no journal|damaged)"):
        run(path)
    path.write_bytes(content[:100])
    with pytest.raises(lbfgsd.JournalError, match="ends within its header"):
        run(path)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"options": {"gtol": 1e-3}}, "options.gtol was 1e-05, and is 0.001"),
        ({"options": {"mode": "torch"}}, "options.ftol|options.mode"),
        ({"options": {"maxcor": 3}}, "options.service.history_size was 10, and is 3"),
        ({"bounds": BOUNDS}, "lower differs"),
        ({"l1": 0.5}, "l1 differs"),
        ({"x0": rosenbrock_start(8) + np.array(1e-9)}, "x0 differs"),
        ({"x0": rosenbrock_start(6)}, "x0 has 6 numbers, the journal's has 8"),
        ({"jac": None}, "jac was None, and is '2-point'"),
    ],
)
def test_the_journal_of_another_problem_is_refused(
    tmp_path: Path, more: dict[str, Any], message: str
) -> None:
    path = tmp_path / "run.lbfgsd"
    whole = run(path, x0=np.array(START))
    before = path.read_bytes()
    with pytest.raises(lbfgsd.JournalError, match=message):
        run(path, **more)
    assert path.read_bytes() == before
    assert_same(run(path, unused), whole)


def test_two_runs_cannot_write_one_journal(tmp_path: Path) -> None:
    path = tmp_path / "run.lbfgsd"
    errors: list[str] = []

    def nested(x: Any) -> Any:
        if not errors:
            with pytest.raises(lbfgsd.JournalError) as caught:
                run(path)
            errors.append(str(caught.value))
        return rosenbrock(x)

    assert_same(run(path, nested), run(None))
    assert errors == [f"{path} is in use by another run"]


def test_a_full_disk_is_an_error_and_loses_nothing(tmp_path: Path) -> None:
    path, whole = tmp_path / "run.lbfgsd", run(None)

    def limited(size: int) -> Callable[[], None]:
        def body() -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
            with pytest.raises(lbfgsd.JournalError, match="nothing is lost"):
                run(path)

        return body

    assert killed(limited(100), 60)
    assert list(tmp_path.iterdir()) == []
    for size in (5000, 5501, 6002, 9000):
        assert killed(limited(size), 60)
        assert 4000 < path.stat().st_size <= size
    assert_same(run(path), whole)


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    path, calls = tmp_path / "run.lbfgsd", []

    def interrupted(x: Any) -> Any:
        calls.append(x)
        if len(calls) % 9 == 0:
            raise KeyboardInterrupt
        return rosenbrock(x)

    interruptions = 0
    while True:
        try:
            result = run(path, interrupted)
            break
        except KeyboardInterrupt:
            interruptions += 1
    assert interruptions > 5 and len(calls) == result.nfev + interruptions
    assert_same(result, run(None))


def test_points_where_the_loss_is_undefined_are_recorded(tmp_path: Path) -> None:
    path, options = tmp_path / "run.lbfgsd", {"lr": 100.0}

    def root(x: Any) -> Any:
        if x[0] <= 0:
            raise lbfgsd.Infeasible("not there")
        return float(x[0] - np.log(x[0])), 1 - 1 / x

    whole = run(None, root, [20.0], options=options)
    assert_same(run(path, root, [20.0], options=options), whole)
    assert_same(run(path, unused, [20.0], options=options), whole)


@pytest.mark.usefixtures("short")
def test_callbacks_see_every_iteration(tmp_path: Path) -> None:
    """A run that dies in a callback makes that call again, and no other."""
    path = tmp_path / "run.lbfgsd"
    seen: list[bytes] = []
    whole = run(None, callback=lambda x: seen.append(x.tobytes()))
    points: list[bytes] = []
    for _ in range(200):
        first = len(points)

        def callback(x: Any, first: int = first) -> None:
            points.append(x.tobytes())
            if len(points) == first + 4:
                raise ZeroDivisionError

        try:
            result = run(path, callback=callback)
            break
        except ZeroDivisionError:
            points.pop()
    assert_same(result, whole)
    assert points == seen
    assert_same(run(path, unused, callback=unused), whole)


def test_a_callback_that_ends_the_run_ends_it_once(tmp_path: Path) -> None:
    path, points = tmp_path / "run.lbfgsd", []

    def callback(x: Any) -> None:
        points.append(x)
        if len(points) == 5:
            raise StopIteration

    ended = run(path, callback=callback)
    assert ended.reason == "callback" and ended.nit == 5
    assert_same(run(path, unused, callback=unused), ended)


def test_a_loss_that_falls_without_end_ends_again(tmp_path: Path) -> None:
    path = tmp_path / "run.lbfgsd"

    def slope(x: Any) -> Any:
        return float(x.sum()), np.ones_like(x)

    ended = run(path, slope)
    assert ended.reason == "unbounded"
    assert_same(run(path, unused), ended)


def test_many_parameters(tmp_path: Path) -> None:
    problem = Logistic()
    path = tmp_path / "run.lbfgsd"
    whole = run(None, problem, problem.start)
    assert_same(run(path, problem, problem.start), whole)
    n = 3000
    scales = np.linspace(1, 50, n)

    def bowl(x: Any) -> Any:
        return float(scales @ x**2), 2 * scales * x

    path = tmp_path / "long.lbfgsd"
    whole = run(None, bowl, np.ones(n), options={"maxcor": 3})
    assert_same(run(path, bowl, np.ones(n), options={"maxcor": 3}), whole)
    assert_same(run(path, unused, np.ones(n), options={"maxcor": 3}), whole)


def test_a_journal_is_for_runs_in_this_process(tmp_path: Path) -> None:
    path = tmp_path / "run.lbfgsd"
    with pytest.raises(TypeError, match="journal"):
        lbfgsd.minimize(rosenbrock, START, jac=True, journal=path, engine="server")
    with pytest.raises(TypeError, match="has no name"):
        lbfgsd.minimize(rosenbrock, START, jac=True, journal=path, name="kept")
    with pytest.raises(TypeError, match="x0 is missing"):
        lbfgsd.minimize(rosenbrock, jac=True, journal=path)
    with pytest.raises(lbfgsd.JournalError, match="can't be created"):
        run(tmp_path / "missing" / "run.lbfgsd")
