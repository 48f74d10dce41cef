"""What some examples of the site print: that they run is tested in test_site.py."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from command import environment
from daemon import ROOT, Daemon
from pages import DOCS, examples

SECONDS = 120


def example(page: str, language: str, number: int = 0) -> str:
    found = [one.text for one in examples(DOCS / page) if one.language == language]
    return found[number]


def run(daemon: Daemon, language: str, text: str) -> str:
    command = {"sh": ["sh", "-eu", "-c", text], "python": [sys.executable, "-c", text]}[language]
    variables = environment(
        LBFGSD_URL=daemon.url,
        PYTHONPATH=str(ROOT / "clients" / "python" / "src"),
        PATH=os.environ["PATH"],
        # For problems of this size, further threads only cost time.
        OMP_NUM_THREADS="1",
    )
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_curl(shared_daemon: Daemon) -> None:
    printed = run(shared_daemon, "sh", example("howto/other-languages.md", "sh"))
    begun, second, third, done, head, *points = printed.splitlines()
    for line, number, x in ((begun, 1, 3), (second, 2, 2), (third, 3, 0)):
        assert f'"evaluation":{{"number":{number},"x":[{x}.0]}}' in line
    assert '"state":"idle"' in done and '"x":[0.0]' in done
    assert '"reason":"gradient_tolerance"' in done
    assert head.startswith("evaluation,") and len(points) == 3


def test_scipy_style(shared_daemon: Daemon) -> None:
    printed = run(shared_daemon, "python", example("howto/from-scipy-or-torch.md", "python"))
    assert printed.startswith("[1. 1.]") or re.match(r"\[(1\.0000|0\.9999)", printed)
    assert "CONVERGENCE" in printed
    x, multiplier = re.findall(r"\[([^]]*)\]", printed.splitlines()[1])[::2]
    assert x.split()[0] == "0.5" and float(multiplier) < 0


def test_many_starts(shared_daemon: Daemon) -> None:
    text = example("howto/many-starts.md", "python")
    message, *minima = run(shared_daemon, "python", text).splitlines()
    assert message.startswith("every run has ended; the best run: CONVERGENCE")
    found = {tuple(round(float(x), 2) for x in line[1:].split("]")[0].split()) for line in minima}
    # All of Himmelblau's minima.
    assert found == {(3.0, 2.0), (-2.81, 3.13), (-3.78, -3.28), (3.58, -1.85)}


def test_torch(shared_daemon: Daemon) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    text = example("howto/from-scipy-or-torch.md", "python", 1)
    mine = run(shared_daemon, "python", text).splitlines()
    was = re.sub(r"from lbfgsd\.torch import LBFGS.*", "from torch.optim import LBFGS", text)
    theirs = run(shared_daemon, "python", was).splitlines()
    losses = [[float(line.split()[1]) for line in lines] for lines in (mine, theirs)]
    assert [line.split()[0] for line in mine] == [str(epoch) for epoch in range(10)]
    assert losses[0][-1] < 0.05 * losses[0][0]
    # In float32 the trajectories diverge after some hundred evaluations.
    assert losses[0][:2] == pytest.approx(losses[1][:2], rel=1e-3)
