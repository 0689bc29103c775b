"""The observation lines: their form, their order, what is in the file when."""

from __future__ import annotations

from eplb_real.observe import Observer, observation_file, read_observations


def test_every_event_has_the_form_of_eplb_observation_1(tmp_path):
    observer = Observer(tmp_path, [0])
    observer.begin("0.main", 3, "all_reduce")
    observer.end("0.main", 3, "all_reduce", {"value": 2})
    observer.raised("0.main", 4, "release", "misuse", "nobody holds it")
    observer.exit("0.main")
    observer.started("0.side", "exchange", 8)
    observer.item("0.side", "exchange")
    observer.overlap(0, ("0.main", "0.side"), "x")
    observer.final(0, {"plan": 2})

    call = {"actor": "0.main", "pc": 3, "op": "all_reduce"}
    error = {"family": "misuse", "text": "nobody holds it"}
    assert read_observations(tmp_path, [0]) == [
        {"n": 1, **call, "event": "begin"},
        {"n": 2, **call, "event": "end", "value": 2},
        {"n": 3, "actor": "0.main", "pc": 4, "op": "release", "event": "raise", **error},
        {"n": 4, "actor": "0.main", "event": "exit"},
        {"n": 5, "actor": "0.side", "event": "started", "work": "exchange", "ctas": 8},
        {"n": 6, "actor": "0.side", "event": "item", "work": "exchange"},
        {"n": 7, "rank": 0, "event": "overlap", "actors": ["0.main", "0.side"], "buffer": "x"},
        {"n": 8, "rank": 0, "event": "final", "variables": {"plan": 2}},
    ]
    observer.close()


def test_each_rank_has_a_file_with_numbers_of_its_own(tmp_path):
    observer = Observer(tmp_path, [0, 1])
    observer.exit("0.main")
    observer.exit("1.main")
    observer.close()

    assert read_observations(tmp_path, [1]) == [{"n": 1, "actor": "1.main", "event": "exit"}]


def test_a_line_that_was_cut_short_is_left_out(tmp_path):
    observer = Observer(tmp_path, [0])
    observer.exit("0.main")
    observer.close()
    with observation_file(tmp_path, 0).open("a") as file:
        file.write('{"n": 2, "act')

    assert [line["n"] for line in read_observations(tmp_path, [0])] == [1]


def test_nothing_is_written_once_the_run_is_over(tmp_path):
    observer = Observer(tmp_path, [0])
    observer.close()
    observer.exit("0.main")

    assert read_observations(tmp_path, [0]) == []
