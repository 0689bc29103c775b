"""The stub operations.pyi: what type checkers know of the methods that operations.py makes.

`python -m eplb_model.build.stub` writes it anew.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal, get_args, get_origin

from eplb_model.build.calls import method_name
from eplb_model.format.statements import KINDS, Argument, arguments_of
from eplb_model.ops import OPERATIONS
from eplb_model.ops.expression import Condition, Expression

STUB = Path(__file__).with_name("operations.pyi")
WIDTH = 100
HEAD = '''\
"""A method per operation of the vocabulary.  Written by `python -m eplb_model.build.stub`."""

from typing import Literal

from eplb_model.build.words import Comparison, MoveList, Names, Parameter, Value, Var

class Operations:
    """The operations that a thread can be given."""
'''


def stub_text() -> str:
    """The whole stub."""
    return HEAD + "".join(f"\n{_method(kind)}" for kind in KINDS)


def _method(kind: str) -> str:
    operation = OPERATIONS[kind]
    arguments = arguments_of(operation)
    words = ["self", *(_words(each) for each in arguments if each.required)]
    optional = [f"{_words(each)} = ..." for each in arguments if not each.required]
    words += ["*", *optional] if optional else []
    name = method_name(kind)
    line = f"    def {name}({', '.join(words)}) -> None:"
    if len(line) > WIDTH:
        inner = "".join(f"        {each},\n" for each in words)
        line = f"    def {name}(\n{inner}    ) -> None:"
    first = (operation.__doc__ or "").partition("\n")[0]
    return f'{line}\n        """{first}"""\n'


def _words(argument: Argument) -> str:
    return f"{argument.name}: {_type(argument)}"


def _type(argument: Argument) -> str:
    role = argument.role
    if role is not None and role.name == "moves":
        return "MoveList"
    if role is not None:
        variable = "str | Var" if role.name == "variable" else "str"
        return "Names" if argument.several else variable
    if argument.hint == Expression:
        return "Value"
    if argument.hint is Condition:
        return "Comparison"
    if get_origin(argument.hint) is Literal:
        choices = ", ".join(f'"{each}"' for each in get_args(argument.hint))
        return f"Literal[{choices}] | Parameter"
    names = {bool: "bool | Parameter", int: "int | Parameter", str: "str"}
    assert isinstance(argument.hint, type), f"[model bug] no type for {argument.name}"
    return names[argument.hint]


if __name__ == "__main__":
    STUB.write_text(stub_text(), "utf-8")
    sys.stdout.write(f"{STUB.name} is written\n")
