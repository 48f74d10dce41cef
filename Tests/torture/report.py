"""What an attack came to: counts, a table, and the violations with what repeats them."""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from collections.abc import Iterable
from pathlib import Path


class Report:
    def __init__(self, command: str, home: Path) -> None:
        self.command, self.home = command, home
        self.counts: Counter[str] = Counter()
        self.table: Counter[tuple[str, str]] = Counter()
        self.violations: list[str] = []
        self._lock = threading.Lock()

    def count(self, what: str, by: int = 1) -> None:
        with self._lock:
            self.counts[what] += by

    def outcome(self, row: str, column: str) -> None:
        """One more of a row in a column of the table."""
        with self._lock:
            self.table[row, column] += 1

    def violation(self, text: str, row: str, kinds: Iterable[str], kept: Path | None) -> None:
        with self._lock:
            where = ""
            if kept is not None:
                target = self.home / "violations" / f"{len(self.violations)}"
                target.parent.mkdir(exist_ok=True)
                if len(self.violations) < 50:
                    shutil.copytree(kept, target)
                    where = f"\n    kept in {target}"
            self.violations.append(text + where)
            for kind in kinds:
                self.table[row, kind] += 1

    def keep(self, data: Path) -> Path:
        """A copy of a directory as it was before a daemon ran on it, by hard links where nothing
        is written in place, else by copying."""
        copy = data.with_name(data.name + ".before")
        shutil.copytree(data, copy)
        return copy

    def drop(self, copy: Path) -> None:
        shutil.rmtree(copy)

    def __str__(self) -> str:
        lines = [self.command]
        lines += [f"  {count:8} {what}" for what, count in sorted(self.counts.items())]
        lines += _table(self.table)
        lines += [f"VIOLATION: {_short(text)}" for text in self.violations[:40]]
        if len(self.violations) > 40:
            lines.append(f"and {len(self.violations) - 40} more")
        lines.append(f"{len(self.violations)} violations")
        return "\n".join(lines)


def _table(table: Counter[tuple[str, str]]) -> list[str]:
    if not table:
        return []
    rows = sorted({row for row, _ in table})
    columns = sorted({column for _, column in table})
    width = max(len(row) for row in rows)
    lines = ["  " + " " * width + "".join(f"  {column}" for column in columns)]
    for row in rows:
        cells = "".join(f"  {table[row, column]:{len(column)}}" for column in columns)
        lines.append(f"  {row:{width}}{cells}")
    return lines


def _short(text: str) -> str:
    """The beginning of a violation, and where it is kept."""
    lines = [line if len(line) < 700 else f"{line[:700]} ..." for line in text.splitlines()]
    return "\n".join(lines)
