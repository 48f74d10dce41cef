"""A page of a C header: its comments as text, its declarations as code."""

from __future__ import annotations

import re
from pathlib import Path

SECTION = re.compile(r"/\* -{3,} *(.*?) *-* \*/")
COMMENT = re.compile(r"/\*\*?(.*?)\*/", re.DOTALL)


def page(header: Path, title: str) -> str:
    text = header.read_text()
    first = COMMENT.search(text)
    assert first is not None
    lines = [f"# {title}", "", "```text", _plain(first[1]), "```", ""]
    place, is_first = first.end(), True
    for match in re.finditer(
        r"/\* -{3,}.*?\*/|^/\*\*.*?\*/", text[place:], re.MULTILINE | re.DOTALL
    ):
        begin, end = place + match.start(), place + match.end()
        if section := SECTION.match(match[0]):
            lines += [f"## {section[1]}", ""]
            is_first = False
            continue
        if is_first:
            lines += ["## What calls return", ""]
            is_first = False
        declaration = _declaration(text, end)
        if name := _name(declaration):
            lines += [f"### {name}", ""]
        lines += ["```c", text[begin:end].strip(), declaration.rstrip(), "```", ""]
    return "\n".join(lines)


def _plain(comment: str) -> str:
    return "\n".join(re.sub(r"^ ?\* ?", "", line) for line in comment.splitlines()).strip("\n")


def _declaration(text: str, place: int) -> str:
    """What follows a comment, up to the end of its last line: a macro, or up to a semicolon outside
    of braces."""
    rest = text[place:].lstrip("\n")
    if rest.startswith("#"):
        return rest.splitlines()[0]
    depth = 0
    for i, character in enumerate(rest):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if character == ";" and depth == 0:
            return rest[: i + 1]
    return ""


def _name(declaration: str) -> str | None:
    if found := re.match(r"#define (\w+)", declaration):
        return found[1]
    if found := re.search(r"}\s*(\w+);$", declaration):
        return found[1]
    if found := re.search(r"(\w+)\s*\(", declaration):
        return found[1] + "()"
    if found := re.search(r"(\w+);$", declaration):
        return found[1]
    return None


def text_page(header: Path, title: str) -> str:
    """The declarations of a header, without the implementation that follows, as they are."""
    text = re.split(r"^#ifdef \S+IMPLEMENTATION$", header.read_text(), flags=re.MULTILINE)[0]
    first = COMMENT.search(text)
    assert first is not None
    begin = text.index("/* What a call returns.")
    end = text.rindex("#ifdef __cplusplus")
    introduction = ["```text", first[1].strip().replace("\n   ", "\n"), "```"]
    return "\n".join([f"# {title}", "", *introduction, "", "```c", text[begin:end], "```", ""])
