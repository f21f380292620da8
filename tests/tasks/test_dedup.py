"""The stage dedup: who survives, how surely duplicates are found, and that nothing but document order matters."""

import json
import random
import tempfile
from itertools import combinations, pairwise
from pathlib import Path

import pyarrow as pa
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from params.dedup import DedupParams
from params.run import RunParams
from tasks.artifacts.intermediate import scratch_folder
from tasks.artifacts.manifest import FileRecord, Manifest
from tasks.artifacts.record import RunRecord
from tasks.artifacts.store import Store
from tasks.context import Run
from tasks.dedup import dedup
from tasks.documents.schema import DOCUMENT
from tasks.documents.shards import read_batches, shard_name, shard_writer

POEM = "床前明月光，疑是地上霜。举头望明月，低头思故乡。"
ONE_LINE_SHARED = "小时不识月，呼作白玉盘。举头望明月，又疑瑶台镜。"


def document(number: int, text: str) -> dict[str, object]:
    digest = xxhash.xxh3_128_hexdigest(f"{number} {text}".encode())
    place = {"source": "books", "path": "all.jsonl", "position": number}
    return {"id": digest, **place, "text": text, "metadata": None, "language": None}


def write_shards(folder: Path, *shards: list[str]) -> None:
    number = 0
    for index, texts in enumerate(shards):
        with shard_writer(folder / "kept" / shard_name(index), DOCUMENT) as writer:
            for text in texts:
                number += 1
                writer.write_batch(pa.RecordBatch.from_pylist([document(number, text)], schema=DOCUMENT))


def rows(folder: Path) -> list[dict[str, object]]:
    return [
        row for shard in sorted(folder.glob("*.arrow")) for batch in read_batches(shard) for row in batch.to_pylist()
    ]


def positions(folder: Path) -> list[object]:
    return [row["position"] for row in rows(folder)]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def cleaned(seal):
    """`cleaned([text, …], …)`: a sealed result with one shard per list."""
    return lambda *shards: seal("clean", lambda folder: write_shards(folder, *shards))


def make(documents, out, run, **params):
    out.mkdir(exist_ok=True)
    return dedup.work(DedupParams(**params), documents, out=out, run=run)


def prose(seed: int, num_words: int = 120) -> list[str]:
    draw = random.Random(seed)
    return [f"word{draw.randrange(3000)}" for _ in range(num_words)]


def test_of_equal_texts_the_first_survives_and_the_other_names_it(cleaned, run, tmp_path):
    metrics = make(cleaned([POEM, "x y"], [POEM]), tmp_path / "out", run)
    assert positions(tmp_path / "out" / "kept") == [1, 2]
    (row,) = rows(tmp_path / "out" / "rejected")
    survivor = document(1, POEM)
    reason = {"rule": "exact_duplicate", "value": 1.0, "threshold": 1.0}
    assert row == {**document(3, POEM), **reason, "detail": f"{survivor['id']} books/all.jsonl:1"}
    assert metrics.counts == {
        "docs_in": 3,
        "docs_kept": 2,
        "docs_rejected": 1,
        "exact_duplicates": 1,
        "near_duplicates": 0,
        "known_duplicates": 0,
        "clusters": 1,
        "bytes_kept": len(POEM.encode()) + 3,
    }


def test_a_near_duplicate_is_rejected_with_its_similarity(cleaned, run, tmp_path):
    words = prose(1)
    changed = [*words[:-1], "another"]
    metrics = make(cleaned([" ".join(words)], [" ".join(changed), "something else"]), tmp_path / "out", run)
    (row,) = rows(tmp_path / "out" / "rejected")
    assert (row["position"], row["rule"], row["threshold"]) == (2, "near_duplicate", 0.65)
    assert row["value"] == pytest.approx(115 / 117, abs=0.06)
    assert str(row["detail"]).endswith("books/all.jsonl:1")
    assert (metrics.counts["exact_duplicates"], metrics.counts["near_duplicates"]) == (0, 1)


def test_an_exact_copy_of_a_near_duplicate_names_the_survivor_of_the_whole_cluster(cleaned, run, tmp_path):
    words = prose(1)
    variant = " ".join([*words[:-1], "another"])
    make(cleaned([" ".join(words), variant, variant]), tmp_path / "out", run)
    details = [(row["rule"], str(row["detail"]).rpartition(":")[2]) for row in rows(tmp_path / "out" / "rejected")]
    assert details == [("near_duplicate", "1"), ("exact_duplicate", "1")]


def test_empty_documents_and_those_without_words_are_not_merged(cleaned, run, tmp_path):
    make(cleaned(["", "", "--", "!!", "?"]), tmp_path / "out", run)
    assert positions(tmp_path / "out" / "kept") == [1, 2, 3, 4, 5]


def test_documents_shorter_than_the_shingle_are_compared_whole(cleaned, run, tmp_path):
    make(cleaned(["good day", "good night", "Good day!", "好", "好！", "你好"]), tmp_path / "out", run)
    assert positions(tmp_path / "out" / "kept") == [1, 2, 4, 6]


def test_poems_that_share_a_line_are_different(cleaned, run, tmp_path):
    make(cleaned([POEM, ONE_LINE_SHARED, POEM.replace("，", "\n").replace("。", "\n\n")]), tmp_path / "out", run)
    assert positions(tmp_path / "out" / "kept") == [1, 2]


def test_near_duplicates_can_be_left_alone(cleaned, run, tmp_path):
    texts = ["good day", "Good day!", "good day"]
    metrics = make(cleaned(texts), tmp_path / "out", run, near=False)
    assert positions(tmp_path / "out" / "kept") == [1, 2]
    assert metrics.counts["near_duplicates"] == 0


def test_short_shingles_of_chinese_do_not_wipe_out_a_corpus(cleaned, run, tmp_path):
    draw = random.Random(3)
    letters = [chr(0x4E00 + number) for number in range(300)]
    texts = ["本文由编辑部整理发布。" + "".join(draw.choices(letters, k=200)) for _ in range(100)]
    metrics = make(cleaned(texts), tmp_path / "out", run, shingle_characters=5)
    assert metrics.counts["docs_kept"] == 100


def english_variants() -> list[str]:
    """60 texts, each with 4 variants in which some words are replaced: Jaccard from 0.3 to 1."""
    draw, texts = random.Random(5), []
    for seed in range(60):
        words = prose(seed)
        for changes in (0, 1, 2, 5, 12):
            varied = list(words)
            for at in draw.sample(range(len(words)), changes):
                varied[at] = f"new{draw.randrange(3000)}"
            texts.append(" ".join(varied))
    return texts


def chinese_variants() -> list[str]:
    """60 texts, each with 4 variants in which some characters are replaced."""
    draw, texts = random.Random(6), []
    for _ in range(60):
        letters = [chr(0x4E00 + draw.randrange(2500)) for _ in range(240)]
        for changes in (0, 1, 2, 4, 10):
            varied = list(letters)
            for at in draw.sample(range(len(letters)), changes):
                varied[at] = chr(0x4E00 + draw.randrange(2500))
            texts.append("".join(varied))
    return texts


def exact_jaccard(texts: list[str], tokens, size: int) -> dict[tuple[int, int], float]:
    """Similarity of every pair that shares anything; documents are numbered from 1."""
    sets = [{tuple(parts[at : at + size]) for at in range(len(parts) - size + 1)} for parts in map(tokens, texts)]
    pairs = combinations(range(len(texts)), 2)
    shared = ((one, other, len(sets[one] & sets[other])) for one, other in pairs)
    return {
        (one + 1, other + 1): common / (len(sets[one]) + len(sets[other]) - common)
        for one, other, common in shared
        if common
    }


@pytest.mark.parametrize(
    ("variants", "tokens", "size"), [(english_variants, str.split, 5), (chinese_variants, list, 8)]
)
def test_recall_and_precision_against_exact_jaccard_of_all_pairs(variants, tokens, size, cleaned, run, tmp_path):
    texts = variants()
    jaccard = exact_jaccard(texts, tokens, size)
    make(cleaned(texts[:100], texts[100:]), tmp_path / "out", run)
    survivor = {number: number for number in range(1, len(texts) + 1)}
    survivor |= {
        int(r["position"]): int(str(r["detail"]).rpartition(":")[2]) for r in rows(tmp_path / "out" / "rejected")
    }
    close = [pair for pair, similarity in jaccard.items() if similarity >= 0.8]
    near = [pair for pair, similarity in jaccard.items() if 0.7 <= similarity < 0.8]
    found = [pair for pair in combinations(survivor, 2) if survivor[pair[0]] == survivor[pair[1]]]
    assert len(close) >= 100
    assert len(near) >= 30
    assert sum(survivor[a] == survivor[b] for a, b in close) / len(close) >= 0.99
    assert sum(survivor[a] == survivor[b] for a, b in near) / len(near) >= 0.9
    best = {pair: max(jaccard.get(pair, 0), jaccard.get(pair[::-1], 0)) for pair in found}
    rejected = [number for number in survivor if survivor[number] != number]
    unjust = [n for n in rejected if max(value for pair, value in best.items() if n in pair) < 0.55]
    assert len(unjust) / len(rejected) <= 0.02


def test_every_cluster_has_exactly_one_survivor_and_it_is_the_first(cleaned, run, tmp_path):
    texts = english_variants()
    make(cleaned(texts[:77], texts[77:]), tmp_path / "out", run)
    kept = set(positions(tmp_path / "out" / "kept"))
    rejected = rows(tmp_path / "out" / "rejected")
    assert len(kept) + len(rejected) == len(texts)
    for row in rejected:
        survivor = int(str(row["detail"]).rpartition(":")[2])
        assert survivor in kept
        assert survivor < int(row["position"])
        assert row["value"] >= row["threshold"]


CORPUS = [*english_variants()[:25], POEM, "", *chinese_variants()[:10], "", POEM, "good day", "Good day!"]


def outcome(folder: Path, cuts: list[int], workers: int = 1) -> tuple[list[object], list[object], str]:
    """Everything that dedup decides about the corpus cut into shards there."""
    bounds = [0, *sorted(cuts), len(CORPUS)]
    shards = [CORPUS[start:stop] for start, stop in pairwise(bounds)]
    run = Run(Store(folder / "store"), RunParams(workers=workers), RunRecord.begin("test", {}))
    (folder / "in").mkdir()
    write_shards(folder / "in", *shards)
    make(_manifest(folder / "in"), folder / "out", run)
    report = (folder / "out" / "clusters.json").read_text(encoding="utf-8")
    return rows(folder / "out" / "kept"), rows(folder / "out" / "rejected"), report


def _manifest(folder: Path) -> Manifest:
    files = [FileRecord(path=f"kept/{p.name}", size_bytes=0, sha256="") for p in sorted(folder.glob("kept/*"))]
    empty = {"stage": "clean", "version": 1, "fingerprint": "f", "digest": "d", "params": {}, "inputs": {}}
    return Manifest(**empty, files=tuple(files)).located(folder)


@settings(deadline=None, max_examples=12)
@given(st.lists(st.integers(0, len(CORPUS)), max_size=5))
def test_the_boundaries_of_shards_change_nothing(cuts):
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        assert outcome(Path(one), cuts) == outcome(Path(other), [])


def test_one_worker_and_four_make_the_same_bytes(tmp_path):
    for workers in (1, 4):
        (tmp_path / str(workers)).mkdir()
        outcome(tmp_path / str(workers), [7, 9, 30], workers)
    assert contents(tmp_path / "1" / "out") == contents(tmp_path / "4" / "out")


class Interrupted(Run):
    """A run whose process dies when all shards but the last are separated."""

    def map(self, unit, items, *, name):
        if name != "separate shard":
            return super().map(unit, items, name=name)
        super().map(unit, items[:-1], name=name)
        raise KeyboardInterrupt


def test_an_interrupted_draft_goes_on_to_the_same_bytes(cleaned, run, tmp_path):
    documents = cleaned(CORPUS[:10], CORPUS[10:20], CORPUS[20:])
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    options = {"repeated_passages": {"min_documents": 2}}
    expected = make(documents, whole, run, **options)
    with pytest.raises(KeyboardInterrupt):
        make(documents, broken, Interrupted(run.store, run.settings, run.record), **options)
    (broken / "kept" / f"{shard_name(2)}.tmp").write_bytes(b"half a shard")
    described = scratch_folder(broken) / "000002" / "descriptions"
    described.rename(described.with_suffix(".tmp"))
    untouched = (broken / "kept" / shard_name(1)).stat().st_mtime_ns
    assert make(documents, broken, run, **options) == expected
    assert contents(broken) == contents(whole)
    assert (broken / "kept" / shard_name(1)).stat().st_mtime_ns == untouched


def test_the_report_shows_the_largest_clusters_with_examples(cleaned, run, tmp_path):
    words = prose(1)
    changed = " ".join([*words[:-1], "another"])
    make(cleaned([POEM, " ".join(words), POEM], [POEM, changed, "alone"]), tmp_path / "out", run)
    report = json.loads((tmp_path / "out" / "clusters.json").read_text(encoding="utf-8"))
    assert report["clusters"] == 2
    first, second = report["largest"]
    assert (first["documents"], first["text"]) == (3, POEM)
    assert first["survivor"] == f"{document(1, POEM)['id']} books/all.jsonl:1"
    assert [member["rule"] for member in first["rejected"]] == ["exact_duplicate"] * 2
    assert (second["documents"], second["text"]) == (2, " ".join(words)[:200])
    assert second["rejected"][0]["document"] == f"{document(5, changed)['id']} books/all.jsonl:5"


def test_a_corpus_without_duplicates_passes_whole(cleaned, run, tmp_path):
    metrics = make(cleaned(["one", "two"], []), tmp_path / "out", run)
    assert metrics.counts["docs_kept"] == 2
    assert json.loads((tmp_path / "out" / "clusters.json").read_text()) == {"clusters": 0, "sizes": {}, "largest": []}
    assert not scratch_folder(tmp_path / "out").exists()


def test_files_in_any_order_leave_the_same_documents(run, tmp_path):
    """The order of shards, and of documents in them, is none of the survivors' business."""
    documents = [document(number, text) for number, text in enumerate(CORPUS)]
    for survivor in ("earliest", "longest", "source_priority"):
        outcomes = set()
        for seed in range(3):
            folder = tmp_path / f"{survivor}{seed}"
            write_rows(folder / "in", random.Random(seed).sample(documents, len(documents)))
            make(_manifest(folder / "in"), folder / "out", run, survivor=survivor)
            kept = frozenset(positions(folder / "out" / "kept"))
            reasons = frozenset((r["position"], r["rule"], r["detail"]) for r in rows(folder / "out" / "rejected"))
            outcomes.add((kept, reasons))
        assert len(outcomes) == 1


def write_rows(folder: Path, documents: list[dict[str, object]]) -> None:
    """Ten to a shard."""
    for start in range(0, len(documents), 10):
        with shard_writer(folder / "kept" / shard_name(start), DOCUMENT) as writer:
            writer.write_batch(pa.RecordBatch.from_pylist(documents[start : start + 10], schema=DOCUMENT))


def test_the_longest_may_survive_instead_of_the_first(cleaned, run, tmp_path):
    words = prose(1)
    make(cleaned([" ".join(words), " ".join([*words, "more"])]), tmp_path / "out", run, survivor="longest")
    assert positions(tmp_path / "out" / "kept") == [2]


def test_a_million_repeated_characters_are_a_document_like_any_other(cleaned, run, tmp_path):
    texts = ["a" * 1_000_000, "哈" * 1_000_000, "哈" * 999_999, "! " * 500_000]
    make(cleaned(texts), tmp_path / "out", run)
    assert positions(tmp_path / "out" / "kept") == [1, 2, 4]


def test_blank_lines_make_no_duplicates(cleaned, run, tmp_path):
    make(cleaned(["\n\n\n", "\n\n", " \n", "one\n\n\ntwo", "three\n\n\nfour"]), tmp_path / "out", run)
    assert positions(tmp_path / "out" / "kept") == [1, 2, 3, 4, 5]


def test_documents_that_bear_the_same_id_are_told_apart(run, tmp_path):
    twins = [{**document(number, f"text {number}"), "id": "0" * 32} for number in range(3)]
    write_rows(tmp_path / "in", [*twins, {**twins[2], "position": 3}])
    make(_manifest(tmp_path / "in"), tmp_path / "out", run)
    assert positions(tmp_path / "out" / "kept") == [0, 1, 2]


def test_fourteen_bands_of_eight_rows_find_closer_pairs_only(cleaned, run, tmp_path):
    words = prose(1)
    close, far = list(words), list(words)
    close[60] = "another"
    far[5:105:20] = "some", "of", "them", "changed", "here"
    texts = [" ".join(words), " ".join(close), " ".join(far)]
    make(cleaned(texts), tmp_path / "out", run, signature="14x8", min_similarity=None)
    assert positions(tmp_path / "out" / "kept") == [1, 3]
    (row,) = rows(tmp_path / "out" / "rejected")
    assert row["threshold"] == 0.0
    assert row["value"] == pytest.approx(111 / 121, abs=0.08)


LICENCE = (
    "Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated "
    "documentation files, to deal in the software without restriction, including without limitation the rights to use."
)


def spelled(word: str) -> str:
    """Without digits, which do not count in passages."""
    return word.translate({ord("0") + digit: chr(ord("a") + digit) for digit in range(10)})


def test_passages_that_many_documents_share_are_cut_whatever_the_order_of_files(run, tmp_path):
    stories = [" ".join(spelled(word) for word in prose(seed, 60)) for seed in range(6)]
    texts = [f"{LICENCE}\n\n{story}" for story in stories]
    documents = [document(number, text) for number, text in enumerate([*texts, LICENCE])]
    outcomes = []
    for seed in range(3):
        folder = tmp_path / f"{seed}"
        write_rows(folder / "in", random.Random(seed).sample(documents, len(documents)))
        metrics = make(
            _manifest(folder / "in"), folder / "out", run, repeated_passages={"min_documents": 3, "min_words": 10}
        )
        kept = {row["position"]: row["text"] for row in rows(folder / "out" / "kept")}
        assert kept == {0: texts[0]} | dict(list(enumerate(stories))[1:])
        (row,) = rows(folder / "out" / "rejected")
        assert (row["rule"], row["value"], row["threshold"]) == ("repeated_passage.remainder", 0.0, 20.0)
        assert row["text"] == LICENCE
        outcomes.append((metrics, (folder / "out" / "passages.json").read_text()))
    assert outcomes[0] == outcomes[1] == outcomes[2]
    counts = outcomes[0][0].counts
    assert (counts["docs_cut"], counts["repeated_passage.remainder"], counts["docs_rejected"]) == (5, 1, 1)
    assert counts["bytes_cut"] == 5 * len(f"{LICENCE}\n\n")
    assert counts["bytes_kept"] == sum(len(str(text).encode()) for text in kept.values())
    report = json.loads(outcomes[0][1])
    assert report == {"passages": 1, "most_frequent": [{"documents": 7, "text": LICENCE.rstrip(".")}]}


def test_without_repeated_passages_the_report_is_empty(cleaned, run, tmp_path):
    make(cleaned(["one", "two"]), tmp_path / "out", run, repeated_passages={})
    assert json.loads((tmp_path / "out" / "passages.json").read_text()) == {"passages": 0, "most_frequent": []}
