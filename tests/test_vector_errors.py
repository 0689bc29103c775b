"""Every bad vector is one line: the file, the path in it, what was got, what is known."""

import json

import pytest

from eplb_model.format.document import LARGEST_FILE, VectorError, dump
from eplb_model.format.machines import load_machine
from eplb_model.vector import load, parse_setting
from tests.bad_vectors import GOOD, KERNELS, PROGRAMS, SECTIONS, mutated


def use(path, settings, switches) -> None:
    """Everything that is asked of a vector."""
    vector = load(path)
    vector.scenario(settings, switches)
    vector.cases()


def complaint(path, text: str | bytes, settings=None, switches=None) -> str:
    """What loading a file with this text says."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(VectorError) as caught:
        use(path, settings, switches)
    line = str(caught.value)
    assert line.isprintable()
    assert line.startswith(f"{path}: ")
    return line.removeprefix(f"{path}: ")


def test_the_good_document_is_good(tmp_path):
    path = tmp_path / "x.json"
    path.write_text(dump(GOOD), "utf-8")

    assert load(path).scenario().name == "x"


@pytest.mark.parametrize(("path", "value", "expected"), SECTIONS + KERNELS)
def test_a_bad_section_is_named_with_its_path(tmp_path, path, value, expected):
    assert expected in complaint(tmp_path / "x.json", dump(mutated(path, value)))


@pytest.mark.parametrize(("path", "value", "expected"), PROGRAMS)
def test_a_bad_program_is_named_with_its_path(tmp_path, path, value, expected):
    assert expected in complaint(tmp_path / "x.json", dump(mutated(f"programs/{path}", value)))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"rank": 2}, "/parameters/rank: unknown parameter 'rank'; known: machine, ranks, ctas"),
        ({"ranks": 0}, "/parameters/ranks: the setting is 0; expected an integer from 1 to 1024"),
        ({"ranks": True}, "/parameters/ranks: the setting is true; expected an integer"),
        ({"ctas": "many"}, "/parameters/ctas: the setting is 'many'; expected an integer"),
        ({"ctas": 1.5}, "/parameters/ctas: the setting is 1.5; expected an integer"),
        ({"ctas": [4]}, "/parameters/ctas: the setting is a list of 1; expected an integer"),
        ({"ctas": 0}, "/derived/cluster: nccl_cluster: ctas=0; expected an integer at least 1"),
        (
            {"ctas": 100_000},
            "/kernels/exchange/ctas: $ctas is 100000; expected an integer of 1..65536",
        ),
        (
            {"mode": "quick"},
            "/parameters/mode: unknown value of mode 'quick' (from the setting); known:",
        ),
        (
            {"cap": 9},
            "/parameters/cap: the setting is 9; expected an integer of at most 8 or null",
        ),
        ({"machine": "tin"}, "/parameters/machine: unknown machine 'tin'; known: h200"),
    ],
)
def test_a_bad_setting_is_named_with_its_parameter(tmp_path, settings, expected):
    assert expected in complaint(tmp_path / "x.json", dump(GOOD), settings)


@pytest.mark.parametrize(
    ("switches", "expected"),
    [
        ({"pack": "best"}, "/switches/pack: unknown switch 'pack'; known: packing"),
        (
            {"packing": "tight"},
            "/switches/packing: switch packing: unknown setting 'tight'; known:",
        ),
    ],
)
def test_a_bad_switch_is_named(tmp_path, switches, expected):
    assert expected in complaint(tmp_path / "x.json", dump(GOOD), None, switches)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "invalid JSON at line 1, column 2: "),
        ('{\n"a": }', "invalid JSON at line 2, column 6: "),
        ("", "invalid JSON at line 1, column 1: "),
        ("[1]", "/: got a list of 1; expected an object"),
        ('{"a": {"b": 1, "b": 2}}', "/a/b: key 'b' appears twice; expected each key once"),
        ('{"a": [0, NaN]}', "/a/1: got nan; expected a number that JSON has"),
        ('{"a": -Infinity}', "/a: got -inf; expected a number that JSON has"),
        ('{"a": 1e999}', "/a: number 1e999 is too large"),
        ('{"a": ' + "9" * 5000 + "}", "/a: number 99999999999999999999 is too large"),
        ('{"a": "\\ud800"}', "/a: got half a surrogate pair; expected text"),
        ('{"\\udfff": 1}', "/: got half a surrogate pair; expected text"),
        ('{"a": ' + "[" * 64 + "]" * 64 + "}", "nested too deeply; expected at most 64 levels"),
        ('{"a": ' + "[" * 100_000, "nested too deeply; expected at most 64 levels"),
        (b'{"a": "\xff"}', "byte 7 is not UTF-8; expected a JSON document in UTF-8"),
        (b"\xef\xbb\xbf{}", "invalid JSON at line 1, column 1: "),
        (" " * (LARGEST_FILE + 1), f"larger than {LARGEST_FILE} bytes; expected at most that"),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else None,
)
def test_a_text_that_is_no_document_is_refused(tmp_path, text, expected):
    assert expected in complaint(tmp_path / "x.json", text)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "coop_vs_ncl_capped",
            "coop_vs_ncl_capped: unknown vector; close to it: coop_vs_nccl_capped",
        ),
        ("zzz", "zzz: unknown vector; `eplb-model list` shows all"),
        ("zzz\n\0", "zzz\\n\\x00: unknown vector; `eplb-model list` shows all"),
        ("./no/file.json", "no/file.json: no such file; expected a JSON document"),
        ("./no\0.json", "no\\x00.json: can't be read: embedded null byte; expected a file"),
    ],
)
def test_a_vector_that_is_not_there_is_named_with_what_is_close(name, expected):
    with pytest.raises(VectorError) as caught:
        load(name)

    assert str(caught.value).startswith(expected)


def test_a_machine_file_that_is_missing_is_named(tmp_path):
    (tmp_path / "x.json").write_text(dump(mutated("parameters/machine", "no.json")), "utf-8")

    with pytest.raises(VectorError) as caught:
        load(tmp_path / "x.json").scenario()

    assert str(caught.value) == f"{tmp_path / 'no.json'}: no such file; expected a JSON document"


def test_a_directory_is_no_vector(tmp_path):
    with pytest.raises(VectorError, match="is a directory; expected a JSON document"):
        load(tmp_path)


def test_an_error_in_a_base_names_the_file_of_the_base(tmp_path):
    (tmp_path / "below.json").write_text(dump(mutated("kernels/moe/ctas", 0)), "utf-8")
    above = {"schema": "eplb-vector/1", "name": "y", "about": "", "base": "below.json"}
    (tmp_path / "above.json").write_text(dump(above), "utf-8")

    with pytest.raises(VectorError) as caught:
        load(tmp_path / "above.json").scenario()

    assert str(caught.value).startswith(f"{tmp_path / 'below.json'}: /kernels/moe/ctas: got 0;")


def test_a_setting_without_a_value_is_refused():
    with pytest.raises(VectorError, match=r"^--set: got 'ranks'; expected name=value$"):
        parse_setting("ranks")


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"groups": []}, "/groups: got 0 SMs; expected 1..256"),
        ({"groups": [200, 200]}, "/groups: got 400 SMs; expected 1..256"),
        ({"placement": "guessed"}, "/placement: got 'guessed'; expected one of measured, unknown"),
        ({"limits": {"warp": 1}}, "/limits/warp: unknown key 'warp'; known: warps"),
        ({"name": "$x"}, "/name: got '$x'; expected a name"),
        ({"switches": {"packing": "rule"}}, "/switches/packing: switch packing: nobody measured"),
    ],
)
def test_a_bad_machine_file_is_named_with_its_path(tmp_path, changed, expected):
    good = {"schema": "eplb-machine/1", "name": "mine", "groups": [2], "placement": "unknown"}
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({**good, **changed}), "utf-8")

    with pytest.raises(VectorError) as caught:
        load_machine(str(path))

    assert str(caught.value).startswith(f"{path}: {expected}")
