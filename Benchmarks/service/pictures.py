"""Draws what run.py measured: python pictures.py RESULTS.json DIRECTORY"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot


def axes(title: str, x: str, y: str) -> tuple[Any, Any]:
    figure, axis = pyplot.subplots(figsize=(6.5, 4))
    axis.set_title(title)
    axis.set_xlabel(x)
    axis.set_ylabel(y)
    axis.set_xscale("log")
    axis.grid(alpha=0.3)
    return figure, axis


def throughput(rows: list[list[Any]], path: Path) -> None:
    figure, axis = axes("Durable tells, n = 100", "connections", "tells a second")
    for form, colour in (("JSON", "C0"), ("octets", "C1")):
        own = [row for row in rows if row[0] == 100 and row[1] == form]
        connections = [row[2] for row in own]
        for at, name, style in (
            (3, "lbfgsd", "o-"),
            (4, "bare libmicrohttpd", "^:"),
            (6, "bare libmicrohttpd and log", "v:"),
        ):
            rates = [row[at] for row in own]
            axis.plot(connections, rates, colour + style, label=f"{name}, {form}")
    axis.plot(connections, [row[5] for row in own], "C2s:", label="bare log")
    axis.set_xscale("log", base=4)
    axis.set_xticks(connections, [str(count) for count in connections])
    axis.set_yscale("log")
    figure.set_figwidth(figure.get_figwidth() + 2.5)
    finish(figure, axis, path, loc="upper left", bbox_to_anchor=(1, 1))


def upload(rows: list[list[Any]], path: Path) -> None:
    figure, axis = axes("A gradient to the disk", "numbers", "MB/s")
    own = [row for row in rows if row[1] == "float64"]
    for at, name, style in ((2, "lbfgsd", "o-"), (3, "bare libmicrohttpd, synced", "^:")):
        axis.plot([row[0] for row in own], [row[at] for row in own], style, label=name)
    for row in rows:
        if row[1] == "float32":
            axis.plot(row[0], row[2], "C0*", label="lbfgsd, float32")
            axis.plot(row[0], row[3], "C1*", label="bare, the same bytes")
    axis.set_ylim(bottom=0)
    finish(figure, axis, path)


def written(rows: list[list[Any]], path: Path) -> None:
    figure, axis = axes("Written to the disk", "numbers", "bytes a byte of gradient")
    axis.plot([row[0] for row in rows], [row[1] for row in rows], "o-", label="lbfgsd")
    axis.axhline(2.5, color="grey", linestyle=":", label="2.5")
    axis.set_ylim(bottom=0)
    finish(figure, axis, path)


def finish(figure: Any, axis: Any, path: Path, **legend: Any) -> None:
    axis.legend(**legend)
    figure.tight_layout()
    figure.savefig(path, dpi=90)


def main() -> None:
    results, directory = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    for draw in (throughput, upload, written):
        if rows := results.get(draw.__name__):
            draw(rows, directory / f"{draw.__name__}.png")


if __name__ == "__main__":
    main()
