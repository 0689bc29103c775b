"""A world as one Promela text: constants, state, the law, a process per actor, what is looked for.

Rules:
- One step of ours is one step of the Promela model (`d_step`), and two states are equal there
  exactly if they are equal here, so that a plain search counts the same number of both.
- The law is hand-written Promela (law/*.pml).  Only what depends on the scenario is generated.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources

from eplb_model.export.cannot import CannotExport
from eplb_model.export.promela import groups, host, meetings
from eplb_model.export.promela.call import EMITTERS, Call, Step
from eplb_model.export.promela.constants import constants
from eplb_model.export.promela.formulas import Process, define, folded, formulas, nfair
from eplb_model.export.promela.kernels import options
from eplb_model.export.promela.layout import Layout, all_of
from eplb_model.export.promela.limits import refuse
from eplb_model.export.promela.variables import scratch, state
from eplb_model.export.promela.watch import (
    broken_claim,
    ends_badly,
    interesting,
    race,
    somebody_has_work,
)
from eplb_model.ops.threads import Branch
from eplb_model.outcome import Actor
from eplb_model.scenario import Scenario
from eplb_model.trace import phrase
from eplb_model.world import CURRENT, HostOperation

__all__ = ["Exported", "promela"]

REGISTERED = (groups, host, meetings)  # modules that register emitters when they are imported


@dataclass(frozen=True)
class Exported:
    """The model, and what its numbers stand for."""

    text: str
    layout: Layout
    cyclic: bool  # so that silent stalls have to be looked for
    interesting: int  # how many cases some run has to reach
    processes: int  # an actor is one


def promela(scenario: Scenario) -> Exported:
    """The Promela model of a scenario on one machine with definite switches.

    Raises `CannotExport`, which names the operation or switch that can't be expressed.
    """
    world = scenario.world
    refuse(scenario)
    layout = Layout(world)
    threads = [_thread(layout, actor) for actor in world.threads]
    streams = [_stream(layout, actor) for actor in world.streams]
    parts = [
        _header(scenario),
        *constants(layout),
        *state(layout),
        *scratch(layout),
        *_law(layout),
        *_properties(layout),
        *(each.text for each in (*threads, *streams)),
        *_watch(layout),
        *formulas(layout, [*threads, *streams], world.cyclic),
    ]
    reach = sum(1 for _ in interesting(layout))
    return Exported("\n".join(parts) + "\n", layout, world.cyclic, reach, len(world.actors))


@cache
def piece(name: str) -> str:
    """A part of the law."""
    return resources.files(__package__).joinpath("law", f"{name}.pml").read_text()


def _header(scenario: Scenario) -> str:
    given = ", ".join(f"{name}={value}" for name, value in scenario.parameters.items())
    switches = scenario.machine.switches
    named = ", ".join(f"{n}={getattr(switches, n)}" for n in type(switches).__dataclass_fields__)
    fair = f"-DNFAIR={nfair(len(scenario.world.actors))}"
    lines = [
        f"Scenario {scenario.name}.",
        *textwrap.wrap(scenario.about, 90),
        "",
        *textwrap.wrap(f"Parameters: {given or 'none'}.", 90, subsequent_indent="  "),
        *textwrap.wrap(f"Machine: {scenario.machine.name}. Switches: {named}.", 90,
                       subsequent_indent="  "),
        "",
        "The rules are those of specs/semantics.md; an operation has the section of its name.",
        "One d_step is one step there, and states are equal here exactly if they are equal there.",
        "Left out: the texts of errors, and why somebody waits. A queue has a bound here, and an",
        "assertion fails if it is too small.",
        "",
        "Every schedule:   spin -a -o1 -o2 -o3 model.pml",
        "                  gcc -O1 -w -DSAFETY -DNOREDUCE -DVECTORSZ=8192 -o pan pan.c; ./pan -c0",
        "One property:     spin -DLTL -a -o1 -o2 -o3 model.pml",
        f"                  gcc -O1 -w -DNOREDUCE -DVECTORSZ=8192 {fair} -o pan pan.c",
        "                  ./pan -a -N no_deadlock            (-f for those under fairness)",
    ]  # fmt: skip
    if scenario.world.cyclic:
        lines += [
            "Silent stalls:    spin -DLIVENESS -a -o1 -o2 -o3 model.pml",
            f"                  gcc -O1 -w -DNOREDUCE -DVECTORSZ=8192 {fair} -o pan pan.c",
            "                  ./pan -a -f",
        ]
    return "/* " + "\n * ".join(lines).replace("\n *  \n", "\n *\n") + "\n */\n"


def _law(layout: Layout) -> Iterator[str]:
    world = layout.world
    kinds = {op.kind for program in world.programs for op in program.code}
    yield piece("threads")
    if world.streams:
        yield piece("shared_queues" if layout.shares_queues else "own_queues")
        waits = any(work.kind == "await" for work in layout.works.values())
        yield from (piece("streams"), piece("waits" if waits else "no_waits"))
        yield piece("roomy" if all(world.roomy) else "crowded")
        yield from (piece("calls"), piece("meetings"))
    if groups.most_kept(layout):
        yield piece("groups")
    if any(kind.startswith("cpu_gpu_event") for kind in kinds):
        yield piece("event")
    if kinds & {"all_reduce", "barrier"}:
        yield _raise_in(layout)
        yield piece("collectives")
    if kinds & {"isend", "irecv"}:
        yield _deliver(layout)
        yield piece("mail")


def _raise_in(layout: Layout) -> str:
    """An error that another thread's step raises in a thread: its handlers apply."""
    lines = ["inline raise_in(t, family)", "{       if"]
    for actor in layout.world.threads:
        for first, last, target in layout.world.programs[actor.slot].handlers:
            name = layout.thread(actor)
            inside = f"thread[t].at >= {first} && thread[t].at <= {last}"
            earlier = [
                f"!(thread[t].at >= {a} && thread[t].at <= {b})"
                for a, b, _ in _before(layout, actor, (first, last, target))
            ]
            guard = all_of((f"t == {name}", inside, *earlier))
            lines.append(f"        :: {guard} -> go(t, {target})")
    return "\n".join([*lines, "        :: else -> fail(t, family)", "        fi", "}", ""])


def _before(
    layout: Layout, actor: Actor, handler: tuple[int, int, int]
) -> tuple[tuple[int, int, int], ...]:
    handlers = layout.world.programs[actor.slot].handlers
    return handlers[: handlers.index(handler)]


def _deliver(layout: Layout) -> str:
    """What a receive does with the value that it was sent."""
    targets = {
        layout.index_of(actor.rank, into): layout.variable(actor.rank, into)
        for actor in layout.world.threads
        for op in layout.world.programs[actor.slot].code
        if op.kind == "irecv" and (into := getattr(op, "into", None)) is not None
    }
    lines = ["inline deliver(into, x)", "{       if"]
    lines += [
        f"        :: into == {index} -> {name} = x" for index, name in sorted(targets.items())
    ]
    if not targets:
        lines.append("        :: else")
    return "\n".join([*lines, "        fi", "}", ""])


# --- processes -------------------------------------------------------------------------------


def _thread(layout: Layout, actor: Actor) -> Process:
    program, name = layout.world.programs[actor.slot], layout.thread(actor)
    begun = "" if program.started else f"thread[{name}].begun"
    body: list[str] = []
    for pc, op in enumerate(program.code):
        body.append(f"        /* {pc}: {_words(op)} */")
        for step in _steps(layout, actor, pc):
            body += [f"        /* {step.name} */"] if step.name else []
            guard = all_of((begun, f"here({name}, {pc}, {step.sub})", step.guard))
            body += _option(guard, step.effect)
    proctype = layout.thread_names[actor.slot]
    return Process(actor, proctype, _process(proctype, actor, body))


def _words(op: HostOperation) -> str:
    if not isinstance(op, Branch):
        return phrase(op)
    go = f"go to {op.otherwise}"
    return go if op.condition is None else f"unless {op.condition} {go}"


def _steps(layout: Layout, actor: Actor, pc: int) -> list[Step]:
    op = layout.world.programs[actor.slot].code[pc]
    emitter = EMITTERS.get(op.kind)
    if emitter is None:
        raise CannotExport(f"operation {op.kind} (thread {actor})")
    return [
        step._replace(guard=all_of((when, step.guard)))
        for when, call in _readings(layout, actor, pc)
        for step in emitter(call)
    ]


DEVICE_CALLS = (
    *("launch", "group_end", "device_synchronize", "free", "host_free", "empty_cache", "load"),
)


def _readings(layout: Layout, actor: Actor, pc: int) -> Iterator[tuple[str, Call]]:
    """The operation once for every stream and device that it may mean, and when it means them."""
    op = layout.world.programs[actor.slot].code[pc]
    named = getattr(op, "stream", None) if op.kind != "read" else None
    devices = layout.devices(actor.rank) if op.kind in DEVICE_CALLS else (0,)
    for device in devices or (0,):
        here = layout.is_on_device(actor, device) if len(devices) > 1 else ""
        if named is None:
            yield here, Call(layout, actor, pc, op, device=device)
            continue
        for stream in layout.world.streams_named(actor.rank, named):
            is_it = layout.is_current(actor, stream) if named == CURRENT else ""
            name = layout.stream(stream.slot)
            yield all_of((here, is_it)), Call(layout, actor, pc, op, name, device)


def _stream(layout: Layout, actor: Actor) -> Process:
    body: list[str] = []
    for each in options(layout, actor):
        body += [f"        /* {each.words} */", *_option(each.guard, each.effect)]
    proctype = layout.stream_names[actor.slot]
    return Process(actor, proctype, _process(proctype, actor, body))


def _process(name: str, actor: Actor, body: list[str]) -> str:
    what = "stream" if actor.is_stream else "thread"
    head = [f"/* {what} {actor} */", f"active proctype {name}() provided (!broken)", "{"]
    lines = ["end:    do", *body, "        od"] if body else ["end:    false"]
    return "\n".join([*head, *lines, "}", ""])


def _option(guard: str, effect: tuple[str, ...]) -> Iterator[str]:
    yield from folded(f":: d_step {{ {guard} ->", " " * 8, " " * 13)
    yield from _statements(effect)
    yield " " * 8 + "}"


def _statements(effect: tuple[str, ...]) -> Iterator[str]:
    """Statements with the separators and the indentation that Promela wants."""
    depth = 2
    for number, line in enumerate(effect):
        following = effect[number + 1] if number + 1 < len(effect) else "}"
        if line in ("od", "fi"):
            depth -= 1
        opens = line in ("do", "if") or line.endswith("->")
        closes = following in ("od", "fi", "}") or following.startswith("::")
        yield " " * 8 * (depth - line.startswith("::")) + line + ("" if opens or closes else ";")
        if line in ("do", "if"):
            depth += 1


# --- what is looked for ----------------------------------------------------------------------


def _properties(layout: Layout) -> Iterator[str]:
    yield "/* What is wrong with a state.  specs/properties.md */\n"
    yield define("race", race(layout))
    yield define("broken_claim", broken_claim(layout))
    yield define("somebody_has_work", somebody_has_work(layout))
    yield define("ends_badly", ends_badly(layout))
    yield "#ifdef LTL                         /* each formula by itself: only errors end a run */"
    yield "#define broken (over != 0)"
    yield "#else"
    yield "#define broken (over != 0 || race || broken_claim)"
    yield "#endif\n"


WATCH = """\
/* It only looks.  With -DSHOW it prints the state, so that two tools can be compared. */
#ifdef SHOW
#define say(what) c_code {{ {{ int n, m; printf("@%s", what); \\
        for (n = 0; n < THREADS; n++) printf(" %d", now.thread[n].at); \\
{streams}        printf("\\n"); }} }}
#else
#define say(what) skip
#endif

#if !defined(LIVENESS) && !defined(REACH) && !defined(LTL)
active proctype watch()
{{
end:    do
        :: d_step {{ over == MISUSE -> say("misuse"); assert(over != MISUSE) }}
        :: d_step {{ over == VIOLATION -> say("violation"); assert(over != VIOLATION) }}
        :: d_step {{ over == 0 && race -> say("race"); assert(!race) }}
        :: d_step {{ over == 0 && !race && broken_claim ->
                say("violation");
                assert(!broken_claim)
        }}
        :: d_step {{ timeout && !broken && !somebody_has_work && ends_badly ->
                say("violation");
                assert(!ends_badly)
        }}
        :: d_step {{ timeout && !broken && somebody_has_work ->
                say("deadlock");
                assert(!somebody_has_work)     /* nobody can move, somebody has work left */
        }}
#ifdef SHOW
        :: d_step {{ timeout && !broken && !somebody_has_work && !ends_badly -> say("ok") }}
#endif
        od
}}
#endif
"""

REACH = """\
/* What some run has to reach, so that the rest says something: an error of -DREACH=n is wanted. */
#ifdef REACH
#ifdef SHOW
#define reached(n) c_code {{ {{ static int told; \\
        if (!told) {{ told = 1; printf("@sometimes %d\\n", n); }} }} }}
#else
#define reached(n) assert(REACH != n)
#endif

active proctype reaches()
{{
end:    do
{cases}
        od
}}
#endif
"""

STREAMS = """\
        for (n = 0; n < STREAMS; n++) {{ printf(" |"); \\
                for (m = 0; m < now.stream[n].items; m++) \\
                        printf(" %d", now.stream[n].work[m]); }} \\
"""


def _watch(layout: Layout) -> Iterator[str]:
    yield WATCH.format(streams=STREAMS.format() if layout.world.streams else "")
    cases = [
        f"        :: d_step {{ {condition} -> reached({number}) }}  /* {sentence} */"
        for number, sentence, condition in interesting(layout)
    ]
    if cases:
        yield REACH.format(cases="\n".join(cases))
