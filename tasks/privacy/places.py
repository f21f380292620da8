"""What a detector is told and what it answers."""

from collections.abc import Callable
from typing import NamedTuple

from params.privacy import Kind


class Found(NamedTuple):
    """Personal data near a candidate; start and stop are bytes relative to the candidate's position."""

    kind: Kind
    start: int
    stop: int


Detector = Callable[[bytes, bytes], Found | None]
"""Judges a candidate by the bytes of its document before its position (64 at most) and from it on (320 at most, 16 KiB
at a -): what is there, or None."""
