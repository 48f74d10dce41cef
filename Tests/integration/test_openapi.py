"""openapi.yaml and the daemon agree."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
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
FUZZ_SECONDS = int(os.environ.get("LBFGSD_FUZZ_SECONDS", "150"))
CASES = int(os.environ.get("LBFGSD_FUZZ_CASES", "2000"))
"""The least number of generated requests."""
ROUNDS_MAX = max(1, CASES // 500)
"""Rounds with fewer cases than 500 each are a failure."""


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
    ensemble = client.ok("POST", "/v1/ensembles", {"starts": [[1.0]]})["id"]
    for path, item in document["paths"].items():
        documented = {method.upper() for method in METHODS if method in item} | {"OPTIONS"}
        if "GET" in documented:
            documented.add("HEAD")
        for name, value in {
            "session": session,
            "checkpoint": "1",
            "evaluation": "1",
            "step": "1",
            "ensemble": ensemble,
            "problem": "busy",
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
            options={
                "line_search_fn": "strong_wolfe" if index % 2 else None,
                "max_iter": 4,
                "mode": "robust" if index % 3 == 0 else "torch",
            },
            upper=0.5 if index % 6 == 0 else None,
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
    doomed = [client.create() for _ in range(8)]
    return {"sessions": targets, "doomed": doomed, "ensembles": make_ensembles(client)}


def make_ensembles(client: Client) -> dict[str, Any]:
    """Creates ensembles: new, in the middle, finished; and some that may be deleted."""
    body = {"starts": [[-1.2, 1.0], [0.5, 0.5], [3.0, 3.0]], "lower": -5, "upper": 5}
    made = [client.ok("POST", "/v1/ensembles", body)["id"] for _ in range(10)]
    members = []
    for number, ensemble in enumerate(made[:6]):
        path = f"/v1/ensembles/{ensemble}"
        for _ in range(number):
            points = client.ok("POST", f"{path}/evaluations", {"count": 2})["evaluations"]
            results = []
            for point in points:
                loss, gradient = rosenbrock(point["x"])
                result = {"loss": loss, "gradient": list(gradient)}
                results.append({"session": point["session"], "number": point["number"], **result})
            client.ok("POST", f"{path}/results", {"results": results})
        if number == 5:
            client.ok("POST", f"{path}/stop")
        members += [m["session"] for m in client.ok("GET", f"{path}/members")["members"]]
    return {"kept": made[:6], "doomed": made[6:], "members": members}


def fuzz(daemon: Daemon, directory: Path, targets: dict[str, Any], seed: int) -> dict[str, Any]:
    """Runs schemathesis once. Returns the counts of answers by operation and status."""
    directory.mkdir()
    (directory / "targets.json").write_text(json.dumps(targets))
    counts = directory / "counts.json"
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
            str(seed),
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
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={
            **os.environ,
            "SCHEMATHESIS_HOOKS": "fuzz_hooks",
            "PYTHONPATH": str(HERE),
            "LBFGSD_FUZZ_TARGETS": str(directory / "targets.json"),
            "LBFGSD_FUZZ_COUNTS": str(counts),
        },
    )
    (directory / "schemathesis.txt").write_text(done.stdout)
    assert done.returncode == 0, f"seed {seed}: {done.stdout[-20_000:]}"
    return json.loads(counts.read_text())


# A round of a starved machine has few cases, and would pass: rounds go on until there are enough.
@pytest.mark.timeout(ROUNDS_MAX * (FUZZ_SECONDS + 60) + 750)
def test_generated_requests_find_nothing_wrong(
    daemon: Daemon, own_client: Client, document: Any, tmp_path: Path
) -> None:
    pid = daemon.pid
    statuses: Counter[int] = Counter()
    called: set[str] = set()
    for round_number in range(ROUNDS_MAX):
        targets = make_targets(own_client)
        seed = SEED + round_number
        counts = fuzz(daemon, tmp_path / str(seed), targets, seed)
        for operation, answers in counts.items():
            called.add(operation)
            for status, count in answers.items():
                statuses[int(status)] += count
        assert daemon.alive and daemon.pid == pid, "the daemon died"
        print(f"seed {seed}: {statuses.total()} cases so far, by status {dict(statuses)}")
        if statuses.total() >= CASES and called >= fuzzed_operations(document):
            break
    assert statuses.total() >= CASES, f"{statuses.total()} cases in {ROUNDS_MAX} rounds: {statuses}"
    assert not fuzzed_operations(document) - called
    # 503 is a documented limit; the daemon answers nothing else with its own fault.
    assert not [status for status in statuses if status >= 500 and status != 503], statuses


def fuzzed_operations(document: Any) -> set[str]:
    return {
        f"{method.upper()} {path}"
        for path, item in document["paths"].items()
        for method in METHODS
        if method in item and not path.endswith("/events")
    }
