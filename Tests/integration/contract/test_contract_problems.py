"""Problems: each has an example in openapi.yaml, as the daemon sends it, and a page."""

from __future__ import annotations

import hashlib
import re
import socket
import time
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from daemon import ROOT, Client, Daemon

BASE = {"type", "title", "status", "detail", "request_id"}
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
DOCUMENT = yaml.safe_load((ROOT / "openapi.yaml").read_text())
TYPES = DOCUMENT["components"]["schemas"]["Problem"]["properties"]["type"]["enum"]

Provoked = requests.Response


def hook(client: Client, session: str, **more: Any) -> str:
    body = {"event": "step.pre", "kind": "intercept", **more}
    return str(client.ok("POST", f"/v1/sessions/{session}/hooks", body)["id"])


def wait_for_default(client: Client, session: str) -> None:
    deadline = time.monotonic() + 30
    while client.ask(session)["state"] == "awaiting_hook":
        assert time.monotonic() < deadline
        time.sleep(0.02)


def malformed(client: Client) -> Provoked:
    return client.call("POST", "/v1/sessions", '{"x0": [1,]}')


def digest_mismatch(client: Client) -> Provoked:
    digest = "sha-256=:" + "A" * 43 + "=:"
    return client.call("POST", "/v1/sessions", {"x0": [1.0]}, {"Content-Digest": digest})


def foreign_origin(client: Client) -> Provoked:
    return client.call("GET", "/v1/sessions", headers={"Origin": "http://example.org"})


def misdirected_request(client: Client) -> Provoked:
    return client.call("GET", "/v1/sessions", headers={"Host": "example.org"})


def not_found(client: Client) -> Provoked:
    return client.call("GET", "/v1/sessions/s6c1k2m9zq4w8x0v3b7n1")


def evaluation_not_reached(client: Client) -> Provoked:
    session = client.create()
    client.begin(session)
    tell = {"loss": 1.0, "gradient": [1.0, 1.0]}
    return client.call("PUT", f"/v1/sessions/{session}/evaluations/2/result", tell)


def method_not_allowed(client: Client) -> Provoked:
    return client.call("PUT", "/v1/sessions")


def not_acceptable(client: Client) -> Provoked:
    return client.call("GET", "/v1/limits", headers={"Accept": "text/csv"})


def step_running(client: Client) -> Provoked:
    session = client.create()
    client.begin(session)
    return client.call("POST", f"/v1/sessions/{session}/steps")


def no_step_running(client: Client) -> Provoked:
    return client.call("POST", f"/v1/sessions/{client.create()}/stop")


def already_told(client: Client) -> Provoked:
    session = client.create()
    client.begin(session)
    client.tell(session, 1, 1.0, [1.0, 1.0])
    tell = {"loss": 2.0, "gradient": [1.0, 1.0]}
    return client.call("PUT", f"/v1/sessions/{session}/evaluations/1/result", tell)


def evaluation_closed(client: Client) -> Provoked:
    session = client.create()
    client.begin(session)
    client.ok("POST", f"/v1/sessions/{session}/stop")
    client.begin(session)
    tell = {"loss": 1.0, "gradient": [1.0, 1.0]}
    return client.call("PUT", f"/v1/sessions/{session}/evaluations/1/result", tell)


def evaluation_in_shards(client: Client) -> Provoked:
    session = client.create(shards=4)
    client.begin(session)
    tell = {"loss": 1.0, "gradient": [1.0, 1.0]}
    return client.call("PUT", f"/v1/sessions/{session}/evaluations/1/result", tell)


def no_shard_free(client: Client) -> Provoked:
    session = client.create(shards=1)
    client.begin(session)
    path = f"/v1/sessions/{session}/evaluations/1/lease"
    client.ok("POST", path, {"worker": "a"})
    return client.call("POST", path, {"worker": "b"})


def awaiting_hook(client: Client) -> Provoked:
    session = client.create()
    hook(client, session)
    client.begin(session)
    return client.call("POST", f"/v1/sessions/{session}/steps")


def already_answered(client: Client) -> Provoked:
    session = client.create()
    hook(client, session)
    client.begin(session)
    path = f"/v1/sessions/{session}/hook-calls/1/answer"
    client.ok("PUT", path, {})
    return client.call("PUT", path, {"options": {"lr": 0.5}})


def aborted_by_hook(client: Client) -> Provoked:
    session = client.create()
    hook(client, session, event="state_dict.pre", deadline_seconds=0.1, default="abort")
    return client.call("GET", f"/v1/sessions/{session}/state-dict")


def hook_call_not_reached(client: Client) -> Provoked:
    return client.call("PUT", f"/v1/sessions/{client.create()}/hook-calls/1/answer", {})


def hook_call_closed(client: Client) -> Provoked:
    session = client.create()
    hook(client, session, deadline_seconds=0.1)
    client.begin(session)
    wait_for_default(client, session)
    return client.call("PUT", f"/v1/sessions/{session}/hook-calls/1/answer", {})


def step_undone(client: Client) -> Provoked:
    session = client.create()
    path = f"/v1/sessions/{session}"
    checkpoint = client.ok("POST", f"{path}/checkpoints")["id"]
    key = {"Idempotency-Key": "a-step"}
    client.ok("POST", f"{path}/steps", headers=key)
    client.ok("POST", f"{path}/stop")
    client.ok("POST", f"{path}/checkpoints/{checkpoint}/restore")
    return client.call("POST", f"{path}/steps", headers=key)


def replication_off(client: Client) -> Provoked:
    return client.call("GET", "/v1/replication")


def length_required(client: Client) -> Provoked:
    form = {"Content-Type": "application/json"}
    return requests.post(f"{client.url}/v1/sessions", data=iter([b"{}"]), headers=form, timeout=60)


def precondition_failed(client: Client) -> Provoked:
    return client.call(
        "PATCH", f"/v1/sessions/{client.create()}", {"name": "n"}, {"If-Match": '"7.1"'}
    )


def content_too_large(client: Client) -> Provoked:
    return client.call("PATCH", f"/v1/sessions/{client.create()}", b" " * 70_000)


def unsupported_media_type(client: Client) -> Provoked:
    return client.call("POST", "/v1/sessions", "x0", {"Content-Type": "text/plain"})


def range_not_satisfiable(client: Client) -> Provoked:
    session = client.create()
    headers = {"Range": "bytes=1000-", "Accept": "application/octet-stream"}
    return client.call("GET", f"/v1/sessions/{session}/params", headers=headers)


def invalid_request(client: Client) -> Provoked:
    return client.call("POST", "/v1/sessions", {"x0": [1.0], "options": {"lr": -1.0}})


def idempotency_key_reused(client: Client) -> Provoked:
    key = {"Idempotency-Key": "8f14e45f-ceea-467f-9b1a-2f0d4b1c7a55"}
    client.ok("POST", "/v1/sessions", {"x0": [1.0]}, headers=key)
    return client.call("POST", "/v1/sessions", {"x0": [2.0]}, key)


def header_fields_too_large(client: Client) -> Provoked:
    return client.call("GET", "/livez", headers={"X-Long": "a" * 1_000_000})


def overloaded(client: Client) -> Provoked:
    session = client.create()
    for _ in range(client.ok("GET", "/v1/limits")["hooks_max"]):
        hook(client, session)
    body = {"event": "step.pre", "kind": "intercept"}
    return client.call("POST", f"/v1/sessions/{session}/hooks", body)


def unauthorized(client: Client) -> Provoked:
    return requests.get(f"{client.url}/v1/sessions", timeout=60)


def insufficient_scope(client: Client) -> Provoked:
    return client.call("DELETE", "/v1/sessions/s6c1k2m9zq4w8x0v3b7n1")


def quota_exceeded(client: Client) -> Provoked:
    client.create()
    return client.call("POST", "/v1/sessions", {"x0": [1.0]})


OPEN: list[Callable[[Client], Provoked]] = [
    malformed,
    digest_mismatch,
    foreign_origin,
    misdirected_request,
    not_found,
    evaluation_not_reached,
    method_not_allowed,
    not_acceptable,
    step_running,
    no_step_running,
    already_told,
    evaluation_closed,
    evaluation_in_shards,
    no_shard_free,
    awaiting_hook,
    already_answered,
    aborted_by_hook,
    hook_call_not_reached,
    hook_call_closed,
    step_undone,
    replication_off,
    length_required,
    precondition_failed,
    content_too_large,
    unsupported_media_type,
    range_not_satisfiable,
    invalid_request,
    idempotency_key_reused,
    header_fields_too_large,
    overloaded,
]
TOKENS: list[Callable[[Client], Provoked]] = [unauthorized, insufficient_scope, quota_exceeded]


def slug(provoke: Callable[[Client], Provoked]) -> str:
    return provoke.__name__.replace("_", "-")


def examples() -> dict[str, list[Any]]:
    """The examples of the document, by type."""
    found: dict[str, list[Any]] = {}
    for response in DOCUMENT["components"]["responses"].values():
        content = response.get("content", {}).get("application/problem+json", {})
        for example in content.get("examples", {}).values():
            found.setdefault(example["value"]["type"], []).append(example["value"])
    return found


EXAMPLES = examples()


def general(text: str) -> str:
    """A detail without what differs from case to case: numbers and identifiers."""
    text = re.sub(r"\b[se][0-9a-hjkmnp-tv-z]{20}\b", "ID", text)
    return re.sub(r"[0-9]+(\.[0-9]+)?", "N", text)


def assert_sent_as_documented(sent: Provoked, name: str) -> None:
    problem = sent.json()
    assert problem["type"] == f"/problems/{name}", problem
    assert sent.headers["Content-Type"] == "application/problem+json"
    alike = [
        example
        for example in EXAMPLES[problem["type"]]
        if set(example) == set(problem) and general(example["detail"]) == general(problem["detail"])
    ]
    assert alike, f"no example of {name} is like {problem}"
    for member in ("type", "title", "status"):
        assert alike[0][member] == problem[member]
    assert sent.status_code == alike[0]["status"]


@pytest.mark.parametrize("provoke", OPEN, ids=slug)
def test_a_problem_is_sent_as_its_example_says(
    client: Client, provoke: Callable[[Client], Provoked]
) -> None:
    assert_sent_as_documented(provoke(client), slug(provoke))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon with a token, and a tenant that may have one session."""
    home: Path = tmp_path_factory.mktemp("guarded")
    file = home / "tokens.yaml"
    token = {
        "name": "lab",
        "sha256": hashlib.sha256(b"lab-token").hexdigest(),
        "tenant": "lab",
        "scopes": ["read", "write"],
    }
    quotas = {"lab": {"sessions": 1}}
    file.write_text(yaml.safe_dump({"tokens": [token], "tenants": quotas}))
    file.chmod(0o600)
    daemon = Daemon(home / "data", home / "log", ("--token-file", str(file)))
    try:
        yield daemon.start()
    finally:
        daemon.close()


@pytest.mark.parametrize("provoke", TOKENS, ids=slug)
def test_a_problem_with_a_token_is_sent_as_its_example_says(
    guarded: Daemon, provoke: Callable[[Client], Provoked]
) -> None:
    client = Client(guarded.url)
    client.session.headers["Authorization"] = "Bearer lab-token"
    assert_sent_as_documented(provoke(client), slug(provoke))


def test_a_request_that_does_not_arrive_is_answered_as_its_example_says(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "data", tmp_path / "log", ("--stall-timeout-seconds", "1"))
    try:
        daemon.start()
        with socket.create_connection(("127.0.0.1", daemon.port), timeout=30) as connection:
            connection.sendall(
                b"POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Type: application/json\r\nContent-Length: 10\r\n\r\n{"
            )
            received = b""
            while piece := connection.recv(65536):
                received += piece
    finally:
        daemon.close()
    head, _, body = received.partition(b"\r\n\r\n")
    sent = requests.Response()
    sent.status_code = int(head.split()[1])
    sent.headers["Content-Type"] = "application/problem+json"
    sent._content = body
    assert_sent_as_documented(sent, "request-timeout")


def test_every_type_has_an_example_that_keeps_to_its_page(client: Client) -> None:
    assert set(EXAMPLES) == set(TYPES)
    for path, documents in EXAMPLES.items():
        page = client.ok("GET", path)
        assert page["type"] == path
        members = {member["name"] for member in page["members"]}
        for example in documents:
            assert (example["title"], example["status"]) == (page["title"], page["status"])
            assert set(example) - BASE <= members, (path, set(example) - BASE - members)
            assert set(example) >= BASE


class Page(HTMLParser):
    """The text of a page, and what surrounds it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self.tags, self.links = "", [], list[str]()
        self.feed(text)
        self.close()

    tags: list[str]

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name == "href"]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("path", TYPES)
def test_the_type_of_a_problem_leads_to_a_page(client: Client, path: str) -> None:
    document = client.ok("GET", path)
    answer = client.call("GET", path, headers={"Accept": BROWSER})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    page = Page(answer.text)
    for text in (document["title"], path, str(document["status"])):
        assert text in page.text
    for text in (document["meaning"], document["action"]):
        assert text.replace("`", "") in page.text
    for member in document["members"]:
        assert member["name"] in page.text
    assert page.links == ["/openapi.yaml"] and "script" not in page.tags
    assert f"[`{path}`]({path})" in DOCUMENT["info"]["description"]


def test_pages_need_no_token_and_others_are_not_found(guarded: Daemon) -> None:
    client = Client(guarded.url)
    assert client.ok("GET", "/problems/unauthorized")["status"] == 401
    for path in ("/problems/none", "/problems/Busy", "/problems/%3Cb%3E"):
        missing = client.call("GET", path, headers={"Accept": BROWSER})
        assert missing.status_code == 404 and missing.json()["type"] == "/problems/not-found"
    page = client.call("GET", "/problems/busy", headers={"Accept": "text/csv"})
    assert page.status_code == 406 and page.json()["available"] == [
        "application/json",
        "text/html",
    ]
    elsewhere = {"Origin": "http://example.org"}
    assert client.call("GET", "/problems/busy", headers=elsewhere).status_code == 200
