"""Gates: who may take a step, when a granted step is over, when budgets let threads rest."""

from __future__ import annotations

import threading
from queue import SimpleQueue

from eplb_real.gates import Gates

SOON = 5.0


def _thread(gates: Gates, steps: int, taken: list[int]) -> threading.Thread:
    def live() -> None:
        for number in range(steps):
            gates.operation("0.main")
            with gates.step("0.main"):
                taken.append(number)
        gates.settled("0.main")

    thread = threading.Thread(target=live, daemon=True)
    thread.start()
    return thread


def test_a_granted_step_is_over_when_its_thread_stands_at_the_next_one():
    did: SimpleQueue[str] = SimpleQueue()
    gates = Gates(closed=True, did=did.put)
    taken: list[int] = []
    _thread(gates, 3, taken)
    gates.await_arrival("0.main")
    gates.grant("0.main")

    assert did.get(timeout=SOON) == "0.main"
    assert taken == [0]


def test_the_last_step_is_over_when_its_thread_ends():
    did: SimpleQueue[str] = SimpleQueue()
    gates = Gates(closed=True, did=did.put)
    taken: list[int] = []
    thread = _thread(gates, 1, taken)
    gates.grant("0.main")

    assert did.get(timeout=SOON) == "0.main"
    thread.join(SOON)
    assert taken == [0]


def test_open_gates_let_everybody_go_and_report_nothing():
    did: SimpleQueue[str] = SimpleQueue()
    gates = Gates(closed=True, did=did.put)
    taken: list[int] = []
    thread = _thread(gates, 3, taken)
    gates.open()
    thread.join(SOON)

    assert (taken, did.empty()) == ([0, 1, 2], True)


def test_a_thread_rests_when_its_budget_is_spent_and_goes_on_when_it_gets_more():
    gates = Gates(closed=False, did=lambda actor: None, budget=2)
    taken: list[int] = []
    thread = _thread(gates, 4, taken)
    gates.await_arrival("0.main")
    while not gates.parked():
        thread.join(0.001)

    assert (taken, gates.parked(), gates.operations()) == ([0, 1], ["0.main"], {"0.main": 3})
    gates.extend(2)
    thread.join(SOON)
    assert (taken, gates.parked()) == ([0, 1, 2, 3], [])
