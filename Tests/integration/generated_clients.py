"""Clients that programs make from openapi.yaml: how each is generated, built and run.

The programs in Tests/generated minimise Rosenbrock's function by such a client:

    PROGRAM URL N

They print a JSON document with the session, the minimum, and the type of the problem with which the
daemon answers a question about a session that doesn't exist.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from daemon import ROOT, inherited

DOCUMENT = ROOT / "openapi.yaml"
PROGRAMS = ROOT / "Tests" / "generated"
SCRIPTS = Path(sys.executable).parent
SECONDS = 1200
"""The C++ client has 90 files of templates."""
JAVA = shutil.which("java") is not None
"""What openapi-generator is written in."""


@dataclass(frozen=True)
class Program:
    """A command that takes a URL and a count of variables."""

    command: tuple[Any, ...]
    environment: Mapping[str, str] = field(default_factory=dict)

    def minimize(self, url: str, count: int) -> dict[str, Any]:
        done = run(*self.command, url, count, environment=self.environment)
        found: dict[str, Any] = json.loads(done)
        return found


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
        timeout=SECONDS,
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout[-20_000:]}{done.stderr[-20_000:]}"
    return done.stdout


def generate(generator: str, folder: Path, *arguments: str) -> str:
    """Generates a client by openapi-generator; returns the log."""
    return run(
        SCRIPTS / "openapi-generator-cli",
        "generate",
        "--input-spec",
        DOCUMENT,
        "--generator-name",
        generator,
        "--output",
        folder,
        *arguments,
    )


def pydantic(folder: Path) -> Program:
    generate("python", folder)
    program = PROGRAMS / "with_pydantic.py"
    return Program((sys.executable, program), {"PYTHONPATH": str(folder)})


def attrs(folder: Path) -> Program:
    """The other generator for Python, which is in Python itself."""
    package = folder / "attrs_client"
    run(
        SCRIPTS / "openapi-python-client",
        "generate",
        "--path",
        DOCUMENT,
        "--meta",
        "none",
        "--output-path",
        package,
        environment={"PATH": f"{SCRIPTS}:{os.environ['PATH']}"},
    )
    return Program((sys.executable, PROGRAMS / "with_attrs.py"), {"PYTHONPATH": str(folder)})


def typescript(folder: Path) -> Program:
    generate("typescript-fetch", folder / "client")
    shutil.copy(PROGRAMS / "with_fetch.ts", folder)
    options = {
        "target": "es2020",
        "module": "commonjs",
        "lib": ["es2020", "dom"],
        "types": [],
        "strict": True,
        # Debian 12's compiler, 4.8, doesn't conclude from `'state' in value` that it has one.
        "noImplicitAny": False,
        "outDir": "built",
    }
    configuration = {"compilerOptions": options, "include": ["**/*.ts"]}
    (folder / "tsconfig.json").write_text(json.dumps(configuration))
    run("tsc", "--project", folder)
    return Program(("node", folder / "built" / "with_fetch.js"))


def go(folder: Path) -> Program:
    """Needs the standard library only: `withGoMod` would ask for modules that it doesn't import."""
    generate("go", folder, "--additional-properties", "withGoMod=false", "--package-name", "lbfgsd")
    (folder / "go.mod").write_text("module lbfgsd\n\ngo 1.19\n")
    (folder / "program").mkdir()
    shutil.copy(PROGRAMS / "with_go.go", folder / "program")
    offline = {"GOPROXY": "off", "GOCACHE": str(folder / "cache")}
    for words in (("vet", ".", "./program"), ("build", "-o", "with_go", "./program")):
        run("go", *words, folder=folder, environment=offline)
    return Program((folder / "with_go",))


def cpprest(folder: Path) -> Program:
    generate("cpp-restsdk", folder)
    objects = folder / "objects"
    objects.mkdir()

    def compiled(source: Path) -> Path:
        target = objects / f"{source.stem}.o"
        include = f"-I{folder / 'include'}"
        run("g++", "-std=c++17", "-O0", include, "-c", source, "-o", target)
        return target

    sources = [*(folder / "src").rglob("*.cpp"), PROGRAMS / "with_cpprest.cpp"]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        linked = list(pool.map(compiled, sources))
    libraries = ("-lcpprest", "-lboost_system", "-lssl", "-lcrypto", "-lpthread")
    run("g++", *linked, "-o", folder / "with_cpprest", *libraries)
    return Program((folder / "with_cpprest",))


PYTHON: dict[str, Callable[[Path], Program]] = {"pydantic": pydantic, "attrs": attrs}
OTHERS: dict[str, Callable[[Path], Program]] = {
    "typescript-fetch": typescript,
    "go": go,
    "cpp-restsdk": cpprest,
}
"""What needs packages that `make test` doesn't install, or takes minutes."""
GENERATED_ONLY = ("java", "rust", "r")
