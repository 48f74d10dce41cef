"""The page's files: what they weigh, what a browser is told about them, and who gets them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from daemon import ROOT, Client, Daemon

SOURCES = ROOT / "Sources" / "CPage" / "web"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; frame-ancestors 'none'"
)
FILES = sorted(path.name for path in SOURCES.iterdir() if path.name != "index.html")
ADDRESSES = ["/ui", *(f"/ui/{name}" for name in [*FILES, "uplot.js"])]


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_file_has_its_type_a_tag_and_the_fields_that_confine_it(
    client: Client, address: str
) -> None:
    response = client.call("GET", address)
    assert response.status_code == 200
    assert response.headers["Content-Security-Policy"] == POLICY
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["Cache-Control"] == "no-cache"
    kinds = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
    kind = kinds.get(
        Path(address).suffix, "text/plain" if address.endswith(".txt") else "text/html"
    )
    assert response.headers["Content-Type"].split(";")[0] == kind
    tag = response.headers["ETag"]
    again = client.call("GET", address, headers={"If-None-Match": tag})
    assert again.status_code == 304 and again.headers["ETag"] == tag and not again.content
    head = client.call("HEAD", address)
    assert head.status_code == 200 and head.headers["ETag"] == tag


def test_all_of_it_weighs_less_than_150_kilobytes(client: Client) -> None:
    sizes = {address: len(client.call("GET", address).content) for address in ADDRESSES}
    assert sum(sizes.values()) < 150_000, sizes


def test_what_is_served_is_the_source_without_comments_and_indentation(client: Client) -> None:
    """But for the library, whose first line says whose it is."""
    for name in FILES:
        served = client.call("GET", f"/ui/{name}").text
        source = (SOURCES / name).read_text()
        if name.endswith((".js", ".css")):
            kept = re.sub(r"^ */\*.*?\*/\n", "", source, flags=re.DOTALL | re.MULTILINE)
            kept = re.sub(r"^ *//.*\n", "", kept, flags=re.MULTILINE)
            lines = [line.lstrip() for line in kept.splitlines() if line]
            if name.endswith(".css"):
                lines = [re.sub("(?<=[:;,{]) | (?=[{}])", "", line) for line in lines]
            source = "".join(f"{line}\n" for line in lines)
        assert served == source, name
    assert client.call("GET", "/ui/uplot.js").text.startswith(
        "/*! https://github.com/leeoniya/uPlot"
    )
    assert "Leon Sorokin" in client.call("GET", "/ui/uplot-license.txt").text


def test_nothing_is_fetched_from_elsewhere(client: Client) -> None:
    for address in ADDRESSES:
        text = client.call("GET", address).text
        named = set(re.findall(r"https?://[\w.]+", text))
        assert named <= {"http://www.w3.org", "https://github.com"}, address


def test_text_of_sessions_never_becomes_markup() -> None:
    for path in SOURCES.glob("*.js"):
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert word not in path.read_text(), path


def test_a_browser_at_the_root_is_led_to_the_page(client: Client) -> None:
    accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    response = client.call("GET", "/", headers={"Accept": accept}, allow_redirects=False)
    assert (response.status_code, response.headers["Location"]) == (302, "ui")
    assert response.headers["Vary"] == "Accept"
    response = client.call("GET", "/ui/", allow_redirects=False)
    assert (response.status_code, response.headers["Location"]) == (302, "../ui")
    assert "<title>lbfgsd</title>" in client.call("GET", "/", headers={"Accept": accept}).text


@pytest.mark.parametrize("accept", ["*/*", "application/json", None])
def test_a_program_at_the_root_gets_the_addresses(client: Client, accept: str | None) -> None:
    index = client.ok("GET", "/", headers={"Accept": accept})
    assert index["name"] == "lbfgsd"
    for name in ("openapi", "sessions", "page"):
        assert client.call("GET", index[name]).status_code == 200


def test_other_files_and_other_hosts_get_nothing(client: Client) -> None:
    for name in ("no.js", "..%2Fetc%2Fpasswd", "index.htm"):
        response = client.call("GET", f"/ui/{name}")
        assert response.status_code == 404, name
        assert response.json()["type"] == "/problems/not-found"
    for address in ("/", *ADDRESSES):
        response = client.call("GET", address, headers={"Host": "evil.example"})
        assert response.status_code == 421
    assert client.call("POST", "/ui", {}).status_code == 405


def test_the_files_need_no_token(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("a-token-of-this-test\n")
    tokens.chmod(0o600)
    daemon = Daemon(tmp_path / "data", tmp_path / "log", ("--token-file", str(tokens))).start()
    try:
        client = Client(daemon.url)
        for address in ("/", *ADDRESSES):
            assert client.call("GET", address).status_code == 200
        assert client.call("GET", "/v1/sessions").status_code == 401
    finally:
        daemon.close()
