"""Errors of code that is not ours, kept away from the run."""

import logging
from types import TracebackType


class Contained:
    """A block whose exceptions are logged as a warning and end here; Ctrl-C and cancels pass through."""

    def __init__(self, log: logging.Logger, what: str) -> None:
        self.failed = False
        self._log = log
        self._what = what

    def __enter__(self) -> "Contained":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> bool:
        self.failed = isinstance(error, Exception)
        if self.failed:
            first = (str(error).strip() or "no message").splitlines()[0]
            self._log.warning("%s: %s: %s", self._what, type(error).__name__, first)
            self._log.debug("%s", self._what, exc_info=error)
        return self.failed
