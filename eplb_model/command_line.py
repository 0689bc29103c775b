"""What both command lines do alike: find the command, import it, run it, say how it ended.

Rules:
- A command is a module with `add_arguments(parser)` and `run(options)`; that gives the exit code.
  `-` in its name is `_` in that of its module; only the one that is asked for is imported.
- Exit codes: 2 bad input, 4 the environment lacks something, 5 our own error, 130 interrupted.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from eplb_model.outcome import BAD_INPUT, INTERRUPTED, LACKING, OUR_ERROR, Lacking, UsageError

SELDOM = 10_000  # new objects between two looks for circles: states are tuples and make none
VECTORS = Path(__file__).with_name("vectors")  # vector.VECTORS, without loading what reads them


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A program with commands.

    Parameters
    ----------
    prog, about
        Its name, and a sentence.
    examples
        Whole lines by command: for the help of each, and the first of each for that of the program.
    package
        Where the modules of the commands are.
    commands
        What each does, by name.
    """

    prog: str
    about: str
    examples: Mapping[str, Sequence[str]]
    package: str
    commands: Mapping[str, str]

    def main(self, arguments: Sequence[str] | None = None) -> int:
        """Run one command and return its exit code."""
        words = list(sys.argv[1:] if arguments is None else arguments)
        gc.set_threshold(SELDOM)
        try:
            if not words:  # whoever does not know what to say is shown what there is
                self.parser(words).print_help(sys.stderr)
                return BAD_INPUT
            options, unknown = self.parser(words).parse_known_args(words)
            if unknown:
                raise UsageError(self._unexpected(unknown[0], words))
            code: int = options.run(options)
            sys.stdout.flush()
        except UsageError as error:
            self._say(str(error))
            return BAD_INPUT
        except Lacking as error:
            self._say(str(error))
            return LACKING
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except KeyboardInterrupt:
            return INTERRUPTED
        except Exception:  # noqa: BLE001 (the last frame: whatever escapes is ours, and has its own code)
            import traceback  # noqa: PLC0415 (only an error of ours needs it)

            traceback.print_exc()
            self._say("this is our own error, not yours; please report it")
            return OUR_ERROR
        return code

    def parser(self, words: Sequence[str]) -> argparse.ArgumentParser:
        """The parser for a command line; it knows the arguments of the command in `words` only.

        If a command comes first, it is the only one there is.
        """
        whole = argparse.ArgumentParser(
            prog=self.prog,
            description=self.about,
            epilog=self._examples(self.commands) + f"\n\nmore: {self.prog} COMMAND --help",
            formatter_class=_of_any_width,
        )
        whole.add_argument(
            "--version", action=_Print, nargs=0, const=self.version, help="print the version"
        )
        whole.add_argument(
            "--completion",
            action=_Print,
            nargs=0,
            const=self.completion,
            help=f'for bash: eval "$({self.prog} --completion)"',
        )
        subparsers = whole.add_subparsers(required=True, metavar="COMMAND", prog=self.prog)
        asked = next((word for word in words if not word.startswith("-")), None)
        if asked is not None and asked not in self.commands:
            raise UsageError(self._unknown(asked))
        parsers = [whole]
        for name in (asked,) if asked is not None and asked == words[0] else self.commands:
            text = self.commands[name]
            sub = subparsers.add_parser(
                name,
                help=text,
                description=text,
                epilog=self._examples((name,)),
                formatter_class=_of_any_width,
            )
            parsers.append(sub)
            if name == asked:
                module = self._module(name)
                module.add_arguments(sub)
                sub.set_defaults(run=module.run)
        for each in parsers:
            each.formatter_class = argparse.RawDescriptionHelpFormatter
        return whole

    def version(self) -> str:
        """The version that is installed."""
        found: str = import_module("importlib.metadata").version("eplb-checker")
        return f"{self.prog} {found}"

    def completion(self) -> str:
        """The completion script for bash."""
        from eplb_model.completion import bash_script, completed  # noqa: PLC0415 (seldom asked for)

        return bash_script(
            self.prog,
            {name: completed(self._help_of(name)) for name in self.commands},
            sorted(path.stem for path in VECTORS.glob("*.json")),
        )

    def _help_of(self, command: str) -> str:
        parser = argparse.ArgumentParser(prog=f"{self.prog} {command}")
        self._module(command).add_arguments(parser)
        return parser.format_help()

    def _module(self, command: str) -> Any:
        return import_module(f"{self.package}.{command.replace('-', '_')}")

    def _examples(self, commands: Collection[str]) -> str:
        """The examples of a command, or the first of each of several."""
        known = [self.examples.get(command, ()) for command in commands]
        lines = [each[:1] for each in known] if len(commands) > 1 else known
        shown = "\n".join(f"  {line}" for each in lines for line in each)
        return f"examples:\n{shown}" if shown else ""

    def _unknown(self, asked: str) -> str:
        import difflib  # noqa: PLC0415 (only a mistake needs it)

        close = difflib.get_close_matches(asked, self.commands, 1)
        near = f"close to it: {close[0]}; " if close else ""
        return f"unknown command {asked!r}; {near}known: {', '.join(self.commands)}"

    def _unexpected(self, word: str, words: Sequence[str]) -> str:
        """What argparse calls unrecognized, with the option that may have been meant."""
        import difflib  # noqa: PLC0415 (only a mistake needs it)

        from eplb_model.completion import completed  # noqa: PLC0415

        command = next(each for each in words if not each.startswith("-"))
        known = completed(self._help_of(command)).options
        close = difflib.get_close_matches(word.partition("=")[0], known, 1)
        near = f"; close to it: {close[0]}" if close else ""
        what = "unknown option" if word.startswith("-") else "nothing takes"
        return f"{what} {word!r}{near}; see `{self.prog} {command} --help`"

    def _say(self, text: str) -> None:
        print(f"{self.prog}: {text}", file=sys.stderr)


def _of_any_width(prog: str) -> argparse.HelpFormatter:
    """For parsers under construction: argparse makes a formatter to check each argument.

    To know how wide the terminal is, it would import what packs archives.
    """
    return argparse.RawDescriptionHelpFormatter(prog, width=80)


class _Print(argparse.Action):
    """Print what a function returns, which nobody works out unless it is asked for."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option: str | None = None,
    ) -> None:
        """Print and leave."""
        print(self.const())
        parser.exit()
