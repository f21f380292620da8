"""What pictures of many rows are drawn on: matplotlib takes a third of a second for one, and lets no worker work."""

from functools import cache
from pathlib import Path
from typing import Literal

from PIL import Image, ImageDraw, ImageFont

INK, BLANK = "#222222", "#ffffff"
_FAST = 1
"""Level of compression: the files are small anyway, with their few colours."""


class Canvas:
    """A white page; lengths are in pixels from its upper left corner. Its font has Latin letters only."""

    def __init__(self, width: float, height: float) -> None:
        self._image = Image.new("RGB", (round(width), round(height)), BLANK)
        self._draw = ImageDraw.Draw(self._image)

    def text(self, at: tuple[float, float], text: str, *, size: int, side: Literal["l", "m", "r"] = "l") -> None:
        """A line of text whose left end, middle or right end is at a place; in height its middle is."""
        self._draw.text(at, text, INK, _font(size), f"{side}m")

    def box(self, left: float, top: float, right: float, bottom: float, color: str | tuple[int, int, int]) -> None:
        """A filled rectangle; a narrow one is a line."""
        left, top, right, bottom = map(round, (left, top, right, bottom))
        self._draw.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), fill=color)

    def save(self, path: Path) -> None:
        """Write it as PNG."""
        self._image.save(path, "PNG", compress_level=_FAST)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
