"""The C library from C, C++ and Fortran: installed, compiled against with pkg-config, and run under
the address sanitizer and valgrind. The programs are in Tests/c-library."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from daemon import ROOT, Daemon
from engine_files import install_library, library
from lbfgsd import Client

PROGRAMS = ROOT / "Tests" / "c-library"
HEADER = ROOT / "Sources" / "CLbfgsd" / "lbfgsd.h"
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-g", "-O1"]
# Contracted products and sums would differ from those of another compiler.
C = ["gcc", "-std=c99", *WARNINGS, "-ffp-contract=off"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
SECONDS = 300


def output(*command: object, **environment: str) -> str:
    """Runs a command; what it prints."""
    words = [str(word) for word in command]
    result = subprocess.run(
        words,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env={**os.environ, **environment},
    )
    assert result.returncode == 0, f"{shlex.join(words)}: {result.stdout}{result.stderr}"
    return result.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    destination = tmp_path_factory.mktemp("installed")
    install_library(destination, "PREFIX=/opt/l")
    return destination / "opt" / "l"


@pytest.fixture(scope="module")
def flags(installed: Path) -> list[str]:
    """What pkg-config says, with the directory where the test has the prefix."""
    root = str(installed.parents[1])
    told = output(
        *("pkg-config", "--cflags", "--libs", "lbfgsd"),
        PKG_CONFIG_PATH=str(installed / "lib" / "pkgconfig"),
        PKG_CONFIG_SYSROOT_DIR=root,
    )
    assert f"-I{installed}/include" in told and f"-L{installed}/lib" in told
    return [*shlex.split(told), f"-Wl,-rpath,{installed}/lib", "-lm", "-lpthread"]


def compiled(place: Path, flags: list[str], name: str, *command: str) -> Path:
    program = place / Path(name).stem
    output(*command, PROGRAMS / name, "-o", program, *flags)
    return program


# The programs, and how many rounds those have that take a number of them.
SANITIZED = [("runs", []), ("snapshots", ["2000"]), ("errors", []), ("threads", [])]
CHECKED = [("runs", []), ("errors", []), ("threads", ["1"])]


@pytest.mark.parametrize(("name", "rounds"), SANITIZED)
def test_c_programs_pass_under_the_address_sanitizer(
    tmp_path: Path, flags: list[str], name: str, rounds: list[str]
) -> None:
    program = compiled(tmp_path, flags, f"{name}.c", *C, *SANITIZERS)
    assert output(program, *rounds) == f"{name}: ok\n"


@pytest.mark.parametrize(("name", "rounds"), CHECKED)
def test_c_programs_pass_under_valgrind(
    tmp_path: Path, flags: list[str], name: str, rounds: list[str]
) -> None:
    program = compiled(tmp_path, flags, f"{name}.c", *C)
    valgrind = ["valgrind", "--quiet", "--error-exitcode=9", "--leak-check=full"]
    leaks = "--errors-for-leak-kinds=definite,indirect"
    assert output(*valgrind, leaks, program, *rounds) == f"{name}: ok\n"


def test_a_c_plus_plus_program_passes(tmp_path: Path, flags: list[str]) -> None:
    program = compiled(tmp_path, flags, "plus.cpp", "g++", "-std=c++98", *WARNINGS, *SANITIZERS)
    assert output(program) == "plus: ok\n"


def test_a_fortran_program_passes(tmp_path: Path, flags: list[str]) -> None:
    compiler = ["gfortran", "-std=f2018", "-Wall", "-Wno-unused-dummy-argument", "-Werror"]
    program = compiled(tmp_path, flags, "fortran.f90", *compiler, f"-J{tmp_path}")
    assert output(program) == "fortran: ok\n"


def test_the_example_of_the_site_finds_the_minimum(tmp_path: Path, flags: list[str]) -> None:
    example = (
        (ROOT / "docs" / "reference" / "engine.md").read_text().split("```c\n")[1].split("```")[0]
    )
    (tmp_path / "rosenbrock.c").write_text(example)
    program = tmp_path / "rosenbrock"
    output("cc", tmp_path / "rosenbrock.c", "-o", program, *flags)
    assert [round(float(number), 4) for number in output(program).split()] == [1, 1]


@pytest.mark.parametrize(
    ("mode", "bounds"),
    [("robust", "unbounded"), ("robust", "bounded"), ("torch", "unbounded")],
)
def test_it_asks_for_the_points_that_a_session_asks_for(
    tmp_path: Path, flags: list[str], daemon: Daemon, mode: str, bounds: str
) -> None:
    program = compiled(tmp_path, flags, "trace.c", *C)
    lines = [line.split() for line in output(program, mode, bounds).splitlines()]
    *evaluations, (reason, *ended) = lines
    assert len(evaluations) > 20
    search = "strong_wolfe" if mode == "torch" else None
    options = {"mode": mode, "line_search_fn": search, "max_iter": 40, "history_size": 7}
    more: dict[str, Any] = {"lower": -1.0, "upper": 0.75} if bounds == "bounded" else {}
    start = [-1.2, 1.0] * 3
    with Client(daemon.url) as client:
        session = client.create_session(start, options=options, **more)
        turn = client.begin_step(session)
        for _, *numbers in evaluations:
            loss, *vectors = map(float.fromhex, numbers)
            assert turn.evaluation is not None
            assert list(turn.evaluation.x) == vectors[:6]
            turn = client.tell(session, turn.evaluation.number, loss, vectors[6:])
        assert turn.result is not None and turn.x is not None
        assert (turn.result.reason, turn.result.loss) == (reason, float.fromhex(ended[0]))
        assert list(turn.x) == [float.fromhex(number) for number in ended[1:]]


# MARK: The file


def declared() -> set[str]:
    """The functions of the header."""
    text = re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.DOTALL)
    return set(re.findall(r"\b(lbfgsd_\w+)\(", text))


def test_it_exports_what_the_header_declares_and_nothing_else(installed: Path) -> None:
    symbols = output("nm", "-D", "--defined-only", installed / "lib" / "liblbfgsd.so")
    assert {line.split()[-1] for line in symbols.splitlines()} == declared()
    assert len(declared()) > 30


def test_it_has_the_swift_runtime_within_and_no_foundation(installed: Path) -> None:
    shared = installed / "lib" / "liblbfgsd.so"
    dynamic = output("readelf", "-d", shared)
    needed = set(re.findall(r"NEEDED.*\[(.*)\]", dynamic))
    system = {"libc.so.6", "libm.so.6", "libstdc++.so.6", "libgcc_s.so.1"}
    assert {name for name in needed if not name.startswith("ld-linux")} <= system
    assert re.findall(r"SONAME.*\[(.*)\]", dynamic) == ["liblbfgsd.so.1"]
    assert shared.stat().st_size < 15e6
    assert b"CoreFoundation" not in shared.read_bytes()


def test_make_installs_names_that_link_and_load(installed: Path) -> None:
    files = {str(path.relative_to(installed)) for path in installed.rglob("*") if path.is_file()}
    assert files == {
        "include/lbfgsd.h",
        "lib/liblbfgsd.so",
        "lib/liblbfgsd.so.1",
        "lib/liblbfgsd.so.1.0.0",
        "lib/pkgconfig/lbfgsd.pc",
    }
    assert (installed / "lib" / "liblbfgsd.so").resolve().name == "liblbfgsd.so.1.0.0"
    assert (installed / "include" / "lbfgsd.h").read_bytes() == HEADER.read_bytes()
    assert library().stat().st_size > (installed / "lib" / "liblbfgsd.so").stat().st_size
