"""Happens-before: every edge orders what it should, and agrees with the races that states show.

Rule: a run is followed to its end, past races; only an error that ends a thread ends it, as in a
search.
"""

import re
from collections.abc import Iterator
from dataclasses import fields, replace
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from eplb_model.check import check
from eplb_model.explore.search import Bounds, explore
from eplb_model.happens_before import Race, races
from eplb_model.ops import OPERATIONS
from eplb_model.properties import no_error_ends_a_thread
from eplb_model.scenario import RankPlan, Scenario, Try
from eplb_model.step import enabled, initial, step
from eplb_model.strategies import Sizes, scenarios
from eplb_model.trace import Trace, parse_schedule, replay
from eplb_model.vector import catalogue
from eplb_model.world import World
from tests import (  # they register EDGES
    edges_allocator,  # noqa: F401
    edges_device,  # noqa: F401
    edges_groups,  # noqa: F401
    edges_host,  # noqa: F401
    edges_one_sided,  # noqa: F401
)
from tests.edges import ACCESS, EDGES, WRITES, copy, launch, one, op
from tests.generated import machines
from tests.small import gang, rank, scenario

# --- runs ------------------------------------------------------------------------------------


def runs_of(world: World, count: int) -> Iterator[Trace]:
    """Some runs of a scenario, each to its end; the same ones every time."""
    random = Random(0)
    for _ in range(count):
        schedule, states = [], [initial(world)]
        while not no_error_ends_a_thread.broken_by(states[-1]) and (actions := enabled(states[-1])):
            schedule.append(random.choice(actions))
            states.append(step(states[-1], schedule[-1]))
        yield Trace(tuple(schedule), tuple(states))


def shows_a_race(world: World) -> bool:
    """Whether the plain search finds a state with two accesses in progress."""
    return any(broken.verdict == "race" for broken in explore(world).broken.values())


# --- one edge at a time ----------------------------------------------------------------------


@pytest.mark.parametrize("name", EDGES)
def test_with_its_edge_no_run_of_a_scenario_has_a_race(name):
    world = EDGES[name].kept.world

    assert not shows_a_race(world)
    assert not [run.schedule for run in runs_of(world, 100) if races(run)]


@pytest.mark.parametrize("name", EDGES)
def test_without_its_edge_a_scenario_has_one(name):
    world = EDGES[name].missing.world
    found = [bool(races(run)) for run in runs_of(world, 100)]

    assert shows_a_race(world)
    assert any(found)
    assert all(found) or not EDGES[name].every


# --- agreement -------------------------------------------------------------------------------

SHAPES = {
    "streams": (
        Sizes(ranks=1, streams=3, statements=6, ctas=1, kernels=2),
        """launch copy copy access access memset record_event stream_wait_event event_synchronize
        stream_synchronize event_query stream_query free load await_complete await_resident""",
    ),
    "hosts": (
        Sizes(ranks=2, statements=5, ctas=1, kernels=1),
        """access access access copy set wait_flag clear is_set acquire release try_acquire put
        take test start join barrier all_reduce isend irecv wait_requests raise""",
    ),
    "hand-overs": (
        Sizes(ranks=1, threads=3, statements=6, ctas=1, kernels=1),
        "launch copy access cpu_gpu_event_record cpu_gpu_event_wait set wait_flag",
    ),
    "reads": (
        Sizes(ranks=2, statements=5, ctas=1, kernels=1),
        "read read read wait_reads copy launch access barrier put stream_synchronize test assert",
    ),
    "everything": (
        Sizes(ranks=2, statements=5, ctas=2),
        "access access access copy copy launch launch " + " ".join(OPERATIONS),
    ),
}
MOST_STATES = 200
few = settings(max_examples=40, suppress_health_check=list(HealthCheck))
many = settings(max_examples=1_000, suppress_health_check=list(HealthCheck))


def sharing(described: Scenario) -> Scenario:
    """The scenario with one buffer that everything uses that may use one."""
    numbers = iter(range(1_000))

    def statement(each: Any) -> Any:
        names = {field.name for field in fields(each)}
        blocks = names & {"then", "otherwise", "body", "handler"}
        changes: dict[str, Any] = {
            name: tuple(map(statement, body))
            for name in sorted(blocks)
            if isinstance(body := getattr(each, name), tuple)
        }
        if "writes" in names:
            reads = "reads" in names and next(numbers) % 3 == 1
            changes["reads" if reads else "writes"] = ("weights",)
        if "target" in names and "source" in names:
            changes |= {"source": "weights", "target": "weights"}
        return replace(each, **changes)

    def plan(each: RankPlan) -> RankPlan:
        threads = (replace(t, body=tuple(map(statement, t.body))) for t in each.threads)
        return replace(each, threads=tuple(threads))

    return replace(described, ranks=tuple(map(plan, described.ranks)))


def drawn(shape: str) -> st.SearchStrategy[Scenario]:
    sizes, text = SHAPES[shape]
    kinds = tuple(kind for kind in text.split() if kind != "branch")
    anywhere = machines().flatmap(lambda m: scenarios(sizes, machine=m, kinds=kinds))
    return anywhere.map(sharing)


def states_and_orders_agree(described: Scenario) -> None:
    """A race that a state shows is one of the run there; without any, no run has one."""
    world = described.world
    assume(world.names_buffers)
    found = explore(world, bounds=Bounds(max_states=MOST_STATES))
    assume(found.cut is None)
    racy = [number for number, broken in found.broken.items() if broken.verdict == "race"]

    for number in racy:
        assert races(replay(world, found.way_to(number)))
    if not racy and all(world.roomy) and not has_time_limits(world):
        for run in runs_of(world, 30):
            assert not races(run)


def has_time_limits(world: World) -> bool:
    return any(getattr(op, "timeout", False) for each in world.programs for op in each.code)


@pytest.mark.parametrize("shape", SHAPES)
def test_states_and_orders_agree_about_races(shape):
    few(given(drawn(shape))(states_and_orders_agree))()


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_states_and_orders_agree_about_races_in_many_scenarios(shape):
    many(given(drawn(shape))(states_and_orders_agree))()


def test_known_gap_what_only_a_time_limit_keeps_apart_is_a_race_in_no_state():
    """The limit expires only once rank 1 has died, and that comes after the other access."""
    expires = (Try((op("barrier", "g", timeout=True),), (ACCESS,)),)
    dies = [op("barrier", "h"), op("die"), op("barrier", "g")]
    described = scenario(
        rank(expires, [ACCESS, op("barrier", "h")]), rank(dies), groups={"g": (0, 1), "h": (0, 1)}
    )

    assert not shows_a_race(described.world)
    assert all(races(run) for run in runs_of(described.world, 100))


def test_known_gap_what_only_a_shortage_of_sms_keeps_apart_is_a_race_in_no_state():
    """The second gang can't start before the first ends, so neither can what waits for it."""
    described = one(
        [
            op("launch", "fills", "s", **WRITES),
            op("launch", "fills", "t"),
            op("stream_synchronize", "t"),
            ACCESS,
        ],
        kernels=[gang("fills", 4)],
    )

    assert not shows_a_race(described.world)
    assert all(races(run) for run in runs_of(described.world, 100))


# --- what a race says ------------------------------------------------------------------------


def only_race(described: Scenario, schedule: str) -> Race:
    (found,) = races(replay(described.world, parse_schedule(described.world, schedule)))
    return found


def test_a_race_of_two_streams_names_the_event_that_is_missing():
    race = only_race(one([copy("s"), launch("t")]), "0.a 0.a 0.s 0.t")

    assert (race.first.begins, race.first.ends) == (1, 3)
    assert (race.second.begins, race.second.ends) == (2, 4)
    assert str(race) == (
        "the h2d copy on 0.s and kernel k on 0.t both use buffer; nothing makes 0.t wait for 0.s: "
        "an event recorded on 0.s after the h2d copy and waited for by 0.t before kernel k would"
    )
    assert [str(seen) for seen in race.seen] == [
        "0.s has seen no step of 0.t",
        "0.t has seen no step of 0.s",
    ]


def test_a_race_says_how_far_each_has_seen_the_other():
    race = only_race(one([copy("s"), ACCESS]), "0.a 0.a 0.s")

    assert {str(seen) for seen in race.seen} == {
        "0.s has seen 0.a up to step 1: copy h2d s writes buffer",
        "0.a has seen no step of 0.s",
    }


def test_a_host_that_has_submitted_the_copy_lacks_a_synchronise():
    race = only_race(one([copy("s"), ACCESS]), "0.a 0.a 0.s")

    assert race.missing == (
        "nothing makes 0.a wait for 0.s: an event recorded on 0.s after the h2d copy and "
        "synchronised with by 0.a before the host's access would"
    )


def test_a_host_that_comes_first_lacks_a_flag_to_the_thread_that_submits():
    race = only_race(one([ACCESS], [copy("s")]), "0.a 0.b 0.s")

    assert race.missing == (
        "nothing makes 0.s wait for 0.a: a flag that 0.a sets after the host's access and 0.b "
        "waits for before it submits the h2d copy would"
    )


def test_two_hosts_lack_a_flag():
    race = only_race(one([ACCESS], [ACCESS]), "0.b 0.a")

    assert race.missing == (
        "nothing makes 0.b wait for 0.a: a flag that 0.a sets after the host's access and 0.b "
        "waits for before the host's access would"
    )


def test_an_access_that_has_not_ended_when_the_run_is_over_counts():
    race = only_race(one([copy("s"), copy("t")]), "0.a 0.a")

    assert (race.first.ends, race.second.ends) == (None, None)


def test_two_reads_are_no_race():
    reads = op("access", reads=("buffer",))

    assert not any(races(run) for run in runs_of(one([reads], [reads]).world, 10))


# --- the catalogue ---------------------------------------------------------------------------

RACY = [
    pytest.param(vector, values, id="-".join([vector.name, *map(str, values.values())]))
    for vector in catalogue()
    for values, expect in vector.cases()
    if expect.verdict == "race"
]


@pytest.mark.parametrize(("vector", "values"), RACY)
def test_the_run_to_a_race_of_the_catalogue_has_it_by_its_order_too(vector, values):
    described = vector.scenario(values)
    finding = check(described).finding
    assert finding is not None

    said = {
        f"{race.first.actor} {race.second.actor} {race.buffer}"
        for race in races(replay(described.world, finding.schedule))
    }

    assert said & named_in(finding.message)


def named_in(message: str) -> set[str]:
    """`x on 0.a and y on 0.b both use z, and ...`, in either order."""
    found = re.fullmatch(r".* on (\S+) and .* on (\S+) both use (.+), and nothing .*", message)
    assert found, message
    one, other, buffer = found.groups()
    return {f"{one} {other} {buffer}", f"{other} {one} {buffer}"}
