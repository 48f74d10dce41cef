"""Kills the daemon 200 times while clients work. crash.py can run longer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import crash

KILLS = int(os.environ.get("LBFGSD_CRASH_KILLS", "200"))
SEED = int(os.environ.get("LBFGSD_CRASH_SEED", "7"))


@pytest.mark.timeout(900)
def test_no_kill_breaks_the_promise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = crash.run(KILLS, SEED, tmp_path)
    with capsys.disabled():
        print(f"\n{report}")
    assert not report.failures, "\n".join(report.failures)
    assert report.counts["kills"] >= KILLS and report.counts["traces checked"] > 0
