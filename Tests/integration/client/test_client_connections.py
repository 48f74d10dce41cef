"""How the client connects: signals, silence, threads, large bodies and TLS."""

from __future__ import annotations

import concurrent.futures
import http.server
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lbfgsd
from daemon import Daemon

SOURCE = str(Path(lbfgsd.__file__).parents[1])


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_silence_ends_an_attempt(silent: str) -> None:
    retry = lbfgsd.Retry(deadline=0)
    began = time.monotonic()
    with lbfgsd.Client(silent, timeout=1, retry=retry) as client:
        with pytest.raises(lbfgsd.ConnectionFailed):
            client.limits()
    assert 0.5 < time.monotonic() - began < 10


def test_ctrl_c_is_heard_while_the_server_is_silent(silent: str) -> None:
    code = f"import lbfgsd; print('ready', flush=True); lbfgsd.Client({silent!r}).limits()"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": SOURCE},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        time.sleep(1)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert time.monotonic() - began < 5
    assert said.strip().endswith("KeyboardInterrupt"), said


def test_threads_share_a_client(shared_daemon: Daemon) -> None:
    def run(start: float) -> Any:
        return lbfgsd.minimize(
            lambda x: (float(x @ x), 2 * x), np.full(50, start), jac=True, client=client
        )

    with lbfgsd.Client(shared_daemon.url) as client:
        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            results = list(threads.map(run, range(1, 33)))
    assert all(result.success for result in results)
    assert len({result.session for result in results}) == 32


def test_a_closed_client_sends_nothing(shared_daemon: Daemon) -> None:
    client = lbfgsd.Client(shared_daemon.url)
    client.ready()
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        client.ready()


def test_a_large_body_that_is_refused_is_not_sent(shared_daemon: Daemon) -> None:
    """16 MB for an evaluation that is not pending."""
    with lbfgsd.Client(shared_daemon.url) as client:
        session = client.create_session(np.zeros(2_000_000))
        turn = client.begin_step(session)
        gradient = np.ones(2_000_000)
        with pytest.raises(lbfgsd.EvaluationNotReached):
            client.tell(session, turn.evaluation.number + 1, 1.0, gradient)
        told = client.tell(session, turn.evaluation.number, 1.0, gradient)
        assert told.evaluation is not None and told.evaluation.number == 2
        client.delete_session(session)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_tls_with_an_authority_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout {key} -out {certificate} "
        "-subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1".split(),
        check=True,
        capture_output=True,
    )

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"name_bytes_max": 7}'
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"https://localhost:{server.server_address[1]}"
        with lbfgsd.Client(url, retry=lbfgsd.Retry(deadline=0)) as client:
            with pytest.raises(lbfgsd.ConnectionFailed, match=r"(?i)certificate"):
                client.limits()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with lbfgsd.Client(url, retry=lbfgsd.Retry(deadline=0)) as client:
            assert client.limits() == {"name_bytes_max": 7}
        server.shutdown()
