"""The stage dedup with an index: day by day, again, killed between seal and pointer, two at a time."""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from params.dedup import DedupParams
from params.errors import ParameterError, StoreError
from params.run import RunParams
from tasks.artifacts.explain import reasons_to_run
from tasks.artifacts.manifest import Manifest, Timing, recipe_of
from tasks.artifacts.record import RunRecord
from tasks.artifacts.store import Store
from tasks.context import Run
from tasks.dedup import dedup, extend_index
from tasks.documents.schema import DOCUMENT
from tasks.documents.shards import read_batches, shard_name, shard_writer
from tasks.duplicates.chain import drop_chain, read_chain, results_in_use
from tasks.duplicates.overview import overviews
from tasks.duplicates.segment_files import INDEX_FOLDER, SEGMENTS_NAME

PARAMS = DedupParams(index="news")
WORDS = [f"word{number}" for number in range(60)]


class Days:
    """A store to which batches of texts are added, one file a day."""

    def __init__(self, folder: Path) -> None:
        self.run = Run(Store(folder / "store"), RunParams(workers=2), RunRecord.begin("test", {}))
        self.count = 0

    def cleaned(self, *files: dict[str, list[str]]) -> Manifest:
        """A sealed result of clean with one shard for each of {path: texts}."""
        self.count += 1
        recipe = recipe_of("clean", self.count, PARAMS, {})
        with self.run.store.lock(recipe):
            draft = self.run.store.draft(recipe, {})
            for number, texts in enumerate(files):
                rows = [row(path, at, text) for path, of in texts.items() for at, text in enumerate(of, 1)]
                with shard_writer(draft / "kept" / shard_name(number), DOCUMENT) as writer:
                    writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=DOCUMENT))
            return self.run.store.seal(recipe, draft, Manifest.pending("x").metrics, timing=Timing(), made_by={})

    def made(self, cleaned: Manifest, params: DedupParams = PARAMS) -> Manifest:
        """The sealed result of dedup, the index left as it is."""
        recipe = dedup.recipe(params, (cleaned,), self.run)
        if found := self.run.store.find("dedup", recipe.fingerprint):
            return found
        with self.run.store.lock(recipe):
            draft = self.run.store.draft(recipe, {})
            metrics = dedup.work(params, cleaned, out=draft, run=self.run)
            self.run.store.release()  # as at the end of a run
            return self.run.store.seal(recipe, draft, metrics, timing=Timing(), made_by={})

    def add(self, cleaned: Manifest, params: DedupParams = PARAMS) -> Manifest:
        made = self.made(cleaned, params)
        extend_index(params, cleaned, made, run=self.run)
        return made


@pytest.fixture
def days(tmp_path: Path) -> Days:
    return Days(tmp_path)


def row(path: str, position: int, text: str) -> dict[str, object]:
    digest = xxhash.xxh3_128_hexdigest(text.encode())
    place = {"source": "news", "path": path, "position": position}
    return {"id": digest, **place, "text": text, "metadata": None, "language": None}


def rows(result: Manifest, side: str) -> list[dict[str, object]]:
    return [
        row for shard in result.paths(f"{side}/*.arrow") for batch in read_batches(shard) for row in batch.to_pylist()
    ]


def places(result: Manifest, side: str = "kept") -> list[str]:
    return [f"{row['path']}:{row['position']}" for row in rows(result, side)]


def judged(*results: Manifest) -> list[tuple[str, object, object, str]]:
    """Place, rule, value and survivor of everything that left."""
    left = [row for result in results for row in rows(result, "rejected")]
    return sorted((f"{r['path']}:{r['position']}", r["rule"], r["value"], str(r["detail"])) for r in left)


def variant(*changes: int) -> str:
    """A text, some of its words replaced."""
    return " ".join(f"new{number}" if number in changes else word for number, word in enumerate(WORDS))


def test_tomorrow_is_checked_against_all_that_was_ever_kept(days):
    days.add(days.cleaned({"mon": [variant(), "床前明月光，疑是地上霜。"]}))
    days.add(days.cleaned({"tue": [variant(30), "something new"]}))
    result = days.add(
        days.cleaned({"wed": ["床前明月光，疑是地上霜。", variant(29, 30), "newer still", "Newer, still!"]})
    )
    assert places(result) == ["wed:3"]
    poem, text, newer = judged(result)
    first = xxhash.xxh3_128_hexdigest("床前明月光，疑是地上霜。".encode())
    assert poem == ("wed:1", "exact_duplicate", 1.0, f"{first} news/mon:2")
    assert (text[1], text[3].split(" ")[1]) == ("near_duplicate", "news/mon:1")
    assert newer[3].endswith("news/wed:3")
    counts = result.metrics.counts
    assert (counts["known_duplicates"], counts["exact_duplicates"], counts["near_duplicates"]) == (2, 1, 2)
    report = json.loads((result.folder / "clusters.json").read_text(encoding="utf-8"))
    assert {cluster["survivor"].split(" ")[1] for cluster in report["largest"]} == {
        "news/mon:1",
        "news/mon:2",
        "news/wed:3",
    }


CHOICES = st.sampled_from(
    [variant(), variant(5), variant(5, 35), variant(5, 20, 35), "short", "Short!", "", "月光", "x"]
)


@settings(deadline=None, max_examples=10)
@given(st.lists(st.lists(CHOICES, max_size=4), min_size=1, max_size=4))
def test_rebuilding_in_one_go_leaves_what_adding_day_by_day_left(tmp_path_factory, batches):
    apart, at_once = (Days(tmp_path_factory.mktemp("days")) for _ in range(2))
    files = [{f"day{number}": texts} for number, texts in enumerate(batches)]
    results = [apart.add(apart.cleaned(file)) for file in files]
    whole = at_once.add(at_once.cleaned(*files[::-1]))
    assert sorted(place for result in results for place in places(result)) == sorted(places(whole))
    assert judged(*results) == judged(whole)


def test_the_stage_itself_adds_to_the_index_so_that_a_run_may_end_with_it(days):
    monday = days.cleaned({"mon": [variant()]})
    for _ in range(2):  # what its Prefect task does: made, then reused
        dedup._run(PARAMS, monday, run=days.run)
        assert len(read_chain(days.run.store.root, PARAMS).links) == 1


def test_a_batch_asked_for_again_is_reused_and_adds_nothing(days):
    monday = days.cleaned({"mon": [variant()]})
    first = days.add(monday)
    days.add(days.cleaned({"tue": ["other"]}))
    again = days.add(monday)
    assert again.fingerprint == first.fingerprint
    assert places(again) == ["mon:1"]
    assert len(read_chain(days.run.store.root, PARAMS).links) == 2


def test_a_removed_result_of_an_older_batch_is_made_again_as_it_was(days):
    days.add(days.cleaned({"mon": [variant()]}))
    tuesday = days.cleaned({"tue": [variant(30), "other"]})
    first = days.add(tuesday)
    days.add(days.cleaned({"wed": ["more", "yet more"]}))
    shutil.rmtree(first.folder)
    again = days.add(tuesday)
    assert (again.fingerprint, again.digest) == (first.fingerprint, first.digest)


def test_a_run_killed_between_the_seal_and_the_pointer_is_finished_by_the_next(days):
    monday = days.cleaned({"mon": [variant()]})
    sealed = days.made(monday)
    assert not (days.run.store.root / "indexes" / "news.json").exists()
    assert days.add(monday).fingerprint == sealed.fingerprint
    assert places(days.add(days.cleaned({"tue": [variant(30)]}))) == []


def test_a_segment_half_written_by_a_killed_run_is_written_anew(tmp_path):
    digests = []
    for name in ("whole", "broken"):
        days = Days(tmp_path / name)
        days.add(days.cleaned({"mon": [variant(), "other"]}))
        tuesday = days.cleaned({"tue": [variant(30), "more", "yet more"]})
        if name == "broken":
            recipe = dedup.recipe(PARAMS, (tuesday,), days.run)
            half = days.run.store.draft(recipe, {}) / INDEX_FOLDER
            half.mkdir()
            for file in ("digests.npy", "names.txt.tmp", "minima.npy"):
                (half / file).write_bytes(b"half an array")
        digests.append(days.add(tuesday).digest)
        assert places(days.add(days.cleaned({"wed": [variant(), "more"]}))) == []
    assert digests[0] == digests[1]


def test_of_two_runs_at_a_time_the_later_is_told_to_start_again(days):
    monday, tuesday = days.cleaned({"mon": [variant()]}), days.cleaned({"tue": [variant(30)]})
    late = days.made(tuesday)
    days.add(monday)
    with pytest.raises(StoreError, match="another run added to index 'news'"):
        extend_index(PARAMS, tuesday, late, run=days.run)
    assert places(days.add(tuesday)) == []


def test_what_the_recipe_says_is_what_the_documents_are_compared_with(days):
    monday, tuesday = days.cleaned({"mon": [variant()]}), days.cleaned({"tue": [variant(30)]})
    recipe = dedup.recipe(PARAMS, (tuesday,), days.run)
    other = Days(days.run.store.root.parent)
    other.count = 10
    other.add(monday)
    with days.run.store.lock(recipe):
        draft = days.run.store.draft(recipe, {})
        metrics = dedup.work(PARAMS, tuesday, out=draft, run=days.run)
    assert recipe.params["index"] == "empty"
    assert metrics.counts["docs_kept"] == 1


def test_the_reason_to_run_is_that_the_index_changed(days):
    monday = days.cleaned({"mon": [variant()]})
    first = days.add(monday)
    days.run.record.with_stage(first, reused=False, wall_s=1).save(days.run.store.root)
    recipe = dedup.recipe(PARAMS, (days.cleaned({"tue": ["other"]}),), days.run)
    reasons = reasons_to_run(recipe, days.run.store, "test")
    assert f"index: empty -> 1 batch, {first.digest}" in reasons
    assert len(reasons) == 2  # the input is the other


def test_an_index_does_not_change_how_signatures_are_made(days):
    days.add(days.cleaned({"mon": [variant()]}))
    with pytest.raises(ParameterError, match=r"dedup.index 'news' .*: dedup.signature is 14x8 and not 20x5"):
        days.add(days.cleaned({"tue": ["other"]}), DedupParams(index="news", signature="14x8"))


def test_an_index_with_signatures_of_another_version_is_refused_and_one_of_digests_alone_is_not(days):
    days.add(days.cleaned({"mon": [variant()]}))
    pointer = days.run.store.root / "indexes" / "news.json"
    chain = json.loads(pointer.read_text())
    pointer.write_text(json.dumps({key: value for key, value in chain.items() if key != "hashing"}))
    with pytest.raises(ParameterError, match=r"another version of Gristmill.*name a new index"):
        days.add(days.cleaned({"tue": [variant()]}))
    pointer.write_text(json.dumps({**chain, "terms": {**chain["terms"], "near": False}, "hashing": 1}))
    assert read_chain(days.run.store.root, PARAMS.model_copy(update={"near": False})).links


def test_a_batch_that_the_index_holds_is_not_judged_by_another_rule(days):
    monday = days.cleaned({"mon": [variant()]})
    days.add(monday)
    with pytest.raises(ParameterError, match="holds these documents already"):
        days.add(monday, DedupParams(index="news", survivor="longest"))


def test_indexes_are_apart(days):
    days.add(days.cleaned({"mon": [variant()]}))
    assert places(days.add(days.cleaned({"tue": [variant()]}), DedupParams(index="books"))) == ["tue:1"]


def test_an_index_whose_segment_is_gone_says_what_to_do(days):
    first = days.add(days.cleaned({"mon": [variant()]}))
    shutil.rmtree(first.folder)
    with pytest.raises(StoreError, match="run the batch that made it once more"):
        days.add(days.cleaned({"tue": ["other"]}))


def test_a_damaged_pointer_says_what_to_do(days):
    days.add(days.cleaned({"mon": [variant()]}))
    (days.run.store.root / "indexes" / "news.json").write_text("{")
    with pytest.raises(StoreError, match="not an index"):
        days.add(days.cleaned({"tue": ["other"]}))


def test_an_index_stands_on_few_results_and_says_which(days):
    results = [days.add(days.cleaned({f"day{number:02}": [f"text {number}"]})) for number in range(8)]
    used = results_in_use(days.run.store.root)
    assert results[-1].fingerprint in used
    assert len(used) <= 4
    segments = json.loads((results[-1].folder / INDEX_FOLDER / SEGMENTS_NAME).read_text())
    assert segments[-1] is None
    assert {*segments[:-1], results[-1].fingerprint} == used
    for result in results:
        if result.fingerprint not in used:
            shutil.rmtree(result.folder)
    assert places(days.add(days.cleaned({"tue": ["text 0", "text 5", "text 9"]}))) == ["tue:3"]


def test_the_overview_tells_batches_texts_and_where_an_index_lies(days):
    results = [days.add(days.cleaned({f"day{n}": [f"text {n}", f"text {n - 1}", ""]})) for n in range(1, 6)]
    days.add(days.cleaned({"mon": []}), DedupParams(index="books"))
    books, news = overviews(days.run.store.root)
    assert (books.name, len(books.batches), books.num_texts, books.gone) == ("books", 1, 0, ())
    assert (news.name, news.batches) == ("news", tuple(result.fingerprint for result in results))
    assert news.num_texts == 6  # "text 0" to "text 5"; the empty ones are remembered by none
    assert {*news.segments, *books.segments} == results_in_use(days.run.store.root)
    folders = [days.run.store.folder("dedup", segment) / INDEX_FOLDER for segment in news.segments]
    assert news.size_bytes == sum(path.stat().st_size for folder in folders for path in folder.iterdir())
    shutil.rmtree(days.run.store.folder("dedup", news.segments[0]))
    assert overviews(days.run.store.root)[1].gone == news.segments[:1]


def test_a_dropped_index_knows_nothing(days):
    days.add(days.cleaned({"mon": ["one"]}))
    drop_chain(days.run.store.root, "news")
    assert overviews(days.run.store.root) == []
    assert places(days.add(days.cleaned({"tue": ["one"]}))) == ["tue:1"]


def test_exact_duplicates_alone_can_be_indexed(days):
    params = DedupParams(index="exact", near=False)
    days.add(days.cleaned({"mon": ["one two", "three"]}), params)
    assert places(days.add(days.cleaned({"tue": ["One two", "three"]}), params)) == ["tue:1"]


def test_an_empty_batch_is_a_batch(days):
    days.add(days.cleaned({"mon": []}))
    assert places(days.add(days.cleaned({"tue": ["one"]}))) == ["tue:1"]
