"""Many starts through the service, beside the same pool of workers with no service at all.

    python Benchmarks/ensembles/run.py [--starts 100] [--n 20] [--workers 4] [--milliseconds 5]
        [--evaluations 100000] [--runs 3] [--busy]

A function takes so many milliseconds: it sleeps, as a worker does whose model is computed elsewhere
(`--busy`: it computes for that long, and the workers are processes). By turns in one run: workers
that evaluate points as fast as they can, points that are known in advance; and `multistart`, which
gets each point from the daemon and tells each result, so that it is on disk. The daemon is
$LBFGSD_BIN or .build/release/lbfgsd, its data in $LBFGSD_BENCH_DIR or the working directory.
Prints evaluations per second of both, and the quotient.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import functools
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "clients/python/src"), str(ROOT / "Tests/integration")]

import lbfgsd  # noqa: E402
from daemon import Daemon  # noqa: E402


def evaluate(x: Any, seconds: float, busy: bool) -> Any:
    """Styblinski and Tang's function, which has 2^n minima."""
    began = time.perf_counter()
    loss = float(np.sum(x**4 - 16 * x**2 + 5 * x)) / 2
    gradient = (4 * x**3 - 32 * x + 5) / 2
    while busy and time.perf_counter() < began + seconds:
        np.sqrt(x * x)
    if not busy:
        time.sleep(max(0.0, began + seconds - time.perf_counter()))
    return loss, gradient


def alone(given: argparse.Namespace, fun: Any, count: int) -> float:
    """Evaluations per second of the pool alone: all points are in its queue."""
    points = np.random.default_rng(0).uniform(-5, 5, (count, given.n))
    kind = (
        concurrent.futures.ProcessPoolExecutor
        if given.busy
        else concurrent.futures.ThreadPoolExecutor
    )
    with kind(given.workers) as pool:
        list(pool.map(fun, points[: given.workers]))
        began = time.perf_counter()
        for future in [pool.submit(fun, x) for x in points]:
            future.result()
        return count / (time.perf_counter() - began)


def served(given: argparse.Namespace, fun: Any, client: Any, seed: int) -> tuple[float, int]:
    began = time.perf_counter()
    result = lbfgsd.multistart(
        fun,
        [(-5, 5)] * given.n,
        jac=True,
        starts=given.starts,
        seed=seed,
        workers=given.workers,
        processes=given.busy,
        same_basin=None,
        max_evaluations=given.evaluations,
        client=client,
    )
    seconds = time.perf_counter() - began
    count = sum(run.nfev for run in result.runs)
    client.delete_ensemble(result.ensemble)
    return count / seconds, count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--starts", type=int, default=100)
    parser.add_argument("--n", type=int, default=20)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--milliseconds", type=float, default=5.0)
    parser.add_argument("--evaluations", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--busy", action="store_true", help="computes instead of sleeping")
    given = parser.parse_args()
    fun = functools.partial(evaluate, seconds=given.milliseconds / 1000, busy=given.busy)
    place = os.environ.get("LBFGSD_BENCH_DIR") or "."
    quotients = []
    with tempfile.TemporaryDirectory(dir=place, prefix="ensembles-") as directory:
        home = Path(directory).resolve()
        daemon = Daemon(home / "data", home / "log").start()
        try:
            with lbfgsd.Client(daemon.url) as client:
                for number in range(given.runs):
                    rate, count = served(given, fun, client, number)
                    bare = alone(given, fun, count)
                    quotients.append(rate / bare)
                    print(
                        f"run {number}: {count} evaluations, {rate:.0f}/s with the service, "
                        f"{bare:.0f}/s without, {quotients[-1]:.3f}",
                        flush=True,
                    )
        finally:
            daemon.close()
    print(f"median {statistics.median(quotients):.3f}, least {min(quotients):.3f}")


if __name__ == "__main__":
    main()
