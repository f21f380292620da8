"""Looks for the files and calls the commands that may ask a run to end; only the first rank does."""

import logging
import os
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from params.stop import CommandParams, RulesParams

log = logging.getLogger(__name__)
_EVERY_S = 60.0
_MOST_CHARACTERS = 200


class Outside:
    """Answers of files and commands by the place of their rule, as Observation.outside takes them."""

    def __init__(self, params: RulesParams) -> None:
        places = list(mappings(params))
        self._files = {f"{prefix}file": inner.file for prefix, inner in places if inner.file is not None}
        self._commands = {f"{prefix}command": Command(inner.command) for prefix, inner in places if inner.command}

    def look(self, *, evaluated: bool, about: dict[str, str]) -> dict[str, str | None]:
        """What is known now, without waiting; `about` (STEP, LOSS …) goes into the environment of commands."""
        answers: dict[str, str | None] = {place: _content(path) for place, path in self._files.items()}
        for place, command in self._commands.items():
            command.poll(evaluated=evaluated, about=about)
            if command.has_answered:
                answers[place] = command.answer
        return answers

    def close(self) -> None:
        """End commands under way."""
        for command in self._commands.values():
            command.end()


class Command:
    """One command, called again and again beside the training; `answer` is what its last call came to."""

    def __init__(self, params: CommandParams) -> None:
        self.params = params
        self.answer: str | None = None
        self.has_answered = False
        self._process: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None
        self._began = time.monotonic()
        self._evals = 0
        self._complained = False

    def poll(self, *, evaluated: bool, about: dict[str, str]) -> None:
        """Begin a call that is due, and take note of one that has ended."""
        self._evals += evaluated
        if self._process is None:
            if self._is_due():
                self._begin(about)
            return
        code = self._process.poll()
        if code is None and time.monotonic() - self._began < self.params.timeout_s:
            return
        self.has_answered = True
        self.answer = self._said() if code == 0 else None
        if code is None:
            self._complain(f"took longer than {self.params.timeout_s:g} s and was ended")
        self.end()

    def wait(self) -> None:
        """Until the call under way has ended."""
        if self._process is not None:
            self._process.wait(self.params.timeout_s)

    def end(self) -> None:
        """End the call under way, with all that it started."""
        if self._process is not None:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._output is not None:
            self._output.close()
        self._process = self._output = None

    def _is_due(self) -> bool:
        if self.params.every_evals is not None:
            return self._evals >= self.params.every_evals
        return time.monotonic() - self._began >= (self.params.every_s or _EVERY_S)

    def _begin(self, about: dict[str, str]) -> None:
        self._began, self._evals = time.monotonic(), 0
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the call runs
        try:
            self._process = subprocess.Popen(
                shlex.split(self.params.run),
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **{f"GRISTMILL_{name}": value for name, value in about.items()}},
                start_new_session=True,
            )
        except OSError as error:
            self._complain(f"cannot be started ({error.strerror})")
            self.end()

    def _said(self) -> str:
        assert self._output is not None
        self._output.seek(0)
        return _first_line(self._output.read(4 * _MOST_CHARACTERS)) or "ended with exit code 0"

    def _complain(self, what: str) -> None:
        if not self._complained:
            log.warning("train.stop: command %r %s; it counts for nothing", self.params.run, what)
        self._complained = True


def mappings(params: RulesParams, prefix: str = "") -> Iterator[tuple[str, RulesParams]]:
    """A mapping of rules and all those inside it, each with what stands before its keys in a rule's place."""
    yield prefix, params
    for name, group in (("any", params.any), ("all", params.all)):
        for index, inner in enumerate(group or ()):
            yield from mappings(inner, f"{prefix}{name}[{index}].")
    if params.not_ is not None:
        yield from mappings(params.not_, f"{prefix}not.")


def _content(path: Path) -> str | None:
    """The first line of a file, or that it is there; None where it is not."""
    if not path.exists():
        return None
    try:
        with path.open("rb") as file:
            return _first_line(file.read(4 * _MOST_CHARACTERS)) or "is there"
    except OSError:  # a folder, or not readable: being there is enough
        return "is there"


def _first_line(raw: bytes) -> str:
    lines = raw.decode(errors="replace").strip().splitlines()
    first = lines[0] if lines else ""
    return "".join(character for character in first if character.isprintable())[:_MOST_CHARACTERS]
