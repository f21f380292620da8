"""Text that arrives day by day: the same survivors as in one go, and only what is new is read."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flows.servers import read_address
from params.load import load_params
from params.pipeline import PipelineParams
from params.run import RunParams
from tasks.artifacts.record import RunRecord
from tasks.artifacts.store import Store
from tasks.context import Run, roots_of
from tasks.documents.shards import read_batches

SENTENCE = "The {n} of the {m} house is a thing that we have seen, and it is by no means the last of them in town. "


def text(number: int) -> str:
    """A document that resembles no other one."""
    words = [f"word{number}x{index}" for index in range(40)]
    return SENTENCE.format(n=number, m=number + 1) + " ".join(f"{word} and the" for word in words) + "."


@pytest.fixture
def absorb(shell, tmp_path: Path) -> Iterator[Callable[..., tuple[list[str], RunRecord, int]]]:
    """Absorb a folder into a store; the paths of the surviving documents, the run's record, the batches."""
    from prefect import flow
    from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    from flows.arrivals import absorb as absorb_into

    def call(folder: Path, store: str = "store") -> tuple[list[str], RunRecord, int]:
        p = _params(folder)
        run = Run(Store(tmp_path / store), RunParams(workers=2), RunRecord.begin("test", {}), roots=roots_of(p))
        run.is_addition = True
        arrived = flow(persist_result=False)(absorb_into)(p, run, seen=())
        shards = [path for made in arrived.unique for path in made.paths("kept/*.arrow")]
        paths = [path for shard in shards for batch in read_batches(shard) for path in batch["path"].to_pylist()]
        run.store.release()
        return sorted(paths), run.record, len(arrived.batches)

    address = read_address(shell.home / "prefect" / "server.json")
    with temporary_settings({PREFECT_API_URL: address.api, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield call


def _params(folder: Path) -> PipelineParams:
    source = {"name": "text", "path": str(folder), "include": ["**/*.txt"]}
    return load_params("tiny", {"survey.sources": [source], "release.model_name": "grown"})


def write(folder: Path, **texts: str) -> None:
    for name, body in texts.items():
        path = folder / f"{name.replace('__', '/')}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(body, encoding="utf-8")


def test_day_by_day_gives_the_survivors_of_one_go(absorb, tmp_path: Path):
    folder = tmp_path / "in"
    write(folder, day1__a=text(1), day1__b=text(2))
    assert absorb(folder)[0] == ["day1/a.txt", "day1/b.txt"]
    write(folder, day2__a=text(3), day2__b=text(1), day2__c=text(2) + " One more word.")
    survivors, _, num_batches = absorb(folder)
    assert survivors == ["day1/a.txt", "day1/b.txt", "day2/a.txt"]
    assert num_batches == 2
    assert absorb(folder, "rebuilt")[0] == survivors


def test_a_look_without_anything_new_reads_nothing(absorb, tmp_path: Path):
    folder = tmp_path / "in"
    write(folder, a=text(1))
    absorb(folder)
    assert set(absorb(folder)[1].stages) == {"survey"}


def test_what_is_not_fit_to_learn_from_is_no_error_and_is_not_read_again(absorb, tmp_path: Path):
    folder = tmp_path / "in"
    write(folder, a=text(1))
    absorb(folder)
    write(folder, b="too short")
    assert absorb(folder)[0] == ["a.txt"]
    assert set(absorb(folder)[1].stages) == {"survey"}


def test_withdrawn_text_leaves_and_what_it_had_displaced_comes_back(absorb, tmp_path: Path):
    folder = tmp_path / "in"
    write(folder, day1__a=text(1), day1__b=text(2))
    absorb(folder)
    write(folder, day2__a=text(1), day2__b=text(3))
    assert absorb(folder)[0] == ["day1/a.txt", "day1/b.txt", "day2/b.txt"]
    (folder / "day1" / "a.txt").unlink()
    survivors, record, _ = absorb(folder)
    assert survivors == ["day1/b.txt", "day2/a.txt", "day2/b.txt"]
    assert survivors == absorb(folder, "rebuilt")[0]
    assert record.stages["ingest"].reused  # of the second day, which has not changed


def test_a_look_that_was_killed_is_finished_with_the_files_it_had_written_down(absorb, tmp_path: Path):
    """Killed after the index took up a batch and before the ledger did: the batch is no duplicate of itself."""
    from tasks.arrivals.ledger import load_ledger, save_ledger

    folder, store = tmp_path / "in", tmp_path / "store"
    write(folder, a=text(1))
    absorb(folder)
    ledger = load_ledger(store, "grown")
    batch = ledger.batches[0].model_copy(update={"done": False, "unique": None})
    save_ledger(store, ledger.with_batch(0, batch))
    write(folder, b=text(2))
    assert absorb(folder)[0] == ["a.txt", "b.txt"]
