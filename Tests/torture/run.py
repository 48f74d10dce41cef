"""Attacks lbfgsd's storage from outside and checks that it keeps its promise.

    python Tests/torture/run.py crash --states 1000 --seed 7
    python Tests/torture/run.py faults --seed 7
    python Tests/torture/run.py flips --count 1000 --seed 7
    python Tests/torture/run.py events

Each prints its seed and a table, and ends with status 1 if something was found. What is needed to
look at a violation is kept in the directory that is printed.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from torture.command import main

if __name__ == "__main__":
    sys.exit(main())
