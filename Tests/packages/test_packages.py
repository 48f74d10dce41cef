"""Debian's packages on a booted machine that has nothing but systemd. The tests build on each
other; /packages has the packages and what they depend on, so that no network is needed."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "operation"))
from machine import Machine, Network, Run, wait_until

FIRST_OPTIMUM_SECONDS_MAX = 60
INSTALL = "DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends"
BUILDS = "/usr/libexec/lbfgsd"
DATA = "/var/lib/private/lbfgsd"
# As where the processor has no AVX2.
WITHOUT_AVX2 = "GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX2_Usable,-AVX2"

LOCAL_RUN = """
import lbfgsd, numpy, sys
def chained(x):
    a, b = x[1:] - x[:-1] ** 2, 1 - x[:-1]
    g = numpy.zeros_like(x)
    g[:-1] = -400 * a * x[:-1] - 2 * b
    g[1:] += 200 * a
    return float((100 * a * a + b * b).sum()), g
result = lbfgsd.minimize(chained, numpy.tile([-1.2, 1.0], 50), jac=True, engine="local")
maps = {line.split()[-1] for line in open("/proc/self/maps") if "liblbfgsd" in line}
print(result.nfev, result.x.tobytes().hex(), *maps)
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    network = Network()
    machine = Machine("packages", tmp_path_factory.mktemp("machine"), network)
    (machine.root / "etc/apt/sources.list").write_text("deb [trusted=yes] file:/packages ./\n")
    try:
        yield machine.boot()
    finally:
        machine.close()
        network.close()


def test_from_the_package_to_the_first_optimum(machine: Machine) -> None:
    began = time.monotonic()
    machine.run("apt-get update -q")
    machine.run(f"{INSTALL} curl /packages/lbfgsd_*.deb")
    assert machine.run("curl -fsS http://127.0.0.1:8080/readyz").stdout
    run = Run(machine)
    turn = run.ok("POST", f"{run.path}/steps", {})
    while turn["state"] == "evaluating":
        evaluation = turn["evaluation"]
        gradient = [2 * x for x in evaluation["x"]]
        told = {"loss": sum(x * x for x in evaluation["x"]), "gradient": gradient}
        path = f"{run.path}/evaluations/{evaluation['number']}/result"
        turn = run.ok("PUT", path, told)
    assert turn["result"]["converged"], turn
    seconds = time.monotonic() - began
    print(f"from the package to the first optimum: {seconds:.1f} s")
    assert seconds < FIRST_OPTIMUM_SECONDS_MAX
    assert not machine.run("command -v cc gcc swift || true").stdout


def test_the_daemon_is_the_build_for_this_processor(machine: Machine) -> None:
    has_avx2 = " avx2 " in Path("/proc/cpuinfo").read_text()
    build = "x86-64-v3" if has_avx2 else "x86-64"
    executable = machine.run(f"readlink /proc/{machine.main_pid}/exe").stdout.strip()
    assert executable == f"{BUILDS}/{build}/lbfgsd"
    assert machine.run("systemctl is-enabled lbfgsd.socket lbfgsd.service").stdout.split() == [
        "enabled",
        "enabled",
    ]


def test_what_is_beside_the_daemon(machine: Machine) -> None:
    """Manual pages, completions and the list of what is inside (minbase keeps documents)."""
    files = machine.run("dpkg -L lbfgsd").stdout.split()
    for name in ("lbfgsd.1.gz", "lbfgsd-serve.1.gz", "lbfgsd-token-new.1.gz"):
        assert f"/usr/share/man/man1/{name}" in files
    for name in ("bash-completion/completions/lbfgsd", "zsh/vendor-completions/_lbfgsd"):
        assert "lbfgsd" in machine.run(f"cat /usr/share/{name}").stdout
    contents = machine.run("cat /usr/share/doc/lbfgsd/lbfgsd.spdx.json").stdout
    assert '"GRDB.swift"' in contents and '"swift-foundation-icu"' in contents
    conffiles = machine.run("dpkg-query -W -f '${Conffiles}' lbfgsd").stdout
    assert re.findall(r"/\S+", conffiles) == ["/etc/lbfgsd/lbfgsd.yaml"]


def points(machine: Machine, build: str, port: int, options: dict[str, Any]) -> list[Any]:
    """All points of a run on one build of the daemon."""
    machine.run(
        f"systemd-run --unit=bits-{port} {BUILDS}/{build}/lbfgsd serve --data :memory: "
        f"--listen 127.0.0.1:{port}"
    )
    wait_until(lambda: machine.is_ready(port))
    count = 40
    body = {"x0": [-1.2, 1.0] * (count // 2), "options": options}
    session = machine.ok("POST", "/v1/sessions", body, port=port)
    path = f"/v1/sessions/{session['id']}"
    turn = machine.ok("POST", f"{path}/steps", {}, port=port)
    found = []
    while turn["state"] == "evaluating":
        x = turn["evaluation"]["x"]
        found.append(x)
        loss, gradient = 0.0, [0.0] * count
        for i in range(count - 1):
            a, b = x[i + 1] - x[i] ** 2, 1 - x[i]
            loss += 100 * a * a + b * b
            gradient[i] += -400 * a * x[i] - 2 * b
            gradient[i + 1] += 200 * a
        result = f"{path}/evaluations/{turn['evaluation']['number']}/result"
        turn = machine.ok("PUT", result, {"loss": loss, "gradient": gradient}, port=port)
    machine.run(f"systemctl stop bits-{port}")
    return [*found, turn["x"], turn["result"]]


@pytest.mark.parametrize("mode", ["torch", "robust"])
def test_both_builds_of_the_daemon_give_the_same_bits(machine: Machine, mode: str) -> None:
    options = {"mode": mode, "max_iter": 60, "max_eval": 80}
    options |= {"line_search_fn": "strong_wolfe"} if mode == "torch" else {}
    first = 9001 if mode == "torch" else 9003
    runs = [
        points(machine, build, first + place, options)
        for place, build in enumerate(("x86-64", "x86-64-v3"))
    ]
    assert len(runs[0]) > 40 and runs[0] == runs[1]


def test_python_gets_the_same_bits_from_both_builds_of_the_library(machine: Machine) -> None:
    machine.run(f"{INSTALL} python3-lbfgsd")
    machine.write("/root/local.py", LOCAL_RUN)
    wide, any_processor = (
        machine.run(f"{environment} /usr/bin/python3 /root/local.py").stdout.split()
        for environment in ("", WITHOUT_AVX2)
    )
    assert int(wide[0]) > 40 and wide[:2] == any_processor[:2]
    libraries = [path.replace("/usr/lib", "/lib") for path in (wide[2], any_processor[2])]
    assert "glibc-hwcaps/x86-64-v3" in libraries[0]
    assert "glibc-hwcaps" not in libraries[1]


def test_debians_own_tests(machine: Machine) -> None:
    """debian/tests: an upgrade in the middle of a line search, the C library, Python."""
    machine.run(f"{INSTALL} autopkgtest dpkg-repack gcc libc6-dev pkg-config lbfgsd-dev", 0)
    done = machine.run(
        "autopkgtest --no-built-binaries --ignore-restrictions=breaks-testbed,isolation-container "
        "/packages/source -- null",
        *range(21),
        seconds=600,
    )
    results = re.findall(r"^(\w+) +(PASS|FAIL|SKIP)", done.stdout, re.MULTILINE)
    assert results == [("upgrade", "PASS"), ("library", "PASS")], done.stdout + done.stderr


def test_removal_keeps_the_sessions_and_purging_deletes_them(machine: Machine) -> None:
    machine.run(f"{INSTALL} --allow-downgrades --reinstall /packages/lbfgsd_*.deb")
    machine.await_ready()
    run = Run(machine)
    turn = run.tell(3)
    machine.run("apt-get remove -q -y lbfgsd")
    assert machine.call("GET", "/readyz")[0] == 0
    assert "lbfgsd.sqlite" in machine.run(f"ls {DATA}").stdout
    machine.run(f"{INSTALL} /packages/lbfgsd_*.deb")
    machine.await_ready()
    assert run.turn() == turn
    machine.run("apt-get purge -q -y lbfgsd")
    left = machine.run(
        "ls -d /var/lib/private/lbfgsd /var/lib/lbfgsd /etc/lbfgsd /usr/libexec/lbfgsd", 2
    )
    assert left.stdout == ""
