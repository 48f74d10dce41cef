"""openapi.yaml keeps to the rules under which generators of clients understand it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from daemon import ROOT
from openapi_rules import findings

TEXT = {"type": "string", "description": "A text."}
COUNT = {"type": "integer", "format": "int64", "minimum": 0, "description": "A count."}
CHOICE = {
    "type": "object",
    "description": "It has a kind.",
    "properties": {"kind": {**TEXT, "enum": ["a"]}},
}
REFERENCE = {"$ref": "#/components/schemas/Text"}
RECORD = {"$ref": "#/components/schemas/Record"}


def made(**schemas: Any) -> dict[str, Any]:
    record = {"type": "object", "description": "A record.", "properties": {"text": REFERENCE}}
    return {
        "paths": {},
        "components": {"schemas": {"Text": TEXT, "Record": record, **schemas}},
    }


def with_property(**schema: Any) -> dict[str, Any]:
    return made(Thing={"type": "object", "description": "Has it.", "properties": {"it": schema}})


def with_example(value: Any) -> dict[str, Any]:
    content = {"application/json": {"schema": RECORD, "example": value}}
    return {**made(), "paths": {"/": {"get": {"responses": {"200": {"content": content}}}}}}


def test_the_document_keeps_to_the_rules() -> None:
    document = yaml.safe_load((ROOT / "openapi.yaml").read_text())
    assert findings(document) == []


@pytest.mark.parametrize(
    "document",
    [
        made(Count=COUNT),
        with_example({"text": "a"}),
        with_property(**REFERENCE),
        with_property(description="Or null.", oneOf=[RECORD, {"type": "null"}]),
        with_property(description="This record.", allOf=[RECORD]),
        with_property(description="Or null.", type=["number", "null"], format="double"),
        with_property(description="A pair.", **{"if": {"type": "string"}, "then": {"const": 1}}),
    ],
)
def test_what_generators_understand_is_allowed(document: dict[str, Any]) -> None:
    assert findings(document) == []


@pytest.mark.parametrize(
    ("document", "place"),
    [
        (made(Number=TEXT), "Number"),
        (made(Parameters=TEXT), "Parameters"),
        (made(NewRecord=TEXT), "NewRecord"),
        (made(Thing=CHOICE, ThingKind=TEXT), "ThingKind"),
        (made(Thing={"type": "object"}), "Thing"),
        (made(Thing={**TEXT, "type": ["string", "null"], "enum": ["a", None]}), "Thing"),
        (made(A={**TEXT, "enum": ["x"]}, B={**TEXT, "enum": ["X"]}), "A, B"),
        (made(A={**TEXT, "title": "Same"}, B={**TEXT, "title": "Same"}), "2 schemas"),
        (with_property(type="string"), "Thing.it"),
        (with_property(description="A text.", **REFERENCE), "Thing.it"),
        (with_property(description="A text.", allOf=[REFERENCE]), "Thing.it"),
        (with_property(description="One.", oneOf=[RECORD, REFERENCE]), "Thing.it"),
        (with_property(description="One.", oneOf=[{"required": ["text"]}]), "Thing.it"),
        (with_property(description="One.", oneOf=[TEXT, {"type": "null"}]), "Thing.it"),
        (with_property(description="One.", anyOf=[RECORD, REFERENCE]), "Thing.it"),
        (with_property(description="Two.", type=["number", "string"]), "Thing.it"),
        (with_property(description="One.", type="string", const="a"), "Thing.it"),
        (with_property(description="A count.", type="integer"), "Thing.it"),
        (with_example({"text": 1}), "/paths"),
        (with_property(**{**COUNT, "maximum": 2**63 - 1}), "Thing.it"),
        (
            with_property(description="Counts.", type="array", items={"type": "integer"}),
            "Thing.it[]",
        ),
    ],
)
def test_what_generators_misunderstand_is_found(document: dict[str, Any], place: str) -> None:
    found = findings(document)
    assert len(found) == 1 and found[0].startswith(place), found
