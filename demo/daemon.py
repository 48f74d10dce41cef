"""Starts, kills and stops the demo's daemon, which goes on running when the demo has ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import requests

START_SECONDS = 30
STOP_SECONDS = 10
PORTS_TRIED = 100


class DemoDaemon:
    def __init__(self, binary: Path, data: Path) -> None:
        self.binary, self.data = binary, data
        self.pid_file, self.log = data / "demo.pid", data / "demo.log"
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> int:
        command = [self.binary, "serve", "--listen", f"127.0.0.1:{self.port}", "--data", self.data]
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.pid_file.write_text(f"{process.pid}\n")
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"demo: the daemon does not answer; its log is {self.log}")
            time.sleep(0.01)
        return process.pid

    def kill(self) -> None:
        """Kills the daemon with SIGKILL, so that it cannot clean up."""
        pid = int(self.pid_file.read_text())
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    def stop_left_over(self) -> int | None:
        """Stops the daemon that an earlier demo left, but no other process with its identifier.
        Returns the identifier if it was running."""
        try:
            pid = int(self.pid_file.read_text())
        except (FileNotFoundError, ValueError):
            return None
        stopped = self._is_ours(pid)
        if stopped:
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while self._is_ours(pid):
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        self.pid_file.unlink()
        return pid if stopped else None

    def choose_port(self, wanted: int) -> None:
        """Chooses the wanted port or the next free one."""
        for port in range(wanted, wanted + PORTS_TRIED):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
            self.port = port
            return
        raise SystemExit(f"demo: no free port from {wanted} on")

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/readyz", timeout=1).ok
        except requests.RequestException:
            return False

    def _is_ours(self, pid: int) -> bool:
        """Whether the process is a daemon on our data directory; identifiers are reused."""
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except FileNotFoundError:
            words = []
        return b"serve" in words and os.fsencode(self.data) in words
