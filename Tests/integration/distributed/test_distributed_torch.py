"""`DistributedLBFGS` under DDP, FSDP and FSDP2 on gloo ranks, beside torch.optim.LBFGS in one
process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine_files import library

torch = pytest.importorskip("torch")
import ranks  # noqa: E402 - it needs torch.

SCRIPT = Path(__file__).with_name("ranks.py")


def run(kind: str, size: int, mode: str, home: Path) -> list[list[float]]:
    """The losses that each rank has seen."""
    environment = {
        **os.environ,
        "LBFGSD_LIBRARY": str(library()),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    out, store = home / "losses", home / "store"
    processes = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), kind, str(rank), str(size), str(store), str(out), mode],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(size)
    ]
    try:
        for process in processes:
            said, _ = process.communicate(timeout=120)
            assert process.returncode == 0, said
    finally:
        for process in processes:
            process.kill()
    return [json.loads(Path(f"{out}.{rank}").read_text()) for rank in range(size)]


def alone(mode: str) -> list[float]:
    """The losses of torch.optim.LBFGS, or of robust mode, in this process."""
    from lbfgsd.distributed.torch import DistributedLBFGS

    options: dict[str, Any] = ranks.OPTIONS[mode]
    kind = DistributedLBFGS if mode == "robust" else torch.optim.LBFGS
    net = ranks.model()
    optimizer = kind(net.parameters(), max_iter=ranks.ITERATIONS // 3, **options)
    return ranks.train(net, optimizer, *ranks.data(), steps=3)


@pytest.mark.parametrize(
    ("kind", "size"),
    [("ddp", 2), ("fsdp2", 2), ("fsdp2", 4), ("fsdp1", 2), ("fsdp1-original", 2)],
)
def test_the_losses_are_those_of_torch_in_one_process(kind: str, size: int, tmp_path: Path) -> None:
    expected = alone("torch")
    assert len(expected) > ranks.ITERATIONS
    for losses in run(kind, size, "torch", tmp_path):
        assert losses == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("mode", ["fixed", "robust"])
def test_without_a_search_and_in_robust_mode(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LBFGSD_LIBRARY", str(library()))
    expected = alone(mode)
    for losses in run("fsdp2", 2, mode, tmp_path):
        assert losses == pytest.approx(expected, rel=1e-9)
