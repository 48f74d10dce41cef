#!/usr/bin/env python3
"""Writes manual pages from `lbfgsd --experimental-dump-help`: one for the command, and one for each
subcommand. $SOURCE_DATE_EPOCH is their date.

    lbfgsd --experimental-dump-help | manual.py VERSION DIRECTORY
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Command = dict[str, Any]
Argument = dict[str, Any]


def escaped(text: str) -> str:
    """Text as roff takes it literally: no line begins with a control character."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "\\(ga").replace("'", "\\(aq")
    text = text.replace("^", "\\(ha").replace("~", "\\(ti")
    return "\n".join("\\&" + line if line.startswith(".") else line for line in text.split("\n"))


def paragraphs(text: str) -> Iterator[str]:
    """Prose is filled; indented lines, which are examples, stay as they are."""
    for paragraph in text.strip("\n").split("\n\n"):
        yield ".PP"
        examples = False
        for line in paragraph.split("\n"):
            if line.startswith("  ") != examples:
                yield ".EE" if examples else ".EX"
                examples = not examples
            yield escaped(line)
        if examples:
            yield ".EE"


def names(argument: Argument) -> str:
    """The forms of an option, such as `-h, --help`, or the name of a positional argument."""
    value = argument.get("valueName", "value")
    if argument["kind"] == "positional":
        return f"\\fI{escaped(value)}\\fR"
    forms = []
    for name in argument["names"]:
        dashes = "--" if name["kind"] == "long" else "-"
        forms.append(f"\\fB{escaped(dashes + name['name'])}\\fR")
    text = ", ".join(forms)
    return f"{text} \\fI{escaped(value)}\\fR" if argument["kind"] == "option" else text


def usage(argument: Argument) -> str:
    text = names(argument) + (" ..." if argument["isRepeating"] else "")
    return f"[{text}]" if argument["isOptional"] else text


def shown(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [item for item in items if item.get("shouldDisplay", True)]


def described(arguments: list[Argument]) -> Iterator[str]:
    """The arguments, below the title of the section that each belongs to."""
    title = ""
    for argument in arguments:
        section = argument.get("sectionTitle", "")
        if section and section != title:
            yield f".SS {escaped(section)}"
        title = section
        yield ".TP"
        yield names(argument)
        yield escaped(argument.get("abstract", "") or "See the description.")


def page(path: list[str], command: Command, version: str, date: str) -> str:
    """The manual page of `lbfgsd` or of `lbfgsd serve`, which is lbfgsd-serve(1)."""
    title = "-".join(path)
    arguments = shown(command.get("arguments", []))
    positional = [item for item in arguments if item["kind"] == "positional"]
    options = [item for item in arguments if item["kind"] != "positional"]
    subcommands = [
        item for item in shown(command.get("subcommands", [])) if item["commandName"] != "help"
    ]
    abstract = command.get("abstract", "").rstrip(".").replace("\n", " ")
    lines = [
        f'.TH {escaped(title.upper())} 1 "{date}" "lbfgsd {version}" "User Commands"',
        ".SH NAME",
        f"{escaped(title)} \\- {escaped(abstract[:1].lower() + abstract[1:])}",
        ".SH SYNOPSIS",
        f".B {escaped(' '.join(path))}",
        *([r"[\fIoption\fR ...]"] if options else []),
        *([r"\fIsubcommand\fR [\fIargument\fR ...]"] if subcommands else map(usage, positional)),
    ]
    if command.get("discussion"):
        lines += [".SH DESCRIPTION", *paragraphs(command["discussion"])]
    if positional:
        lines += [".SH ARGUMENTS", *described(positional)]
    if options:
        lines += [".SH OPTIONS", *described(options)]
    if subcommands:
        lines.append(".SH SUBCOMMANDS")
        for item in subcommands:
            lines += [
                ".TP",
                f"\\fB{escaped(item['commandName'])}\\fR",
                f"{escaped(item.get('abstract', ''))}",
            ]
    lines += [".SH SEE ALSO"]
    if len(path) > 1:
        lines.append(f".BR {escaped('-'.join(path[:-1]))} (1),")
    for item in subcommands:
        lines.append(f".BR {escaped('-'.join([*path, item['commandName']]))} (1),")
    lines.append(escaped("/usr/share/doc/lbfgsd/README.md"))
    return "\n".join(lines) + "\n"


def pages(path: list[str], command: Command, version: str, date: str) -> Iterator[tuple[str, str]]:
    yield "-".join(path), page(path, command, version, date)
    for item in shown(command.get("subcommands", [])):
        if item["commandName"] != "help":
            yield from pages([*path, item["commandName"]], item, version, date)


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    version, directory = sys.argv[1], Path(sys.argv[2])
    moment = time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", time.time())))
    date = time.strftime("%Y-%m-%d", moment)
    directory.mkdir(parents=True, exist_ok=True)
    root = json.load(sys.stdin)["command"]
    for name, text in pages([root["commandName"]], root, version, date):
        (directory / f"{name}.1").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
