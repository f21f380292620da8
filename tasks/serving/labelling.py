"""A classifier that answers over HTTP: its files checked, its graph in a thread of its own, its queue bounded."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from tasks.serving.api_error import ApiError, overloaded
from tasks.serving.classifier import OnnxClassifier, TextError


class ClassifyRequest(BaseModel):
    """POST /v1/classify."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    model: str | None = None
    input: str | Annotated[list[str], Field(min_length=1)]
    truncate: bool = False
    """Read what fits of a longer text; without it such a text is an error."""

    @property
    def texts(self) -> list[str]:
        """Each text."""
        return [self.input] if isinstance(self.input, str) else self.input


class Labeller:
    """Labels the texts of many requests, one request after the other; used from one event loop."""

    def __init__(self, model: OnnxClassifier, *, max_queue: int) -> None:
        self.model, self.max_queue = model, max_queue
        self.num_waiting = 0
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="labeller")

    async def label(self, request: ClassifyRequest) -> tuple[list[dict[str, Any]], int]:
        """The answer to each text, and how many tokens they had. Raises ApiError 400 and 429."""
        texts = request.texts
        if self.num_waiting and self.num_waiting + len(texts) > self.max_queue:
            raise overloaded(f"{self.num_waiting} texts wait already; try again soon")
        self.num_waiting += len(texts)
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self.thread, self._label, texts, request.truncate)
        finally:
            self.num_waiting -= len(texts)

    def _label(self, texts: Sequence[str], truncate: bool) -> tuple[list[dict[str, Any]], int]:
        rows = []
        for place, text in enumerate(texts):
            try:
                rows.append(self.model.encode(text, truncate=truncate))
            except TextError as error:
                where = "input" if len(texts) == 1 else f"input.{place}"
                code = "context_length_exceeded" if text else None
                raise ApiError(400, f"{where}: {error}", param=where, code=code) from None
        return [self.model.told(found) for found in self.model.probabilities(rows)], sum(map(len, rows))

    def close(self) -> None:
        """End the thread once nothing is under way, and wait for it."""
        self.thread.shutdown()
