#!/usr/bin/env python3
"""Compares liblbfgsd with libLBFGS: the time of the library alone for an evaluation. See README.md.

python3 Benchmarks/c-library/run.py [--library PATH] [--sizes 100,10000,1000000] [--rounds N]
"""

from __future__ import annotations

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def build() -> pathlib.Path:
    """Builds the library for this machine, as `make install` does; with LBFGSD_CPU= (empty), for
    any."""
    cpu = subprocess.run(
        [ROOT / "deploy/setup.sh", "cpu"], check=True, capture_output=True, text=True
    )
    subprocess.run(
        ["swift", "build", "-c", "release", "--product", "lbfgsd-engine"],
        cwd=ROOT,
        check=True,
        stdout=sys.stderr,
        env={"LBFGSD_CPU": cpu.stdout.strip(), **os.environ},
    )
    return ROOT / ".build/release/liblbfgsd-engine.so"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--library", type=pathlib.Path, help="built when left out")
    parser.add_argument("--sizes", default="100,10000,1000000")
    parser.add_argument("--histories", default="6,10", help="libLBFGS's default is 6")
    parser.add_argument("--rounds", type=int, default=51, help="a third of them at n = 1e6")
    options = parser.parse_args()
    library = options.library or build()
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder)
        shutil.copy(library, place / "liblbfgsd.so.1")
        (place / "liblbfgsd.so").symlink_to("liblbfgsd.so.1")
        command = ["cc", "-O2", "-march=native", "-ffast-math", str(HERE / "compare.c")]
        command += ["-o", str(place / "compare"), f"-I{ROOT / 'Sources/CLbfgsd'}", f"-L{place}"]
        command += [f"-Wl,-rpath,{place}", "-llbfgsd", "-llbfgs", "-lm"]
        subprocess.run(command, check=True)
        print("| n | m | liblbfgsd, us | libLBFGS, us | ratio |")
        print("|---:|---:|---:|---:|---:|", flush=True)
        for size in map(int, options.sizes.split(",")):
            for history in options.histories.split(","):
                rounds = options.rounds if size < 10**6 else max(1, options.rounds // 3)
                subprocess.run([place / "compare", str(size), history, str(rounds)], check=True)


if __name__ == "__main__":
    main()
