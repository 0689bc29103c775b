"""What a vector claims of its variables, and which habits it calls errors.

Rules:
- `{"always": ["x", "==", 1], "on": 0, "sentence": "..."}`: a condition as programs have it, where a
  name on the left stands for the variable of that name.  `at_end`, `eventually` and `sometimes`
  are written alike; `on` is one rank, or "all" if it is left out.
- `{"agree": "x", "when": "step", "sentence": "..."}`: two variables.
- A claim names variables and flags that every rank it is about has; no two claims say the same.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import cast, get_args

from eplb_model.claims import Agree, Claim, Stated, StatedKind
from eplb_model.format.document import describe
from eplb_model.format.statements import read_condition, written_condition
from eplb_model.format.template import NAME, Node
from eplb_model.scenario import FORBIDDEN, Planned, RankPlan, assemble, names_in

STATED: tuple[StatedKind, ...] = get_args(StatedKind)
CLAIM_KINDS = (*STATED, "agree")
STATED_KEYS = ("on", "sentence")
AGREE_KEYS = ("agree", "when", "sentence")
SHOWN = ("variable", "flag")  # what of a rank's memory a claim may look at


def read_claims(section: Node | None, made: Planned) -> tuple[Claim, ...]:
    """The claims of a vector about plans that are made; `VectorError` for what can't be one."""
    if section is None:
        return ()
    known = [_known(plan) for plan in made.ranks]
    said = {claim.sentence for claim in made.claims}
    claims = []
    for node in section.elements("a list of claims"):
        claim = _claim(node, len(made.ranks))
        if claim.sentence in said:
            raise node.error(f"a second claim says {describe(claim.sentence)}; expected each once")
        said.add(claim.sentence)
        for rank, names in enumerate(known):
            _check_names(node, claim, rank, names)
        claims.append(claim)
    return tuple(claims)


def read_forbidden(section: Node | None) -> frozenset[str]:
    """What is an error in this scenario although the machine allows it."""
    if section is None:
        return frozenset()
    return frozenset(each.choice(FORBIDDEN) for each in section.elements())


def written_claim(claim: Claim) -> dict[str, object]:
    """A claim as a vector has it."""
    if isinstance(claim, Agree):
        return {"agree": claim.variable, "when": claim.key, "sentence": claim.sentence}
    on = {} if claim.on is None else {"on": claim.on[0]}
    return {claim.kind: written_condition(claim.condition), **on, "sentence": claim.sentence}


def _claim(node: Node, ranks: int) -> Claim:
    members = node.value if isinstance(node.value, dict) else {}
    kind = next((each for each in CLAIM_KINDS if each in members), None)
    if kind is None:
        raise node.unexpected(f"a claim: an object with one of {', '.join(CLAIM_KINDS)}")
    if kind == "agree":
        parts = node.fields(AGREE_KEYS, AGREE_KEYS)
        return Agree(parts["agree"].name(), parts["when"].name(), parts["sentence"].text())
    parts = node.fields((kind, *STATED_KEYS), (kind, "sentence"))
    on = parts.get("on")
    everywhere = on is None or on.value == "all"
    return Stated(
        cast(StatedKind, kind),
        read_condition(_named(parts[kind]), "claim"),
        parts["sentence"].text(),
        None if everywhere or on is None else (on.integer(0, ranks - 1),),
    )


def _named(node: Node) -> Node:
    """A condition whose left side, a name, is put as the variable that it stands for."""
    value = node.value
    if not isinstance(value, (list, tuple)) or not value or not isinstance(value[0], str):
        return node
    if not NAME.fullmatch(value[0]):
        return node
    return Node([{"var": value[0]}, *value[1:]], node.file, node.path, node.scope, node.via)


def _check_names(node: Node, claim: Claim, rank: int, known: Collection[str]) -> None:
    for name in claim.names(rank):
        if name not in known:
            where = Node(name, node.file, node.path)
            raise where.unknown("variable", sorted(known), f" on rank {rank}")


def _known(plan: RankPlan) -> frozenset[str]:
    """The variables and flags of a rank: put or set by some program, or there from the start."""
    uses = (use for thread in plan.threads for op in assemble(thread).code for use in names_in(op))
    return frozenset(plan.initial) | {name for role, _, name in uses if role.name in SHOWN}
