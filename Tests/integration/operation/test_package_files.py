"""Debian's packaging beside what it packages: versions, units, the library's functions, and what is
inside. Tests/packages/run.sh tries the packages themselves."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from command import environment
from daemon import ROOT, binary

DEPLOY = ROOT / "deploy"
DEBIAN = DEPLOY / "debian"


def text(path: Path | str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def found(pattern: str, path: Path | str) -> str:
    match = re.search(pattern, text(path), re.MULTILINE)
    assert match, f"{path} has no {pattern}"
    return match[1]


def version() -> str:
    return found(r"^## ([0-9][^ ]*)", "CHANGELOG.md")


def test_every_file_that_names_the_version_has_the_changelogs() -> None:
    assert found(r"^lbfgsd \((.*)\) bookworm; ", DEBIAN / "changelog") == version()
    assert found(r'^version = "(.*)"$', "clients/python/pyproject.toml") == version()
    assert found(r"^Version: (.*)$", "Sources/CLbfgsd/lbfgsd.pc.in") == version()
    said = subprocess.run([binary(), "--version"], capture_output=True, text=True, check=True)
    assert version() in said.stdout.split()


def test_the_scripts_are_about_the_units_that_are_installed() -> None:
    units = r"^lib/systemd/system/(\S+)$"
    installed = re.findall(units, text(DEBIAN / "lbfgsd.install"), re.MULTILINE)
    assert installed == ["lbfgsd.service", "lbfgsd.socket"]
    assert all((DEPLOY / unit).is_file() for unit in installed)
    assert set(re.findall(r"lbfgsd\.(?:service|socket)", text(DEBIAN / "lbfgsd.postinst"))) == {
        "lbfgsd.service"
    }
    # What purging deletes is where DynamicUser= keeps the StateDirectory=.
    state = found(r"^StateDirectory=(.*)$", DEPLOY / "lbfgsd.service")
    assert found(r"^DynamicUser=(.*)$", DEPLOY / "lbfgsd.service") == "yes"
    deleted = re.findall(r"^ +rm -rf (\S+)$", text(DEBIAN / "lbfgsd.postrm"), re.MULTILINE)
    assert deleted == [f"/var/lib/private/{state}", f"/var/lib/{state}"]


def test_the_launcher_runs_what_the_package_installs() -> None:
    programs = re.findall(r'"(/usr/libexec/[^"]*)"', text(DEPLOY / "packages/launcher.c"))
    assert len(programs) == 2
    rules = text(DEBIAN / "rules")
    assert all(f"$(TMP){program}\n" in rules for program in programs)
    builds = [Path(program).parent.name for program in programs]
    assert sorted(builds) == sorted(found(r"^PACKAGE_CPUS = (.*)$", "Makefile").split())
    # The units run the launcher.
    assert found(r"^ExecStart=(\S+) serve", DEPLOY / "lbfgsd.service") == "/usr/bin/lbfgsd"


def test_the_symbols_are_the_headers_functions() -> None:
    lines = text(DEBIAN / "liblbfgsd1.symbols").splitlines()
    assert lines[0] == "liblbfgsd.so.1 liblbfgsd1 #MINVER#"
    listed = [line.split("@")[0].strip() for line in lines if line.startswith(" ")]
    header = re.sub(r"/\*.*?\*/", "", text("Sources/CLbfgsd/lbfgsd.h"), flags=re.DOTALL)
    declared = re.findall(r"\b(lbfgsd_\w+)\((?!\*)", header)
    assert listed == sorted(set(declared))


def test_the_python_package_depends_on_what_the_client_does() -> None:
    demands = found(r"^dependencies = \[(.*)\]$", "clients/python/pyproject.toml")
    names = re.findall(r'"(\w+)>=', demands)
    control = text(DEBIAN / "control").split("Package: python3-lbfgsd")[1]
    assert names and all(f" python3-{name}" in control for name in names)


def resolved() -> Path:
    path = ROOT / "Package.resolved"
    if not path.is_file():
        pytest.skip("this checkout was not built with SwiftPM")
    return path


def test_the_list_of_contents_has_every_swift_package(tmp_path: Path) -> None:
    checkouts = next(
        (
            path / "checkouts"
            for path in binary().resolve().parents
            if (path / "checkouts").is_dir()
        ),
        ROOT / ".build/checkouts",
    )
    if not checkouts.is_dir():
        pytest.skip(f"there is no {checkouts}")
    done = subprocess.run(
        [sys.executable, DEPLOY / "packages/sbom.py", version(), resolved(), checkouts, "6.3.1"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"SOURCE_DATE_EPOCH": "0"},
    )
    document = json.loads(done.stdout)
    assert document["spdxVersion"] == "SPDX-2.3"
    assert document["creationInfo"]["created"] == "1970-01-01T00:00:00Z"
    listed = {item["name"]: item for item in document["packages"]}
    pins = json.loads(resolved().read_text())["pins"]
    for pin in pins:
        name = pin["location"].removesuffix(".git").rsplit("/", 1)[1]
        assert listed[name]["versionInfo"] == pin["state"]["version"]
        assert pin["state"]["revision"] in listed[name]["downloadLocation"]
        terms = listed[name]["licenseConcluded"].replace(" WITH ", " with ")
        assert f"\nLicense: {terms}\n" in text(DEBIAN / "copyright")
    assert len(listed) == len(document["packages"]) > len(pins)
    related = {item["relatedSpdxElement"] for item in document["relationships"]}
    assert related == {item["SPDXID"] for item in document["packages"]}


def test_every_command_gets_a_manual_page(tmp_path: Path) -> None:
    dump = subprocess.run(
        [binary(), "--experimental-dump-help"],
        capture_output=True,
        text=True,
        check=True,
        env=environment(),
    )
    subprocess.run(
        [sys.executable, DEPLOY / "packages/manual.py", version(), tmp_path],
        input=dump.stdout,
        text=True,
        check=True,
        env=os.environ | {"SOURCE_DATE_EPOCH": "0"},
    )
    commands = {
        item["commandName"] for item in json.loads(dump.stdout)["command"]["subcommands"]
    } - {"help"}
    pages = {path.stem for path in tmp_path.glob("*.1")}
    assert pages == {"lbfgsd", "lbfgsd-token-new", *(f"lbfgsd-{name}" for name in commands)}
    serve = (tmp_path / "lbfgsd-serve.1").read_text()
    assert serve.startswith('.TH LBFGSD\\-SERVE 1 "1970-01-01"')
    assert "\\fB\\-\\-max\\-sessions\\fR" in serve


def test_completions_know_the_commands() -> None:
    for shell in ("bash", "zsh", "fish"):
        script = subprocess.run(
            [binary(), "--generate-completion-script", shell],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert "check-config" in script and "max-sessions" in script
