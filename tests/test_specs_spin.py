"""Spin and our search agree, and they would not if either of them were wrong.

Without Spin and a C compiler these tests are skipped; `make specs` runs the whole comparison.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from eplb_model.check import machines
from eplb_model.export.promela import formulas as formulas_of_models
from eplb_model.export.promela import model, promela
from eplb_model.vector import catalogue, load
from specs.cpu_gpu_event import invariant
from specs.cpu_gpu_event.invariant import questions
from tests.battery import CASES
from tests.mutants import MUTANTS
from tests.specs import formulas, run, tables
from tests.specs.agreement import agree, broken_formulas, compare
from tests.specs.handwritten import formulas as named_formulas
from tests.specs.handwritten import models
from tests.specs.manifest import MANIFEST, differences, key, put_together, read, write
from tests.specs.spin import missing
from tests.spin_mutants import GENERATOR_MUTANTS, LAW_MUTANTS, PIECE_MUTANTS

ROOT = Path(__file__).resolve().parent.parent
ABSENT = missing()
needs_spin = pytest.mark.skipif(ABSENT is not None, reason=f"needs {ABSENT}: apt-get install it")


def first(name):
    """A vector, or a case, under the first setting of every switch that stands for several."""
    scenario = CASES[name].scenario if name in CASES else load(name).scenario()
    return scenario.on(next(machines(scenario)))


def expected(name):
    """The verdict that a vector expects of its default parameters."""
    said = load(name).scenario().expect
    assert said is not None, name
    return said.verdict


@needs_spin
@pytest.mark.parametrize("name", ["coop_vs_nccl_opposite_order", "cpu_gpu_event_two_waiters"])
def test_spin_and_our_search_agree_state_by_state(name):
    found = compare(name, first(name))

    assert found.differs == ""
    assert found.spun is not None
    assert found.spun.verdict == found.ours == expected(name)
    assert found.spun.states == found.our_states


@needs_spin
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("coop_vs_nccl_opposite_order", ("no_deadlock",)),
        ("cpu_gpu_event_other_stream", ("no_race",)),
        ("cpu_gpu_event_double_record", ("no_error",)),
        ("request_never_received", ("ends_well",)),
        ("versions_differ_at_one_step", ("always_0",)),
        ("worker_dies_silently", ("goes_on_eplb_0",)),
        ("cycle_never_ends", ("eventually_1",)),
        ("nothing_is_ever_asked", ("unreached_0", "unreached_1", "unreached_2")),
        ("handshake_cycle", ()),
    ],
)
def test_spin_finds_the_formula_broken_that_belongs_to_the_verdict(name, broken):
    assert tuple(broken_formulas(promela(first(name)))) == broken


@needs_spin
@pytest.mark.slow
def test_a_formula_that_does_not_fit_the_verdict_is_a_difference(monkeypatch):
    monkeypatch.setattr(formulas_of_models, "races", lambda _: [])

    found = compare("cpu_gpu_event_other_stream", first("cpu_gpu_event_other_stream"))

    assert found.differs == "formulas: all hold, verdict race"


@needs_spin
@pytest.mark.parametrize("mutant", PIECE_MUTANTS[:1], ids=lambda each: each.name.replace(" ", "_"))
def test_a_mutant_of_the_promela_law_is_noticed(mutant, monkeypatch):
    assert disagreement(mutant, monkeypatch)


@needs_spin
@pytest.mark.slow
@pytest.mark.parametrize("mutant", PIECE_MUTANTS[1:], ids=lambda each: each.name.replace(" ", "_"))
def test_every_mutant_of_the_promela_law_is_noticed(mutant, monkeypatch):
    assert disagreement(mutant, monkeypatch)


def test_every_piece_of_the_promela_law_that_does_anything_has_a_mutant():
    law = Path(model.__file__).parent / "law"
    does = {file.stem for file in law.glob("*.pml") if re.search(r"=|->|assert", file.read_text())}

    assert {mutant.piece for mutant in PIECE_MUTANTS} == does


def disagreement(mutant, monkeypatch):
    """In what Spin differs from us once a piece of the Promela law is changed."""
    original = model.piece

    def piece(name):
        text = original(name)
        if name != mutant.piece:
            return text
        assert text.count(mutant.old) == 1, f"{name}.pml has not once: {mutant.old!r}"
        return text.replace(mutant.old, mutant.new)

    monkeypatch.setattr(model, "piece", piece)
    return compare(mutant.where, first(mutant.where)).differs


@needs_spin
@pytest.mark.slow
@pytest.mark.parametrize("mutant", GENERATOR_MUTANTS, ids=lambda each: each.name)
def test_every_mutant_of_what_is_generated_is_noticed(mutant, monkeypatch):
    monkeypatch.setattr(mutant.module, mutant.name, lambda *_: mutant.instead)

    assert compare(mutant.where, first(mutant.where)).differs


@needs_spin
@pytest.mark.slow
@pytest.mark.parametrize(("name", "where"), LAW_MUTANTS)
def test_every_mutant_of_our_law_is_noticed(name, where, tmp_path):
    called = f"{run.CASE}{where}" if where in CASES else where
    mutant = next(each for each in MUTANTS if each.name == name)
    text = (ROOT / "eplb_model" / mutant.file).read_text(encoding="utf-8")
    assert text.count(mutant.old) == 1
    shutil.copytree(
        ROOT / "eplb_model", tmp_path / "eplb_model", ignore=shutil.ignore_patterns("__pycache__")
    )
    changed = text.replace(mutant.old, mutant.new)
    (tmp_path / "eplb_model" / mutant.file).write_text(changed, encoding="utf-8")

    done = subprocess.run(
        [sys.executable, "-m", "tests.specs.run", called],
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == run.DIFFERS, done.stderr
    assert f"DIFFERS  {called}: " in done.stdout


def test_without_spin_the_run_says_so_and_exits_with_4(monkeypatch, capsys):
    monkeypatch.setattr(run, "missing", lambda: "spin")

    assert run.main([]) == run.NO_TOOL == 4
    assert "no spin here" in capsys.readouterr().err


def test_without_z3_the_run_says_so_and_exits_with_4(monkeypatch, capsys):
    monkeypatch.setattr(run, "missing", lambda: None)
    monkeypatch.setattr(formulas, "is_there", lambda: False)

    assert run.main([]) == run.NO_TOOL
    assert "no z3 here" in capsys.readouterr().err


def test_an_answer_of_z3_that_is_not_expected_differs(monkeypatch, capsys):
    monkeypatch.setattr(invariant, "invariant", invariant.guarantees)

    assert run.main([formulas.MODEL]) == run.DIFFERS
    assert "invariant.py inductive: expected: holds is listed" in capsys.readouterr().out


# --- the manifest and the tables made from it ------------------------------------------------


def test_every_vector_is_in_the_manifest_or_refused_there():
    known = read()
    listed = {e["model"]["vector"] for e in known["models"] if not isinstance(e["model"], str)}

    assert listed | {each["vector"] for each in known["refused"]} == {v.name for v in catalogue()}


def test_every_case_of_the_battery_was_asked_or_refused():
    known = read()["cases"]

    assert known["checked"] + known["refused"] == len(list(run.cases()))


@needs_spin
@pytest.mark.parametrize("name", ["g17b_a_gang_passes_a_cluster_that_waits"])
def test_spin_agrees_on_a_case_of_the_battery(name):
    found = agree(name, first(name))

    assert found.spun is not None
    assert (found.differs, found.spun.states) == ("", found.our_states)


def test_every_model_that_is_written_by_hand_is_in_the_manifest():
    entries = [e for e in read()["models"] if isinstance(e["model"], str)]
    listed = {tuple(e["command"]) for e in entries if e["tool"] == "spin"}
    asked = [e["property"] for e in entries if e["tool"] == "z3"]

    assert {model.command for model in models()} == listed
    assert asked == [each.name for each in questions()]


def test_what_a_models_json_asks_for_is_in_its_file():
    for each in models():
        assert each.claim in {"safety", *named_formulas(each.folder / each.file)}, each


def test_the_manifest_has_the_verdict_that_the_vector_expects():
    for entry in read()["models"]:
        where = entry["model"]
        if isinstance(where, str) or where.get("switches"):
            continue
        assert entry["expected"] == expected(where["vector"]), where


def test_the_tables_are_those_of_the_manifest():
    known = read()

    assert tables.with_summary(tables.README.read_text(), known) == tables.README.read_text()
    assert tables.RESULTS.read_text() == tables.results(known)


def test_a_manifest_is_written_as_it_is_read(tmp_path):
    write(read(), tmp_path / "manifest.json")

    assert (tmp_path / "manifest.json").read_bytes() == MANIFEST.read_bytes()


def test_what_came_out_as_before_keeps_its_entry():
    known = read()
    found = json.loads(json.dumps(known))
    for entry in found["models"]:
        entry["seconds"] += 1
    found["models"][-1]["states"] += 1

    keys = [key(entry) for entry in known["models"]]
    whole = put_together(known, found, keys)

    assert whole["models"] == [*known["models"][:-1], found["models"][-1]]


@pytest.mark.parametrize(
    "field", ["expected", "states", "transitions", "depth", "our_states", "broken"]
)
def test_a_result_that_has_changed_is_a_difference(field):
    known = read()
    changed = json.loads(json.dumps(known))
    changed["models"][-1][field] = "another"

    assert len(differences(known, changed)) == 1
    assert differences(known, known) == []


def test_a_model_that_is_missing_is_a_difference():
    known = read()

    assert differences(known, {**known, "models": known["models"][1:]})
    assert differences({**known, "models": known["models"][1:]}, known)


def test_the_largest_exported_model_is_text_of_a_moderate_size():
    assert len(promela(first("async_eplb")).text) < 500_000
