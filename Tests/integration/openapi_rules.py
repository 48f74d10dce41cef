"""What openapi.yaml keeps to beside being valid, so that generators make clients that work.

Each rule is there since a generator failed without it: openapi-generator 7 for one of its
languages, or openapi-python-client. Where JSON Schema can say more than they understand, the
document says it by `if`, `then` and `else`, which validators check and generators pass over.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator

Schema = dict[str, Any]

LARGEST = 2**53
"""Up to here a number of JSON is the same integer for every reader."""
SCALARS = {"integer", "number", "string", "boolean"}
RESERVED = {"any", "array", "boolean", "integer", "null", "number", "object", "parameter"} | {
    "parameters",
    "string",
}
"""Names of schemas that are a type, or a module, of some language's client."""
GENERIC = {
    "Count",
    "EnsembleID",
    "FiniteNumber",
    "Name",
    "NextPageToken",
    "OptionalReal",
    "PositiveCount",
    "Real",
    "SessionID",
    "Shape",
    "Timestamp",
    "Vector",
}
"""Schemas that say what a value looks like, but not what it means where it stands."""
SELF_EXPLAINING = {"id", "session", "ensemble", "shape", "next_page_token"}
"""Properties for which the description of such a schema says all."""


def findings(document: Schema) -> list[str]:
    """Everything in the document that breaks a rule."""
    schemas: dict[str, Schema] = document["components"]["schemas"]
    found = [*names(schemas), *constants(schemas), *titles(document), *examples(document)]
    for place, schema in all_schemas(document):
        found += [f"{place}: {what}" for what in shape(schema, schemas)]
        for name, value in schema.get("properties", {}).items():
            if not is_described(name, value, schemas):
                found.append(f"{place}.{name}: has no description")
    for name, schema in schemas.items():
        if not schema.get("description"):
            found.append(f"{name}: has no description")
        if isinstance(schema.get("type"), list) and ("enum" in schema or "properties" in schema):
            found.append(f"{name}: null is allowed where the schema is used, by oneOf")
    return found


def all_schemas(document: Schema) -> Iterator[tuple[str, Schema]]:
    """Every schema that generators read: not those below `if`, `then` and `else`."""

    def within(place: str, schema: Any) -> Iterator[tuple[str, Schema]]:
        if not isinstance(schema, dict):
            return
        yield place, schema
        for name, value in schema.get("properties", {}).items():
            yield from within(f"{place}.{name}", value)
        for key in ("items", "additionalProperties"):
            yield from within(f"{place}[]", schema.get(key))
        for key in ("oneOf", "anyOf", "allOf"):
            for value in schema.get(key, []):
                yield from within(f"{place}|", value)

    def outside(place: str, node: Any) -> Iterator[tuple[str, Schema]]:
        if isinstance(node, dict):
            for key, value in node.items():
                if key == "schema":
                    yield from within(place, value)
                elif key not in ("example", "examples", "schemas"):
                    yield from outside(f"{place}/{key}", value)
        elif isinstance(node, list):
            for number, value in enumerate(node):
                yield from outside(f"{place}/{number}", value)

    for name, schema in document["components"]["schemas"].items():
        yield from within(name, schema)
    yield from outside("", {"paths": document["paths"], "components": document["components"]})


def shape(schema: Schema, schemas: dict[str, Schema]) -> Iterator[str]:
    if "$ref" in schema and len(schema) > 1:
        yield f"{sorted(set(schema) - {'$ref'})} beside $ref makes an empty model"
    if "anyOf" in schema or "not" in schema:
        yield "anyOf and not make empty models"
    if "oneOf" in schema and not is_nullable_reference(schema):
        yield "oneOf is for a reference or null, with a description; other unions lose properties"
    if "allOf" in schema and not is_described_reference(schema, schemas):
        yield "allOf is for one reference, to no scalar, with a description"
    if "const" in schema:
        yield "an enum of one value is understood better than const"
    types = schema.get("type")
    is_integer = types == "integer" or (isinstance(types, list) and "integer" in types)
    if is_integer and schema.get("format") != "int64":
        yield "an integer without format int64 has 32 bits in most languages"
    if isinstance(types, list) and (len(types) != 2 or types[1] != "null"):
        yield "a list of types is [x, 'null']"
    for bound in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
        if abs(schema.get(bound, 0)) > LARGEST:
            yield f"{bound} has no literal in some languages"


def is_nullable_reference(schema: Schema) -> bool:
    options = schema["oneOf"]
    return (
        len(options) == 2
        and set(options[0]) == {"$ref"}
        and options[1] == {"type": "null"}
        and set(schema) == {"oneOf", "description"}
    )


def is_described_reference(schema: Schema, schemas: dict[str, Schema]) -> bool:
    options = schema["allOf"]
    if len(options) != 1 or set(options[0]) != {"$ref"} or set(schema) != {"allOf", "description"}:
        return False
    target = schemas[referred(options[0])]
    return "enum" in target or target.get("type") not in SCALARS


def referred(schema: Schema) -> str:
    return str(schema["$ref"]).rsplit("/", 1)[-1]


def is_described(name: str, schema: Any, schemas: dict[str, Schema]) -> bool:
    if not isinstance(schema, dict) or schema.get("description"):
        return isinstance(schema, dict)
    if "$ref" not in schema:
        return False
    target = referred(schema)
    described = bool(schemas[target].get("description"))
    return described and (target not in GENERIC or name in SELF_EXPLAINING)


def names(schemas: dict[str, Schema]) -> Iterator[str]:
    for name in schemas:
        if name.lower() in RESERVED:
            yield f"{name}: is a type or module in some language"
        if f"New{name}" in schemas:
            yield f"New{name}: is the name of Go's constructor of {name}"
    for name, schema in schemas.items():
        for key, value in schema.get("properties", {}).items():
            inner = name + "".join(word.capitalize() for word in key.split("_"))
            if inner in schemas and ("enum" in value or "properties" in value):
                yield f"{inner}: is the class of {name}'s property {key}"


def constants(schemas: dict[str, Schema]) -> Iterator[str]:
    """Go has the constants of all enums in one namespace, named for their values alone."""
    owners: defaultdict[str, list[str]] = defaultdict(list)
    for name, schema in schemas.items():
        for value in schema.get("enum", []):
            owners[str(value).upper()].append(name)
    for value, of in owners.items():
        if len(of) > 1:
            yield f"{', '.join(of)}: each has a constant {value}"


def examples(document: Schema) -> Iterator[str]:
    """Examples are what their schemas say."""

    def within(place: str, node: Any) -> Iterator[str]:
        if isinstance(node, list):
            for number, value in enumerate(node):
                yield from within(f"{place}/{number}", value)
        if not isinstance(node, dict):
            return
        if "schema" in node:
            validator = Draft202012Validator({**node["schema"], "components": components})
            values = [example["value"] for example in node.get("examples", {}).values()]
            for value in [*values, *([node["example"]] if "example" in node else [])]:
                for error in validator.iter_errors(value):
                    yield f"{place}: the example's {error.json_path}: {error.message}"
        for key, value in node.items():
            if key not in ("example", "examples", "schema", "schemas"):
                yield from within(f"{place}/{key}", value)

    components = document["components"]
    yield from within("", {"paths": document["paths"], "components": components})


def titles(document: Schema) -> Iterator[str]:
    """A title is the name of a class."""
    of = Counter(schema["title"] for _, schema in all_schemas(document) if "title" in schema)
    for title, count in of.items():
        if count > 1:
            yield f"{count} schemas have the title {title}"
