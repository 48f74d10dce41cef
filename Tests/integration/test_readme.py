"""README's examples, run as they are printed, with the test daemon's URL."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from command import environment
from daemon import ROOT, Daemon, binary

README = (ROOT / "README.md").read_text()
SECONDS = 120
LINES_MAX = 110


def example(language: str) -> str:
    (text,) = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    return str(text)


def run(daemon: Daemon, tools: Path, *command: str) -> str:
    (tools / "lbfgsd").symlink_to(binary())
    variables = environment(
        LBFGSD_URL=daemon.url,
        PYTHONPATH=str(ROOT / "clients" / "python" / "src"),
        PATH=f"{tools}:{os.environ['PATH']}",
    )
    done = subprocess.run(
        command, env=variables, capture_output=True, text=True, timeout=SECONDS, cwd=tools
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_is_two_screens() -> None:
    assert len(README.splitlines()) <= LINES_MAX


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", README)
    assert len(links) > 30
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_python(shared_daemon: Daemon, tmp_path: Path) -> None:
    printed = run(shared_daemon, tmp_path, sys.executable, "-c", example("python"))
    assert "CONVERGENCE" in printed and "engine: server" in printed


def test_curl(shared_daemon: Daemon, tmp_path: Path) -> None:
    printed = run(shared_daemon, tmp_path, "sh", "-eu", "-c", example("sh"))
    assert '"evaluation":{"number":1,"x":[3.0]}' in printed
    assert '"evaluation":{"number":2,"x":[' in printed
