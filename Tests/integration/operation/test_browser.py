"""A real browser against a daemon without tokens: Debian's Chromium, driven by Playwright.

A page of another origin, and a page whose name was rebound to the daemon's address, try everything
that a page can do. Nothing may change in the daemon, and nothing may be read.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from daemon import Client, Daemon

pytestmark = pytest.mark.timeout(180)

EVIL = "evil.example"
REBOUND = "rebound.example"


class Pages(BaseHTTPRequestHandler):
    """Serves an empty page at every path."""

    def do_GET(self) -> None:
        body = b"<!DOCTYPE html><title>page</title><body></body>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def pages() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    assert chromium, "deploy/setup.sh packages chromium installs it"
    with sync_playwright() as playwright:
        # Chromium's sandbox does not work for root.
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=[*sandbox, "--host-resolver-rules=MAP *.example 127.0.0.1"],
        )
        yield browser
        browser.close()


ATTACK = """
async ([base, session]) => {
    const outcomes = {};
    const body = JSON.stringify({x0: [1, 2]});
    const targets = [
        ["POST", "/v1/sessions", body],
        ["POST", `/v1/sessions/${session}/steps`, undefined],
        ["POST", `/v1/sessions/${session}/stop`, undefined],
        ["DELETE", `/v1/sessions/${session}`, undefined],
        ["PATCH", `/v1/sessions/${session}`, JSON.stringify({name: "taken"})],
        ["PUT", `/v1/sessions/${session}/evaluations/1/result`,
            JSON.stringify({loss: 1, gradient: [0, 0]})],
        ["GET", "/v1/sessions", undefined],
        ["GET", `/v1/sessions/${session}/evaluation`, undefined],
    ];
    const forms = [undefined, "application/json", "text/plain",
        "application/x-www-form-urlencoded", "multipart/form-data"];
    for (const mode of ["cors", "no-cors", "same-origin", "navigate"])
        for (const credentials of ["omit", "include"])
            for (const [method, path, content] of targets)
                for (const form of content ? forms : [undefined]) {
                    const name = [mode, credentials, method, path, form].join(" ");
                    try {
                        const headers = form ? {"Content-Type": form} : {};
                        // A blob without a type is sent without Content-Type.
                        const sent = content && !form ? new Blob([content]) : content;
                        const response = await fetch(base + path,
                            {mode, credentials, method, headers, body: sent});
                        outcomes[name] = `${response.type} ${response.status}`;
                    } catch (error) {
                        outcomes[name] = "error";
                    }
                }
    for (const form of ["application/json", "text/plain", ""])
        try {
            outcomes["beacon " + form] = navigator.sendBeacon(
                base + "/v1/sessions", new Blob([body], {type: form})) ? "sent" : "error";
        } catch (error) {
            outcomes["beacon " + form] = "error";
        }
    outcomes.events = await new Promise(resolve => {
        const events = new EventSource(`${base}/v1/sessions/${session}/events`);
        events.onopen = () => resolve("open");
        events.onerror = () => { events.close(); resolve("error"); };
    });
    outcomes.image = await new Promise(resolve => {
        const image = new Image();
        image.onload = () => resolve("loaded");
        image.onerror = () => resolve("error");
        image.src = `${base}/v1/sessions/${session}/params`;
    });
    outcomes.script = await new Promise(resolve => {
        const script = document.createElement("script");
        script.onload = () => resolve("loaded");
        script.onerror = () => resolve("error");
        script.src = `${base}/v1/sessions`;
        document.body.append(script);
    });
    return outcomes;
}
"""

FORM = """
([url, encoding]) => {
    const frame = document.createElement("iframe");
    frame.name = "target" + Math.random();
    document.body.append(frame);
    const form = document.createElement("form");
    form.method = "POST";
    form.action = url;
    form.enctype = encoding;
    form.target = frame.name;
    const field = document.createElement("input");
    field.name = '{"x0": [1, 2], "name": "';
    field.value = '"}';
    form.append(field);
    document.body.append(form);
    return new Promise(resolve => {
        frame.onload = () => resolve("loaded");
        setTimeout(() => resolve("nothing"), 2000);
        form.submit();
    });
}
"""


def state(client: Client, session: str) -> Any:
    return client.ok("GET", "/v1/sessions"), client.ask(session)


def submit_forms(page: Page, base: str, session: str) -> None:
    for encoding in ("application/x-www-form-urlencoded", "multipart/form-data", "text/plain"):
        for path in ("/v1/sessions", f"/v1/sessions/{session}/stop"):
            page.evaluate(FORM, [base + path, encoding])


def writes(client: Client) -> dict[str, int]:
    """The requests by status that the daemon answered, for those that browsers send to /v1."""
    text = client.call("GET", "/metrics").text
    lines = [line for line in text.splitlines() if line.startswith("lbfgsd_http_requests_total{")]
    counts: dict[str, int] = {}
    for line in lines:
        status = line.split('status="')[1][:3]
        counts[status] = counts.get(status, 0) + int(float(line.rsplit(" ", 1)[1]))
    return counts


@pytest.mark.parametrize("host", [EVIL, "localhost", "127.0.0.1"])
def test_a_page_of_another_origin_changes_and_reads_nothing(
    browser: Browser, pages: int, client: Client, shared_daemon: Daemon, host: str
) -> None:
    """Also one from another port of the same machine, which browsers call the same site."""
    session = client.create()
    client.begin(session)
    before = state(client, session)
    page = browser.new_page()
    page.goto(f"http://{host}:{pages}/")
    for name in ("127.0.0.1", "localhost"):
        base = f"http://{name}:{shared_daemon.port}"
        outcomes = page.evaluate(ATTACK, [base, session])
        for what, outcome in outcomes.items():
            # An opaque response shows the page neither status nor body.
            assert outcome in ("error", "opaque 0") or what.startswith("beacon"), (what, outcome)
        submit_forms(page, base, session)
    time.sleep(0.5)
    page.close()
    assert state(client, session) == before
    assert writes(client)["403"] > 20


def test_a_rebound_name_changes_and_reads_nothing(
    browser: Browser, client: Client, shared_daemon: Daemon
) -> None:
    """The page's name resolves to the daemon, so to the browser all of this is one origin."""
    session = client.create()
    client.begin(session)
    before = state(client, session)
    base = f"http://{REBOUND}:{shared_daemon.port}"
    page = browser.new_page()
    response = page.goto(f"{base}/readyz")
    assert response is not None and response.status == 421
    outcomes = page.evaluate(ATTACK, [base, session])
    for what, outcome in outcomes.items():
        assert outcome in ("error", "basic 421") or what.startswith("beacon"), (what, outcome)
    assert "basic 421" in outcomes.values()
    submit_forms(page, base, session)
    time.sleep(0.5)
    page.close()
    assert state(client, session) == before


def test_a_page_of_the_daemons_own_origin_may_call(
    browser: Browser, client: Client, shared_daemon: Daemon
) -> None:
    """The attack would work if the daemon served the page: what fails above is refused, not
    broken."""
    page = browser.new_page()
    page.goto(f"{shared_daemon.url}/livez")
    status = page.evaluate(
        """async base => (await fetch(base + "/v1/sessions", {method: "POST",
            headers: {"Content-Type": "application/json"}, body: '{"x0": [1]}'})).status""",
        shared_daemon.url,
    )
    page.close()
    assert status == 201
