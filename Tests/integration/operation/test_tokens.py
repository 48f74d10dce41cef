"""Tokens with names, tenants, scopes and an end, and what happens when they are revoked."""

from __future__ import annotations

import hashlib
import signal
import threading
import time
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from command import run, serving, settings
from expectations import assert_problem

USAGE, CONFIGURATION = 64, 78
SCOPES = ["read", "write", "delete", "admin"]


def sha256(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def entry(name: str, **more: Any) -> dict[str, Any]:
    """A token of the file; `<name>-token` is the token itself."""
    return {"name": name, "sha256": sha256(f"{name}-token"), "scopes": SCOPES, **more}


def write(path: Path, document: Any) -> Path:
    path.write_text(yaml.safe_dump(document))
    path.chmod(0o600)
    return path


def send(daemon: Any, token: str | None, method: str, path: str, **more: Any) -> requests.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return requests.request(method, daemon.url + path, headers=headers, timeout=60, **more)


def reload(daemon: Any) -> None:
    before = daemon.text.count("reloaded the token file")
    daemon.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 30
    while daemon.text.count("reloaded the token file") == before:
        assert time.monotonic() < deadline, daemon.text
        time.sleep(0.005)


def test_a_token_does_what_its_scopes_permit(tmp_path: Path) -> None:
    names = [entry(scope, scopes=[scope], tenant="flow") for scope in SCOPES]
    file = write(tmp_path / "tokens.yaml", names)
    with serving(tmp_path, "--token-file", file) as daemon:
        made = send(daemon, "write-token", "POST", "/v1/sessions", json={"x0": [1.0]})
        assert made.status_code == 201
        path = made.headers["Location"]
        for method, needed in (("GET", "read"), ("PATCH", "write"), ("DELETE", "delete")):
            for scope in SCOPES:
                if scope != needed:
                    answer = send(daemon, f"{scope}-token", method, path)
                    problem = assert_problem(answer, 403, "insufficient-scope")
                    assert problem["scope"] == needed
                    assert f'scope="{needed}"' in answer.headers["WWW-Authenticate"]
        assert send(daemon, "read-token", "GET", path).status_code == 200
        assert send(daemon, "read-token", "HEAD", path).status_code == 200
        changed = send(daemon, "write-token", "PATCH", path, json={"name": "n"})
        assert changed.status_code == 200
        assert send(daemon, "delete-token", "DELETE", path).status_code == 204
        for wrong in ("read-toke", "read-tokens", sha256("read-token"), ""):
            assert_problem(send(daemon, wrong, "GET", "/v1/limits"), 401, "unauthorized")


@pytest.mark.parametrize("name", ["tokens.yaml", "tokens"])
def test_a_yaml_file_is_known_by_its_name_or_its_first_line(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_text(f"# of the lab\n\n- name: ci\n  sha256: {sha256('t')}\n  scopes: [read]\n")
    file.chmod(0o600)
    result = run("check-config", "--token-file", file)
    assert result.returncode == 0, result.stderr
    assert "# The token file holds 1 token." in result.stdout


GOOD = f"name: ci, sha256: {sha256('t')}"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (f"- {{{GOOD}, scopes: [read, wirte]}}\n", ":1: tokens[0].scopes[1] must be one of read,"),
        (f"- {{{GOOD}, scopes: []}}\n", ":1: tokens[0].scopes must be a list of scopes"),
        (f"- {{{GOOD}, scopes: read}}\n", ":1: tokens[0].scopes must be a list of scopes"),
        (f"- {{{GOOD}}}\n", ":1: tokens[0].scopes is missing"),
        ("- {name: ci, scopes: [read]}\n", ":1: tokens[0].sha256 is missing"),
        (f"- {{sha256: {sha256('t')}, scopes: [read]}}\n", ":1: tokens[0].name is missing"),
        ("- {name: ci, sha256: abc, scopes: [read]}\n", ":1: tokens[0].sha256 must be the SHA-256"),
        (
            f"- {{{GOOD}, scopes: [read], tenants: x}}\n",
            (
                ":1: tokens[0].tenants is not known; known: name, sha256, tenant, scopes, expires; "
                "did you mean tenant?"
            ),
        ),
        (f"- {{{GOOD}, scopes: [read], tenant: a b}}\n", ":1: tokens[0].tenant must be 1 to 64"),
        (f"- {{{GOOD}, scopes: [read], tenant: ''}}\n", ":1: tokens[0].tenant must be 1 to 64"),
        (f"- {{{GOOD}, scopes: [read], expires: soon}}\n", ":1: tokens[0].expires must be a date"),
        (
            f"- {{{GOOD}, scopes: [read], expires: 2027-02-30}}\n",
            ":1: tokens[0].expires must be a date",
        ),
        (
            f"- {{{GOOD}, scopes: [read]}}\n- {{{GOOD}, scopes: [read]}}\n",
            ":2: tokens[1].name is the name of another token: ci",
        ),
        (
            f"- {{{GOOD}, scopes: [read]}}\n- {{name: b, sha256: {sha256('t')}, scopes: [read]}}\n",
            ":2: tokens[1].sha256 is that of another token: ci",
        ),
        ("- word\n", ":1: tokens[0] must be a mapping"),
        ("tokens: 3\n", ":1: tokens must be a list of tokens"),
        ("tokens: []\n", "holds no token; make one with: lbfgsd token new"),
        ("", "holds no token"),
        ("- [\n", "is not YAML"),
        ("- {name: a, name: b}\n", "says twice: name"),
        (
            f"tokens: [{{{GOOD}, scopes: [read]}}]\ntenants:\n  flow: {{disk_bytes: much}}\n",
            ":3: tenants.flow.disk_bytes must be a number of bytes",
        ),
        (
            f"tokens: [{{{GOOD}, scopes: [read]}}]\ntenants:\n  flow: {{disk: 3}}\n",
            ":3: tenants.flow.disk is not known; known: sessions, disk_bytes,",
        ),
        (
            f"tokens: [{{{GOOD}, scopes: [read]}}]\ntenants: {{a b: {{}}}}\n",
            ":2: tenants.a b must be named by",
        ),
    ],
)
def test_a_wrong_file_is_refused_by_line_and_field(
    tmp_path: Path, text: str, complaint: str
) -> None:
    file = tmp_path / "tokens.yaml"
    file.write_text(text)
    for command in ("serve", "check-config"):
        result = run(command, "--token-file", file, "--data", tmp_path / "data")
        assert result.returncode == CONFIGURATION
        assert f"token-file {file}" in result.stderr
        assert complaint in result.stderr, result.stderr
    assert not (tmp_path / "data").exists()


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    file = tmp_path / "tokens.yaml"
    file.write_text("- {name: a, scopes: [reed]}\n- {sha256: 1, scopes: [read]}\n")
    result = run("check-config", "--token-file", file)
    assert result.returncode == CONFIGURATION
    for field in ("tokens[0].scopes[0]", "tokens[0].sha256", "tokens[1].name"):
        assert field in result.stderr


class Watcher:
    """An event stream and a long-poll of one token, and when each ended."""

    def __init__(self, daemon: Any, token: str, session: str) -> None:
        self.ended: dict[str, float] = {}
        self.statuses: dict[str, int] = {}
        headers = {"Authorization": f"Bearer {token}"}
        base = f"{daemon.url}/v1/sessions/{session}"
        self.stream = requests.get(base + "/events", headers=headers, stream=True, timeout=60)
        assert self.stream.status_code == 200

        def read() -> None:
            # The daemon is killed at the end of the test, with what is still open.
            with suppress(requests.RequestException):
                for _ in self.stream.iter_content(1):
                    pass
                self.ended["stream"] = time.monotonic()

        def poll() -> None:
            with suppress(requests.RequestException):
                answer = requests.get(
                    base + "/evaluation", headers={**headers, "Prefer": "wait=25"}, timeout=60
                )
                self.statuses["poll"] = answer.status_code
                self.ended["poll"] = time.monotonic()

        self.threads = [threading.Thread(target=work, daemon=True) for work in (read, poll)]
        for thread in self.threads:
            thread.start()

    def join(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        for thread in self.threads:
            thread.join(max(0.0, deadline - time.monotonic()))


def test_a_revoked_token_loses_its_streams_within_a_second(tmp_path: Path) -> None:
    file = write(tmp_path / "tokens.yaml", [entry("kept"), entry("gone")])
    with serving(tmp_path, "--token-file", file) as daemon:
        made = send(daemon, "kept-token", "POST", "/v1/sessions", json={"x0": [1.0]})
        session = made.json()["id"]
        gone, kept = (Watcher(daemon, f"{name}-token", session) for name in ("gone", "kept"))
        time.sleep(0.5)
        assert not gone.ended and not kept.ended
        write(file, [entry("kept")])
        began = time.monotonic()
        reload(daemon)
        gone.join(5)
        assert set(gone.ended) == {"stream", "poll"}
        assert max(gone.ended.values()) - began < 1
        assert gone.statuses["poll"] == 401
        assert not kept.ended
        assert_problem(send(daemon, "gone-token", "GET", "/v1/limits"), 401, "unauthorized")


def test_a_token_that_lost_a_scope_loses_its_streams(tmp_path: Path) -> None:
    file = write(tmp_path / "tokens.yaml", [entry("ci")])
    with serving(tmp_path, "--token-file", file) as daemon:
        made = send(daemon, "ci-token", "POST", "/v1/sessions", json={"x0": [1.0]})
        watcher = Watcher(daemon, "ci-token", made.json()["id"])
        time.sleep(0.3)
        write(file, [entry("ci", scopes=["write"])])
        reload(daemon)
        watcher.join(5)
        assert set(watcher.ended) == {"stream", "poll"}


def test_an_expired_token_loses_its_streams_within_a_second(tmp_path: Path) -> None:
    end = (datetime.now(timezone.utc) + timedelta(seconds=4)).replace(microsecond=0)
    expires = end.strftime("%Y-%m-%dT%H:%M:%SZ")
    file = write(tmp_path / "tokens.yaml", [entry("kept"), entry("brief", expires=expires)])
    with serving(tmp_path, "--token-file", file) as daemon:
        made = send(daemon, "brief-token", "POST", "/v1/sessions", json={"x0": [1.0]})
        assert made.status_code == 201
        brief, kept = (
            Watcher(daemon, f"{name}-token", made.json()["id"]) for name in ("brief", "kept")
        )
        rest = end.timestamp() - time.time()
        began = time.monotonic() + rest
        brief.join(rest + 5)
        assert set(brief.ended) == {"stream", "poll"}
        for ended in brief.ended.values():
            assert -0.1 < ended - began < 1
        assert brief.statuses["poll"] == 401
        assert not kept.ended
        problem = assert_problem(send(daemon, "brief-token", "GET", "/v1/limits"), 401)
        assert "expired" in problem["detail"]


def test_a_token_that_is_made_works(tmp_path: Path) -> None:
    made = run(
        "token", "new", "--name", "ci", "--tenant", "flow", "--scopes", "read,write",
        "--expires", "2999-01-01",
    )  # fmt: skip
    assert made.returncode == 0
    token, line = made.stdout.splitlines()
    assert token not in line and len(token) == 64
    file = tmp_path / "tokens.yaml"
    file.write_text(line + "\n")
    file.chmod(0o600)
    entry = yaml.safe_load(line)[0]
    assert entry["name"] == "ci" and entry["tenant"] == "flow"
    assert entry["scopes"] == ["read", "write"] and entry["sha256"] == sha256(token)
    assert run("token", "new", "--name", "ci").stdout.splitlines()[0] != token
    with serving(tmp_path, "--token-file", file) as daemon:
        assert send(daemon, token, "GET", "/v1/limits").status_code == 200
    for wrong in (("--scopes", "reed"), ("--tenant", "a b"), ("--expires", "soon")):
        assert run("token", "new", "--name", "ci", *wrong).returncode == USAGE
    assert run("token", "new").returncode == USAGE


@pytest.mark.parametrize(
    ("access", "is_plain", "is_open"),
    [
        ("auto", True, True), ("auto", False, False), ("open", False, True),
        ("admin", True, False), ("admin", False, False),
    ],
)  # fmt: skip
def test_metrics_have_a_setting_of_their_own(
    tmp_path: Path, access: str, is_plain: bool, is_open: bool
) -> None:
    file = tmp_path / "tokens"
    if is_plain:
        file.write_text("a-plain-token-of-the-file\n")
        file.chmod(0o600)
    else:
        write(file, [entry("scraper", scopes=["admin"]), entry("ci", scopes=["read"])])
    with serving(tmp_path, "--token-file", file, "--metrics-access", access) as daemon:
        assert daemon.get("/metrics").status_code == (200 if is_open else 401)
        assert daemon.get("/livez").status_code == 200
        if is_plain:
            assert daemon.get("/metrics", token="a-plain-token-of-the-file").status_code == 200
        else:
            assert daemon.get("/metrics", token="scraper-token").status_code == 200
            assert daemon.get("/metrics", token="ci-token").status_code == (200 if is_open else 403)


def test_metrics_stay_open_without_tokens(tmp_path: Path) -> None:
    assert settings(run("check-config").stdout)["metrics-access"][0] == "auto"
    with serving(tmp_path) as daemon:
        assert daemon.get("/metrics").status_code == 200
