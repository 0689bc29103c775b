"""`override_envs_for_eplb`: when vLLM sets NCCL_MAX_CTAS, to what, and what NCCL makes of it.

Every worker process decides once, before any process group exists; NCCL reads the variable when
it first builds a communicator, so a later change has no effect.  Rules:
- O1: 0.18 and 0.19 fire by data parallelism, EPLB, the low-latency all-to-all and `use_async`.
- O2: 0.20 asks for an NCCL communicator besides.  A communicator of None does not count.
- O3: 0.33 fires by data parallelism, EPLB, an NCCL communicator and the mega-MoE backend, and
  reads neither `use_async` nor `all2all_backend`.
- O4: where it fires, a value for which Python's `str.isdigit` is true is kept; any other one, or
  none, becomes "8".
- O5: NCCL 2.28 takes the longest prefix that C's `strtoll` with base 0 understands and stores it in
  32 bits.  What is out of range, not positive or its mark for "undefined" leaves the default.
- O6: NCCL clamps at 64, which is its default too, so 64 and more protect nobody.
So the two parsers disagree: "0" and "٣" are kept and mean nothing, "0x10" means 16 and is lost.

NCCL's configuration files, which never beat a variable that is set, are not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias, assert_never

Version: TypeAlias = Literal["0.18", "0.19", "0.20", "0.33"]
Relation: TypeAlias = Literal["above", "is true", "is", "is one of"]
Configuration: TypeAlias = Mapping[str, object]  # attribute -> value; may lack some

NCCL_COMMUNICATORS = ("torch_nccl", "pynccl")
SET_BY_VLLM = "8"
MOST_CTAS = 64  # NCCL's limit of channels, and its default for the cap


class Condition(NamedTuple):
    """What one attribute of the configuration has to be."""

    attribute: str
    relation: Relation
    operand: object = True

    def __str__(self) -> str:
        if self.relation == "is true":
            return f"{self.attribute} is true"
        return f"{self.attribute} {self.relation} {self.operand!r}"

    def holds(self, value: object) -> bool:
        """Whether a value is what the condition asks for; truth is Python's, so 1 counts."""
        match self.relation:
            case "above":
                return (
                    isinstance(value, int)
                    and isinstance(self.operand, int)
                    and (value > self.operand)
                )
            case "is true":
                return bool(value)
            case "is":
                return value == self.operand
            case "is one of":
                return isinstance(self.operand, tuple) and value in self.operand
            case _:
                assert_never(self.relation)


SEVERAL_DATA_PARALLEL_RANKS = Condition("data_parallel_size", "above", 1)
EPLB_ENABLED = Condition("enable_eplb", "is true")
LOW_LATENCY = Condition("all2all_backend", "is", "deepep_low_latency")
ASYNC = Condition("use_async", "is true")
OVER_NCCL = Condition("communicator", "is one of", NCCL_COMMUNICATORS)
MEGA_MOE = Condition("moe_backend", "is", "deep_gemm_mega_moe")

_ANCESTORS = (SEVERAL_DATA_PARALLEL_RANKS, EPLB_ENABLED, LOW_LATENCY, ASYNC)  # O1

DECISIONS: Mapping[Version, tuple[Condition, ...]] = {
    "0.18": _ANCESTORS,
    "0.19": _ANCESTORS,
    "0.20": (*_ANCESTORS, OVER_NCCL),  # O2
    "0.33": (SEVERAL_DATA_PARALLEL_RANKS, EPLB_ENABLED, OVER_NCCL, MEGA_MOE),  # O3
}
ARGUMENTS = frozenset({"moe_backend"})  # a parameter with the default None, not an attribute


class Protection(NamedTuple):
    """What a process has in NCCL_MAX_CTAS when NCCL reads it, and what comes of that."""

    fires: bool
    before: str | None  # what the process was started with, None if unset
    after: str | None  # what NCCL finds
    read: int | None  # what NCCL makes of it, None for its default

    @property
    def cap(self) -> int | None:
        """The cap that really limits the channels, 1..63, or None.

        A cap is not a count of CTAs: that follows from ranks, peers and sizes too (N10).
        """
        return self.read if self.read is not None and self.read < MOST_CTAS else None

    @property
    def overwritten(self) -> bool:
        """Whether a value was there and is gone."""
        return self.before is not None and self.before != self.after

    @property
    def silently_absent(self) -> bool:
        """Whether vLLM meant to protect and nothing does, without a word in any log."""
        return self.fires and self.cap is None


def reads(version: Version) -> tuple[str, ...]:
    """The attributes that a version reads, whether it fires or not.

    Raises ValueError for another version.  Source: O1, O2, O3.

    >>> reads("0.33")
    ('data_parallel_size', 'enable_eplb', 'communicator')
    """
    attributes = (condition.attribute for condition in _conditions(version))
    return tuple(attribute for attribute in attributes if attribute not in ARGUMENTS)


def fires(version: Version, configuration: Configuration) -> bool:
    """Whether the override of a version takes effect.

    Parameters: configuration with what `reads` names, and for 0.33 `moe_backend`, None by default.
    Raises ValueError for another version, and AttributeError, as the process would, where an
    attribute is missing that this version reads.  Source: O1, O2, O3.

    >>> asked = {"data_parallel_size": 2, "enable_eplb": True, "use_async": True}
    >>> asked["all2all_backend"] = "deepep_low_latency"
    >>> fires("0.19", asked), fires("0.20", asked | {"communicator": "torch_gloo"})
    (True, False)
    """
    missing = [attribute for attribute in reads(version) if attribute not in configuration]
    if missing:
        raise AttributeError(
            f"the configuration has no {', '.join(missing)}; "
            f"version {version} reads {', '.join(reads(version))}"
        )
    return all(
        condition.holds(configuration.get(condition.attribute))
        for condition in _conditions(version)
    )


def after(value: str | None) -> str:
    """NCCL_MAX_CTAS after an override that fires; None is a variable that is not set.

    The same in all versions; applied twice it is as applied once.  Source: O4.

    >>> after("16"), after("0"), after("0x10"), after(None)
    ('16', '0', '8', '8')
    """
    return value if value is not None and value.isdigit() else SET_BY_VLLM


def nccl_reads(text: str | None) -> int | None:
    """The cap that NCCL 2.28 takes from a text, 1..64, or None: its default stays (O5, O6).

    None is a variable that is not set.  64 is the default by another name: see `Protection.cap`.

    >>> [nccl_reads(text) for text in ("8", "012", "08", "4294967304", "128")]
    [8, 10, None, 8, 64]
    """
    number = _strtoll(text) if text else None
    stored = None if number is None else _as_32_bits(number)
    return min(stored, MOST_CTAS) if stored is not None and stored > 0 else None


def protection(version: Version, configuration: Configuration, value: str | None) -> Protection:
    """What a process of a version makes of NCCL_MAX_CTAS, and whether a cap results.

    Parameters: configuration as for `fires`; value is what it was started with, None if unset.
    Raises ValueError and AttributeError as `fires` does.  Source: O1 to O6.

    >>> asked = {"data_parallel_size": 2, "enable_eplb": True, "communicator": "pynccl"}
    >>> asked["moe_backend"] = "deep_gemm_mega_moe"
    >>> protection("0.33", asked, "0")
    Protection(fires=True, before='0', after='0', read=None)
    >>> protection("0.33", asked, "0").silently_absent, protection("0.33", asked, "-1").cap
    (True, 8)
    """
    fired = fires(version, configuration)
    left = after(value) if fired else value
    return Protection(fired, value, left, nccl_reads(left))


def cap_in_force(text: str | None, override: bool, otherwise: int | None) -> int | None:
    """The cap under which NCCL runs, None for none.

    Parameters: text is NCCL_MAX_CTAS as the process was started, None if unset; override says
    whether the override fires; otherwise is the cap that is meant if nothing of this is asked.

    >>> [cap_in_force(text, True, None) for text in ("0", "0x10")], cap_in_force(None, False, 4)
    ([None, 8], 4)
    """
    if text is None and not override:
        return otherwise
    return nccl_reads(after(text) if override else text)


def _conditions(version: Version) -> tuple[Condition, ...]:
    if version not in DECISIONS:
        raise ValueError(f"version={version!r}; expected one of {', '.join(DECISIONS)}")
    return DECISIONS[version]


# What strtoll with base 0 takes, in the C locale: white space, a sign, and the longest of the three
# forms.  "0x" without a digit behind it is a zero.  ASCII only, unlike Python's int and isdigit.
# 25 decimal digits are out of range whatever follows, and Python's int refuses some thousands.
_PREFIX = re.compile(
    r"[ \t\n\v\f\r]*(?P<sign>[+-]?)"
    r"(?:0[xX](?P<hexadecimal>[0-9a-fA-F]+)|(?P<octal>0[0-7]*)|(?P<decimal>[1-9][0-9]{0,24}))"
)
_BASES = {"hexadecimal": 16, "octal": 8, "decimal": 10}


def _strtoll(text: str) -> int | None:
    """`strtoll(text, NULL, 0)`: 0 where there is no number, None where it is out of range."""
    found = _PREFIX.match(text)
    if found is None:
        return 0
    base = next(name for name in _BASES if found[name] is not None)
    size = int(found[base], _BASES[base])
    number = -size if found["sign"] == "-" else size
    return number if -(2**63) <= number < 2**63 else None


def _as_32_bits(number: int) -> int:
    """A 64-bit number in a C int: the low 32 bits, with the highest of them as sign."""
    return (number + 2**31) % 2**32 - 2**31
