"""The byte-level BPE trainer."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from tasks.tokenizer.bpe import train_bpe
from tasks.tokenizer.sample import Sample
from tasks.tokenizer.special import SpecialTokens
from tasks.tokenizer.words import byte_words

TEXTS = [
    "The quick brown fox jumps over the lazy dog. " * 3,
    "床前明月光，疑是地上霜。举头望明月，低头思故乡。",
    "x = 1234",
]


def test_training_twice_and_in_another_order_gives_the_same_bytes():
    made = (
        train_bpe(batches, vocab_size=350, min_frequency=1).to_str()
        for batches in ([TEXTS], [TEXTS], [TEXTS[::-1]], [[text] for text in TEXTS])
    )
    assert len(set(made)) == 1


def reference(texts, **settings):
    """The model that the trainer of `tokenizers` makes."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = byte_words("single")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = list(SpecialTokens().all)
    trainer = trainers.BpeTrainer(**settings, show_progress=False, initial_alphabet=alphabet, special_tokens=special)
    tokenizer.train_from_iterator(texts, trainer)
    return json.loads(tokenizer.to_str())["model"]


@given(
    st.lists(st.text("ab光明 \n", max_size=30) | st.text(max_size=10), max_size=5),
    st.integers(300, 340),
    st.integers(1, 4),
)
def test_merges_and_vocabulary_are_those_of_tokenizers(texts, vocab_size, min_frequency):
    settings = {"vocab_size": vocab_size, "min_frequency": min_frequency}
    made = json.loads(train_bpe([texts], **settings).to_str())["model"]
    expected = reference(texts, **settings)
    assert made["merges"] == expected["merges"]
    assert made["vocab"] == expected["vocab"]


def test_merges_of_real_text_are_those_of_tokenizers(splits):
    texts = [text for batch in Sample(splits.paths("train/*.arrow"), max_bytes=10**6) for text in batch]
    settings = {"vocab_size": 2000, "min_frequency": 2}
    assert json.loads(train_bpe([texts], **settings).to_str())["model"] == reference(texts, **settings)


def test_merges_are_those_of_counting_by_hand():
    # ab occurs 4 times, bc and " b" 3 times each: of equals the pair of the lower bytes comes first
    tokenizer = train_bpe([["ab abab bc bc bc ab"]], vocab_size=256 + 2 + 3, min_frequency=2)
    learned = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])[258:]
    assert [token for token, _ in learned] == ["ab", "bc", "Ġbc"]


def test_a_table_of_pairs_that_is_too_small_is_made_larger(monkeypatch):
    expected = train_bpe([TEXTS], vocab_size=400, min_frequency=1).to_str()
    monkeypatch.setattr("tasks.tokenizer.bpe._LEAST_SLOTS", 8)
    assert train_bpe([TEXTS], vocab_size=400, min_frequency=1).to_str() == expected


def test_special_tokens_have_the_first_ids():
    special = SpecialTokens("<end>", "<fill>", extra=("<user>", "<fill>"))
    tokenizer = train_bpe([TEXTS], vocab_size=300, min_frequency=1, special=special)
    assert [tokenizer.id_to_token(index) for index in range(3)] == ["<end>", "<fill>", "<user>"]
    assert tokenizer.get_vocab_size() == 300


@pytest.mark.parametrize(
    ("digits", "pieces"),
    [("single", ["1", "2", "3", "4"]), ("triple", ["123", "4"]), ("whole", ["1234"])],
)
def test_numbers_are_cut_as_asked(digits, pieces):
    tokenizer = train_bpe([["1234 " * 9]], vocab_size=300, min_frequency=1, digits=digits)
    assert tokenizer.encode("1234").tokens == pieces
