"""The caching allocator: what a freed block may be reused for, by states and by orders."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eplb_model.check import Search, check
from eplb_model.explore.search import explore
from eplb_model.happens_before import races
from eplb_model.ops.allocator import Block, Blocks, blocks_of
from eplb_model.ops.tensors import BlockOf, Tensor, Uses, conflicts
from eplb_model.scenario import Scenario
from eplb_model.state import Mark, State
from eplb_model.trace import parse_schedule, replay
from eplb_model.vector import load
from tests.edges import one, op
from tests.test_happens_before import states_and_orders_agree

BUG = "freed_block_reused_in_flight"
TWINS = [(BUG, "until_wait"), (BUG, "record_stream"), ("freed_block_held_until_wait", "until_wait")]

# --- the pair --------------------------------------------------------------------------------


def states_of(described: Scenario) -> list[State]:
    return list(explore(described.world).states)


def blocks_of_tensors(described: Scenario) -> set[tuple[int | None, int | None]]:
    """The blocks that the gradient and the activation ever have, in this order."""
    return {(s.read(0, "grad").block, s.read(0, "activation").block) for s in states_of(described)}


def test_a_freed_block_is_reused_while_a_stream_still_uses_it():
    report = check(load(BUG).scenario())

    assert (report.verdict, report.when) == ("race", "some")
    assert report.finding is not None
    assert report.finding.message == (
        "forward on 0.compute and all_reduce on 0.comm both use block 0 (activation, grad), "
        "and nothing orders them"
    )
    assert report.finding.details[-1] == (
        "nothing makes 0.compute wait for 0.comm: an event recorded on 0.comm after kernel "
        "all_reduce and waited for by 0.compute before kernel forward would"
    )


@pytest.mark.parametrize(("vector", "kept"), TWINS)
def test_a_freed_block_is_not_reused_while_a_stream_still_uses_it(vector, kept):
    described = load(vector).scenario({"kept": kept})

    assert [check(described, Search(settle=s)).verdict for s in (True, False)] == ["ok", "ok"]


@pytest.mark.parametrize(("vector", "kept"), TWINS)
def test_both_cures_are_seen_to_reuse_the_block(vector, kept):
    described = load(vector).scenario({"kept": kept})

    assert (None, 0) in blocks_of_tensors(described)


def test_only_a_recorded_stream_is_seen_to_cost_a_new_block():
    costs = {
        kept: (None, 1) in blocks_of_tensors(load(BUG).scenario({"kept": kept}))
        for kept in ("not", "until_wait", "record_stream")
    }

    assert costs == {"not": False, "until_wait": False, "record_stream": True}


# --- states and orders -----------------------------------------------------------------------


@st.composite
def bodies(draw: st.DrawFn, thread: str, most: int) -> list[Any]:
    """A thread that uses only its own tensors, and only while they have a block."""
    body: list[Any] = []
    live: list[str] = []
    born = 0
    stream = st.sampled_from("st")
    for kind in draw(st.lists(st.sampled_from(KINDS), min_size=most // 2, max_size=most)):
        if kind == "renew" and live:
            body.append(op("drop", live.pop()))
        if kind in ("alloc", "renew") or not live:
            live.append(f"{thread}{born}")
            body.append(op("alloc", live[-1], draw(st.sampled_from("ssst"))))
            born += 1
        elif kind == "order":
            one_way = draw(st.sampled_from(("st", "ts")))
            body.append(op("record_event", thread, one_way[0]))
            body.append(op("stream_wait_event", one_way[1], thread))
        elif kind == "synchronize":
            body.append(op("stream_synchronize", draw(stream)))
        else:
            tensor = draw(st.sampled_from(live))
            body.append(_on_a_tensor(kind, tensor, draw(stream)))
            if kind == "drop":
                live.remove(tensor)
    return body


KINDS = ("launch", "launch", "launch", "renew", "renew", "alloc", "drop", "record_stream", "access",
         "order", "synchronize")  # fmt: skip


def _on_a_tensor(kind: str, tensor: str, stream: str) -> Any:
    match kind:
        case "launch":
            return op("launch", "k", stream, writes=(tensor,))
        case "access":
            return op("access", reads=(tensor,))
        case "record_stream":
            return op("record_stream", tensor, stream)
        case _:
            return op("drop", tensor)


scenarios_with_tensors = st.one_of(
    bodies("a", 10).map(one),
    st.tuples(bodies("a", 5), bodies("b", 4)).map(lambda threads: one(*threads)),
)
often = settings(max_examples=100, suppress_health_check=list(HealthCheck))


@often
@given(scenarios_with_tensors)
def test_states_and_orders_agree_about_races_of_blocks(described):
    states_and_orders_agree(described)


@often
@given(scenarios_with_tensors)
def test_settling_keeps_the_races_of_blocks(described):
    plain = check(described, Search(settle=False, max_states=2_000))
    settled = check(described, Search(max_states=2_000))

    if plain.bounds["cut"] is None:
        assert (settled.verdict, settled.when) == (plain.verdict, plain.when)


@often
@given(scenarios_with_tensors)
def test_a_tensor_has_a_block_that_nobody_else_has(described):
    for state in states_of(described)[:300]:
        held = sorted(block for block in held_blocks(state) if block is not None)
        blocks = blocks_of(state, 0).blocks

        assert held == [number for number, block in enumerate(blocks) if block.held]
        assert all(block.held or not block.recorded for block in blocks)
        assert not any(block.held and block.marks for block in blocks)


def held_blocks(state: State) -> Iterator[int | None]:
    return (value.block for value in state.memory if isinstance(value, Tensor))


# --- errors, and what is said ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ([op("alloc", "x", "s")] * 2, "tensor x has block 0"),
        ([op("drop", "x"), op("alloc", "x", "s")], "tensor x has no block"),
        ([op("record_stream", "x", "s"), op("alloc", "x", "s")], "tensor x has no block"),
        (
            [op("access", reads=("x",)), op("alloc", "x", "s")],
            "tensor x has no block",
        ),
        (
            [op("launch", "k", "s", reads=("x",)), op("alloc", "x", "s")],
            "tensor x has no block",
        ),
    ],
)
def test_a_tensor_that_is_misused_is_named(body, message):
    report = check(one(body))

    assert report.finding is not None
    assert (report.verdict, report.finding.message) == ("misuse", f"0.a: {message}")


def test_a_step_of_a_copy_says_which_block_and_tensor():
    described = one([op("alloc", "x", "s"), op("copy", "h2d", "s", writes=("x",))])

    steps = replay(described.world, parse_schedule(described.world, "0.a 0.a 0.s")).steps()

    assert steps[-1].does == "transfer h2d writes block 0 (x) done"


def test_a_block_is_named_with_every_tensor_that_had_it():
    one_, other = Uses((BlockOf(1, "b"),), (BlockOf(0, "a"), "w")), Uses((), (BlockOf(1, "c"), "w"))

    assert conflicts(one_, other) == ["block 1 (b, c)", "w"]


def test_a_host_access_follows_its_tensor_to_another_block():
    """b stands before its access while a gives the tensor another block: only the second counts."""
    hands_over = [op("alloc", "x", "s"), op("alloc", "y", "s"), op("drop", "y"), op("drop", "x")]
    again = [op("alloc", "z", "s"), op("alloc", "x", "s"), op("launch", "k", "s", writes=("z",))]
    described = one([*hands_over, *again], [op("access", reads=("x",))])
    run = replay(described.world, parse_schedule(described.world, "0.a " * 7 + "0.b 0.s"))

    assert races(run) == ()


def test_blocks_that_no_mark_concerns_stay_the_same_value():
    blocks = Blocks((Block(0), Block(0, held=False, marks=frozenset({Mark(1, 1)}))))

    assert blocks.passed(2) is blocks
    assert blocks.passed(1) == Blocks((Block(0), Block(0, held=False)))
