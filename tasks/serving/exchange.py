"""One request and its answer on the wire: whole or as a stream, given up when the client goes away."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tasks.serving.answers import Json, Shape
from tasks.serving.api_error import ApiError
from tasks.serving.generation import Generation, Piece
from tasks.serving.jobs import Ask
from tasks.serving.loaded import Loaded
from tasks.serving.patience import ClientStalledError, Patience
from tasks.serving.service import Service

_LARGE = 20_000
"""A request of so many bytes is turned into tokens in a thread, so that it holds up nobody."""
_DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class Question:
    """A parsed request."""

    model: str | None
    stream: bool
    size_bytes: int
    ask: Callable[[Loaded], Ask]
    shape: Callable[[Loaded, Ask], Shape]


class Exchange(Response):
    """The response to a question; everything happens when it is sent."""

    def __init__(self, service: Service, question: Question) -> None:
        super().__init__()
        self.service, self.question = service, question
        self.began = time.perf_counter()
        self.has_begun = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, unless the client goes away before."""
        work = asyncio.create_task(self._answer(send))
        watch = asyncio.create_task(_gone(receive))
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                self.service.metrics.cancelled.inc()
        finally:
            for task in (work, watch):
                if not task.done():
                    task.cancel()
            await asyncio.wait({work, watch})
        if not work.cancelled():
            work.result()

    async def _answer(self, send: Send) -> None:
        try:
            async with asyncio.timeout(self.service.params.request_timeout_s):
                await self._generate(send)
        except TimeoutError:
            limit = self.service.params.request_timeout_s
            await self._refuse(send, ApiError(504, f"the answer took more than {limit:g} s", code="timeout"))
        except ApiError as error:
            await self._refuse(send, error)
        except ClientStalledError:
            self.service.metrics.cancelled.inc()

    async def _generate(self, send: Send) -> None:
        question, service = self.question, self.service
        with service.model(question.model) as loaded:
            large = question.size_bytes >= _LARGE
            ask = await asyncio.to_thread(question.ask, loaded) if large else question.ask(loaded)
            with service.generation(ask, loaded) as generation:
                shape = question.shape(loaded, ask)
                await (self._stream if question.stream else self._whole)(send, generation, shape)
                service.metrics.prompt_tokens.inc(generation.prompt_tokens)
                service.metrics.completion_tokens.inc(generation.completion_tokens)
                service.metrics.duration.observe(time.perf_counter() - self.began)

    async def _whole(self, send: Send, generation: Generation, shape: Shape) -> None:
        texts = [Piece(index) for index in range(len(generation.choices))]
        async for pieces in self._timed(generation):
            for piece in pieces:
                text = texts[piece.index]
                text.text += piece.text
                text.tokens += piece.tokens
                text.prompt += piece.prompt
                text.finish = piece.finish
        self.has_begun = True
        await Response(orjson.dumps(shape.whole(texts, generation)), media_type="application/json")(
            {"type": "http"}, _nothing, send
        )

    async def _stream(self, send: Send, generation: Generation, shape: Shape) -> None:
        self.has_begun = True
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async with Patience.with_client(send, self.service.params.send_timeout_s) as client:
            if opening := [*shape.opening(generation)]:
                await client.push(_events(opening))
            async for pieces in self._timed(generation):
                if pieces:
                    await client.push(_events([shape.chunk(piece) for piece in pieces]))
            await client.push(_events([*shape.closing(generation)]) + _DONE, last=True)

    async def _timed(self, generation: Generation) -> AsyncGenerator[Sequence[Piece], None]:
        """The pieces, the time to the first of them noted."""
        is_first = True
        async with aclosing(generation.pieces()) as stream:
            async for pieces in stream:
                if is_first:
                    self.service.metrics.first_token.observe(time.perf_counter() - self.began)
                    is_first = False
                yield pieces

    async def _refuse(self, send: Send, error: ApiError) -> None:
        """An error for an answer, or as the last event of a stream that has begun."""
        if self.has_begun:
            async with Patience.with_client(send, self.service.params.send_timeout_s) as client:
                await client.push(_events([error.body]) + _DONE, last=True)
        else:
            await error_response(error)({"type": "http"}, _nothing, send)


def error_response(error: ApiError) -> Response:
    """An error as a whole answer."""
    return Response(error.encoded(), error.status, headers=error.headers, media_type="application/json")


def _events(bodies: Sequence[Json]) -> bytes:
    return b"".join(b"data: " + orjson.dumps(body) + b"\n\n" for body in bodies)


async def _gone(receive: Receive) -> None:
    """Return once the client has gone away."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _nothing() -> dict[str, str]:
    return {"type": "http.disconnect"}
