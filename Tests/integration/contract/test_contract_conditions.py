"""Conditions on long bodies are checked before the body is read."""

from __future__ import annotations

import json
import socket
from urllib.parse import urlsplit

import pytest

from daemon import Client, Daemon


def answer_without_body(url: str, path: str, media_type: str, tag: str) -> tuple[int, str]:
    """The status and the problem's type of a PUT of 64 MB, of which only the header is sent."""
    place = urlsplit(url)
    assert place.hostname is not None and place.port is not None
    with socket.create_connection((place.hostname, place.port), timeout=30) as connection:
        connection.sendall(
            f"PUT {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {media_type}\r\n"
            f"Content-Length: {64_000_000}\r\nExpect: 100-continue\r\nIf-Match: {tag}\r\n\r\n"
            "".encode()
        )
        received = b""
        while b"}" not in received.split(b"\r\n\r\n", 1)[-1]:
            piece = connection.recv(65536)
            if not piece:
                break
            received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["type"]


@pytest.mark.parametrize("media_type", ["application/json", "application/vnd.safetensors"])
def test_a_stale_tag_is_refused_before_the_body_is_sent(
    shared_daemon: Daemon, media_type: str
) -> None:
    client = Client(shared_daemon.url)
    session = client.create(
        params=[{"shape": [8_000_000], "fill": 1.0}], options={"history_size": 1}
    )
    path = f"/v1/sessions/{session}"
    stale = (412, "/problems/precondition-failed")
    for part in ("params", "state-dict"):
        assert answer_without_body(client.url, f"{path}/{part}", media_type, '"0.9"') == stale
    client.call("POST", f"{path}/steps", headers={"Accept": "application/octet-stream"})
    result = f"{path}/evaluations/1/result?loss=1"
    assert answer_without_body(client.url, result, media_type, '"0.9"') == stale
    # A condition that holds lets the body come.
    assert client.call("DELETE", path)
