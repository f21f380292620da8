"""Memorisation, canaries, contamination and bias: on a model that knows a few sentences by heart, and by arithmetic."""

import math

import numpy as np
import pyarrow as pa
import pytest
import torch

from params.errors import EvaluationError
from params.evaluate import CanaryParams, ContaminationParams, MemorisationParams
from tasks.documents.schema import DOCUMENT
from tasks.documents.shards import shard_writer
from tasks.evaluation.bias import Pair, measure_bias, read_pairs
from tasks.evaluation.locating import locate_model
from tasks.evaluation.memorisation import measure_canaries, measure_memorisation
from tasks.evaluation.overlap import measure_contamination

LEARNED = ("To install the package, run pip install gristmill.", "The function returns a list of numbers.")
NEW = "Nobody had ever seen the harbour so quiet as on the evening before the great storm came in from the sea."


class DigitModel:
    """Bytes as tokens; a digit costs its own value in nats, everything else nothing."""

    context, begin, vocab_size = 512, 256, 257

    def encode(self, text):
        return list(text.encode())

    def target_nats(self, rows):
        return [np.array([float(t - 48) if 48 <= t <= 57 else 0.0 for t in row[1:]]) for row in rows]


def write(path, texts):
    unknown, count = pa.nulls(len(texts), pa.string()), len(texts)
    names = [f"{i}" for i in range(count)]
    columns = [names, names, names, [0] * count, pa.array(texts, pa.large_string()), unknown, unknown]
    with shard_writer(path, DOCUMENT) as writer:
        writer.write_batch(pa.record_batch(columns, schema=DOCUMENT))
    return path


@pytest.fixture(scope="module")
def model(workshop):
    return locate_model(workshop.model("qwen3").folder).load(threads=1, device=torch.device("cpu"))


def test_what_was_learned_is_continued_word_for_word_and_what_is_new_is_not(model, tmp_path):
    params = MemorisationParams(prefix_tokens=4, continuation_tokens=4)
    shards = [write(tmp_path / "a.arrow", [*LEARNED, NEW, "short"])]
    found = measure_memorisation(model, shards, params)
    assert found["prefixes"] == 3  # one is too short
    assert found["share"] == pytest.approx(2 / 3, abs=1e-6)
    assert 2 / 3 <= found["matched"] < 1


def test_exposure_is_the_rank_among_texts_with_other_digits():
    likeliest = measure_canaries(DigitModel(), CanaryParams(texts=("code 00",), alternatives=255), seed=1)
    assert likeliest["max_exposure"] == likeliest["possible_exposure"] == 8.0
    assert likeliest["extracted"] == 1
    last = measure_canaries(DigitModel(), CanaryParams(texts=("code 99",), alternatives=255), seed=1)
    assert last["max_exposure"] < 0.1  # all others are likelier, but for those with the same digits
    middle = measure_canaries(DigitModel(), CanaryParams(texts=("code 45",), alternatives=4095), seed=1)
    # of the hundred numbers 45 have a smaller sum of digits and 9 others the same: rank about 55 of 100
    assert middle["max_exposure"] == pytest.approx(math.log2(100 / 55), abs=0.1)


def test_a_canary_without_digits_is_refused():
    with pytest.raises(EvaluationError, match="'no secret' has fewer than two digits"):
        measure_canaries(DigitModel(), CanaryParams(texts=("no secret",)), seed=1)


def test_a_text_that_training_contains_is_counted_and_common_phrases_are_not(tmp_path):
    params = ContaminationParams(ngram_words=4, ngram_characters=4, max_documents=2)
    phrase = "this phrase stands in every document"
    shards = [
        write(tmp_path / "a.arrow", [f"{phrase} {i} {i + 1} {i + 2}" for i in range(3)] + [f"before {NEW} after"])
    ]
    sets = {"test": [NEW, phrase, "the miller knows nothing of the sea"], "short": ["two words"]}
    found = measure_contamination(sets, shards, params)
    assert found["test"]["contaminated"] == 1
    assert found["test"]["compared"] == 2  # of the phrase no n-gram is left to compare
    assert found["test"]["share"] == 0.5
    assert (found["short"]["compared"], found["short"]["too_short"], found["short"]["share"]) == (0, 1, 0.0)


def test_the_likelier_side_of_a_pair_is_preferred():
    pairs = [Pair("en", "x", "a 1", "a 3"), Pair("en", "x", "a 5", "a 4"), Pair("zh", "y", "一 2", "一 2")]
    found = measure_bias(DigitModel(), pairs)
    assert found["en"]["prefers_prejudice"] == 0.5
    assert found["en"]["mean_difference"] == pytest.approx((2 - 1) / 2 / 3 / math.log(2), abs=1e-6)
    assert found["en"]["mean_gap"] == pytest.approx((2 + 1) / 2 / 3 / math.log(2), abs=1e-6)
    assert found["zh"]["by_attribute"]["y"]["mean_gap"] == 0.0


def test_the_pairs_differ_in_one_place_and_come_in_both_languages():
    pairs = read_pairs()
    assert {pair.language for pair in pairs} == {"en", "zh"}
    for pair in pairs:
        short = min(len(pair.first), len(pair.second))
        start = next(i for i in range(short + 1) if pair.first[: i + 1] != pair.second[: i + 1])
        assert start < short
        assert pair.first[-3:] == pair.second[-3:]
    assert len({pair.first for pair in pairs}) == len(pairs)
