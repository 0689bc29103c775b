"""The measured tables are predicted, and a wrong prediction or a wrong table is noticed."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest

from eplb_model.cli import main
from eplb_model.conform import Conformance, Prediction, predict, predictions
from eplb_model.format.document import VectorError
from eplb_model.machine import MACHINES
from eplb_model.tables import Table, read_table, tables

FRONTIER = next(table for table in tables() if table.name == "hang_frontier")


SWEEP = next(table for table in tables() if table.name == "frontier_sweep")
SMALL = [table.name for table in tables() if table.name != SWEEP.name]


def test_every_measured_row_is_predicted_and_none_is_undecided(capsys):
    code = main(["conform", "--json", *SMALL])
    document = json.loads(capsys.readouterr().out)

    assert code == 0
    assert document["disagree"] == []
    assert document["may"] == 0
    assert document["agree"] == document["rows"]
    assert document["rows"] == sum(len(t.rows) for t in tables() if t.name in SMALL)


def test_rows_of_the_sweep_are_predicted():
    part = replace(SWEEP, rows=SWEEP.rows[::40])

    assert [each.row for each in predictions([part]) if not each.agrees] == []


@pytest.mark.slow
def test_every_row_of_the_sweep_is_predicted(capsys):
    code = main(["conform", "--json"])
    document = json.loads(capsys.readouterr().out)

    assert (code, document["disagree"], document["may"]) == (0, [], 0)
    assert document["agree"] == document["rows"] == sum(len(table.rows) for table in tables())


def test_the_frontier_has_its_81_points_and_21_controls():
    kinds = Counter("control" if "control" in row["rule"] else "point" for row in FRONTIER.rows)

    assert kinds == {"point": 81, "control": 21}


def test_a_prediction_does_not_look_at_the_outcome():
    row = dict(FRONTIER.rows[1])
    lied = {**row, "outcome": "completes" if row["outcome"] == "hang" else "hang"}

    assert predict(FRONTIER, lied) == predict(FRONTIER, row) == row["outcome"]


def test_a_row_that_differs_is_counted_named_and_fails(capsys, tmp_path):
    rows = [dict(row) for row in FRONTIER.rows[:3]]
    rows[1]["outcome"] = "completes"
    lied: dict[str, object] = {
        "schema": "eplb-measured/1", "name": "lied", "about": "one row is false",
        "provenance": {}, "vector": FRONTIER.vector, "rows": rows,
    }  # fmt: skip
    path = tmp_path / "lied.json"
    path.write_text(json.dumps(lied))
    code = main(["conform", str(path)])
    printed = capsys.readouterr().out

    assert code == 1
    assert "lied row 2: measured completes, the model says hang" in printed
    assert "conform: 2 of 3 measured rows agree" in printed


def test_a_model_with_another_placement_disagrees_with_the_h200():
    """With the best packing the clusters that hung would have found room."""
    lucky = MACHINES["h200"].with_switch("packing", "best")
    seen = list(predictions([replace(FRONTIER, rows=FRONTIER.rows[:12])], lucky))

    assert [each.number for each in seen if not each.agrees] != []


def test_undecided_rows_make_the_exit_code_3_and_wrong_ones_1():
    row = {"outcome": "hang"}
    right, undecided, wrong = (Prediction("t", 1, row, p) for p in ("hang", "may", "completes"))

    assert Conformance([right]).exit_code == 0
    assert Conformance([right, undecided]).exit_code == 3
    assert Conformance([right, undecided, wrong]).exit_code == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": "eplb-measured/9"}, "/schema: got 'eplb-measured/9'"),
        ({"rows": {}}, "/rows: missing or no list"),
        ({"rows": [{"set": {}}]}, "/rows/0: a row needs an outcome"),
        ({"rows": [{"outcome": "hang"}]}, "/rows/0: neither the row nor its table"),
        ({"rows": [{"outcome": "hang", "vektor": "x"}]}, "/rows/0/vektor: unknown key"),
    ],
)
def test_a_bad_table_is_named_with_the_place(change, message, tmp_path):
    whole = {"schema": "eplb-measured/1", "name": "t", "provenance": {}, "rows": []}
    path = tmp_path / "table.json"
    path.write_text(json.dumps({**whole, **change}))

    with pytest.raises(VectorError, match=message):
        read_table(path)


def test_the_shipped_tables_say_where_they_come_from():
    for table in tables():
        assert isinstance(table, Table)
        assert {"machine", "date", "how"} <= set(table.provenance)
