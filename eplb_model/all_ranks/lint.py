"""The hypotheses under which a few ranks stand for all, read off a vector; and the cut-off.

Rules (specs/all_ranks.md):
- A hypothesis that is not seen to hold fails, with the place.  An operation that nobody classified
  counts as one that reaches other ranks.
- What is compared for two numbers of ranks holds for all, because the document never reads the
  number itself: a constant can be "all peers" for one number only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from eplb_model.all_ranks.chains import (
    Chain,
    chains,
    every_run_does_all,
    is_read,
    repeated_answers,
    representatives,
)
from eplb_model.all_ranks.family import Family
from eplb_model.format.document import VectorError, pointer
from eplb_model.ops.collectives import AllReduce
from eplb_model.ops.moves import peers_read
from eplb_model.scenario import Scenario
from eplb_model.world import Kernel

HYPOTHESES: Mapping[str, str] = {
    "one text": "the number of ranks decides how many there are, and nothing else",
    "own rank": "an operation touches its own rank alone, or meets all ranks",
    "whole groups": "every meeting and every host collective spans all ranks",
    "one order": "every rank enters the meetings of one group in one order",
    "answers": "an all_reduce takes the least or the greatest, or nobody looks at its answer",
    "finite": "no program loops for ever and nothing waits with a time limit",
    "one rank": "what is claimed is about one rank at a time",
    "settings": "every switch has one setting, and CTAs start in index order on every rank",
}

# Operations that read and write parts of their own rank alone.
LOCAL = (
    *("access", "acquire", "alloc", "assert", "await_complete", "await_resident", "branch"),
    *("clear", "copy", "cpu_gpu_event_record", "cpu_gpu_event_wait", "device_synchronize", "die"),
    *("drop", "empty_cache", "event_query", "event_synchronize", "free", "group_boundary"),
    *("group_end", "group_start", "host_alloc", "host_free", "is_set", "join", "launch", "load"),
    *("malloc", "memset", "put", "raise", "record_event", "record_stream", "release", "set"),
    *("set_device", "set_stream", "start", "stream_query", "stream_synchronize"),
    *("stream_wait_event", "take", "test", "try_acquire", "wait_flag"),
)
MEETING = ("all_reduce", "barrier")  # host collectives: of all ranks, or refused

READ_FOR_RANKS = (
    *("derived", "switches", "kernels", "streams", "roles", "groups", "initial", "threads"),
    *("programs", "claims", "forbid"),
)


class Objection(NamedTuple):
    """A hypothesis that fails, where, and why."""

    hypothesis: str
    place: str
    why: str


@dataclass(frozen=True, slots=True)
class Cutoff:
    """How many ranks stand for how many, and why."""

    fixed: int  # ranks with a text of their own: always among the witnesses
    chains: tuple[Chain, ...]
    answers: int  # all_reduces whose answer is looked at: a witness each
    extra: int  # one more where a finished rank may have left out a meeting
    least: int  # the smallest number of ranks that is answered for
    ranks: int  # the cut-off
    instances: tuple[int, ...]  # the numbers of ranks that are explored
    loose: tuple[str, ...]  # kernels whose channels serve peers that depend on the number of ranks


def examine(family: Family) -> Cutoff | tuple[Objection, ...]:
    """The cut-off of a family, or every hypothesis that fails."""
    found = list(_document(family))
    if found:
        return tuple(found)
    least, fixed, one, other = _two_sizes(family)
    found = [*_sizes(fixed, one, other), *_programs(one, fixed), *_claims(one), *_settings(one)]
    linked = chains(one, fixed)
    found += [Objection("one order", *each) for each in linked.objections]
    if found:
        return tuple(found)
    cut = _cutoff(one, least, fixed, linked.chains)
    most = family.vector.parameters["ranks"].most
    if most is not None and cut.ranks > most:
        return (Objection("one text", "/parameters/ranks", f"takes no {cut.ranks}, the cut-off"),)
    return cut


def _cutoff(one: Scenario, least: int, fixed: int, linked: tuple[Chain, ...]) -> Cutoff:
    """One witness per chain, per answer, and for who is stuck without being one."""
    answers = repeated_answers(one, fixed)
    extra = 0 if every_run_does_all(one, fixed) else 1
    hosts = any(chain.host for chain in linked)
    witnesses = max(sum(chain.witnesses for chain in linked) + extra, 2 if hosts else 1)
    least = max(least, fixed + 1)
    ranks = max(least, fixed + answers + witnesses)
    by_cloning = all(chain.witnesses == 1 for chain in linked)
    instances = (ranks,) if by_cloning else tuple(range(least, ranks + 1))
    world = one.world
    loose = tuple(
        name
        for name, kernel in one.kernels.items()
        if kernel.rounds and kernel.ctas > 1 and not all(world.roomy)
    )
    return Cutoff(fixed, linked, answers, extra, least, ranks, instances, loose)


def facts(family: Family, cutoff: Cutoff) -> dict[str, object]:
    """What a certificate says of its vector, in the form of JSON."""
    return {
        "vector_sha256": family.digest,
        "hypotheses": dict(HYPOTHESES),
        "groups": [list(chain.members) for chain in cutoff.chains],
        "loose": list(cutoff.loose),
        "least": cutoff.least,
        "cutoff": cutoff.ranks,
        "instances": list(cutoff.instances),
        "answer": "holds",
    }


# --- the document ------------------------------------------------------------------------------


def _document(family: Family) -> Iterator[Objection]:
    """What keeps two numbers of ranks from standing for all."""
    document = family.vector.document
    if "ranks" not in family.vector.parameters:
        yield Objection("one text", "/parameters", "has no parameter ranks")
    if "protocol" in document:
        why = "a protocol of the library, which may make anything of the number of ranks"
        yield Objection("one text", "/protocol", why)
    for key in READ_FOR_RANKS:
        for path in _readers_of_ranks(document.get(key), (key,)):
            yield Objection("one text", pointer(path), "reads the number of ranks")


def _readers_of_ranks(
    value: object, path: tuple[str | int, ...]
) -> Iterator[tuple[str | int, ...]]:
    if value == "$ranks":
        yield path
    elif isinstance(value, dict):
        if value.get("by") == "ranks":
            yield (*path, "by")
        for key, inner in value.items():
            yield from _readers_of_ranks(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _readers_of_ranks(inner, (*path, index))


def _two_sizes(family: Family) -> tuple[int, int, Scenario, Scenario]:
    """The least number of ranks, how many have a text of their own, and two larger scenarios.

    Ranks that a document names by number are below the least number of ranks it loads with, so in
    larger scenarios the last rank is one of the others.
    """
    least = _least(family)
    size = max(least, 4) + 1
    one, other = family.at(size), family.at(size + 1)
    own = [rank for rank in range(least) if one.ranks[rank] != one.ranks[-1]]
    return least, max(own, default=-1) + 1, one, other


def _least(family: Family) -> int:
    """The smallest number of ranks that the vector takes; its own error if it takes none."""
    ranks = family.vector.parameters["ranks"]
    problem: VectorError | None = None
    for size in range(int(ranks.least or 1), min(int(ranks.most or 64), 64) - 1):
        try:
            family.at(size)
        except VectorError as error:
            problem = problem or error
        else:
            return size
    raise problem or VectorError(ranks.file, ("parameters", "ranks"), "takes too few numbers")


# --- the scenario ------------------------------------------------------------------------------


def _sizes(fixed: int, one: Scenario, other: Scenario) -> Iterator[Objection]:
    """Texts are the same in two sizes, kernels too but for whom they meet: everybody."""
    rest = {one.ranks.index(plan) for plan in one.ranks[fixed:]}
    if one.ranks != other.ranks[: len(one.ranks)] or len(rest) != 1:
        yield Objection("one text", "/programs", "texts differ with the number of ranks")
    for name, kernel in one.kernels.items():
        alone = replace(kernel, meets=None, rounds=())
        if alone != replace(other.kernels[name], meets=None, rounds=()):
            why = "differs with the number of ranks"
            yield Objection("one text", pointer(("kernels", name)), why)
        for scenario in (one, other):
            if not _meets_all(scenario.kernels[name], len(scenario.ranks)):
                why = "meets some ranks and not others"
                yield Objection("whole groups", pointer(("kernels", name, "meets")), why)
                break
    for name, members in one.groups.items():
        if set(members) != set(range(len(one.ranks))) or len(other.groups[name]) == len(members):
            yield Objection("whole groups", pointer(("groups", name)), "is a part of the ranks")


def _meets_all(kernel: Kernel, ranks: int) -> bool:
    """Whether a kernel meets every peer, and its channels together serve every one of them."""
    meets = kernel.meets
    if meets is None:
        return True
    everyone = set(range(1, ranks))
    if kernel.rounds:
        served = {r for rounds in kernel.rounds for r in rounds}
        return set(meets.sends) == set(meets.receives) == everyone and served >= everyone
    peers = {-r % ranks for r in meets.receives}
    peers |= set() if meets.eager else {r % ranks for r in meets.sends}
    return peers == everyone


def _programs(one: Scenario, fixed: int) -> Iterator[Objection]:
    """Every operation is local or meets all, waits without a limit, and comes to an end."""
    for rank in representatives(one, fixed):
        for program in one.world.ranks[rank].threads:
            place = f"thread {program.name} of rank {rank}"
            if program.cyclic:
                yield Objection("finite", place, "loops for ever")
            for op in dict.fromkeys(program.code):
                if getattr(op, "timeout", False):
                    yield Objection("finite", place, f"{op.kind} has a time limit")
                reaches = op.kind not in (*LOCAL, *MEETING)
                if reaches or any(peers_read(getattr(op, "moves", ()))):
                    yield Objection("own rank", place, f"{op.kind} reaches other ranks")
                if isinstance(op, AllReduce):
                    yield from _answer(one, rank, op, place)


def _answer(one: Scenario, rank: int, op: AllReduce, place: str) -> Iterator[Objection]:
    if op.reduction == "sum" and is_read(one.world, rank, op.into):
        why = f"{op.into} is a sum, which grows with the number of ranks"
        yield Objection("answers", place, why)


def _claims(one: Scenario) -> Iterator[Objection]:
    for number, claim in enumerate(one.claims):
        if claim.kind not in ("always", "at_end") or getattr(claim, "on", None) is not None:
            why = f"{claim.kind} is not about each rank by itself"
            yield Objection("one rank", pointer(("claims", number)), why)


def _settings(one: Scenario) -> Iterator[Objection]:
    for name, settings in one.machine.settings():
        if len(settings) > 1:
            why = f"stands for {' and '.join(settings)}; choose one with --switch {name}=..."
            yield Objection("settings", pointer(("switches", name)), why)
    if one.machine.switches.cta_order != "index":
        yield Objection("settings", "/switches/cta_order", "depends on the number of the rank")
    for name, kernel in one.kernels.items():
        if kernel.rounds and kernel.ctas > 1 and kernel.ends == "together":
            why = "its channels end together"
            yield Objection("settings", pointer(("kernels", name, "ends")), why)
