"""The pages of the HTTP API, from openapi.yaml: one for each tag, and one for the schemas."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

METHODS = ("get", "post", "put", "patch", "delete")
FOLDER = "reference/http"
# JSON's data model, in which every node is one of these.
Node = Any

INTRODUCTION = """# The HTTP API

From `openapi.yaml`, which the daemon serves at `/openapi.yaml`; <a href="../../api-viewer.html">the
same in a viewer</a>, with every schema unfolded.

"""


def pages(document: Path) -> dict[str, str]:
    api = Document(yaml.safe_load(document.read_text()))
    tags = {tag["name"]: tag.get("description", "") for tag in api.root["tags"]}
    # The pages of problems are a daemon's.
    about = re.sub(r"\[([^\]]*)\]\(/problems/[^)]*\)", r"\1", api.root["info"]["description"])
    index = INTRODUCTION + about + "\n\n"
    index += "| operation | effect | scope |\n|---|---|---|\n"
    texts = {tag: f"# {tag}\n\n{tags[tag]}\n\n" for tag in tags}
    for path, item in api.root["paths"].items():
        for method in METHODS:
            if operation := item.get(method):
                tag = operation["tags"][0]
                texts[tag] += api.operation(method, path, item, operation)
                scope = operation.get("x-lbfgsd-scope") or ""
                index += (
                    f"| [{method.upper()} `{path}`]({tag.lower()}.md#{_anchor(operation)}) "
                    f"| {operation['summary']} | {scope} |\n"
                )
    names = [tag.lower() for tag in tags]
    index += "\n```{toctree}\n:hidden:\n\n" + "\n".join([*names, "schemas"]) + "\n```\n"
    result = {f"{FOLDER}/index.md": index, f"{FOLDER}/schemas.md": api.schemas()}
    for tag, text in texts.items():
        result[f"{FOLDER}/{tag.lower()}.md"] = text
    return result


def as_script(document: Path) -> str:
    """The document as JSON that a script element can have."""
    return json.dumps(yaml.safe_load(document.read_text()), default=str).replace("<", "\\u003c")


class Document:
    def __init__(self, root: Node) -> None:
        self.root = root

    def resolved(self, node: Node) -> Node:
        """What a reference leads to. What stands beside it is added."""
        if "$ref" not in node:
            return node
        found = self.root
        for key in node["$ref"].removeprefix("#/").split("/"):
            found = found[key]
        return {**self.resolved(found), **{k: v for k, v in node.items() if k != "$ref"}}

    def operation(self, method: str, path: str, item: Node, operation: Node) -> str:
        lines = [f"({_anchor(operation)})=", f"## {operation['summary']}", ""]
        lines += ["```text", f"{method.upper()} {path}", "```", ""]
        lines += [operation.get("description", ""), ""]
        parameters = [*item.get("parameters", []), *operation.get("parameters", [])]
        if parameters:
            lines += ["| parameter | in | type | |", "|---|---|---|---|"]
            for parameter in map(self.resolved, parameters):
                note = "required. " if parameter.get("required") else ""
                lines.append(
                    f"| `{parameter['name']}` | {parameter['in']} "
                    f"| {self.type_of(parameter.get('schema', {}))} "
                    f"| {_cell(note + self.description(parameter))} |"
                )
            lines.append("")
        if "requestBody" in operation:
            body = self.resolved(operation["requestBody"])
            lines += ["**Body**", "", *self.content(body.get("content", {})), ""]
        lines += ["**Answers**", ""]
        for status, answer in operation["responses"].items():
            answer = self.resolved(answer)
            lines.append(f"- `{status}` {_cell(answer.get('description', ''))}")
            if str(status).startswith("2"):
                lines += ["", *("  " + line for line in self.content(answer.get("content", {})))]
                lines.append("")
        return "\n".join(lines) + "\n\n"

    def content(self, content: Node) -> list[str]:
        lines = []
        for form, media in content.items():
            kind = f": {self.type_of(media['schema'])}" if "schema" in media else ""
            lines.append(f"- `{form}`{kind}")
        for media in content.values():
            examples = [self.resolved(e).get("value") for e in media.get("examples", {}).values()]
            examples += [media["example"]] if "example" in media else []
            for example in examples[:3]:
                text = example if isinstance(example, str) else json.dumps(example, default=str)
                lines += ["", "```text", *text.splitlines(), "```"]
        return lines

    def schemas(self) -> str:
        lines = ["# Schemas", "", "The forms of JSON in requests and answers.", ""]
        for name, schema in self.root["components"]["schemas"].items():
            lines += [f"(schema-{name.lower()})=", f"## {name}", ""]
            schema = self.resolved(schema)
            lines += [self.description(schema), ""]
            if "properties" not in schema:
                lines += [self.type_of(schema, is_named=False), ""]
                continue
            required = set(schema.get("required", []))
            lines += ["| member | type | |", "|---|---|---|"]
            for member, node in schema["properties"].items():
                note = "" if member in required else "optional. "
                lines.append(
                    f"| `{member}` | {self.type_of(node)} "
                    f"| {_cell(note + self.description(self.resolved(node)))} |"
                )
            lines.append("")
        return "\n".join(lines)

    def description(self, node: Node) -> str:
        return str(node.get("description", ""))

    def type_of(self, node: Node, is_named: bool = True) -> str:
        """A type in a few words, with links to schemas that have names."""
        if is_named and "$ref" in node:
            name = node["$ref"].split("/")[-1]
            return f"[{name}](#schema-{name.lower()})"
        node = self.resolved(node)
        for key in ("oneOf", "anyOf"):
            if key in node:
                return " or ".join(self.type_of(part) for part in node[key])
        if "enum" in node:
            return ", ".join(f"`{value}`" for value in node["enum"])
        if "const" in node:
            return f"`{node['const']}`"
        kind = node.get("type", "any")
        kind = " or ".join(kind) if isinstance(kind, list) else str(kind)
        if kind == "array" and "items" in node:
            return f"array of {self.type_of(node['items'])}"
        limits = []
        for key, sign in (
            ("minimum", "≥"),
            ("exclusiveMinimum", ">"),
            ("maximum", "≤"),
            ("exclusiveMaximum", "<"),
        ):
            if key in node:
                limits.append(f"{sign} {node[key]}")
        return f"{kind} {', '.join(limits)}".strip()


def _anchor(operation: Node) -> str:
    return f"operation-{operation['operationId'].lower()}"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
