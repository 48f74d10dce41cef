"""Servers that answer late, wrongly or not at all, for tests of clients."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests

from daemon import Daemon


@contextmanager
def listening(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """The URL of a server with this handler, on a free port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def fake(*answers: Any) -> Iterator[tuple[str, list[Any]]]:
    """A server that gives these answers in turn, and the last one again and again. Yields its URL
    and the list of requests. An answer is (status, headers, body), or None to drop the
    connection, or a number of seconds after which it is dropped."""
    asked, left, lock = [], list(answers), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with lock:
                asked.append((time.monotonic(), self.command, self.path, dict(self.headers), body))
                given = left.pop(0) if len(left) > 1 else left[0]
            if given is None or isinstance(given, float):
                time.sleep(given or 0)
                self.close_connection = True
                return
            status, headers, document = given
            content = document if isinstance(document, bytes) else json.dumps(document).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = answer

        def log_message(self, *_: Any) -> None:
            pass

    with listening(Handler) as url:
        yield url, asked


def busy(status: Any, kind: str, **headers: Any) -> tuple[Any, Any, Any]:
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, headers, {"type": f"/problems/{kind}", "status": status, "title": kind}


@contextmanager
def losing_replies(daemon: Daemon, every: Any) -> Iterator[Any]:
    """A proxy that forwards every request, and drops one of every so many replies. Yields its URL
    and the list of requests whose reply was dropped."""
    lost, count, lock = [], [0], threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {k: v for k, v in self.headers.items() if k not in ("Host", "Connection")}
            url = daemon.url + self.path
            reply = requests.request(self.command, url, data=body, headers=headers, timeout=30)
            with lock:
                count[0] += 1
                if count[0] % every == 0:
                    lost.append(f"{self.command} {self.path.split('/')[-1]}")
                    self.close_connection = True
                    return
            self.send_response(reply.status_code)
            for name, value in reply.headers.items():
                if name.lower() not in ("content-length", "connection", "date", "server"):
                    self.send_header(name, value)
            if reply.status_code != 204:
                self.send_header("Content-Length", str(len(reply.content)))
            self.end_headers()
            self.wfile.write(reply.content)

        do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = forward

        def log_message(self, *_: Any) -> None:
            pass

    with listening(Handler) as url:
        yield url, lost
