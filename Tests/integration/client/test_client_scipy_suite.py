"""SciPy's own tests of L-BFGS-B, from the installed package, against `lbfgsd.scipy_method`."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import scipy.optimize.tests

from daemon import ROOT, Daemon

HERE = Path(__file__).resolve().parents[1]
MODULES = ("test_optimize", "test_lbfgsb_hessinv", "test_lbfgsb_setulb", "test__basinhopping")
SELECTED = (
    "l-bfgs-b or l_bfgs_b or lbfgsb or hessinv or bounds or tol_parameter or step_scaling "
    "or x_shape or x_overwritten or basinhopping or issue18730"
)
DIFFERENT: dict[str, str] = {}
"""Tests that can't pass, and why."""


@pytest.mark.timeout(900)
def test_scipys_tests_pass(shared_daemon: Daemon, tmp_path: Path) -> None:
    tests = Path(scipy.optimize.tests.__file__).parent
    report = tmp_path / "report.xml"
    command = [sys.executable, "-m", "pytest", "-p", "scipy_suite", "-p", "no:cacheprovider", "-q"]
    command += ["-c", os.devnull, "--rootdir", str(tests), f"--junitxml={report}", "-k", SELECTED]
    done = subprocess.run(
        [*command, *(str(tests / f"{module}.py") for module in MODULES)],
        env={
            **os.environ,
            "LBFGSD_URL": shared_daemon.url,
            "PYTHONPATH": os.pathsep.join([str(HERE), str(ROOT / "clients" / "python" / "src")]),
        },
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert report.exists(), done.stdout[-4000:]
    passed, failed = set(), set()
    for case in ElementTree.parse(report).iter("testcase"):
        name = case.get("name", "")
        if case.find("failure") is not None or case.find("error") is not None:
            failed.add(name)
        elif case.find("skipped") is None:
            passed.add(name)
    assert failed == set(DIFFERENT), done.stdout[-20_000:]
    assert len(passed) >= 50, sorted(passed)
