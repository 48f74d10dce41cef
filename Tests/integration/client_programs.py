"""The contract suite's programs: one for each language, which carries out commands with its client.

A command is a line of words, and so is its answer: `ok` or `error`, then fields KEY=VALUE, the last
of which may contain spaces. Vectors are the hexadecimal digits of doubles, 16 each, so that bits
are compared. `-` stands for what is not there. The commands:

    open URL TOKEN SOCKET DEADLINE FIRST_DEADLINE TIMEOUT
    create DTYPE NAME LABEL OPTIONS LOWER UPPER X
    begin SESSION    ask SESSION    stop SESSION    delete SESSION
    next                                    tells Rosenbrock's function at the newest turn's point
    tell SESSION NUMBER LOSS GRADIENT       fail SESSION NUMBER REASON
    checkpoint SESSION    restore SESSION CHECKPOINT    fork SESSION CHECKPOINT
    parameters SESSION N [DTYPE X]          reads the parameters, or replaces them first
    minimize DTYPE LIMIT LOWER UPPER X      the function is infeasible where x[0] > LIMIT
    resume SESSION N                        the same for a session that exists
    interrupt CALLS X                       the same, ended by the function after so many calls
    request METHOD PATH
"""

from __future__ import annotations

import os
import select
import struct
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from daemon import ROOT, inherited

SUFFIXES = {"c": "c", "fortran": "f90", "r": "R", "js": "mjs"}
"""Of programs, by language."""
LANGUAGES = tuple(SUFFIXES)
CLIENTS = ROOT / "clients"
ANSWER_SECONDS = 60

STRICT_C = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror")
STRICT_FORTRAN = ("-std=f2008", "-Wall", "-Wextra", "-Wpedantic", "-Werror")
SANITIZED = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined")


def run(
    *command: Any, folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> str:
    """The output of a command that must succeed."""
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**inherited(), **(environment or {})},
        timeout=120,
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
    return done.stdout


@dataclass(frozen=True)
class Toolchain:
    """How programs of one language are built and run."""

    language: str
    folder: Path
    """Where they are built."""
    sanitized: bool = True
    """Whether C and Fortran have the sanitizers for addresses and undefined behaviour."""

    library: ClassVar[Path | None] = None
    """Where the R package is installed, once for all tests."""

    def program(self, source: Path) -> tuple[list[str], dict[str, str]]:
        """Builds a program; returns its command, and the environment that it needs."""
        binary = self.folder / source.stem
        if self.language == "c":
            options = (*STRICT_C, *self._sanitizers, "-I", CLIENTS / "c")
            run("gcc", *options, source, "-o", binary, *LIBRARIES)
        elif self.language == "fortran":
            self._build_fortran(source, binary)
        elif self.language == "r":
            return ["Rscript", str(source)], {"R_LIBS": str(self._installed_package())}
        else:
            return ["node", str(source)], {}
        return [str(binary)], {}

    @property
    def _sanitizers(self) -> tuple[str, ...]:
        return SANITIZED if self.sanitized else ()

    def _build_fortran(self, source: Path, binary: Path) -> None:
        client, implementation = CLIENTS / "fortran", self.folder / "implementation.o"
        c_source = client / "lbfgsd_client_implementation.c"
        c_options = (*STRICT_C, *self._sanitizers, "-I", CLIENTS / "c")
        run("gcc", *c_options, "-c", c_source, "-o", implementation)
        # Without contraction of a * b + c, which would change the bits of the function's values.
        options = (*STRICT_FORTRAN, "-fcheck=all", "-ffp-contract=off", *self._sanitizers)
        sources = (client / "lbfgsd_client.f90", source)
        output = ("-J", self.folder, "-o", binary)
        run("gfortran", *options, *output, *sources, implementation, *LIBRARIES)

    def _installed_package(self) -> Path:
        if Toolchain.library is None:
            library = self.folder / "library"
            library.mkdir()
            install = ("R", "CMD", "INSTALL", "--no-byte-compile", f"--library={library}")
            run(*install, CLIENTS / "r", folder=self.folder)
            Toolchain.library = library
        return Toolchain.library

    def contract(self) -> Program:
        """The program of the contract suite."""
        source = f"contract.{SUFFIXES[self.language]}"
        command, environment = self.program(CLIENTS / self.language / "tests" / source)
        return Program(command, environment)


LIBRARIES = ("-lcurl", "-lm")


class Refused(Exception):
    """An answer `error`; its fields are attributes."""

    def __init__(self, fields: dict[str, str]) -> None:
        super().__init__(str(fields))
        self.kind, self.message = fields["kind"], fields["message"]
        self.status, self.type, self.field = int(fields["status"]), fields["type"], fields["field"]


class Program:
    """A running program."""

    def __init__(self, command: Sequence[str], environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**inherited(), **environment},
        )
        self._received = b""

    def close(self) -> int:
        """Ends the program, and returns its status."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        return self._process.wait(ANSWER_SECONDS)

    def __call__(self, *words: object) -> dict[str, str]:
        """Carries out a command, and returns the fields of its answer."""
        self.send(*words)
        return self.receive()

    def send(self, *words: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(map(str, words)).encode() + b"\n")
        self._process.stdin.flush()

    def receive(self) -> dict[str, str]:
        verdict, *fields = self._line().split(" ")
        read: dict[str, str] = {}
        for position, field in enumerate(fields):
            key, _, value = field.partition("=")
            if key in ("message", "reply"):
                read[key] = " ".join([value, *fields[position + 1 :]])
                break
            read[key] = value
        if verdict == "error":
            raise Refused(read)
        assert verdict == "ok", (verdict, fields)
        return read

    def _line(self) -> str:
        assert self._process.stdout is not None
        end = time.monotonic() + ANSWER_SECONDS
        while b"\n" not in self._received:
            left = end - time.monotonic()
            ready = left > 0 and select.select([self._process.stdout], [], [], left)[0]
            assert ready, f"no answer for {ANSWER_SECONDS} s"
            piece = os.read(self._process.stdout.fileno(), 1 << 20)
            assert piece, f"the program ended with {self._process.wait()}"
            self._received += piece
        line, _, self._received = self._received.partition(b"\n")
        return line.decode()


def digits(values: Iterable[float]) -> str:
    """A vector as a word."""
    return "".join(struct.pack(">d", value).hex() for value in values)


def vector(word: str) -> NDArray[np.float64]:
    return np.frombuffer(bytes.fromhex(word), dtype=">f8").astype(np.float64)


def rosenbrock(x: Any) -> tuple[float, NDArray[np.float64]]:
    """The programs' function: the same operations in the same order, and so the same bits."""
    n, loss = len(x), 0.0
    values = [float(value) for value in x]
    gradient = [0.0] * n
    for i in range(n - 1):
        rise, rest = values[i + 1] - values[i] * values[i], 1 - values[i]
        loss += 100 * (rise * rise) + rest * rest
        gradient[i] += -400 * values[i] * rise - 2 * rest
        gradient[i + 1] += 200 * rise
    return loss, np.array(gradient)
