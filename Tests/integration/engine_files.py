"""The engine's shared library that is tested, and how it is installed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from daemon import ROOT, binary


def library() -> Path:
    """$LBFGSD_LIBRARY, or what was built beside the daemon."""
    named = os.environ.get("LBFGSD_LIBRARY")
    path = Path(named).resolve() if named else binary().with_name("liblbfgsd-engine.so")
    if not path.is_file():
        raise FileNotFoundError(f"no {path}: run `swift build --product lbfgsd-engine`")
    return path


def install_library(destination: Path, *variables: str) -> None:
    """`make install-library` into a directory."""
    command = ["make", "-s", "-C", str(ROOT), "install-library", f"LIBRARY={library()}"]
    subprocess.run([*command, f"DESTDIR={destination}", *variables], check=True)
