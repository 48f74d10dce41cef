"""Hooks that observe: signed messages to a receiver, from an outbox on disk."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from daemon import Client, Daemon, free_port
from problems import Quadratic

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqrTwjU"


class Receiver:
    """Answers with the given statuses in turn, then with the last one, and keeps the requests."""

    def __init__(self, port: int, statuses: Any = (204,), location: str | None = None) -> None:
        self.got: list[tuple[dict[str, Any], bytes]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = statuses[min(len(receiver.got), len(statuses) - 1)]
                receiver.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(status)
                if location:
                    self.send_header("Location", location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wait(self, count: int, seconds: float = 20) -> Any:
        deadline = time.monotonic() + seconds
        while len(self.got) < count and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(self.got) >= count, f"{len(self.got)} messages"
        return self.got

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@contextmanager
def receiving(port: int, *arguments: Any, **more: Any) -> Iterator[Any]:
    receiver = Receiver(port, *arguments, **more)
    try:
        yield receiver
    finally:
        receiver.close()


@contextmanager
def serving(tmp_path: Path, port: int, *arguments: Any) -> Iterator[Any]:
    daemon = Daemon(
        tmp_path / "data",
        tmp_path / "log",
        (
            "--webhook-hosts",
            f"http://127.0.0.1:{port},http://localhost:{port}",
            "--webhook-networks",
            "127.0.0.1",
            *arguments,
        ),
    )
    try:
        yield daemon.start(), Client(daemon.url)
    finally:
        daemon.close()


def observe(client: Client, session: str, url: str, event: str = "step.post", **more: Any) -> Any:
    body = {"event": event, "kind": "observe", "url": url, **more}
    return client.ok("POST", f"/v1/sessions/{session}/hooks", body, status=201)


def deliveries(client: Client, session: str, hook: str) -> Any:
    return client.ok("GET", f"/v1/sessions/{session}/hooks/{hook}/deliveries")["deliveries"]


def settled(
    client: Client, session: str, hook: str, status: str = "delivered", seconds: int = 20
) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = deliveries(client, session, hook)
        if found and found[0]["status"] == status:
            return found[0]
        time.sleep(0.05)
    raise AssertionError(found)


def test_a_step_is_told_in_a_signed_message(tmp_path: Path) -> None:
    port = free_port()
    with receiving(port) as receiver, serving(tmp_path, port) as (_, client):
        session = client.create(x0=[0.0, 0.0], options={"line_search_fn": "strong_wolfe"})
        url = f"http://127.0.0.1:{port}/hook?x=1"
        hook = observe(client, session, url, secret=SECRET)
        assert hook["secret"] == SECRET
        listed = client.ok("GET", f"/v1/sessions/{session}/hooks")["hooks"]
        assert [h["id"] for h in listed] == [hook["id"]] and "secret" not in listed[0]
        begun = observe(client, session, url, event="step.pre")
        assert begun["secret"].startswith("whsec_")
        turn = client.step(session, Quadratic(2))
        got = {json.loads(body)["type"]: (headers, body) for headers, body in receiver.wait(2)}
        headers, body = got["step.post"]
        message = Webhook(SECRET).verify(body, headers)
        assert message["data"]["session"] == session
        assert message["data"]["result"] == turn["result"]
        Webhook(begun["secret"]).verify(got["step.pre"][1], got["step.pre"][0])
        done = settled(client, session, hook["id"])
        assert done["attempts"] == 1 and done["last_outcome"] == "HTTP 204"
        assert done["id"] == headers["webhook-id"] and done["next_attempt_at"] is None


def test_a_message_that_is_refused_is_sent_again_and_can_be_redelivered(tmp_path: Path) -> None:
    port = free_port()
    with receiving(port, (503, 204)) as receiver, serving(tmp_path, port) as (_, client):
        session = client.create(x0=[0.0, 0.0], options={"line_search_fn": "strong_wolfe"})
        hook = observe(client, session, f"http://127.0.0.1:{port}/")["id"]
        client.step(session, Quadratic(2))
        receiver.wait(1)
        waiting = settled(client, session, hook, "pending")
        assert waiting["next_attempt_at"] is not None
        receiver.wait(2)
        done = settled(client, session, hook)
        assert done["attempts"] == 2
        assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1
        url = f"/v1/sessions/{session}/hooks/{hook}/deliveries/{done['id']}/redeliver"
        assert client.call("POST", url).status_code == 202
        receiver.wait(3)
        wrong = url.replace(done["id"], "msg_" + "0" * 20)
        assert client.call("POST", wrong).status_code == 404


def test_a_message_survives_kill_9_and_a_receiver_that_is_away(tmp_path: Path) -> None:
    port = free_port()
    with serving(tmp_path, port) as (daemon, client):
        session = client.create(x0=[0.0, 0.0], options={"line_search_fn": "strong_wolfe"})
        hook = observe(client, session, f"http://localhost:{port}/", secret=SECRET)["id"]
        client.step(session, Quadratic(2))
        daemon.kill()
        with receiving(port) as receiver:
            daemon.start()
            headers, body = receiver.wait(1)[0]
            Webhook(SECRET).verify(body, headers)
            assert settled(client, session, hook)["status"] == "delivered"


def test_a_receiver_that_is_gone_gets_no_more(tmp_path: Path) -> None:
    port = free_port()
    with receiving(port, (410,)) as receiver, serving(tmp_path, port) as (_, client):
        session = client.create(x0=[0.0, 0.0], options={"line_search_fn": "strong_wolfe"})
        hook = observe(client, session, f"http://127.0.0.1:{port}/")["id"]
        client.step(session, Quadratic(2))
        receiver.wait(1)
        settled(client, session, hook, "failed")
        deadline = time.monotonic() + 10
        while client.ok("GET", f"/v1/sessions/{session}/hooks")["hooks"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_redirection_is_not_followed(tmp_path: Path) -> None:
    port, other = free_port(), free_port()
    with (
        receiving(port, (302,), location=f"http://127.0.0.1:{other}/") as receiver,
        receiving(other) as elsewhere,
        serving(tmp_path, port) as (_, client),
    ):
        session = client.create(x0=[0.0, 0.0], options={"line_search_fn": "strong_wolfe"})
        hook = observe(client, session, f"http://127.0.0.1:{port}/")["id"]
        client.step(session, Quadratic(2))
        receiver.wait(1)
        assert settled(client, session, hook, "pending")["last_outcome"] in (None, "HTTP 302")
        time.sleep(0.3)
        assert elsewhere.got == []


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com/",
        "http://127.0.0.2:1/",
        "ftp://127.0.0.1/",
        "http://user@127.0.0.1/",
        "nonsense",
    ],
)
def test_other_hosts_are_refused(tmp_path: Path, url: str) -> None:
    with serving(tmp_path, 9) as (_, client):
        session = client.create()
        response = client.call(
            "POST",
            f"/v1/sessions/{session}/hooks",
            {"event": "step.post", "kind": "observe", "url": url},
        )
        assert response.status_code == 422
        assert response.json()["errors"][0]["field"] == "url"


def test_a_name_that_stands_for_a_private_address_gets_nothing(tmp_path: Path) -> None:
    port = free_port()
    daemon = Daemon(
        tmp_path / "data", tmp_path / "log", ("--webhook-hosts", f"http://localhost:{port}")
    )
    with receiving(port) as receiver:
        try:
            client = Client(daemon.start().url)
            session = client.create(x0=[0.0, 0.0], options={"line_search_fn": "strong_wolfe"})
            hook = observe(client, session, f"http://localhost:{port}/")["id"]
            client.step(session, Quadratic(2))
            deadline = time.monotonic() + 15
            while deliveries(client, session, hook)[0]["last_outcome"] is None:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            assert "not allowed" in deliveries(client, session, hook)[0]["last_outcome"]
            assert receiver.got == []
        finally:
            daemon.close()


def test_the_operators_hooks_are_on_every_session(tmp_path: Path) -> None:
    port = free_port()
    file = tmp_path / "hooks.json"
    file.write_text(
        json.dumps(
            [
                {
                    "event": "step.post",
                    "kind": "observe",
                    "url": f"http://127.0.0.1:{port}/all",
                    "secret": SECRET,
                },
                {"event": "step.pre", "kind": "intercept", "deadline_seconds": 600},
            ]
        )
    )
    with (
        receiving(port) as receiver,
        serving(tmp_path, port, "--hook-file", str(file)) as (daemon, client),
    ):
        session = client.create(x0=[0.0, 0.0], options={"line_search_fn": "strong_wolfe"})
        own = {"event": "step.pre", "kind": "intercept"}
        client.ok("POST", f"/v1/sessions/{session}/hooks", own, status=201)
        listed = client.ok("GET", f"/v1/sessions/{session}/hooks")["hooks"]
        assert [hook["id"] for hook in listed] == ["1", "server-1", "server-2"]
        turn = client.begin(session)
        # The operator's hooks come first before a step, as torch's global hooks do.
        assert turn["hook_call"]["hook"] == "server-2"
        daemon.kill()
        daemon.start()
        for number in (1, 2):
            turn = client.ok("PUT", f"/v1/sessions/{session}/hook-calls/{number}/answer", {})
        client.step(session, Quadratic(2), turn)
        headers, body = receiver.wait(1)[0]
        assert Webhook(SECRET).verify(body, headers)["data"]["hook"] == "server-1"
        refused = client.call("DELETE", f"/v1/sessions/{session}/hooks/server-1")
        assert refused.status_code == 404


def test_slow_receivers_do_not_delay_the_messages_of_others(tmp_path: Path) -> None:
    """Far more messages wait for a receiver that never answers than may be sent at once; one that
    answers gets its message at once all the same."""
    port, slow = free_port(), socket.create_server(("127.0.0.1", 0), backlog=256)
    silent = f"http://127.0.0.1:{slow.getsockname()[1]}"
    hosts = f"{silent},http://127.0.0.1:{port}"
    arguments = ("--webhook-hosts", hosts, "--webhook-networks", "127.0.0.1")
    daemon = Daemon(tmp_path / "data", tmp_path / "log", arguments)
    with closing(slow), receiving(port) as receiver:
        daemon.start()
        try:
            client = Client(daemon.url)
            for _ in range(3):
                session = client.create()
                for number in range(60):
                    hook = {"event": "step.post", "kind": "observe", "url": f"{silent}/{number}"}
                    client.ok("POST", f"/v1/sessions/{session}/hooks", hook)
                client.begin(session)
                client.ok("POST", f"/v1/sessions/{session}/stop")
            session = client.create()
            hook = {"event": "step.post", "kind": "observe", "url": f"http://127.0.0.1:{port}/"}
            client.ok("POST", f"/v1/sessions/{session}/hooks", hook)
            began = time.monotonic()
            client.begin(session)
            client.ok("POST", f"/v1/sessions/{session}/stop")
            receiver.wait(1, seconds=4)
            assert time.monotonic() - began < 4
        finally:
            daemon.close()
