#!/usr/bin/env python3
"""What a first release build costs, by package and by module.

usage: run.py [--processors N] [--keep DIRECTORY]

Copies the commit that is checked out into an empty directory, as `git clone` does, builds the
daemon there as `make build` does, and prints a Markdown table of the processor time and of when
each module began and ended. The packages are fetched first, which is not counted. Reads the
compilers' processor time from /proc twenty times a second, so Linux only; the time of a process
is counted up to the last reading.
"""

import argparse
import os
import pathlib
import re
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TICKS = os.sysconf("SC_CLK_TCK")
PERIOD_SECONDS = 0.05


class Step:
    """One module's compilers, or all of a package's C files."""

    def __init__(self, began: float) -> None:
        self.began = began
        self.ended = began
        self.processor_seconds: dict[int, float] = {}

    @property
    def total(self) -> float:
        return sum(self.processor_seconds.values())


def read_processes(scratch: str) -> list[tuple[int, list[str], float]]:
    """The compilers that work for this build: process, arguments, processor seconds so far."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            arguments = (entry / "cmdline").read_bytes().split(b"\0")
            stat = (entry / "stat").read_text()
        except OSError:
            continue
        words = [argument.decode(errors="replace") for argument in arguments]
        if not any(scratch in word for word in words):
            continue
        # Behind the name in parentheses: utime and stime are the 14th and 15th fields, cutime and
        # cstime (of children that have ended) are left to the children's own readings.
        fields = stat.rpartition(")")[2].split()
        found.append((int(entry.name), words, (int(fields[11]) + int(fields[12])) / TICKS))
    return found


def name_of(words: list[str]) -> str | None:
    """Package and module of a compiler's arguments; None for everything else."""
    program = pathlib.PurePath(words[0]).name
    text = " ".join(words)
    package = re.search(r"checkouts/([^/ ]+)/", text)
    owner = package.group(1) if package else "lbfgsd"
    if program == "swift-frontend" and "-module-name" in words:
        return f"{owner}: {words[words.index('-module-name') + 1]}"
    if program.startswith("clang"):
        target = re.search(r"/([^/ ]+)\.build/", text)
        return f"{owner}: {target.group(1)} (C)" if target else None
    if "lld" in program or "gold" in program or program in ("ld", "swift-autolink-extract"):
        return "linking"
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processors", type=int, help="use only so many")
    parser.add_argument("--keep", type=pathlib.Path, help="build there, and leave it")
    options = parser.parse_args()
    if options.processors:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.processors])
    with tempfile.TemporaryDirectory() as scratch:
        tree = options.keep or pathlib.Path(scratch, "lbfgsd")
        subprocess.run(["git", "clone", "-q", ROOT, tree], check=True)
        subprocess.run(["swift", "package", "resolve"], cwd=tree, check=True)
        measure(tree)


def measure(tree: pathlib.Path) -> None:
    command = ["make", "build"]
    steps: dict[str, Step] = {}
    began = time.monotonic()
    build = subprocess.Popen(command, cwd=tree, stdout=subprocess.DEVNULL)
    while build.poll() is None:
        now = time.monotonic() - began
        for process, words, seconds in read_processes(str(tree)):
            name = name_of(words)
            if name is None:
                continue
            step = steps.setdefault(name, Step(now))
            step.ended = now
            step.processor_seconds[process] = seconds
        time.sleep(PERIOD_SECONDS)
    wall = time.monotonic() - began
    if build.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
    print("| package: module | processor time | from | to |")
    print("|---|---|---|---|")
    for name, step in sorted(steps.items(), key=lambda item: -item[1].total):
        print(f"| {name} | {step.total:.1f} s | {step.began:.0f} s | {step.ended:.0f} s |")
    total = sum(step.total for step in steps.values())
    print(f"| all | {total:.0f} s | 0 s | {wall:.0f} s |")


if __name__ == "__main__":
    main()
