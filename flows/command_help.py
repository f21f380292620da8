"""How the command line explains itself: prose as wide as the terminal, examples as they are, and the nearest name."""

import argparse
import difflib
import math
import textwrap
from itertools import groupby
from typing import Any

_MAX_WIDTH = 100


class HelpFormatter(argparse.HelpFormatter):
    """Fills paragraphs; lines that begin with a space are examples and stay as they are."""

    def add_argument(self, action: argparse.Action) -> None:
        """Leave room for the names of commands, which stand further in than options."""
        super().add_argument(action)
        names = [len(sub.dest) for sub in self._iter_indented_subactions(action)]
        further_in = self._current_indent + 2 * self._indent_increment
        self._action_max_length = max([self._action_max_length, *(length + further_in for length in names)])

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        filled: list[str] = []
        for is_prose, group in groupby(text.splitlines(), key=lambda line: bool(line) and not line.startswith(" ")):
            lines = list(group)
            filled += (
                textwrap.wrap(" ".join(lines), min(width, _MAX_WIDTH), break_on_hyphens=False) if is_prose else lines
            )
        return "\n".join(indent + line for line in filled)


class Parser(argparse.ArgumentParser):
    """Says which command or choice was meant; the parsers of its commands do as well."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        options.setdefault("formatter_class", HelpFormatter)
        super().__init__(*arguments, **options)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        choices = list(action.choices) if action.choices is not None else []
        if choices and value not in choices and (near := difflib.get_close_matches(str(value), choices, 3)):
            raise argparse.ArgumentError(action, f"there is no {value!r}; did you mean {' or '.join(near)}?")
        super()._check_value(action, value)


def port(text: str) -> int:
    """An option's value that names a port."""
    number = int(text)
    if not 1 <= number <= 65_535:
        raise argparse.ArgumentTypeError(f"{number} is no port; it must be 1 to 65535")
    return number


def amount(text: str) -> float:
    """An option's value that is a time, a price or a power."""
    number = float(text)
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is no amount; it must be 0 or more")
    return number
