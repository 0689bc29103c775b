"""The worker thread and the main thread's side: on real ranks, and step by step on one."""

import pytest

pytest.importorskip("torch", reason="tests/real needs torch: pip install -e '.[real]'")

import torch

from eplb_real.communicators.base import EplbCommunicator
from eplb_real.main_thread import AsyncEplb
from eplb_real.maps import Maps
from eplb_real.state import Groups, Model, WorkerError
from eplb_real.streams import HostEvent, HostStream
from tests.real import on_worker
from tests.real.fakes import DEADLINE, Gate
from tests.real.nixl_fake import can_read_another_process
from tests.real.on_rank import tags_of
from tests.real.on_worker import EXPERTS, NEVER, PLACEMENT, begin, rolled

OVER_NIXL = pytest.mark.skipif(
    not can_read_another_process(), reason="this kernel forbids process_vm_readv between processes"
)


def times(count):
    """The placement after some cycles."""
    placement = PLACEMENT
    for _ in range(count):
        placement = rolled(None, placement, 2)
    return placement


# --- two ranks -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "backend", "batched"),
    [
        ("0.20", "torch_gloo", False),
        ("0.33", "torch_gloo", False),
        ("0.33", "torch_gloo", True),
        pytest.param("0.33", "nixl", True, marks=OVER_NIXL),
    ],
)
def test_two_models_stay_in_step_with_their_maps_through_three_cycles(
    ranks, version, backend, batched
):
    seen = ranks.run(on_worker.cycles, version, backend, batched, 3)

    (placements, loads), other, *others = seen
    assert placements == [times(3), times(3)]
    assert other == (placements, loads)
    assert others == [None, None]
    assert len(loads) == 2 * (3 + 1)  # of two models, and of the cycle that was drained
    assert all(load == [load[0]] * EXPERTS and load[0] % 3 == 0 for load in loads)
    assert sum(load[0] > 0 for load in loads) == len(loads)


@pytest.mark.parametrize("version", ["0.20", "0.33"])
@pytest.mark.parametrize(
    ("where", "text", "cause"),
    [
        ("policy", "no such policy", "OSError"),
        ("exchange", "a leaf Variable that requires grad", "RuntimeError"),
    ],
)
def test_where_one_worker_dies_the_main_threads_of_all_ranks_report_it(
    ranks, version, where, text, cause
):
    healthy, failed, *others = ranks.run(on_worker.failing, version, where)

    assert healthy == (
        "the worker of another rank failed, or its drain() ran out of time",
        "NoneType",
    )
    assert failed[0].startswith("the worker of rank 1 failed: ")
    assert text in failed[0]
    assert failed[1] == cause
    assert others == [None, None]


@pytest.mark.parametrize("version", ["0.20", "0.33"])
def test_a_drain_ends_the_cycle_without_committing_the_rest_of_it(ranks, version):
    seen = ranks.run(on_worker.drained, version)

    first = rolled(None, PLACEMENT, 2)[0]
    after_another = rolled(None, [first, *PLACEMENT[1:]], 2)
    assert seen[:2] == [((False, 1, True, 0), after_another)] * 2


def test_one_rank_asks_and_all_ranks_end_the_cycle_of_0_33_in_the_same_step(ranks):
    (steps, stopped, later), other, *_ = ranks.run(on_worker.asked_to_stop)

    assert other == (steps, stopped, later)
    assert stopped == PLACEMENT
    assert later == times(1)


# --- one rank, step by step ------------------------------------------------------------------


class Alone(EplbCommunicator):
    """A communicator of one rank; stops in its exchange where told."""

    name = "alone"
    collective = True

    def __init__(self, gate=None):
        super().__init__(rank=0, size=1)
        self._gate = gate

    def _exchange(self, batch):
        assert not batch
        if self._gate:
            self._gate.hold()


class Bypassing(Alone):
    """The same, with an engine of its own."""

    bypasses_streams = True

    def __init__(self, exchange=lambda: None):
        super().__init__()
        self._carry_out = exchange

    def _exchange(self, batch):
        self._carry_out()


def alone(policy=rolled, gate=None, events=HostEvent, kind=AsyncEplb, **switches):
    """Async EPLB of one rank with one model, and that model."""
    weights = [[torch.tensor(row, dtype=torch.float32)] for row in PLACEMENT]
    buffer = [torch.full((4,), -1.0)]
    maps = Maps.of(PLACEMENT, EXPERTS, torch.device("cpu"))
    load = torch.zeros(len(PLACEMENT), EXPERTS, dtype=torch.int64)
    model = Model("one", maps, weights, buffer, Alone(gate), policy, load)
    groups = Groups(None, None, None)
    switches = {"step_interval": NEVER, **switches}
    return kind([model], groups, event_factory=events, **switches), model


def until_idle(eplb):
    on_worker.run_until(eplb, lambda: not eplb.in_cycle, lambda: True)


def test_the_first_cycle_begins_after_a_quarter_of_the_interval():
    eplb, _ = alone(step_interval=8)

    begun = []
    for _ in range(2):
        eplb.step()
        begun.append((eplb.in_cycle, eplb.steps))

    assert begun == [(False, 7), (True, 0)]


def test_during_a_cycle_the_counter_goes_on_and_the_next_one_begins_in_the_step_that_ends_it():
    gate = Gate()
    eplb, model = alone(step_interval=2, gate=gate)
    eplb.start()
    for _ in range(6):
        eplb.step()
    waiting = (eplb.in_cycle, eplb.steps)

    gate.open()
    on_worker.run_until(
        eplb, lambda: model.maps.physical_to_logical.tolist() == times(1), lambda: True
    )

    assert waiting == (True, 5)
    assert (eplb.in_cycle, eplb.steps) == (True, 0)
    eplb.drain()
    eplb.stop()


def test_the_maps_follow_the_placement():
    eplb, model = alone()
    eplb.start()
    begin(eplb)
    until_idle(eplb)
    eplb.stop()

    assert model.maps.physical_to_logical.tolist() == times(1)
    assert model.maps.logical_to_physical.tolist()[0] == [
        [0, 1, -1, -1],
        [2, -1, -1, -1],
        [3, -1, -1, -1],
    ]
    assert model.maps.replicas.tolist() == [[2, 1, 1], [1, 2, 1], [1, 1, 2]]
    assert [tags_of(layer)[0] for layer in model.weights] == times(1)


def test_the_worker_is_let_go_last_after_the_end_of_the_cycle_and_the_pending_result():
    seen = []

    class Watched(HostEvent):
        def record(self, stream=None):
            seen.append((model.pending, model.rebalanced))
            super().record(stream)

    eplb, model = alone(events=Watched)
    eplb.start()
    begin(eplb)
    until_idle(eplb)
    eplb.stop()

    rearranged, *consumed, stopped = seen
    assert rearranged == (None, True)
    assert consumed == [(None, True), (None, True), (None, False)]
    assert stopped == (None, False)


def test_a_worker_let_go_before_the_result_is_cleared_dies_and_is_reported():
    class Hasty(AsyncEplb):
        def _consume(self, model, result):
            result.consumed.record()  # V9 before V8
            assert self._worker is not None
            self._worker.join(DEADLINE)
            model.pending = None

    eplb, _ = alone(kind=Hasty)
    eplb.start()

    begin(eplb)

    with pytest.raises(WorkerError, match="one: layer 0 is consumed and still pending"):
        on_worker.run_until(eplb, lambda: False, lambda: True)


@pytest.mark.parametrize("cycles", [0, 1])
def test_stop_ends_the_thread_and_may_be_called_again(cycles):
    eplb, _ = alone()
    eplb.start()
    for _ in range(cycles):
        begin(eplb)
        until_idle(eplb)

    eplb.stop()
    eplb.stop()

    assert not eplb._worker.is_alive()


def test_stop_ends_a_worker_in_the_middle_of_a_cycle_of_one_rank():
    gate = Gate()
    eplb, _ = alone(gate=gate)
    eplb.start()
    begin(eplb)
    gate.wait_until_reached()

    with pytest.raises(TimeoutError, match="the worker did not end within 0 s"):
        eplb.stop(timeout=0)
    gate.open()
    eplb.stop()

    assert not eplb._worker.is_alive()


def test_stop_without_start_does_nothing():
    eplb, _ = alone()

    eplb.stop()

    assert eplb._worker is None


def test_a_second_start_is_refused():
    eplb, _ = alone()
    eplb.start()

    with pytest.raises(RuntimeError, match="expected one start"):
        eplb.start()
    eplb.stop()


@pytest.mark.parametrize("method", ["step", "drain"])
def test_without_a_worker_a_cycle_is_an_error_instead_of_going_on_for_ever(method):
    eplb, _ = alone(step_interval=1)
    eplb.step()

    with pytest.raises(WorkerError, match=r"the worker is not running; expected start\(\)"):
        getattr(eplb, method)()


def test_a_drain_ends_at_its_time_limit():
    gate = Gate()
    eplb, _ = alone(gate=gate)
    eplb.start()
    begin(eplb)
    gate.wait_until_reached()

    with pytest.raises(TimeoutError, match=r"drain\(\): one is still in its cycle"):
        eplb.drain(timeout=0)
    gate.open()
    eplb.drain()
    eplb.stop()


def test_a_legacy_stop_of_0_33_is_written_by_the_worker():
    gate = Gate()
    eplb, model = alone(gate=gate, version="0.33", legacy_stop=True)
    eplb.start()
    begin(eplb)
    gate.wait_until_reached()
    eplb.ask_to_stop()
    gate.open()
    until_idle(eplb)
    eplb.stop()

    assert not model.rebalanced
    assert model.maps.physical_to_logical.tolist() == [times(1)[0], *PLACEMENT[1:]]


def test_0_20_has_no_coordinated_stop():
    eplb, _ = alone()

    with pytest.raises(ValueError, match=r"0\.20 has no coordinated stop"):
        eplb.ask_to_stop()


@pytest.mark.parametrize(("version", "known"), [("0.20", 1), ("0.33", 2)])
def test_0_33_looks_its_groups_up_in_every_cycle_and_0_20_does_not(version, known):
    seen = []

    def policy(load, placement, ranks):
        seen.append(ranks)
        raise OSError("enough seen")

    eplb, _ = alone(policy=policy, version=version)
    eplb.start()
    eplb.replace_groups(Groups(None, None, None, 0, 2))
    begin(eplb)

    with pytest.raises(WorkerError, match="enough seen"):
        on_worker.run_until(eplb, lambda: False, lambda: True)

    assert seen == [known]


def test_0_20_refuses_an_engine_that_reads_live_weights():
    _, model = alone()
    model.communicator = Bypassing()

    with pytest.raises(ValueError, match=r"one: version 0\.20 over alone without staging"):
        AsyncEplb([model], Groups(None, None, None), step_interval=1, event_factory=HostEvent)


def test_the_worker_waits_for_the_consumers_stream_before_an_engine_writes_again():
    log = []

    class Watched(HostStream):
        def synchronize(self):
            log.append("synchronize")

    eplb, model = alone(version="0.33", side=Watched())
    model.communicator = Bypassing(lambda: log.append("exchange"))
    eplb.start()
    begin(eplb)
    until_idle(eplb)
    eplb.stop()

    layer = ["exchange", "synchronize", "synchronize"]  # filled, and consumed
    assert log == ["synchronize", *layer * len(PLACEMENT)]


def test_a_model_without_layers_is_refused():
    _, model = alone()
    model.weights = []

    with pytest.raises(ValueError, match=r"models \['one'\] have no layer with experts"):
        AsyncEplb([model], Groups(None, None, None), step_interval=1, event_factory=HostEvent)
