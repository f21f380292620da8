"""Data stages killed with SIGKILL at a random instant of their work: the same again, nothing lost, the same bytes.

The killed stage runs in a process of its own, which is this file; shard has its own test of this kind.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from params.clean import CleanParams
from params.dedup import DedupParams
from params.ingest import IngestParams
from params.run import RunParams
from params.survey import SourceParams, SurveyParams
from tasks.artifacts.manifest import Manifest, Timing
from tasks.artifacts.record import RunRecord
from tasks.artifacts.store import Store
from tasks.clean import clean
from tasks.context import Run
from tasks.dedup import dedup
from tasks.ingest import ingest
from tasks.survey import survey

SEED = 2026
CHAIN: tuple[tuple[Any, Any], ...] = (
    (survey, SurveyParams(sources=(SourceParams(name="raw", path="x"),))),
    (ingest, IngestParams(shard_mb=0.004)),
    (clean, CleanParams(repetition=None)),
    (dedup, DedupParams(index="news")),
)
NAMES = [stage.name for stage, _ in CHAIN]
SENTENCE = "In the village of {} the miller grinds {} corn for the {} farmers, and the baker makes bread of it."


def make(last: str, corpus: Path, store: Store) -> Manifest:
    """The result of a stage; what is sealed already is taken as it is."""
    run = Run(store, RunParams(workers=2), RunRecord.begin("test", {}))
    run.roots["raw"] = corpus
    inputs: tuple[Manifest, ...] = ()
    for stage, params in CHAIN[: NAMES.index(last) + 1]:
        recipe = stage.recipe(params, inputs, run)
        found = store.find(stage.name, recipe.fingerprint)
        if found is None:
            with store.lock(recipe):
                draft = store.draft(recipe, {})
                metrics = stage.work(params, *inputs, out=draft, run=run)
                found = store.seal(recipe, draft, metrics, timing=Timing(), made_by={}, volatile=stage.volatile)
        inputs = (found,)
    return inputs[0]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve files of which four repeat others, one that is too short to keep, and one that is broken."""
    folder, drawn = tmp_path_factory.mktemp("raw"), random.Random(SEED)
    words = ["".join(drawn.choices("abcdefghiklmnoprstuw", k=6)) for _ in range(500)]
    texts = [" ".join(SENTENCE.format(*drawn.sample(words, 3)) for _ in range(6)) for _ in range(8)]
    for number in range(12):
        (folder / f"{number:02d}.txt").write_text(texts[number % 8])
    (folder / "short.txt").write_text("x")
    (folder / "broken.jsonl").write_text('{"text": "half a li')
    return folder


@pytest.fixture(scope="module")
def undisturbed(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("undisturbed"))
    make(NAMES[-1], corpus, store)
    return store


@pytest.mark.parametrize("name", NAMES[1:])
def test_a_stage_killed_in_its_work_loses_nothing_and_ends_in_the_same_bytes(
    name: str, corpus: Path, undisturbed: Store, tmp_path: Path
):
    whole = make(name, corpus, undisturbed)
    store = Store(tmp_path / "store")
    for before in NAMES[: NAMES.index(name)]:
        shutil.copytree(undisturbed.root / before, store.root / before)
    written = random.Random(f"{SEED} {name}").randint(1, len(whole.files))
    command = [sys.executable, "-P", __file__, name, str(corpus), str(store.root), str(written)]
    killed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert store.find(name, whole.fingerprint) is None
    assert [path.name for path in store.drafts()] == [f"{whole.fingerprint}.partial"]
    again = make(name, corpus, store)
    assert (again.fingerprint, again.digest) == (whole.fingerprint, whole.digest)
    assert again.metrics.counts == whole.metrics.counts
    assert whole.metrics.counts["docs_kept"] > 0
    assert whole.metrics.counts["docs_rejected"] > 0


def _be_killed_at(number: int, draft: str) -> None:
    """End this process as the `number`-th file of a draft gets its name."""
    seen = 0

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        if event == "os.rename" and draft in str(arguments[1]) and not str(arguments[1]).endswith("draft.json"):
            seen += 1
            if seen == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


if __name__ == "__main__":
    _, stage_name, raw, root, files = sys.argv
    _be_killed_at(int(files), f"/{stage_name}/")
    make(stage_name, Path(raw), Store(Path(root)))
