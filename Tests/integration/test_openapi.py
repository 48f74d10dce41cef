"""openapi.yaml and the daemon agree."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from openapi_spec_validator import OpenAPIV31SpecValidator

from daemon import ROOT, Client, Daemon
from problems import rosenbrock

HERE = Path(__file__).parent
DOCUMENT = ROOT / "openapi.yaml"
METHODS = ("get", "put", "post", "patch", "delete")
SEED = int(os.environ.get("LBFGSD_FUZZ_SEED", "1"))
EXAMPLES = int(os.environ.get("LBFGSD_FUZZ_EXAMPLES", "25"))
FUZZ_SECONDS = 150


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return yaml.safe_load(DOCUMENT.read_text())


def test_the_document_is_valid_openapi(document: Any) -> None:
    OpenAPIV31SpecValidator(document).validate()


def test_the_document_that_is_served_is_the_one_in_the_repository(client: Client) -> None:
    assert client.call("GET", "/openapi.yaml").content == DOCUMENT.read_bytes()


def test_every_operation_is_named_and_says_what_can_go_wrong(document: Any) -> None:
    names = []
    for path, item in document["paths"].items():
        for method in METHODS:
            if operation := item.get(method):
                names.append(operation["operationId"])
                assert operation.get("summary") or operation.get("description"), (path, method)
                if path.startswith("/v1/sessions"):
                    assert any(
                        str(code).startswith("4") or code in ("default", "4XX")
                        for code in operation["responses"]
                    ), (path, method)
    assert len(names) == len(set(names))


def test_the_daemon_has_the_methods_of_the_document(client: Client, document: Any) -> None:
    session = client.create()
    for path, item in document["paths"].items():
        documented = {method.upper() for method in METHODS if method in item} | {"OPTIONS"}
        if "GET" in documented:
            documented.add("HEAD")
        for name, value in {
            "session": session,
            "checkpoint": "1",
            "evaluation": "1",
            "step": "1",
        }.items():
            path = path.replace("{" + name + "}", value)
        response = client.call("OPTIONS", path)
        assert response.status_code in (200, 204), path
        assert set(response.headers["Allow"].replace(" ", "").split(",")) == documented, path


def make_targets(client: Client) -> dict[str, Any]:
    """Creates sessions in all states: new, evaluating, stopped, ended, restored, with
    checkpoints."""
    targets = {}
    for index in range(24):
        session = client.create(
            name=f"target {index}",
            labels={"kind": "target"},
            options={"line_search_fn": "strong_wolfe" if index % 2 else None, "max_iter": 4},
        )
        for _ in range(3):
            client.ok("POST", f"/v1/sessions/{session}/checkpoints")
        if index % 4:
            turn = client.begin(session)
            for _ in range(index % 8):
                if turn["state"] == "evaluating":
                    turn = client.answer(turn, rosenbrock)
            client.ok("POST", f"/v1/sessions/{session}/checkpoints")
        if index % 6 == 5 and client.ask(session)["state"] == "evaluating":
            client.ok("POST", f"/v1/sessions/{session}/stop")
        if index % 6 == 3:
            client.ok("POST", f"/v1/sessions/{session}/checkpoints/4/restore")
        newest = client.get(session)["evaluation"]
        targets[session] = list(range(1, newest + 1)) + [max(newest, 1)] * 2
    return {"sessions": targets, "doomed": [client.create() for _ in range(8)]}


@pytest.mark.timeout(900)
def test_generated_requests_find_nothing_wrong(
    daemon: Daemon, own_client: Client, tmp_path: Path
) -> None:
    targets = tmp_path / "targets.json"
    targets.write_text(json.dumps(make_targets(own_client)))
    pid = daemon.pid
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "schemathesis.cli",
            "--config-file",
            HERE / "schemathesis.toml",
            "run",
            DOCUMENT,
            "--url",
            daemon.url,
            "--checks",
            "all",
            "--exclude-path-regex",
            "/events$",
            "--seed",
            str(SEED),
            "--max-examples",
            str(EXAMPLES),
            "--max-time",
            str(FUZZ_SECONDS),
            "--generation-database",
            "none",
            "--request-timeout",
            "20",
            "--no-color",
        ],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={
            **os.environ,
            "SCHEMATHESIS_HOOKS": "fuzz_hooks",
            "PYTHONPATH": str(HERE),
            "LBFGSD_FUZZ_TARGETS": str(targets),
        },
    )
    (tmp_path / "schemathesis.txt").write_text(done.stdout)
    assert done.returncode == 0, done.stdout[-20_000:]
    assert daemon.alive and daemon.pid == pid, "the daemon died"
