#!/usr/bin/env python3
"""Compares the engine with its peers, by the time of an iteration with a full history.

One process measures, round by round, lbfgsd's engine as a shared library, torch.optim.LBFGS,
SciPy's L-BFGS-B, libLBFGS, and the machine's dot-product bandwidth. Prints Markdown. See README.md.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# NumPy's threads would spin during the other measurements; the peers have their own threads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

FLOAT64, FLOAT32, BFLOAT16 = 0, 1, 2
# The numbers of `Setting` in EngineBenchmark.swift.
FIXED_STEP, STRONG_WOLFE, ROBUST, INACTIVE, HALF_ACTIVE, REACHED = range(6)

Runner = Callable[[int, int, int], Sequence[float]]
"""(n, history, count) -> the nanoseconds of so many iterations with a full history."""


def arguments() -> Any:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--library", help="libEngineBenchmark.so; built when left out")
    parser.add_argument("--sizes", default="100,10000,1000000,10000000")
    parser.add_argument("--histories", default="10,100")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bytes-max", type=float, default=6e9, help="of one history")
    parser.add_argument("--only", default="", help="labels that contain this")
    return parser.parse_args()


def build_engine() -> Any:
    """Builds the engine for this machine, as `make build` does; with LBFGSD_CPU= (empty), for
    any."""
    cpu = subprocess.run(
        [ROOT / "deploy/setup.sh", "cpu"], check=True, capture_output=True, text=True
    )
    subprocess.run(
        ["swift", "build", "-c", "release", "--product", "EngineBenchmark"],
        cwd=ROOT,
        check=True,
        stdout=sys.stderr,
        env={"LBFGSD_CPU": cpu.stdout.strip(), **os.environ},
    )
    return ROOT / ".build/release/libEngineBenchmark.so"


def load_engine(path: str) -> Any:
    function = ctypes.CDLL(str(path)).lbfgsd_engine_times
    function.restype = ctypes.c_long
    function.argtypes = [
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_long,
        ctypes.c_long,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_long,
        ctypes.c_void_p,
        ctypes.c_long,
    ]
    return function


def load_peers(folder: Any) -> Any:
    """Builds and loads peers.c: libLBFGS and the bandwidth. Needs Debian's liblbfgs-dev."""
    path = pathlib.Path(folder) / "peers.so"
    subprocess.run(
        [
            "cc",
            "-O3",
            "-march=native",
            "-ffast-math",
            "-fopenmp",
            "-shared",
            "-fPIC",
            str(HERE / "peers.c"),
            "-o",
            str(path),
            "-llbfgs",
        ],
        check=True,
    )
    peers = ctypes.CDLL(str(path))
    peers.dot_bandwidths.restype = None
    peers.dot_bandwidths.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_int, ctypes.c_void_p]
    peers.liblbfgs_times.restype = ctypes.c_long
    peers.liblbfgs_times.argtypes = [
        ctypes.c_long,
        ctypes.c_int,
        ctypes.c_long,
        ctypes.c_void_p,
        ctypes.c_long,
    ]
    return peers


class Enough(Exception):
    """Stops a peer that offers no other way."""


def engine_runner(
    engine: Any,
    dtype: int = FLOAT64,
    history_dtype: int | None = None,
    threads: int = 1,
    setting: int = FIXED_STEP,
) -> Runner:
    stored = dtype if history_dtype is None else history_dtype

    def run(n: int, m: int, count: int) -> Sequence[float]:
        times = (ctypes.c_double * count)()
        written = engine(dtype, stored, n, m, threads, setting, m + 2, times, count)
        return times[:written]

    return run


def liblbfgs_runner(peers: ctypes.CDLL) -> Runner:
    def run(n: int, m: int, count: int) -> Sequence[float]:
        times = (ctypes.c_double * count)()
        return times[: peers.liblbfgs_times(n, m, m + 2, times, count)]

    return run


def eigenvalues(n: int) -> Any:
    import numpy

    return 1e3 * (1 + 9999 * numpy.arange(n) / n)


def torch_runner(threads: int, dtype: str = "float64") -> Runner:
    import torch

    def run(n: int, m: int, count: int) -> Sequence[float]:
        torch.set_num_threads(threads)
        scale = torch.from_numpy(eigenvalues(n)).to(getattr(torch, dtype))
        x = torch.ones(n, dtype=scale.dtype, requires_grad=True)
        x.grad = torch.zeros_like(x)
        optimizer = torch.optim.LBFGS(
            [x],
            history_size=m,
            max_iter=m + 3 + count,
            max_eval=10**9,
            tolerance_grad=0,
            tolerance_change=0,
        )
        times: list[int] = []
        ended: int | None = None

        def closure() -> Any:
            nonlocal ended
            now = time.perf_counter_ns()
            if ended is not None:
                times.append(now - ended)
            with torch.no_grad():
                torch.mul(scale, x, out=x.grad)
                loss = torch.dot(x.grad, x) / 2
            ended = time.perf_counter_ns()
            return loss

        optimizer.step(closure)
        return times[m + 2 :]

    return run


def scipy_runner() -> Runner:
    import numpy
    from scipy.optimize import minimize

    def run(n: int, m: int, count: int) -> Sequence[float]:
        scale = eigenvalues(n)
        times: list[int] = []
        ended: int | None = None

        def evaluate(x: Any) -> tuple[Any, Any]:
            nonlocal ended
            now = time.perf_counter_ns()
            if ended is not None:
                times.append(now - ended)
            if len(times) >= 2 * m + count:
                raise Enough
            gradient = scale * x
            loss = float(numpy.dot(gradient, x)) / 2
            ended = time.perf_counter_ns()
            return loss, gradient

        with contextlib.suppress(Enough):
            minimize(
                evaluate,
                numpy.ones(n),
                jac=True,
                method="L-BFGS-B",
                options={"maxcor": m, "maxiter": 10**6, "maxfun": 10**6, "ftol": 0, "gtol": 0},
            )
        return times[2 * m :]

    return run


UNBOUNDED = "lbfgsd robust"
UNBOUNDED_AND_BOUNDED = {
    UNBOUNDED: ROBUST,
    "lbfgsd robust, bounds of which none is active": INACTIVE,
    "lbfgsd robust, half at their bounds": HALF_ACTIVE,
    "lbfgsd robust, half reach their bounds": REACHED,
}


def contestants(engine: Any, peers: ctypes.CDLL) -> Iterator[tuple[str, Runner]]:
    cores = len(os.sched_getaffinity(0))
    threads = [1, 2] if cores > 1 else [1]
    for count in threads:
        yield f"lbfgsd, {count} thread{'s'[: count - 1]}", engine_runner(engine, threads=count)
    yield "lbfgsd, strong Wolfe", engine_runner(engine, setting=STRONG_WOLFE)
    for label, setting in UNBOUNDED_AND_BOUNDED.items():
        yield label, engine_runner(engine, setting=setting)
    for count in threads:
        yield (
            f"lbfgsd float32, {count} thread{'s'[: count - 1]}",
            engine_runner(engine, FLOAT32, threads=count),
        )
    yield "lbfgsd, float32 history", engine_runner(engine, history_dtype=FLOAT32)
    yield "lbfgsd, bfloat16 history", engine_runner(engine, history_dtype=BFLOAT16)
    for count in threads:
        yield f"torch, {count} thread{'s'[: count - 1]}", torch_runner(count)
    yield "libLBFGS", liblbfgs_runner(peers)
    yield "SciPy L-BFGS-B", scipy_runner()


def iterations(n: int, m: int) -> int:
    """The number of iterations in a run: enough for a median, and few enough for seconds."""
    return max(3, min(60, int(4e8 / (n * m))))


def shown(nanoseconds: float | None) -> str:
    if nanoseconds is None:
        return ""
    value = nanoseconds / 1e6
    return f"{value:.4f}" if value < 0.1 else f"{value:.3f}" if value < 10 else f"{value:.1f}"


def main() -> None:
    options = arguments()
    engine = load_engine(options.library or build_engine())
    sizes = [int(n) for n in options.sizes.split(",")]
    histories = [int(m) for m in options.histories.split(",")]
    cases = [(n, m) for m in histories for n in sizes if 16 * n * m <= options.bytes_max]
    with tempfile.TemporaryDirectory() as folder:
        peers = load_peers(folder)
        runners = [
            (label, run) for label, run in contestants(engine, peers) if options.only in label
        ]
        bandwidths: dict[int, list[float]] = {1: [], 2: []}
        medians: dict[Any, Any] = {}
        for n, m in cases:
            # Long runs have many iterations of their own; short ones are repeated in more rounds.
            rounds = options.rounds if n * m <= 2e7 else min(options.rounds, 3)
            for _ in range(rounds):
                for threads, values in bandwidths.items():
                    measured = (ctypes.c_double * 5)()
                    peers.dot_bandwidths(10**7, threads, len(measured), measured)
                    values.extend(measured)
                for label, run in runners:
                    # SciPy's compact representation costs O(m^3): minutes, for large m.
                    times = run(n, m, iterations(n, m))
                    if times:
                        medians.setdefault((label, n, m), []).append(statistics.median(times))
            print(f"n = {n}, m = {m}: done", file=sys.stderr)
    report(options, cases, [label for label, _ in runners], medians, bandwidths)


def report(options: Any, cases: Any, labels: Any, medians: Any, bandwidths: Any) -> None:
    load = os.getloadavg()
    print("## Engine: milliseconds an iteration, with a full history\n")
    print(
        f"Median of {options.rounds} runs' medians, the best run in brackets; "
        f"load average {load[0]:.1f} at the end."
    )
    for threads, values in bandwidths.items():
        print(
            f"{len(values)} dot products, {threads} thread{'s'[: threads - 1]}: median "
            f"{statistics.median(values) / 1e9:.1f} GB/s, best {max(values) / 1e9:.1f}."
        )
    print()
    print("| | " + " | ".join(f"n = {n:.0e}, m = {m}" for n, m in cases) + " |")
    print("|---|" + "---|" * len(cases))
    for label in labels:
        cells = []
        for n, m in cases:
            values = medians.get((label, n, m))
            cells.append(
                f"{shown(statistics.median(values))} ({shown(min(values))})" if values else ""
            )
        print(f"| {label} | " + " | ".join(cells) + " |")
    floors = {}
    for threads, values in bandwidths.items():
        for name, bandwidth in (("median", statistics.median(values)), ("best", max(values))):
            label = f"floor of the {name} dot, {threads} thread{'s'[: threads - 1]}"
            cells = []
            for n, m in cases:
                if 16 * n * m > 1e8:
                    floors[threads, name, n, m] = 4 * m * n * 8 / bandwidth * 1e9
                cells.append(shown(floors.get((threads, name, n, m))) or "in cache")
            print(f"| {label} | " + " | ".join(cells) + " |")
    report_ratios(cases, medians, floors)
    report_bounds(cases, medians)


def report_bounds(cases: Any, medians: Any) -> None:
    """Prints the median over the rounds of what bounds cost: an iteration's time in relation to
    the unbounded one's in the same round."""
    rows = [
        label
        for label in UNBOUNDED_AND_BOUNDED
        if label != UNBOUNDED and any((label, *case) in medians for case in cases)
    ]
    if not rows or not any((UNBOUNDED, *case) in medians for case in cases):
        return
    print(f"\n### In iterations of {UNBOUNDED} in the same round\n")
    print("| | " + " | ".join(f"n = {n:.0e}, m = {m}" for n, m in cases) + " |")
    print("|---|" + "---|" * len(cases))
    for label in rows:
        cells = []
        for case in cases:
            pairs = zip(
                medians.get((label, *case), []), medians.get((UNBOUNDED, *case), []), strict=False
            )
            ratios = [bounded / unbounded for bounded, unbounded in pairs]
            cells.append(f"{statistics.median(ratios):.2f}" if ratios else "")
        print(f"| {label} | " + " | ".join(cells) + " |")


def report_ratios(cases: Any, medians: Any, floors: Any) -> None:
    """Prints, for vectors beyond the caches, the ratio of an iteration's median to the floor for
    its number of threads."""
    outside = [(n, m) for n, m in cases if (1, "median", n, m) in floors]
    if not outside:
        return
    print("\n### In floors of the same number of threads: median by median (median by best)\n")
    print("| | " + " | ".join(f"n = {n:.0e}, m = {m}" for n, m in outside) + " |")
    print("|---|" + "---|" * len(outside))
    for threads in (1, 2):
        for who in ("lbfgsd", "torch"):
            label = f"{who}, {threads} thread{'s'[: threads - 1]}"
            cells = []
            for n, m in outside:
                times = medians.get((label, n, m))
                ratios = (
                    [
                        statistics.median(times) / floors[threads, name, n, m]
                        for name in ("median", "best")
                    ]
                    if times
                    else []
                )
                cells.append("{:.2f} ({:.2f})".format(*ratios) if ratios else "")
            print(f"| {label} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
