"""The daemon as a child process, and a minimal client for it.

Used by the fixtures in conftest.py, by crash.py and by the service benchmark; does not import
pytest.
"""

from __future__ import annotations

import json
import math
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 30
STOP_SECONDS = 30
REQUEST_SECONDS = 60
PORTS = (10_000, 30_000)

Function = Callable[[Any], tuple[float, Any]]
"""Maps a point to its loss and its gradient."""


def binary() -> Path:
    """The daemon to test: $LBFGSD_BIN, or the release build, or else the debug build."""
    if named := os.environ.get("LBFGSD_BIN"):
        return Path(named).resolve()
    built = [ROOT / ".build" / kind / "lbfgsd" for kind in ("release", "debug")]
    found = [path for path in built if path.is_file()]
    if not found:
        raise FileNotFoundError("no lbfgsd: run `swift build -c release`, or set LBFGSD_BIN")
    return found[0]


def free_port() -> int:
    """A free port below the kernel's ephemeral ports. A client that retries while the daemon is
    down could otherwise be assigned the port that it connects to; it would then be connected to
    itself, and the daemon could not bind the port."""
    while True:
        port = random.SystemRandom().randrange(*PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def inherited() -> dict[str, str]:
    """The environment without variables that configure the daemon; tests set those they need."""
    return {name: value for name, value in os.environ.items() if not name.startswith("LBFGSD_")}


class Daemon:
    """`lbfgsd serve` on one port and one data directory; it can be restarted any number of
    times."""

    def __init__(
        self, data: Path, log: Path, arguments: tuple[str, ...] = (), environment: Any = None
    ) -> None:
        self.data, self.log = Path(data), Path(log)
        self.arguments, self.environment = arguments, environment or {}
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        self.data.mkdir(parents=True, exist_ok=True)

    def spawn(self) -> None:
        """Starts the process without waiting until it answers."""
        assert not self.alive, "it runs already"
        command = [binary(), "serve", "--listen", f"127.0.0.1:{self.port}", "--data", self.data]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(word) for word in (*command, *self.arguments)],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env={**inherited(), **self.environment},
            )

    def start(self) -> Daemon:
        self.spawn()
        self.wait_ready()
        return self

    def wait_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if not self.alive:
                raise RuntimeError(
                    f"the daemon ended with {self.process.returncode}:\n{self.tail()}"
                )
            try:
                if requests.get(f"{self.url}/readyz", timeout=2).ok:
                    return
            except requests.RequestException:
                pass
            time.sleep(0.005)
        raise RuntimeError(f"the daemon is not ready after {START_SECONDS} s:\n{self.tail()}")

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "it was never started"
        return self._process

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        return self.process.pid

    def stop(self) -> int:
        """Shuts down cleanly, by SIGTERM. Returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(STOP_SECONDS)

    def restart(self, cleanly: bool = False) -> None:
        self.stop() if cleanly else self.kill()
        self.start()

    def close(self) -> None:
        if self.alive:
            self.kill()

    def tail(self, lines: int = 60) -> str:
        if not self.log.exists():
            return "(no log)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def encode(value: Any) -> bytes:
    """JSON as the daemon reads it: numbers that are not finite are strings."""
    return json.dumps(_spelled(value), allow_nan=False).encode()


def _spelled(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _spelled(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_spelled(item) for item in value]
    return value


class Client:
    """Requests to one daemon. `call` returns any response; the other methods require success and
    return the document."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()

    def call(
        self, method: str, path: str, body: Any = None, headers: Any = None, **more: Any
    ) -> requests.Response:
        headers = dict(headers or {})
        if body is not None and not isinstance(body, (bytes, str)):
            body = encode(body)
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
        more.setdefault("timeout", REQUEST_SECONDS)
        url = path if path.startswith("http") else self.url + path
        return self.session.request(method, url, data=body, headers=headers, **more)

    def ok(
        self, method: str, path: str, body: Any = None, status: int | None = None, **more: Any
    ) -> Any:
        response = self.call(method, path, body, **more)
        good = response.status_code == status if status else response.ok
        assert good, f"{method} {path}: {response.status_code}\n{response.text[:2000]}"
        return response.json() if response.content else None

    def create(self, **body: Any) -> str:
        """Creates a session and returns its identifier."""
        if "params" not in body:
            body.setdefault("x0", [-1.2, 1.0])
        return self.ok("POST", "/v1/sessions", body, status=201)["id"]

    def get(self, session: str) -> dict[str, Any]:
        return self.ok("GET", f"/v1/sessions/{session}", status=200)

    def begin(self, session: str) -> dict[str, Any]:
        return self.ok("POST", f"/v1/sessions/{session}/steps", status=201)

    def ask(self, session: str) -> dict[str, Any]:
        return self.ok("GET", f"/v1/sessions/{session}/evaluation", status=200)

    def tell(self, session: str, number: int, loss: Any, gradient: Any) -> dict[str, Any]:
        return self.ok(
            "PUT",
            f"/v1/sessions/{session}/evaluations/{number}/result",
            {"loss": loss, "gradient": gradient},
            status=200,
        )

    def answer(self, turn: dict[str, Any], fun: Function) -> dict[str, Any]:
        """Evaluates the point that a turn asks for, and tells the result."""
        loss, gradient = fun(numbers(turn["evaluation"]["x"]))
        return self.tell(turn["session"], turn["evaluation"]["number"], loss, list(gradient))

    def step(
        self, session: str, fun: Function, turn: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Runs a step to its end, and returns the last turn."""
        turn = turn or self.begin(session)
        while turn["state"] == "evaluating":
            turn = self.answer(turn, fun)
        return turn

    def x(self, session: str) -> list[float]:
        """The parameters in one flat list."""
        return flat(self.ok("GET", f"/v1/sessions/{session}/params", status=200))

    def trace(self, session: str) -> list[dict[str, Any]]:
        return trace_points(self.ok("GET", f"/v1/sessions/{session}/trace", status=200))


def numbers(values: Any) -> list[float]:
    return [float(value) for value in values]


def flat(document: dict[str, Any]) -> list[float]:
    return [float(value) for item in document["params"] for value in item["values"]]


def trace_points(document: dict[str, Any]) -> list[dict[str, Any]]:
    return document["trace"]


def wait_until(condition: Any, seconds: float = 30, told: Any = lambda: None) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it never came true: {told()}"
        time.sleep(0.02)
