"""Vector-free L-BFGS on workers beside torch.optim.LBFGS and the engine on arrays, on CUTEst
problems: how many evaluations each takes. In one process; the workers take turns.

    pip install torch sif2jax==0.0.8 jax         # beside the client
    LBFGSD_LIBRARY=.../liblbfgsd.so python Benchmarks/distributed/run.py [--workers 1 2 4]

Writes a line for each problem to out/distributed.csv. Prints on how many problems the number of
evaluations is torch's own (mode torch, strong Wolfe, ten pairs, a step of `--max-iter` iterations,
20 as torch's default unless told), and how many are solved in mode robust (gradient <= 1e-9
max(1, ||g0||), 2000 evaluations). `permuted` is torch against itself with the parameters in another
order: how far equal numbers can be expected, since runs depend on every rounding error.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import lbfgsd
from lbfgsd.distributed import Command, NumPyVectors, Worker
from lbfgsd.distributed.run import new_coordinator
from lbfgsd.distributed.worker import added

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Benchmarks" / "robustness"))
import suite  # noqa: E402

PARAMETERS_MAX = 300
EVALUATIONS_MAX = 2000
Function = Callable[[Any], tuple[float, Any]]


def of_torch(function: Function, x0: Any, max_iter: int, order: Any = None) -> int:
    """The evaluations of torch.optim.LBFGS, with the parameters in some order."""
    order = np.arange(x0.size) if order is None else order
    back = np.argsort(order)
    x = torch.nn.Parameter(torch.from_numpy(x0[order].copy()))
    optimizer = torch.optim.LBFGS(
        [x],
        max_iter=max_iter,
        history_size=10,
        line_search_fn="strong_wolfe",
    )
    calls = 0

    def closure() -> float:
        nonlocal calls
        calls += 1
        loss, gradient = function(x.detach().numpy()[back])
        x.grad = torch.from_numpy(gradient[order].copy())
        return loss

    try:
        optimizer.step(closure)
    except (IndexError, ZeroDivisionError, ValueError):
        # torch's search fails on losses that aren't finite.
        return -1
    return calls


def on_workers(
    function: Function, x0: Any, count: int, options: dict[str, Any]
) -> tuple[int, float]:
    """The evaluations and the last gradient norm on so many workers."""
    ends = [i * x0.size // count for i in range(count + 1)]
    parts = [slice(a, b) for a, b in itertools.pairwise(ends)]
    workers = [Worker(x0[part].copy(), NumPyVectors()) for part in parts]
    coordinator = new_coordinator("float64", options)
    coordinator.begin()
    while True:
        command = Command.read(coordinator.command())
        for worker in workers:
            worker.execute(command)
        if command.trial is None:
            break
        trial = command.trial
        loss, gradient = function(np.concatenate([w.point(trial) for w in workers]))
        reports = [
            worker.report(gradient[part].copy(), trial)
            for worker, part in zip(workers, parts, strict=True)
        ]
        coordinator.advance(loss, added(reports))
    x = np.concatenate([worker.x for worker in workers])
    return coordinator.result().evaluations, float(np.abs(function(x)[1]).max())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--max-iter", type=int, default=20)
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "distributed.csv")
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    generator = np.random.default_rng(1)
    for name, n, x0, function in suite.problems(sizes=range(1, PARAMETERS_MAX + 1)):
        row: dict[str, Any] = {
            "problem": name,
            "n": n,
            "torch": of_torch(function, x0, arguments.max_iter),
        }
        row["permuted"] = of_torch(function, x0, arguments.max_iter, generator.permutation(n))
        tolerance = 1e-9 * max(1.0, float(np.abs(function(x0)[1]).max()))
        robust = {
            "mode": "robust", "max_iter": EVALUATIONS_MAX, "max_eval": EVALUATIONS_MAX,
            "history_size": 10, "tolerance_grad": tolerance,
        }  # fmt: skip
        local = lbfgsd.minimize(
            lambda x, function=function: function(x), x0, jac=True, engine="local",
            options={"gtol": tolerance, "maxiter": EVALUATIONS_MAX, "maxfun": EVALUATIONS_MAX,
                     "ftol": 0, "maxcor": 10},
        )  # fmt: skip
        row["robust"] = float(np.abs(function(local.x)[1]).max()) <= tolerance
        for count in arguments.workers:
            if count > n:
                continue
            row[f"torch/{count}"] = on_workers(
                function,
                x0,
                count,
                {
                    "mode": "torch", "max_iter": arguments.max_iter, "history_size": 10,
                    "max_eval": arguments.max_iter * 5 // 4,
                    "line_search_fn": "strong_wolfe",
                },
            )[0]  # fmt: skip
            row[f"robust/{count}"] = on_workers(function, x0, count, robust)[1] <= tolerance
        rows.append(row)
        print(row, flush=True)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    names = list(dict.fromkeys(name for row in rows for name in row))
    with arguments.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    print(f"\n{len(rows)} problems")
    same = sum(row["torch"] == row["permuted"] for row in rows)
    print(f"torch itself, permuted: as many evaluations on {same}")
    print(f"robust, on arrays: {sum(row['robust'] for row in rows)} solved")
    for count in arguments.workers:
        possible = [row for row in rows if f"torch/{count}" in row]
        same = sum(row[f"torch/{count}"] == row["torch"] for row in possible)
        solved = sum(row[f"robust/{count}"] for row in possible)
        of_these = sum(row["robust"] for row in possible)
        print(
            f"{count} workers, {len(possible)} problems: torch's evaluations on {same}; "
            f"robust {solved} solved, on arrays {of_these}"
        )


if __name__ == "__main__":
    main()
