"""The daemon as a child process with the recorder preloaded, and a client for it."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torture import recording

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS, STOP_SECONDS, REQUEST_SECONDS = 60, 60, 60
# Snapshots often, so that a short run has some of everything.
ARGUMENTS = ("--snapshot-interval", "8", "--http-threads", "2", "--log-format", "journal")
_READY = re.compile(r"ready .*url=http://127\.0\.0\.1:(\d+)")


class Unreachable(Exception):
    """The daemon did not answer: it has ended, or closed the connection."""


class NotStarted(Exception):
    """The daemon ended before it was ready. `status` is its exit status, `log` what it said."""

    def __init__(self, status: int, log: str) -> None:
        super().__init__(f"exit status {status}: {log[-1000:]}")
        self.status, self.log = status, log


def binary() -> Path:
    """The daemon to test: $LBFGSD_BIN, or the release build, or else the debug build."""
    if named := os.environ.get("LBFGSD_BIN"):
        return Path(named).resolve()
    built = [ROOT / ".build" / kind / "lbfgsd" for kind in ("release", "debug")]
    found = [path for path in built if path.is_file()]
    if not found:
        raise FileNotFoundError("no lbfgsd: run `make build`, or set LBFGSD_BIN")
    return found[0]


def is_sound(data: Path) -> bool:
    """Whether `lbfgsd verify` finds nothing. Raises NotStarted if it can't check the directory."""
    done = subprocess.run(
        [binary(), "verify", data], capture_output=True, text=True, timeout=START_SECONDS
    )
    if done.returncode not in (0, 1):
        raise NotStarted(done.returncode, done.stderr)
    return done.returncode == 0


def scratch() -> Path:
    """A new directory, in memory if that has room: syncs are then quick, and their order is what
    the recorder is about."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 2 << 30
    return Path(tempfile.mkdtemp(prefix="lbfgsd-torture-", dir=memory if roomy else None))


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300


class Client:
    """A connection to a daemon on this machine."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=REQUEST_SECONDS)

    def request(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Answer:
        """Raises Unreachable if there is no answer. No request is repeated."""
        try:
            self.connection.request(method, path, body or None, headers or {})
            response = self.connection.getresponse()
            data = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            raise Unreachable(f"{method} {path}: {error!r}") from error
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, data)

    def disconnect(self) -> None:
        self.connection.close()


def environment_of(
    data: Path,
    trace: Path | None = None,
    control: recording.Control | None = None,
    fault: str | None = None,
) -> dict[str, str]:
    """The environment of a daemon whose calls on a directory are recorded, or made to fail."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("LBFGSD_")
    }
    if trace or control or fault:
        environment["LD_PRELOAD"] = str(recording.library())
        environment["TORTURE_ROOT"] = str(data)
    if trace:
        environment["TORTURE_TRACE"] = str(trace)
    if control:
        environment["TORTURE_CONTROL"] = str(control.path)
    if fault:
        environment["TORTURE_FAULT"] = fault
    return environment


def compact(
    data: Path,
    log: Path,
    trace: Path | None = None,
    control: recording.Control | None = None,
    fault: str | None = None,
) -> int:
    """Runs `lbfgsd compact`, and returns its exit status."""
    with log.open("ab") as file:
        return subprocess.run(
            [str(binary()), "compact", "--data", str(data)],
            stdout=file,
            stderr=file,
            env=environment_of(data, trace, control, fault),
            timeout=STOP_SECONDS,
        ).returncode


class Daemon(Client):
    """`lbfgsd serve` on a directory, on a port of its own choice."""

    def __init__(
        self,
        data: Path,
        log: Path,
        trace: Path | None = None,
        control: recording.Control | None = None,
        fault: str | None = None,
        arguments: tuple[str, ...] = (),
        wrapper: tuple[str, ...] = (),
    ) -> None:
        super().__init__(0)
        self.data, self.log = data, log
        environment = environment_of(data, trace, control, fault)
        serve = [binary(), "serve", "--listen", "127.0.0.1:0", "--data", data]
        command = [str(word) for word in (*wrapper, *serve, *ARGUMENTS, *arguments)]
        self._log_start = log.stat().st_size if log.exists() else 0
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                command, stdout=file, stderr=file, stdin=subprocess.DEVNULL, env=environment
            )

    def wait_ready(self) -> Daemon:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            ended = self.process.poll()
            if match := _READY.search(self.said()):
                super().__init__(int(match[1]))
                return self
            if ended is not None:
                raise NotStarted(ended, self.said())
            time.sleep(0.003)
        self.kill()
        raise NotStarted(-1, f"not ready after {START_SECONDS} s: {self.said()}")

    def said(self) -> str:
        """What it has logged."""
        with self.log.open("rb") as file:
            file.seek(self._log_start)
            return file.read().decode(errors="replace")

    def another(self) -> Client:
        """A client with a connection of its own."""
        return Client(self.port)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        self.disconnect()
        self.process.kill()
        self.process.wait(STOP_SECONDS)

    def stop(self) -> int:
        self.disconnect()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS)

    def __enter__(self) -> Daemon:
        return self

    def __exit__(self, *_: Any) -> None:
        if self.alive:
            self.kill()
