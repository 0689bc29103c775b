"""JSON Schemas of our documents; that of vectors is made from the registry of operations.

Rules:
- schemas/eplb-vector-1.json is what `vector_schema` returns; the others are written by hand.
- A name ends in its version: what a reader relies on changes only under another number.
- A schema is for editors and other tools.  It accepts every vector that the loader accepts, and
  catches what can be seen without resolving parameters and names.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal, get_args, get_origin

from eplb_model.format.claims import AGREE_KEYS, STATED
from eplb_model.format.document import VECTOR_SCHEMA
from eplb_model.format.kernels import (
    ENDS,
    FOOTPRINT_KEYS,
    GRAINS,
    KERNEL_KEYS,
    KERNEL_REQUIRED,
    LAUNCHES,
    MEETS_KEYS,
)
from eplb_model.format.parameters import KEYS as PARAMETER_KEYS
from eplb_model.format.parameters import TYPES
from eplb_model.format.plans import STREAM_KEYS, STREAM_KINDS
from eplb_model.format.statements import BLOCKS, KINDS, REQUIRED, Argument, arguments_of
from eplb_model.format.template import FUNCTIONS
from eplb_model.machine import FOOTPRINTS, SETTINGS
from eplb_model.ops import OPERATIONS
from eplb_model.ops.expression import COMPARISONS, Condition, Expression
from eplb_model.protocols.registry import PROTOCOLS
from eplb_model.scenario import FORBIDDEN
from eplb_model.vector import EXPECT_KEYS, KEYS, SERIALISED, VERDICTS, WHEN

DRAFT = "https://json-schema.org/draft/2020-12/schema"
SCHEMAS = Path(__file__).with_name("schemas")

Schema = dict[str, object]

NAME = "^[A-Za-z_][A-Za-z0-9_]*$"
TEXT: Schema = {"type": "string"}
TEXTS: Schema = {"type": "array", "items": TEXT}
ANYTHING: Schema = {}
NAMED: Schema = {"anyOf": [TEXT, {"$ref": "#/$defs/template"}]}


def schema(name: str) -> Schema:
    """A schema by the name of its document: `eplb-vector/1`, `eplb-report/1`, ..."""
    found = json.loads((SCHEMAS / f"{name.replace('/', '-')}.json").read_text("utf-8"))
    assert isinstance(found, dict)
    return found


def schemas() -> tuple[str, ...]:
    """The names of the documents that have a schema."""
    stems = (path.stem for path in sorted(SCHEMAS.glob("*.json")))
    return tuple("/".join(stem.rsplit("-", 1)) for stem in stems)


def vector_schema() -> Schema:
    """The schema of `eplb-vector/1`."""
    sections: dict[str, Schema] = {
        "schema": {"const": VECTOR_SCHEMA},
        "name": {"type": "string", "pattern": NAME},
        "about": TEXT,
        "source": TEXTS,
        "classes": TEXTS,
        "fixes": TEXT,
        "base": TEXT,
        "parameters": _table({"anyOf": [_scalar(), _parameter()]}),
        "derived": _table(ANYTHING),
        "switches": {"type": "object", "propertyNames": {"enum": sorted(SETTINGS)}},
        "kernels": _or_template(_table(_ref("kernel"))),
        "streams": _or_template(
            {
                "anyOf": [
                    _ref("streams"),
                    {"type": "object", "additionalProperties": _ref("streams")},
                ]
            }
        ),
        "roles": _or_template(_table(_or_template(_ref("ranks")))),
        "groups": _or_template(_table(_or_template(_ref("ranks")))),
        "initial": _or_template({"type": "object", "additionalProperties": _ref("variables")}),
        "threads": _or_template({"type": "object", "additionalProperties": _thread()}),
        "programs": _or_template({"type": "object", "additionalProperties": _ref("block")}),
        "protocol": {"enum": sorted(PROTOCOLS)},
        "claims": _list(_claim()),
        "forbid": _list({"enum": list(FORBIDDEN)}),
        "expect": _ref("expect"),
        "cases": {"type": "array", "items": _object(["set", "expect"], ["set", "expect"])},
        "real": ANYTHING,
    }
    assert tuple(sections) == KEYS, "[model bug] the schema lacks a key of a vector"
    return {
        "$schema": DRAFT,
        "title": VECTOR_SCHEMA,
        "description": "A scenario: parameters, kernels, what every thread does, what to expect.",
        **_fields(sections, ("schema", "name", "about")),
        "anyOf": [
            {"required": ["programs"]},
            {"required": ["protocol"]},
            {"required": ["base"]},
        ],
        "not": {"required": ["programs", "protocol"]},
        "$defs": _definitions(),
    }


def _definitions() -> dict[str, Schema]:
    """The parts that others refer to, and one definition per operation."""
    return {
        "template": _template(),
        "kernel": _or_template(_kernel()),
        "streams": {"type": "array", "items": {"anyOf": [TEXT, _stream()]}},
        "ranks": {"anyOf": [{"enum": ["all", "others"]}, _list({"type": "integer", "minimum": 0})]},
        "variables": _table({"not": {"type": "object", "not": _ref("template")}}),
        "expect": _or_template(_expect()),
        "block": _list(_ref("statement")),
        "statement": {"anyOf": [_ref("operation"), *map(_ref, BLOCKS), _ref("template")]},
        **{block: _block(block) for block in BLOCKS},
        "condition": _or_template(
            {
                "type": "array",
                "prefixItems": [
                    _ref("expression"),
                    _or_template({"enum": list(COMPARISONS)}),
                    _ref("expression"),
                ],
                "minItems": 3,
                "maxItems": 3,
            }
        ),
        "expression": {
            "anyOf": [
                _scalar(),
                {"type": "array"},
                _object(("var", "plus"), ("var",)),
                _ref("template"),
            ]
        },
        "operation": {
            "type": "array",
            "minItems": 1,
            "prefixItems": [{"enum": list(KINDS)}],
            "allOf": [
                {"if": {"prefixItems": [{"const": kind}]}, "then": _ref(f"op_{kind}")}
                for kind in KINDS
            ],
        },
        **{f"op_{kind}": _operation(kind) for kind in KINDS},
    }


# --- parts of a vector -------------------------------------------------------------------------


def _template() -> Schema:
    function = {
        "type": "object",
        "properties": {"fn": {"enum": list(FUNCTIONS)}},
        "required": ["fn"],
    }
    choice = {"type": "object", "properties": {"by": TEXT}, "required": ["by"]}
    return {"anyOf": [{"type": "string", "pattern": "^\\$"}, function, choice]}


def _parameter() -> Schema:
    properties: dict[str, Schema] = dict.fromkeys(PARAMETER_KEYS, ANYTHING)
    properties |= {
        "default": _scalar(),
        "type": {"enum": list(TYPES)},
        "min": {"type": "number"},
        "max": {"type": "number"},
        "choices": {"type": "array", "items": _scalar()},
        "about": TEXT,
    }
    return _fields(properties, ("default",))


def _kernel() -> Schema:
    properties: dict[str, Schema] = dict.fromkeys(KERNEL_KEYS, ANYTHING)
    properties |= {
        "launch": _or_template({"enum": list(LAUNCHES)}),
        "ctas": _count(1),
        "cluster": _count(1),
        "footprint": _or_template(
            {"anyOf": [{"enum": list(FOOTPRINTS)}, _object(FOOTPRINT_KEYS, FOOTPRINT_KEYS[1:])]}
        ),
        "meets": _or_template(_meets()),
        "ends": _or_template({"enum": list(ENDS)}),
        "until": NAMED,
        "module": NAMED,
        "rounds": _list(_offsets()),
    }
    return _fields(properties, KERNEL_REQUIRED)


def _meets() -> Schema:
    properties: dict[str, Schema] = dict.fromkeys(MEETS_KEYS, ANYTHING)
    properties |= {
        "grain": _or_template({"enum": list(GRAINS)}),
        "peers": {"anyOf": [{"enum": ["all", "next"]}, _offsets()]},
        "sends": {"anyOf": [{"enum": ["all", "next"]}, _offsets()]},
        "receives": {"anyOf": [{"enum": ["all", "next"]}, _offsets()]},
        "kernel": NAMED,
        "eager": _or_template({"type": "boolean"}),
    }
    return _fields(properties, ("grain",))


def _stream() -> Schema:
    properties: dict[str, Schema] = dict.fromkeys(STREAM_KEYS, ANYTHING)
    properties |= {
        "name": NAMED,
        "priority": _or_template({"type": "integer"}),
        "kind": _or_template({"enum": list(STREAM_KINDS)}),
        "device": _count(0),
    }
    return _or_template(_fields(properties, ("name",)))


def _thread() -> Schema:
    return _or_template(_fields({"started": _or_template({"type": "boolean"})}, ("started",)))


def _claim() -> Schema:
    stated: dict[str, Schema] = {
        "on": _or_template({"anyOf": [{"const": "all"}, {"type": "integer", "minimum": 0}]}),
        "sentence": NAMED,
    }
    agree = dict.fromkeys(AGREE_KEYS, NAMED)
    return {
        "anyOf": [
            *(_fields({each: _ref("condition"), **stated}, (each, "sentence")) for each in STATED),
            _fields(agree, AGREE_KEYS),
        ]
    }


def _expect() -> Schema:
    properties: dict[str, Schema] = dict.fromkeys(EXPECT_KEYS, ANYTHING)
    properties |= {
        "verdict": _or_template({"enum": list(VERDICTS)}),
        "when": _or_template({"enum": list(WHEN)}),
        "serialised": _or_template({"enum": list(SERIALISED)}),
        "states": _table(_count(0)),
        "steps": _count(0),
        "waiting": _list(TEXT),
        "circle": _list(TEXT),
    }
    return _fields(properties, ("verdict",))


# --- programs ----------------------------------------------------------------------------------


def _block(block: str) -> Schema:
    parts: Mapping[str, Schema] = {
        "repeat": _count(0),
        "if": _ref("condition"),
        "while": _ref("condition"),
    }
    properties = {key: parts.get(key, _ref("block")) for key in BLOCKS[block]}
    return _fields(properties, REQUIRED[block])


def _operation(kind: str) -> Schema:
    """Its kind, its fields in order, and at any point an object with the rest by name."""
    arguments = arguments_of(OPERATIONS[kind])
    by_name = _fields({each.name: _argument(each) for each in arguments}, ())
    places = [{"anyOf": [_argument(each), by_name]} for each in arguments]
    needed = any(each.required for each in arguments)
    return {
        "description": _summary(OPERATIONS[kind]),
        "prefixItems": [{"const": kind}, *places, by_name],
        "minItems": 2 if needed else 1,
        "maxItems": len(arguments) + 2,
    }


def _summary(operation: type) -> str:
    first = (operation.__doc__ or "").partition("\n")[0]
    return first.partition("  specs/")[0]


def _argument(argument: Argument) -> Schema:
    if argument.role is not None and argument.role.name == "moves":
        return _list({"type": "array", "items": _scalar(), "minItems": 2, "maxItems": 2})
    if argument.role is not None:
        return _list(TEXT) if argument.several else NAMED
    if argument.hint == Expression:
        return _ref("expression")
    if argument.hint is Condition:
        return _ref("condition")
    if get_origin(argument.hint) is Literal:
        return _or_template({"enum": list(get_args(argument.hint))})
    names: Mapping[object, str] = {bool: "boolean", int: "integer", str: "string"}
    return _or_template({"type": names[argument.hint]})


# --- pieces ------------------------------------------------------------------------------------


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _or_template(of: Schema) -> Schema:
    return {"anyOf": [of, _ref("template")]}


def _scalar() -> Schema:
    return {"type": ["null", "boolean", "number", "string"]}


def _count(least: int) -> Schema:
    return _or_template({"type": "integer", "minimum": least})


def _list(of: Schema) -> Schema:
    return _or_template({"type": "array", "items": _or_template(of)})


def _offsets() -> Schema:
    return _list({"type": "integer", "minimum": 0})


def _table(of: Schema) -> Schema:
    return {"type": "object", "propertyNames": {"pattern": NAME}, "additionalProperties": of}


def _object(keys: Collection[str], required: Collection[str]) -> Schema:
    return _fields(dict.fromkeys(keys, ANYTHING), required)


def _fields(properties: Mapping[str, Schema], required: Collection[str]) -> Schema:
    found: Schema = {"type": "object", "properties": dict(properties)}
    if required:
        found["required"] = list(required)
    return {**found, "additionalProperties": False}
