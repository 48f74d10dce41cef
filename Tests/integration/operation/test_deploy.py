"""What an operator installs: the units, socket activation, notification, the proxy, a backup.

The tests use systemd's own tools and nginx. A missing tool fails the test that needs it.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from command import environment, run, serving
from daemon import ROOT, Client, binary, free_port, wait_until
from engine_files import library

DEPLOY = ROOT / "deploy"
EXPOSURE_MAX = 0.6


def call(*command: Any, **more: Any) -> subprocess.CompletedProcess[str]:
    more.setdefault("timeout", 120)
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, **more)


# MARK: Units


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units, changed only to run the binary under test."""
    for name in ("lbfgsd.service", "lbfgsd.socket", "lbfgsd-standby.service"):
        text = (DEPLOY / name).read_text()
        (tmp_path / name).write_text(text.replace("/usr/bin/lbfgsd", str(binary())))
    return tmp_path


def test_systemd_finds_nothing_wrong_with_the_units(units: Path) -> None:
    result = call("systemd-analyze", "verify", *sorted(units.glob("lbfgsd*.s*")))
    assert result.returncode == 0
    assert result.stdout + result.stderr == ""


def exposure(unit: Path) -> float:
    result = call("systemd-analyze", "security", "--offline=true", "--no-pager", unit)
    score = re.search(r"Overall exposure level for .*: ([0-9.]+)", result.stdout)
    assert score, result.stdout + result.stderr
    return float(score[1])


def test_the_service_is_confined(units: Path) -> None:
    assert exposure(units / "lbfgsd.service") <= EXPOSURE_MAX
    # It reaches its primary, and nothing else of the machine.
    assert exposure(units / "lbfgsd-standby.service") <= 2.0


def test_the_drop_in_for_webhooks_lets_packets_out(units: Path) -> None:
    service = units / "lbfgsd.service"
    denied = "IPAddressDeny="
    assert f"{denied}any" in service.read_text().splitlines()
    drop_in = (DEPLOY / "webhooks.conf").read_text().split("[Service]\n")[1]
    service.write_text(
        service.read_text().replace("\n[Install]", drop_in + "\n[Install]"), encoding="utf-8"
    )
    # The last assignment counts, and an empty one takes the list back.
    assert [line for line in service.read_text().splitlines() if line.startswith(denied)] == [
        f"{denied}any",
        denied,
    ]
    result = call("systemd-analyze", "verify", service, units / "lbfgsd.socket")
    assert result.returncode == 0 and result.stderr == ""
    report = call("systemd-analyze", "security", "--offline=true", "--no-pager", service).stdout
    filtered = next(line for line in report.splitlines() if "IPAddressDeny=" in line)
    assert "does not define an IP address allow list" in filtered, filtered


def test_the_unit_limits_tasks_and_memory_as_the_settings_need(units: Path) -> None:
    unit = (units / "lbfgsd.service").read_text()
    assert re.search(r"^MemoryMax=\d+%$", unit, re.MULTILINE)
    tasks = re.search(r"^TasksMax=(\d+)$", unit, re.MULTILINE)
    needed = re.search(r"TasksMax=(\d+)", run("check-config", "--http-threads", 64).stdout)
    assert tasks and needed and int(tasks[1]) >= int(needed[1])
    stated = run(
        *("check-config", "--max-resident-bytes", "1GiB", "--max-body-bytes-in-flight", "1GiB")
    ).stdout
    assert "MemoryMax=4608M" in stated


def test_the_drop_in_for_tokens_is_valid_and_keeps_the_confinement(units: Path) -> None:
    text = (units / "lbfgsd.service").read_text()
    drop_in = (DEPLOY / "tokens.conf").read_text().split("[Service]\n")[1]
    (units / "lbfgsd.service").write_text(text.replace("[Service]\n", "[Service]\n" + drop_in))
    result = call("systemd-analyze", "verify", units / "lbfgsd.service", units / "lbfgsd.socket")
    assert result.returncode == 0 and result.stderr == ""
    assert exposure(units / "lbfgsd.service") <= EXPOSURE_MAX


def test_the_manager_waits_longer_than_the_daemon_needs_to_stop() -> None:
    unit = (DEPLOY / "lbfgsd.service").read_text()
    waits = int(re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)[0])
    example = (DEPLOY / "lbfgsd.yaml").read_text()
    needs = int(re.findall(r"^#shutdown-timeout-seconds: (\d+)$", example, re.MULTILINE)[0])
    assert waits > needs


# MARK: Installing


def install(destination: Path, *variables: Any) -> subprocess.CompletedProcess[str]:
    return call(
        "make",
        "-s",
        "-C",
        ROOT,
        "install",
        f"DESTDIR={destination}",
        f"BINARY={binary()}",
        f"LIBRARY={library()}",
        *variables,
    )


def test_make_install_puts_everything_in_place(tmp_path: Path) -> None:
    result = install(tmp_path)
    assert result.returncode == 0, result.stderr
    installed = {
        str(path.relative_to(tmp_path)): path.stat().st_mode & 0o777
        for path in tmp_path.rglob("*")
        if path.is_file()
    }
    assert installed == {
        "usr/bin/lbfgsd": 0o755,
        "usr/include/lbfgsd.h": 0o644,
        **{
            f"usr/lib/{name}": 0o644
            for name in (
                "liblbfgsd.so",
                "liblbfgsd.so.1",
                "liblbfgsd.so.1.0.0",
                "pkgconfig/lbfgsd.pc",
            )
        },
        "usr/lib/systemd/system/lbfgsd.service": 0o644,
        "usr/lib/systemd/system/lbfgsd.socket": 0o644,
        "etc/lbfgsd/lbfgsd.yaml": 0o644,
        **{
            f"usr/share/doc/lbfgsd/{name}": 0o644
            for name in (
                "LICENSE",
                "README.md",
                "evaluate.sbatch",
                "lbfgsd-standby.service",
                "lbfgsd.yaml",
                "nginx.conf",
                "tokens.conf",
                "webhooks.conf",
            )
        },
    }
    version = call(tmp_path / "usr/bin/lbfgsd", "--version")
    assert version.stdout == run("--version").stdout
    unit = (tmp_path / "usr/lib/systemd/system/lbfgsd.service").read_text()
    assert unit == (DEPLOY / "lbfgsd.service").read_text()


def test_make_install_keeps_a_configuration_that_is_there(tmp_path: Path) -> None:
    assert install(tmp_path).returncode == 0
    configuration = tmp_path / "etc/lbfgsd/lbfgsd.yaml"
    configuration.write_text("max-sessions: 7\n")
    assert install(tmp_path).returncode == 0
    assert configuration.read_text() == "max-sessions: 7\n"


def test_make_install_under_another_prefix_says_so_in_the_unit(tmp_path: Path) -> None:
    assert install(tmp_path, "PREFIX=/opt/l", "SYSCONFDIR=/opt/etc").returncode == 0
    unit = (tmp_path / "opt/l/lib/systemd/system/lbfgsd.service").read_text()
    assert "ExecStart=/opt/l/bin/lbfgsd serve --config /opt/etc/lbfgsd/lbfgsd.yaml" in unit
    assert (tmp_path / "opt/etc/lbfgsd/lbfgsd.yaml").exists()


# MARK: Socket activation


def activated(home: Path, port: int, *arguments: Any, **variables: Any) -> Any:
    """The daemon under systemd-socket-activate, which starts it at the first connection."""
    command = ["systemd-socket-activate", "-l", f"127.0.0.1:{port}"]
    for name in variables:
        command += ["-E", name]
    return serving(home, *arguments, listen="127.0.0.1:1", command=tuple(command), **variables)


def wait_listening(port: int) -> None:
    """Waits until the port is open, without a connection, which would start the daemon."""
    wanted = f"0100007F:{port:04X} 00000000:0000 0A"
    deadline = time.monotonic() + 20
    while wanted not in Path("/proc/net/tcp").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_passed_socket_is_served_and_the_listen_setting_is_not(tmp_path: Path) -> None:
    port = free_port()
    with activated(tmp_path, port) as daemon:
        wait_listening(port)
        assert requests.get(f"http://127.0.0.1:{port}/livez", timeout=30).status_code == 200
        assert daemon.url == f"http://127.0.0.1:{port}"
        client = Client(daemon.url)
        session = client.create()
        client.begin(session)
        pid = int(daemon.wait_for(r"ready .*pid=(\d+)")[1])
        variables = Path(f"/proc/{pid}/environ").read_bytes()
        assert b"LISTEN_PID" in variables  # how the process was started, as a check
        assert daemon.stop() == 0
        assert "stopped" in daemon.text


def test_a_passed_socket_beyond_loopback_needs_tokens_too(tmp_path: Path) -> None:
    port = free_port()
    command = ("systemd-socket-activate", "-l", f"0.0.0.0:{port}")
    with serving(tmp_path, command=command) as daemon:
        deadline = time.monotonic() + 20
        while daemon.process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            time.sleep(0.05)
        assert daemon.process.wait(20) == 78
        assert f"refusing to listen on 0.0.0.0:{port} without tokens" in daemon.text


def test_every_passed_socket_is_served(tmp_path: Path) -> None:
    ports = free_port(), free_port()
    command = (
        "systemd-socket-activate",
        *(word for port in ports for word in ("-l", f"127.0.0.1:{port}")),
    )
    with serving(tmp_path, command=command) as daemon:
        for port in ports:
            wait_listening(port)
        for port in reversed(ports):
            answer = requests.get(f"http://127.0.0.1:{port}/readyz", timeout=30)
            assert answer.status_code == 200
        assert daemon.stop() == 0


def test_one_passed_socket_beyond_loopback_among_others_needs_tokens(tmp_path: Path) -> None:
    ports = free_port(), free_port()
    command = (
        "systemd-socket-activate",
        "-l",
        f"127.0.0.1:{ports[0]}",
        "-l",
        f"0.0.0.0:{ports[1]}",
    )
    with serving(tmp_path, command=command) as daemon:
        wait_listening(ports[0])
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", ports[0]), timeout=5).close()
        assert daemon.process.wait(20) == 78
        assert f"refusing to listen on 0.0.0.0:{ports[1]} without tokens" in daemon.text


def test_a_unix_socket_can_be_passed(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    command = ("systemd-socket-activate", "-l", path)
    with serving(tmp_path, command=command) as daemon:
        deadline = time.monotonic() + 20
        while not path.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(30)
            client.connect(str(path))
            client.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
        daemon.wait_for("ready .*url=unix")
        assert daemon.stop() == 0


def test_sockets_meant_for_another_process_are_left_alone(tmp_path: Path) -> None:
    with serving(tmp_path, LISTEN_FDS="1", LISTEN_PID="1") as daemon:
        assert daemon.get("/livez").status_code == 200
        assert daemon.stop() == 0


@pytest.mark.parametrize("kept", [False, True], ids=["new connections", "a kept connection"])
def test_clients_notice_only_a_pause_while_the_daemon_restarts(tmp_path: Path, kept: bool) -> None:
    """The listening socket outlives the daemon, which is the purpose of the socket unit."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        port = listener.getsockname()[1]
        ended = threading.Event()
        statuses = []
        failures = []

        def start() -> Any:
            # As a service manager does: the socket is descriptor 3; the variables are its count and
            # its user.
            script = 'exec 3<&"$1"; shift; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"'
            return subprocess.Popen(
                [
                    "bash",
                    "-c",
                    script,
                    "start",
                    str(listener.fileno()),
                    str(binary()),
                    "serve",
                    "--data",
                    str(tmp_path / "data"),
                ],
                pass_fds=[listener.fileno()],
                env=environment(),
                stderr=(tmp_path / "log").open("ab"),
            )

        def ask() -> None:
            session = requests.Session()
            while not ended.is_set():
                try:
                    answer = session.get(f"http://127.0.0.1:{port}/livez", timeout=30)
                    statuses.append(answer.status_code)
                except requests.RequestException as error:
                    failures.append(error)
                if not kept:
                    # The next request has a connection of its own, which has to be accepted.
                    session.close()
                    session = requests.Session()

        process = start()
        thread = threading.Thread(target=ask)
        thread.start()
        try:
            for _ in range(3):
                before = len(statuses)
                while len(statuses) < before + 20:
                    time.sleep(0.01)
                process.send_signal(signal.SIGTERM)
                assert process.wait(15) == 0
                process = start()
            before = len(statuses)
            while len(statuses) < before + 20:
                time.sleep(0.01)
        finally:
            ended.set()
            thread.join(30)
            process.kill()
            process.wait()
        assert failures == []
        assert set(statuses) == {200} and len(statuses) > 60


# MARK: Notification


class Manager:
    """The service manager's end of $NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.address = address
        self.received: list[tuple[float, str]] = []

    def next(self, seconds: float = 30) -> str:
        self.socket.settimeout(seconds)
        message = self.socket.recv(4096).decode()
        self.received.append((time.monotonic(), message))
        return message

    def wait(self, line: str, seconds: float = 30) -> float:
        """Waits for a message with the line. Returns the time at which it came."""
        deadline = time.monotonic() + seconds
        while True:
            message = self.next(max(0.01, deadline - time.monotonic()))
            if line in message.splitlines():
                return self.received[-1][0]

    def quiet(self, seconds: float) -> bool:
        try:
            self.next(seconds)
            return False
        except TimeoutError:
            return True


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    address = {"path": str(tmp_path / "notify"), "abstract": f"@lbfgsd-test-{os.getpid()}"}
    manager = Manager(address[request.param])
    yield manager
    manager.socket.close()


def test_it_tells_when_it_is_ready_reloads_and_stops(tmp_path: Path, manager: Manager) -> None:
    token_file = tmp_path / "tokens"
    token_file.write_text("a-token-of-twenty-five-ch\n")
    with serving(tmp_path, "--token-file", token_file, NOTIFY_SOCKET=manager.address) as daemon:
        first = manager.next().splitlines()
        # Ready means that it answers, and that the store accepts writes.
        assert requests.get(daemon.url + "/readyz", timeout=5).status_code == 200
        assert "READY=1" in first
        assert f"MAINPID={daemon.process.pid}" in first
        assert f"STATUS=Serving {daemon.url}" in first
        daemon.process.send_signal(signal.SIGHUP)
        reloading = manager.next()
        assert re.search(r"^RELOADING=1\nMONOTONIC_USEC=\d+$", reloading)
        assert "READY=1" in manager.next().splitlines()
        daemon.process.send_signal(signal.SIGTERM)
        assert "STOPPING=1" in manager.next().splitlines()
        assert daemon.process.wait(15) == 0
        assert manager.quiet(0.2)


def test_it_feeds_the_watchdog_at_half_its_time(tmp_path: Path, manager: Manager) -> None:
    with serving(tmp_path, NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="1000000") as daemon:
        manager.wait("READY=1")
        times = [manager.wait("WATCHDOG=1") for _ in range(5)]
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert all(0.4 < gap < 0.9 for gap in gaps), gaps
        # It proves that it serves before each notification, by a request to itself.
        metrics = daemon.get("/metrics").text
        asked = re.findall(r'lbfgsd_http_requests_total\{[^}]*route="/livez"[^}]*\} (\d+)', metrics)
        assert int(asked[0]) >= 5
        assert daemon.stop() == 0


def held_connection(host: str, port: int) -> socket.socket:
    """Opens a connection, has a request served, and keeps it open. At first the daemon's request to
    itself, which is short, may occupy the only slot."""
    deadline = time.monotonic() + 10
    while True:
        held = socket.create_connection((host, port), timeout=10)
        held.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        if held.recv(4096).startswith(b"HTTP/1.1 200 "):
            return held
        held.close()
        assert time.monotonic() < deadline, "no connection is served"
        time.sleep(0.05)


def test_a_daemon_that_turns_clients_away_is_fed(tmp_path: Path, manager: Manager) -> None:
    with serving(
        tmp_path, "--max-connections", "1", NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="500000"
    ) as daemon:
        manager.wait("READY=1")
        host, port = daemon.url.removeprefix("http://").split(":")
        with held_connection(host, int(port)):
            assert requests.get(daemon.url + "/livez", timeout=5).status_code == 503
            for _ in range(4):
                manager.wait("WATCHDOG=1", 2)
        assert daemon.stop() == 0


def test_it_does_not_feed_a_watchdog_of_another_process(tmp_path: Path, manager: Manager) -> None:
    with serving(
        tmp_path, NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="400000", WATCHDOG_PID="1"
    ) as daemon:
        manager.wait("READY=1")
        assert manager.quiet(1)
        assert daemon.stop() == 0


def test_a_full_disk_does_not_starve_the_watchdog(tmp_path: Path) -> None:
    """A restart would make no room: reads and deletions go on meanwhile."""
    manager = Manager(str(tmp_path / "notify"))
    with serving(
        tmp_path, NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="500000"
    ) as daemon:
        client = Client(daemon.url)
        manager.wait("WATCHDOG=1")
        pid, unlimited = daemon.process.pid, resource.RLIM_INFINITY
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, unlimited))
        refused = client.call("POST", "/v1/sessions", json={"x0": [1.0]})
        assert refused.status_code == 507
        full = time.monotonic()
        while manager.wait("WATCHDOG=1", 5) < full + 2:
            pass
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (unlimited, unlimited))
        assert client.create()
        manager.wait("WATCHDOG=1", 5)
    manager.socket.close()


def test_a_stopped_process_is_not_fed(tmp_path: Path) -> None:
    manager = Manager(str(tmp_path / "notify"))
    with serving(
        tmp_path, NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="500000"
    ) as daemon:
        manager.wait("WATCHDOG=1")
        daemon.process.send_signal(signal.SIGSTOP)
        manager.quiet(0.3)
        assert manager.quiet(1)
        daemon.process.send_signal(signal.SIGCONT)
        manager.wait("WATCHDOG=1", 5)
        assert daemon.stop() == 0
    manager.socket.close()


def test_without_a_network_of_its_own_it_serves_and_feeds_the_watchdog(tmp_path: Path) -> None:
    """As with PrivateNetwork=: the socket is the host's, and the process can reach no address."""
    manager = Manager(str(tmp_path / "notify"))
    port = free_port()
    command = (
        "systemd-socket-activate",
        "-l",
        f"127.0.0.1:{port}",
        "-E",
        "NOTIFY_SOCKET",
        "-E",
        "WATCHDOG_USEC",
        "unshare",
        "--net",
        *(() if os.geteuid() == 0 else ("--user", "--map-root-user")),
    )
    with serving(
        tmp_path, command=command, NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="500000"
    ) as daemon:
        wait_listening(port)
        assert requests.get(f"http://127.0.0.1:{port}/readyz", timeout=30).status_code == 200
        manager.wait("READY=1")
        for _ in range(3):
            manager.wait("WATCHDOG=1", 5)
        assert daemon.stop() == 0
    manager.socket.close()


# MARK: The proxy


def nginx_binary(tmp_path: Path) -> Path:
    """Debian's nginx, unpacked for the test if it isn't installed."""
    if found := shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin"):
        return Path(found)
    unpacked = ROOT / "out" / "nginx"
    if not (unpacked / "usr/sbin/nginx").exists():
        download = tmp_path / "download"
        download.mkdir()
        download.chmod(0o777)
        for command in (["apt-get", "update", "-q"], ["apt-get", "download", "-q", "nginx"]):
            result = call(*command, cwd=download)
            assert result.returncode == 0 or command[1] == "update", result.stderr
        package = next(download.glob("nginx_*.deb"))
        unpacked.parent.mkdir(exist_ok=True)
        assert call("dpkg-deb", "-x", package, unpacked).returncode == 0
    return unpacked / "usr/sbin/nginx"


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Any]:
    """nginx with deploy/nginx.conf, on other ports and with a test certificate, before a daemon."""
    name = "optimizer.example.org"
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = call(
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "1",
        "-subj",
        f"/CN={name}",
        "-addext",
        "subjectAltName=DNS:localhost",
        "-keyout",
        key,
        "-out",
        certificate,
    )
    assert made.returncode == 0, made.stderr
    port = free_port()
    with serving(tmp_path) as daemon:
        text = (DEPLOY / "nginx.conf").read_text()
        for ours, theirs in (
            ("127.0.0.1:8080", daemon.url.removeprefix("http://")),
            ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
            (f"/etc/ssl/certs/{name}.pem", str(certificate)),
            (f"/etc/ssl/private/{name}.key", str(key)),
        ):
            assert text.count(ours) == 1
            text = text.replace(ours, theirs)
        whole = tmp_path / "nginx.conf"
        places = "".join(
            f"{kind}_temp_path {tmp_path}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        whole.write_text(
            f"daemon off; pid {tmp_path}/nginx.pid; error_log {tmp_path}/nginx.log;\n"
            f"events {{}}\nhttp {{ access_log off; {places}\n{text}\n}}\n"
        )
        log = tmp_path / "nginx.log"
        command = [nginx_binary(tmp_path), "-p", tmp_path, "-e", log, "-c", whole]
        tested = call(*command, "-t")
        assert tested.returncode == 0, tested.stderr
        assert "warn" not in tested.stderr
        process = subprocess.Popen([str(word) for word in command])
        session = requests.Session()
        session.verify, session.trust_env = str(certificate), False
        url = f"https://localhost:{port}"
        try:
            deadline = time.monotonic() + 20
            while True:
                try:
                    assert session.get(url + "/livez", timeout=5).status_code == 200
                    break
                except requests.ConnectionError:
                    assert time.monotonic() < deadline and process.poll() is None
                    time.sleep(0.05)
            yield url, session
        finally:
            process.terminate()
            process.wait(20)


def test_behind_the_proxy_everything_works_over_tls(proxy: Any) -> None:
    url, session = proxy
    client = Client(url)
    client.session = session
    # A body far above nginx's default limit of 1 MB, and the response to it.
    n = 200_000
    made = client.create(x0=[0.5] * n)
    turn = client.begin(made)
    assert len(turn["evaluation"]["x"]) == n
    turn = client.tell(made, 1, 0.5 * n * 0.25, [0.5] * n)
    assert turn["state"] in ("evaluating", "idle")
    # A long poll that ends after its own wait, not after the proxy's timeout.
    quiet = client.create()
    began = time.monotonic()
    waited = client.call("GET", f"/v1/sessions/{quiet}/evaluation", headers={"Prefer": "wait=2"})
    assert waited.status_code == 200 and time.monotonic() - began >= 1.5
    assert session.get(url + "/metrics", timeout=30).status_code == 403


def test_behind_the_proxy_events_arrive_as_they_happen(proxy: Any) -> None:
    url, session = proxy
    client = Client(url)
    client.session = session
    made = client.create()
    turn = client.begin(made)
    with session.get(
        f"{url}/v1/sessions/{made}/events",
        headers={"Accept": "text/event-stream"},
        stream=True,
        timeout=20,
    ) as events:
        assert events.status_code == 200
        lines = events.iter_lines()
        began = time.monotonic()
        client.tell(made, turn["evaluation"]["number"], 2.5, [1.0, 1.0])
        for line in lines:
            if b"2.5" in line:
                break
        assert time.monotonic() - began < 5


# MARK: Backup


def test_what_was_told_is_in_the_database_soon_after(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon:
        client = Client(daemon.url)
        session = client.create(x0=[1.0] * 50)
        turn = client.begin(session)
        client.tell(session, turn["evaluation"]["number"], 10.0, [1.0] * 50)
        wanted = client.ask(session)

        def is_there() -> bool:
            database = sqlite3.connect(f"file:{tmp_path}/data/lbfgsd.sqlite?mode=ro", uri=True)
            with contextlib.closing(database):
                (told,) = database.execute("SELECT count(*) FROM event WHERE k = 1").fetchone()
                return told == 1

        wait_until(is_there)
        database = sqlite3.connect(f"file:{tmp_path}/data/lbfgsd.sqlite?mode=ro", uri=True)
        with contextlib.closing(database):
            (tmp_path / "copy").mkdir()
            database.execute("VACUUM INTO ?", (str(tmp_path / "copy" / "lbfgsd.sqlite"),))
    with serving(tmp_path, data=tmp_path / "copy") as daemon:
        assert Client(daemon.url).ask(session) == wanted


def test_a_copy_of_a_stopped_daemon_can_be_started(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon:
        session = Client(daemon.url).create()
        assert daemon.stop() == 0
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    with serving(tmp_path, data=tmp_path / "copy") as daemon:
        assert Client(daemon.url).get(session)["id"] == session
