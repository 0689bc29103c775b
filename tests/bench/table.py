"""The table: one line for what was measured, one for every target, with whether it is met."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

from tests.bench.children import Measured

HEAD = "  {:<50} {:>10} {:>11} {:>9} {:>9} {:>5}\n".format(
    "", "states", "steps", "CPU", "memory", "runs"
)


@dataclass(slots=True)
class Table:
    """What is printed, and how many targets are met."""

    judges: bool = True  # small sizes say nothing of a target
    met: int = 0
    missed: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    part: str = ""

    def title(self, part: str, about: str) -> None:
        """Begin a part."""
        self.part = part
        self.say(f"\n{part}: {about}\n{HEAD}")

    def row(
        self, name: str, took: Measured, states: int | None = None, steps: int | None = None
    ) -> None:
        """One measured command."""
        cut = "" if took.done else "  not finished, ended there"
        self.say(
            f"  {name:<50} {_number(states):>10} {_number(steps):>11} {took.seconds:>7.2f} s "
            f"{took.mebibytes:>5.0f} MiB {took.runs:>4}{cut}\n"
        )

    def target(self, text: str, got: str, met: bool) -> None:
        """One target of the project."""
        told = ("met" if met else "MISSED") if self.judges else "not judged"
        self.say(f"    target: {text}: {got} -> {told}\n")
        if not self.judges:
            return
        if met:
            self.met += 1
        else:
            self.missed.append(f"{self.part}: {text}: {got}")

    def exact(self, text: str, got: object, expected: object) -> None:
        """Something that has to be so on every machine."""
        same = got == expected
        self.say(f"    {text}: {got}{'' if same else f', EXPECTED {expected}'}\n")
        if not same:
            self.wrong.append(f"{self.part}: {text}: {got}, expected {expected}")

    def note(self, text: str) -> None:
        """What a reader has to know beside the numbers."""
        self.say(f"    {text}\n")

    def end(self) -> int:
        """The totals; 1 if a count is wrong.  A missed target is told, and no error."""
        self.say(f"\n{self.met} targets met, {len(self.missed)} missed\n")
        for each in self.missed:
            self.say(f"  missed  {each}\n")
        for each in self.wrong:
            self.say(f"  WRONG   {each}\n")
        return 1 if self.wrong else 0

    @staticmethod
    def say(text: str) -> None:
        """Print at once: all of it takes minutes."""
        sys.stdout.write(text)
        sys.stdout.flush()


def _number(value: int | None) -> str:
    return "" if value is None else str(value)
