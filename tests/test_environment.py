"""The table of the override (O1 to O4) and of NCCL's parser (O5, O6), row by row."""

import ctypes
import errno
import itertools
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eplb_model.protocols import environment
from eplb_model.protocols.environment import (
    DECISIONS,
    Condition,
    Protection,
    Version,
    after,
    fires,
    nccl_reads,
    protection,
    reads,
)

FIRING: dict[str, object] = {
    "data_parallel_size": 2,
    "enable_eplb": True,
    "all2all_backend": "deepep_low_latency",
    "use_async": True,
    "communicator": "torch_nccl",
    "moe_backend": "deep_gemm_mega_moe",
}  # every version fires here
VERSIONS: tuple[Version, ...] = tuple(DECISIONS)

# --- when it fires (O1 to O3) ----------------------------------------------------------------

GRID = {
    "data_parallel_size": (1, 2),
    "enable_eplb": (False, True),
    "use_async": (False, True),
    "all2all_backend": (
        "deepep_low_latency",
        "deepep_high_throughput",
        "allgather_reducescatter",
    ),
    "communicator": ("torch_nccl", "pynccl", "torch_gloo", "nixl", "torch_xccl", None),
}
MOE_BACKENDS = (None, "deep_gemm_mega_moe", "auto")


def points(grid: dict[str, tuple]) -> list[dict[str, object]]:
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


@pytest.mark.parametrize(("version", "count"), [("0.18", 6), ("0.19", 6), ("0.20", 2), ("0.33", 0)])
def test_of_144_configurations_a_version_fires_at_as_many_as_were_run(version, count):
    fired = [point for point in points(GRID) if fires(version, point)]

    assert len(points(GRID)) == 144
    assert len(fired) == count


def test_with_a_moe_backend_0_33_fires_at_12_of_432_configurations():
    grid = points(GRID | {"moe_backend": MOE_BACKENDS})

    assert len(grid) == 432
    assert sum(fires("0.33", point) for point in grid) == 12


@pytest.mark.parametrize(
    ("version", "attributes"),
    [
        ("0.18", {"data_parallel_size", "enable_eplb", "all2all_backend", "use_async"}),
        ("0.19", {"data_parallel_size", "enable_eplb", "all2all_backend", "use_async"}),
        (
            "0.20",
            {
                "data_parallel_size",
                "enable_eplb",
                "all2all_backend",
                "use_async",
                "communicator",
            },
        ),
        ("0.33", {"data_parallel_size", "enable_eplb", "communicator"}),
    ],
)
def test_a_version_reads_these_attributes_and_misses_no_other(version, attributes):
    asked = {name: FIRING[name] for name in (*attributes, "moe_backend")}

    assert set(reads(version)) == attributes
    assert fires(version, asked)


@pytest.mark.parametrize(
    ("version", "attribute"), [(v, attribute) for v in VERSIONS for attribute in reads(v)]
)
def test_a_missing_attribute_that_is_read_is_an_error_even_where_nothing_fires(version, attribute):
    idle = FIRING | {"data_parallel_size": 1}
    del idle[attribute]

    with pytest.raises(AttributeError, match=f"no {attribute}; version {version} reads"):
        fires(version, idle)


# Version, what differs from a configuration where all versions fire, and whether it still fires.
CHANGES = [
    ("0.18", {"communicator": None}, True),
    ("0.18", {"communicator": "torch_gloo"}, True),
    ("0.20", {"communicator": None}, False),
    ("0.20", {"communicator": "pynccl"}, True),
    ("0.20", {"communicator": "nixl"}, False),
    ("0.20", {"moe_backend": None}, True),
    ("0.20", {"use_async": False}, False),
    ("0.33", {"use_async": False}, True),
    ("0.33", {"all2all_backend": "deepep_high_throughput"}, True),
    ("0.33", {"moe_backend": None}, False),
    ("0.33", {"moe_backend": "auto"}, False),
    *((v, {"enable_eplb": 1}, True) for v in VERSIONS),
    *((v, {"enable_eplb": 0}, False) for v in VERSIONS),
    *((v, {"data_parallel_size": 0}, False) for v in VERSIONS),
    *((v, {"data_parallel_size": 1, "tensor_parallel_size": 8}, False) for v in VERSIONS),
    *((v, {"data_parallel_size": 8}, True) for v in VERSIONS),
]


@pytest.mark.parametrize(("version", "change", "expected"), CHANGES)
def test_one_change_of_the_configuration(version, change, expected):
    assert fires(version, FIRING | change) is expected


def test_0_33_without_the_argument_moe_backend_never_fires():
    asked = {name: value for name, value in FIRING.items() if name != "moe_backend"}

    assert not fires("0.33", asked)


def test_another_version_is_refused():
    unknown: Version = "0.21"  # type: ignore[assignment]  # what a file may say

    with pytest.raises(ValueError, match=r"'0\.21'; expected one of 0\.18, 0\.19, 0\.20, 0\.33"):
        fires(unknown, FIRING)


def test_a_condition_is_printed_as_it_reads():
    assert [str(condition) for condition in DECISIONS["0.20"]] == [
        "data_parallel_size above 1",
        "enable_eplb is true",
        "all2all_backend is 'deepep_low_latency'",
        "use_async is true",
        "communicator is one of ('torch_nccl', 'pynccl')",
    ]


def test_a_size_that_is_no_number_is_not_above_one():
    assert not Condition("data_parallel_size", "above", 1).holds(None)


# --- what it leaves, and what NCCL makes of it (O4 to O6) ------------------------------------

# Value, value after an override that fires, what NCCL makes of the original, and the cap after it.
VALUES = [
    (None, "8", None, 8),
    ("", "8", None, 8),
    ("1", "1", 1, 1),
    ("8", "8", 8, 8),
    ("16", "16", 16, 16),
    ("63", "63", 63, 63),
    ("64", "64", 64, None),  # the default
    ("128", "128", 64, None),  # clamped
    ("0", "0", None, None),
    ("00", "00", None, None),
    ("010", "010", 8, 8),  # octal
    ("012", "012", 10, 10),
    ("020", "020", 16, 16),
    ("08", "08", None, None),  # no octal digit: 0
    ("09", "09", None, None),
    ("4294967304", "4294967304", 8, 8),  # 2**32 + 8
    ("4294967296", "4294967296", None, None),  # 2**32
    ("2147483648", "2147483648", None, None),  # "undefined"
    ("2147483647", "2147483647", 64, None),
    ("9223372036854775807", "9223372036854775807", None, None),  # 2**63 - 1: the low bits are -1
    ("9223372036854775808", "9223372036854775808", None, None),  # out of range
    ("99999999999999999999", "99999999999999999999", None, None),
    ("²", "²", None, None),
    ("٣", "٣", None, None),
    ("\uff18", "\uff18", None, None),  # a full-width 8
    ("1²", "1²", 1, 1),
    ("+8", "8", 8, 8),
    (" 8", "8", 8, 8),
    ("8 ", "8", 8, 8),
    ("8\n", "8", 8, 8),
    ("\t\n\v\f\r 8", "8", 8, 8),  # white space for C
    ("\x1c8", "8", None, 8),  # white space for Python only
    ("8.0", "8", 8, 8),
    ("8,8", "8", 8, 8),
    ("0x8", "8", 8, 8),
    ("0x10", "8", 16, 8),  # meant 16
    ("0X10", "8", 16, 8),
    (" 16", "8", 16, 8),
    ("+16", "8", 16, 8),
    ("1e1", "8", 1, 8),
    ("1_0", "8", 1, 8),
    ("-1", "8", None, 8),
    ("-4294967288", "8", 8, 8),  # 8 - 2**32
    ("--8", "8", None, 8),
    ("0x", "8", None, 8),
    ("0xg", "8", None, 8),
    ("abc", "8", None, 8),
    ("\u00a08", "8", None, 8),
]


@pytest.mark.parametrize(("value", "kept", "original", "cap"), VALUES)
def test_a_value_of_the_table(value, kept, original, cap):
    after_it = protection("0.20", FIRING, value)
    without = protection("0.20", FIRING | {"use_async": False}, value)

    assert after(value) == kept
    assert nccl_reads(value) == original
    assert after_it == Protection(True, before=value, after=kept, read=nccl_reads(kept))
    assert after_it.cap == cap
    assert after_it.silently_absent is (cap is None)
    assert after_it.overwritten is (value is not None and value != kept)
    assert without == Protection(False, before=value, after=value, read=original)
    assert not without.overwritten
    assert not without.silently_absent


def test_a_number_of_thousands_of_digits_is_out_of_range():
    assert nccl_reads("9" * 10_000) is None
    assert nccl_reads("0" * 10_000 + "10") == 8


@given(st.one_of(st.none(), st.text()), st.sampled_from(VERSIONS))
def test_the_override_is_idempotent_and_the_same_in_all_versions(value, version):
    once = protection(version, FIRING, value)

    assert protection(version, FIRING, once.after) == Protection(
        True, before=once.after, after=once.after, read=once.read
    )
    assert once == protection("0.18", FIRING, value)


@given(st.one_of(st.none(), st.text()))
def test_a_cap_is_what_nccl_reads_below_its_limit(value):
    capped = protection("0.20", FIRING, value)

    assert capped.read is None or 1 <= capped.read <= 64
    assert capped.cap == (capped.read if capped.read != 64 else None)


def strtoll_of_c(text: str) -> int | None:
    """The C library's answer; None where it reports an overflow."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.strtoll.argtypes = (ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int)
    libc.strtoll.restype = ctypes.c_longlong
    ctypes.set_errno(0)
    number = int(libc.strtoll(text.encode(), None, 0))
    return None if ctypes.get_errno() == errno.ERANGE else number


# Newer C libraries read "0b1" in binary in programs compiled for C23, which NCCL 2.28 is not.
pieces = st.sampled_from(
    (*"01789+-aAfFxXeE._, \t\n\v\f\r²٣\uff18", "0x", "00", "4294967296", "\x1c")
)
near_numbers = st.lists(pieces, max_size=8).map("".join)
long_numbers = st.integers(-(2**66), 2**66).flatmap(
    lambda n: st.sampled_from((f"{n}", f"{n:#x}", f"{n:o}", f"0{abs(n):o}", f" {n}k"))
)


@pytest.mark.skipif(sys.platform == "win32", reason="the C library has no name None there")
@given(st.one_of(near_numbers, long_numbers))
@example(str(2**63 - 1))
@example(str(2**63))
@example(str(-(2**63)))
@example(str(-(2**63) - 1))
def test_the_prefix_parse_is_that_of_the_c_library(text):
    assert environment._strtoll(text) == strtoll_of_c(text)


@pytest.mark.parametrize(
    ("number", "stored"),
    [
        (0, 0),
        (2**31 - 1, 2**31 - 1),
        (2**31, -(2**31)),
        (2**32 + 8, 8),
        (-1, -1),
        (8 - 2**32, 8),
        (-(2**31), -(2**31)),
    ],
)
def test_32_bits_are_stored(number, stored):
    assert environment._as_32_bits(number) == stored


@given(st.integers(-(2**63), 2**63 - 1))
def test_32_bits_are_stored_as_c_does(number):
    assert environment._as_32_bits(number) == ctypes.c_int32(number & 0xFFFFFFFF).value
