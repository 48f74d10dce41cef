"""A Debian machine in a container, with systemd as its process 1. What is in `installed` of
$LBFGSD_OPERATION is installed there, and what is in `packages` is in /packages."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

PLACE = Path(os.environ.get("LBFGSD_OPERATION", "out/operation")).resolve()
BOOT_SECONDS = 60
COMMAND_SECONDS = 120


def wait_until(condition: Any, seconds: float = 30, told: Any = lambda: None) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it never came true: {told()}"
        time.sleep(0.1)


def foreign_libraries(binary: Path) -> set[Path]:
    """Folders of libraries that a binary needs and Debian does not have: those of a toolchain."""
    listed = subprocess.run(["ldd", binary], capture_output=True, text=True, check=True).stdout
    found = re.findall(r"=> (/\S+) ", listed)
    return {Path(path).parent for path in found if not path.startswith(("/lib", "/usr/lib"))}


class Network:
    """A network namespace with a loopback interface only, which machines share."""

    def __init__(self) -> None:
        self.holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "ip link set lo up && exec sleep infinity"]
        )
        path = Path(f"/proc/{self.holder.pid}/comm")
        wait_until(lambda: path.read_text().strip() == "sleep")

    @property
    def path(self) -> str:
        return f"/proc/{self.holder.pid}/ns/net"

    def close(self) -> None:
        self.holder.kill()
        self.holder.wait()


class Machine:
    def __init__(self, name: str, home: Path, network: Network) -> None:
        self.name, self.root, self.network = name, home / name, network
        self.console = home / f"{name}.console"
        self.process: subprocess.Popen[bytes] | None = None
        self.leader = 0
        self.root.mkdir()
        subprocess.run(["tar", "xf", PLACE / "debian.tar", "-C", self.root], check=True)
        for name, place in (("installed", "."), ("packages", "packages")):
            if (PLACE / name).is_dir():
                target = self.root / place
                shutil.copytree(PLACE / name, target, symlinks=True, dirs_exist_ok=True)
        # As systemd expects it of an image that was not booted yet.
        (self.root / "etc/machine-id").write_text("")
        (self.root / "etc/hostname").write_text(f"{name}\n")

    def boot(self) -> Machine:
        binary = self.root / "usr/bin/lbfgsd"
        binds = foreign_libraries(binary) if binary.exists() else set()
        with self.console.open("wb") as console:
            self.process = subprocess.Popen(
                [
                    "systemd-nspawn",
                    f"--directory={self.root}",
                    f"--machine={self.name}",
                    f"--network-namespace-path={self.network.path}",
                    "--boot",
                    # There may be no systemd outside.
                    "--register=no",
                    "--keep-unit",
                    "--link-journal=no",
                    *(f"--bind-ro={path}" for path in binds),
                ],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
            )
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children")

        def is_booted() -> bool:
            assert self.process and self.process.poll() is None, self.console.read_text()
            for child in map(int, children.read_text().split()):
                if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                    self.leader = child
                    return self.run("systemctl is-system-running", 0, 1).stdout.strip() in (
                        "running",
                        "degraded",
                    )
            return False

        wait_until(is_booted, BOOT_SECONDS, self.console.read_text)
        return self

    def close(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def run(
        self,
        command: str,
        *statuses: int,
        text: str | None = None,
        seconds: float = COMMAND_SECONDS,
    ) -> subprocess.CompletedProcess[str]:
        """Runs a shell command as root. Its exit status has to be one of those given, or 0."""
        done = subprocess.run(
            [
                *("nsenter", f"--target={self.leader}", "--mount", "--uts", "--ipc", "--net"),
                *("--pid", "--cgroup", "--", "env", "-i"),
                *("PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "sh", "-euc", command),
            ],
            input=text if text is not None else "",
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode in (statuses or (0,)), (
            f"{self.name}: {command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
        return done

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        self.run(f"install -D -m {mode:o} /dev/stdin {path}", text=text)

    def edit(self, unit: str, text: str) -> None:
        """`systemctl edit`, on a terminal and with an editor that writes this."""
        self.write("/root/edit", text)
        self.run(f"SYSTEMD_EDITOR='cp /root/edit' script -qec 'systemctl edit {unit}' /dev/null")

    # MARK: The daemon

    def call(
        self, method: str, path: str, body: Any = None, token: str | None = None, port: int = 8080
    ) -> tuple[int, Any]:
        """The status and the body of an answer; status 0 if there is none."""
        fields = ["-H 'Content-Type: application/json' -d @-"] if body is not None else []
        if token:
            fields.append(f"-H 'Authorization: Bearer {token}'")
        done = self.run(
            f"curl -s -m 30 -X {method} {' '.join(fields)} -w '\\n%{{http_code}}' "
            f"'http://127.0.0.1:{port}{path}'",
            *(0, 7, 28, 52, 56),
            text=json.dumps(body) if body is not None else None,
        )
        content, _, status = done.stdout.rpartition("\n")
        try:
            return int(status), json.loads(content)
        except ValueError:
            return int(status), content

    def ok(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        status, answer = self.call(method, path, body, **more)
        assert 200 <= status < 300, f"{method} {path}: {status} {answer}"
        return answer

    def is_ready(self, port: int = 8080) -> bool:
        return self.call("GET", "/readyz", port=port)[0] == 200

    def await_ready(self, port: int = 8080) -> None:
        wait_until(lambda: self.is_ready(port), 30, lambda: self.log("-n 20"))

    def log(self, options: str = "") -> str:
        return self.run(f"journalctl -u lbfgsd -o cat --no-pager {options}").stdout

    @property
    def main_pid(self) -> int:
        return int(self.run("systemctl show lbfgsd -p MainPID --value").stdout)


class Run:
    """A session that minimises a quadratic, and what it waits for."""

    def __init__(self, machine: Machine, **more: Any) -> None:
        self.machine, self.more = machine, more
        body = {"x0": [3.0, -2.0, 1.0], "options": {"line_search_fn": "strong_wolfe"}}
        self.id = self.ok("POST", "/v1/sessions", body)["id"]
        self.path = f"/v1/sessions/{self.id}"

    def ok(self, method: str, path: str, body: Any = None) -> Any:
        return self.machine.ok(method, path, body, **self.more)

    def turn(self) -> Any:
        return self.ok("GET", f"{self.path}/evaluation")

    def tell(self, count: int) -> Any:
        turn = self.turn()
        for _ in range(count):
            if turn.get("evaluation") is None:
                turn = self.ok("POST", f"{self.path}/steps", {})
            pending = turn["evaluation"]
            gradient = [(1 + 3 * place) * x**3 for place, x in enumerate(pending["x"])]
            loss = sum(x * g for x, g in zip(pending["x"], gradient, strict=True)) / 4
            turn = self.ok(
                "PUT",
                f"{self.path}/evaluations/{pending['number']}/result",
                {"loss": loss, "gradient": gradient},
            )
        return self.turn()
