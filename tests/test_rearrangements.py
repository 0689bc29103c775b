"""The published strategies for protocols: what they draw runs, and is explained by the model."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from eplb_model.findings import finding_at
from eplb_model.observation import observation
from eplb_model.rearrangements import protocols, schedules
from eplb_model.refine import refine
from eplb_model.trace import parse_schedule, replay, schedule_text
from tests.observer import lines_of


@settings(max_examples=25)
@given(st.data())
def test_a_drawn_schedule_of_a_drawn_protocol_replays_parses_back_and_refines(data):
    scenario = data.draw(protocols())
    schedule = data.draw(schedules(scenario, most=150))

    assert replay(scenario.world, schedule).schedule == schedule
    assert parse_schedule(scenario.world, schedule_text(schedule)) == schedule
    seen = observation(scenario.world, lines_of(scenario.world, schedule))
    assert refine(scenario, seen, "cut").holds is True


@settings(max_examples=25)
@given(st.data())
def test_what_a_drawn_schedule_ends_in_has_a_family(data):
    scenario = data.draw(protocols())
    schedule = data.draw(schedules(scenario, most=300))
    finding = finding_at(replay(scenario.world, schedule).last, schedule)

    assert finding is None or finding.verdict in ("deadlock", "violation", "misuse", "race")
