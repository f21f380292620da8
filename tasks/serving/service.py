"""The model that is being served, and its exchange for a newer one while requests go on."""

import asyncio
import logging
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from params.errors import GristmillError
from params.serve import ServeParams
from tasks.serving.api_error import ApiError, overloaded
from tasks.serving.batch import Emission, Text
from tasks.serving.engine import BrokenEngineError, QueueFullError
from tasks.serving.generation import Generation, Inbox
from tasks.serving.jobs import Ask
from tasks.serving.loaded import AnyLoaded, Loaded, LoadedClassifier, load_model
from tasks.serving.metrics import ServerMetrics

log = logging.getLogger(__name__)


class Source(Protocol):
    """Where models come from: a folder, or a registry whose alias may move."""

    def version(self) -> str:
        """Which version is to be served now. Raises GristmillError if that cannot be told."""

    def fetch(self, version: str) -> Path:
        """The bundle of a version, on disk. Raises GristmillError."""


@dataclass(frozen=True)
class FolderSource:
    """A folder, which stays what it is."""

    folder: Path

    def version(self) -> str:
        """Nothing to tell apart."""
        return ""

    def fetch(self, version: str) -> Path:
        """The folder."""
        return self.folder


class Lease:
    """A model with the number of requests that use it."""

    def __init__(self, loaded: AnyLoaded) -> None:
        self.loaded = loaded
        self.num_users = 0
        self.is_free = asyncio.Event()
        self.is_free.set()

    @contextmanager
    def held(self) -> Iterator[AnyLoaded]:
        """Keep the model from being closed."""
        self.num_users += 1
        self.is_free.clear()
        try:
            yield self.loaded
        finally:
            self.num_users -= 1
            if not self.num_users:
                self.is_free.set()


class Service:
    """Serves the model of a source to many requests; lives in one event loop."""

    def __init__(self, source: Source, params: ServeParams, metrics: ServerMetrics) -> None:
        self.source, self.params, self.metrics = source, params, metrics
        self.lease: Lease | None = None
        self.is_draining = False
        self.inboxes: dict[Text, tuple[Inbox, int]] = {}
        self.tasks: set[asyncio.Task[None]] = set()

    @property
    def is_ready(self) -> bool:
        """Requests are welcome."""
        return self.lease is not None and not self.is_draining and not self.lease.loaded.is_broken

    @property
    def is_healthy(self) -> bool:
        """Nothing is wrong that only a new process would mend."""
        return self.lease is None or not self.lease.loaded.is_broken

    @property
    def described(self) -> str:
        """The model in words."""
        assert self.lease is not None
        loaded = self.lease.loaded
        return f"{loaded.name}{loaded.version and f' version {loaded.version}'} ({loaded.variant})"

    async def start(self) -> None:
        """Load the model and begin to look for newer ones. Raises GristmillError."""
        version = await asyncio.to_thread(self.source.version)
        self._take(await self._load(version))
        self.metrics.watch(self._engine_figures)
        self._spawn(self._follow())

    async def stop(self) -> None:
        """End the engine; nothing may be under way."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        if self.lease is not None:
            for text in self.inboxes:
                text.cancel()
            await asyncio.to_thread(self.lease.loaded.close)

    @contextmanager
    def any_model(self, name: str | None) -> Iterator[AnyLoaded]:
        """The model that a request names, kept for as long as the request takes. Raises ApiError."""
        if self.is_draining or self.lease is None:
            raise overloaded("the server is shutting down", status=503, code="shutting_down")
        with self.lease.held() as loaded:
            if name and name != loaded.name:
                message = f"the model {name[:100]!r} is not served here; {loaded.name!r} is"
                raise ApiError(404, message, param="model", code="model_not_found")
            yield loaded

    @contextmanager
    def model(self, name: str | None) -> Iterator[Loaded]:
        """The same where the model must write. Raises ApiError, also for a model that cannot."""
        with self.any_model(name) as loaded:
            if not isinstance(loaded, Loaded):
                raise ApiError(
                    400, f"{loaded.name} tells labels and writes no text; POST to /v1/classify", code="writes_no_text"
                )
            yield loaded

    @contextmanager
    def classifier(self, name: str | None) -> Iterator[LoadedClassifier]:
        """The same where the model must tell labels. Raises ApiError, also for a model that cannot."""
        with self.any_model(name) as loaded:
            if not isinstance(loaded, LoadedClassifier):
                raise ApiError(
                    400,
                    f"{loaded.name} writes text and has no labels; POST to /v1/completions",
                    code="tells_no_labels",
                )
            yield loaded

    @contextmanager
    def generation(self, ask: Ask, loaded: Loaded) -> Iterator[Generation]:
        """The texts of a request, handed to the engine and forgotten at the end. Raises ApiError 429."""
        inbox = Inbox()
        try:
            texts = loaded.engine.submit(ask.jobs)
        except QueueFullError:
            raise overloaded(f"{self.params.max_queue} texts wait already; try again soon") from None
        except BrokenEngineError:
            raise ApiError(500, "the model has failed; the server must be started anew", code="engine_broken") from None
        self.inboxes |= {text: (inbox, index) for index, text in enumerate(texts)}
        generation = Generation(ask, loaded.model, texts, inbox)
        try:
            yield generation
        finally:
            generation.close()
            for text in texts:
                del self.inboxes[text]

    async def reload(self) -> bool:
        """Change over to another version if there is one; whether it was done. Raises GristmillError."""
        assert self.lease is not None
        version = await asyncio.to_thread(self.source.version)
        if version == self.lease.loaded.version:
            return False
        old = self.lease
        self._take(await self._load(version))
        log.info("now serving %s", self.described)
        self._spawn(_retire(old))
        return True

    def _take(self, loaded: AnyLoaded) -> None:
        self.lease = Lease(loaded)
        self.metrics.model.clear()
        self.metrics.model.labels(loaded.name, loaded.version, loaded.variant).set(1)

    def _engine_figures(self) -> tuple[int, int]:
        """Texts that wait, and texts under way."""
        assert self.lease is not None
        return self.lease.loaded.texts

    async def _follow(self) -> None:
        """Look for newer versions for ever; what goes wrong is logged once, and the old model stays."""
        told = ""
        while True:
            await asyncio.sleep(self.params.reload_s)
            try:
                if await self.reload():
                    self.metrics.reloads.inc()
                told = ""
            except GristmillError as error:
                if str(error) != told:
                    log.warning("the model stays as it is: %s", error)
                told = str(error)
                self.metrics.reload_failures.inc()

    async def _load(self, version: str) -> AnyLoaded:
        loop = asyncio.get_running_loop()

        def deliver(emitted: Sequence[tuple[Text, Emission]]) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._dispatch, emitted)

        def load() -> AnyLoaded:
            return load_model(self.source.fetch(version), self.params, version=version, deliver=deliver)

        return await asyncio.to_thread(load)

    def _dispatch(self, emitted: Sequence[tuple[Text, Emission]]) -> None:
        self.metrics.steps.inc()
        for text, emission in emitted:
            if (found := self.inboxes.get(text)) is not None:
                inbox, index = found
                inbox.put(index, emission)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


async def _retire(lease: Lease) -> None:
    """Close a model once the last request has let go of it."""
    await lease.is_free.wait()
    await asyncio.to_thread(lease.loaded.close)
