"""A small bundle with a chat template, and real servers of it on loopback."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ message.role }}: {{ message.content }}<|pad|>\n{% endfor %}"
    "{% if add_generation_prompt %}To install the{% endif %}"
)
"""Ends a turn with <|pad|>, a control token that the small tokenizer has, and begins answers with what it knows."""
RUN = """
import json, logging, sys
from pathlib import Path
from params.serve import ServeParams
from tasks.serving.api_keys import read_keys
from tasks.serving.server import serve
from tasks.serving.service import FolderSource
logging.basicConfig(level=logging.INFO)
source, params = FolderSource(Path(sys.argv[1])), ServeParams(**json.loads(sys.argv[2]))
serve(source, params, read_keys(None), say=lambda line: print(line, flush=True))
"""


@dataclass(frozen=True)
class Server:
    """A server under way."""

    url: str
    process: subprocess.Popen[str]

    def client(self, **settings: object) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=1800, **settings)

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        with self.client() as client:
            lines = client.get("/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if re.match(rf"{name}(\{{| )", line))


@contextmanager
def started(code: str, *arguments: str, env: Mapping[str, str]) -> Iterator[Server]:
    """A server in a process of its own, told to end at the end; its errors are an AssertionError."""
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**env, "OMP_NUM_THREADS": "1"},
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if (found := re.search(r"http://\S+", line)) is None:
            raise AssertionError(process.communicate()[1])
        try:
            yield Server(found[0].replace("0.0.0.0", "127.0.0.1"), process)
        finally:
            process.terminate()
            process.communicate(timeout=1800)


def serving(folder: Path, *, keys: str = "", **params: object) -> AbstractContextManager[Server]:
    """A server of a folder."""
    environment = os.environ | {"GRISTMILL_API_KEYS": keys}
    return started(RUN, str(folder), json.dumps({"port": 0} | params), env=environment)


@pytest.fixture(scope="session")
def bundle(workshop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the qwen3 graph with a chat template."""
    from tasks.registry.bundle import write_sums

    folder = tmp_path_factory.mktemp("served") / "small model"
    shutil.copytree(workshop.graph("qwen3").folder / "fp32", folder / "onnx" / "fp32")
    (folder / "onnx" / "fp32" / "chat_template.jinja").write_text(TEMPLATE)
    (folder / "bundle.json").write_text('{"served": "fp32", "name": "small"}')
    write_sums(folder)
    return folder


@pytest.fixture(scope="session")
def server(bundle: Path) -> Iterator[Server]:
    """One server for all tests that leave it as it is."""
    with serving(bundle, max_queue=64) as under_way:
        yield under_way


@pytest.fixture(scope="session")
def labels(labelled, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of a classifier."""
    folder = tmp_path_factory.mktemp("labels") / "fp32"
    shutil.copytree(labelled.graph().folder / "fp32", folder)
    with serving(folder) as under_way:
        yield under_way


@pytest.fixture
def serve() -> Callable[..., AbstractContextManager[Server]]:
    """`with serve(folder, **params) as server`: a server of one's own."""
    return serving


@pytest.fixture
def start() -> Callable[..., AbstractContextManager[Server]]:
    """`with start(code, *arguments, env=…) as server`: a server by a program of one's own."""
    return started
