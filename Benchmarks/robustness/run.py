"""Measures which problems are solved, and in how many evaluations, by the daemon over HTTP, SciPy,
libLBFGS, NLopt and torch.

    python Benchmarks/robustness/run.py [--suite PATH] [--problems NAME ...] [--sizes MIN MAX]
        [--names FROM TO] [--solvers NAME ...] [--bounded] [--output DIR]

Prints Markdown; writes `results.csv` and the performance profile `profile.png` to the output
directory. The daemon is $LBFGSD_BIN or .build/release/lbfgsd.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import math
import os
import statistics
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / "clients" / "python" / "src"), str(ROOT / "Tests" / "integration")]

from daemon import Daemon  # noqa: E402
from lbfgsd import Client  # noqa: E402
from solvers import (  # noqa: E402
    BACKWARDS,
    OURS,
    SCIPY,
    THEIRS,
    BudgetSpent,
    Counted,
    Setting,
    Solver,
    bounded_solvers,
    solvers,
    torch_solvers,
)

PROFILE_RATIO_MAX = 16


@dataclass(frozen=True)
class Run:
    setting: str
    problem: str
    n: int
    solver: str
    solved: bool
    evaluations: int
    loss: float
    gradient_norm_inf: float
    limit: float
    outside: int
    reason: str


def load_suite(path: Path) -> ModuleType:
    """Loads a suite from its file, or from `suite.py` in its directory."""
    file = path / "suite.py" if path.is_dir() else path
    specification = importlib.util.spec_from_file_location("benchmark_suite", file)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def solve(setting: Setting, problem: tuple[Any, ...], name: str, solver: Solver) -> Run:
    label, n, x0, function, *bounds = problem
    counted = Counted(function, setting, *bounds)
    x0 = counted.clip(x0)
    limit = setting.tolerance * max(1.0, counted.norm(x0, counted.measure(x0)[1]))
    x, reason = x0, ""
    try:
        x, reason = solver(counted, x0.copy(), limit)
    except BudgetSpent:
        reason = "budget spent"
    except Exception as error:  # A peer that crashes on a problem has not solved it.
        reason = f"{type(error).__name__}: {error}"[:200]
    loss, gradient = counted.measure(x)
    norm = counted.norm(x, gradient)
    within = counted.evaluations <= setting.evaluations_max and (counted.clip(x) == x).all()
    return Run(
        setting=setting.name,
        problem=label,
        n=n,
        solver=name,
        solved=bool(within and norm <= limit),
        evaluations=counted.evaluations,
        loss=loss,
        gradient_norm_inf=norm,
        limit=limit,
        outside=counted.outside,
        reason=reason,
    )


def is_same_minimum(one: Run, other: Run, tolerance: float) -> bool:
    """Whether two losses are equal up to a tolerance, relative where they are above 1."""
    scale = max(1.0, abs(one.loss), abs(other.loss))
    return abs(one.loss - other.loss) <= tolerance * scale


def mean_ratio(own: dict[str, Run], other: dict[str, Run], problems: list[str]) -> str:
    """The geometric mean of the ratios of evaluations, and on how many problems."""
    if not problems:
        return "-"
    ratios = [math.log(own[p].evaluations / other[p].evaluations) for p in problems]
    return f"{math.exp(statistics.fmean(ratios)):.2f}"


def table(runs: list[Run], reference: str, same_minimum: float | None = None) -> str:
    """A table with one row per solver. Evaluations are compared on the problems that both the
    solver and the reference solve; the mean of the ratios is geometric. With a tolerance also
    their mean over the problems on which both end at the same loss."""
    by_solver: dict[str, dict[str, Run]] = {run.solver: {} for run in runs}
    for run in runs:
        by_solver[run.solver][run.problem] = run
    everywhere = set.intersection(
        *({name for name, run in of.items() if run.solved} for of in by_solver.values())
    )
    heading = (
        f"| solver | solved | evaluations, median where all solve | median where {reference} "
        f"solves too | {reference}'s there | mean ratio of the two |"
    )
    lines = [
        heading,
        "|---|---:|---:|---:|---:|---:|",
    ]
    if same_minimum is not None:
        lines = [lines[0] + " where both find the same minimum |", lines[1] + "---:|"]
    for solver, own in by_solver.items():
        other = by_solver[reference]
        common = [p for p in own if own[p].solved and p in other and other[p].solved]
        ours = [own[p].evaluations for p in common]
        theirs = [other[p].evaluations for p in common]
        cells = [
            solver,
            f"{sum(run.solved for run in own.values())} / {len(own)}",
            _median([own[p].evaluations for p in everywhere]),
            _median(ours),
            _median(theirs),
            mean_ratio(own, other, common),
        ]
        if same_minimum is not None:
            same = [p for p in common if is_same_minimum(own[p], other[p], same_minimum)]
            cells.append(f"{mean_ratio(own, other, same)} (of {len(same)})")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + f"\n\nAll solve {len(everywhere)}."


def table_of_torch(runs: list[Run], rows: Iterable[str]) -> str:
    """Compares mode torch with torch itself; "alone" counts what only one of the two solves."""
    by_solver: dict[str, dict[str, Run]] = {name: {} for name in rows}
    for run in runs:
        if run.solver in by_solver:
            by_solver[run.solver][run.problem] = run
    lines = [
        "| solver | solved | alone | torch alone | as many evaluations as torch | alone are |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for solver, own in by_solver.items():
        cells = [solver, f"{sum(run.solved for run in own.values())} / {len(own)}"]
        theirs = by_solver.get(_reference(solver))
        if theirs is not None and theirs is not own:
            ours_alone = [p for p in own if own[p].solved and not theirs[p].solved]
            theirs_alone = [p for p in own if theirs[p].solved and not own[p].solved]
            equal = sum(own[p].evaluations == theirs[p].evaluations for p in own)
            cells += [
                str(len(ours_alone)),
                str(len(theirs_alone)),
                f"{equal} / {len(own)}",
                " ".join(ours_alone + theirs_alone),
            ]
        lines.append("| " + " | ".join(cells + [""] * (6 - len(cells))) + " |")
    return "\n".join(lines)


def _reference(solver: str) -> str:
    for name in (OURS, BACKWARDS):
        solver = solver.replace(name, THEIRS)
    return solver


def _median(numbers: list[int]) -> str:
    return f"{statistics.median(numbers):g}" if numbers else "-"


def draw_profile(runs: list[Run], path: Path) -> None:
    """Draws the performance profile (Dolan and Moré, 2002): the fraction of problems that a solver
    solves within a multiple of the fewest evaluations that any solver took."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    settings = list(dict.fromkeys(run.setting for run in runs))
    figure, axes = pyplot.subplots(
        1, len(settings), figsize=(6.5 * len(settings), 4.5), squeeze=False, sharey=True
    )
    for axis, setting in zip(axes[0], settings, strict=True):
        here = [run for run in runs if run.setting == setting]
        problems = {run.problem for run in here}
        fewest = {
            p: min((run.evaluations for run in here if run.problem == p and run.solved), default=0)
            for p in problems
        }
        for solver in dict.fromkeys(run.solver for run in here):
            ratios = sorted(
                run.evaluations / fewest[run.problem]
                for run in here
                if run.solver == solver
                and run.solved
                and run.evaluations <= PROFILE_RATIO_MAX * fewest[run.problem]
            )
            xs = [1.0, *ratios, PROFILE_RATIO_MAX]
            ys = [0.0, *((i + 1) / len(problems) for i in range(len(ratios)))]
            axis.step(xs, [*ys, ys[-1]], where="post", label=solver)
        axis.set_xscale("log", base=2)
        axis.set_xlim(1, PROFILE_RATIO_MAX)
        axis.set_ylim(0, 1)
        axis.set_title(setting)
        axis.set_xlabel("evaluations / fewest of any solver")
        axis.grid(alpha=0.3)
    axes[0][0].set_ylabel("share of problems solved")
    axes[0][-1].legend(loc="lower right")
    figure.tight_layout()
    figure.savefig(path, dpi=100)


def wanted(solvers: dict[str, Solver], beginnings: list[str] | None) -> dict[str, Solver]:
    """The chosen solvers, and always SciPy's, with which all are compared."""
    if beginnings is None:
        return solvers
    starts = (SCIPY, *beginnings)
    return {name: solver for name, solver in solvers.items() if name.startswith(starts)}


def within(name: str, first: str, last: str) -> bool:
    """Whether a problem's name begins with a letter in this range."""
    return first.upper() <= name[0].upper() <= last.upper()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", type=Path, default=HERE, help="a suite's file or directory")
    parser.add_argument("--problems", nargs="*", help="names; all of the suite if left out")
    parser.add_argument(
        "--sizes", nargs=2, type=int, metavar=("MIN", "MAX"), help="all with so many parameters"
    )
    parser.add_argument("--solvers", nargs="*", help="how their names begin; all if left out")
    parser.add_argument(
        "--names", nargs=2, metavar=("FROM", "TO"), help="all whose names begin with such a letter"
    )
    parser.add_argument("--bounded", action="store_true", help="problems with bounds")
    parser.add_argument("--evaluations", type=int, default=2000)
    parser.add_argument("--output", type=Path, default=Path("out/robustness"))
    arguments = parser.parse_args()
    settings = [
        Setting("float64, 1e-9", 1e-9, "float64", arguments.evaluations, 1e-6),
        Setting("rounded to float32, 1e-4", 1e-4, "float32", arguments.evaluations, 1e-3),
    ]
    suite = load_suite(arguments.suite.resolve())
    problems = suite.bounded_problems if arguments.bounded else suite.problems
    if arguments.problems:
        chosen = problems(set(arguments.problems))
    elif arguments.sizes:
        smallest, largest = arguments.sizes
        chosen = problems(sizes=range(smallest, largest + 1))
    else:
        chosen = problems()
    arguments.output.mkdir(parents=True, exist_ok=True)
    runs: list[Run] = []
    with tempfile.TemporaryDirectory(dir=os.environ.get("LBFGSD_BENCH_DIR")) as directory:
        daemon = Daemon(Path(directory) / "data", Path(directory) / "log")
        try:
            daemon.start()
            with Client(daemon.url) as client:
                made = bounded_solvers(client) if arguments.bounded else solvers(client)
                compared = wanted(made, arguments.solvers)
                faithful: dict[str, Solver] = {}
                if not arguments.bounded:
                    faithful = wanted(torch_solvers(client), arguments.solvers)
                for problem in chosen:
                    if arguments.names and not within(problem[0], *arguments.names):
                        continue
                    print(f"{problem[0]} n={problem[1]}", file=sys.stderr, flush=True)
                    for setting in settings:
                        for name, solver in {**compared, **faithful}.items():
                            runs.append(solve(setting, problem, name, solver))
        finally:
            daemon.close()
    if not runs:
        sys.exit("no problem has one of these names")
    with (arguments.output / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(asdict(runs[0])))
        writer.writeheader()
        writer.writerows(asdict(run) for run in runs)
    for setting in settings:
        here = [run for run in runs if run.setting == setting.name]
        print(f"\n{setting.name}: at most {setting.evaluations_max} evaluations, ", end="")
        print(f"max|g| <= {setting.tolerance:g} max(1, max|g0|)\n")
        if arguments.bounded:
            outside = {run.solver: 0 for run in here}
            for run in here:
                outside[run.solver] += run.outside
            ended = ", ".join(f"{name} {count}" for name, count in outside.items() if count)
            print(f"Evaluations outside the bounds: {ended or 'none'}.\n")
        same_minimum = setting.same_minimum if arguments.bounded else None
        print(table([run for run in here if run.solver in compared], SCIPY, same_minimum))
        if faithful:
            print(f"\nMode torch:\n\n{table_of_torch(here, faithful)}\n", flush=True)
        for run in here:
            if run.solver == "lbfgsd robust" and not run.solved:
                print(
                    f"- lbfgsd robust doesn't solve {run.problem}: {run.evaluations} evaluations, "
                    f"{run.reason}, max|g| {run.gradient_norm_inf:.1e} > {run.limit:.1e}"
                )
    shown = [run for run in runs if run.solver in compared]
    draw_profile(shown, arguments.output / "profile.png")


if __name__ == "__main__":
    main()
