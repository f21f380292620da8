"""Fixtures: runs without Prefect or MLflow, sealed inputs, and a small real corpus with its token shards."""

import argparse
import functools
import importlib
import json
import logging
import os
import queue
import random
import re
import socket
import statistics
import string
import subprocess
import textwrap
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, settings

from flows.home import kernel_digest
from params.run import RunParams
from params.shard import ShardParams
from params.train_tokenizer import TrainTokenizerParams
from params.watch import WatchParams
from tasks.artifacts.manifest import Manifest, Metrics, Recipe, Timing
from tasks.artifacts.record import RunRecord
from tasks.artifacts.store import Store
from tasks.context import Run
from tasks.documents.schema import DOCUMENT
from tasks.documents.shards import shard_writer

ROOT = Path(__file__).parents[1]

# Kernels are compiled once for all tests and homes, and again when they change.
KERNELS = ROOT / ".pytest_cache" / "numba" / kernel_digest()
os.environ["NUMBA_CACHE_DIR"] = str(KERNELS)

# Prefect, once a test imports it, writes our log lines to the standard error of that test, closed by the next.
os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"

LONG = (
    "tests/flows/",
    "tests/tasks/test_train.py",
    "tests/tasks/test_train_objectives.py",
    "tests/tasks/test_export.py",
)
"""Whole runs and trainings, a minute or more each."""

# A busy machine is no fault: neither a slow example nor a slow drawing of examples.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

MODULES = (argparse, functools, json, logging, re, statistics, string, subprocess, textwrap, threading)
POEM = "床前明月光，疑是地上霜。举头望明月，低头思故乡。"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A file's tests run in one worker; of two workers, one runs all of flows/, which share a home and a whole run.

    Three or more have each a run of their own: flows/ would take longer than all the rest.
    """
    from xdist.scheduler.loadscope import LoadScopeScheduling

    class ByFileOrHome(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0]
            return "tests/flows" if self.numnodes <= 2 and path.startswith("tests/flows/") else path

    return ByFileOrHome(config, log)


def pytest_configure() -> None:
    """Share out the compiling of kernels: every second worker begins at the other end of them."""
    if (worker := os.environ.get("PYTEST_XDIST_WORKER")) is None:
        return
    paths = sorted(path for path in (ROOT / "tasks").rglob("*.py") if "\n@kernel" in path.read_text("utf-8"))
    for path in paths if int(worker[2:]) % 2 else reversed(paths):
        importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes long comes first where workers share the tests, so that none is left with it at the end."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: next((at for at, path in enumerate(LONG) if path in item.nodeid), len(LONG)))


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Bytes are called by their parameter: packed ones hold the time, and every process must know a test alike."""
    return argname if isinstance(val, bytes) else None


def make_run(root: Path) -> Run:
    """A run of two workers on a store of its own."""
    settings = RunParams(workers=2, threads=1, watch=WatchParams(ceilings=False))
    return Run(Store(root / "store"), settings, RunRecord.begin("test", {}))


def seal_into(
    run: Run,
    stage: str,
    fill: Callable[[Path], object],
    metrics: Metrics | None = None,
    params: dict[str, object] | None = None,
) -> Manifest:
    """Seal what `fill(folder)` writes as a result of a stage; Metrics that it returns are the result's."""
    recipe = Recipe(stage=stage, version=1, params=params or {})
    with run.store.lock(recipe):
        draft = run.store.draft(recipe, {})
        made = fill(draft)
        found = metrics or (made if isinstance(made, Metrics) else Metrics())
        return run.store.seal(recipe, draft, found, timing=Timing(), made_by={}, volatile=("logs/*",))


@pytest.fixture(autouse=True)
def _environment_as_before() -> Iterator[None]:
    """What a command sets in this process for Prefect and MLflow is gone when its test ends."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run on an empty store."""
    return make_run(tmp_path)


@pytest.fixture
def seal(run: Run) -> Callable[..., Manifest]:
    """`seal(stage, fill, metrics=…)`: call fill(folder) to write files, seal them as a result of that stage."""
    return functools.partial(seal_into, run)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose store holds the results that the tests of a module share; they only read them."""
    return make_run(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def seal_in_world(world: Run) -> Callable[..., Manifest]:
    """`seal` into the store that a module shares."""
    return functools.partial(seal_into, world)


@pytest.fixture(scope="module")
def splits(world: Run) -> Manifest:
    """Documents: two training shards and one each of validation and test."""
    texts = [POEM, *(text for module in MODULES for text in docstrings(module))]

    def fill(out: Path) -> None:
        write_documents(out / "train" / "000000.arrow", texts[: len(texts) // 2])
        write_documents(out / "train" / "000001.arrow", texts[len(texts) // 2 : -20])
        write_documents(out / "validation" / "000000.arrow", texts[-20:-10])
        write_documents(out / "test" / "000000.arrow", [POEM, *texts[-10:]])

    return seal_into(world, "split", fill)


@pytest.fixture(scope="module")
def tokenizer(splits: Manifest, world: Run) -> Manifest:
    """A vocabulary of 512 entries."""
    from tasks.train_tokenizer import train_tokenizer

    params = TrainTokenizerParams(vocab_size=512)
    return seal_into(world, "train_tokenizer", lambda out: train_tokenizer.work(params, splits, out=out, run=world))


@pytest.fixture(scope="module")
def shards(tokenizer: Manifest, splits: Manifest, world: Run) -> Manifest:
    """Token shards of context 32."""
    from tasks.shard import shard

    params = ShardParams(context=32, blocks_per_shard=100)
    return seal_into(world, "shard", lambda out: shard.work(params, tokenizer, splits, out=out, run=world))


@pytest.fixture
def free_ports() -> Iterator[int]:
    """Ports that nobody takes until a command is told to: below those that systems hand out, other ones per worker."""
    first = 20_000 + 1_000 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    return filter(_is_free, random.sample(range(first, first + 1_000), 1_000))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@pytest.fixture
def free_port(free_ports: Iterator[int]) -> int:
    """One of them."""
    return next(free_ports)


@dataclass(frozen=True)
class Posted:
    """A request that arrived."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Hook:
    """A webhook: `replies` are given in turn, the last one for ever."""

    url: str = ""
    posted: list[Posted] = field(default_factory=list)
    arrivals: "queue.Queue[Posted]" = field(default_factory=queue.Queue)
    """The same, to wait for."""
    replies: list[tuple[int, bytes]] = field(default_factory=lambda: [(200, b"ok")])
    location: str | None = None
    silent: threading.Event | None = None
    """While it is set and not yet fired, requests wait and get no answer."""


@pytest.fixture
def hook() -> Iterator[Hook]:
    """A webhook at work."""
    made = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            made.posted.append(Posted(self.path, headers, body))
            made.arrivals.put(made.posted[-1])
            if made.silent is not None:
                made.silent.wait()
                return
            status, reply = made.replies.pop(0) if len(made.replies) > 1 else made.replies[0]
            self.send_response(status)
            if made.location is not None:
                self.send_header("Location", made.location)
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, format: str, *args: object) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield made
        if made.silent is not None:
            made.silent.set()
        server.shutdown()
        thread.join()


def docstrings(module: ModuleType) -> list[str]:
    """Docstrings of a module of the standard library and of what it defines: real English prose."""
    defined = [v for v in vars(module).values() if getattr(v, "__module__", "") == module.__name__]
    owners = [module, *defined]
    members = [member for owner in owners if isinstance(owner, type) for member in vars(owner).values()]
    texts = [getattr(owner, "__doc__", None) for owner in [*owners, *members]]
    return [textwrap.dedent(text) for text in texts if isinstance(text, str) and len(text) > 80]


def write_documents(path: Path, texts: list[str]) -> None:
    """A shard of documents with made-up provenance."""
    ids = [f"{index:032x}" for index in range(len(texts))]
    sources = ["poems" if text == POEM else "docs" for text in texts]
    unknown = pa.nulls(len(texts), pa.string())
    columns = [ids, sources, ["x"] * len(texts), [0] * len(texts), pa.array(texts, pa.large_string()), unknown, unknown]
    with shard_writer(path, DOCUMENT) as writer:
        writer.write_batch(pa.record_batch(columns, schema=DOCUMENT))
