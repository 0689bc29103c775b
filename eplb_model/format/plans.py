"""Roles, programs, streams and initial values of a vector, turned into a plan for every rank.

Rules:
- A role is a set of ranks; `"*"` is all of them.  What a rank does is the sum of what its roles
  do, so ranks with the same roles share one plan.
- Two roles never say the same thing about a rank: that is an error, not an override.
- Threads come in the order of the programs, streams in the order in which they are declared or,
  if they are not, first used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple, cast, get_args

from eplb_model.format.document import describe, listing
from eplb_model.format.names import (
    Known,
    check_declared,
    check_peers,
    check_rank,
    engines_used,
    streams_used,
    variables_put,
)
from eplb_model.format.statements import ProgramText, Use, read_program
from eplb_model.format.template import NAME, Node
from eplb_model.scenario import RankPlan, ThreadPlan
from eplb_model.world import CURRENT, Kernel, Stream, StreamKind

EVERYBODY = "*"
STREAM_KINDS: tuple[StreamKind, ...] = get_args(StreamKind)
STREAM_KEYS = ("name", "priority", "kind", "device")
LEAST_URGENT, MOST_URGENT = 100, -100  # a GPU has fewer levels (G18)
LAST_DEVICE = 63  # of a process; hosts have fewer GPUs

Ranks = tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Entry:
    """Something that a role says about its ranks under a name, and where."""

    role: str
    name: str
    node: Node  # the value; its path ends in the key


class Plans(NamedTuple):
    """The sections of a vector from which the plans of its ranks are made."""

    ranks: int
    roles: Mapping[str, Ranks]
    programs: Node
    texts: Mapping[_Entry, ProgramText]
    started: Sequence[_Entry]
    streams: Node | None
    initial: Sequence[_Entry]
    kernels: Mapping[str, Kernel]


def read_plans(
    sections: Mapping[str, Node],
    ranks: int,
    kernels: Mapping[str, Kernel],
    groups: Mapping[str, Ranks],
) -> tuple[RankPlan, ...]:
    """The plan of every rank, from the sections roles, programs, threads, streams and initial."""
    roles = read_roles(sections.get("roles"), ranks)
    programs = sections["programs"]
    texts = {entry: read_program(entry.node) for entry in _entries(programs, roles)}
    check_declared(chain.from_iterable(text.uses for text in texts.values()), kernels, groups)
    plans = Plans(
        ranks,
        roles,
        programs,
        texts,
        _started(sections.get("threads"), roles, texts),
        sections.get("streams"),
        _initial(sections.get("initial"), roles),
        kernels,
    )
    by_roles: dict[tuple[str, ...], RankPlan] = {}
    found = []
    variables: list[set[str]] = []
    for rank in range(ranks):
        mine = tuple(role for role, members in roles.items() if rank in members)
        if mine not in by_roles:
            by_roles[mine] = _plan(plans, rank, mine)
        found.append(by_roles[mine])
        uses = [use for entry, text in texts.items() if entry.role in mine for use in text.uses]
        variables.append({*variables_put(uses), *found[-1].initial})
    check_peers(chain.from_iterable(text.uses for text in texts.values()), variables)
    return tuple(found)


def read_groups(section: Node | None, ranks: int) -> dict[str, Ranks]:
    """The named groups; `world` is there without being named."""
    found: dict[str, Ranks] = {}
    for name, node in section.named().items() if section is not None else ():
        if name == "world":
            raise node.error("group world is always there; expected another name")
        found[name] = tuple(range(ranks)) if node.value == "all" else _ranks(node, ranks)
        if not found[name]:
            raise node.unexpected("at least one rank")
    return found


def read_roles(section: Node | None, ranks: int) -> dict[str, Ranks]:
    """The ranks of each role."""
    everybody = tuple(range(ranks))
    found = {EVERYBODY: everybody}
    nodes = section.named() if section is not None else {}
    listed = {
        name: _ranks(node, ranks)
        for name, node in nodes.items()
        if node.value not in ("all", "others")
    }
    taken = set(chain.from_iterable(listed.values()))
    others = tuple(rank for rank in everybody if rank not in taken)
    for name, node in nodes.items():
        found[name] = listed.get(name, everybody if node.value == "all" else others)
    return found


def _ranks(node: Node, ranks: int) -> Ranks:
    if isinstance(node.value, str):
        raise node.unexpected("a list of ranks, 'all', or for a role 'others'")
    found = []
    for each in node.elements("a list of ranks, 'all', or for a role 'others'"):
        rank = each.integer()
        if not 0 <= rank < ranks:
            raise each.unexpected(f"a rank of 0..{ranks - 1}")
        found.append(rank)
    if len(set(found)) < len(found):
        raise node.error("a rank appears twice; expected each once")
    return tuple(found)


# --- sections by role --------------------------------------------------------------------------


def _entries(section: Node, roles: Mapping[str, Ranks]) -> Iterator[_Entry]:
    """The members of a section whose keys are `role.thread`."""
    for key, node in section.members("an object with programs by role.thread").items():
        role, dot, name = key.partition(".")
        where = _at(section, key)
        if not dot or not NAME.fullmatch(name):
            raise where.error(f"got {describe(key)}; expected role.thread, like *.main")
        _check_role(where, role, roles)
        yield _Entry(role, name, node)


def _started(
    section: Node | None, roles: Mapping[str, Ranks], texts: Mapping[_Entry, ProgramText]
) -> list[_Entry]:
    """What the section `threads` says, as whether the thread runs from the start."""
    found = []
    known = dict.fromkeys(entry.name for entry in texts)
    for key, node in section.members().items() if section is not None else ():
        role, dot, name = key.rpartition(".")
        role = role if dot else EVERYBODY
        where = _at(section, key)
        _check_role(where, role, roles)
        if name not in known:
            raise where.error(f"unknown thread {describe(name)}; known: {listing(known)}")
        for each in node.fields(("started",), ("started",)).values():
            each.boolean()
            found.append(_Entry(role, name, each))
    return found


def _initial(section: Node | None, roles: Mapping[str, Ranks]) -> list[_Entry]:
    found = []
    for role, node in section.members().items() if section is not None else ():
        _check_role(_at(section, role), role, roles)
        for name, value in node.named().items():
            value.constant()
            found.append(_Entry(role, name, value))
    return found


def _check_role(where: Node, role: str, roles: Mapping[str, Ranks]) -> None:
    if role not in roles:
        raise where.error(f"unknown role {describe(role)}; known: {listing(roles)}")


def _at(section: Node | None, key: str) -> Node:
    assert section is not None
    return Node(key, section.file, (*section.path, key), via=section.via)


def _mine(entries: Sequence[_Entry], roles: Sequence[str], rank: int) -> dict[str, _Entry]:
    """The entries for a rank by name; an error if two roles have the same."""
    found: dict[str, _Entry] = {}
    for entry in entries:
        if entry.role not in roles:
            continue
        if entry.name in found:
            both = f"{found[entry.name].role}.{entry.name} and {entry.role}.{entry.name}"
            problem = f"rank {rank} has two entries for {entry.name}: {both}"
            raise entry.node.error(f"{problem}; expected one")
        found[entry.name] = entry
    return found


# --- one rank ----------------------------------------------------------------------------------


def _plan(plans: Plans, rank: int, roles: Sequence[str]) -> RankPlan:
    programs = _mine(tuple(plans.texts), roles, rank)
    asleep = _mine(plans.started, roles, rank)
    initial = {name: entry.node for name, entry in _mine(plans.initial, roles, rank).items()}
    uses = [use for entry in programs.values() for use in plans.texts[entry].uses]
    streams = _streams(plans, rank, roles, uses)
    _check_actors(rank, programs, [stream.name for stream in streams], engines_used(uses))
    flags = [kernel.until for kernel in plans.kernels.values() if kernel.until is not None]
    check_rank(uses, Known(rank, list(programs), [s.name for s in streams], initial, flags))
    threads = tuple(
        ThreadPlan(
            name,
            plans.texts[entry].body,
            asleep[name].node.boolean() if name in asleep else True,
        )
        for name, entry in programs.items()
    )
    values = {name: node.constant() for name, node in initial.items()}
    return RankPlan(threads, streams, values)


def _check_actors(
    rank: int, programs: Mapping[str, _Entry], streams: Sequence[str], engines: Sequence[str]
) -> None:
    """Threads, streams and engines of a rank have different names: schedules are made of them."""
    for what, names in (("a stream", streams), ("an engine", engines)):
        for name in names:
            if name in programs:
                problem = f"rank {rank} has a thread and {what} {describe(name)}"
                raise programs[name].node.error(f"{problem}; expected different names")
    for name in engines:
        if name in streams:
            entry = next(iter(programs.values()))
            problem = f"rank {rank} has a stream and an engine {describe(name)}"
            raise entry.node.error(f"{problem}; expected different names")


def _streams(
    plans: Plans, rank: int, roles: Sequence[str], uses: Sequence[Use]
) -> tuple[Stream, ...]:
    section = plans.streams
    if section is None:
        return tuple(map(Stream, streams_used(uses)))
    if isinstance(section.value, (list, tuple)):
        return _declared(section)
    found: Node | None = None
    for role, node in section.members("a list of streams, or lists by role").items():
        _check_role(_at(section, role), role, plans.roles)
        if role not in roles:
            continue
        if found is not None:
            raise node.error(f"rank {rank} has two lists of streams; expected one")
        found = node
    return tuple(map(Stream, streams_used(uses))) if found is None else _declared(found)


def _declared(node: Node) -> tuple[Stream, ...]:
    streams: dict[str, Stream] = {}
    for each in node.elements("a list of streams"):
        stream = _stream(each)
        if stream.name == CURRENT:
            raise each.error("current stands for what a thread has set; expected another name")
        if stream.name in streams:
            raise each.error(f"stream {describe(stream.name)} twice; expected different names")
        streams[stream.name] = stream
    return tuple(streams.values())


def _stream(node: Node) -> Stream:
    if not isinstance(node.value, dict):
        return Stream(node.name())
    parts = node.fields(STREAM_KEYS, ("name",))
    return Stream(
        parts["name"].name(),
        parts["priority"].integer(MOST_URGENT, LEAST_URGENT) if "priority" in parts else 0,
        cast(StreamKind, parts["kind"].choice(STREAM_KINDS)) if "kind" in parts else "nonblocking",
        parts["device"].integer(0, LAST_DEVICE) if "device" in parts else 0,
    )
