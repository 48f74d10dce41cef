"""Who may call: hosts, origins and media types, decided before a body is read; request ids."""

from __future__ import annotations

import json
import re
import socket
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from command import serving
from daemon import Client, Daemon

BODY = b'{"x0": [1, 2]}'
JSON = "Content-Type: application/json"
LONG = 1 << 20


def send(daemon: Daemon, method: str, path: str, *lines: str, body: bytes = b"") -> bytes:
    """Sends bytes as they are, with as little as the header of a body that never comes. Returns
    what comes back until the server closes or is silent for half a second."""
    request = "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode() + body
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=5) as connection:
        connection.sendall(request)
        received = b""
        try:
            while piece := connection.recv(65536):
                received += piece
                connection.settimeout(0.5)
        except (TimeoutError, ConnectionResetError):
            pass
        return received


def problem(answer: bytes) -> dict[str, Any]:
    head, _, body = answer.partition(b"\r\n\r\n")
    fields = head.decode().lower()
    assert "content-type: application/problem+json" in fields, answer[:500]
    document: dict[str, Any] = json.loads(body)
    assert f"x-request-id: {document['request_id']}".lower() in fields
    return document


def statuses(answer: bytes) -> list[int]:
    return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


FOREIGN = [
    ("Host: 127.0.0.1", "Origin: http://evil.example"),
    ("Host: 127.0.0.1", "Origin: null"),
    ("Host: 127.0.0.1", "Origin: http://127.0.0.1:1"),
    ("Host: 127.0.0.1", "Origin: http://127.0.0.1", "Origin: http://evil.example"),
    ("Host: 127.0.0.1", "Sec-Fetch-Site: cross-site"),
    ("Host: 127.0.0.1", "Sec-Fetch-Site: same-site"),
]


@pytest.mark.parametrize("fields", FOREIGN, ids=" ".join)
@pytest.mark.parametrize("expects", [(), ("Expect: 100-continue",)], ids=["", "expects"])
@pytest.mark.parametrize("length", [len(BODY), LONG])
def test_a_foreign_page_is_refused_before_its_body_is_read(
    client: Client,
    shared_daemon: Daemon,
    fields: tuple[str, ...],
    expects: tuple[str, ...],
    length: int,
) -> None:
    session = client.create()
    client.begin(session)
    for method, path in (
        ("POST", "/v1/sessions"),
        ("PUT", f"/v1/sessions/{session}/evaluations/1/result"),
    ):
        before = client.ok("GET", "/v1/sessions")
        began = time.monotonic()
        answer = send(
            shared_daemon, method, path, *fields, *expects, JSON, f"Content-Length: {length}"
        )
        assert time.monotonic() - began < 3
        assert statuses(answer) == [403]
        assert problem(answer)["type"] == "/problems/foreign-origin"
        assert client.ok("GET", "/v1/sessions") == before


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.2", ""])
def test_another_host_is_misdirected_before_its_body_is_read(
    client: Client, shared_daemon: Daemon, host: str
) -> None:
    before = client.ok("GET", "/v1/sessions")
    lines = (f"Host: {host}", JSON, f"Content-Length: {len(BODY)}", "Expect: 100-continue")
    assert statuses(send(shared_daemon, "POST", "/v1/sessions", *lines)) == [421]
    for method, path in (("GET", "/v1/sessions"), ("GET", "/readyz"), ("DELETE", "/v1/x")):
        answer = send(shared_daemon, method, path, f"Host: {host}")
        assert problem(answer)["type"] == "/problems/misdirected-request"
    absolute = send(shared_daemon, "GET", f"http://{host}/v1/sessions", "Host: localhost")
    assert statuses(absolute)[0] in (400, 421)
    assert client.ok("GET", "/v1/sessions") == before


@pytest.mark.parametrize("fields", FOREIGN, ids=" ".join)
def test_without_a_body_a_foreign_page_changes_and_reads_nothing(
    client: Client, shared_daemon: Daemon, fields: tuple[str, ...]
) -> None:
    session = client.create()
    for method, path in (
        ("POST", f"/v1/sessions/{session}/steps"),
        ("DELETE", f"/v1/sessions/{session}"),
        ("GET", f"/v1/sessions/{session}/events"),
        ("GET", "/v1/sessions"),
        ("OPTIONS", "/v1/sessions"),
    ):
        answer = send(shared_daemon, method, path, *fields)
        assert statuses(answer) == [403]
        assert b"access-control" not in answer.lower()
    assert client.get(session)["state"] == "idle"
    for path in ("/livez", "/readyz", "/metrics", "/openapi.yaml", "/problems/busy"):
        assert statuses(send(shared_daemon, "GET", path, *fields)) == [200]
    own = ("Host: localhost:1", "Origin: http://localhost:1", "Sec-Fetch-Site: same-origin")
    assert statuses(send(shared_daemon, "GET", "/v1/sessions", *own)) == [200]


def test_a_body_needs_its_media_type(client: Client, shared_daemon: Daemon) -> None:
    before = client.ok("GET", "/v1/sessions")
    for form in (None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        lines = ["Host: localhost", f"Content-Length: {len(BODY)}"]
        if form is not None:
            lines.append(f"Content-Type: {form}")
        answer = problem(send(shared_daemon, "POST", "/v1/sessions", *lines, body=BODY))
        assert answer["type"] == "/problems/unsupported-media-type"
        assert answer["accepted"] == ["application/json"]
        assert "Content-Type" in answer["detail"]
    assert client.ok("GET", "/v1/sessions") == before


def test_allowed_hosts_are_those_of_the_setting(tmp_path: Path) -> None:
    with serving(tmp_path, "--allowed-hosts", "api.example,tunnel.example:444") as daemon:
        for host, status in (
            ("api.example", 200),
            ("API.example:8443", 200),
            ("tunnel.example:444", 200),
            ("tunnel.example", 421),
            ("x.api.example", 421),
        ):
            headers = {"Host": host}
            assert requests.get(daemon.url + "/v1/sessions", headers=headers).status_code == status
        page = {"Origin": "https://api.example"}
        assert requests.get(daemon.url + "/v1/sessions", headers=page).status_code == 200


def test_a_daemon_on_all_addresses_is_called_by_any_address(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("a-token-of-some-length\n")
    tokens.chmod(0o600)
    with serving(tmp_path, "--token-file", tokens, listen="0.0.0.0:0") as daemon:
        url = daemon.url.replace("0.0.0.0", "127.0.0.1")
        for host, status in (("10.9.8.7:1", 200), ("localhost", 200), ("evil.example", 421)):
            assert requests.get(url + "/readyz", headers={"Host": host}).status_code == status


def unix_request(path: Path, *lines: str) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(path))
        connection.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode())
        received = b""
        while piece := connection.recv(65536):
            received += piece
        return received


def test_a_unix_socket_is_for_user_and_group_and_needs_no_host(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    for _ in range(2):
        with serving(tmp_path, data=tmp_path / "data", listen=f"unix:{path}") as daemon:
            daemon.wait_for(f"ready .*url=unix:{path}")
            assert path.stat().st_mode & 0o777 == 0o660
            answer = unix_request(path, "GET /v1/sessions HTTP/1.1", "Host: whatever")
            assert statuses(answer) == [200]
            foreign = "Origin: http://evil.example"
            answer = unix_request(path, "POST /v1/sessions HTTP/1.1", "Host: whatever", foreign)
            assert statuses(answer) == [403]
            # A second one is killed, and leaves its file behind.
            daemon.process.kill()
            daemon.process.wait(20)
        assert path.exists()
    with serving(tmp_path, data=tmp_path / "data", listen=f"unix:{path}") as daemon:
        daemon.wait_for("ready ")
        assert daemon.stop() == 0
    assert not path.exists()


def test_every_response_has_a_request_id(client: Client) -> None:
    seen = set()
    for method, path, status in (
        ("GET", "/v1/sessions", 200),
        ("GET", "/nowhere", 404),
        ("POST", "/v1/sessions", 400),
        ("OPTIONS", "/v1/sessions", 204),
        ("GET", "/readyz", 200),
    ):
        response = client.call(method, path)
        assert response.status_code == status
        seen.add(response.headers["X-Request-Id"])
        if status >= 400:
            assert response.json()["request_id"] == response.headers["X-Request-Id"]
    assert len(seen) == 5
    sent = "job-7/part.3:a+b=@_"
    for path in ("/v1/sessions", "/nowhere"):
        response = client.call("GET", path, headers={"X-Request-Id": sent})
        assert response.headers["X-Request-Id"] == sent
    for wrong in ("a b", 'a"b', "a,b", "x" * 129, "<b>"):
        response = client.call("GET", "/nowhere", headers={"X-Request-Id": wrong})
        assert response.headers["X-Request-Id"] != wrong
        assert wrong not in response.text
