"""Clients of one daemon: good ones that measure their tells, and bad ones of each kind."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import resource
import socket
import time
from typing import Any

CLIENTS = 64
NUMBERS = 50
LARGE_MEGABYTES = 256
LARGE_HEAD, NUMBER, LARGE_END = (
    b'{"options":{"history_size":1},"x0":[',
    b"0.1234567890123456,",
    b"0.5]}",
)
"""A large body: the second is repeated."""


def raise_descriptor_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Peer:
    """A connection."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def open(self) -> Peer:
        self.reader, self.writer = await asyncio.open_connection(
            "127.0.0.1", self.port, limit=1 << 20
        )
        return self

    async def ask(
        self, method: str, path: str, body: bytes = b"", fields: str = ""
    ) -> tuple[int, bytes]:
        fields = fields or "Content-Type: application/json\r\n"
        self.writer.write(
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
            f"{fields}Content-Length: {len(body)}\r\n\r\n".encode()
        )
        self.writer.write(body)
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        status = int(head.split()[1])
        length = 0
        for line in head.split("\r\n"):
            if line.lower().startswith("content-length:"):
                length = int(line.split(":")[1])
        return status, await self.reader.readexactly(length)


def told(turn: dict[str, Any]) -> bytes:
    x = turn["evaluation"]["x"]
    return json.dumps(
        {
            "loss": sum((v - i) ** 2 for i, v in enumerate(x)),
            "gradient": [2 * (v - i) for i, v in enumerate(x)],
        }
    ).encode()


async def good_client(port: int, until: float, times: list[float], failures: list[str]) -> None:
    """Tells results of a small session of its own, one after the other."""
    try:
        peer = await Peer(port).open()
        start = json.dumps({"x0": [0.5] * NUMBERS, "options": {"max_iter": 1_000_000}}).encode()
        status, body = await peer.ask("POST", "/v1/sessions", start)
        assert status == 201, body
        path = f"/v1/sessions/{json.loads(body)['id']}"
        turn: dict[str, Any] = {}
        while time.monotonic() < until:
            if turn.get("state") != "evaluating":
                status, body = await peer.ask("POST", f"{path}/steps", b"{}")
                if status != 201:
                    failures.append(f"step: {status} {body[:200]!r}")
                    return
                turn = json.loads(body)
                continue
            number, result = turn["evaluation"]["number"], told(turn)
            began = time.monotonic()
            status, body = await peer.ask("PUT", f"{path}/evaluations/{number}/result", result)
            times.append(time.monotonic() - began)
            if status != 200:
                failures.append(f"tell: {status} {body[:200]!r}")
                return
            turn = json.loads(body)
            await asyncio.sleep(0.02)
        await peer.ask("DELETE", path)
        peer.writer.close()
    except (OSError, AssertionError, asyncio.IncompleteReadError, KeyError) as error:
        failures.append(repr(error))


async def drip(port: int, until: float, place: int) -> None:
    """A byte of a request's header every second, and again when it is cut off."""
    text = b"GET /v1/sessions HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: " + b"a" * 600
    while time.monotonic() < until:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            for byte in text:
                if time.monotonic() > until:
                    break
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(1)
            writer.close()
        except OSError:
            await asyncio.sleep(1)


async def idle(port: int, until: float, place: int) -> None:
    """A connection that is kept open after one answer."""
    while time.monotonic() < until:
        try:
            peer = await Peer(port).open()
            await peer.ask("GET", "/livez")
            while time.monotonic() < until and not peer.reader.at_eof():
                await asyncio.sleep(1)
            peer.writer.close()
        except (OSError, asyncio.IncompleteReadError):
            await asyncio.sleep(1)


def hostile_pieces(kind: int) -> tuple[bytes, bytes]:
    """The beginning of a body, and what is repeated."""
    return [
        (b'{"labels":{"a":"b"', b',"k%d":"v"' * 1000),
        (b'{"x0":[', b"[[[[],[]]]," * 1000),
        (b'{"name":"', b"x" * 16384),
        (b"\x00\xff{", b"junk" * 4096),
        (b'{"x0":["NaN"', b',"NaN"' * 3000),
    ][kind % 5]


async def hostile(port: int, until: float, kind: int) -> None:
    """JSON of a million members, nested arrays, endless strings and no JSON, over and over."""
    first, rest = hostile_pieces(kind)
    while time.monotonic() < until:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(
                f"POST /v1/sessions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {1 << 24}\r\n\r\n".encode()
            )
            writer.write(first)
            for piece in range(1000):
                if time.monotonic() > until or reader.at_eof():
                    break
                writer.write(rest.replace(b"%d", str(piece).encode()))
                await writer.drain()
            writer.close()
        except OSError:
            pass
        await asyncio.sleep(0.5)


ROLES = {"drippers": drip, "idle": idle, "hostile": hostile}


def attack(role: str, count: int, port: int, until: float) -> None:
    """Runs so many bad clients of a role; a process of its own."""
    raise_descriptor_limit()

    async def run() -> None:
        tasks = []
        for place in range(count):
            tasks.append(asyncio.create_task(ROLES[role](port, until, place)))
            if place % 50 == 49:
                await asyncio.sleep(0.02)
        await asyncio.wait(tasks, timeout=max(0, until - time.monotonic()) + 5)

    asyncio.run(run())


def large_count() -> int:
    return (LARGE_MEGABYTES << 20) // len(NUMBER) - 4


def send_large(port: int, answers: Any) -> None:
    """Creates a session by one large body of JSON, and deletes it."""
    count = large_count()
    length = count * len(NUMBER) + len(LARGE_HEAD) + len(LARGE_END)

    async def run() -> None:
        peer = await Peer(port).open()
        peer.writer.write(
            f"POST /v1/sessions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: "
            f"application/json\r\nContent-Length: {length}\r\n\r\n".encode()
        )
        peer.writer.write(LARGE_HEAD)
        for start in range(0, count, 10_000):
            peer.writer.write(NUMBER * min(10_000, count - start))
            await peer.writer.drain()
        peer.writer.write(LARGE_END)
        head = (await peer.reader.readuntil(b"\r\n\r\n")).decode()
        answers.put(int(head.split()[1]))
        where = [line for line in head.split("\r\n") if line.lower().startswith("location:")]
        peer.writer.close()
        if where:
            other = await Peer(port).open()
            await other.ask("DELETE", where[0].split(":", 1)[1].strip())

    asyncio.run(run())


def ask(port: int, method: str, path: str, body: bytes = b"", fields: str = "") -> Any:
    """One request on a connection of its own. Returns the document, or the octets."""

    async def run() -> Any:
        status, answer = await (await Peer(port).open()).ask(method, path, body, fields)
        if status >= 300:
            raise RuntimeError(f"{method} {path}: {status} {answer[:300]!r}")
        return answer if "octet-stream" in fields else json.loads(answer or b"null")

    return asyncio.run(run())


def stalled(port: int, path: str, fields: str, source: str) -> socket.socket:
    """Asks for something long, and reads none of it."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.bind((source, 0))
    connection.connect(("127.0.0.1", port))
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{fields}\r\n".encode())
    return connection


def start(target: Any, *arguments: Any) -> multiprocessing.Process:
    process = multiprocessing.Process(target=target, args=arguments)
    process.start()
    return process
