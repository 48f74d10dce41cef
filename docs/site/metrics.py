"""The page of the metrics, from what a daemon serves."""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

SECONDS = 20
INTRODUCTION = """# Metrics

What `GET /metrics` serves, in Prometheus's text format. `deploy/prometheus/lbfgsd.rules.yml` has
alert rules on them and `deploy/grafana/lbfgsd.json` a dashboard: [how to set up
alerts](../howto/alerts.md).

| metric | type | meaning |
|---|---|---|
"""


def page(binary: Path) -> str:
    types: dict[str, str] = {}
    helps: dict[str, str] = {}
    for line in _scrape(binary).splitlines():
        if match := re.match(r"# (HELP|TYPE) (\S+) (.*)", line):
            (helps if match[1] == "HELP" else types)[match[2]] = match[3]
    rows = [
        f"| `{name}` | {types[name]} | {helps.get(name, '').replace('|', chr(92) + '|')} |"
        for name in sorted(types)
    ]
    return INTRODUCTION + "\n".join(rows) + "\n"


def _scrape(binary: Path) -> str:
    """Starts a daemon in memory, whose log has its address, and asks it once. Metrics of
    replication and webhooks are there where these are on."""
    settings = ["--replication", "asynchronous", "--webhook-hosts", "hooks.example.com"]
    with tempfile.TemporaryDirectory() as home, Path(home, "log").open("w+b") as log:
        daemon = subprocess.Popen(
            [binary, "serve", "--listen", "127.0.0.1:0", "--data", f"{home}/data", *settings],
            stdout=log,
            stderr=log,
        )
        try:
            deadline = time.monotonic() + SECONDS
            while True:
                text = Path(home, "log").read_text()
                if found := re.search(r"\bready\b.*\burl\"?[=:]\"?(http://[^\s\"]+)", text):
                    break
                if daemon.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"the daemon does not start:\n{text}")
                time.sleep(0.05)
            with urllib.request.urlopen(f"{found[1]}/metrics", timeout=SECONDS) as answer:
                return str(answer.read().decode())
        finally:
            daemon.terminate()
            daemon.wait(SECONDS)
