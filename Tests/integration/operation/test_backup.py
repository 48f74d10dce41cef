"""`lbfgsd backup` of a daemon that is told long vectors, and `lbfgsd restore`."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import numpy as np
import requests

from command import environment, run, serving
from daemon import Client

STORAGE = 74
OCTETS = "application/octet-stream"
# A gradient of 1.1 MB: each goes to a segment of its own, which is removed some evaluations later.
LONG = 140_000


class Worker(threading.Thread):
    """Tells one session gradients of a quadratic, one step after the other."""

    def __init__(self, url: str, n: int) -> None:
        super().__init__()
        self.url, self.n = url, n
        self.scale = np.linspace(1, 50, n)
        self.http = requests.Session()
        created = self.http.post(
            f"{url}/v1/sessions",
            json={"params": [{"shape": [n], "fill": 1.0}], "options": {"history_size": 3}},
            timeout=60,
        )
        assert created.status_code == 201, created.text
        self.session: str = created.json()["id"]
        self.acknowledged = 0
        self.points: dict[int, bytes] = {}
        self.ended = threading.Event()
        self.failure: Exception | None = None

    def ask(self, method: str, path: str, body: bytes | None = None) -> requests.Response:
        response = self.http.request(
            method,
            f"{self.url}/v1/sessions/{self.session}/{path}",
            data=body,
            headers={"Accept": OCTETS} | ({"Content-Type": OCTETS} if body is not None else {}),
            timeout=60,
        )
        assert response.status_code in (200, 201), response.text
        return response

    def run(self) -> None:
        try:
            turn = self.ask("POST", "steps")
            while not self.ended.is_set():
                if turn.headers["Lbfgsd-State"] == "idle":
                    self.ask("PUT", "params", np.full(self.n, 1.5).tobytes())
                    turn = self.ask("POST", "steps")
                number = int(turn.headers["Lbfgsd-Evaluation"])
                self.points[number] = turn.content[:64]
                x = np.frombuffer(turn.content)
                gradient = self.scale * x
                loss = float(gradient @ x / 2)
                turn = self.ask(
                    "PUT", f"evaluations/{number}/result?loss={loss!r}", gradient.tobytes()
                )
                self.acknowledged = number
        except Exception as error:
            self.failure = error


def back_up(data: Path, to: Path) -> tuple[Path, str]:
    result = run("backup", to, "--data", data)
    assert result.returncode == 0, result.stderr
    return Path(result.stdout.splitlines()[0]), result.stdout


def check_restored(backup: Path, home: Path, expected: dict[str, tuple[int, Worker]]) -> None:
    """A daemon on the restored backup has each session at least where it was acknowledged."""
    result = run("restore", backup, "--data", home / "data")
    assert result.returncode == 0, result.stderr
    with serving(home) as daemon:
        for session, (acknowledged, worker) in expected.items():
            answer = requests.get(
                f"{daemon.url}/v1/sessions/{session}/evaluation",
                headers={"Accept": OCTETS},
                timeout=60,
            )
            assert answer.status_code == 200, answer.text
            if answer.headers["Lbfgsd-State"] != "evaluating":
                trace = Client(daemon.url).trace(session)
                assert acknowledged == 0 or trace[-1]["evaluation"] >= acknowledged
                continue
            number = int(answer.headers["Lbfgsd-Evaluation"])
            assert number > acknowledged
            # The same bits as the daemon that was backed up has asked for.
            assert worker.points.get(number, answer.content[:64]) == answer.content[:64]
        assert daemon.stop() == 0


def test_twenty_backups_while_long_vectors_are_told(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    backups: list[tuple[Path, dict[str, tuple[int, Worker]]]] = []
    with serving(tmp_path / "first") as daemon:
        workers = [Worker(daemon.url, n) for n in (LONG, 5000, 40)]
        for worker in workers:
            worker.start()
        try:
            for _ in range(20):
                expected = {each.session: (each.acknowledged, each) for each in workers}
                made, _ = back_up(tmp_path / "first/data", tmp_path / "backups")
                backups.append((made, expected))
        finally:
            for worker in workers:
                worker.ended.set()
            for worker in workers:
                worker.join(60)
        assert [worker.failure for worker in workers] == [None] * len(workers)
        assert min(worker.acknowledged for worker in workers) > 20
        assert daemon.stop() == 0
    assert len({path for path, _ in backups}) == 20
    for index, (made, expected) in enumerate(backups):
        home = tmp_path / f"restored-{index}"
        home.mkdir()
        check_restored(made, home, expected)
        shutil.rmtree(home)


def store_long_vector(url: str) -> None:
    """Of a session of its own, in a segment of its own."""
    session = Client(url).create(params=[{"shape": [LONG], "fill": 1.0}])
    response = requests.put(
        f"{url}/v1/sessions/{session}/params",
        data=np.linspace(0, 1, LONG).tobytes(),
        headers={"Content-Type": OCTETS},
        timeout=60,
    )
    assert response.status_code == 200


def test_a_second_backup_shares_what_has_not_changed(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon:
        store_long_vector(daemon.url)
        first, _ = back_up(tmp_path / "data", tmp_path / "backups")
        second, told = back_up(tmp_path / "data", tmp_path / "backups")
        assert " 0 copied" in told and ", 0 bytes" in told and ", 0 shared" not in told
        for path in (second / "segments").iterdir():
            assert path.stat().st_ino == (first / "segments" / path.name).stat().st_ino
        assert daemon.stop() == 0


def test_a_damaged_backup_is_not_restored_and_a_backup_is_not_served(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon:
        store_long_vector(daemon.url)
        made, _ = back_up(tmp_path / "data", tmp_path / "backups")
        assert daemon.stop() == 0
    refused = run("serve", "--listen", "127.0.0.1:0", "--data", made)
    assert refused.returncode == STORAGE and "is a backup" in refused.stderr
    occupied = run("restore", made, "--data", tmp_path / "data")
    assert occupied.returncode == STORAGE and "not empty" in occupied.stderr
    segment = next((made / "segments").iterdir())
    with segment.open("r+b") as file:
        file.seek(1000)
        byte = file.read(1)[0]
        file.seek(1000)
        file.write(bytes([byte ^ 1]))
    damaged = run("restore", made, "--data", tmp_path / "new")
    assert damaged.returncode == STORAGE and segment.name in damaged.stderr
    assert not (tmp_path / "new").exists()


def test_a_killed_daemons_data_can_be_backed_up(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon:
        worker = Worker(daemon.url, 40)
        worker.start()
        while worker.acknowledged < 50 and worker.failure is None:
            pass
        assert daemon.stop(signal.SIGKILL) == -signal.SIGKILL
        worker.ended.set()
        worker.join(60)
    made, _ = back_up(tmp_path / "data", tmp_path / "backups")
    (tmp_path / "second").mkdir()
    check_restored(made, tmp_path / "second", {worker.session: (worker.acknowledged, worker)})


def test_segments_stay_as_long_as_a_backup_needs_them(tmp_path: Path) -> None:
    """A stopped backup holds the pin; when it goes on, the store gives the space back."""
    with serving(tmp_path) as daemon:
        client = Client(daemon.url)
        session = client.create(params=[{"shape": [LONG], "fill": 1.0}])
        url = f"{daemon.url}/v1/sessions/{session}/params"
        headers = {"Content-Type": OCTETS}

        def replace(value: float) -> None:
            body = np.full(LONG, value).tobytes()
            assert requests.put(url, data=body, headers=headers, timeout=60).ok

        replace(1)
        segments = tmp_path / "data" / "segments"
        before = {path.name for path in segments.iterdir()}
        holder = subprocess.Popen(
            ["flock", "--shared", tmp_path / "data" / "pin", "sleep", "600"],
            env=environment(),
            start_new_session=True,
        )
        try:
            while (
                subprocess.run(
                    ["flock", "--exclusive", "--nonblock", tmp_path / "data" / "pin", "true"],
                    check=False,
                ).returncode
                == 0
            ):
                pass
            for value in (2, 3, 4):
                replace(value)
            assert before <= {path.name for path in segments.iterdir()}
        finally:
            os.killpg(holder.pid, signal.SIGKILL)
            holder.wait()
        replace(5)
        deadline = threading.Event()
        for _ in range(100):
            if not before & {path.name for path in segments.iterdir()}:
                break
            deadline.wait(0.1)
        assert not before & {path.name for path in segments.iterdir()}
        assert daemon.stop() == 0


def test_backup_says_what_it_cannot_back_up(tmp_path: Path) -> None:
    result = run("backup", tmp_path / "backups", "--data", tmp_path / "nothing")
    assert result.returncode == STORAGE and "there is no store" in result.stderr
    result = run("restore", tmp_path, "--data", tmp_path / "new")
    assert result.returncode == STORAGE and "is no backup" in result.stderr
