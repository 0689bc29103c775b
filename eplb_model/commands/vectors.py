"""The vector that a command is about: its name, its parameters, its machine."""

from __future__ import annotations

import shlex
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from eplb_model.format.parameters import Scalar
from eplb_model.outcome import UsageError
from eplb_model.scenario import Scenario
from eplb_model.vector import VectorFile, load


def add_vector(parser: ArgumentParser) -> None:
    """Take a vector and what may be set in it."""
    parser.add_argument("vector", metavar="NAME|FILE", help="a vector of the catalogue, or a file")
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


def chosen_scenario(options: Namespace, also: Sequence[str] = ()) -> Scenario:
    """The scenario that the options name, with further `name=value` texts; a later one wins."""
    vector, settings, switches = chosen_vector(options, also)
    return vector.scenario(settings, switches)


def chosen_vector(
    options: Namespace, also: Sequence[str] = ()
) -> tuple[VectorFile, dict[str, Scalar], dict[str, str]]:
    """The vector that the options name, the parameters and the switches that they set."""
    settings = [*options.set, *also]
    for text in settings:
        pair(text, "--set")
    vector = load(options.vector)
    named = dict(vector.setting(text) for text in settings)
    if options.machine:
        named["machine"] = options.machine
    return vector, named, dict(pair(text, "--switch") for text in options.switch)


def pair(text: str, option: str) -> tuple[str, str]:
    """`name=value`, or an error that names the option."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"{option} {text!r}: expected name=value")
    return name, value


def words_again(command: str, options: Namespace) -> str:
    """A command line on the same vector under the same settings."""
    words = ["eplb-model", command, options.vector]
    for text in options.set:
        words += ["--set", text]
    for text in options.switch:
        words += ["--switch", text]
    if options.machine:
        words += ["--machine", options.machine]
    return shlex.join(words)
