"""A completion script for bash (zsh reads it after `bashcompinit`), made from the help of commands.

Rule: the script holds all words; completing a word starts no Python.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
TAKES_A_VECTOR = ("NAME|FILE", "REPORT|NAME")  # as such arguments are called in every help


class Completed(NamedTuple):
    """What may follow a command."""

    options: tuple[str, ...]
    takes_vector: bool


def completed(help_text: str) -> Completed:
    """What the help of a command says may follow it.

    >>> completed("usage: x check [--json] NAME|FILE")
    Completed(options=('--json',), takes_vector=True)
    """
    return Completed(
        tuple(sorted(set(OPTION.findall(help_text)))),
        any(name in help_text for name in TAKES_A_VECTOR),
    )


def bash_script(prog: str, commands: Mapping[str, Completed], vectors: Iterable[str]) -> str:
    """The script that `eval "$(PROG --completion)"` takes."""
    name = f"_{prog.replace('-', '_')}"
    cases = "\n".join(
        f"    {command}) words='{' '.join(known.options)}'"
        + (' names="$vectors"' if known.takes_vector else "")
        + " ;;"
        for command, known in commands.items()
    )
    return f"""\
{name}() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" words='' names=''
  local vectors='{" ".join(vectors)}'
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W '{" ".join(commands)} --help --version' -- "$word"))
    return
  fi
  case "${{COMP_WORDS[1]}}" in
{cases}
  esac
  [ "${{word:0:1}}" = - ] || words="$names"
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F {name} {prog}
"""
