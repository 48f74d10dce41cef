"""The metrics of a live daemon, against what the rules, the dashboard and the documents name."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import requests

from command import debian_tool, serving
from daemon import ROOT, Client, wait_until
from problems import rosenbrock

PROMETHEUS = ROOT / "deploy" / "prometheus"
DASHBOARD = ROOT / "deploy" / "grafana" / "lbfgsd.json"
NAME = re.compile(r"\b((?:lbfgsd|process)_[a-z0-9_]+)\b")
PARTS = ("_bucket", "_sum", "_count")


def families(text: str) -> dict[str, str]:
    """The type of each family."""
    found = dict(re.findall(r"(?m)^# TYPE (\S+) (\S+)$", text))
    helped = set(re.findall(r"(?m)^# HELP (\S+) \S.*$", text))
    assert helped == set(found)
    return found


def samples(text: str) -> dict[str, float]:
    pairs = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def scrape(url: str) -> str:
    response = requests.get(url + "/metrics", timeout=30)
    assert response.ok
    return response.text


def metric(name: str, known: dict[str, str]) -> bool:
    """Whether a name is a family's, or a part of a histogram's."""
    if name in known:
        return True
    stem = next((name.removesuffix(part) for part in PARTS if name.endswith(part)), name)
    return known.get(stem) == "histogram"


def test_every_name_in_rules_dashboard_and_documents_is_served(tmp_path: Path) -> None:
    settings = ("--webhook-hosts", "hooks.example.com", "--replication", "asynchronous")
    with serving(tmp_path, *settings) as daemon:
        client = Client(daemon.url)
        client.step(client.create(), rosenbrock)
        client.create(x0=[1.0] * 3)
        known = families(scrape(daemon.url))
    files = [*PROMETHEUS.glob("*.yml"), DASHBOARD, *(ROOT / "docs").rglob("*.md")]
    files += [ROOT / "README.md", ROOT / "deploy" / "README.md", ROOT / "CHANGELOG.md"]
    named: dict[str, set[str]] = {}
    for file in files:
        for name in NAME.findall(file.read_text()):
            named.setdefault(name, set()).add(file.name)
    # The C library's functions and types have names of the same form.
    declared = set(NAME.findall((ROOT / "Sources" / "CLbfgsd" / "lbfgsd.h").read_text()))
    named = {name: where for name, where in named.items() if name not in declared}
    used = {name for name, where in named.items() if where & {"lbfgsd.rules.yml", "lbfgsd.json"}}
    assert len(used) > 20
    assert {name: named[name] for name in named if not metric(name, known)} == {}


def test_names_follow_the_conventions(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon:
        client = Client(daemon.url)
        client.step(client.create(), rosenbrock)
        text = scrape(daemon.url)
    for name, kind in families(text).items():
        assert re.fullmatch(r"(lbfgsd|process)(_[a-z0-9]+)+", name)
        assert name.endswith("_total") == (kind == "counter"), name
        if kind == "histogram":
            assert name.endswith("_seconds"), name
            counts = [v for n, v in samples(text).items() if n.startswith(name + "_bucket")]
            assert counts, name


def test_work_is_counted_and_measured(tmp_path: Path) -> None:
    with serving(tmp_path, "--idle-eviction-seconds", "1") as daemon:
        client = Client(daemon.url)
        turn = client.step(client.create(), rosenbrock)
        waiting = client.create()
        client.begin(waiting)
        told = turn["result"]["evaluations"]
        now = samples(scrape(daemon.url))
        assert now["lbfgsd_evaluations_total"] == told
        assert now["lbfgsd_engine_seconds_count"] == told
        assert now["lbfgsd_step_seconds_count"] == 1
        assert now["lbfgsd_store_sync_seconds_count"] > 0
        assert now["lbfgsd_store_commit_seconds_count"] > 0
        commits = now["lbfgsd_store_commits_total"]
        writes = now["lbfgsd_store_writes_total"]
        assert told <= writes and 0 < commits <= writes
        assert now["lbfgsd_store_queue_seconds_count"] >= told
        assert now["lbfgsd_disk_free_bytes"] > 0 and now["lbfgsd_disk_full"] == 0
        assert now["lbfgsd_disk_reserve_bytes"] > 0

        def is_counted() -> Any:
            now = samples(scrape(daemon.url))
            return (
                now['lbfgsd_sessions{state="evaluating"}'] == 1
                and now['lbfgsd_sessions{state="idle"}'] == 1
                and now['lbfgsd_sessions{state="awaiting_hook"}'] == 0
                and now["lbfgsd_oldest_unanswered_evaluation_seconds"] > 1
                and now["lbfgsd_disk_used_bytes"] > 0
                and now["lbfgsd_session_evictions_total"] == 2
                and now["lbfgsd_webhooks_pending"] == 0
            )

        wait_until(is_counted, told=lambda: scrape(daemon.url))


def test_the_rules_alert_when_they_should(tmp_path: Path) -> None:
    promtool = debian_tool("prometheus", "usr/bin/promtool", tmp_path)
    for command in (("check", "rules", "lbfgsd.rules.yml"), ("test", "rules")):
        line = [str(promtool), *command]
        if command[0] == "test":
            line.append("lbfgsd.rules.test.yml")
        result = subprocess.run(line, cwd=PROMETHEUS, capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr
    tested = (PROMETHEUS / "lbfgsd.rules.test.yml").read_text()
    for alert in re.findall(r"alert: (\w+)", (PROMETHEUS / "lbfgsd.rules.yml").read_text()):
        assert f"alertname: {alert}\n        exp_alerts" in tested, alert


def test_metrics_come_in_the_form_that_prometheus_checks(tmp_path: Path) -> None:
    promtool = debian_tool("prometheus", "usr/bin/promtool", tmp_path)
    with serving(tmp_path) as daemon:
        client = Client(daemon.url)
        client.step(client.create(), rosenbrock)
        text = scrape(daemon.url)
    result = subprocess.run(
        [str(promtool), "check", "metrics"], input=text, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_dashboard_is_one_that_grafana_reads() -> None:
    document = json.loads(DASHBOARD.read_text())
    assert document["uid"] == "lbfgsd" and document["panels"]
    for panel in document["panels"]:
        assert panel["title"] and panel["targets"]
        assert all(target["expr"] for target in panel["targets"])
    places = [tuple(panel["gridPos"].values()) for panel in document["panels"]]
    assert len(set(places)) == len(places)
