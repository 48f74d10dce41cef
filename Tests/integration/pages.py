"""The examples of the site's pages, and the shell script that runs those of a page.

A page is run from its beginning to its end in one directory by one shell, so that files, variables
and processes of one example are there in the next:

- `python` whose first line is a comment with a file's name is written to that file, other Python is
  run. `fortran`, `c` and `yaml` are written if they name a file, else shown.
- `sh` is run; the page's run ends with the first command that fails. A line that begins with `!` is
  a command that has to fail.
- `console` has commands after `$ `, and the lines that they print, in order; `...` stands for any
  text.
- An example after `<!-- not run: REASON -->` is shown only.

Does not import pytest.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
FENCE = re.compile(
    r"(?P<marker>^ *<!-- not run: (?P<reason>[^\n]*?) -->\n)?"
    r"^(?P<indent> *)```(?P<language>[^\n`]*)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
NAMED = re.compile(r"(?:#|!|//|/\*) ([\w.-]+)(?: \*/)?\n")
RUN = ("python", "sh", "console")
WRITTEN = ("fortran", "c", "yaml")
SHOWN = ("", "text", "json", "swift", "hexdump", "mermaid")
MARK = "@@@ example"


@dataclass(frozen=True)
class Example:
    language: str
    text: str
    line: int
    reason: str | None
    """Why it isn't run."""


@dataclass
class Script:
    """The script of a page, and what its console examples say is printed: by the number of the
    command, its lines."""

    text: str = "set -eu\n"
    expected: dict[int, list[str]] = field(default_factory=dict)
    commands: int = 0

    def mark(self) -> int:
        self.commands += 1
        self.text += f"printf '\\n{MARK} {self.commands}\\n'\n"
        return self.commands


def pages() -> list[Path]:
    return sorted(page for page in DOCS.rglob("*.md"))


def examples(page: Path) -> list[Example]:
    text = page.read_text()
    return [
        Example(
            match["language"],
            textwrap.dedent(match["text"]),
            text.count("\n", 0, match.start("text")) + 1,
            match["reason"],
        )
        for match in FENCE.finditer(text)
    ]


def script(page: Path, home: Path) -> Script:
    """Writes the files of a page's examples to `home` as its script comes to them."""
    made = Script()
    for number, example in enumerate(examples(page)):
        if example.reason is not None:
            continue
        named = NAMED.match(example.text)
        if example.language == "python":
            name = named[1] if named else f"example-{number}.py"
            _write(made, home, number, name, example.text[named.end() :] if named else example.text)
            if not named:
                made.mark()
                made.text += f"python {name}\n"
        elif example.language in WRITTEN and named:
            _write(made, home, number, named[1], example.text[named.end() :])
        elif example.language == "sh":
            made.mark()
            made.text += re.sub(
                r"^! ?([^#\n]*)(#.*)?$",
                r"if \1; then echo 'it has to fail' >&2; exit 1; fi",
                example.text,
                flags=re.MULTILINE,
            )
        elif example.language == "console":
            _add_console(made, example)
    made.mark()
    return made


def _write(made: Script, home: Path, number: int, name: str, text: str) -> None:
    # In place when the script comes to it, since a page may have two versions of a file.
    kept = home / ".examples" / f"{number}-{name}"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text(text)
    made.text += f"cp '{kept}' '{name}'\n"


def _add_console(made: Script, example: Example) -> None:
    command = 0
    for line in example.text.splitlines():
        if line.startswith("$ "):
            command = made.mark()
            made.expected[command] = []
            made.text += f"{{ {line[2:]}\n}} 2>&1\n"
        elif line.strip():
            made.expected[command].append(line)


def outputs(printed: str) -> dict[int, list[str]]:
    """The lines that each command of a script printed."""
    found: dict[int, list[str]] = {}
    number = 0
    for line in printed.splitlines():
        if line.startswith(MARK):
            number = int(line.split()[-1])
            found[number] = []
        elif number:
            found[number].append(line)
    return found


def missing(expected: list[str], printed: list[str]) -> str | None:
    """The first of the expected lines that isn't among those that follow the one before."""
    lines = iter(printed)
    for wanted in expected:
        pattern = ".*".join(re.escape(part) for part in wanted.split("..."))
        if not any(re.fullmatch(pattern, line) for line in lines):
            return wanted
    return None
