"""Quotas of tenants: reached, never exceeded, given back, and right after a restart."""

from __future__ import annotations

import hashlib
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import yaml

from daemon import Client, Daemon, wait_until
from expectations import assert_problem

SCOPES = ["read", "write", "delete"]


class Tenant(Client):
    def __init__(self, url: str, name: str) -> None:
        super().__init__(url)
        self.session.headers["Authorization"] = f"Bearer {name}-token"

    @property
    def usage(self) -> dict[str, Any]:
        return self.ok("GET", "/v1/limits")["tenant"]


def write(file: Path, quotas: dict[str, Any]) -> None:
    tokens = [
        {
            "name": name,
            "sha256": hashlib.sha256(f"{name}-token".encode()).hexdigest(),
            "tenant": name,
            "scopes": SCOPES,
        }
        for name in ("flow", "other")
    ]
    file.write_text(yaml.safe_dump({"tokens": tokens, "tenants": quotas}))
    file.chmod(0o600)


@contextmanager
def serving(home: Path, *arguments: str, **flow: Any) -> Iterator[Daemon]:
    file = home / "tokens.yaml"
    write(file, {"flow": flow} if flow else {})
    daemon = Daemon(home / "data", home / "log", ("--token-file", str(file), *arguments))
    try:
        yield daemon.start()
    finally:
        daemon.close()


def assert_quota(answer: requests.Response, status: int, quota: str) -> Any:
    slug = "quota-exceeded" if status == 507 else "tenant-busy"
    problem = assert_problem(answer, status, slug)
    assert problem["quota"] == quota
    assert problem["used"] + problem["needed"] > problem["limit"]
    assert int(answer.headers["Retry-After"]) >= 1
    return problem


def test_sessions_are_counted_under_concurrency_and_after_a_restart(tmp_path: Path) -> None:
    with serving(tmp_path, sessions=5) as daemon:
        flow, other = Tenant(daemon.url, "flow"), Tenant(daemon.url, "other")

        def create(_: int) -> requests.Response:
            return Tenant(daemon.url, "flow").call("POST", "/v1/sessions", {"x0": [1.0]})

        with ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(create, range(40)))
        made = [answer.json()["id"] for answer in answers if answer.status_code == 201]
        assert len(made) == 5
        for answer in answers:
            if answer.status_code != 201:
                problem = assert_quota(answer, 507, "sessions")
                assert (problem["limit"], problem["needed"]) == (5, 1)
        assert (flow.usage["sessions"], flow.usage["sessions_max"]) == (5, 5)
        # Others are not concerned, and have no quota.
        for _ in range(7):
            other.create()
        assert (other.usage["sessions"], other.usage["sessions_max"]) == (7, None)
        # A fork is a session too. A refused one changes nothing.
        flow.ok("POST", f"/v1/sessions/{made[0]}/checkpoints")
        fork = f"/v1/sessions/{made[0]}/checkpoints/1/fork"
        assert_quota(flow.call("POST", fork), 507, "sessions")
        assert len(flow.ok("GET", "/v1/sessions")["sessions"]) == 5
        daemon.restart()
        assert_quota(create(0), 507, "sessions")
        assert flow.call("DELETE", f"/v1/sessions/{made[1]}").status_code == 204
        assert flow.call("POST", fork).status_code == 201
        assert_quota(create(0), 507, "sessions")
        # A repetition needs no new session.
        assert flow.call("DELETE", f"/v1/sessions/{made[2]}").status_code == 204
        key = {"Idempotency-Key": "k"}
        for _ in range(2):
            answer = flow.call("POST", "/v1/sessions", {"x0": [1.0]}, headers=key)
            assert answer.status_code == 201
        assert_quota(create(0), 507, "sessions")


def used(tenant: Tenant) -> int:
    """The sum of what the sessions report."""
    sessions = tenant.ok("GET", "/v1/sessions?page_size=1000")["sessions"]
    return sum(tenant.get(session["id"])["disk_bytes"] for session in sessions)


def test_bytes_on_disk_are_never_exceeded(tmp_path: Path) -> None:
    limit = 4 << 20
    size = 20_000
    with serving(tmp_path, disk_bytes=limit) as daemon:
        flow, other = Tenant(daemon.url, "flow"), Tenant(daemon.url, "other")

        def create(_: int = 0) -> requests.Response:
            body = {"x0": [number / size for number in range(size)]}
            return Tenant(daemon.url, "flow").call("POST", "/v1/sessions", body)

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(create, range(60)))
        made = [answer.json()["id"] for answer in answers if answer.status_code == 201]
        assert 3 < len(made) < 60
        for answer in answers:
            if answer.status_code != 201:
                assert assert_quota(answer, 507, "disk_bytes")["limit"] == limit
        assert used(flow) <= limit
        usage = flow.usage
        assert (usage["disk_bytes"], usage["disk_bytes_max"]) == (used(flow), limit)
        # What writes is refused when there is no room for it, and changes nothing.
        while (answer := create()).status_code == 201:
            made.append(answer.json()["id"])
        before = flow.get(made[0])
        steps = f"/v1/sessions/{made[0]}/steps"
        assert_quota(flow.call("POST", steps), 507, "disk_bytes")
        assert flow.get(made[0]) == before
        # Reading and deleting go on, and give the room back; also after a restart.
        daemon.restart()
        assert flow.usage["disk_bytes"] == used(flow)
        assert_quota(flow.call("POST", steps), 507, "disk_bytes")
        for session in made[1:]:
            assert flow.call("DELETE", f"/v1/sessions/{session}").status_code == 204
        assert flow.usage["disk_bytes"] == used(flow) < limit // 4
        turn = flow.ok("POST", steps)
        number = 0
        while turn["state"] == "evaluating" and number < 400:
            number = turn["evaluation"]["number"]
            path = f"/v1/sessions/{made[0]}/evaluations/{number}/result"
            body = {"loss": 1.0 / number, "gradient": [1e-3 / number] * size}
            answer = flow.call("PUT", path, body)
            assert used(flow) <= limit
            if answer.status_code == 507:
                assert_quota(answer, 507, "disk_bytes")
                break
            turn = answer.json()
        assert flow.call("POST", f"/v1/sessions/{made[0]}/stop").status_code in (200, 409)
        assert flow.call("DELETE", f"/v1/sessions/{made[0]}").status_code == 204
        # Checkpoints pin what is on disk: they run into the quota, and removing them helps.
        session = create().json()["id"]
        path = f"/v1/sessions/{session}/checkpoints"
        count = 0
        while flow.call("POST", path).status_code == 201 and count < 1000:
            count += 1
            values = {"params": [{"values": [count + number / size for number in range(size)]}]}
            flow.call("PUT", f"/v1/sessions/{session}/params", values)
        assert 0 < count < 1000 and used(flow) <= limit
        for number in range(1, count + 1):
            assert flow.call("DELETE", f"{path}/{number}").status_code == 204
        assert flow.call("POST", path).status_code == 201
        assert other.call("POST", "/v1/sessions", {"x0": [0.5] * size}).status_code == 201


def test_memory_is_the_tenants_own(tmp_path: Path) -> None:
    options = {"history_size": 100}
    with serving(tmp_path, memory_bytes="2MiB") as daemon:
        flow, other = Tenant(daemon.url, "flow"), Tenant(daemon.url, "other")

        def create(tenant: Tenant, size: int) -> requests.Response:
            body = {"x0": [0.5] * size, "options": options}
            return tenant.call("POST", "/v1/sessions", body)

        # One that never fits.
        problem = assert_quota(create(flow, 2_000), 507, "memory_bytes")
        assert problem["used"] == 0 and problem["limit"] == 2 << 20
        assert flow.ok("GET", "/v1/sessions")["sessions"] == []
        assert create(other, 2_000).status_code == 201
        # Ones that don't fit together: the least recently used is evicted.
        made = [create(flow, 400).json()["id"] for _ in range(5)]
        assert 0 < flow.usage["memory_bytes"] <= flow.usage["memory_bytes_max"] == 2 << 20
        for session in made:
            assert flow.ask(session)["state"] == "idle"
        # All in use: the next has to wait.
        stop = threading.Event()

        def hold(session: str) -> None:
            while not stop.is_set():
                headers = {"Prefer": "wait=1"}
                Tenant(daemon.url, "flow").call(
                    "GET", f"/v1/sessions/{session}/evaluation", headers=headers
                )

        threads = [threading.Thread(target=hold, args=(session,)) for session in made[:3]]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        refused: list[requests.Response] = []
        deadline = time.monotonic() + 20
        while not refused and time.monotonic() < deadline:
            answer = create(flow, 400)
            if answer.status_code != 201:
                refused.append(answer)
        stop.set()
        for thread in threads:
            thread.join()
        assert refused and assert_quota(refused[0], 429, "memory_bytes")
        assert create(flow, 400).status_code == 201


def test_requests_in_flight_are_the_tenants_own(tmp_path: Path) -> None:
    with serving(tmp_path, requests_in_flight=3) as daemon:
        flow, other = Tenant(daemon.url, "flow"), Tenant(daemon.url, "other")
        session = flow.create()
        polls = [
            threading.Thread(
                target=Tenant(daemon.url, "flow").call,
                args=("GET", f"/v1/sessions/{session}/evaluation"),
                kwargs={"headers": {"Prefer": "wait=4"}},
            )
            for _ in range(3)
        ]
        for poll in polls:
            poll.start()
        time.sleep(1.5)  # A request meanwhile would take the place of a poll.
        problem = assert_quota(flow.call("GET", "/v1/limits"), 429, "requests_in_flight")
        assert (problem["used"], problem["limit"]) == (3, 3)
        assert_quota(flow.call("POST", "/v1/sessions", {"x0": [1.0]}), 429, "requests_in_flight")
        assert other.usage["requests_in_flight"] == 1
        assert requests.get(daemon.url + "/livez", timeout=10).status_code == 200
        for poll in polls:
            poll.join()
        wait_until(lambda: flow.call("GET", "/v1/limits").status_code == 200, 10)
        assert flow.usage["requests_in_flight"] == 1


def test_quotas_change_with_the_file_and_have_defaults(tmp_path: Path) -> None:
    with serving(tmp_path, "--tenant-max-sessions", "2") as daemon:
        flow = Tenant(daemon.url, "flow")
        assert flow.usage["sessions_max"] == 2
        flow.create()
        flow.create()
        answer = flow.call("POST", "/v1/sessions", {"x0": [1.0]})
        assert assert_quota(answer, 507, "sessions")["used"] == 2
        write(tmp_path / "tokens.yaml", {"flow": {"sessions": 3, "disk_bytes": "1GiB"}})
        daemon.process.send_signal(signal.SIGHUP)
        wait_until(lambda: flow.usage["sessions_max"] == 3, 10)
        assert flow.usage["disk_bytes"] == used(flow)
        flow.create()
        assert_quota(flow.call("POST", "/v1/sessions", {"x0": [1.0]}), 507, "sessions")
