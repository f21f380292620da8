"""The texts of one request as they come from the engine: pieces of text, tokens, and how each ended."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass, field

from tasks.serving.api_error import ApiError
from tasks.serving.batch import Emission, Finish, Job, Text
from tasks.serving.generator import OnnxModel
from tasks.serving.jobs import Ask
from tasks.serving.sampling import Scored
from tasks.serving.text_stream import Characters, StopFinder


@dataclass
class Piece:
    """What is new of one text."""

    index: int
    text: str = ""
    tokens: list[Scored] = field(default_factory=list)
    prompt: tuple[Scored, ...] = ()
    finish: Finish | None = None


class Inbox:
    """Where a request finds what the engine made of its texts; used in the event loop's thread alone."""

    def __init__(self) -> None:
        self.filled = asyncio.Event()
        self.held: list[tuple[int, Emission]] = []

    def put(self, index: int, emission: Emission) -> None:
        """Add to what is held."""
        self.held.append((index, emission))
        self.filled.set()

    async def take(self) -> list[tuple[int, Emission]]:
        """All that has come since the last time; waits until there is something."""
        await self.filled.wait()
        self.filled.clear()
        taken, self.held = self.held, []
        return taken


class Choice:
    """One text: its characters, and whether a stop sequence has ended it."""

    def __init__(self, index: int, job: Job, stops: Sequence[str], *, model: OnnxModel) -> None:
        self.index = index
        self.characters = Characters(model.decode, before=job.prompt[-1:])
        self.stops = StopFinder(stops)
        self.num_tokens = 0
        self.finish: Finish | None = None

    def add(self, emissions: Iterable[Emission]) -> Piece:
        """The new piece; what comes after the end is left out."""
        piece = Piece(self.index)
        for emission in emissions:
            if self.finish is not None:
                break
            self._add(emission, piece)
        return piece

    def _add(self, emission: Emission, piece: Piece) -> None:
        piece.prompt += emission.prompt
        if emission.token is not None:
            self.num_tokens += 1
            piece.tokens.append(emission.token)
            piece.text += self.stops.push(self.characters.push(emission.token.token))
        self.finish = "stop" if self.stops.found else emission.finish
        if self.finish is not None:
            piece.text += self.stops.finish()
            piece.finish = self.finish


class Generation:
    """A request under way. Closing it, however it ends, lets the engine forget its texts."""

    def __init__(self, ask: Ask, model: OnnxModel, texts: Sequence[Text], inbox: Inbox) -> None:
        self.ask, self.texts, self.inbox = ask, texts, inbox
        self.choices = [Choice(index, job, ask.stops, model=model) for index, job in enumerate(ask.jobs)]

    @property
    def prompt_tokens(self) -> int:
        """Tokens read, each prompt once."""
        return sum(map(len, self.ask.prompts))

    @property
    def completion_tokens(self) -> int:
        """Tokens made."""
        return sum(choice.num_tokens for choice in self.choices)

    async def pieces(self) -> AsyncGenerator[list[Piece], None]:
        """What is new, each time there is something. Raises ApiError 500 if the engine fails."""
        while any(choice.finish is None for choice in self.choices):
            taken = await self.inbox.take()
            came: dict[int, list[Emission]] = {}
            for index, emission in taken:
                came.setdefault(index, []).append(emission)
            pieces = [self._piece(index, emissions) for index, emissions in came.items()]
            yield [piece for piece in pieces if piece.text or piece.tokens or piece.prompt or piece.finish]

    def _piece(self, index: int, emissions: Sequence[Emission]) -> Piece:
        piece = self.choices[index].add(emissions)
        if piece.finish == "error":
            raise ApiError(500, "the model failed in the middle of this answer; the server's log says why")
        if piece.finish is not None:
            self.texts[index].cancel()
        return piece

    def close(self) -> None:
        """Let the engine forget what still goes on."""
        for text in self.texts:
            text.cancel()
