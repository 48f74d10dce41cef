"""Each limit is driven to its end. A client beyond it is told so, with the numbers and a time to
come back; other clients are served meanwhile, and afterwards nothing of it is left."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from command import serving
from daemon import Client, wait_until
from problems import rosenbrock

MIB = 1 << 20


def gauges(url: str) -> dict[str, float]:
    text = requests.get(url + "/metrics", timeout=30).text
    return {name: float(value) for name, value in re.findall(r"(?m)^(lbfgsd_\w+) (\S+)$", text)}


def check_refusal(
    response: requests.Response,
    status: int,
    kind: str,
    limit: str | None = None,
    maximum: Any = None,
) -> dict[str, Any]:
    """Asserts that a refusal says what is too much, how much is allowed, and when to try again."""
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"].startswith("application/problem+json")
    assert 1 <= int(response.headers["Retry-After"]) <= 3600
    problem = response.json()
    assert problem["type"] == f"/problems/{kind}" and problem["status"] == status
    assert problem["retry_after_seconds"] == int(response.headers["Retry-After"])
    if limit is not None:
        assert problem["limit_name"] == limit
        assert problem["limit"] == maximum
    return problem


def check_quiet(url: str) -> None:
    """Waits until no request waits or holds anything, except the one that asks."""

    def is_quiet() -> Any:
        now = gauges(url)
        return (
            now["lbfgsd_waiters"] == 0
            and now["lbfgsd_http_body_bytes_in_flight"] == 0
            and now["lbfgsd_http_exchanges_in_flight"] <= 1
            and now["lbfgsd_http_connections_open"] <= 2  # and the one of the test's client
        )

    wait_until(is_quiet, told=lambda: gauges(url))


class Raw:
    """A connection on which the test writes the bytes itself."""

    def __init__(self, url: str, source: str | None = None) -> None:
        where = urlsplit(url)
        assert where.port is not None
        self.host = where.netloc
        self.socket = socket.create_connection(
            (where.hostname, where.port), timeout=60, source_address=(source, 0) if source else None
        )

    def send(
        self, method: str, path: str, body: bytes = b"", length: int | None = None, **headers: Any
    ) -> Any:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}"]
        if body or length is not None:
            lines += [f"Content-Length: {length if length is not None else len(body)}"]
            lines += ["Content-Type: application/json"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
        return self

    def answer(self) -> requests.Response:
        data = b""
        while b"\r\n\r\n" not in data:
            more = self.socket.recv(65536)
            assert more, f"the connection ended after {data!r}"
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        response = requests.Response()
        response.status_code = int(lines[0].split()[1])
        for line in lines[1:]:
            name, _, value = line.partition(": ")
            response.headers[name] = value
        while len(body) < int(response.headers.get("Content-Length", 0)):
            body += self.socket.recv(65536)
        response._content = body
        return response

    def close(self) -> None:
        self.socket.close()


@contextmanager
def polling(url: str, sessions: list[str], seconds: int = 30) -> Iterator[Any]:
    """Holds a long poll on each session while the body runs."""
    with ExitStack() as stack:
        for session in sessions:
            poll = Raw(url)
            stack.callback(poll.close)
            path = f"/v1/sessions/{session}/evaluation"
            poll.send("GET", path, Prefer=f"wait={seconds}")
        wait_until(lambda: gauges(url)["lbfgsd_waiters"] == len(sessions))
        yield


def fit_a_little(client: Client) -> None:
    """Asserts that another client is served."""
    session = client.create(x0=[1.0, 2.0], options={"line_search_fn": "strong_wolfe"})
    turn = client.step(session, lambda x: (sum(v * v for v in x), [2 * v for v in x]))
    assert turn["result"]["converged"]
    client.ok("DELETE", f"/v1/sessions/{session}")


# MARK: Connections


def test_connections_beyond_the_limit_are_turned_away(tmp_path: Path) -> None:
    with serving(tmp_path, "--max-connections", "6") as daemon:
        url = daemon.url
        wait_until(lambda: gauges(url)["lbfgsd_http_connections_open"] <= 1)
        client = Client(url)
        assert client.ok("GET", "/v1/limits")["connections_max"] == 6
        held = [Raw(url) for _ in range(5)]
        for raw in held:
            raw.send("GET", "/livez")
            assert raw.answer().status_code == 200
        for _ in range(20):
            turned_away = Raw(url).send("GET", "/livez")
            check_refusal(turned_away.answer(), 503, "overloaded", "connections", 6)
            turned_away.close()
        # Open connections are served repeatedly.
        fit_a_little(client)
        for raw in held:
            assert raw.send("GET", "/livez").answer().status_code == 200
            raw.close()
        client.session.close()
        check_quiet(url)
        assert gauges(url)["lbfgsd_http_connections_rejected_total"] == 20
        fit_a_little(Client(url))


def test_connections_from_one_address_have_a_limit_of_their_own(tmp_path: Path) -> None:
    with serving(tmp_path, "--max-connections-per-address", "4") as daemon:
        url = daemon.url
        greedy = [Raw(url, "127.0.0.7") for _ in range(4)]
        for raw in greedy:
            assert raw.send("GET", "/livez").answer().status_code == 200
        for _ in range(5):
            more = Raw(url, "127.0.0.7").send("GET", "/livez")
            check_refusal(more.answer(), 503, "overloaded", "connections_per_address", 4)
            more.close()
        other = Raw(url, "127.0.0.8").send("GET", "/livez")
        assert other.answer().status_code == 200
        fit_a_little(Client(url))
        for raw in (*greedy, other):
            raw.close()
        wait_until(lambda: gauges(url)["lbfgsd_http_connections_open"] <= 1)
        assert Client(url).ok("GET", "/v1/limits")["connections_per_address_max"] == 4
        again = Raw(url, "127.0.0.7").send("GET", "/livez")
        assert again.answer().status_code == 200


# MARK: Bodies


def test_bodies_in_flight_have_a_limit_in_bytes(tmp_path: Path) -> None:
    with serving(tmp_path, "--max-body-bytes-in-flight", "1MiB") as daemon:
        url = daemon.url
        client = Client(url)
        session = client.create(x0=[0.5] * 30_000)
        number = client.begin(session)["evaluation"]["number"]
        path = f"/v1/sessions/{session}/evaluations/{number}/result"
        body = json.dumps({"loss": 1.0, "gradient": [0.25] * 30_000}).encode()
        body += b" " * (700_000 - len(body))
        slow = Raw(url).send("PUT", path, body[:1000], length=len(body))
        wait_until(lambda: gauges(url)["lbfgsd_http_body_bytes_in_flight"] >= len(body))
        for _ in range(3):
            refused = Raw(url).send("PUT", path, length=len(body), Expect="100-continue")
            check_refusal(refused.answer(), 503, "overloaded", "body_bytes_in_flight", MIB)
            refused.close()
        assert client.ask(session)["evaluation"]["number"] == number
        fit_a_little(client)
        slow.socket.sendall(body[1000:])
        assert slow.answer().status_code == 200
        # A client that leaves in the middle of its body releases its memory too.
        vanishing = Raw(url).send("PUT", path, body[:1000], length=len(body))
        wait_until(lambda: gauges(url)["lbfgsd_http_body_bytes_in_flight"] >= len(body))
        vanishing.close()
        slow.close()
        client.session.close()
        check_quiet(url)
        told = Raw(url).send("PUT", path, body)
        again = told.answer()
        assert again.status_code == 200 and again.headers["Idempotent-Replayed"] == "true"


# MARK: Sessions and their memory


def test_sessions_beyond_the_limit_are_not_made(tmp_path: Path) -> None:
    with serving(tmp_path, "--max-sessions", "3") as daemon:
        client = Client(daemon.url)
        sessions = [client.create() for _ in range(3)]
        for _ in range(3):
            refused = client.call("POST", "/v1/sessions", {"x0": [1.0]})
            check_refusal(refused, 503, "overloaded", "sessions", 3)
        assert len(client.ok("GET", "/v1/sessions")["sessions"]) == 3
        assert client.begin(sessions[0])["state"] == "evaluating"
        client.ok("DELETE", f"/v1/sessions/{sessions[1]}")
        client.create()
        check_refusal(
            client.call("POST", "/v1/sessions", {"x0": [1.0]}), 503, "overloaded", "sessions", 3
        )
        client.session.close()
        check_quiet(daemon.url)


def test_a_session_that_could_need_too_much_memory_is_not_made(tmp_path: Path) -> None:
    with serving(tmp_path, "--max-session-bytes", "1MiB") as daemon:
        client = Client(daemon.url)
        body: dict[str, Any] = {"x0": [1.0] * 1000, "options": {"history_size": 1000}}
        refused = client.call("POST", "/v1/sessions", body)
        assert refused.status_code == 422
        [error] = refused.json()["errors"]
        assert error["field"] == "options.history_size" and str(MIB) in error["reason"]
        body["options"]["history_size"] = 10
        session = client.create(**body)
        assert client.get(session)["memory_bytes_estimate"] <= MIB
        grown = client.call("PATCH", f"/v1/sessions/{session}", {"options": {"history_size": 1000}})
        assert grown.status_code == 422
        assert client.get(session)["options"]["history_size"] == 10
        fit_a_little(client)
        now = gauges(daemon.url)
        assert now["lbfgsd_sessions_resident"] == 1


def test_sessions_in_memory_have_a_budget(tmp_path: Path) -> None:
    """Idle sessions are evicted. If all are in use, one that is not in memory is refused with
    503."""
    with serving(tmp_path, "--max-resident-bytes", "1MiB") as daemon:
        url = daemon.url
        client = Client(url)
        assert client.ok("GET", "/v1/limits")["resident_bytes_max"] == MIB
        body = {"x0": [1.0] * 1000, "options": {"history_size": 4}}
        sessions = [client.create(**body) for _ in range(20)]
        need = client.get(sessions[0])["memory_bytes_estimate"]
        for session in sessions:
            assert client.begin(session)["evaluation"]["number"] == 1
            assert gauges(url)["lbfgsd_sessions_resident_bytes"] <= MIB
        for session in sessions:
            assert client.ask(session)["evaluation"]["number"] == 1
            assert client.ok("POST", f"/v1/sessions/{session}/stop")["state"] == "idle"
        fitting = int(gauges(url)["lbfgsd_sessions_resident"])
        count = MIB // (need + (16 << 10))
        assert fitting <= count < len(sessions)
        with polling(url, sessions[:count]):
            for _ in range(3):
                refused = client.call("GET", f"/v1/sessions/{sessions[-1]}")
                problem = check_refusal(refused, 503, "overloaded", "resident_bytes", MIB)
                assert problem["needed_bytes"] >= need
                assert problem["reserved_bytes"] + problem["needed_bytes"] > MIB
                refused = client.call("POST", "/v1/sessions", body)
                check_refusal(refused, 503, "overloaded", "resident_bytes", MIB)
            assert len(client.ok("GET", "/v1/sessions")["sessions"]) == 20
            # Sessions that are in memory are served, and wake those that wait for them.
            assert client.begin(sessions[0])["state"] == "evaluating"
            assert gauges(url)["lbfgsd_sessions_resident_bytes"] <= MIB
        wait_until(lambda: gauges(url)["lbfgsd_waiters"] == 0)
        for session in sessions:
            client.get(session)
            client.ok("DELETE", f"/v1/sessions/{session}")
        now = gauges(url)
        assert now["lbfgsd_sessions_resident"] == 0
        assert now["lbfgsd_sessions_resident_bytes"] == 0
        client.session.close()
        check_quiet(url)


# MARK: Waiting


def test_waiters_beyond_the_limit_are_refused(tmp_path: Path) -> None:
    with serving(tmp_path, "--max-waiters", "3") as daemon:
        url = daemon.url
        client = Client(url)
        session = client.create()
        with polling(url, [session] * 3):
            for _ in range(3):
                asked = client.call(
                    "GET", f"/v1/sessions/{session}/evaluation", headers={"Prefer": "wait=20"}
                )
                check_refusal(asked, 503, "overloaded", "waiters", 3)
                stream = client.call("GET", f"/v1/sessions/{session}/events")
                check_refusal(stream, 503, "overloaded", "waiters", 3)
            assert client.ask(session)["state"] == "idle"
            fit_a_little(client)
        wait_until(lambda: gauges(url)["lbfgsd_waiters"] == 0)
        with polling(url, [session] * 3):
            assert client.begin(session)["state"] == "evaluating"
            wait_until(lambda: gauges(url)["lbfgsd_waiters"] == 0)
        client.session.close()
        check_quiet(url)


def test_requests_that_wait_for_one_session_have_a_limit(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon:
        url = daemon.url
        client = Client(url)
        limit = client.ok("GET", "/v1/limits")["queued_requests_max"]
        session, other = client.create(), client.create()
        crowd = [Raw(url) for _ in range(4 * limit)]
        body = json.dumps({"name": "crowded"}).encode()
        begun = threading.Event()
        served: list[Any] = []

        def serve_another() -> None:
            begun.wait()
            neighbour = Client(url)
            served.extend(neighbour.ask(other)["state"] for _ in range(20))

        neighbour = threading.Thread(target=serve_another)
        neighbour.start()
        begun.set()
        for raw in crowd:
            raw.send("PATCH", f"/v1/sessions/{session}", body)
        answers = [raw.answer() for raw in crowd]
        neighbour.join()
        assert served == ["idle"] * 20
        refused = [answer for answer in answers if answer.status_code != 200]
        assert 0 < len(refused) <= len(crowd) - limit
        for answer in refused:
            check_refusal(answer, 429, "busy", "queued_requests", limit)
        for raw in crowd:
            raw.close()
        assert client.get(session)["name"] == "crowded"
        fit_a_little(client)
        client.session.close()
        check_quiet(url)


# MARK: The disk


def test_a_limit_on_the_size_of_files_refuses_writes_like_a_full_disk(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon:
        client = Client(daemon.url)
        session = client.create()
        client.begin(session)
        # Nothing can be written beyond a file's first byte.
        unlimited = resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (1, unlimited[1]))
        for _ in range(2):
            check_refusal(client.call("POST", "/v1/sessions", {"x0": [1.0]}), 507, "storage-full")
            told = client.call(
                "PUT",
                f"/v1/sessions/{session}/evaluations/1/result",
                {"loss": 1.0, "gradient": [0.5, 0.5]},
            )
            check_refusal(told, 507, "storage-full")
        assert client.ok("GET", f"/v1/sessions/{session}")["state"] == "evaluating"
        resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, unlimited)
        turn = client.ask(session)
        assert turn["evaluation"]["number"] == 1
        assert client.answer(turn, rosenbrock)["evaluation"]["number"] == 2
        assert daemon.stop() == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> tuple[Any, Any]:
    """A file system of 12 MiB, in a mount namespace of the daemon's own."""
    return disk_of(12, tmp_path)


def disk_of(size: int, tmp_path: Path) -> tuple[Any, Any]:
    if shutil.which("unshare") is None:
        pytest.skip("no unshare(1)")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size={size}m tmpfs '{disk}'"
    allowed = subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True)
    if allowed.returncode != 0:
        pytest.skip(f"no mounts here: {allowed.stderr.decode()}")
    return ("unshare", "-rm", "sh", "-c", mount + ' && exec "$0" "$@"'), disk


def test_checkpoints_have_a_limit(tmp_path: Path) -> None:
    with serving(tmp_path, "--max-checkpoints", "2") as daemon:
        client = Client(daemon.url)
        path = f"/v1/sessions/{client.create()}/checkpoints"
        for _ in range(2):
            client.ok("POST", path, {})
        check_refusal(client.call("POST", path, {}), 503, "overloaded", "checkpoints", 2)
        assert client.call("DELETE", f"{path}/1").status_code == 204
        client.ok("POST", path, {})
        check_refusal(client.call("POST", path, {}), 503, "overloaded", "checkpoints", 2)


def test_a_filled_parameter_takes_no_disk(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon:
        client = Client(daemon.url)
        body = {"params": [{"shape": [2_000_000], "fill": 0.5}], "options": {"history_size": 1}}
        session = client.ok("POST", "/v1/sessions", body)["id"]
        assert client.get(session)["disk_bytes"] < 10_000
        files = (file for file in (tmp_path / "data").rglob("*") if file.name != "ballast")
        assert sum(file.stat().st_blocks * 512 for file in files) < 1 * MIB
    with serving(tmp_path) as daemon:
        assert set(Client(daemon.url).x(session)) == {0.5}


def fill_disk(directory: str, left: int) -> None:
    """Leaves so many bytes on the file system of a directory."""
    free = os.statvfs(directory)
    size = free.f_bavail * free.f_frsize - left
    with Path(directory, "filler").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)


def test_a_full_disk_is_seen_keeps_a_reserve_and_can_be_emptied(tmp_path: Path) -> None:
    command, disk = disk_of(128, tmp_path)
    with serving(
        tmp_path, "--disk-reserve-bytes", "1GiB", data=disk / "data", command=command
    ) as daemon:
        client = Client(daemon.url)
        # The mount is in the daemon's name space only.
        inside = f"/proc/{daemon.process.pid}/root{disk}"
        reserve = client.ok("GET", "/v1/limits")["disk_reserve_bytes"]
        assert reserve == 128 * MIB // 16
        session, other = client.create(), client.create(x0=[0.5] * 9)
        for _ in range(100):
            client.create(x0=[float(i) for i in range(1500)])
        many = [s["id"] for s in client.ok("GET", "/v1/sessions?page_size=1000")["sessions"]]
        checkpoint = client.ok("POST", f"/v1/sessions/{session}/checkpoints", {})["id"]
        turn = client.begin(session)
        fill_disk(inside, reserve - 100_000)

        # Below the reserve nothing is created, and results are stored.
        where = f"/v1/sessions/{session}"
        for path, body in (
            ("/v1/sessions", {"x0": [1]}),
            (f"{where}/checkpoints", {}),
            (f"{where}/checkpoints/{checkpoint}/fork", {}),
        ):
            problem = check_refusal(client.call("POST", path, body), 507, "storage-full")
            assert problem["reserve_bytes"] == reserve > problem["available_bytes"]
        turn = client.answer(turn, rosenbrock)
        assert client.call("GET", "/readyz").status_code == 200
        time.sleep(3)  # SQLite's WAL is copied back meanwhile
        assert gauges(daemon.url)["lbfgsd_disk_full"] == 0

        # A full disk has a reason, once in the log.
        Path(inside, "filler").unlink()
        fill_disk(inside, 0)

        def is_full() -> bool:
            return client.call("GET", "/readyz").status_code == 503

        wait_until(is_full)
        ready = client.call("GET", "/readyz").json()
        assert ready["type"] == "/problems/not-ready" and "disk is full" in ready["detail"]
        assert gauges(daemon.url)["lbfgsd_disk_full"] == 1
        assert gauges(daemon.url)["lbfgsd_disk_free_bytes"] < MIB
        for _ in range(20):
            check_refusal(client.call("POST", "/v1/sessions", {"x0": [1]}), 507, "storage-full")
        assert len(re.findall(r"the disk is full.*available_bytes=", daemon.text)) == 1

        # Deleting works, all of it.
        assert client.call("DELETE", f"{where}/checkpoints/{checkpoint}").status_code == 204
        for removed in many:
            if removed not in (session, other):
                assert client.call("DELETE", f"/v1/sessions/{removed}").status_code == 204
        left = client.ok("GET", "/v1/sessions?page_size=1000")["sessions"]
        assert {s["id"] for s in left} == {session, other}

        # With room everything goes on by itself.
        Path(inside, "filler").unlink()
        wait_until(lambda: client.call("GET", "/readyz").status_code == 200)
        client.create()
        client.answer(client.ask(session), rosenbrock)
        daemon.wait_for("the disk has room again")
        assert gauges(daemon.url)["lbfgsd_disk_full"] == 0
        ballast = Path(inside, "data", "ballast")
        wait_until(lambda: ballast.stat().st_blocks > 0)


def test_a_full_disk_refuses_writes_and_goes_on_when_there_is_room(
    tmp_path: Path, small_disk: Any
) -> None:
    command, disk = small_disk
    with serving(tmp_path, data=disk / "data", command=command) as daemon:
        client = Client(daemon.url)
        body = {"x0": [1.5 + i for i in range(60_000)], "options": {"history_size": 2}}
        first = client.create(**body)
        made = [first]
        while (response := client.call("POST", "/v1/sessions", body)).status_code == 201:
            made.append(response.json()["id"])
            assert len(made) < 200
        check_refusal(response, 507, "storage-full")
        # Reads still work, and nothing of the refused writes is stored.
        assert client.x(first)[:2] == [1.5, 2.5]
        assert len(client.ok("GET", "/v1/sessions?page_size=1000")["sessions"]) == len(made)
        for session in made[1:]:
            removed = client.call("DELETE", f"/v1/sessions/{session}")
            if removed.status_code != 204:
                check_refusal(removed, 507, "storage-full")
        left = client.ok("GET", "/v1/sessions?page_size=1000")["sessions"]
        assert len(left) < len(made)

        def is_served() -> bool:
            return client.call("POST", f"/v1/sessions/{first}/steps").status_code == 201

        wait_until(is_served)
        fit_a_little(client)
        client.session.close()
        check_quiet(daemon.url)
