"""The vector that a command is about: its name, its parameters, its machine."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

from eplb_model.format.parameters import Scalar
from eplb_model.outcome import UsageError
from eplb_model.scenario import Scenario
from eplb_model.vector import VectorFile, load

Settings: TypeAlias = tuple[tuple[str, Scalar], ...]
Switches: TypeAlias = tuple[tuple[str, str], ...]


def add_vector(
    parser: ArgumentParser,
    metavar: str = "NAME|FILE",
    what: str = "a vector of the catalogue, or a file",
) -> None:
    """Take a vector and what may be set in it."""
    parser.add_argument("vector", metavar=metavar, help=what)
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="set a parameter"
    )
    parser.add_argument("--machine", help="a preset (h200, h20, b200, tiny) or a file")
    parser.add_argument(
        "--switch",
        action="append",
        default=[],
        metavar="NAME=SETTING",
        help="set a switch of the machine; `all` runs every setting",
    )


class Chosen(NamedTuple):
    """A vector, and what is set in it."""

    vector: VectorFile
    settings: Mapping[str, Scalar]
    switches: Mapping[str, str]


def chosen_scenario(options: Namespace, also: Sequence[str] = ()) -> Scenario:
    """The scenario that the options name, with further `name=value` texts; a later one wins."""
    vector, settings, switches = chosen(options, also)
    return vector.scenario(settings, switches)


def chosen_settings(options: Namespace, also: Sequence[str] = ()) -> tuple[Settings, Switches]:
    """The parameters and the switches that the options set."""
    _, settings, switches = chosen(options, also)
    return tuple(settings.items()), tuple(switches.items())


def chosen(options: Namespace, also: Sequence[str] = ()) -> Chosen:
    """The vector that the options name, and what they set in it."""
    settings = [*options.set, *also]
    for text in settings:
        pair(text, "--set")
    vector = load(options.vector)
    named = dict(vector.setting(text) for text in settings)
    if options.machine:
        named["machine"] = options.machine
    switches = dict(pair(text, "--switch") for text in options.switch)
    return Chosen(vector, named, switches)


def pair(text: str, option: str) -> tuple[str, str]:
    """`name=value`, or an error that names the option."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"{option} {text!r}: expected name=value")
    return name, value


def words_again(command: str, options: Namespace) -> str:
    """A command line on the same vector under the same settings."""
    import shlex  # noqa: PLC0415 (only who prints for people needs it)

    words = ["eplb-model", command, options.vector]
    for text in options.set:
        words += ["--set", text]
    for text in options.switch:
        words += ["--switch", text]
    if options.machine:
        words += ["--machine", options.machine]
    return shlex.join(words)
