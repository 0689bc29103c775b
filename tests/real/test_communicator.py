"""What all communicators do alike, on one that only keeps its batches, and `pynccl` on a fake."""

from importlib.util import find_spec

import pytest

pytest.importorskip("torch", reason="tests/real needs torch: pip install -e '.[real]'")

import torch

from eplb_real.communicators.base import EplbCommunicator, ExchangeError
from eplb_real.communicators.nccl4py import Nccl4pyCommunicator
from eplb_real.communicators.pynccl import PyNcclEplbCommunicator
from eplb_real.streams import HostStream
from tests.real.fakes import FakeNccl

ROWS = [torch.full((2,), float(number)) for number in range(3)]


class Kept(EplbCommunicator):
    name = "kept"

    def __init__(self, error=None):
        super().__init__(rank=1, size=4)
        self.batches = []
        self._error = error

    def _exchange(self, batch):
        if self._error:
            raise self._error
        self.batches.append([(t.direction, t.tensor.tolist(), t.peer, t.expert) for t in batch])


def batch_of(*calls):
    kept = Kept()
    for name, args, keywords in calls:
        getattr(kept, name)(*args, **keywords)
    kept.execute()
    return kept.batches


def call(name, *args, **keywords):
    return name, args, keywords


def test_a_batch_keeps_the_order_of_its_calls_and_is_empty_after_execute():
    kept = Kept()
    kept.add_send(ROWS[0], 0)
    kept.add_recv(ROWS[1], 2)
    kept.execute()
    kept.execute()

    assert kept.batches == [[("send", [0, 0], 0, None), ("receive", [1, 1], 2, None)]]


def test_one_call_with_several_tensors_is_as_many_calls_with_one():
    one = batch_of(call("add_send", ROWS, 2, 7))
    several = batch_of(*(call("add_send", row, 2, 7) for row in ROWS))

    assert one == several == [[("send", [n, n], 2, 7) for n in (0, 1, 2)]]


def test_old_and_new_names_of_parameters_mean_the_same():
    old = batch_of(call("add_recv", tensor=ROWS[0], src_rank=0))
    new = batch_of(call("add_recv", tensors=[ROWS[0]], src_rank=0, expert_id=None))

    assert old == new == [[("receive", [0, 0], 0, None)]]


@pytest.mark.parametrize(
    ("name", "keywords", "text"),
    [
        ("add_send", {"tensors": ROWS, "tensor": ROWS[0], "dst_rank": 0}, "one of them"),
        ("add_send", {"dst_rank": 0}, "no tensors"),
        ("add_recv", {"tensor": ROWS[0]}, "no peer"),
        ("set_stream", {"stream": 1, "cuda_stream": 2}, "stream and cuda_stream are one"),
    ],
)
def test_both_names_at_once_or_a_missing_argument_is_a_type_error(name, keywords, text):
    with pytest.raises(TypeError, match=text):
        getattr(Kept(), name)(**keywords)


def test_a_stream_is_sticky_until_it_is_set_again():
    kept, stream = Kept(), HostStream()

    kept.set_stream(cuda_stream=stream)
    kept.execute()
    first = kept._stream
    kept.set_stream(None)

    assert (first, kept._stream) == (stream, None)


def test_an_empty_sequence_adds_nothing():
    assert batch_of(call("add_send", [], 0), call("add_recv", (), 2)) == []


def test_a_row_of_no_elements_moves_nothing():
    assert batch_of(call("add_send", [torch.empty(0), ROWS[1]], 0)) == [[("send", [1, 1], 0, None)]]


def test_a_row_without_dimensions_is_a_row():
    assert batch_of(call("add_send", torch.tensor([5, 6])[1], 0)) == [[("send", 6, 0, None)]]


@pytest.mark.parametrize(
    ("rows", "peer", "text"),
    [
        (ROWS[0], 4, r"peer=4; expected a rank of the group, 0\.\.3"),
        (ROWS[0], -1, r"peer=-1; expected a rank of the group"),
        (ROWS[0], 1, r"peer=1 is this rank itself"),
        (torch.zeros(2, 3).T, 0, r"float32\[3, 2\] .* strides \(1, 3\); expected a contiguous row"),
        ([ROWS[0], torch.zeros(4)[::2]], 0, r"strides \(2,\)"),
    ],
)
def test_a_refused_transfer_drops_the_whole_batch(rows, peer, text):
    kept = Kept()
    kept.add_send(ROWS[0], 0)

    with pytest.raises(ValueError, match=text):
        kept.add_send(rows, peer)
    kept.add_recv(ROWS[2], 3)
    kept.execute()

    assert kept.batches == [[("receive", [2, 2], 3, None)]]


def test_after_a_failed_execute_nothing_stays_queued():
    kept = Kept(error=OSError("cable"))
    kept.add_send(ROWS[0], 0)

    with pytest.raises(OSError, match="cable"):
        kept.execute()
    kept._error = None
    kept.execute()

    assert kept.batches == []


def test_collective_buffers_are_reserved_and_a_context_is_ignored_by_default():
    kept = Kept()
    kept.set_transfer_context([0, 1], 0)

    assert kept.needs_profile_buffer_reservation


# --- pynccl ----------------------------------------------------------------------------------


def test_pynccl_moves_a_batch_in_one_group_on_its_stream():
    nccl, stream = FakeNccl(), HostStream()
    communicator = PyNcclEplbCommunicator(nccl, stream)
    communicator.add_send(ROWS[1], 1)
    communicator.add_recv(ROWS[2], 1)
    before = list(nccl.calls)

    communicator.execute()
    communicator.execute()

    assert before == []
    assert nccl.calls == [
        ("start",),
        ("send", [1, 1], 1, stream),
        ("recv", [2, 2], 1, stream),
        ("end",),
    ]


def test_pynccl_opens_a_group_for_an_empty_sequence():
    nccl = FakeNccl()
    communicator = PyNcclEplbCommunicator(nccl)
    communicator.add_send([], 1)

    communicator.execute()
    communicator.execute()

    assert nccl.calls == [("start",), ("end",)]


@pytest.mark.parametrize("fail_at", ["send", "recv"])
def test_pynccl_closes_its_group_after_a_failure_and_serves_again(fail_at):
    nccl = FakeNccl(fail_at)
    communicator = PyNcclEplbCommunicator(nccl)
    communicator.add_send(ROWS[0], 1, 5)
    communicator.add_recv(ROWS[1], 1, 5)

    with pytest.raises(ExchangeError, match=rf"NCCL refuses the {fail_at}; the group was closed"):
        communicator.execute()
    depth, nccl.fail_at, nccl.calls = nccl.depth, None, []
    communicator.add_recv(ROWS[2], 1)
    communicator.execute()

    assert depth == 0
    assert nccl.calls == [("start",), ("recv", [2, 2], 1, None), ("end",)]


def test_pynccl_names_the_batch_whose_end_failed_and_starts_a_new_group_afterwards():
    nccl = FakeNccl("end")
    communicator = PyNcclEplbCommunicator(nccl)
    communicator.add_send(ROWS[0], 1)

    with pytest.raises(ExchangeError, match="the end of the group with 1 transfers failed"):
        communicator.execute()
    nccl.fail_at, nccl.calls = None, []
    communicator.execute()

    assert (nccl.depth, nccl.calls) == (0, [])


def test_pynccl_checks_peers_where_its_communicator_knows_the_group():
    communicator = PyNcclEplbCommunicator(FakeNccl(rank=0, world_size=2))

    with pytest.raises(ValueError, match="peer=0 is this rank itself"):
        communicator.add_send(ROWS[0], 0)


@pytest.mark.parametrize(
    ("nccl", "text"),
    [
        (FakeNccl(disabled=True), "is disabled"),
        (FakeNccl(available=False), "without its library"),
        (None, "no NCCL communicator"),
    ],
)
def test_pynccl_refuses_a_communicator_that_would_drop_everything(nccl, text):
    with pytest.raises(RuntimeError, match=text):
        PyNcclEplbCommunicator(nccl)


@pytest.mark.skipif(find_spec("nccl") is not None, reason="for a machine without nccl4py")
def test_without_nccl4py_its_adapter_says_what_to_install():
    with pytest.raises(RuntimeError, match="nccl4py is not installed; expected pip install"):
        Nccl4pyCommunicator(None, torch.device("cuda"))
