"""The two-thread event for ever: an inductive invariant, checked by z3 without any bound.

    python specs/cpu_gpu_event/invariant.py        # pip install z3-solver

prints every question with its answer, and exits with 1 if one is not as expected.

One thread records, another waits, round after round; the argument in words is
../proofs/two_thread_event.md, and event.pml has the same steps in Promela.  A state is a tuple of
unknowns, a step a guard and what it changes, the invariant a list of sentences.  Numbers are
integers without a limit: rounds, device events, pieces of work.

Sources: vLLM 0.20 and 0.33, class CpuGpuEvent, read step by step; rules G33 and G35 of
../sources.md.

Left out: more than one producer or consumer, who break the invariant at once (cpu_gpu_event.pml
has them); liveness, of which an invariant says nothing; a b1 that raises, since it changes nothing.

Checked with z3 5.4: the invariant holds at first, each of the 11 steps keeps each of its 7
sentences, and the four guarantees follow.  Three broken siblings have a step that does not keep it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import z3

# --- variables and the initial state ------------------------------------------------------------


OUT, B2, B3, B4 = (z3.IntVal(n) for n in range(4))  # the producer's next step; OUT: b1 or work
A1, A2, A3, A4 = (z3.IntVal(n) for n in range(4))  # the consumer's


class State(NamedTuple):
    """Unknowns; the device events are numbered in the order in which b2 makes them."""

    flag: z3.BoolRef
    producer: z3.ArithRef
    consumer: z3.ArithRef
    made: z3.ArithRef  # the device event in the attribute
    recorded: z3.ArithRef  # the one that b3 recorded last
    loaded: z3.ArithRef  # the one that the consumer holds after a2
    records: z3.ArithRef  # how many have returned without an error
    waits: z3.ArithRef
    work: z3.ArithRef  # pieces put on the producer's stream
    covers: z3.ArithRef  # how many of them come before the last b3
    owed: z3.ArithRef  # how many the last record that returned stands for
    ordered: z3.ArithRef  # how many come before what the consumer puts on its stream


Step = tuple[z3.BoolRef, Mapping[str, z3.ExprRef]]
Steps = Callable[["State"], Mapping[str, Step]]
Sentences = Mapping[str, z3.BoolRef]

ANY = State(
    z3.Bool("flag"),
    *(z3.Int(name) for name in State._fields[1:]),
)
FIRST = State(z3.BoolVal(False), OUT, A1, *(z3.IntVal(0) for _ in State._fields[3:]))


# --- actions: guard first, then what changes; what is not named stays ---------------------------


def producing(s: State) -> dict[str, Step]:
    """The steps of the producer; b1 that raises changes nothing and is left out."""
    return {
        "work": (s.producer == OUT, {"work": s.work + 1}),
        "b1": (z3.And(s.producer == OUT, z3.Not(s.flag)), {"producer": B2}),
        "b2": (s.producer == B2, {"producer": B3, "made": s.made + 1}),
        "b3": (s.producer == B3, {"producer": B4, "recorded": s.made, "covers": s.work}),
        "b3 raises": (s.producer == B3, {"producer": OUT}),
        "b4": (
            s.producer == B4,
            {"producer": OUT, "flag": z3.BoolVal(True), "records": s.records + 1, "owed": s.work},
        ),
    }


def waited(s: State) -> z3.ExprRef:
    """What the consumer's stream is ordered after, once a3 is done; an unrecorded event is none."""
    return z3.If(z3.And(s.loaded == s.recorded, s.covers > s.ordered), s.covers, s.ordered)


def consuming(s: State) -> dict[str, Step]:
    """The steps of the consumer."""
    return {
        "a1": (z3.And(s.consumer == A1, s.flag), {"consumer": A2}),
        "a2": (s.consumer == A2, {"consumer": A3, "loaded": s.made}),
        "a3": (s.consumer == A3, {"consumer": A4, "ordered": waited(s)}),
        "a3 raises": (s.consumer == A3, {"consumer": A1}),
        "a4": (s.consumer == A4, {"consumer": A1, "flag": z3.BoolVal(False), "waits": s.waits + 1}),
    }


def right(s: State) -> dict[str, Step]:
    """All steps of the code as it is."""
    return {**producing(s), **consuming(s)}


# --- broken siblings ----------------------------------------------------------------------------


def clears_first(s: State) -> dict[str, Step]:
    """Broken: the flag comes down with a1, before the event is loaded."""
    early = {
        "a1": (z3.And(s.consumer == A1, s.flag), {"consumer": A2, "flag": z3.BoolVal(False)}),
        "a4": (s.consumer == A4, {"consumer": A1, "waits": s.waits + 1}),
    }
    return {**right(s), **early}


def sets_first(s: State) -> dict[str, Step]:
    """Broken: the flag goes up before the event is recorded."""
    early = {
        "b3": (
            s.producer == B3,
            {"producer": B4, "flag": z3.BoolVal(True), "records": s.records + 1, "owed": s.work},
        ),
        "b4": (s.producer == B4, {"producer": OUT, "recorded": s.made, "covers": s.work}),
    }
    return {**right(s), **early}


def never_looks(s: State) -> dict[str, Step]:
    """Broken: b1 goes on although the flag is up."""
    return {**right(s), "b1": (s.producer == OUT, {"producer": B2})}


# --- the invariant, and what follows from it ----------------------------------------------------


def invariant(s: State) -> dict[str, z3.BoolRef]:
    """What holds in every state: with the first two alone record and wait can't overlap."""
    return {
        "the flag up keeps the producer out": z3.Implies(s.flag, s.producer == OUT),
        "the flag down keeps the consumer out": z3.Implies(z3.Not(s.flag), s.consumer == A1),
        "what is about to be published is recorded": z3.Implies(
            s.producer == B4, z3.And(s.recorded == s.made, s.covers == s.work)
        ),
        "what is published is recorded": z3.Implies(
            s.flag, z3.And(s.recorded == s.made, s.covers >= s.owed)
        ),
        "what is loaded is what is published": z3.Implies(
            z3.Or(s.consumer == A3, s.consumer == A4), s.loaded == s.made
        ),
        "after a3 the order is there": z3.Implies(s.consumer == A4, s.ordered >= s.owed),
        "one record is ahead exactly while the flag is up": (
            s.records == s.waits + z3.If(s.flag, 1, 0)
        ),
    }


def guarantees(s: State) -> dict[str, z3.BoolRef]:
    """G1 to G4, each as a sentence about one state."""
    replaces = z3.Or(s.producer == B2, s.producer == B3, s.producer == B4)
    return {
        "G1": z3.Implies(s.consumer == A3, s.loaded == s.recorded),
        "G2": z3.Implies(s.consumer == A4, s.ordered >= s.owed),
        "G3": z3.Implies(s.consumer == A4, s.records == s.waits + 1),
        "G4": z3.Not(z3.And(s.records > s.waits, replaces)),
    }


# --- what z3 is asked ---------------------------------------------------------------------------


def proved(assumed: z3.BoolRef | bool, claim: z3.BoolRef) -> bool:
    """Whether the claim follows; z3 looks for a state that is assumed and breaks it."""
    solver = z3.Solver()
    solver.add(assumed, z3.Not(claim))
    answer = solver.check()
    assert answer != z3.unknown, "z3 does not know"
    return bool(answer == z3.unsat)


def not_inductive(steps: Steps, kept: Callable[[State], Sentences]) -> Iterator[tuple[str, str]]:
    """Each step and sentence for which there is a counterexample to induction."""
    holds = z3.And(*kept(ANY).values())
    for name, (guard, changes) in steps(ANY).items():
        after = kept(ANY._replace(**changes))
        for sentence, claim in after.items():
            if not proved(z3.And(holds, guard), claim):
                yield name, sentence


# --- the questions ---------------------------------------------------------------------------


class Question(NamedTuple):
    """What z3 is asked, and what it must answer: holds or violated."""

    name: str
    about: str
    expected: str
    answer: Callable[[], bool]


def questions() -> tuple[Question, ...]:
    """All of them, in the order of the argument."""
    kept = z3.And(*invariant(ANY).values())
    follows = {
        name: (lambda claim=claim: proved(kept, claim)) for name, claim in guarantees(ANY).items()
    }
    return (
        Question(
            "initial",
            "The invariant holds at first.",
            "holds",
            lambda: proved(True, z3.And(*invariant(FIRST).values())),
        ),
        Question(
            "inductive",
            "Every step keeps it, for ever.",
            "holds",
            lambda: not list(not_inductive(right, invariant)),
        ),
        *(
            Question(name, f"It follows that {PROMISED[name]}.", "holds", answer)
            for name, answer in follows.items()
        ),
        *(
            Question(steps.__name__, f"Broken: {said}.", "violated", _is_kept_by(steps))
            for steps, said in BROKEN
        ),
    )


PROMISED = {
    "G1": "a wait acts on an event that was recorded",
    "G2": "what comes after a wait comes after what was put before the record",
    "G3": "one wait returns for each record",
    "G4": "a record that is not consumed is neither replaced nor erased",
}
BROKEN: tuple[tuple[Steps, str], ...] = (
    (clears_first, "the flag comes down before the event is loaded"),
    (sets_first, "the flag goes up before the event is recorded"),
    (never_looks, "a record goes on although the flag is up"),
)


def _is_kept_by(steps: Steps) -> Callable[[], bool]:
    return lambda: not list(not_inductive(steps, invariant))


def main() -> int:
    """Ask all questions; for a broken sibling say which step breaks which sentence."""
    wrong = 0
    for each in questions():
        found = "holds" if each.answer() else "violated"
        wrong += found != each.expected
        sys.stdout.write(f"{each.name:14} {found:9} {each.about}\n")
    for steps, _ in BROKEN:
        step, sentence = next(not_inductive(steps, invariant))
        sys.stdout.write(f"{steps.__name__}: {step} does not keep: {sentence}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
