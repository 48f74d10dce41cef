"""The audit log, and logs as JSON with the request that a line is about."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import pytest

from command import Serving, serving
from daemon import Client

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def lines(daemon: Serving) -> list[dict[str, Any]]:
    return [json.loads(line) for line in daemon.text.splitlines()]


def audited(daemon: Serving) -> list[dict[str, Any]]:
    return [line for line in lines(daemon) if line["label"] == "audit"]


def run(daemon: Serving) -> str:
    """A session's life, and requests that fail."""
    client = Client(daemon.url)
    session = client.create()
    client.step(session, lambda x: (float(x[0] ** 2 + x[1] ** 2), [2 * x[0], 2 * x[1]]))
    client.call("PATCH", f"/v1/sessions/{session}", {"name": "renamed"})
    client.call("DELETE", f"/v1/sessions/{session}", headers={"Origin": "http://evil.example"})
    client.call(
        "DELETE",
        f"/v1/sessions/{session}?x=secret",
        headers={"X-Request-Id": "mine-1", "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"},
    )
    client.call("DELETE", f"/v1/sessions/{session}")
    client.call("POST", "/nowhere")
    client.call("GET", f"/v1/sessions/{session}")
    return session


@pytest.mark.parametrize("coverage", ["off", "changes", "all"])
def test_each_write_has_a_line_that_says_who_what_and_how_it_ended(
    tmp_path: Path, coverage: str
) -> None:
    # The level does not silence it.
    settings = ("--audit-log", coverage, "--log-format", "json", "--log-level", "notice")
    with serving(tmp_path, *settings) as daemon:
        session = run(daemon)
        assert daemon.stop() == 0
        found = audited(daemon)
    if coverage == "off":
        assert found == []
        return
    changes = [line for line in found if line["message"] not in ("beginStep", "tellResult")]
    assert [(line["message"], line["metadata"]["status"]) for line in changes] == [
        ("createSession", "201"),
        ("updateSession", "200"),
        ("deleteSession", "403"),
        ("deleteSession", "422"),
        ("deleteSession", "204"),
        ("none", "404"),
    ]
    assert (len(found) > len(changes)) == (coverage == "all")
    for line in found[:-1]:
        assert line["metadata"]["session"] == session
        assert line["metadata"]["peer"] == "127.0.0.1"
        assert line["metadata"]["caller"] == "-"
    assert changes[0]["metadata"]["created"] == f"/v1/sessions/{session}"
    assert changes[3]["metadata"]["request_id"] == "mine-1"
    assert changes[3]["metadata"]["trace_id"] == TRACE
    assert changes[3]["metadata"]["path"] == f"/v1/sessions/{session}"


def test_by_default_changes_are_audited_and_steps_are_not(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon:
        run(daemon)
        assert daemon.stop() == 0
        assert "createSession" in daemon.text and "log=audit" in daemon.text
        assert "tellResult" not in daemon.text


def test_a_line_about_a_request_names_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(tmp_path, "--snapshot-interval", "1", data=data) as daemon:
        client = Client(daemon.url)
        session = client.create(x0=[float(number) for number in range(5000)])
        client.begin(session)
        assert daemon.stop() == 0
    segments = [path for path in (data / "segments").iterdir() if path.is_file()]
    assert segments
    for path in segments:
        path.write_bytes(bytes(len(path.read_bytes())))
    with serving(tmp_path, "--log-format", "json", data=data) as daemon:
        response = Client(daemon.url).call(
            "GET", f"/v1/sessions/{session}", headers={"X-Request-Id": "look-1"}
        )
        assert response.status_code == 500
        assert response.json()["request_id"] == "look-1"
        deadline = time.monotonic() + 10
        while not any(line["metadata"].get("request_id") == "look-1" for line in lines(daemon)):
            assert time.monotonic() < deadline, daemon.text
            time.sleep(0.05)
        assert daemon.stop() == 0


def test_a_log_in_json_has_an_object_a_line_whatever_a_client_sends(tmp_path: Path) -> None:
    with serving(tmp_path, "--log-format", "json") as daemon:
        Client(daemon.url).call("POST", '/a"}%0a{"label":"audit\\\u202e')
        assert daemon.stop() == 0
        for line in lines(daemon):
            assert list(line) == ["time", "level", "label", "message", "metadata"]
        assert len(audited(daemon)) == 1


def test_the_line_of_a_batch_names_its_sessions(tmp_path: Path) -> None:
    with serving(tmp_path, "--audit-log", "all", "--log-format", "json") as daemon:
        client = Client(daemon.url)
        sessions = [client.create() for _ in range(3)]
        items = [{"session": session} for session in [*sessions, sessions[0], "no\nidentifier"]]
        client.ok("POST", "/v1/evaluations:batch", {"evaluations": items})
        assert daemon.stop() == 0
        (line,) = [line for line in audited(daemon) if line["message"] == "evaluateBatch"]
    assert line["metadata"]["sessions"].split() == sorted(sessions)


def test_a_refused_request_has_the_caller_whose_token_it_bore(tmp_path: Path) -> None:
    token = "t" * 20
    digest = hashlib.sha256(token.encode()).hexdigest()
    tokens = tmp_path / "tokens.yaml"
    tokens.write_text(f"- {{name: reader, sha256: {digest}, tenant: flow, scopes: [read]}}\n")
    tokens.chmod(0o600)
    settings = ("--token-file", str(tokens), "--log-format", "json")
    with serving(tmp_path, *settings) as daemon:
        for sent in (token, "u" * 20):
            headers = {"Authorization": f"Bearer {sent}"}
            Client(daemon.url).call("DELETE", "/v1/sessions/s00000000000000000000", headers=headers)
        assert daemon.stop() == 0
        found = [line["metadata"] for line in audited(daemon)]
    assert [(line["status"], line["caller"], line["tenant"]) for line in found] == [
        ("403", "reader", "flow"),
        ("401", "-", "default"),
    ]
