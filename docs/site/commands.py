"""The page of the command line, from the command's own help."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

INTRODUCTION = """# The command line

The help of `lbfgsd` and of each of its commands, as `lbfgsd COMMAND --help` prints it. Commands
that ask a daemon take its address from `--url`, or else from `$LBFGSD_URL`. Statuses of the daemon
are in [the guide for operators](../howto/operation.md#monitoring); the other commands end with 0
for success, 1 for a failure, 3 where `ask` has nothing to wait for, 64 for a wrong command line, 69
where the daemon can't be reached, 74 for files and directories that can't be used, and 75 for a
directory that another process has open.
"""


def page(binary: Path) -> str:
    dump = json.loads(_output(binary, "--experimental-dump-help"))
    lines = [INTRODUCTION, "```text", _output(binary, "--help").rstrip(), "```", ""]
    for words in _commands(dump["command"], ()):
        lines += [f"## lbfgsd {' '.join(words)}", "", "```text"]
        lines += [_output(binary, *words, "--help").rstrip(), "```", ""]
    return "\n".join(lines)


def _commands(command: dict[str, Any], above: tuple[str, ...]) -> list[tuple[str, ...]]:
    found = []
    for child in command.get("subcommands", []):
        if child["commandName"] == "help":
            continue
        words = (*above, child["commandName"])
        found += [words, *_commands(child, words)]
    return found


def _output(binary: Path, *arguments: str) -> str:
    # Help is as wide as the terminal.
    return subprocess.run(
        [binary, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={"COLUMNS": "96", "PATH": "/usr/bin:/bin"},
    ).stdout
