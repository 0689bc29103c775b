"""Every name that a program uses has to be known on the rank that runs it.

Rules:
- Kernels, groups and threads are declared; streams are declared, or brought to life by the first
  operation that puts work on them.  `current` is none: it stands for one of them.
- An event that is used is recorded somewhere on the rank; a variable that is read is put there, or
  has an initial value.
- One name of a rank's memory is one thing: a flag is not also a variable.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from eplb_model.format.document import describe, listing
from eplb_model.format.statements import Use
from eplb_model.format.template import Node
from eplb_model.scenario import IN_MEMORY
from eplb_model.world import CURRENT, Kernel

# What brings a name to life that others only use.
VERBS: Mapping[str, tuple[str, str]] = {
    "event": ("records", "recorded"),
    "variable": ("puts", "put"),
    "tensor": ("allocates", "allocated"),
}


class Known(NamedTuple):
    """What the programs of one rank may name."""

    rank: int
    threads: Collection[str]
    streams: Collection[str]
    initial: Mapping[str, Node]
    flags: Collection[str]  # that kernels spin on


def check_declared(
    uses: Iterable[Use], kernels: Mapping[str, Kernel], groups: Collection[str]
) -> None:
    """Raise for a kernel or a group that the vector has not; these are the same on all ranks."""
    tables: Mapping[str, Collection[str]] = {"kernel": kernels, "group": ("world", *groups)}
    for use in uses:
        if use.role.name in tables and use.name not in tables[use.role.name]:
            raise use.node.unknown(use.role.name, tables[use.role.name])


def check_rank(uses: Sequence[Use], known: Known) -> None:
    """Raise for the first name that means nothing on a rank, or two things."""
    _check_memory(uses, known)
    declared = {(use.role.name, use.name) for use in uses if use.role.declares}
    declared |= {("variable", name) for name in known.initial}
    current = (CURRENT,) if known.streams else ()
    tables = {"thread": known.threads, "stream": (*known.streams, *current)}
    for use in (each for each in uses if each.rank is None):
        role = use.role.name
        if role in tables and use.name not in tables[role]:
            raise use.node.unknown(role, tables[role], f" on rank {known.rank}")
        if role in IN_MEMORY and (role, use.name) not in declared:
            names = sorted(name for kind, name in declared if kind == role)
            raise use.node.error(_undeclared(use, known.rank, names))


def check_peers(uses: Iterable[Use], variables: Sequence[Collection[str]]) -> None:
    """Raise for a variable of a peer that is none there; `variables` are those of each rank."""
    for use in (each for each in uses if each.rank is not None):
        assert use.rank is not None
        if use.rank >= len(variables):
            problem = f"{describe(use.node.value)} names rank {use.rank}"
            raise use.node.error(f"{problem}; expected a rank of 0..{len(variables) - 1}")
        if use.name not in variables[use.rank]:
            raise use.node.error(_undeclared(use, use.rank, sorted(variables[use.rank])))


def variables_put(uses: Iterable[Use]) -> set[str]:
    """The variables that the programs of a rank bring to life."""
    return {use.name for use in uses if use.role.name == "variable" and use.role.declares}


def engines_used(uses: Iterable[Use]) -> tuple[str, ...]:
    """The engines that operations name, in order of first use."""
    return tuple(dict.fromkeys(use.name for use in uses if use.role.name == "engine"))


def streams_used(uses: Iterable[Use]) -> tuple[str, ...]:
    """The streams that operations put work on, in order of first use."""
    return tuple(
        dict.fromkeys(
            use.name
            for use in uses
            if use.role.name == "stream" and use.role.declares and use.name != CURRENT
        )
    )


def _undeclared(use: Use, rank: int, names: Collection[str]) -> str:
    verb, done = VERBS[use.role.name]
    what = f"{use.role.name} {describe(use.name)}"
    return f"no thread of rank {rank} {verb} {what}; {done} there: {listing(names)}"


def _check_memory(uses: Sequence[Use], known: Known) -> None:
    roles = dict.fromkeys(known.flags, "flag")
    for use in (each for each in uses if each.rank is None):
        role = use.role.name
        if role in IN_MEMORY and roles.setdefault(use.name, role) != role:
            problem = f"{describe(use.name)} is used as {_a(role)} and as {_a(roles[use.name])}"
            raise use.node.error(f"{problem} on rank {known.rank}; expected different names")
    for name, node in known.initial.items():
        role = roles.get(name, "variable")
        if role == "flag":
            node.boolean()
        elif role != "variable":
            raise node.error(f"{describe(name)} is {_a(role)}; expected a variable or a flag")


def _a(role: str) -> str:
    return f"{'an' if role == 'event' else 'a'} {role}"
