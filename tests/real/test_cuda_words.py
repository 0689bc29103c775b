"""What ranks and kernels tell each other on GPUs, tried without one: words, plans, the ledger.

What a kernel would write is written here into the words that it would write.
"""

from itertools import pairwise

import pytest

from eplb_model.machine import FOOTPRINTS
from eplb_model.vector import load
from eplb_model.world import Kernel, Meets
from eplb_real.cuda import layout
from eplb_real.cuda.layout import Words
from eplb_real.cuda.ledger import Ledger, Work
from eplb_real.cuda.plans import launch_plan, registers_of
from eplb_real.drivers.cuda import CUDA, MOST_LAUNCHES


class Told:
    """An observer that keeps what it is told."""

    def __init__(self):
        self.lines = []

    def item(self, actor, work):
        self.lines.append((actor, work))

    def started(self, actor, work, ctas):
        self.lines.append((actor, work, ctas))

    def overlap(self, rank, actors, buffer):
        self.lines.append((rank, *actors, buffer))


def _kernel(grain, ctas=4, rounds=(), ends="each", eager=False, sends=(1, 2), receives=(1, 2)):
    meets = Meets(grain, sends, receives, "k", eager)
    return Kernel("k", "regular", ctas, 1, FOOTPRINTS["tiny"], meets, ends, rounds=rounds)


def test_a_rank_meets_all_peers_whatever_the_side_from_which_they_are_counted():
    plan = launch_plan(_kernel("first"), rank=1, ranks=3)

    assert (plan.peers, plan.masks) == ((0, 2), (3, 3, 3, 3))


def test_a_channel_meets_those_of_its_rounds_only():
    plan = launch_plan(_kernel("channel", rounds=((1,), (2,), (1,), (2,))), rank=0, ranks=4)

    # To rank 1 and from rank 3 in round 1; in round 2 both ways with rank 2.
    assert plan.peers == (1, 2, 3)
    assert plan.masks == (0b101, 0b010, 0b101, 0b010)
    assert plan.places == (0, 1 << 16, 1, 1 << 16 | 1)


def test_an_eager_send_waits_for_nobody_who_receives():
    plan = launch_plan(_kernel("channel", eager=True, sends=(1,), receives=()), rank=0, ranks=3)

    assert (plan.peers, plan.masks) == ((), (0, 0, 0, 0))


@pytest.mark.parametrize(("grain", "as_one"), [("first", True), ("channel", False)])
def test_kernels_that_end_together_leave_as_one_unless_they_meet_by_channel(grain, as_one):
    assert launch_plan(_kernel(grain, ends="together"), 0, 3).as_one is as_one


def test_registers_are_given_out_in_units_of_eight():
    assert [registers_of(FOOTPRINTS[name]) for name in ("nccl", "deepep", "tiny")] == [96, 64, 16]


def test_every_rank_sees_the_same_words(tmp_path):
    one, other = (Words(tmp_path / "words", ranks=2, kernels=3) for _ in range(2))
    places = {
        one.block(rank, kernel, number) + word
        for rank in range(2)
        for kernel in range(3)
        for number in (0, MOST_LAUNCHES - 1)
        for word in (layout.STARTED, layout.PLACES + layout.MOST_CTAS - 1)
    }
    assert len(places) == 24
    for value, place in enumerate(sorted(places), start=1):
        one[place] = value
    assert [other[place] for place in sorted(places)] == list(range(1, 25))
    assert other[layout.ABORT] == 0
    with pytest.raises(ValueError, match="room for 256 launches"):
        one.block(0, 0, MOST_LAUNCHES)


def test_the_names_of_a_launch_do_not_overlap():
    single = [layout.STARTED, layout.ENDED, layout.COMPLETE, layout.WHY, layout.GRAIN]
    single += [layout.PEERS, layout.AS_ONE, layout.GRANTED]
    spans = [(word, 1) for word in single]
    spans += [(layout.GRANTS, layout.MOST_CLASSES), (layout.PEER_BLOCKS, layout.MOST_PEERS)]
    spans += [(layout.PEER_CTAS, layout.MOST_PEERS), (layout.SEATS, layout.MOST_CTAS)]
    spans += [(layout.MASKS, layout.MOST_CTAS), (layout.PLACES, layout.MOST_CTAS)]
    ordered = sorted(spans)

    assert all(a + n <= b for (a, n), (b, _) in pairwise(ordered))
    assert sum(ordered[-1]) == layout.BLOCK


def _work(stream, label, words, **more):
    """Work whose words are entries of a dict: begun, done."""
    return Work(
        stream,
        label,
        lambda: words[f"{label} begun"],
        lambda: words[f"{label} done"],
        str,
        lambda choice: lambda: True,
        **more,
    )


def test_work_leaves_in_order_and_moves_before_it_is_told():
    told = Told()
    moved: list[object] = []
    ledger = Ledger(0, ["s"], told)
    ledger.move = moved.append
    words = dict.fromkeys(["a begun", "a done", "b begun", "b done"], 0)
    ledger.submit(_work("s", "a", words, moves=("m",)))
    ledger.submit(_work("s", "b", words))
    words["b done"] = 1  # a word that is read early; its stream is not there yet
    ledger.look()
    assert told.lines == []

    words |= {"a begun": 2, "a done": 1}
    ledger.look()

    assert told.lines == [("0.s", "a", 2), ("0.s", "a"), ("0.s", "b")]
    assert moved == [("m",)]


def test_work_behind_a_record_of_another_stream_leaves_after_it_though_both_are_done():
    told = Told()
    ledger = Ledger(0, ["consumer", "producer"], told)
    words = dict.fromkeys(["a begun", "a done", "record begun", "record done"], 1)
    words |= {"b begun": 1, "b done": 1}
    record = _work("producer", "record", words)
    ledger.submit(_work("producer", "a", words, moves=("filled",)))
    ledger.submit(record)
    ledger.wait("consumer", record)
    ledger.submit(_work("consumer", "b", words, moves=("read",)))
    moved: list[object] = []
    ledger.move = moved.append

    ledger.look()

    assert moved == [("filled",), ("read",)]
    assert told.lines[-1] == ("0.consumer", "b")


def test_accesses_that_are_in_progress_at_once_overlap_once():
    told = Told()
    ledger = Ledger(0, ["s", "t"], told)
    words = dict.fromkeys(["a begun", "a done", "b begun", "b done"], 0)
    ledger.submit(_work("s", "a", words, writes=("buffer",)))
    ledger.submit(_work("t", "b", words, reads=("buffer",)))
    words["a begun"] = 1
    ledger.look()
    assert told.lines == [("0.s", "a", 1)]
    words["b begun"] = 1
    ledger.look()
    ledger.look()

    assert told.lines[1:] == [("0.t", "b", 1), (0, "0.s", "0.t", "buffer")]


def test_an_access_of_the_host_lasts_as_long_as_its_call():
    told = Told()
    ledger = Ledger(0, ["s"], told)
    words = {"a begun": 1, "a done": 0}
    with ledger.access("0.main", ("buffer",), ()):
        ledger.submit(_work("s", "a", words, writes=("buffer",)))
        ledger.look()
    ledger.look()

    assert told.lines == [("0.s", "a", 1), (0, "0.s", "0.main", "buffer")]


def test_what_a_call_has_not_put_on_its_stream_yet_is_not_pending():
    ledger = Ledger(0, ["s"], Told())
    words = {"a begun": 0, "a done": 0}
    work = _work("s", "a", words)
    ledger.submit(work)
    assert ledger.pending() == []
    work.there = True
    assert ledger.pending() == [work]


@pytest.mark.parametrize(
    ("vector", "reason"),
    [
        ("blocked_streams", "more than 8 streams share hardware queues in an order nobody knows"),
        ("group_closed_on_error", "stand-ins know no NCCL groups"),
        ("unrecorded_wait_forbidden", "CUDA does not forbid a wait on an event that was never"),
        ("worker_thread_sets_device", "a rank has one GPU here"),
    ],
)
def test_what_a_gpu_can_not_perform_is_declined_by_name(vector, reason):
    scenario = load(vector).scenario()

    reasons = CUDA.declines(scenario, lambda: pytest.fail("the model need not be asked"))

    assert any(each.startswith(reason) for each in reasons)


def test_a_switch_that_asks_for_another_setting_is_the_hardwares():
    scenario = load("coop_vs_nccl_capped").scenario({}, {"packing": "best"})

    assert CUDA.declines(scenario, lambda: pytest.fail("not needed")) == [
        "switch packing is the hardware's here"
    ]


def test_ranks_that_share_a_gpu_keep_no_order_of_arrival(monkeypatch):
    two = load("coop_vs_nccl_capped").scenario()
    gpus = {"one": 1, "two": 2}
    found = {}
    for name, number in gpus.items():
        monkeypatch.setattr("eplb_real.drivers.cuda._count", lambda number=number: number)
        loose = CUDA.loosened(two)
        found[name] = None if loose is None else loose.machine.switches.distributor

    assert found == {"one": "any", "two": None}


def test_a_machine_that_nobody_has_is_an_h200_there():
    assert CUDA.adapt(load("event_order").scenario()).machine.name == "h200"
