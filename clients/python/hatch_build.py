"""Puts the engine's library into the wheel, if $LBFGSD_LIBRARY names it when the wheel is built.
Without it the wheel is one of pure Python, and needs a server."""

from __future__ import annotations

import os
import platform
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class EngineHook(BuildHookInterface[Any]):
    """The hook of `make wheel`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        library = os.environ.get("LBFGSD_LIBRARY")
        if not library or version == "editable":
            return
        # It needs the C library of the machine that built it, or a newer one, and no Python's.
        _, libc = platform.libc_ver()
        system = f"manylinux_{libc.replace('.', '_')}_{platform.machine()}"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{system}"
        build_data["force_include"][library] = "lbfgsd/_engine/liblbfgsd.so"
