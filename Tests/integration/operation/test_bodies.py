"""Bodies and readers that would take memory, on the real binary: hostile JSON is refused before it
has arrived, and readers that stall are counted, limited and cut off."""

from __future__ import annotations

import json
import re
import socket
import time
from pathlib import Path

import requests
from test_limits import Raw, check_refusal, gauges

from command import serving
from daemon import Client, Daemon, wait_until

MIB = 1 << 20


def memory(daemon: Daemon) -> int:
    """The daemon's resident memory in bytes."""
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found
    return int(found[1]) << 10


def test_a_body_with_many_members_is_refused_before_it_has_arrived(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon:
        before = memory(daemon)
        members = ",".join(f'"k{i}":"v{i}"' for i in range(300_000)).encode()
        hostile = Raw(daemon.url).send(
            "POST", "/v1/sessions", b'{"labels":{' + members, length=400 * MIB
        )
        answer = hostile.answer()
        assert answer.status_code == 422, answer.text
        problem = answer.json()
        assert problem["type"] == "/problems/invalid-request"
        assert problem["errors"][0]["field"].startswith("labels.k")
        assert "at most 100000" in problem["errors"][0]["reason"]
        hostile.close()
        assert memory(daemon) - before < 64 * MIB
        wait_until(lambda: gauges(daemon.url)["lbfgsd_http_body_bytes_in_flight"] == 0)
        limits = requests.get(f"{daemon.url}/v1/limits", timeout=30).json()
        assert limits["json_values_max"] == 100_000


def test_a_long_body_is_not_held_beside_its_vector(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon:
        client = Client(daemon.url)
        count = 1_000_000
        session = client.create(x0=[0.5] * count)
        number = client.begin(session)["evaluation"]["number"]
        path = f"/v1/sessions/{session}/evaluations/{number}/result"
        body = json.dumps({"loss": 1.0, "gradient": [0.1234567890123456] * count}).encode()
        before = memory(daemon)
        slow = Raw(daemon.url).send("PUT", path, body[:-1], length=len(body))
        time.sleep(2)
        assert memory(daemon) - before < 8 * count + 10 * MIB < len(body)
        slow.socket.sendall(body[-1:])
        assert slow.answer().status_code == 200
        again = Raw(daemon.url).send("PUT", path, body)
        assert again.answer().headers["Idempotent-Replayed"] == "true"


def test_stalled_readers_are_counted_limited_and_cut_off(tmp_path: Path) -> None:
    arguments = (
        "--max-response-bytes-in-flight",
        "96MiB",
        "--max-bytes-in-flight-per-address",
        "48MiB",
        "--stall-timeout-seconds",
        "5",
    )
    with serving(tmp_path, *arguments) as daemon:
        client = Client(daemon.url)
        size = 8 * 4_000_000
        parameters = [{"name": "w", "shape": [4_000_000], "fill": 0.5}]
        session = client.create(params=parameters, options={"history_size": 1})
        path = f"/v1/sessions/{session}/params"

        def stall(source: str) -> socket.socket:
            host, port = daemon.url.removeprefix("http://").split(":")
            reader = socket.socket()
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.bind((source, 0))
            reader.connect((host, int(port)))
            reader.sendall(
                f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n"
                "Accept: application/octet-stream\r\n\r\n".encode()
            )
            return reader

        first = stall("127.0.0.1")
        held = "lbfgsd_http_response_bytes_in_flight"
        wait_until(lambda: gauges(daemon.url)[held] >= size)
        second = Raw(daemon.url).send("GET", path, Accept="application/octet-stream")
        check_refusal(second.answer(), 503, "overloaded", "bytes_in_flight_per_address", 48 * MIB)
        others = [stall(f"127.0.0.{host}") for host in (2, 3)]
        wait_until(lambda: gauges(daemon.url)[held] >= 3 * size)
        third = Raw(daemon.url, source="127.0.0.4").send(
            "GET", path, Accept="application/octet-stream"
        )
        check_refusal(third.answer(), 503, "overloaded", "response_bytes_in_flight", 96 * MIB)
        # None of them reads, so all are cut off.
        wait_until(lambda: gauges(daemon.url)[held] == 0)
        for reader in (first, *others):
            reader.close()
