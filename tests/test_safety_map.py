"""The safety map shows what the sweep found and what was measured, each in its place."""

from __future__ import annotations

import sys

import pytest

from eplb_model.campaign import Task, perform
from eplb_model.cli import main
from eplb_model.outcome import UsageError
from eplb_model.render.grid import Cell, Mark, SafetyMap, kind_of
from eplb_model.safety_map import safety_map
from eplb_model.tables import Table, tables
from eplb_model.vector import load

FLAGSHIP = "coop_vs_nccl_opposite_order"
NAMES = ("coop_ctas", "nccl_ctas")
POINTS = [(124, 4), (124, 16), (128, 4), (128, 16), (132, 4), (132, 16)]
SHOWN = SafetyMap(
    "a title",
    "right",
    "up",
    (Cell(4, 128, "ok"), Cell(8, 128, "deadlock"), Cell(4, 132, "may"), Cell(8, 132, "unknown")),
    (Mark(4, 128, "completes"), Mark(8, 128, "completes"), Mark(5, 130, "hang")),
)


@pytest.fixture(scope="module")
def shown():
    tasks = [Task(FLAGSHIP, (("coop_ctas", y), ("nccl_ctas", x))) for y, x in POINTS]
    lines = [perform(task) for task in tasks]
    return safety_map(load(FLAGSHIP), {}, NAMES, lines, tables())


def test_every_point_of_the_sweep_is_a_cell(shown):
    assert [(cell.y, cell.x) for cell in shown.cells] == POINTS
    kinds = {(cell.y, cell.x): cell.kind for cell in shown.cells}
    assert (kinds[128, 4], kinds[128, 16]) == ("ok, one after the other", "deadlock")


def test_measured_points_within_the_axes_are_marks_and_agree(shown):
    """5.4: n = 16 hangs at 124 and more; n = 4 at 130 and more; 130 and 131 lie between cells."""
    hangs = {(mark.y, mark.x) for mark in shown.marks if mark.outcome == "hang"}

    assert {(124, 16), (130, 4), (131, 4), (132, 4)} <= hangs
    assert (128, 4) not in hangs
    assert shown.agreement == (6, 6)
    assert "6 of 6 measured points agree" in shown.title


def test_points_that_were_measured_under_other_conditions_are_left_out(shown):
    """The controls of 5.4 complete at (132, 4) and (132, 16): no mark says both."""
    said: dict[tuple[int, int], set[str]] = {}
    for mark in shown.marks:
        said.setdefault((mark.y, mark.x), set()).add(mark.outcome)

    assert said[132, 4] == said[132, 16] == {"hang"}


def test_another_setting_takes_its_own_measurements():
    task = Task(FLAGSHIP, (("order", "same"), ("coop_ctas", 132), ("nccl_ctas", 4)))
    found = safety_map(load(FLAGSHIP), {"order": "same"}, NAMES, [perform(task)], tables())

    assert found.marks == (Mark(4, 132, "completes"),)


def test_a_point_that_disagrees_is_counted():
    row = {"set": {"coop_ctas": 64, "nccl_ctas": 4}, "outcome": "hang"}
    table = Table("made up", {}, (row,), FLAGSHIP)
    line = perform(Task(FLAGSHIP, (("coop_ctas", 64), ("nccl_ctas", 4))))

    found = safety_map(load(FLAGSHIP), {}, NAMES, [line], [table])

    assert found.agreement == (1, 0)
    assert "0 of 1 measured points agree" in found.title


def test_what_is_not_definite_neither_agrees_nor_disagrees():
    assert SHOWN.agreement == (2, 1)


def test_parameters_that_are_no_numbers_have_no_map():
    line = perform(Task("event_wait_before_record"))

    with pytest.raises(UsageError, match="expected two parameters in numbers"):
        safety_map(load("event_wait_before_record"), {}, ("machine", "gated"), [line], ())


@pytest.mark.parametrize(
    ("verdict", "serialised", "kind"),
    [
        ("ok", "never", "ok"),
        ("ok", "always", "ok, one after the other"),
        ("deadlock", "sometimes", "deadlock"),
        ("misuse", None, "violation"),
    ],
)
def test_the_kind_of_a_cell(verdict, serialised, kind):
    assert kind_of(verdict, serialised) == kind


# --- the picture ---------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_the_same_map_is_the_same_picture(suffix, tmp_path):
    pytest.importorskip("matplotlib", reason="pip install 'eplb-checker[plot]'")
    from eplb_model.render.safety_map import draw  # noqa: PLC0415 (after the line that skips)

    pictures = []
    for name in ("one", "two"):
        path = tmp_path / f"{name}{suffix}"
        draw(SHOWN, path)
        pictures.append(path.read_bytes())

    assert pictures[0] == pictures[1]
    assert len(pictures[0]) < 100_000


def test_the_picture_says_what_its_colours_mean(tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="pip install 'eplb-checker[plot]'")
    path = tmp_path / "map.svg"
    words = ["--vary", "coop_ctas=128,132", "--vary", "nccl_ctas=4,16", "--plot", str(path)]

    assert main(["sweep", FLAGSHIP, *words]) == 1
    picture = path.read_text("utf-8")
    expected = {FLAGSHIP, *NAMES, "deadlock", "ok, one after the other", "measured: hang", "128"}
    assert {each for each in expected if f">{each}<" not in picture} == set()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--plot", "map.pdf", "--vary", "nccl_ctas=4"], "expected FILE.png or FILE.svg"),
        (["--plot", "map.png"], "--vary twice"),
    ],
)
def test_what_cannot_be_drawn_is_refused_before_anything_is_checked(words, message, capsys):
    code = main(["sweep", FLAGSHIP, "--vary", "coop_ctas=64", *words])

    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert message in err


def test_without_matplotlib_the_extra_is_named(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "eplb_model.render.safety_map", raising=False)
    words = ["--vary", "coop_ctas=64", "--vary", "nccl_ctas=4", "--plot", "map.png"]

    assert main(["sweep", FLAGSHIP, *words]) == 4
    assert "eplb-checker[plot]" in capsys.readouterr().err
