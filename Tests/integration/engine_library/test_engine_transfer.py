"""Runs in this process become a daemon's sessions, and sessions become runs in this process, in the
middle of a line search, without a changed bit."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lbfgsd
from daemon import ROOT, Daemon, binary
from lbfgsd import Client
from lbfgsd._engine.sessions import read_session_file
from lbfgsd._engine.snapshots import Snapshot
from problems import rosenbrock, rosenbrock_start

START = np.array(rosenbrock_start(8))
CASES: dict[str, dict[str, Any]] = {
    "robust": {},
    "bounds": {"bounds": [(-0.5, 0.75)] * 4 + [(None, None)] * 4},
    "l1": {"l1": [0.05] * 4 + [0.1] * 4},
    "one bound": {"bounds": [(-0.5, 0.75)] * 8, "l1": 0.05},
    "more_thuente": {"options": {"line_search_fn": "more_thuente", "noise": 1e-9}},
    "backtracking": {"options": {"line_search_fn": "backtracking", "noise": "float32"}},
    "strong_wolfe": {"options": {"line_search_fn": "strong_wolfe", "history_dtype": "bfloat16"}},
    "torch": {"options": {"mode": "torch", "ftol": 1e-14}},
    "many steps": {"options": {"max_iter": 3, "maxcor": 5}},
}
EVALUATIONS = (1, 2, 5, 11, 23, 38)
RESULT = ("x", "fun", "jac", "status", "message", "reason")


pytestmark = pytest.mark.usefixtures("engine_library")


@pytest.fixture(scope="module")
def client(shared_daemon: Daemon) -> Iterator[Client]:
    with Client(shared_daemon.url) as client:
        yield client


class Stopped(Exception):
    pass


class Observed:
    """The function and the points where it was called; it dies before call number `last`."""

    def __init__(self, last: float = np.inf) -> None:
        self.last, self.points = last, list[bytes]()

    def __call__(self, x: Any) -> Any:
        if len(self.points) >= self.last:
            raise Stopped
        self.points.append(x.tobytes())
        return rosenbrock(x)


def started(path: Path, evaluations: int, **more: Any) -> list[bytes]:
    """Runs until so many evaluations are made; their points."""
    fun = Observed(evaluations)
    with pytest.raises(Stopped):
        lbfgsd.minimize(fun, START, jac=True, journal=path, **more)
    return fun.points


def assert_same(one: Any, other: Any) -> None:
    for name in RESULT:
        assert np.array_equal(one[name], other[name]), name


@pytest.mark.parametrize(("case", "evaluations"), [*itertools.product(CASES, EVALUATIONS)])
def test_a_run_goes_on_as_a_session(
    tmp_path: Path, client: Client, case: str, evaluations: int
) -> None:
    path, more = tmp_path / "run.lbfgsd", CASES[case]
    whole = Observed()
    expected = lbfgsd.minimize(whole, START, jac=True, engine="local", **more)
    points = started(path, evaluations, **more)
    before = path.read_bytes()
    session = lbfgsd.import_journal(client, path, name="taken over")
    assert path.read_bytes() == before
    assert (session.name, session.state, session.dtype) == ("taken over", "evaluating", "float64")
    turn = client.ask(session)
    assert turn.evaluation is not None and turn.evaluation.number == session.evaluation
    assert turn.evaluation.x.tobytes() == whole.points[evaluations]
    rest = Observed()
    found = lbfgsd.minimize(
        rest, jac=True, client=client, session=session, options=more.get("options")
    )
    assert points + rest.points == whole.points
    assert_same(found, expected)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("case", "evaluations"), [*itertools.product(CASES, EVALUATIONS[1::2])])
def test_a_session_goes_on_as_a_run(
    tmp_path: Path, client: Client, case: str, evaluations: int, dtype: str
) -> None:
    path, more = tmp_path / "run.lbfgsd", dict(CASES[case])
    options = {"gtol": 1e-3, **more.pop("options", {})}
    if "bounds" in more:
        ends = np.array(more.pop("bounds"), dtype=float)
        more["lower"] = np.where(np.isnan(ends[:, 0]), -np.inf, ends[:, 0])
        more["upper"] = np.where(np.isnan(ends[:, 1]), np.inf, ends[:, 1])
    mode = options.get("mode", "robust")
    session = client.create_session(START, dtype=dtype, options={"mode": mode}, **more)
    with pytest.raises(Stopped):
        lbfgsd.minimize(
            Observed(evaluations), jac=True, client=client, session=session, options=options
        )
    # The exception has stopped the step: another one is begun and told a little.
    turn = client.begin_step(session)
    for _ in range(3):
        if turn.evaluation is not None:
            loss, gradient = rosenbrock(turn.evaluation.x.astype(np.float64))
            turn = client.tell(session, turn.evaluation.number, loss, gradient)
    lbfgsd.export_journal(client, session, path)
    with pytest.raises(lbfgsd.JournalError, match="exists"):
        lbfgsd.export_journal(client, session, path)
    own, theirs = Observed(), Observed()
    for _ in range(2):
        # It dies once more, in this process.
        dying = Observed(4)
        with contextlib.suppress(Stopped):
            lbfgsd.minimize(dying, jac=True, journal=path, options=options)
        own.points += dying.points
    found = lbfgsd.minimize(own, jac=True, journal=path, options=options)
    expected = lbfgsd.minimize(theirs, jac=True, client=client, session=session, options=options)
    assert own.points == theirs.points
    assert_same(found, expected)
    assert (found.nit, found.nfev) == (expected.nit, expected.nfev)


def test_there_and_back_the_scalars_are_the_same(tmp_path: Path, client: Client) -> None:
    for case, more in CASES.items():
        path, back = tmp_path / f"{case}.lbfgsd", tmp_path / f"{case}.back.lbfgsd"
        file, again = tmp_path / "session", tmp_path / "again"
        started(path, 20, **more)
        lbfgsd.journal_to_session_file(path, file)
        lbfgsd.session_file_to_journal(file, back)
        lbfgsd.journal_to_session_file(back, again)
        one, other = (read_session_file(name.read_bytes()) for name in (file, again))
        assert one.snapshot.written() == other.snapshot.written()
        assert Snapshot.read(one.snapshot.written()).written() == one.snapshot.written()
        # The daemon writes the same.
        exported = tmp_path / "exported"
        client.export_session(client.import_session(file), exported)
        theirs = read_session_file(exported.read_bytes())
        assert theirs.snapshot.scalars == one.snapshot.scalars
        assert theirs.snapshot.written() == one.snapshot.written()


def test_a_run_that_has_ended_is_an_idle_session(tmp_path: Path, client: Client) -> None:
    path = tmp_path / "run.lbfgsd"
    ended = lbfgsd.minimize(rosenbrock, START, jac=True, journal=path)
    session = lbfgsd.import_journal(client, path)
    assert session.state == "idle"
    assert client.get_params(session).x.tobytes() == ended.x.tobytes()
    copy = tmp_path / "copy.lbfgsd"
    lbfgsd.export_journal(client, session, copy)
    again = lbfgsd.minimize(rosenbrock, jac=True, journal=copy)
    assert again.success and again.fun <= ended.fun


def module(*words: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "clients" / "python" / "src")}
    command = [sys.executable, "-m", "lbfgsd", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_the_command_moves_runs_both_ways(tmp_path: Path, client: Client) -> None:
    path, file, back = (tmp_path / name for name in ("run.lbfgsd", "session", "back.lbfgsd"))
    whole = lbfgsd.minimize(rosenbrock, START, jac=True, engine="local")
    started(path, 17)
    moved = module("import", path, "--url", client.url, "--name", "moved")
    assert moved.returncode == 0, moved.stderr
    session = moved.stdout.strip()
    assert client.get_session(session).name == "moved"
    assert module("export", session, back, "--url", client.url).returncode == 0
    assert_same(lbfgsd.minimize(rosenbrock, jac=True, journal=back), whole)
    # By way of a file, which the daemon's own command reads.
    assert module("convert", path, file).returncode == 0
    command = [str(binary()), "import", "--url", client.url]
    with file.open("rb") as source:
        imported = subprocess.run(command, stdin=source, capture_output=True, text=True)
    assert imported.returncode == 0, imported.stderr
    session = imported.stdout.strip()
    found = lbfgsd.minimize(rosenbrock, jac=True, client=client, session=session)
    assert_same(found, whole)
    back.unlink()
    assert module("convert", file, back).returncode == 0
    assert_same(lbfgsd.minimize(rosenbrock, jac=True, journal=back), whole)
    missing = tmp_path / "missing"
    wrong = module("import", missing, "--url", client.url)
    assert (wrong.returncode, wrong.stderr) == (1, f"lbfgsd: {missing} does not exist\n")
    changed = bytearray(file.read_bytes())
    changed[-40] ^= 1
    file.write_bytes(changed)
    damaged = module("convert", file, tmp_path / "other")
    assert damaged.returncode == 1 and "its digest differs" in damaged.stderr


def test_sessions_that_are_no_runs_are_refused(tmp_path: Path, client: Client) -> None:
    session = client.create_session(START, options={"maximize": True})
    with pytest.raises(ValueError, match="maximizes"):
        lbfgsd.export_journal(client, session, tmp_path / "run.lbfgsd")
    assert list(tmp_path.iterdir()) == []
