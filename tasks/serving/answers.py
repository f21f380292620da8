"""The bodies of answers, whole and streamed, as OpenAI's API shapes them."""

import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tasks.serving.generation import Generation, Piece
from tasks.serving.openai_types import ChatRequest, CompletionRequest
from tasks.serving.sampling import Scored
from tasks.serving.token_bytes import TokenBytes

Json = dict[str, Any]


class Shape(Protocol):
    """How the answers of one endpoint look."""

    def whole(self, pieces: Sequence[Piece], generation: Generation) -> Json:
        """One body; the pieces are the texts, in order."""

    def opening(self, generation: Generation) -> Iterator[Json]:
        """What a stream begins with, before anything is made."""

    def chunk(self, piece: Piece) -> Json:
        """An event of a stream."""

    def closing(self, generation: Generation) -> Iterator[Json]:
        """What a stream ends with."""


@dataclass(frozen=True)
class _Head:
    """What every body of one answer begins with."""

    id: str
    object: str
    created: int
    model: str

    @classmethod
    def new(cls, prefix: str, object_: str, model: str) -> "_Head":
        return cls(f"{prefix}-{uuid.uuid4().hex}", object_, int(time.time()), model)

    def body(self, choices: list[Json], **more: Any) -> Json:
        return {
            "id": self.id,
            "object": self.object,
            "created": self.created,
            "model": self.model,
            "choices": choices,
            **more,
        }


def _usage(generation: Generation) -> Json:
    prompt, made = generation.prompt_tokens, generation.completion_tokens
    return {"prompt_tokens": prompt, "completion_tokens": made, "total_tokens": prompt + made}


class CompletionShape:
    """Of /v1/completions."""

    def __init__(self, request: CompletionRequest, model: str, tokens: TokenBytes, echoed: Sequence[str]) -> None:
        self.request, self.tokens, self.echoed = request, tokens, echoed
        self.head = _Head.new("cmpl", "text_completion", model)
        self.offsets: dict[int, int] = {}
        self.unsaid = {"usage": None} if request.includes_usage else {}

    def whole(self, pieces: Sequence[Piece], generation: Generation) -> Json:
        """One body; the pieces are the texts, in order."""
        return self.head.body([self._choice(piece, first=True) for piece in pieces], usage=_usage(generation))

    def opening(self, generation: Generation) -> Iterator[Json]:
        """Echoed prompts without probabilities need not wait."""
        if self.request.echo and self.request.logprobs is None:
            for index in range(len(generation.choices)):
                choice = {"index": index, "text": self._echo(index), "logprobs": None, "finish_reason": None}
                yield self.head.body([choice], **self.unsaid)

    def chunk(self, piece: Piece) -> Json:
        """An event of a stream."""
        first = self.request.logprobs is not None and piece.index not in self.offsets
        return self.head.body([self._choice(piece, first=first)], **self.unsaid)

    def closing(self, generation: Generation) -> Iterator[Json]:
        """The usage, where it is asked for."""
        if self.request.includes_usage:
            yield self.head.body([], usage=_usage(generation))

    def _choice(self, piece: Piece, *, first: bool) -> Json:
        text = (self._echo(piece.index) if first and self.request.echo else "") + piece.text
        logprobs = self._logprobs(piece) if self.request.logprobs is not None else None
        return {"index": piece.index, "text": text, "logprobs": logprobs, "finish_reason": piece.finish}

    def _echo(self, index: int) -> str:
        return self.echoed[index // self.request.n]

    def _logprobs(self, piece: Piece) -> Json:
        prompt = piece.prompt if isinstance(self.request.prompts[0], list) else piece.prompt[1:]
        scores = [*prompt, *piece.tokens]
        names = [self.tokens.text(score.token) for score in scores]
        offset = self.offsets.get(piece.index, 0 if self.request.echo else len(self._echo(piece.index)))
        offsets = []
        for name in names:
            offsets.append(offset)
            offset += len(name)
        self.offsets[piece.index] = offset
        return {
            "tokens": names,
            "token_logprobs": [score.logprob for score in scores],
            "top_logprobs": [self._top(score) for score in scores] if self.request.logprobs else None,
            "text_offset": offsets,
        }

    def _top(self, score: Scored) -> dict[str, float] | None:
        """Alternatives by text, the token itself always among them, as OpenAI's legacy format has it."""
        if score.logprob is None:
            return None
        rows = [*score.top, (score.token, score.logprob)]
        return {self.tokens.text(token): logprob for token, logprob in reversed(rows)}


class ChatShape:
    """Of /v1/chat/completions."""

    def __init__(self, request: ChatRequest, model: str, tokens: TokenBytes) -> None:
        self.request, self.tokens = request, tokens
        self.head = _Head.new("chatcmpl", "chat.completion.chunk" if request.stream else "chat.completion", model)
        self.unsaid = {"usage": None} if request.includes_usage else {}

    def whole(self, pieces: Sequence[Piece], generation: Generation) -> Json:
        """One body; the pieces are the texts, in order."""
        choices = [
            {
                "index": piece.index,
                "message": {"role": "assistant", "content": piece.text, "refusal": None},
                "logprobs": self._logprobs(piece),
                "finish_reason": piece.finish,
            }
            for piece in pieces
        ]
        return self.head.body(choices, usage=_usage(generation))

    def opening(self, generation: Generation) -> Iterator[Json]:
        """Who speaks."""
        for index in range(len(generation.choices)):
            delta = {"role": "assistant", "content": "", "refusal": None}
            choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}
            yield self.head.body([choice], **self.unsaid)

    def chunk(self, piece: Piece) -> Json:
        """An event of a stream."""
        delta = {"content": piece.text} if piece.text or piece.tokens else {}
        choice = {
            "index": piece.index,
            "delta": delta,
            "logprobs": self._logprobs(piece) if piece.tokens else None,
            "finish_reason": piece.finish,
        }
        return self.head.body([choice], **self.unsaid)

    def closing(self, generation: Generation) -> Iterator[Json]:
        """The usage, where it is asked for."""
        if self.request.includes_usage:
            yield self.head.body([], usage=_usage(generation))

    def _logprobs(self, piece: Piece) -> Json | None:
        if not self.request.logprobs:
            return None
        content = [
            self._scored(score.token, score.logprob)
            | {"top_logprobs": [self._scored(token, logprob) for token, logprob in score.top]}
            for score in piece.tokens
        ]
        return {"content": content, "refusal": None}

    def _scored(self, token: int, logprob: float | None) -> Json:
        return {
            "token": self.tokens.text(token),
            "logprob": logprob,
            "bytes": list(self.tokens.bytes_of(token)),
        }
