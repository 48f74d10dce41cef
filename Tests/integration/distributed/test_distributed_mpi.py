"""`lbfgsd.distributed.minimize` on ranks of MPI, which talk to their neighbours."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine_files import library

pytest.importorskip("mpi4py")

SCRIPT = Path(__file__).with_name("mpi_rank.py")


def run(ranks: int, out: Path) -> dict[str, Any]:
    mpirun = shutil.which("mpirun")
    assert mpirun, "Debian's openmpi-bin has it"
    environment = {
        **os.environ,
        "LBFGSD_LIBRARY": str(library()),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        # Tests may run as root, on fewer processors than ranks.
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    }
    done = subprocess.run(
        [mpirun, "--oversubscribe", "-n", str(ranks), sys.executable, str(SCRIPT), str(out)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def test_ranks_find_the_minimum_of_one_process_and_the_same_bits_each_time(tmp_path: Path) -> None:
    one = run(1, tmp_path / "one")
    three = run(3, tmp_path / "three")
    assert three["reason"] == one["reason"] == "gradient_tolerance"
    assert three["fun"] == pytest.approx(one["fun"], rel=1e-12)
    np.testing.assert_allclose(three["x"], one["x"], atol=1e-8)
    assert abs(three["nfev"] - one["nfev"]) <= 3
    assert run(3, tmp_path / "again") == three
