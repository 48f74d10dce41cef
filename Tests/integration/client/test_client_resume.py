"""Runs that find their session by its name, and what is said where there is no server."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lbfgsd
from daemon import Daemon, free_port
from problems import rosenbrock

torch = pytest.importorskip("torch")

import lbfgsd.torch  # noqa: E402


@pytest.fixture
def api(shared_daemon: Daemon) -> Any:
    with lbfgsd.Client(shared_daemon.url) as client:
        yield client


class Killed(Exception):
    """The program ends in the middle of a run."""

    lbfgsd_session: str


def killed_after(count: int) -> Any:
    """Rosenbrock's function, which raises after some evaluations."""
    points: list[bytes] = []

    def fun(x: Any) -> Any:
        if len(points) == count:
            raise Killed
        points.append(np.asarray(x).tobytes())
        return rosenbrock(x)

    return fun


def minimum(api: lbfgsd.Client, fun: Any, **arguments: Any) -> Any:
    return lbfgsd.minimize(fun, [-1.2, 1.0], jac=True, client=api, **arguments)


def test_minimize_goes_on_with_the_session_of_its_name(api: lbfgsd.Client) -> None:
    with pytest.raises(Killed) as stopped:
        minimum(api, killed_after(9), name="again", resume=True, labels={"a": "b"})
    result = minimum(api, rosenbrock, name="again", resume=True)
    assert result.success and result.session == stopped.value.lbfgsd_session
    assert api.get_session(result.session).labels == {"a": "b"}
    assert [found.id for found in api.sessions(name="again")] == [result.session]
    # Without resume another one is made, which is the newest then.
    other = minimum(api, rosenbrock, name="again")
    assert other.session != result.session
    assert minimum(api, rosenbrock, name="again", resume=True).session == other.session


def test_bounds_are_the_sessions_when_it_goes_on(api: lbfgsd.Client) -> None:
    bounds = [(None, 0.5), (None, None)]
    with pytest.raises(Killed):
        minimum(api, killed_after(4), bounds=bounds, name="box", resume=True)
    result = minimum(api, rosenbrock, bounds=bounds, name="box", resume=True)
    assert result.success and result.x[0] == 0.5


def test_arguments_that_contradict_each_other(api: lbfgsd.Client) -> None:
    session = api.create_session([1.0, 2.0])
    parameter = torch.nn.Parameter(torch.ones(2, dtype=torch.float64))
    cases: list[tuple[dict[str, Any], str]] = [
        ({"name": "x", "session": session}, "its own name"),
        ({"labels": {"a": "b"}, "session": session}, "its own name"),
        ({"resume": True}, "needs the name"),
        ({"resume": True, "session": session}, "by its name"),
    ]
    for wrong, words in cases:
        with pytest.raises(ValueError, match=words):
            minimum(api, rosenbrock, **wrong)
        with pytest.raises(ValueError, match=words):
            lbfgsd.torch.LBFGS([parameter], client=api, **wrong)


class Bowl:
    def __init__(self, api: lbfgsd.Client, **options: Any) -> None:
        self.x = torch.nn.Parameter(torch.tensor([-1.2, 1.0], dtype=torch.float64))
        self.optimizer = lbfgsd.torch.LBFGS([self.x], client=api, **options)

    def closure(self) -> Any:
        self.optimizer.zero_grad()
        loss = (1 - self.x[0]) ** 2 + 100 * (self.x[1] - self.x[0] ** 2) ** 2
        loss.backward()
        return loss

    def steps(self, count: int) -> list[float]:
        return [float(self.optimizer.step(self.closure).detach()) for _ in range(count)]


def test_torchs_optimizer_goes_on_with_the_session_of_its_name(api: lbfgsd.Client) -> None:
    options: dict[str, Any] = {"mode": "robust", "max_iter": 3, "history_dtype": "float32"}
    whole = Bowl(api, **options).steps(6)
    first = Bowl(api, name="net", labels={"who": "me"}, resume=True, **options)
    losses = first.steps(3)
    session = api.get_session(first.optimizer.session or "")
    assert session.name == "net" and session.labels == {"who": "me"}
    assert session.options["mode"] == "robust" and session.options["history_dtype"] == "float32"
    second = Bowl(api, name="net", resume=True, **options)
    assert second.optimizer.session == first.optimizer.session
    assert torch.equal(second.x, first.x)
    assert losses + second.steps(3) == whole


def test_a_mode_that_changes_changes_the_line_search(api: lbfgsd.Client) -> None:
    first = Bowl(api, line_search_fn="strong_wolfe", max_iter=4)
    first.steps(2)
    second = Bowl(api, session=first.optimizer.session, mode="robust", noise="float32")
    options = api.get_session(first.optimizer.session or "").options
    assert options["mode"] == "robust" and options["line_search_fn"] is None
    assert options["noise"] == "float32" and options["max_iter"] == 4
    assert second.steps(20)[-1] < 1e-6


def test_without_a_server_it_says_so_at_once() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    code = f"import lbfgsd; lbfgsd.minimize(lambda x: x @ x, [1.0], url={url!r})"
    began = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(Path(lbfgsd.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert time.monotonic() - began < 5
    last = ended.stderr.strip().splitlines()[-2:]
    assert url in last[0] and "refused" in last[0] and "lbfgsd serve" in last[1], ended.stderr
    assert "httpx" not in ended.stderr
