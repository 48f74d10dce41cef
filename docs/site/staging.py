"""Copies the pages of the site to where Sphinx reads them, and makes the generated ones.

Pages of the repository that belong to the site keep their text. Their links to files are turned
into links to pages where the file is one, and into the path where it isn't.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import commands
import headers
import metrics
import openapi

PAGES = {
    "ARCHITECTURE.md": "explanation/architecture.md",
    "CONTRIBUTING.md": "explanation/contributing.md",
    "CHANGELOG.md": "changelog.md",
    "README.md": "index.md",
    "deploy/README.md": "howto/operation.md",
    "clients/python/README.md": "reference/clients/python.md",
    "clients/c/README.md": "reference/clients/c.md",
    "clients/fortran/README.md": "reference/clients/fortran.md",
    "clients/r/README.md": "reference/clients/r.md",
    "clients/js/README.md": "reference/clients/js.md",
    "Benchmarks/service/README.md": "explanation/figures/service.md",
    "Benchmarks/engine/README.md": "explanation/figures/engine.md",
    "Benchmarks/robustness/README.md": "explanation/figures/robustness.md",
    "Benchmarks/ensembles/README.md": "explanation/figures/ensembles.md",
    "Benchmarks/l1/README.md": "explanation/figures/l1.md",
    "Benchmarks/c-library/README.md": "explanation/figures/c-library.md",
    "Benchmarks/distributed/README.md": "explanation/figures/distributed.md",
}
"""Files of the repository that are pages of the site, the README's place being the first page's."""
INCLUDED = ("deploy/lbfgsd.yaml", "deploy/nginx.conf", "deploy/slurm/evaluate.sbatch")
"""Files that pages show as they are."""
LINK = re.compile(r"(!?)\[([^\]\n]*(?:\n[^\]\n]*)?)\]\(([^)\s]+)\)")
FENCE = re.compile(r"^(```|~~~)", re.MULTILINE)
MARKER = re.compile(r"^ *<!-- not run:.*-->\n", re.MULTILINE)


def stage(root: Path, source: Path, binary: Path) -> None:
    generated = _generated(root, binary)
    places = dict(PAGES) | {f"docs/{place}": place for place in generated}
    for page in sorted((root / "docs").rglob("*.md")):
        name = page.relative_to(root).as_posix()
        places[name] = page.relative_to(root / "docs").as_posix()
    for original, place in places.items():
        if original == "README.md" or place in generated:
            continue
        text = _with_links((root / original).read_text(), original, place, root, source, places)
        _write(source / place, MARKER.sub("", text.replace("```mermaid", "```text")))
    for name in INCLUDED:
        shown = source / "_files" / Path(name).name
        shown.parent.mkdir(exist_ok=True)
        shutil.copy(root / name, shown)
    for place, text in generated.items():
        _write(source / place, text)


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def _generated(root: Path, binary: Path) -> dict[str, str]:
    """The pages that are no files, by their places."""
    engine = root / "Sources" / "CLbfgsd" / "lbfgsd.h"
    client = root / "clients" / "c" / "lbfgsd_client.h"
    return {
        "reference/commands.md": commands.page(binary),
        "reference/metrics.md": metrics.page(binary),
        "reference/c-library.md": headers.page(engine, "The C library"),
        "reference/c-client.md": headers.text_page(client, "The C client, every function"),
        **openapi.pages(root / "openapi.yaml"),
    }


def _with_links(
    text: str, original: str, place: str, root: Path, source: Path, places: dict[str, str]
) -> str:
    """The text with the links of its prose turned; code stays as it is."""
    parts = re.split(r"(^```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL)
    for i in range(0, len(parts), 2):
        parts[i] = LINK.sub(
            lambda match: _link(match, original, place, root, source, places), parts[i]
        )
    return "".join(parts)


def _link(
    match: re.Match[str],
    original: str,
    place: str,
    root: Path,
    source: Path,
    places: dict[str, str],
) -> str:
    mark, text, target = match.groups()
    if re.match(r"[a-z]+:|#", target):
        return match[0]
    path, hash_mark, anchor = target.partition("#")
    file = Path(os.path.normpath(root / Path(original).parent / path))
    name = file.relative_to(root).as_posix()
    here = source / Path(place).parent
    if name in places:
        way = os.path.relpath(source / places[name], here)
        return f"{mark}[{text}]({way}{hash_mark}{anchor})"
    if mark and file.exists():
        copy = source / "_images" / name.replace("/", "-")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
        return f"![{text}]({os.path.relpath(copy, here)})"
    if not file.exists():
        raise SystemExit(f"{original}: {target} is not there")
    return text if name in text else f"{text} (`{name}`)"
