"""Splits: a document's side is its own affair."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from params.errors import SourceError
from params.split import SplitParams
from tasks.artifacts.manifest import Manifest
from tasks.context import Run
from tasks.documents.schema import DOCUMENT
from tasks.documents.shards import read_batches, shard_name, shard_writer
from tasks.split import SPLITS, sides_of, split

Seal = Callable[..., Manifest]
PARAMS = SplitParams(validation=0.1, test=0.2)
SHARES = st.floats(0, 0.5, exclude_min=True, exclude_max=True)


def sealed(seal: Seal, *shards: range) -> Manifest:
    """Unique documents, one shard per range of numbers."""

    def fill(out: Path) -> None:
        for index, numbers in enumerate(shards):
            ids = [xxhash.xxh3_128_hexdigest(str(n).encode()) for n in numbers]
            texts = [f"text {n}" for n in numbers]
            columns = [ids, ["s"] * len(ids), ["p"] * len(ids), list(numbers), texts, *[[None] * len(ids)] * 2]
            arrays = [pa.array(column, kind) for column, kind in zip(columns, DOCUMENT.types, strict=True)]
            with shard_writer(out / "kept" / shard_name(index), DOCUMENT) as writer:
                writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=DOCUMENT))

    return seal(f"dedup-{shards}", fill)


def rows(folder: Path) -> list[dict[str, object]]:
    return [row for path in sorted(folder.glob("*.arrow")) for batch in read_batches(path) for row in batch.to_pylist()]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def side_of(doc_id: str, params: SplitParams) -> str:
    return SPLITS[sides_of([doc_id.encode()], params)[0]]


def numbers(folder: Path) -> dict[str, set[object]]:
    return {side: {row["position"] for row in rows(folder / side)} for side in SPLITS}


def test_every_document_goes_to_exactly_one_side_in_its_order(tmp_path: Path, run: Run, seal: Seal):
    metrics = split.work(PARAMS, sealed(seal, range(100), range(100, 250)), out=tmp_path / "out", run=run)
    found = [row["position"] for side in SPLITS for row in rows(tmp_path / "out" / side)]
    assert sorted(found) == list(range(250))  # type: ignore[type-var]
    counts = metrics.counts
    assert (counts["docs_in"], counts["docs_kept"], counts["docs_rejected"]) == (250, 250, 0)
    assert [counts[f"{side}_docs"] for side in SPLITS] == [len(rows(tmp_path / "out" / side)) for side in SPLITS]
    train = [row["position"] for row in rows(tmp_path / "out" / "train")]
    assert train == sorted(train)  # type: ignore[type-var]
    assert rows(tmp_path / "out" / "train")[0]["text"] == f"text {train[0]}"


def test_shards_keep_their_names_and_one_without_rows_is_not_written(tmp_path: Path, run: Run, seal: Seal):
    split.work(PARAMS, sealed(seal, range(1), range(1, 200)), out=tmp_path / "out", run=run)
    written = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.arrow")}
    lone = side_of(xxhash.xxh3_128_hexdigest(b"0"), PARAMS)
    assert written == {f"{lone}/000000.arrow", "train/000001.arrow", "validation/000001.arrow", "test/000001.arrow"}


def test_no_document_changes_side_when_others_come_or_go(tmp_path: Path, run: Run, seal: Seal):
    split.work(PARAMS, sealed(seal, range(100), range(100, 300)), out=tmp_path / "more", run=run)
    split.work(PARAMS, sealed(seal, range(50, 170)), out=tmp_path / "fewer", run=run)
    more, fewer = numbers(tmp_path / "more"), numbers(tmp_path / "fewer")
    assert all(fewer[side] == {n for n in more[side] if 50 <= n < 170} for side in SPLITS)  # type: ignore[operator]


@given(st.text(), st.floats(0.01, 0.4), st.floats(0.01, 0.4), st.floats(1.0, 1.2))
def test_a_larger_share_takes_documents_from_training_only(doc_id: str, validation: float, test: float, growth: float):
    before = side_of(doc_id, SplitParams(validation=validation, test=test))
    after = side_of(doc_id, SplitParams(validation=validation * growth, test=test * growth))
    assert after == before or before == "train"


def test_shares_are_kept_within_four_standard_deviations():
    sides = [side_of(str(n), PARAMS) for n in range(20_000)]
    # binomial: sd = sqrt(20000 * .1 * .9) = 42.4 and sqrt(20000 * .2 * .8) = 56.6
    assert abs(sides.count("validation") - 2_000) < 170
    assert abs(sides.count("test") - 4_000) < 227


def test_another_salt_draws_other_documents():
    salted = SplitParams(validation=0.1, test=0.2, salt="other")
    ids = [str(n) for n in range(1000)]
    assert [side_of(i, PARAMS) for i in ids] != [side_of(i, salted) for i in ids]


def test_workers_and_an_interrupted_attempt_do_not_change_the_bytes(tmp_path: Path, run: Run, seal: Seal):
    unique = sealed(seal, *(range(start, start + 50) for start in range(0, 400, 50)))
    for workers in (1, 4):
        run.settings = run.settings.model_copy(update={"workers": workers})
        split.work(PARAMS, unique, out=tmp_path / f"out{workers}", run=run)
    whole = contents(tmp_path / "out1")
    assert contents(tmp_path / "out4") == whole
    for name in list(whole)[::2]:
        (tmp_path / "out4" / name).rename(tmp_path / "out4" / f"{name}.tmp")
    split.work(PARAMS, unique, out=tmp_path / "out4", run=run)
    assert contents(tmp_path / "out4") == whole


@pytest.mark.parametrize("num_docs", [0, 1, 2])
def test_fewer_documents_than_sides_are_refused(tmp_path: Path, run: Run, seal: Seal, num_docs: int):
    with pytest.raises(SourceError, match=f"{num_docs} documents are too few.*add text"):
        split.work(PARAMS, sealed(seal, range(num_docs)), out=tmp_path / "out", run=run)


def test_an_empty_side_is_refused_with_its_share_and_a_remedy(tmp_path: Path, run: Run, seal: Seal):
    params = SplitParams(validation=0.0001, test=0.5)
    with pytest.raises(
        SourceError, match=r"none of 100 documents fell to validation.*0\.0001.*--set split\.validation=0\.2"
    ):
        split.work(params, sealed(seal, range(100)), out=tmp_path / "out", run=run)


def test_workers_do_not_change_the_bytes(tmp_path: Path, run: Run, seal: Seal):
    documents = sealed(seal, range(40), range(40, 100), range(100, 101), range(101, 160))
    made = []
    for workers in (1, 4):
        run.settings = run.settings.model_copy(update={"workers": workers})
        split.work(PARAMS, documents, out=tmp_path / str(workers), run=run)
        made.append(contents(tmp_path / str(workers)))
    assert made[0] == made[1]


@given(st.text(), st.text(), SHARES, SHARES)
def test_the_share_of_a_hash_decides_to_the_last_bit(doc_id: str, salt: str, validation: float, test: float):
    value = xxhash.xxh3_64_intdigest(f"{salt}\0{doc_id}".encode())
    is_validation, is_test = value < validation * 2**64, value >= (1 - test) * 2**64
    expected = "validation" if is_validation else "test" if is_test else "train"
    assert side_of(doc_id, SplitParams(salt=salt, validation=validation, test=test)) == expected
