"""For every number of ranks: cut-off, hypotheses, what breaks without them, certificates."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from eplb_model.all_ranks import checker
from eplb_model.all_ranks.certificate import Answer, answer
from eplb_model.all_ranks.checker import refusal
from eplb_model.all_ranks.family import Family, fingerprint
from eplb_model.all_ranks.lint import HYPOTHESES, LOCAL, MEETING, Cutoff, Objection, examine
from eplb_model.check import Search, check
from eplb_model.cli import main
from eplb_model.ops import OPERATIONS
from eplb_model.schema import SCHEMAS
from eplb_model.vector import load
from tests.families import Document, document, family

SCHEMA = json.loads((SCHEMAS / "eplb-certificate-1.json").read_text())
ACROSS = {"isend", "irecv", "wait_requests", "read", "wait_reads"}  # what is refused


def of(name: str, **settings: Any) -> Family:
    return Family(name, load(name), settings, {})


def cutoff_of(subject: Family) -> Cutoff:
    found = examine(subject)
    assert isinstance(found, Cutoff), found
    return found


def objections(subject: Family) -> set[str]:
    found = examine(subject)
    assert not isinstance(found, Cutoff), found
    return {each.hypothesis for each in found}


# --- the cut-off ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "settings", "ranks"),
    [
        ("coop_vs_nccl_capped", {}, 3),  # rank 0 and two groups
        ("coop_vs_nccl_capped", {"order": "free"}, 2),  # two groups, one text
        ("three_communicators", {"order": "free"}, 3),
        ("three_communicators", {}, 5),  # two ranks of their own and three groups
        ("crossed_communicators", {"order": "same"}, 2),  # one group; it takes no fewer ranks
        ("crossed_communicators", {"order": "opposite"}, 3),
        ("gated_collective", {}, 4),  # rank 0, one group, one answer, and who may have finished
    ],
)
def test_the_cut_off_counts_own_texts_groups_and_answers(name, settings, ranks):
    assert cutoff_of(of(name, **settings)).ranks == ranks


@pytest.mark.slow
def test_three_communicators_first_hang_at_three_ranks():
    found = answer(of("three_communicators", order="free"))

    assert found.answer == "fails"
    assert found.because == "deadlock with 3 ranks"


@pytest.mark.slow
def test_with_room_three_communicators_hold_for_every_number_of_ranks():
    found = answer(of("three_communicators", order="free", ctas=1), Search(max_states=20_000))

    assert found.answer == "holds"


# --- hypotheses ----------------------------------------------------------------------------------

MEETS: Document = {
    "launch": "regular",
    "ctas": 1,
    "footprint": "exclusive",
    "meets": {"peers": "all", "grain": "grid"},
}
LAUNCH = ["launch", "k", "s0"]


def meeting(**more: Any) -> dict[str, Document]:
    return {"k": {**MEETS, "meets": {**MEETS["meets"], **more}}}


OBJECTIONABLE: dict[str, tuple[str, Document]] = {
    "reads the number": (
        "one text",
        document({"k": {**MEETS, "ctas": "$ranks"}}, {"*.t": [LAUNCH]}),
    ),
    "selects by the number": (
        "one text",
        document({"k": MEETS}, {"by": "ranks", "2": {"*.t": [LAUNCH]}, "1": {"*.t": []}}),
    ),
    "a ring": ("whole groups", document(meeting(peers="next"), {"*.t": [LAUNCH]})),
    "offsets": (
        "whole groups",
        document(
            {"k": {**MEETS, "meets": {"grain": "grid", "sends": [1]}}},
            {"*.t": [LAUNCH]},
            parameters={"machine": "tiny", "ranks": {"default": 2, "min": 2}},
        ),
    ),
    "a sub-group": (
        "whole groups",
        document({"k": MEETS}, {"*.t": [LAUNCH]}, groups={"some": [0]}),
    ),
    "two streams": (
        "one order",
        document({"k": MEETS}, {"*.t": [LAUNCH, ["launch", "k", "s1"]]}),
    ),
    "point to point": (
        "own rank",
        document({"k": MEETS}, {"*.t": [["isend", "world", 0, 1], ["wait_requests"]]}),
    ),
    "a sum": (
        "answers",
        document(
            {"k": MEETS},
            {
                "*.t": [
                    ["all_reduce", "world", 1, "n"],
                    {"if": [{"var": "n"}, "==", 3], "then": [LAUNCH]},
                ]
            },
        ),
    ),
    "a time limit": (
        "finite",
        document({"k": MEETS}, {"*.t": [["barrier", "world", {"timeout": True}]]}),
    ),
    "a loop": ("finite", document({"k": MEETS}, {"*.t": [{"forever": [LAUNCH]}]})),
    "a claim about several ranks": (
        "one rank",
        document(
            {"k": MEETS},
            {"*.t": [["put", "x", 1], ["put", "y", 1]]},
            claims=[{"agree": "x", "when": "y", "sentence": "x is equal"}],
        ),
    ),
    "an order by rank": (
        "settings",
        document({"k": MEETS}, {"*.t": [LAUNCH]}, switches={"cta_order": "opposed"}),
    ),
    "several settings": (
        "settings",
        document({"k": MEETS}, {"*.t": [LAUNCH]}, switches={"packing": "both"}),
    ),
}


@pytest.mark.parametrize("name", OBJECTIONABLE)
def test_a_hypothesis_that_fails_is_named(name, tmp_path):
    hypothesis, made = OBJECTIONABLE[name]

    assert hypothesis in objections(family(made, tmp_path))


def test_every_hypothesis_has_a_row_in_the_specification_and_a_program_that_fails_it():
    page = Path(__file__).parent.parent / "specs" / "all_ranks.md"
    _, _, table = page.read_text().partition("## Hypotheses")
    rows = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("|")]

    assert rows[2 : 2 + len(HYPOTHESES)] == list(HYPOTHESES)
    assert {hypothesis for hypothesis, _ in OBJECTIONABLE.values()} == set(HYPOTHESES)


def test_every_operation_is_local_or_meets_all_or_is_refused():
    assert {*LOCAL, *MEETING, *ACROSS} == set(OPERATIONS)


def test_a_failed_hypothesis_is_printed_with_its_place(capsys):
    code = main(["check", "ring_of_even_length", "--all-ranks"])

    assert code == 3
    assert capsys.readouterr().out.splitlines()[:2] == [
        "ring_of_even_length: the hypotheses fail here:",
        "  /kernels/a/meets: meets some ranks and not others (whole groups)",
    ]


# --- without a hypothesis the conclusion breaks --------------------------------------------------


def test_around_a_ring_no_number_of_ranks_stands_for_the_next():
    vector = load("ring_of_even_length")
    verdicts = [check(vector.scenario({"ranks": ranks})).verdict for ranks in (2, 3)]

    assert verdicts == ["deadlock", "ok"]  # and at 4 again, as the vector says


THREE_STREAMS = document(
    {"k": {**MEETS, "launch": "cooperative", "ctas": 2}},
    {"*.main": [LAUNCH, ["launch", "k", "s1"], ["launch", "k", "s2"]]},
    name="three_streams",
    switches={"distributor": "any"},
)


def test_one_communicator_without_one_order_needs_more_ranks_than_a_group_has(tmp_path):
    """One group would be answered for by two ranks at most; it takes three to hang."""
    subject = family(THREE_STREAMS, tmp_path)
    sampled = check(subject.at(3), Search(strategy="uniform", runs=3_000))

    assert objections(subject) == {"one order"}
    assert check(subject.at(2)).verdict == "ok"
    assert sampled.verdict == "deadlock"


CHOSEN: list[Any] = [
    {
        "if": [{"var": "chosen"}, "==", 1],
        "then": [["barrier", "a"], ["barrier", "b"]],
        "else": [["barrier", "b"], ["barrier", "a"]],
    }
]


def _agreeing(*pairs: list[int]) -> Document:
    """Ranks agree within their pair on the order of two barriers."""
    names = ("low", "high")[: len(pairs)]
    ask = {
        f"{name}.main": [
            ["all_reduce", f"g_{name}", {"var": "ready"}, "chosen", {"reduction": "max"}],
            *CHOSEN,
        ]
        for name in names
    }
    return document(
        {},
        {"*.coin": [["put", "ready", 1]], **ask},
        name="agreeing",
        parameters={"machine": "tiny", "ranks": {"default": 4, "min": 2 * len(pairs)}},
        groups={
            **{f"g_{name}": pair for name, pair in zip(names, pairs, strict=True)},
            "a": "all",
            "b": "all",
        },
        roles=dict(zip(names, pairs, strict=True)),
        initial={"*": {"ready": 0}},
    )


def test_ranks_that_agree_in_sub_groups_hang_where_one_sub_group_never_does(tmp_path):
    one, two = _agreeing([0, 1]), _agreeing([0, 1], [2, 3])
    pairs = family(two, tmp_path)

    assert "whole groups" in objections(pairs)
    assert check(pairs.at(4), Search(strategy="uniform", runs=500)).verdict == "deadlock"
    assert check(family(one, tmp_path).at(2)).verdict == "ok"


def test_a_sum_that_is_looked_at_may_tell_one_number_of_ranks_from_all_others(tmp_path):
    whole = {**MEETS, "launch": "cooperative", "ctas": 5}
    summed = family(OBJECTIONABLE["a sum"][1] | {"kernels": {"k": whole}}, tmp_path)
    verdicts = [check(summed.at(ranks)).verdict for ranks in (2, 3, 4)]

    assert verdicts == ["ok", "misuse", "ok"]


# --- certificates --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def held() -> Answer:
    return answer(of("coop_vs_nccl_capped"))


def test_the_checker_accepts_what_the_search_certifies(held):
    assert held.answer == "holds"
    assert refusal(held.document) is None


def test_a_certificate_has_the_shape_of_its_schema(held):
    jsonschema.validate(held.document, SCHEMA)
    jsonschema.validate(answer(of("ring_of_even_length")).document, SCHEMA)
    jsonschema.validate(answer(of("two_communicators")).document, SCHEMA)


def resealed(certificate: Any) -> dict[str, Any]:
    """What a forger would write who knows how the fingerprint is made."""
    body = {key: value for key, value in certificate.items() if key != "sha256"}
    return {**body, "sha256": fingerprint(body)}


def without_row(rows: list[str], at: int) -> list[str]:
    """The rows without one, the later ones renumbered; what came from it comes from its parent."""
    parent = int(rows[at].split()[0])

    def moved(row: str) -> str:
        number, word = row.split()
        source = parent if int(number) == at + 1 else int(number)
        return f"{source - (source > at + 1)} {word}"

    return [moved(row) for number, row in enumerate(rows) if number != at]


def leaf(rows: list[str]) -> int:
    """The last state that no other comes from."""
    parents = {int(row.split()[0]) for row in rows}
    return max(number for number in range(1, len(rows) + 1) if number not in parents) - 1


FORGERIES: dict[str, Any] = {
    "a state is dropped": lambda c: {"states": [without_row(c["states"][0], leaf(c["states"][0]))]},
    "the last states are dropped": lambda c: {"states": [c["states"][0][:-5]]},
    "all states are dropped": lambda c: {"states": [[]]},
    "an instance is dropped": lambda c: {"states": []},
    "another actor moves": lambda c: {"states": [["0 1.side", *c["states"][0][1:]]]},
    "a state from nowhere": lambda c: {"states": [["99999 0.eplb", *c["states"][0][1:]]]},
    "a row is no row": lambda c: {"states": [["0", *c["states"][0][1:]]]},
    "a parameter": lambda c: {"parameters": {"coop_ctas": 132}},
    "an unknown parameter": lambda c: {"parameters": {"nothing": 1}},
    "a switch": lambda c: {"switches": {"cta_order": "opposed"}},
    "another vector": lambda c: {"scenario": "coop_vs_nccl_opposite_order"},
    "the vector's fingerprint": lambda c: {"vector_sha256": "0" * 64},
    "a lower cut-off": lambda c: {"cutoff": 2, "instances": [2]},
    "fewer ranks from": lambda c: {"least": 1},
    "no loose kernels": lambda c: {"loose": []},
    "fewer groups": lambda c: {"groups": [["exchange", "moe"]]},
    "another hypothesis": lambda c: {"hypotheses": {}},
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_certificate_that_was_tampered_with_is_refused(forgery, held, tmp_path, capsys):
    tampered = {**held.document, **FORGERIES[forgery](held.document)}
    for number, written in enumerate((tampered, resealed(tampered))):
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps(written))

        assert main(["certificate", str(path)]) == 1
        assert capsys.readouterr().out.startswith("refused: ")


@pytest.mark.parametrize("answered", ["fails", "hypotheses fail", "undecided", None])
def test_only_an_answer_that_holds_is_certified(answered, held, tmp_path, capsys):
    path = tmp_path / "certificate.json"
    path.write_text(json.dumps(resealed({**held.document, "answer": answered})))

    assert main(["certificate", str(path)]) == 1
    assert "nothing to prove" in capsys.readouterr().out


def test_a_file_that_is_no_certificate_is_bad_input(tmp_path, capsys):
    path = tmp_path / "certificate.json"
    path.write_text("{}")

    assert main(["certificate", str(path)]) == 2
    assert main(["certificate", str(tmp_path / "none.json")]) == 2
    assert "expected an eplb-certificate/1 document" in capsys.readouterr().err


def test_the_command_prints_a_certificate_that_the_other_command_accepts(tmp_path, capsys):
    code = main(["check", "coop_vs_nccl_capped", "--set", "ranks=256", "--all-ranks", "--json"])
    path = tmp_path / "certificate.json"
    path.write_text(capsys.readouterr().out)

    assert code == 0
    assert main(["certificate", str(path)]) == 0
    assert "for every number of ranks from 2 on" in capsys.readouterr().out


def test_the_checker_is_short_and_uses_nothing_of_the_search():
    source = Path(checker.__file__).read_text()
    tree = ast.parse(source)
    docs = [
        node.body[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.FunctionDef)) and ast.get_docstring(node)
    ]
    said = {line for each in docs for line in range(each.lineno, (each.end_lineno or 0) + 1)}
    lines = [n for n, text in enumerate(source.splitlines(), start=1) if text and n not in said]
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}

    assert len(lines) <= 100
    assert not any("explore" in str(module) or "certificate" in str(module) for module in imported)


def test_an_objection_says_where_and_why():
    found = examine(of("async_eplb"))

    assert isinstance(found, tuple)
    why = "a protocol of the library, which may make anything of the number of ranks"
    assert found[0] == Objection("one text", "/protocol", why)
