"""Indexes of duplicates in status, inspect and gc, on a store made by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from flows.cli import main
from flows.home import Home, locate_home
from flows.indexes import places_in_indexes
from tasks.arrivals.ledger import Batch, Ledger, save_ledger
from tasks.artifacts.manifest import Manifest, Metrics, Recipe, Timing
from tasks.artifacts.store import Store


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("GRISTMILL_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("GRISTMILL_STORE", raising=False)
    for name in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL", "PREFECT_HOME"):
        monkeypatch.delenv(name, raising=False)
    return locate_home()


def segment(home: Home, texts: int, *older: Manifest) -> Manifest:
    """A result of dedup with the segment of an index."""
    store, recipe = Store(home.store), Recipe(stage="dedup", version=1, params={"texts": texts})
    with store.lock(recipe):
        draft = store.draft(recipe, {})
        (draft / "index").mkdir()
        np.save(draft / "index" / "survivors.npy", np.arange(texts))
        names = [*(result.fingerprint for result in older), None]
        (draft / "index" / "segments.json").write_text(json.dumps(names))
        return store.seal(recipe, draft, Metrics(), timing=Timing(), made_by={})


def point(home: Home, name: str, *batches: Manifest) -> None:
    """An index that these results made."""
    (home.store / "indexes").mkdir(exist_ok=True)
    links = [{"documents": "", "params": "", "fingerprint": b.fingerprint, "digest": b.digest} for b in batches]
    text = json.dumps({"name": name, "terms": {}, "links": links})
    (home.store / "indexes" / f"{name}.json").write_text(text)


def left(home: Home) -> set[str]:
    return {result.fingerprint for result in Store(home.store).results()}


def test_status_lists_every_index_with_its_size(home: Home, capsys: pytest.CaptureFixture[str]):
    first, merged, last = segment(home, 40), segment(home, 3), None
    last = segment(home, 5, first)
    point(home, "news", first, merged, last)
    point(home, "mill-generation-1", merged)
    save_ledger(home.store, Ledger(name="mill", terms=""))
    assert main(["status"]) == 1  # no stack is up
    lines = capsys.readouterr().out.splitlines()[-2:]
    assert lines[0] == "index    mill-generation-1: 1 batch, 3 texts, 0.0 MB in 1 result of dedup (retraining of mill)"
    assert lines[1] == "         news: 3 batches, 45 texts, 0.0 MB in 2 results of dedup"
    assert places_in_indexes(home, merged) == [
        "index mill-generation-1: batch 1 of 1, one of those that hold it",
        "index news: batch 2 of 3, merged into a later one",
    ]


def test_gc_drops_the_index_it_is_told_to_with_what_held_it(home: Home, capsys: pytest.CaptureFixture[str]):
    first = segment(home, 40)
    last, other = segment(home, 5, first), segment(home, 6)
    point(home, "news", first, last)
    point(home, "books", other)
    assert main(["gc", "--drop-index", "news", "--dry-run"]) == 0
    assert "would drop index news" in capsys.readouterr().out
    assert len(left(home)) == 3
    assert main(["gc", "--drop-index", "news"]) == 0
    assert "dropped index news" in capsys.readouterr().out
    assert left(home) == {other.fingerprint}
    assert [path.name for path in (home.store / "indexes").glob("*.json")] == ["books.json"]


def test_gc_frees_the_indexes_of_generations_that_retraining_has_left(home: Home):
    old, now = segment(home, 40), segment(home, 39)
    save_ledger(home.store, Ledger(name="my.mill", terms="", generation=2, batches=(Batch(listing="", arrived_at=""),)))
    point(home, "my_mill-generation-1", old)
    point(home, "my_mill-generation-2", now)
    assert main(["gc"]) == 0
    assert left(home) == {now.fingerprint}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["mill-generation-1"], "the retraining of mill compares new text with it"),
        (["nwes"], "no such index; there is mill-generation-1, news"),
        (["news", "--store", "file:///nowhere"], "--drop-index does not go with --store"),
    ],
)
def test_an_index_that_is_needed_or_none_is_not_dropped(
    arguments: list[str], said: str, home: Home, capsys: pytest.CaptureFixture[str]
):
    made = segment(home, 1)
    point(home, "mill-generation-1", made)
    point(home, "news", made)
    save_ledger(home.store, Ledger(name="mill", terms=""))
    assert main(["gc", "--drop-index", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert len(list((home.store / "indexes").glob("*.json"))) == 2
