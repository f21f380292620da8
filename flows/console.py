"""What the user sees: progress lines on the console, everything else in the log file."""

import logging
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from tasks.context import Run

OUR_LOGGERS = ("tasks", "flows")
LOG_FILE = "gristmill.log"
WIDTH = 100
INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it: 128 and the number of the signal."""


def make_console(*, stderr: bool = False) -> Console:
    """A console that looks the same on a terminal, in a pipe and in a CI log."""
    console = Console(stderr=stderr, highlight=False, emoji=False, markup=False)
    if not console.is_terminal or console.width > WIDTH:
        console.width = WIDTH
    return console


def take_any_text() -> None:
    """Let the outputs show a question mark for what their encoding lacks (an old locale, a pipe) instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def say(text: str) -> None:
    """A line on standard error, for people: results go to standard output."""
    print(text, file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """Text that cannot steer a terminal: a young model writes any character, escape codes included."""
    return "".join(character if character.isprintable() or character in "\n\t" else "\ufffd" for character in text)


def shortened(text: str, width: int) -> str:
    """How a text begins, on one line; cut between words, or within one where words are long, as in Chinese."""
    whole = " ".join(printable(text).split())
    if len(whole) <= width:
        return whole
    cut = whole[: width - 2]
    words = cut if whole[width - 2] == " " else cut.rpartition(" ")[0]
    return f"{(words if len(words) > width // 2 else cut).rstrip()} …"


@contextmanager
def progress(logs: Path) -> Iterator[None]:
    """Show our loggers' lines on the console while the block runs, and keep all there is in the log file.

    On a terminal a spinner names the running stage. Prefect sees that the root logger has a handler of the user's (by
    its class, whose name must not begin with an underscore) and adds none.
    """
    console = make_console(stderr=True)
    with _spinner(console) as spinner:
        shown, kept = _ConsoleHandler(console, spinner), _file_handler(logs)
        root = logging.getLogger()
        root.addHandler(kept)
        for name in OUR_LOGGERS:
            logging.getLogger(name).addHandler(shown)
            logging.getLogger(name).setLevel(logging.INFO)
        logging.captureWarnings(True)
        logging.raiseExceptions = False  # a log that cannot be written must not drown the error that matters
        try:
            yield
        finally:
            logging.captureWarnings(False)
            for name in OUR_LOGGERS:
                logging.getLogger(name).removeHandler(shown)
            root.addHandler(logging.NullHandler())  # else what Prefect says while it ends would go to the console
            root.removeHandler(kept)
            with suppress(OSError):
                kept.close()


@contextmanager
def prefect_logs() -> Iterator[None]:
    """Send our loggers' lines to the Prefect UI while the block runs, whoever started the flow."""
    from prefect.logging.handlers import APILogHandler

    handler = APILogHandler()
    for name in OUR_LOGGERS:
        logging.getLogger(name).addHandler(handler)
        logging.getLogger(name).setLevel(logging.INFO)
    try:
        yield
    finally:
        for name in OUR_LOGGERS:
            logging.getLogger(name).removeHandler(handler)


def report_crash(logs: Path, kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
    """Keep the traceback of an error of ours in a file and say where it lies; fit for sys.excepthook."""
    path = logs / f"error-{datetime.now():%Y%m%d-%H%M%S}.log"
    text = "".join(traceback.format_exception(kind, error, where))
    try:
        logs.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError:  # no place to keep it: better long than lost
        say(text)
    say(f"gristmill: error: {kind.__name__}: {error}\nThis is a fault of gristmill; the traceback is in {path}")


def end_at_once(exit_code: int) -> NoReturn:
    """End the process without what libraries do at exit.

    Prefect's client would try for minutes to send its last events and log lines to a server that is gone.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)


class RunFilter(logging.Filter):
    """Gives every record the id of the run and the stage under work."""

    def __init__(self) -> None:
        super().__init__()
        self.run: Run | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        """Let all pass, named."""
        record.run = self.run.record.run_id if self.run is not None else "-"
        record.stage = self.run.stage if self.run is not None and self.run.stage else "-"
        return True


WHICH_RUN = RunFilter()
"""Of the log file; begin_run tells it the run."""


class _ConsoleHandler(logging.Handler):
    """One plain line per record; on a terminal the beginning of a stage only changes the spinner."""

    def __init__(self, console: Console, spinner: Progress | None) -> None:
        super().__init__(logging.INFO)
        self.console = console
        self.spinner = spinner

    def emit(self, record: logging.LogRecord) -> None:
        if self.spinner is not None and (begun := getattr(record, "begins", None)):
            self.spinner.reset(self.spinner.task_ids[0], description=str(begun))
            return
        level = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        line = f"{datetime.fromtimestamp(record.created):%H:%M:%S} {level}{record.getMessage()}"
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def _spinner(console: Console) -> Iterator[Progress | None]:
    if not console.is_terminal:
        yield None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as spinner:
        spinner.add_task("starting")
        yield spinner


def _file_handler(logs: Path) -> logging.Handler:
    handler = logging.FileHandler(logs / LOG_FILE, encoding="utf-8", delay=True)
    handler.addFilter(WHICH_RUN)
    handler.setFormatter(
        logging.Formatter("%(asctime)s %(process)d %(run)s %(stage)s %(levelname)s %(name)s: %(message)s")
    )
    return handler
