"""Clients generated from openapi.yaml compile, and find a minimum with the daemon.

`make test` has those in Python, `make test-generated` all of them.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lbfgsd
from daemon import Client, Daemon
from generated_clients import GENERATED_ONLY, JAVA, OTHERS, PYTHON, SECONDS, generate
from problems import rosenbrock, rosenbrock_start

ALL = os.environ.get("LBFGSD_GENERATED") == "all"
CLIENTS = {**PYTHON, **OTHERS} if ALL else PYTHON
N = 4

needs_java = pytest.mark.skipif(not JAVA and not ALL, reason="openapi-generator needs java")
pytestmark = pytest.mark.timeout(SECONDS)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "attrs" else needs_java) for name in CLIENTS]
)
def test_a_generated_client_finds_the_minimum_that_ours_finds(
    name: str, client: Client, shared_daemon: Daemon, tmp_path: Path
) -> None:
    found = CLIENTS[name](tmp_path).minimize(shared_daemon.url, N)
    ours = minimum(shared_daemon)
    assert found["converged"] is True and found["reason"] == "gradient_tolerance"
    assert found["loss"] < 1e-16
    np.testing.assert_allclose(found["x"], ours.x, rtol=0, atol=1e-8)
    assert found["x"] == client.x(found["session"])
    # The daemon got all that the program told, and the options: other modes end elsewhere.
    assert len(client.trace(found["session"])) == found["evaluations"]
    stored = client.get(found["session"])
    assert stored["options"]["mode"] == "robust" and stored["options"]["tolerance_grad"] == 1e-8
    assert found["problem"] == "/problems/not-found"


def minimum(daemon: Daemon) -> Any:
    options = {"mode": "robust", "tolerance_grad": 1e-8}
    with lbfgsd.Client(daemon.url) as ours:
        return lbfgsd.minimize(
            rosenbrock, rosenbrock_start(N), jac=True, client=ours, options=options
        )


@pytest.mark.skipif(not ALL, reason="make test-generated")
@pytest.mark.parametrize("generator", GENERATED_ONLY)
def test_other_generators_read_the_document_without_an_error(
    generator: str, tmp_path: Path
) -> None:
    log = generate(generator, tmp_path)
    assert not re.findall(r"\] ERROR .*", log)
    models = [path for path in tmp_path.rglob("*") if path.stem.lower() == "turn"]
    assert models, "there is no model of a turn"
