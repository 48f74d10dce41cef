"""Runs the command as an operator does: to its end, or serving on a free port.

Used by test_command.py and test_deploy.py; does not import pytest.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from daemon import ROOT, binary

START_SECONDS = 30
STOP_SECONDS = 30

# Variables that configure the daemon are not inherited; a test sets those it needs.
OURS = re.compile(r"^(LBFGSD_|NOTIFY_|WATCHDOG_|LISTEN_|JOURNAL_|STATE_|CREDENTIALS_|NO_COLOR)")


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not OURS.match(name)}
    return {**kept, **more}


def run(*arguments: Any, cwd: Any = None, **variables: Any) -> subprocess.CompletedProcess[str]:
    """Runs `lbfgsd ARGUMENTS...` to its end."""
    return subprocess.run(
        [str(binary()), *(str(argument) for argument in arguments)],
        capture_output=True,
        text=True,
        env=environment(**variables),
        cwd=cwd,
        timeout=START_SECONDS,
    )


def debian_tool(package: str, path: str, scratch: Path) -> Path:
    """A program of a Debian package, which is unpacked for the tests if it isn't installed."""
    if found := shutil.which(Path(path).name, path=os.environ["PATH"] + ":/usr/sbin"):
        return Path(found)
    unpacked = ROOT / "out" / package
    if not (unpacked / path).exists():
        download = scratch / "download"
        download.mkdir()
        download.chmod(0o777)
        for command in (["apt-get", "update", "-q"], ["apt-get", "download", "-q", package]):
            result = subprocess.run(command, cwd=download, capture_output=True, text=True)
            assert result.returncode == 0 or command[1] == "update", result.stderr
        archive = next(download.glob(f"{package}_*.deb"))
        unpacked.parent.mkdir(exist_ok=True)
        subprocess.run(["dpkg-deb", "-x", archive, unpacked], check=True)
    return unpacked / path


class Serving:
    """`lbfgsd serve ARGUMENTS...` as a process, with its log in a file."""

    def __init__(
        self, log: Path, *arguments: Any, command: tuple[Any, ...] = (), **variables: Any
    ) -> None:
        self.log = log
        line = [*command, binary(), "serve", *arguments]
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                [str(word) for word in line],
                stdout=stream,
                stderr=stream,
                stdin=subprocess.DEVNULL,
                env=environment(**variables),
            )

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for(self, pattern: str, seconds: float = START_SECONDS) -> re.Match[str]:
        """Waits until the log has a match."""
        deadline = time.monotonic() + seconds
        while True:
            if match := re.search(pattern, self.text):
                return match
            if self.process.poll() is not None:
                raise AssertionError(f"it ended with {self.process.returncode}:\n{self.text}")
            if time.monotonic() > deadline:
                raise AssertionError(f"no {pattern!r} in its log:\n{self.text}")
            time.sleep(0.01)

    @property
    def url(self) -> str:
        return self.wait_for(r"\bready\b.*\burl\"?[=:]\"?(http://[^\s\"]+)")[1]

    def get(self, path: str, token: str | None = None, **more: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        more.setdefault("timeout", 60)
        return requests.get(self.url + path, headers={**headers, **more.pop("headers", {})}, **more)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(STOP_SECONDS)


@contextmanager
def serving(
    home: Path, *arguments: Any, listen: str = "127.0.0.1:0", data: Any = None, **more: Any
) -> Iterator[Any]:
    """A daemon of the test's own, killed at the end if the test didn't stop it."""
    where = data or home / "data"
    daemon = Serving(home / "log", "--listen", listen, "--data", where, *arguments, **more)
    try:
        yield daemon
    finally:
        if daemon.process.poll() is None:
            daemon.process.kill()
        daemon.process.wait()


def settings(text: str) -> dict[str, tuple[str, str]]:
    """Parses what check-config printed: setting -> (value, origin). An unset one has no value."""
    found = {}
    for line in text.splitlines():
        if match := re.match(r"(?:# )?([a-z-]+):\s*(.*?)\s+# (.+)$", line):
            found[match[1]] = (match[2].strip('"'), match[3])
        elif match := re.match(r"# ([a-z-]+):\s+# not set", line):
            found[match[1]] = ("", "default")
    return found
