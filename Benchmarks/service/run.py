"""Compares the service with bare peers: the cost of asking, telling and storing over HTTP.

    python3 Benchmarks/service/run.py [throughput] [latency] [upload] [written] [crossover]
        [client]
        [--full] [--runs 3] [--seconds 1] [--peers DIRECTORY] [--output DIRECTORY]

Without names all sections run. Prints Markdown, and writes it with results.json and a picture each
of throughput, upload and written to the output directory. The daemon is $LBFGSD_BIN or
.build/release/lbfgsd. Its data are in $LBFGSD_BENCH_DIR, or else in the output directory, which has
to be on the disk that is to be measured. README.md says what is measured, and how.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from environments import environments
from parts import Setting

SECTIONS = ("throughput", "latency", "upload", "written", "crossover", "client")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sections", nargs="*", metavar="section", help=", ".join(SECTIONS))
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="what is done anyway")
    size.add_argument("--full", action="store_true", help="every size, more and longer runs")
    parser.add_argument("--runs", type=int, help="of each case, by turns; 3, or 5 in full")
    parser.add_argument("--seconds", type=float, help="of each run; 1, or 3 in full")
    parser.add_argument("--output", type=Path, default=Path("out/service"))
    parser.add_argument(
        "--peers",
        type=Path,
        default=Path("out/service-peers"),
        help="where environments with Optuna and Vizier are, made with pip when missing",
    )
    parser.add_argument("--no-peers", action="store_true", help="without those")
    given = parser.parse_args()
    if unknown := set(given.sections) - set(SECTIONS):
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    return given


def main() -> None:
    given = arguments()
    chosen = given.sections or SECTIONS
    given.output.mkdir(parents=True, exist_ok=True)
    wanted = not given.no_peers and "throughput" in chosen
    peers = environments(given.peers.resolve()) if wanted else {}
    place = Path(os.environ.get("LBFGSD_BENCH_DIR") or given.output)
    texts = []
    with tempfile.TemporaryDirectory(dir=place, prefix="run-") as directory:
        setting = Setting(
            Path(directory).resolve(),
            quick=not given.full,
            runs=given.runs or (5 if given.full else 3),
            seconds=given.seconds or (3 if given.full else 1),
            peers=peers,
        )
        for name in chosen:
            began = time.monotonic()
            text = f"## {name}\n\n{__import__(name).section(setting)}\n"
            print(text, flush=True)
            texts.append(text)
            print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    load = " ".join(f"{average:.1f}" for average in os.getloadavg())
    text = (
        f"{os.cpu_count()} cores shared by servers and clients; medians of {setting.runs} runs of "
        f"{setting.seconds:g} s; load averages at the end {load}."
    )
    print(text)
    (given.output / "service.md").write_text("\n".join([*texts, text, ""]))
    results = given.output / "results.json"
    results.write_text(json.dumps(setting.results))
    draw(results, given.output, peers)


def draw(results: Path, output: Path, peers: dict[str, Path | str]) -> None:
    """Draws the pictures, with the matplotlib of this Python or of a peer's environment."""
    script = Path(__file__).with_name("pictures.py")
    found = [
        sys.executable,
        *(str(python) for python in peers.values() if isinstance(python, Path)),
    ]
    for python in found:
        probe = subprocess.run([python, "-c", "import matplotlib"], capture_output=True)
        if probe.returncode == 0:
            subprocess.run([python, str(script), str(results), str(output)], check=True)
            return
    print("no pictures: there is no matplotlib", file=sys.stderr)


if __name__ == "__main__":
    main()
