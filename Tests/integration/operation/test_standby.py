"""`lbfgsd standby` and `lbfgsd promote`: a second machine that takes the primary's place."""

from __future__ import annotations

import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from command import environment, run, serving
from daemon import Client, Daemon, binary, wait_until

STORAGE, TEMPORARY = 74, 75
OCTETS = "application/octet-stream"
# A gradient of 1.1 MB: each goes to a segment of its own, which is removed some evaluations later.
LONG = 140_000


class Standby:
    """`lbfgsd standby` as a process, which can be killed and started again."""

    def __init__(self, home: Path, primary: str, *arguments: Any) -> None:
        self.data, self.log = home / "standby", home / "standby.log"
        self.line = [binary(), "standby", "--from", primary, "--data", self.data, *arguments]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Standby:
        with self.log.open("ab") as stream:
            self.process = subprocess.Popen(
                [str(word) for word in self.line],
                stdout=stream,
                stderr=stream,
                stdin=subprocess.DEVNULL,
                env=environment(),
            )
        return self

    def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(30)

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    @property
    def copies(self) -> int:
        return self.text.count("copying the store")


class Pair:
    """A primary and its standby."""

    def __init__(self, home: Path, mode: str, *settings: Any) -> None:
        self.home = home
        options = ("--replication", mode, "--standby-timeout-seconds", "5", *map(str, settings))
        self.primary = Daemon(home / "data", home / "log", arguments=options)
        self.standby = Standby(home, self.primary.url)
        self.successor = Daemon(self.standby.data, home / "successor.log", arguments=options)

    @property
    def status(self) -> Any:
        return requests.get(f"{self.primary.url}/v1/replication", timeout=10).json()

    def follows(self) -> bool:
        status = self.status
        standby = status.get("standby")
        return bool(standby and standby["in_sync"] and standby["acknowledged"] == status["change"])

    def wait(self) -> None:
        wait_until(self.follows, 60, lambda: f"{self.status} {self.standby.text}")

    def promote(self, *more: Any) -> subprocess.CompletedProcess[str]:
        self.standby.end()
        return run("promote", "--data", self.standby.data, *more)

    def close(self) -> None:
        for daemon in (self.primary, self.successor):
            daemon.close()
        self.standby.end()


@contextmanager
def paired(home: Path, mode: str, *settings: Any) -> Iterator[Pair]:
    pair = Pair(home, mode, *settings)
    try:
        pair.primary.spawn()
        wait_until(
            lambda: (
                requests.get(f"{pair.primary.url}/livez", timeout=5).ok
                if listens(pair.primary)
                else False
            )
        )
        pair.standby.start()
        yield pair
    except BaseException:
        print("primary:", pair.primary.tail(), "\nstandby:", pair.standby.text[-4000:])
        print("successor:", pair.successor.tail() if pair.successor.log.exists() else "")
        raise
    finally:
        pair.close()


def listens(daemon: Daemon) -> bool:
    try:
        return requests.get(f"{daemon.url}/livez", timeout=5).ok
    except requests.RequestException:
        return False


class Worker(threading.Thread):
    """Tells one session gradients of a quadratic, one step after the other, until its daemon is
    gone."""

    def __init__(self, url: str, n: int, tells: int = 10**9, json: bool = False) -> None:
        super().__init__(daemon=True)
        self.url, self.n, self.tells, self.json = url, n, tells, json
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
        self.history: list[tuple[float, int]] = []
        self.points: dict[int, bytes] = {}
        self.ended = threading.Event()
        self.failure: BaseException | None = None

    def ask(self, method: str, path: str, body: Any = None) -> requests.Response:
        kind = "application/json" if self.json and path.startswith("evaluations") else OCTETS
        return self.http.request(
            method,
            f"{self.url}/v1/sessions/{self.session}/{path}",
            data=body,
            headers={"Accept": OCTETS} | ({"Content-Type": kind} if body is not None else {}),
            timeout=60,
        )

    def told(self, number: int, content: bytes) -> requests.Response:
        gradient = self.scale * np.frombuffer(content)
        loss = float(gradient @ np.frombuffer(content) / 2)
        if self.json:
            text = ",".join(repr(float(value)) for value in gradient)
            body: Any = f'{{"loss":{loss!r},"gradient":[{text}]}}'.encode()
            return self.ask("PUT", f"evaluations/{number}/result", body)
        return self.ask("PUT", f"evaluations/{number}/result?loss={loss!r}", gradient.tobytes())

    def go_on(self, turn: requests.Response | None = None) -> None:
        turn = turn or self.ask("POST", "steps")
        while not self.ended.is_set() and self.tells > 0:
            assert turn.status_code in (200, 201), turn.text
            if turn.headers["Lbfgsd-State"] == "idle":
                placed = self.ask("PUT", "params", np.full(self.n, 1.5).tobytes())
                assert placed.ok, placed.text
                turn = self.ask("POST", "steps")
                continue
            number = int(turn.headers["Lbfgsd-Evaluation"])
            known = self.points.setdefault(number, turn.content)
            assert known == turn.content, f"evaluation {number} of {self.session}: other bits"
            turn = self.told(number, turn.content)
            if turn.ok:
                self.acknowledged = number
                self.history.append((time.monotonic(), number))
            self.tells -= 1

    def run(self) -> None:
        try:
            self.go_on()
        except (requests.RequestException, AssertionError) as error:
            self.failure = error

    def acknowledged_at(self, moment: float) -> int:
        return max((number for at, number in self.history if at <= moment), default=0)

    def resume(self, url: str, tells: int) -> None:
        """Goes on at another daemon; a point that was seen before has to have the same bits."""
        self.http, self.url, self.tells = requests.Session(), url, tells
        self.ended.clear()
        # A session that is idle is given its start once more: that it was may have been lost.
        self.go_on(self.ask("GET", "evaluation"))


class Bystander(threading.Thread):
    """Creates, forks, keeps and deletes sessions meanwhile."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.client = Client(url)
        self.ended = threading.Event()
        self.deleted: list[str] = []
        self.kept: dict[str, list[float]] = {}

    def run(self) -> None:
        count = 0
        try:
            while not self.ended.is_set():
                count += 1
                size = 30_000 if count % 10 == 0 else 3
                made = self.client.create(x0=[float(count)] * size)
                checkpoint = self.client.ok("POST", f"/v1/sessions/{made}/checkpoints", {})["id"]
                fork = self.client.ok(
                    "POST", f"/v1/sessions/{made}/checkpoints/{checkpoint}/fork", {}
                )["id"]
                self.client.ok("DELETE", f"/v1/sessions/{made}")
                self.deleted.append(made)
                self.kept[fork] = [float(count)] * size
        except (requests.RequestException, AssertionError):
            pass


@contextmanager
def load(url: str) -> Iterator[tuple[list[Worker], Bystander]]:
    workers = [
        Worker(url, LONG),
        Worker(url, 5000),
        Worker(url, 40, json=True),
        Worker(url, 7),
    ]
    bystander = Bystander(url)
    threads: list[Worker | Bystander] = [*workers, bystander]
    for thread in threads:
        thread.start()
    try:
        yield workers, bystander
    finally:
        for thread in threads:
            thread.ended.set()
        for thread in threads:
            thread.join(60)


def position(url: str, session: str) -> int:
    """The newest evaluation that was told."""
    trace = Client(url).trace(session)
    return max((point["evaluation"] for point in trace), default=0)


def reference(home: Path, n: int, tells: int, json: bool) -> dict[int, bytes]:
    """The points of a worker that nothing interrupts."""
    with serving(home, data=":memory:") as daemon:
        worker = Worker(daemon.url, n, tells, json)
        worker.go_on()
        return worker.points


@pytest.mark.parametrize("mode", ["asynchronous", "synchronous"])
def test_a_standby_takes_the_place_of_a_primary_that_was_killed(tmp_path: Path, mode: str) -> None:
    with paired(tmp_path, mode) as pair:
        pair.wait()
        pair.primary.wait_ready()
        with load(pair.primary.url) as (workers, bystander):
            wait_until(lambda: all(worker.acknowledged > 15 for worker in workers), 120)
            pair.primary.kill()
            killed = time.monotonic()
        promoted = pair.promote()
        assert promoted.returncode == 0, promoted.stderr
        assert "can't be reached" in promoted.stderr and "term 2" in promoted.stdout
        # The new primary is alone.
        pair.successor.arguments = ("--replication", "asynchronous")
        pair.successor.start()
        for worker in workers:
            # A window of two seconds is more than an idle machine needs.
            least = (
                worker.acknowledged if mode == "synchronous" else worker.acknowledged_at(killed - 2)
            )
            assert position(pair.successor.url, worker.session) >= least
        client = Client(pair.successor.url)
        for session in bystander.deleted[:-20]:
            assert client.call("GET", f"/v1/sessions/{session}").status_code == 404
        for session, x in list(bystander.kept.items())[:-20]:
            assert client.x(session) == x
        for worker in workers:
            worker.resume(pair.successor.url, 40)
            expected = reference(tmp_path, worker.n, len(worker.points), worker.json)
            assert worker.points == {number: expected[number] for number in worker.points}
        assert pair.successor.stop() == 0


def test_a_standby_that_was_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    with paired(tmp_path, "asynchronous") as pair:
        pair.wait()
        with load(pair.primary.url) as (workers, _):
            for _ in range(4):
                time.sleep(1)
                pair.standby.end()
                time.sleep(0.3)
                pair.standby.start()
        pair.wait()
        assert pair.standby.copies == 1
        expected = {each.session: position(pair.primary.url, each.session) for each in workers}
        pair.primary.kill()
        assert pair.promote().returncode == 0
        pair.successor.start()
        for session, number in expected.items():
            assert position(pair.successor.url, session) == number
        for worker in workers:
            worker.resume(pair.successor.url, 5)


def test_segments_that_the_primary_has_removed_are_removed_from_the_copy(tmp_path: Path) -> None:
    with paired(tmp_path, "asynchronous") as pair:
        pair.wait()
        worker = Worker(pair.primary.url, LONG, tells=60)
        worker.go_on()
        pair.wait()
        time.sleep(2)
        Worker(pair.primary.url, LONG, tells=2).go_on()
        pair.wait()

        def segments(data: Path) -> set[str]:
            return {path.name for path in (data / "segments").iterdir()}

        wait_until(
            lambda: len(segments(pair.standby.data)) <= len(segments(pair.primary.data)) + 6,
            told=lambda: f"{segments(pair.primary.data)} {segments(pair.standby.data)}",
        )


def test_a_store_that_is_there_already_is_copied_and_again_after_the_primary_s_restart(
    tmp_path: Path,
) -> None:
    with paired(tmp_path, "asynchronous") as pair:
        pair.standby.end()
        workers = [Worker(pair.primary.url, n, tells=20) for n in (LONG, 5000, 40)]
        for worker in workers:
            worker.go_on()
        pair.standby.start()
        pair.wait()
        pair.primary.restart(cleanly=True)
        pair.wait()
        for worker in workers:
            worker.resume(pair.primary.url, 3)
        pair.wait()
        assert pair.standby.copies == 2
        pair.primary.kill()
        assert pair.promote().returncode == 0
        pair.successor.start()
        for worker in workers:
            assert position(pair.successor.url, worker.session) == worker.acknowledged
            worker.resume(pair.successor.url, 5)


def test_a_standby_that_is_too_far_behind_copies_anew(tmp_path: Path) -> None:
    with paired(tmp_path, "asynchronous", "--replication-buffer-bytes", "1MiB") as pair:
        pair.wait()
        pair.standby.end()
        worker = Worker(pair.primary.url, 1500, tells=150)
        worker.go_on()
        assert "the standby is lost" in pair.primary.tail()
        pair.standby.start()
        pair.wait()
        assert pair.standby.copies == 2
        pair.primary.kill()
        assert pair.promote().returncode == 0
        pair.successor.start()
        worker.resume(pair.successor.url, 5)


def problem(response: requests.Response) -> tuple[int, str]:
    return response.status_code, response.json()["type"].removeprefix("/problems/")


def test_a_promotion_fences_the_primary_and_loses_nothing(tmp_path: Path) -> None:
    with paired(tmp_path, "asynchronous") as pair:
        pair.wait()
        with load(pair.primary.url) as (workers, _):
            time.sleep(2)
            promoted = pair.promote()
            assert promoted.returncode == 0, promoted.stderr
            assert promoted.stderr == ""
            wait_until(lambda: not any(worker.is_alive() for worker in workers))
        pair.successor.start()
        for worker in workers:
            assert position(pair.successor.url, worker.session) >= worker.acknowledged
        old = Client(pair.primary.url)
        for _ in range(2):
            made = old.call("POST", "/v1/sessions", {"x0": [1.0]})
            assert problem(made) == (503, "fenced") and made.json()["term"] == 2
            session = workers[0].session
            assert problem(old.call("DELETE", f"/v1/sessions/{session}")) == (503, "fenced")
            assert old.call("GET", f"/v1/sessions/{session}").status_code == 200
            ready = old.call("GET", "/readyz")
            assert ready.status_code == 503 and "promoted" in ready.text
            # It stays so.
            pair.primary.kill()
            pair.primary.spawn()
            wait_until(lambda: listens(pair.primary))
        for worker in workers:
            worker.resume(pair.successor.url, 5)
        # Without its setting it takes no writes either.
        pair.primary.stop()
        pair.primary.arguments = ()
        pair.primary.spawn()
        wait_until(lambda: listens(pair.primary))
        assert problem(old.call("POST", "/v1/sessions", {"x0": [1.0]})) == (503, "fenced")


def test_an_old_primary_that_comes_back_is_fenced_by_the_new_one(tmp_path: Path) -> None:
    with paired(tmp_path, "asynchronous") as pair:
        pair.wait()
        worker = Worker(pair.primary.url, 40, tells=10)
        worker.go_on()
        pair.wait()
        pair.primary.kill()
        promoted = pair.promote()
        assert promoted.returncode == 0 and "not fenced" in promoted.stderr
        pair.successor.start()
        worker.resume(pair.successor.url, 5)
        pair.primary.spawn()
        wait_until(lambda: listens(pair.primary))
        old = Client(pair.primary.url)
        wait_until(lambda: old.call("POST", "/v1/sessions", {"x0": [1.0]}).status_code == 503)
        assert problem(old.call("POST", "/v1/sessions", {"x0": [1.0]})) == (503, "fenced")
        wait_until(lambda: "the former primary is fenced" in pair.successor.tail())


def test_a_synchronous_primary_acknowledges_nothing_without_its_standby(tmp_path: Path) -> None:
    with paired(tmp_path, "synchronous") as pair:
        pair.wait()
        worker = Worker(pair.primary.url, 40, tells=10)
        worker.go_on()
        # As if the network were cut: the primary learns nothing of the promotion.
        assert pair.promote("--without-primary").returncode == 0
        client = Client(pair.primary.url)
        turn = worker.ask("GET", "evaluation")
        told = worker.told(int(turn.headers["Lbfgsd-Evaluation"]), turn.content)
        assert problem(told) in [(503, "unacknowledged"), (503, "standby-missing")]
        assert problem(client.call("POST", "/v1/sessions", {"x0": [1.0]})) == (
            503,
            "standby-missing",
        )
        assert client.call("GET", "/readyz").status_code == 503
        assert client.call("GET", f"/v1/sessions/{worker.session}").status_code == 200
        # Nor after a restart, when the result that was not acknowledged is repeated.
        pair.primary.kill()
        pair.primary.spawn()
        wait_until(lambda: listens(pair.primary))
        told = worker.told(int(turn.headers["Lbfgsd-Evaluation"]), turn.content)
        assert problem(told) == (503, "standby-missing")
        pair.successor.arguments = ("--replication", "asynchronous")
        pair.successor.start()
        assert position(pair.successor.url, worker.session) == worker.acknowledged
        wait_until(
            lambda: "fenced" in client.call("GET", "/readyz").text.replace("promoted", "fenced")
        )


def test_a_synchronous_primary_may_go_on_alone_and_says_so(tmp_path: Path) -> None:
    with paired(tmp_path, "synchronous", "--standby-missing", "continue") as pair:
        pair.wait()
        worker = Worker(pair.primary.url, 40, tells=5)
        worker.go_on()
        pair.standby.end()
        worker.resume(pair.primary.url, 5)
        assert "WITHOUT a standby" in pair.primary.tail()
        pair.standby.start()
        pair.wait()
        worker.resume(pair.primary.url, 5)
        pair.wait()
        pair.primary.kill()
        assert pair.promote().returncode == 0
        pair.successor.start()
        assert position(pair.successor.url, worker.session) == worker.acknowledged


def test_a_directory_is_what_it_is(tmp_path: Path) -> None:
    with paired(tmp_path, "asynchronous") as pair:
        pair.wait()
        assert run("promote", "--data", pair.standby.data).returncode == TEMPORARY
        pair.standby.end()
        for command in (
            ("serve", "--data", pair.standby.data, "--listen", "127.0.0.1:0"),
            ("backup", tmp_path / "backups", "--data", pair.standby.data),
            ("compact", "--data", pair.standby.data),
        ):
            refused = run(*command)
            assert refused.returncode == STORAGE and "standby" in refused.stderr, refused
        pair.primary.stop()
        refused = run("promote", "--data", pair.primary.data)
        assert refused.returncode == STORAGE and "no standby's copy" in refused.stderr
        refused = run("standby", "--from", pair.primary.url, "--data", pair.primary.data)
        assert refused.returncode == STORAGE and "no standby's copy" in refused.stderr
        refused = run("standby", "--from", "ftp://host", "--data", tmp_path / "other")
        assert refused.returncode == 64


def test_replication_is_off_unless_it_is_set(daemon: Daemon, tmp_path: Path) -> None:
    client = Client(daemon.url)
    assert problem(client.call("GET", "/v1/replication")) == (409, "replication-off")
    standby = Standby(tmp_path, daemon.url).start()
    try:
        wait_until(lambda: "replication is off" in standby.text, told=lambda: standby.text)
    finally:
        standby.end()
    refused = run("promote", "--data", standby.data)
    assert refused.returncode == STORAGE and "never completed" in refused.stderr


def test_a_standby_needs_a_token_of_the_operator_s(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(
        "tokens:\n"
        + "".join(
            f"  - {{name: {name}, sha256: {digest(name * 20)}, tenant: t, scopes: [{scopes}]}}\n"
            for name, scopes in (("w", "read, write, delete"), ("a", "admin"))
        )
    )
    options = ("--replication", "asynchronous", "--token-file", tokens)
    with serving(tmp_path, *options) as primary:
        (tmp_path / "token").write_text("w" * 20)
        arguments = ("--primary-token-file", tmp_path / "token")
        standby = Standby(tmp_path, primary.url, *arguments).start()
        try:
            wait_until(lambda: "insufficient-scope" in standby.text, told=lambda: standby.text)
            standby.end()
            (tmp_path / "token").write_text("a" * 20)
            standby.start()
            wait_until(lambda: re.search(r"\bfollowing\b", standby.text) is not None)
        finally:
            standby.end()


def digest(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()


def test_metrics_say_how_far_the_standby_is_behind(tmp_path: Path) -> None:
    with paired(tmp_path, "asynchronous") as pair:
        pair.wait()

        def value(name: str) -> float:
            text = requests.get(f"{pair.primary.url}/metrics", timeout=10).text
            found = re.search(rf"^lbfgsd_replication_{name} (\S+)$", text, re.MULTILINE)
            assert found, text
            return float(found[1])

        assert value("standby_in_sync") == 1 and value("lag_bytes") == 0
        assert value("term") == 1 and value("fenced") == 0
        pair.standby.end()
        Worker(pair.primary.url, 40, tells=3).go_on()
        time.sleep(0.5)
        assert value("lag_bytes") > 0 and value("lag_seconds") > 0.4
