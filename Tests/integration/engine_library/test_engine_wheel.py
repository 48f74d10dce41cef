"""`make wheel`: a wheel of the client with the engine inside."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

from daemon import ROOT
from engine_files import install_library, library

WHEEL_BYTES_MAX = 15e6

PROGRAM = """
import lbfgsd, numpy
result = lbfgsd.minimize(lambda x: (x @ x / 2, x), numpy.arange(5.0), jac=True)
print(lbfgsd.__file__, result.engine, result.reason, abs(result.x).max() < 1e-4)
"""


def test_an_installed_library_is_used_where_the_package_has_none(tmp_path: Path) -> None:
    install_library(tmp_path, "LIBDIR=/lib")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LBFGSD_")}
    environment |= {"PYTHONPATH": str(ROOT / "clients/python/src")}
    environment |= {"LD_LIBRARY_PATH": f"{tmp_path}/lib"}
    code = f"import lbfgsd._engine.library as found\nprint(found.library_path()){PROGRAM}"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    path, _, result = done.stdout.partition("\n")
    assert path == "liblbfgsd.so.1"
    assert result.endswith("/lbfgsd/__init__.py local gradient_tolerance True\n")


def test_a_wheel_has_the_engine_inside_and_runs_without_a_daemon(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LBFGSD_")}
    subprocess.run(
        [
            *("make", "-s", "-C", ROOT, "wheel", f"WHEEL_LIBRARY={library()}"),
            *(f"WHEEL_DIR={tmp_path}", f"PYTHON={sys.executable}"),
        ],
        check=True,
        env=environment,
    )
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.stat().st_size <= WHEEL_BYTES_MAX
    assert wheel.name.startswith("lbfgsd-") and "-py3-none-manylinux_" in wheel.name
    place = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        env={**environment, "PYTHONPATH": str(place)},
    )
    assert result.returncode == 0, result.stderr
    expected = f"{place}/lbfgsd/__init__.py local gradient_tolerance True\n"
    assert result.stdout == expected
    # The README's first program, as it is printed there.
    (line,) = re.findall(r"^\$ python (-c '.*')$", (ROOT / "README.md").read_text(), re.MULTILINE)
    first = subprocess.run(
        [sys.executable, *shlex.split(line)],
        capture_output=True,
        text=True,
        env={**environment, "PYTHONPATH": str(place)},
    )
    assert first.returncode == 0, first.stderr
    assert "engine: local" in first.stdout and "CONVERGENCE" in first.stdout
