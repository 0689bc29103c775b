"""vLLM's `step()` and worker on two gloo processes: are their runs the model's?"""

from dataclasses import asdict, replace
from functools import cache

import pytest

pytest.importorskip("torch", reason="tests/real needs torch: pip install -e '.[real]'")

from eplb_model.observation import observation
from eplb_real.vllm.protocol import Asked, Ran, refined, run, scenario_of
from eplb_real.vllm.wheel import VERSIONS

pytestmark = pytest.mark.vllm


def settings_of(asked: Asked) -> str:
    """What differs from the defaults."""
    changed = set(asdict(asked).items()) - set(asdict(Asked()).items())
    return ",".join(f"{name}={value}" for name, value in sorted(changed)) or "defaults"


BOTH = [
    Asked(),
    Asked(layers=2, cycles=2, seed=1),
    Asked(models=2, layers=2, cycles=2, seed=2),
    Asked(layers=3, cycles=2, interval=5, seed=3),
    Asked(cycles=3, interval=4, moved="local"),
    Asked(ranks=3),
]
ONLY_033 = [
    Asked(version="0.33.0", drain=0),
    Asked(version="0.33.0", drain=2, layers=2),
]
once = cache(run)


@pytest.fixture(scope="module", params=VERSIONS)
def version(request, has_vllm):
    return has_vllm(request.param)


def raised(ran: Ran) -> list[tuple[str, str, str]]:
    return [
        (line["actor"], line["op"], line["family"])
        for line in ran.lines
        if line["event"] == "raise"
    ]


def open_calls(asked: Asked, ran: Ran) -> dict[str, str]:
    seen = observation(scenario_of(asked).world, ran.lines, streams=False)
    return {str(actor): call.op for actor, call in seen.open_calls.items()}


# --- what the model has ----------------------------------------------------------------------


@pytest.mark.parametrize("asked", BOTH, ids=settings_of)
def test_a_run_of_step_and_worker_refines_the_model_of_its_version(version, asked):
    asked = replace(asked, version=version)

    ran = once(asked)

    assert (ran.ending, ran.evidence, raised(ran)) == ("completed", "", [])
    assert refined(scenario_of(asked), ran).message == "the model has this run"


@pytest.mark.parametrize("asked", ONLY_033, ids=settings_of)
def test_a_drain_of_033_refines_the_model(has_vllm, asked):
    has_vllm(asked.version)

    ran = once(asked)

    assert (ran.ending, raised(ran)) == ("completed", [])
    assert refined(scenario_of(asked), ran)


@pytest.mark.parametrize("after", [False, True])
def test_a_transfer_that_fails_on_one_rank_stalls_the_others_worker_in_silence(version, after):
    asked = Asked(version=version, raises=0, raises_after=after)

    ran = once(asked)

    assert (ran.ending, raised(ran)) == ("hung", [("1.worker", "raise", "fault")])
    waits = "cpu_gpu_event_wait" if after else "wait_requests"
    assert open_calls(asked, ran) == {"0.worker": waits}
    assert refined(scenario_of(asked), ran)


def test_a_worker_that_dies_leaves_the_other_one_waiting_for_its_rows(version):
    asked = Asked(version=version, dies=0)

    ran = once(asked)

    assert (ran.ending, raised(ran)) == ("hung", [])
    assert open_calls(asked, ran) == {"0.worker": "wait_requests"}
    assert refined(scenario_of(asked), ran)


def test_a_record_before_the_result_is_taken_back_fails_the_workers_assertion(version):
    asked = Asked(version=version, record_first=True)

    ran = once(asked)

    failed = [(f"{rank}.worker", "assert", "violation") for rank in (0, 1)]
    assert (ran.ending, raised(ran)) == ("completed", failed)
    assert refined(scenario_of(asked), ran)


# --- what the model does not have ------------------------------------------------------------


def test_no_version_is_taken_for_the_other(version):
    ran = once(Asked(version=version))
    other = next(each for each in VERSIONS if each != version)

    assert refined(scenario_of(Asked(version=other)), ran).holds is False


@pytest.mark.parametrize(
    "asked",
    [Asked(raises=0, raises_after=True), Asked(record_first=True)],
    ids=settings_of,
)
def test_a_run_with_a_fault_is_no_run_of_the_model_without_it(version, asked):
    ran = once(replace(asked, version=version))

    assert refined(scenario_of(Asked(version=version)), ran).holds is False


def without_record(lines):
    return [line for line in lines if line.get("op") != "cpu_gpu_event_record"]


def with_another_vote(lines):
    last = max(n for n, line in enumerate(lines) if line.get("value") == 2)
    return [{**line, "value": 1} if n == last else line for n, line in enumerate(lines)]


def with_another_row(lines):
    return [
        {**line, "variables": {**line["variables"], "held_0_1": 9}}
        if line["event"] == "final"
        else line
        for line in lines
    ]


def with_another_stream(lines):
    return [
        {**line, "fields": {**line["fields"], "stream": "unordered"}}
        if line["event"] == "begin" and line["op"] == "cpu_gpu_event_wait"
        else line
        for line in lines
    ]


@pytest.mark.parametrize(
    "tampered", [without_record, with_another_vote, with_another_row, with_another_stream]
)
def test_a_tampered_run_is_refused(version, tampered):
    asked = Asked(version=version)
    ran = once(asked)

    changed = Ran(tuple(tampered(ran.lines)), ran.ending)

    assert refined(scenario_of(asked), changed).holds is False


# --- what the model lacks --------------------------------------------------------------------


def is_staging(line_or_op) -> bool:
    """Whether it is the communicator's wait for its copies to the host."""
    if isinstance(line_or_op, dict):
        return bool(line_or_op.get("fields", {}).get("blocking")) and (
            line_or_op["fields"]["direction"] == "d2h"
        )
    return bool(line_or_op.kind == "copy" and line_or_op.writes == ("sent",))


def without_staging(lines):
    begun = [n for n, line in enumerate(lines) if is_staging(line)]
    left_out = {n for begin in begun for n in (begin, _end_of(lines, begin))}
    return [line for n, line in enumerate(lines) if n not in left_out]


def _end_of(lines, begin):
    actor = lines[begin]["actor"]
    return next(n for n in range(begin + 1, len(lines)) if lines[n].get("actor") == actor)


def test_a_rank_that_only_receives_synchronises_its_stream_too(version):
    asked = Asked(version=version, moved="spread")
    ran = once(asked)

    answer = refined(scenario_of(asked), ran)

    assert answer.holds is True, answer.message


def test_settings_that_a_version_has_not_are_refused():
    with pytest.raises(ValueError, match=r"drain: 0\.20\.0 has none"):
        Asked(drain=0)
    with pytest.raises(ValueError, match="raises=1: expected a layer below 1"):
        Asked(raises=1)
    with pytest.raises(ValueError, match=r"version=0.18.0: expected one of 0\.20\.0, 0\.33\.0"):
        Asked(version="0.18.0")
