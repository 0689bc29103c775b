"""What a vector can be asked with: parameters, their defaults, what else they take.

Rules:
- A value set from outside has the JSON type of the default; a null default takes integers and null
  unless `type` says otherwise.
- Every vector has the parameter `machine`; `ranks` is the number of ranks where it is declared.
- Defaults are constants: nothing is substituted in this section.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from eplb_model.format.document import VectorError, describe, listing
from eplb_model.format.template import Node, is_integer

DEFAULT_MACHINE = "h200"
MOST_RANKS = 1024
TYPES = ("integer", "number", "boolean", "string")
KEYS = ("default", "type", "min", "max", "choices", "about")

Scalar = None | bool | int | float | str


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter as it is declared; `file` is where, since a base may declare it."""

    name: str
    default: Scalar
    type: str
    file: str
    least: float | None = None
    most: float | None = None
    choices: tuple[Scalar, ...] = ()
    about: str = ""

    @property
    def optional(self) -> bool:
        """Whether null is a value of it."""
        return self.default is None

    def accept(self, given: Node) -> Scalar:
        """The value of a node, if this parameter takes it."""
        value = given.value
        if not (_has_type(value, self.type) or (value is None and self.optional)):
            raise given.unexpected(self._expected())
        assert value is None or isinstance(value, (bool, int, float, str))
        if isinstance(value, (int, float)) and not self._in_range(value):
            raise given.unexpected(self._expected())
        if self.choices and value not in self.choices:
            raise given.unknown(f"value of {self.name}", self.choices)
        return value

    def _in_range(self, value: float) -> bool:
        return (self.least is None or value >= self.least) and (
            self.most is None or value <= self.most
        )

    def _expected(self) -> str:
        kind = {"integer": "an integer", "number": "a number", "boolean": "true or false"}.get(
            self.type, "a string"
        )
        if self.least is not None and self.most is not None:
            kind += f" from {self.least} to {self.most}"
        elif self.least is not None or self.most is not None:
            most = self.least is None
            kind += f" of at {'most' if most else 'least'} {self.most if most else self.least}"
        return f"{kind} or null" if self.optional else kind


def read_parameters(section: Node | None) -> dict[str, Parameter]:
    """The declared parameters, and `machine`."""
    nodes = section.named() if section is not None else {}
    found = {name: _parameter(name, node) for name, node in nodes.items()}
    if "machine" in found and found["machine"].type != "string":
        raise nodes["machine"].unexpected("the name of a machine")
    if "ranks" in found:
        _bounded_ranks(found, nodes["ranks"])
    return found


def machine_parameter(file: str) -> Parameter:
    """The machine of a vector that declares none."""
    return Parameter("machine", DEFAULT_MACHINE, "string", file)


def merged(
    base: Mapping[str, Parameter],
    own: Mapping[str, Parameter],
    base_section: object,
    own_section: object,
) -> tuple[dict[str, Parameter], dict[str, object]]:
    """Parameters over those of a base, and their section: a bare value changes only the default."""
    section = dict(base_section) if isinstance(base_section, dict) else {}
    found = dict(base)
    for name, written in own_section.items() if isinstance(own_section, dict) else ():
        known = section.get(name)
        if isinstance(written, dict) or not isinstance(known, dict):
            section[name], found[name] = written, own[name]
            continue
        section[name] = {**known, "default": written}
        given = Node(written, own[name].file, ("parameters", name))
        default = base[name].accept(given)
        found[name] = replace(base[name], default=default, file=own[name].file)
    return found, section


def effective(
    parameters: Mapping[str, Parameter], settings: Mapping[str, object], file: str
) -> dict[str, Scalar]:
    """The value of every parameter under settings from outside."""
    for name in settings:
        if name not in parameters:
            at = Node(name, file, ("parameters", name))
            raise at.unknown("parameter", parameters)
    values: dict[str, Scalar] = {}
    for name, parameter in parameters.items():
        values[name] = parameter.default
        if name in settings:
            path = ("parameters", name)
            given = Node(settings[name], parameter.file, path, via="the setting")
            values[name] = parameter.accept(given)
    return values


def _parameter(name: str, node: Node) -> Parameter:
    if not isinstance(node.value, dict):
        default = _scalar(node)
        return Parameter(name, default, _type_of(default), node.file)
    parts = node.fields(KEYS, ("default",))
    default = _scalar(parts["default"])
    kind = parts["type"].choice(TYPES) if "type" in parts else _type_of(default)
    parameter = Parameter(
        name,
        default,
        kind,
        node.file,
        _limit(parts["min"]) if "min" in parts else None,
        _limit(parts["max"]) if "max" in parts else None,
        about=parts["about"].text() if "about" in parts else "",
    )
    if "choices" in parts:
        choices = tuple(map(parameter.accept, parts["choices"].elements()))
        parameter = replace(parameter, choices=choices)
    parameter.accept(parts["default"])
    return parameter


def _bounded_ranks(found: dict[str, Parameter], node: Node) -> None:
    ranks = found["ranks"]
    if ranks.type != "integer" or ranks.optional:
        raise node.unexpected(f"a number of ranks, 1..{MOST_RANKS}")
    least = 1 if ranks.least is None else max(1, ranks.least)
    most = MOST_RANKS if ranks.most is None else min(MOST_RANKS, ranks.most)
    found["ranks"] = replace(ranks, least=least, most=most)
    found["ranks"].accept(replace(node, value=ranks.default))


def _scalar(node: Node) -> Scalar:
    value = node.value
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise node.unexpected("null, true, false, a number or a string")


def _limit(node: Node) -> float:
    if isinstance(node.value, (int, float)) and not isinstance(node.value, bool):
        return node.value
    raise node.unexpected("a number")


def _type_of(value: Scalar) -> str:
    match value:
        case bool():
            return "boolean"
        case str():
            return "string"
        case float():
            return "number"
        case _:
            return "integer"


def _has_type(value: object, kind: str) -> bool:
    match kind:
        case "integer":
            return is_integer(value)
        case "number":
            return isinstance(value, float) or is_integer(value)
        case "boolean":
            return isinstance(value, bool)
        case _:
            return isinstance(value, str)


def _bound(limit: float | None) -> str:
    return "any" if limit is None else f"{limit}"


def words(parameter: Parameter) -> str:
    """What a parameter takes, for people.

    >>> words(Parameter("ranks", 2, "integer", "x.json", least=1, most=8))
    'integer, 1..8'
    """
    parts = [parameter.type + (" or null" if parameter.optional else "")]
    if parameter.choices:
        parts.append(f"one of {listing(parameter.choices)}")
    elif parameter.least is not None or parameter.most is not None:
        parts.append(f"{_bound(parameter.least)}..{_bound(parameter.most)}")
    return ", ".join(parts)


def parse_setting(text: str) -> tuple[str, Scalar]:
    """`name=value` as name and value; what is no JSON scalar is a string.

    >>> parse_setting("ranks=2"), parse_setting("order=free"), parse_setting("cap=null")
    (('ranks', 2), ('order', 'free'), ('cap', None))
    """
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise VectorError("--set", None, f"got {describe(text)}; expected name=value")
    try:
        parsed = json.loads(value)
    except (ValueError, RecursionError):
        return name, value
    if isinstance(parsed, float) and not math.isfinite(parsed):
        return name, value
    scalar = parsed is None or isinstance(parsed, (bool, int, float, str))
    return name, parsed if scalar else value
