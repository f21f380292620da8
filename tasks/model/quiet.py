"""transformers without its progress bars and reports: what matters of them is said in our own words."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Only errors of transformers reach the terminal within."""
    from transformers.utils import logging as logging_of_transformers

    theirs: Any = logging_of_transformers
    verbosity, showed_bars = theirs.get_verbosity(), theirs.is_progress_bar_enabled()
    theirs.set_verbosity_error()
    theirs.disable_progress_bar()
    try:
        yield
    finally:
        theirs.set_verbosity(verbosity)
        if showed_bars:
            theirs.enable_progress_bar()
