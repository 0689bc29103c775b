"""The fast search answers as the plain one does, and says where it does not."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, assume, given, seed, settings

from eplb_model.check import Search, check
from eplb_model.explore.fast.alone import NotCovered
from eplb_model.explore.fast.packed import count_everything
from eplb_model.explore.fast.table import Table
from eplb_model.machine import MACHINES
from eplb_model.ops import OPERATIONS
from eplb_model.ops.collectives import Barrier
from eplb_model.ops.flags import Set, WaitFlag
from eplb_model.ops.launch import AwaitComplete, Launch
from eplb_model.ops.synchronize import StreamSynchronize
from eplb_model.scenario import Scenario, Statement
from eplb_model.strategies import scenarios
from eplb_model.vector import load
from tests.fast_twin import answered, disagreement, said_of
from tests.generated import machines
from tests.small import gang, kernel, meeting, rank, scenario
from tests.test_vectors import CASES, Case

COUPLING = {"all_reduce", "barrier", "isend", "irecv", "wait_requests", "read", "wait_reads"}
KINDS = ["launch"] * 12 + [k for k in OPERATIONS if k not in {*COUPLING, "branch", "access"}]
SMALL = [case for case in CASES if max(case.expect.states.values()) < 250]
COUNTED = [
    case
    for case in SMALL[::2]
    if "plain" in case.expect.states and not case.scenario.machine.settings()
]
SHARES = 10  # of a thousand programs, each with its own seed and under a minute
coupled_by_kernels = machines().flatmap(lambda each: scenarios(machine=each, kinds=KINDS))


# --- equality ----------------------------------------------------------------------------------


@pytest.mark.parametrize("case", SMALL, ids=str)
def test_the_fast_search_answers_what_the_vector_says(case: Case):
    report = check(case.scenario)

    assert (report.verdict, report.when, report.serialised) == (
        case.expect.verdict,
        case.expect.when,
        case.expect.serialised,
    )
    assert report.declined is not None or report.states <= case.expect.states["settled"]


@given(coupled_by_kernels)
@settings(max_examples=30, suppress_health_check=list(HealthCheck))
def test_generated_programs_have_the_same_verdict_and_the_same_deadlocks(described: Scenario):
    _compare(described, 300)


@pytest.mark.slow
@pytest.mark.parametrize("share", range(SHARES))
def test_a_thousand_generated_programs_have_the_same_verdict_and_the_same_deadlocks(share: int):
    compared = 0

    @seed(share)
    @given(coupled_by_kernels)
    @settings(max_examples=1_000 // SHARES, suppress_health_check=list(HealthCheck))
    def compare(described: Scenario):
        nonlocal compared
        assume(_compare(described, 400))
        compared += 1

    compare()
    assert compared >= 1_000 // SHARES


def _compare(described: Scenario, most_states: int) -> bool:
    """Whether both searches could say something; if so, it has to be the same."""
    try:
        assert disagreement(described, most_states) is None
    except NotCovered:
        return False
    return True


@given(coupled_by_kernels)
@settings(max_examples=25, suppress_health_check=list(HealthCheck))
def test_without_symmetry_the_answer_is_the_same(described: Scenario):
    one = check(described, Search(max_states=3_000))
    other = check(described, Search(symmetry=False, max_states=3_000))

    if one.declined is None and not one.bounds["cut"] and not other.bounds["cut"]:
        assert answered(one) == answered(other)


# --- what pairs don't show ---------------------------------------------------------------------

# Three kernels of one slot each on two slots: every pair fits, the triple does not.
SLOT = MACHINES["tiny"].sms // 2


def three_on_two_slots() -> Scenario:
    spinning = [kernel(name, SLOT, until="over") for name in ("one", "two")]
    last: list[Statement] = [Launch("three", "s2"), AwaitComplete("three"), Set("over")]
    alone = rank([Launch("one", "s0")], [Launch("two", "s1")], last, streams=("s0", "s1", "s2"))
    return scenario(alone, kernels=[*spinning, kernel("three", SLOT)])


def test_three_kernels_of_which_every_pair_fits_are_not_independent():
    described = three_on_two_slots()
    fast, plain = check(described), check(described, Search(settle=False))

    assert fast.declined is None
    assert answered(fast) == answered(plain)
    assert sorted(fast.ends) == ["deadlock", "ok"]


def test_the_launches_of_three_such_kernels_are_one_persistent_set():
    (role,) = said_of(three_on_two_slots().world).found.roles.roles

    assert role.persistent[False].sets(0).found == (frozenset({0, 1, 2}),)


def test_each_rank_may_leave_out_another_of_three_gangs():
    streams = ("s0", "s1", "s2")
    threads: list[list[Statement]] = [[Launch(f"k{n}", f"s{n}")] for n in range(3)]
    kernels = [gang(f"k{n}", SLOT, meets=meeting("grid", f"k{n}", 3)) for n in range(3)]
    everyone = [rank(*threads, streams=streams) for _ in range(3)]
    report = check(scenario(*everyone, kernels=kernels))

    assert report.declined is None
    assert sorted(report.ends) == ["deadlock", "ok"]
    assert report.finding is not None
    assert len(report.finding.schedule) == 9


# --- symmetry ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("ranks", "layers"), [(2, 1), (3, 1), (8, 1), (2, 2), (5, 2), (3, 3)])
def test_deadlocks_up_to_renaming_ranks_are_as_many_as_the_closed_form_says(ranks, layers):
    described = load("coop_vs_nccl_all_at_once").scenario({"ranks": ranks, "layers": layers})

    assert check(described).ends["deadlock"] == 2 * layers**2 * (ranks - 1)


@pytest.mark.parametrize(("ranks", "layers"), [(2, 1), (3, 1), (4, 1), (2, 2), (3, 2)])
def test_deadlocks_of_ranks_kept_apart_are_as_many_as_the_closed_form_says(ranks, layers):
    described = load("coop_vs_nccl_all_at_once").scenario({"ranks": ranks, "layers": layers})
    report = check(described, Search(symmetry=False))

    assert report.ends["deadlock"] == 2 * layers**2 * (2**ranks - 2)


def test_a_ring_has_no_symmetry_and_the_report_says_so():
    ring = load("deepep_ll_async_eplb").scenario({"ranks": 4, "peers": "next", "order": "opposite"})
    report = check(ring)

    assert report.reduction == "persistent sets"


def test_a_proof_for_many_ranks_takes_few_states():
    settings = {"ranks": 256, "steps": 3, "layers": 3}
    report = check(load("coop_vs_nccl_capped").scenario(settings))

    assert (report.verdict, report.serialised) == ("ok", "sometimes")
    assert report.states < 1_000


@pytest.mark.parametrize("strategy", ["bfs", "dfs"])
def test_a_cut_search_never_says_ok(strategy):
    described = load("coop_vs_nccl_capped").scenario({"order": "free", "layers": 2})
    report = check(described, Search(strategy=strategy, max_states=10))

    assert (report.verdict, report.bounds["cut"]) == ("unknown", "max_states")


def test_depth_first_the_first_deadlock_of_many_ranks_is_found_among_few_states():
    described = load("coop_vs_nccl_all_at_once").scenario({"ranks": 64})
    report = check(described, Search(strategy="dfs", max_states=5_000))

    assert (report.verdict, report.when) == ("deadlock", "some")


# --- what is not covered -----------------------------------------------------------------------


def test_what_is_not_covered_is_left_to_the_settled_search_and_named():
    report = check(load("p2p_lists_agree").scenario())

    assert report.declined == "operation irecv"
    assert report.reduction == "settling"


def test_a_possible_race_is_left_to_the_settled_search():
    report = check(load("staging_rewritten_during_copy").scenario())

    assert (report.verdict, report.declined) == ("race", "accesses that may race")


def test_known_gap_host_collectives_are_left_to_the_settled_search():
    meeting_hosts = rank([Barrier("world")])
    report = check(scenario(meeting_hosts, meeting_hosts, kernels=[]))

    assert (report.verdict, report.declined) == ("ok", "operation barrier")


# --- tables ------------------------------------------------------------------------------------


def test_a_table_of_one_rank_has_the_states_and_steps_of_the_plain_search():
    described = scenario(
        rank([Launch("k", "s"), Set("f")], [WaitFlag("f"), StreamSynchronize("s")]),
        kernels=[kernel("k", 2)],
    )
    table = Table(described.world, 0, whole=False)
    plain = check(described, Search(settle=False))

    assert len(table.states) == plain.states
    assert sum(map(len, table.edges)) == plain.transitions


@pytest.mark.parametrize("case", COUNTED, ids=str)
def test_tables_without_any_reduction_have_the_states_and_steps_of_the_plain_search(case: Case):
    try:
        counts = count_everything(case.scenario.world)
    except NotCovered:
        return
    plain = check(case.scenario, Search(settle=False))

    assert (counts.states, counts.transitions) == (plain.states, plain.transitions)
    assert counts.states == case.expect.states["plain"]
    assert counts.deadlocks == plain.ends.get("deadlock", 0)
    assert counts.ok == plain.ends.get("ok", 0)


@given(coupled_by_kernels)
@settings(max_examples=25, suppress_health_check=list(HealthCheck))
def test_generated_programs_have_as_many_states_and_steps_in_tables(described: Scenario):
    plain = check(described, Search(settle=False, max_states=600))
    try:
        counts = count_everything(described.world, 600)
    except NotCovered:
        return

    if not plain.bounds["cut"]:
        assert (counts.states, counts.transitions) == (plain.states, plain.transitions)


@pytest.mark.parametrize(("ranks", "layers"), [(2, 1), (3, 1), (2, 2)])
def test_all_deadlocks_are_as_many_as_the_closed_form_says(ranks, layers):
    described = load("coop_vs_nccl_all_at_once").scenario({"ranks": ranks, "layers": layers})

    assert count_everything(described.world).deadlocks == 2 * layers**2 * (2**ranks - 2)
