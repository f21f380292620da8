"""Day by day as in one go: verdicts and the index that carries them on, on made-up signatures."""

import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from params.dedup import DedupParams
from tasks.duplicates.arrays import save_arrays
from tasks.duplicates.clusters import MAX_COMPARED
from tasks.duplicates.descriptions import Descriptions
from tasks.duplicates.growth import Addition, write_segment
from tasks.duplicates.index import Index
from tasks.duplicates.signatures import band_keys, whole_keys
from tasks.duplicates.verdicts import Verdicts, find_survivors

PARAMS = DedupParams(signature="3x1", min_similarity=0.6)
Document = tuple[int, tuple[int, ...]]
"""What stands for the text (0: empty), and the signature."""
TEXTS = st.integers(0, 12)
SIGNATURES = st.tuples(*[st.integers(0, 4)] * 3)


def describe(folder: Path, documents: list[Document]) -> Descriptions:
    """The scratch files of one shard."""
    target = folder / "000000"
    target.mkdir(parents=True)
    minima = np.array([minima for _, minima in documents], np.uint32).reshape(len(documents), 3)
    texts = np.array([text for text, _ in documents], np.int64)
    digests, sizes = np.stack([texts // 4, texts], axis=1).astype(np.uint64), np.stack([texts, texts], axis=1)
    keys = [*(band_keys(minima, band, PARAMS) for band in range(3)), whole_keys(minima)]
    save_arrays(target / "descriptions", [digests, sizes, minima, np.stack(keys)])
    return Descriptions(folder, [Path("000000.arrow")])


def judge(folder: Path, documents: list[Document], index: Index, workers: int = 2) -> tuple[Descriptions, Verdicts]:
    descriptions, order = describe(folder, documents), np.arange(len(documents))
    return descriptions, find_survivors(descriptions, order, index, PARAMS, scratch=folder, workers=workers)


def in_one_go(folder: Path, documents: list[Document], workers: int = 1) -> list[tuple[int, bool, float]]:
    _, verdicts = judge(folder, documents, Index([], 3), workers)
    return [*zip(verdicts.survivors.tolist(), verdicts.is_exact.tolist(), verdicts.similarity.tolist(), strict=True)]


def day_by_day(folder: Path, days: list[list[Document]]) -> tuple[list[tuple[int, bool, float]], list[Path]]:
    """The same figures, survivors numbered through the days; and the segments at the end."""
    outcome: list[tuple[int, bool, float]] = []
    segments: list[Path] = []
    for number, documents in enumerate(days):
        index, before = Index(segments, 3), len(outcome)
        descriptions, verdicts = judge(folder / f"{number}", documents, index)
        addition = Addition(descriptions, verdicts, index)
        for place, survivor in enumerate(verdicts.survivors.tolist()):
            is_old = survivor >= len(documents)
            name = int(index.names(np.array([survivor - len(documents)]))[0]) if is_old else before + survivor
            outcome.append((name, bool(verdicts.is_exact[place]), float(verdicts.similarity[place])))
        kept = np.flatnonzero(verdicts.kept & (addition.numbers >= 0)).tolist()
        names = [(int(addition.numbers[one]), str(before + one)) for one in kept]
        stay = write_segment(addition, names, PARAMS, folder / f"segment{number}")
        segments = [*(segment.folder for segment in stay), folder / f"segment{number}"]
    return outcome, segments


def reference(documents: list[Document]) -> list[int]:
    """Dropped is what equals or resembles anything before it; the survivor is that of the first such document."""
    survivors: list[int] = []
    for number, (text, minima) in enumerate(documents):
        before = [
            other
            for other, (other_text, other_minima) in enumerate(documents[:number])
            if text and other_text and (text == other_text or sum(map(int.__eq__, minima, other_minima)) >= 2)
        ]
        survivors.append(survivors[before[0]] if before else number)
    return survivors


def consistent(documents: list[Document]) -> list[Document]:
    """Equal texts have equal signatures."""
    signatures: dict[int, tuple[int, ...]] = {}
    return [(text, signatures.setdefault(text, minima)) for text, minima in documents]


CORPUS = st.lists(st.tuples(TEXTS, SIGNATURES), max_size=14).map(consistent)


@settings(deadline=None, max_examples=60)
@given(CORPUS, st.integers(1, 5))
def test_verdicts_are_those_of_the_definition_for_any_number_of_workers(tmp_path_factory, documents, workers):
    outcome = in_one_go(tmp_path_factory.mktemp("go"), documents, workers)
    assert [survivor for survivor, _, _ in outcome] == reference(documents)


@settings(deadline=None, max_examples=60)
@given(CORPUS, st.lists(st.integers(0, 14), max_size=4))
def test_adding_day_by_day_judges_every_document_as_one_go_does(tmp_path_factory, documents, cuts):
    folder = tmp_path_factory.mktemp("days")
    bounds = [0, *sorted(min(cut, len(documents)) for cut in cuts), len(documents)]
    days = [documents[start:stop] for start, stop in pairwise(bounds)]
    assert day_by_day(folder / "days", days)[0] == in_one_go(folder / "go", documents)


@pytest.mark.parametrize("size", [1, 40, 333])
def test_buckets_beyond_the_limit_are_judged_alike_day_by_day(size, tmp_path):
    """Of 1,000 signatures each shares its first band with 250 or so, most of which it does not resemble."""
    draw = random.Random(size)
    documents = [(n + 1, (draw.randrange(4), draw.randrange(400), draw.randrange(400))) for n in range(1000)]
    if size == 1:
        documents = documents[:300]
    days = [documents[start : start + size] for start in range(0, len(documents), size)]
    outcome, segments = day_by_day(tmp_path / "days", days)
    assert outcome == in_one_go(tmp_path / "go", documents)
    assert len(segments) <= 10
    index = Index(segments, 3)
    members, is_known = index.bucket_members(0, index.segments[0].keys[0][:1])
    assert len(members) == MAX_COMPARED
    assert is_known.all()


def test_a_dropped_document_is_remembered_and_so_is_what_it_resembles(tmp_path):
    """A is kept on day 1, B resembles A on day 2, C resembles B but not A on day 3."""
    a, b, c = (1, (1, 1, 1)), (2, (1, 1, 2)), (3, (1, 2, 2))
    outcome, _ = day_by_day(tmp_path, [[a], [b], [c]])
    assert [survivor for survivor, _, _ in outcome] == [0, 0, 0]


def test_a_document_that_links_two_survivors_of_yesterday_drops_neither(tmp_path):
    a, d, b = (1, (1, 1, 2)), (2, (3, 3, 2)), (3, (1, 3, 2))
    outcome, _ = day_by_day(tmp_path / "days", [[a, d], [b]])
    assert [survivor for survivor, _, _ in outcome] == [0, 1, 0]
    assert outcome == in_one_go(tmp_path / "go", [a, d, b])


def test_empty_texts_are_neither_merged_nor_remembered(tmp_path):
    outcome, segments = day_by_day(tmp_path, [[(0, (1, 1, 1))] * 2, [(0, (1, 1, 1)), (1, (1, 1, 1))]])
    assert [survivor for survivor, _, _ in outcome] == [0, 1, 2, 3]
    assert Index(segments, 3).num_documents == 1


def test_the_number_of_segments_grows_with_the_logarithm_of_the_days(tmp_path):
    days = [[(number + 1, (number, number, number))] for number in range(70)]
    _, segments = day_by_day(tmp_path, days)
    assert len(segments) <= 7  # log2(70) is 6.1
    assert Index(segments, 3).num_documents == 70
