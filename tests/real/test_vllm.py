"""vLLM's own event and communicators, version by version, against the vectors and the exchange."""

import pytest

pytest.importorskip("torch", reason="tests/real needs torch: pip install -e '.[real]'")

from hypothesis import given, settings
from hypothesis import strategies as st

from eplb_model.rearrangements import rearrangements
from eplb_model.vector import load
from eplb_real.drivers.registry import DRIVERS
from eplb_real.drivers.vllm import driver_name
from eplb_real.runner import Replay, Wish
from eplb_real.vllm.wheel import VERSIONS
from tests.real import on_vllm
from tests.real.test_exchange import DTYPES, MEMBERS, expected, numbered
from tests.real.test_torch_communicators import among

pytestmark = pytest.mark.vllm

BACKENDS = ["torch_gloo", "torch_nccl"]
VECTORS = [
    "cpu_gpu_event_consumer_killed",
    "cpu_gpu_event_dead_producer",
    "cpu_gpu_event_dead_waiter",
    "cpu_gpu_event_double_record",
    "cpu_gpu_event_handshake",
    "cpu_gpu_event_lost_wake_up",
    "cpu_gpu_event_other_stream",
    "cpu_gpu_event_record_before_clear",
    "cpu_gpu_event_record_raises",
    "cpu_gpu_event_same_thread",
    "cpu_gpu_event_second_wait",
    "cpu_gpu_event_two_producers",
    "cpu_gpu_event_two_waiters",
    "cpu_gpu_event_wait_first",
    "cpu_gpu_event_wait_raises",
    "cpu_gpu_event_wait_retried",
    "event_per_producer",
    "load_snapshot_after_event",
    "two_producers_one_event",
]


@pytest.fixture(scope="module", params=VERSIONS)
def version(request, has_vllm):
    return has_vllm(request.param)


@pytest.fixture(scope="module")
def replay(version):
    with Replay(DRIVERS[driver_name(version)]) as made:
        yield made


@pytest.fixture(scope="module")
def ranks(version):
    pool = pytest.importorskip("tests.real.ranks", exc_type=ImportError).Ranks(4)
    yield pool
    pool.close()


# --- the event -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VECTORS)
def test_a_vector_on_its_event_agrees_with_the_model(replay, name):
    (replayed,) = replay.scenario(load(name).scenario(), Wish())

    assert (replayed.answer, replayed.why) == ("agrees", "")


def test_what_is_stepped_is_the_code_of_the_wheel(ranks, version):
    seen = ranks.on(0, on_vllm.where, version)

    assert seen == (True, [f"{version}/vllm/distributed/eplb/eplb_utils.py"[-50:]] * 2)


def test_a_vector_without_its_event_is_declined(replay):
    (replayed,) = replay.scenario(load("p2p_lists_agree").scenario(), Wish())

    assert (replayed.answer, replayed.why) == ("declined", "it has no two-thread event")


def test_a_process_has_one_version(ranks, version):
    other = next(each for each in VERSIONS if each != version)

    seen = ranks.on(0, on_vllm.second_version, version, other)

    text = f"this process has vLLM {version}; {other} needs one of its own"
    assert seen == (True, ("RuntimeError", text))


# --- communicators and the exchange ----------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=15)
@given(data=st.data())
def test_rows_arrive_where_the_model_says(ranks, version, backend, data):
    drawn = data.draw(rearrangements(least_ranks=2))
    members = list(range(drawn.ranks))
    if version != "0.20.0":  # whose peers are global ranks
        members = data.draw(st.sampled_from(MEMBERS[drawn.ranks]))
    dtypes = data.draw(st.lists(st.sampled_from(DTYPES[:5]), min_size=1, max_size=4))
    tags = numbered(drawn)

    seen = ranks.run(
        on_vllm.exchange, version, members, backend, drawn.old, drawn.new, tags, dtypes
    )

    assert [seen[member] for member in members] == expected(drawn, tags, dtypes)


@pytest.mark.parametrize("backend", BACKENDS)
def test_peers_are_right_where_global_ranks_are_those_of_the_group(ranks, version, backend):
    seen = ranks.run(on_vllm.swap, version, [0, 1], backend)

    assert among(seen, [0, 1]) == [(None, None, 1), (None, None, 0)]


@pytest.mark.parametrize(("backend", "at"), [("torch_nccl", 0), ("torch_gloo", 1)])
def test_peers_outside_the_group_are_refused_by_020_and_right_in_033(ranks, version, backend, at):
    seen = among(ranks.run(on_vllm.swap, version, [2, 3], backend), [2, 3])

    if version == "0.20.0":  # vllm#55804
        assert [error[at][0] for error in seen] == ["ValueError", "ValueError"]
    else:
        assert seen == [(None, None, 1), (None, None, 0)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_peers_inside_the_group_are_the_wrong_ones_in_020_without_a_word(ranks, version, backend):
    members = [2, 3, 0, 1]

    seen = among(ranks.run(on_vllm.swap, version, members, backend), members)

    arrived = [3, 2, 1, 0] if version == "0.20.0" else [1, 0, 3, 2]
    assert seen == [(None, None, each) for each in arrived]


def test_its_pynccl_moves_a_batch_in_one_group(ranks, version):
    seen = ranks.on(0, on_vllm.pynccl, version, None)

    calls = ["start", "send", "recv", "end", "start", "send", "end"]
    assert seen == (True, ([None, None], calls, 0))


def test_its_pynccl_sends_what_a_failed_batch_left_behind_with_the_next_one(ranks, version):
    seen = ranks.on(0, on_vllm.pynccl, version, "recv")

    calls = ["start", "send", "recv", "send", "end"]
    assert seen == (True, (["NCCL refuses the recv", None], calls, 0))


def test_its_pynccl_ends_a_group_that_it_never_started_after_an_end_that_fails(ranks, version):
    seen = ranks.on(0, on_vllm.pynccl, version, "end")

    calls = ["start", "send", "recv", "end", "send", "end"]
    assert seen == (True, (["NCCL refuses the end", None], calls, -1))
