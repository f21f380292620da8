"""What a person types in a conversation: a line is a turn, which on a terminal can be edited."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import TextIO

from flows.console import say
from params.errors import ParameterError

_HOW = "A line is a turn; Ctrl-C ends an answer, Ctrl-D the conversation."


def on_terminal() -> bool:
    """Whether a person types and reads."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def read_turns(source: TextIO) -> Iterator[str]:
    """Lines that are not empty."""
    lines = _typed() if on_terminal() else _piped(source)
    yield from (line for line in lines if line.strip())


def _typed() -> Iterator[str]:
    """By readline: a terminal's own editing knows no arrows, takes bytes for characters and cuts lines at 4,095."""
    with suppress(ImportError):  # a Python without it still reads lines
        import readline  # noqa: F401 - input() edits with it
    say(_HOW)
    while True:
        try:
            yield input("> ")
        except EOFError:
            print()
            return
        except KeyboardInterrupt:
            print()
            say(_HOW)


def _piped(source: TextIO) -> Iterator[str]:
    while raw := source.buffer.readline():
        yield decoded(raw, "standard input").strip("\r\n")


def decoded(raw: bytes, where: str) -> str:
    """Bytes as UTF-8. Raises ParameterError with the place of what is none."""
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise ParameterError(f"{where}: not text in UTF-8 (byte {raw[error.start]:#04x} at {error.start})") from None
