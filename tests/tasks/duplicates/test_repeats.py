"""Which passages many documents share, and texts without them."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from params.dedup import RepeatedPassageParams
from tasks.duplicates.arrays import save_array
from tasks.duplicates.cutting import REMAINDER, REPEATED, Cut, cut_texts
from tasks.duplicates.passages import find_passages
from tasks.duplicates.repeats import Repeated, find_repeated

NOTICE = "Permission is granted to copy this notice, in whole or in part, to anybody who asks for it."
PARAMS = RepeatedPassageParams(min_words=5, min_characters=8, window=12, min_documents=2, min_remaining_words=2)


def lists(folder: Path, shards: list[list[tuple[int, int]]]) -> list[Path]:
    paths = [folder / f"{number}.npy" for number in range(len(shards))]
    for path, pairs in zip(paths, shards, strict=True):
        save_array(path, np.array(sorted(set(pairs)), np.uint64).reshape(-1, 2).T)
    return paths


HASHES = st.sampled_from([0, 1, 2**32, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1])
SHARDS = st.lists(st.lists(st.tuples(HASHES, st.integers(0, 6)), max_size=12), max_size=4)


@settings(deadline=None)
@given(SHARDS, st.integers(2, 4), st.sampled_from([1, 5, 1000]))
def test_passages_of_enough_documents_are_found_however_few_are_counted_at_a_time(
    tmp_path_factory, shards, min_documents, partition
):
    holders = defaultdict(set)
    for number, rank in (pair for shard in shards for pair in shard):
        holders[number].add(rank)
    repeated = find_repeated(lists(tmp_path_factory.mktemp("lists"), shards), min_documents, partition)
    expected = {n: (min(ranks), len(ranks)) for n, ranks in holders.items() if len(ranks) >= min_documents}
    figures = zip(repeated.firsts.tolist(), repeated.counts.tolist(), strict=True)
    assert dict(zip(repeated.hashes.tolist(), figures, strict=True)) == expected
    for asked in (0, 5, 2**63, 2**64 - 1):
        (at,) = repeated.look_up(np.array([asked], np.uint64)).tolist()
        assert (at >= 0) == (asked in expected)
        assert at < 0 or repeated.hashes[at] == asked


def cut(*texts: str, ranks: list[int] | None = None, params: RepeatedPassageParams = PARAMS) -> Cut:
    """Cut what these texts share."""
    column, everyone = pa.array(texts, pa.large_string()), np.ones(len(texts), np.bool_)
    places = np.array(ranks or range(len(texts)))
    passages = find_passages(column, everyone, params)
    pairs = {*zip(passages.hashes.tolist(), places[passages.owners].tolist(), strict=True)}
    hashes, counts = np.unique(np.array([number for number, _ in pairs], np.uint64), return_counts=True)
    firsts = np.array([min(rank for other, rank in pairs if other == number) for number in hashes], np.int64)
    enough = counts >= params.min_documents
    return cut_texts(column, everyone, places, Repeated(hashes[enough], firsts[enough], counts[enough]), params)


def test_a_repeated_paragraph_stays_in_the_first_document_alone():
    texts = [
        f"First story here.\n\n{NOTICE}",
        f"{NOTICE}\n\nSecond story here.",
        f"Third\n\n{NOTICE.upper()}\n\nstory.",
    ]
    assert cut(*texts).texts == {1: "Second story here.", 2: "Third\n\nstory."}
    assert cut(*texts, ranks=[2, 1, 0]).texts == {0: "First story here.", 1: "Second story here."}


def test_or_in_none():
    texts = [f"First story here.\n\n{NOTICE}", f"{NOTICE}\n\nSecond story here."]
    left = cut(*texts, params=PARAMS.model_copy(update={"keep_first": False})).texts
    assert left == {0: "First story here.", 1: "Second story here."}


def test_a_long_run_within_paragraphs_that_differ_is_cut():
    """Its twelfth word is `part`."""
    texts = [f"A first story begins. {NOTICE} It ends.", f"Another story begins! {NOTICE}\nIt goes on for a while."]
    assert cut(*texts).texts == {1: "Another story begins!  to anybody who asks for it.\nIt goes on for a while."}


def test_chinese_boilerplate_is_cut_too():
    notice = "本文由编辑部整理发布，未经许可不得转载或者以其他任何方式使用。"
    texts = [f"{notice}床前明月光，疑是地上霜。", f"举头望明月，低头思故乡。春眠不觉晓。{notice}"]
    params = PARAMS.model_copy(update={"window": 20, "min_remaining_characters": 5})
    left = cut(*texts, params=params).texts[1]
    assert left.startswith("举头望明月，低头思故乡。春眠不觉晓。")
    assert len(left) <= len("举头望明月，低头思故乡。春眠不觉晓。") + 12


def test_a_document_of_which_too_little_is_left_goes():
    assert cut(f"A story.\n\n{NOTICE}", f"{NOTICE}\n\nShort.").dropped == {1: (REMAINDER, 1.0, 2.0)}


def test_documents_may_be_dropped_instead():
    dropped = cut(NOTICE, f"{NOTICE}\n\nA story.", params=PARAMS.model_copy(update={"action": "drop"})).dropped
    assert dropped == {1: (REPEATED, 2.0, 2.0)}


def test_short_passages_and_those_of_too_few_documents_stay():
    texts = ["See also.\n\nOne story here.", "See also.\n\nAnother story there."]
    assert cut(*texts) == Cut({}, {}, {})
    assert cut(NOTICE, NOTICE, params=PARAMS.model_copy(update={"min_documents": 3})) == Cut({}, {}, {})


def test_the_first_document_shows_how_a_passage_reads():
    assert NOTICE.rstrip(".") in cut(NOTICE, f"A story.\n\n{NOTICE.upper()}").examples.values()


@pytest.mark.parametrize("blank", [" ", "\n", "\t\n"])
def test_a_million_blanks_cost_linear_time(blank):
    text = f"A story.\n\n{NOTICE}{blank * 1_000_000}The end of it."
    assert cut(f"Before.\n\n{NOTICE}", text).texts[1].startswith("A story.")
