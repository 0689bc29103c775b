"""`advise` says what the model says, once per distinct case, and calls nothing else safe."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from eplb_model.advise import Checks, Question, advise, largest_safe_cap
from eplb_model.advise import judging as judging_module
from eplb_model.advise.answer import STAND_IN, cap_answers, size_answers
from eplb_model.advise.document import advice_document, advice_text
from eplb_model.advise.judging import (
    NCCL_VECTOR,
    UNEVEN_VECTOR,
    VECTORS,
    cases,
    scenario,
    uneven_cases,
)
from eplb_model.check import Search, check
from eplb_model.cli import main
from eplb_model.schema import schema
from eplb_model.vector import load

# 512 KiB keep the exchange at 8 CTAs (N8) and the searches short.
ONE = Question(ranks=2, tokens=(64,), phases=("dispatch",), bytes_per_op=512 << 10)
EIGHT = Question(ranks=8, tokens=(64,), phases=("dispatch",))


SHARED = Checks()  # so that a case is searched once for all tests


def _json(capsys, *arguments: str) -> tuple[int, dict]:
    code = main(["advise", *arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


# --- cases ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("cap", [64, 16, 12, 8, 3, 1])
@pytest.mark.parametrize("size", [0, 2, 4])
def test_points_of_one_case_have_the_kernels_that_the_vector_computes(cap, size):
    question = Question(
        ranks=4, experts=320, tokens=(1, 107, 110, 128, 132, 264), cluster_size=size
    )
    vector = load(NCCL_VECTOR)

    for case in cases(question, NCCL_VECTOR, cap, size):
        for point in case.points:
            derived = vector.derived({"ranks": 4, **question.settings(point, cap, size)})
            assert case.kernels[:4] == (
                derived["coop_ctas"],
                derived["coop_cluster"],
                derived["nccl_ctas"],
                derived["nccl_cluster"],
            )


def test_every_point_is_in_one_case_and_cases_come_in_the_order_of_their_points():
    question = Question(tokens=tuple(range(1, 140)))
    found = cases(question, NCCL_VECTOR, 8, 4)

    assert sorted(p for case in found for p in case.points) == sorted(question.points())
    firsts = [case.first for case in found]
    assert firsts == sorted(firsts, key=list(question.points()).index)


def test_a_case_is_asked_once_whatever_the_question():
    checks = Checks()
    cap_answers(replace(ONE, tokens=tuple(range(1, 129))), checks)
    before = dict(checks.reports)

    cap_answers(replace(ONE, tokens=tuple(range(1, 125))), checks)

    assert checks.reports == before


def test_the_scenario_of_a_case_has_the_exchange_of_the_whole_group():
    (case,) = cases(EIGHT, NCCL_VECTOR, 64, 4)
    built = scenario(EIGHT, case)

    assert len(built.ranks) == 2
    exchange = built.kernels["exchange"]
    assert (exchange.ctas, exchange.cluster) == (28, 4)  # N12: 8 ranks, all peers, no cap
    assert set(exchange.rounds) == {(1,)}


# --- answers -------------------------------------------------------------------------------------


def test_the_largest_safe_cap_is_the_one_that_leaves_room_for_a_cluster():
    advice = advise(ONE, SHARED)

    assert [(each.least, each.most, each.verdict) for each in advice.caps] == [
        (9, 64, "deadlock"),
        (5, 8, "ok"),
        (3, 4, "ok"),
        (1, 2, "ok"),
    ]
    assert (advice.safe, advice.largest_safe) == (False, 8)
    assert largest_safe_cap(ONE, SHARED) == 8


def test_eight_ranks_need_a_smaller_cap():
    assert largest_safe_cap(EIGHT, SHARED) == 4


def test_the_cluster_size_matters_where_single_ctas_trickle():
    sizes = {each.cluster_size: each.verdict for each in size_answers(ONE, SHARED)}

    assert (sizes[0], sizes[4]) == ("ok", "deadlock")


def test_a_grid_of_all_sms_has_no_safe_cap_and_other_ways_are_safe():
    advice = advise(replace(ONE, experts=264), SHARED)

    assert advice.largest_safe is None
    assert {each.name: each.verdict for each in advice.alternatives} == {
        "torch_gloo": "ok",
        "nixl": "ok",
        "stream_edge": "ok",
    }


@pytest.mark.slow
def test_an_advice_on_what_nobody_measured_is_not_safe():
    advice = advise(replace(ONE, machine="b200", experts=288), SHARED)

    assert (advice.verdict, advice.safe, advice.exit_code) == ("may", False, 3)
    assert advice.largest_safe == 8
    assert "the layout of b200 is assumed, its placement rule unknown" in advice.assumptions


def test_a_case_that_depends_on_what_nobody_measured_is_not_safe():
    question = replace(ONE, machine="b200", experts=288)
    (judged,) = SHARED.all(question, cases(question, NCCL_VECTOR, 64, 4))

    assert (judged.verdict, judged.safe) == ("may", False)


def test_a_search_that_was_cut_makes_nothing_safe():
    advice = advise(replace(ONE, experts=288), Checks(Search(max_states=3)))

    assert (advice.verdict, advice.safe, advice.largest_safe) == ("unknown", False, None)
    assert {each.verdict for each in advice.alternatives} == {"unknown"}


def test_an_alternative_is_as_safe_as_the_model_says(monkeypatch):
    monkeypatch.setitem(VECTORS, "torch_gloo", NCCL_VECTOR)

    advice = advise(ONE, SHARED)

    named = {each.name: each.verdict for each in advice.alternatives}
    assert (named["torch_gloo"], named["nixl"]) == ("deadlock", "ok")


def test_the_answer_is_what_check_says(monkeypatch):
    monkeypatch.setattr(
        judging_module, "check", lambda s, _: replace(check(s, Search(max_states=5)), verdict="may")
    )

    assert advise(replace(ONE, experts=288)).verdict == "may"


@pytest.mark.parametrize(
    ("text", "override", "cap"),
    [(None, False, 64), (None, True, 8), ("0x10", True, 8), ("0", True, 64), ("012", False, 10)],
)
def test_the_cap_is_what_nccl_makes_of_the_text(text, override, cap):
    assert replace(ONE, nccl_env=text, override=override).cap == cap


def test_a_transport_without_a_kernel_needs_no_cap():
    advice = advise(replace(ONE, experts=264, communicator="torch_gloo"), SHARED)

    assert (advice.safe, advice.caps, advice.sizes) == (True, (), ())
    assert "NCCL_MAX_CTAS:\n" not in advice_text(advice)


def test_two_ranks_that_stand_for_more_are_named():
    over_gloo = replace(ONE, communicator="torch_gloo")

    assert STAND_IN in advise(replace(over_gloo, ranks=3), SHARED).assumptions
    assert STAND_IN not in advise(over_gloo, SHARED).assumptions


def test_every_assumption_of_an_advice_is_explained():
    text = (Path(__file__).parents[1] / "specs" / "assumptions.md").read_text()
    printed = advise(replace(ONE, ranks=3, experts=264), SHARED).assumptions

    assert [each for each in printed if f'"{each}"' not in text] == []


# --- ranks that differ ---------------------------------------------------------------------------

# Beside n = 8 in clusters of 4, grids of 123 and of 126 are safe each; not one on each rank.
MIXED = Question(
    ranks=2,
    experts=96,
    tokens=(123, 126),
    phases=("combine",),
    bytes_per_op=512 << 10,
    nccl_env="16",
)


def test_token_counts_that_are_safe_each_may_hang_together():
    judged = SHARED.all(MIXED, cases(MIXED, NCCL_VECTOR, 16, 4))
    pairs = SHARED.all(MIXED, uneven_cases(judged))

    assert [each.verdict for each in judged] == ["ok", "ok"]
    assert [each.verdict for each in pairs] == ["deadlock"]


def test_ranks_may_differ_only_if_that_is_asked():
    assert largest_safe_cap(MIXED, SHARED) == 64
    assert largest_safe_cap(replace(MIXED, uneven=True), SHARED) == 8


def test_a_kernel_that_never_waits_is_in_no_pair():
    question = replace(MIXED, tokens=(110, 123, 126))
    judged = SHARED.all(question, cases(question, NCCL_VECTOR, 16, 4))

    assert [each.report.serialised for each in judged] == ["never", "sometimes", "sometimes"]
    pairs = [(case.first.tokens, case.other.tokens) for case in uneven_cases(judged) if case.other]
    assert pairs == [(123, 126)]


@pytest.mark.parametrize("waits", [123, pytest.param(126, marks=pytest.mark.slow)])
def test_and_whoever_meets_it_does_not_hang(waits):
    settings = {"tokens": 110, "other_tokens": waits, "bytes_per_op": 512 << 10, "order": "free"}

    assert check(load(UNEVEN_VECTOR).scenario(settings)).verdict == "ok"


@pytest.mark.slow
def test_an_advice_names_the_two_counts(capsys):
    words = "--ranks 2 --experts 96 --tokens 123,126 --phase combine --bytes-per-op 512KiB"
    code, document = _json(capsys, *words.split(), "--env", "NCCL_MAX_CTAS=16", "--uneven")

    jsonschema.validate(document, schema("eplb-advice/1"))
    assert (code, document["safe"], document["first_unsafe"]) == (1, False, None)
    pair = document["first_uneven"]
    assert (pair["tokens"], pair["other_tokens"]) == (123, 126)
    assert (pair["coop_ctas"], pair["other_ctas"], pair["verdict"]) == (123, 126, "deadlock")
    assert document["largest_safe_max_ctas"] == 8
    assert "tokens=123 on one and 126 on another" in document["why"]


# --- the command ---------------------------------------------------------------------------------


def test_the_cases_say_which_token_counts_they_are():
    document = advice_document(advise(MIXED, SHARED))
    told = [
        (phase, tokens)
        for case in document["cases"]
        for phase, ranges in case["tokens"].items()
        for first, last in ranges
        for tokens in range(first, last + 1)
    ]

    assert len(document["cases"]) > 1
    assert sorted(told) == sorted((phase, n) for phase in MIXED.phases for n in MIXED.tokens)


@pytest.mark.slow
def test_every_token_count_up_to_512_with_every_cap(capsys):
    words = "--machine h200 --ranks 8 --experts 256 --tokens 1..512 --bytes-per-op 64MiB"
    code, document = _json(capsys, *words.split())

    assert (code, document["safe"], document["points"]) == (1, False, 1024)
    first = document["first_unsafe"]
    assert (first["tokens"], first["phase"], first["coop_ctas"]) == (1, "dispatch", 128)
    firsts = {each["nccl_max_ctas"]["most"]: each["first_unsafe"] for each in document["caps"]}
    assert (firsts[4]["tokens"], firsts[4]["phase"], firsts[4]["coop_ctas"]) == (
        129,
        "combine",
        129,
    )
    assert (firsts[1]["tokens"], firsts[1]["coop_ctas"]) == (132, 132)  # E7: no cap helps
    assert document["largest_safe_max_ctas"] is None
    assert document["cluster_size"]["changes"]
    assert document["ranks_checked"] == 2


@pytest.mark.parametrize(
    "words",
    [
        pytest.param("", marks=pytest.mark.slow),
        "--experts 264 --communicator nixl",
        pytest.param("--machine b200 --experts 288", marks=pytest.mark.slow),
    ],
)
def test_an_advice_fits_its_schema(words, capsys):
    few = "--ranks 2 --tokens 64 --phase dispatch --bytes-per-op 512KiB"
    _, document = _json(capsys, *few.split(), *words.split())

    jsonschema.validate(document, schema("eplb-advice/1"))


def test_an_advice_over_nccl_fits_it_too():
    jsonschema.validate(advice_document(advise(ONE, SHARED)), schema("eplb-advice/1"))


def test_the_command_that_an_advice_names_finds_the_hang(capsys):
    advice = advise(ONE, SHARED)
    command = advice_document(advice)["check"]

    assert main(command.split()[1:]) == 1
    assert "deepep_ll_async_eplb: deadlock" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--tokens 9..1", "expected a..b with a <= b"),
        ("--tokens many", "expected n, a..b"),
        ("--tokens 99999999", "16384"),
        ("--bytes-per-op 64MB", "expected a number and KiB, MiB, GiB"),
        ("--machine h900", "h200"),
        ("--experts 4000", "at most 14, so at most 1848 experts"),
        ("--experts 1", "a grid of 1 CTA"),
        ("--ranks 1", "expected 2.."),
        ("--env NCCL_MIN_P2P_NCHANNELS=8", "not computed here"),
        ("--env NCCL_CGA_CLUSTER_SIZE=9", "expected 0..8"),
        ("--env NCCL_CGA_CLUSTER_SIZE=-1", "expected 0..8"),
        ("--nccl 2.30.7", "N27"),
        ("--check-ranks 9", "expected 2..8"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(words, message, capsys):
    code = main(["advise", *words.split()])
    out, err = capsys.readouterr()

    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert message in err
