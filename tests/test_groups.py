"""What the wait-for account, the settled search and the loader say of groups and devices."""

import json

import pytest

from eplb_model.check import check
from eplb_model.scenario import Scenario, link
from eplb_model.step import initial
from eplb_model.trace import parse_schedule, replay
from eplb_model.vector import VectorError, load
from eplb_model.wait_for import stuck_set, waiting
from eplb_model.world import Meets, Stream
from tests.edges import launch, op
from tests.small import TINY, kernel, plain, rank, scenario

MEETS = kernel("n", meets=Meets("channel", (1,), (1,), "n"))


def keeping(*more: object) -> Scenario:
    """Rank 0 keeps a launch that rank 1 waits for."""
    keeps = [op("group_start"), launch("s", "n"), *more]
    return scenario(rank(keeps), rank([launch("s", "n")]), kernels=[MEETS])


def test_a_peer_waits_for_the_thread_that_keeps_the_launch():
    world = keeping(op("access"), op("group_end")).world

    state = replay(world, parse_schedule(world, "0.a 0.a 1.a")).last

    assert {str(each.actor): list(map(str, each.freed_by)) for each in waiting(state)} == {
        "1.s": ["0.a"]
    }
    assert stuck_set(state) == frozenset()


@pytest.mark.parametrize(
    "more", [(op("access"),), (op("access"), op("group_end", drop=True))], ids=["open", "dropped"]
)
def test_nobody_brings_a_launch_that_no_end_will_submit(more):
    world = keeping(*more).world

    state = replay(world, parse_schedule(world, "0.a 0.a 1.a")).last

    assert {str(each.actor): each.on for each in waiting(state)} == {"1.s": ((),)}
    assert {str(actor) for actor in stuck_set(state)} == {"1.s"}


def test_a_thread_without_devices_and_groups_has_no_place_for_them():
    places = rank([op("set_device", 0)], [op("group_boundary")], [op("malloc")])
    world = scenario(places).world

    assert [name for _, name in world.slots] == ["(current of a)", "(group of b)"]
    assert world.current_slots == (0, None, None)
    assert world.group_slots == (None, 1, None)


def test_every_device_has_hardware_queues_of_its_own():
    streams = (Stream("s"), Stream("t", device=1), Stream("u"), Stream("v", device=3))
    world = scenario(rank([], streams=streams)).world

    assert world.connections == (0, 2, 1, 3)
    assert len(initial(world).devices[0].queues) == 4


def test_a_late_launch_of_a_group_is_not_settled_away():
    """While a group may still submit, the end of another kernel is not taken alone."""
    wide = kernel("wide", 3)
    second = kernel("n", 3, meets=Meets("channel", (), (), "n"))
    body = [op("launch", "wide", "s"), op("group_start"), op("launch", "n", "t"), op("group_end")]
    described = scenario(rank(body, streams=("s", "t")), kernels=[wide, second])

    assert check(described).serialised == plain(described).serialised == "sometimes"


def test_kernels_of_two_devices_that_may_wait_for_sms_are_refused():
    streams = (Stream("s"), Stream("t", device=1))
    described = scenario(
        rank([launch("s", "wide")], [launch("t", "wide")], streams=streams),
        kernels=[kernel("wide", TINY.sms)],
    )

    with pytest.raises(ValueError, match="rank 0 has streams on several devices and kernels"):
        link(described)


def test_a_vector_with_such_kernels_is_refused_where_it_declares_streams(tmp_path):
    document = {
        "schema": "eplb-vector/1",
        "name": "wide",
        "about": "two kernels of all SMs",
        "parameters": {"machine": "tiny"},
        "kernels": {"wide": {"launch": "regular", "ctas": TINY.sms, "footprint": "exclusive"}},
        "streams": ["s", {"name": "t", "device": 1}],
        "programs": {"*.a": [["launch", "wide", "s"]], "*.b": [["launch", "wide", "t"]]},
    }
    path = tmp_path / "wide.json"
    path.write_text(json.dumps(document))

    with pytest.raises(VectorError, match="/streams: rank 0 has streams on several devices"):
        load(path).scenario()


def test_the_current_stream_needs_one_on_device_0():
    streams = (Stream("t", device=1),)

    with pytest.raises(ValueError, match="rank 0 uses the current stream and has no stream on"):
        link(scenario(rank([op("copy", "h2d", "current")], streams=streams)))


def test_with_time_limits_every_live_rank_reports():
    vector = load("crashed_rank_in_flag_reduce")

    silent, reported = (check(vector.scenario({"limits": each})) for each in ("off", "on"))

    assert (silent.verdict, silent.when) == ("deadlock", "every")
    assert (reported.verdict, reported.when) == ("violation", "every")
    assert reported.ends.keys() == {"violation"}
