"""Tokens to text as they come: whole characters only, up to the first stop sequence."""

from collections.abc import Callable, Sequence

_BROKEN = "\ufffd"
Decode = Callable[[Sequence[int]], str]


class Characters:
    """The text of tokens one by one. A character whose last bytes are still to come waits for them.

    Bytes that can be part of no character come out as U+FFFD, but for those at the very end. Each piece is decoded
    together with what goes before (at first `before`), for some decoders drop a space where a text begins.
    """

    def __init__(self, decode: Decode, before: Sequence[int] = ()) -> None:
        self.decode = decode
        self.known, self.held = list(before), list[int]()
        self.shown = len(decode(self.known))

    def push(self, token: int) -> str:
        """The characters that a token completes."""
        self.held.append(token)
        text = self.decode([*self.known, *self.held])
        whole = text.rstrip(_BROKEN)
        piece = text[self.shown : len(whole)]
        self.shown = max(self.shown, len(whole))
        if whole == text:
            self.known, self.held = self.held, []
            self.shown = len(self.decode(self.known))
        return piece


class StopFinder:
    """Lets text through until a stop sequence; what may be the beginning of one waits."""

    def __init__(self, stops: Sequence[str]) -> None:
        self.stops = tuple(stops)
        self.held = ""
        self.found = False

    def push(self, piece: str) -> str:
        """The text that is certain now; after a stop sequence (left out) there is no more."""
        if self.found:
            return ""
        text = self.held + piece
        places = [place for stop in self.stops if (place := text.find(stop)) >= 0]
        if places:
            self.found, self.held = True, ""
            return text[: min(places)]
        certain = len(text) - self._begun(text)
        self.held = text[certain:]
        return text[:certain]

    def finish(self) -> str:
        """What still waited, once nothing more comes."""
        rest, self.held = self.held, ""
        return rest

    def _begun(self, text: str) -> int:
        """Length of the longest end of the text that begins a stop sequence."""
        sizes = (size for stop in self.stops for size in range(1, len(stop)) if text.endswith(stop[:size]))
        return max(sizes, default=0)
