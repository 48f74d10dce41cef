"""deploy/README.md, command by command, on booted machines. The tests build on each other."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from machine import Machine, Network, Run, wait_until

DATA = "/var/lib/private/lbfgsd"
DOCUMENTS = "/usr/share/doc/lbfgsd"
EXPOSURE_MAX = 0.6
AS_DAEMON = (
    "systemd-run --pipe --wait -p DynamicUser=yes -p User=lbfgsd -p StateDirectory=lbfgsd "
    "-p StateDirectoryMode=0700 "
)


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    network = Network()
    yield network
    network.close()


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, network: Network) -> Iterator[Machine]:
    machine = Machine("first", tmp_path_factory.mktemp("first"), network)
    try:
        yield machine.boot()
    finally:
        machine.close()


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory, network: Network) -> Iterator[Machine]:
    machine = Machine("second", tmp_path_factory.mktemp("second"), network)
    try:
        yield machine.boot()
    finally:
        machine.close()


def test_the_service_starts_in_its_sandbox(machine: Machine) -> None:
    machine.run("systemctl daemon-reload")
    machine.run("systemctl enable --now lbfgsd.socket lbfgsd.service")
    machine.await_ready()
    status = machine.run("systemctl status lbfgsd").stdout
    assert "active (running)" in status and "127.0.0.1:8080" in status, status
    security = machine.run("systemd-analyze security --no-pager lbfgsd", 0, 1).stdout
    exposure = re.search(r"Overall exposure level for lbfgsd.service: ([0-9.]+)", security)
    assert exposure and float(exposure[1]) <= EXPOSURE_MAX, security
    process = f"/proc/{machine.main_pid}"
    assert "Seccomp:\t2" in machine.run(f"cat {process}/status").stdout
    # No network: not the machine's namespace, and no address in its own.
    assert machine.run(f"readlink {process}/ns/net /proc/1/ns/net | uniq | wc -l").stdout == "2\n"
    assert machine.run(f"stat -Lc %a {DATA}").stdout == "700\n"
    owner = machine.run(f"stat -Lc %U {DATA}").stdout.strip()
    assert owner == machine.run(f"stat -c %U {process}").stdout.strip() != "root"
    # A new store is worth a warning; nothing else is.
    lines = machine.log("-p warning").splitlines()
    warnings = [line for line in lines if "log=lbfgsd" in line]
    assert len(warnings) == 1 and "new" in warnings[0], warnings


def test_a_run_goes_on_after_kill_and_restart(machine: Machine) -> None:
    run = Run(machine)
    turn = run.tell(4)
    before = machine.main_pid
    machine.run("systemctl kill --signal=KILL lbfgsd")
    # The socket stays open: the next request waits for the new process.
    wait_until(lambda: machine.main_pid not in (0, before))
    assert run.turn() == turn
    turn = run.tell(2)
    machine.run("systemctl restart lbfgsd")
    assert run.turn() == turn
    assert machine.run("systemctl show lbfgsd -p NRestarts --value").stdout != ""


def test_the_watchdog_restarts_a_daemon_that_hangs(machine: Machine) -> None:
    before = machine.main_pid
    machine.run("systemctl kill --signal=STOP --kill-who=main lbfgsd")
    wait_until(lambda: machine.main_pid not in (0, before), 60)
    machine.await_ready()
    assert "watchdog" in machine.run("journalctl -u lbfgsd -o cat").stdout.lower()


def test_limits_and_settings(machine: Machine) -> None:
    machine.edit("lbfgsd.service", "[Service]\nMemoryMax=3G\n")
    machine.edit("lbfgsd.socket", "[Socket]\nListenStream=127.0.0.1:8081\n")
    machine.write("/etc/lbfgsd/lbfgsd.yaml", "max-sessions: 20\naudit-log: all\n")
    checked = machine.run("lbfgsd check-config --config /etc/lbfgsd/lbfgsd.yaml").stdout
    assert re.search(r"max-sessions:? +20\b", checked), checked
    machine.run("systemctl restart lbfgsd.socket lbfgsd.service")
    machine.await_ready()
    assert machine.run("systemctl show lbfgsd -p MemoryMax --value").stdout == f"{3 << 30}\n"
    assert machine.is_ready(8081)
    limits = machine.ok("GET", "/v1/limits")
    assert limits["sessions_max"] == 20, limits
    # A wrong setting keeps the daemon from starting, and says where it is.
    machine.write("/etc/lbfgsd/lbfgsd.yaml", "max-session: 20\n")
    machine.run("systemctl restart lbfgsd", 1)
    assert machine.run("systemctl show lbfgsd -p ExecMainStatus --value").stdout == "78\n"
    assert "max-session" in machine.log("-n 10")
    machine.write("/etc/lbfgsd/lbfgsd.yaml", "audit-log: all\n")
    machine.run("systemctl restart lbfgsd.socket lbfgsd.service")
    machine.await_ready()


def test_tokens(machine: Machine) -> None:
    machine.run(
        f"install -D -m 0644 {DOCUMENTS}/tokens.conf "
        "/etc/systemd/system/lbfgsd.service.d/tokens.conf"
    )
    made = machine.run("lbfgsd token new --name ci --tenant flow --scopes read,write")
    token = next(word for word in made.stdout.split() if len(word) > 30 and "sha256" not in word)
    entry = re.search(
        r"^ *- (\{?name: ci.*(?:\n {2,}.*)*)", made.stdout + made.stderr, re.MULTILINE
    )
    assert entry, made.stdout
    machine.write("/etc/lbfgsd/tokens", entry[0] + "\n", 0o600)
    machine.run("systemctl daemon-reload && systemctl restart lbfgsd")
    machine.await_ready()
    assert machine.call("GET", "/v1/sessions")[0] == 401
    assert machine.call("GET", "/v1/sessions", token=token)[0] == 200
    run = Run(machine, token=token)
    run.tell(1)
    assert machine.call("DELETE", run.path, token=token)[0] == 403
    assert token not in machine.log()
    audit = [line for line in machine.log().splitlines() if "log=audit" in line]
    refused = [line for line in audit if "status=403" in line]
    machine.run("rm /etc/systemd/system/lbfgsd.service.d/tokens.conf")
    machine.run("systemctl daemon-reload && systemctl restart lbfgsd")
    machine.await_ready()
    assert len(refused) == 1 and "caller=ci" in refused[0] and "tenant=flow" in refused[0], audit


def test_backup_verify_and_restore(machine: Machine) -> None:
    run = Run(machine)
    turn = run.tell(3)
    machine.run("mkdir /backup")
    backup = machine.run(f"lbfgsd backup /backup/lbfgsd --data {DATA}").stdout.split()[-1]
    machine.run(f"lbfgsd verify {backup}")
    run.tell(2)
    assert "in use" in machine.run(f"lbfgsd verify {DATA}", 75).stderr
    machine.run("systemctl stop lbfgsd.socket lbfgsd.service")
    machine.run(f"lbfgsd verify {DATA}")
    machine.run(
        f"mkdir /root/before && find {DATA} -mindepth 1 -maxdepth 1 -exec mv -t /root/before {{}} +"
    )
    machine.run(f"lbfgsd restore {backup} --data {DATA}")
    machine.run("systemctl start lbfgsd.socket lbfgsd.service")
    machine.await_ready()
    assert run.turn() == turn
    run.tell(1)


def test_salvage(machine: Machine) -> None:
    run, other = Run(machine), Run(machine)
    run.tell(2)
    turn = other.tell(2)
    machine.run("systemctl stop lbfgsd.socket lbfgsd.service")
    root = Path(machine.root)
    tables = root / DATA[1:] / "lbfgsd.sqlite"
    content = bytearray(tables.read_bytes())
    at = content.index(run.id.encode())
    content[at + len(run.id) + 30] ^= 1
    tables.write_bytes(content)
    found = machine.run(f"lbfgsd verify --json {DATA}", 1).stdout
    assert json.loads(found)["findings"]
    new = f"{DATA}-salvaged"
    machine.run(f"lbfgsd salvage {DATA} --into {new}", 0, 1)
    machine.run(f"mv {DATA} /root/damaged && mv {new} {DATA}")
    machine.run("systemctl start lbfgsd.socket lbfgsd.service")
    machine.await_ready()
    assert other.turn() == turn
    machine.run("systemctl stop lbfgsd.socket lbfgsd.service")
    machine.run(f"{AS_DAEMON} /usr/bin/lbfgsd compact")
    machine.run("systemctl start lbfgsd.socket lbfgsd.service")
    machine.await_ready()
    assert other.turn() == turn


def test_a_session_moves(machine: Machine) -> None:
    run = Run(machine)
    turn = run.tell(2)
    machine.run(f"lbfgsd export {run.id} > /root/session.safetensors")
    moved = machine.run("lbfgsd import < /root/session.safetensors").stdout.split()[0]
    again = machine.ok("GET", f"/v1/sessions/{moved}/evaluation")
    assert again["evaluation"] == turn["evaluation"]


def test_a_standby_takes_over(machine: Machine, second: Machine) -> None:
    machine.run(
        f"install -D -m 0644 {DOCUMENTS}/tokens.conf "
        "/etc/systemd/system/lbfgsd.service.d/tokens.conf"
    )
    token = "a-token-of-the-operator-for-all-of-it"
    machine.write("/etc/lbfgsd/tokens", f"{token}\n", 0o600)
    machine.write("/etc/lbfgsd/lbfgsd.yaml", "replication: synchronous\n")
    machine.run("systemctl daemon-reload && systemctl restart lbfgsd")
    # Without a standby a synchronous primary takes no writes.
    wait_until(lambda: machine.call("GET", "/readyz")[0] == 503)

    second.run("install -m 0600 /dev/stdin /etc/lbfgsd/primary.token", text=f"{token}\n")
    second.run(
        f"cd {DOCUMENTS} && install -D -m 0644 lbfgsd-standby.service "
        "/etc/systemd/system/lbfgsd-standby.service && systemctl daemon-reload"
    )
    second.edit("lbfgsd-standby", "[Service]\nEnvironment=LBFGSD_PRIMARY=http://127.0.0.1:8080\n")
    second.run("systemctl enable --now lbfgsd-standby")
    machine.await_ready()
    wait_until(lambda: "Following" in second.run("systemctl status lbfgsd-standby").stdout)
    run = Run(machine, token=token)
    turn = run.tell(3)
    assert machine.ok("GET", "/v1/replication", token=token)["standby"]["in_sync"]

    second.edit("lbfgsd.socket", "[Socket]\nListenStream=\nListenStream=127.0.0.1:9000\n")
    second.run("systemctl disable --now lbfgsd-standby")
    promoted = second.run(
        f"{AS_DAEMON} -p LoadCredential=token:/etc/lbfgsd/primary.token /bin/sh -c "
        "'exec lbfgsd promote --primary-token-file $CREDENTIALS_DIRECTORY/token'"
    )
    assert "term 2" in promoted.stdout + promoted.stderr, promoted
    second.run("systemctl enable --now lbfgsd.socket lbfgsd.service")
    second.await_ready(9000)
    moved = Run.__new__(Run)
    moved.machine, moved.more, moved.id, moved.path = second, {"port": 9000}, run.id, run.path
    assert moved.turn() == turn
    moved.tell(2)
    # The old one takes no more writes, after a restart too.
    for _ in range(2):
        status, problem = machine.call("POST", f"{run.path}/stop", {}, token=token)
        assert status == 503 and "fenced" in problem["type"], problem
        machine.run("systemctl restart lbfgsd")
        wait_until(lambda: machine.call("GET", "/livez")[0] == 200)


def test_a_machine_that_was_rebooted_goes_on(second: Machine) -> None:
    sessions = second.ok("GET", "/v1/sessions", port=9000)["sessions"]
    second.close()
    second.boot()
    second.await_ready(9000)
    assert second.ok("GET", "/v1/sessions", port=9000)["sessions"] == sessions
