"""Virtual environments for the peers from PyPI, whose requirements conflict with each other and
with ours."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAMES = ("optuna", "vizier")
PROOFS = {
    "optuna": "import optuna, matplotlib",
    "vizier": "from vizier.service import clients, servers, pyvizier",
}


def environments(directory: Path) -> dict[str, Path | str]:
    """The interpreter of each environment, which is created if it is missing; or why there is
    none."""
    return {name: environment(directory / name, name) for name in NAMES}


def environment(path: Path, name: str) -> Path | str:
    python = path / "bin" / "python"
    if (reason := why_not(python, name)) is None:
        return python
    print(f"setting up {name} in {path}", file=sys.stderr, flush=True)
    try:
        venv.create(path, with_pip=True)
        requirements = HERE / f"requirements-{name}.txt"
        command = [python, "-m", "pip", "install", "-q", "-r", requirements]
        subprocess.run([str(word) for word in command], check=True, stdout=sys.stderr)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"it can't be installed: {error}"
    reason = why_not(python, name)
    return python if reason is None else reason


def why_not(python: Path, name: str) -> str | None:
    if not python.exists():
        return "it isn't installed"
    command = [str(python), "-c", PROOFS[name]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    return (done.stderr.strip().splitlines() or ["it can't be imported"])[-1]
