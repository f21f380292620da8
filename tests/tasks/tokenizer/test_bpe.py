"""The byte-level BPE tokenizer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from tasks.tokenizer.bpe import train_bpe
from tasks.tokenizer.files import load_tokenizer, save_tokenizer, special_ids
from tasks.tokenizer.special import BEGIN_OF_TEXT

TEXTS = [
    "The quick brown fox jumps over the lazy dog. " * 3,
    "床前明月光，疑是地上霜。举头望明月，低头思故乡。",
    "x = 1234",
]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory) -> Tokenizer:
    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(train_bpe([TEXTS] * 3, vocab_size=400, min_frequency=2, split_digits=True), folder)
    return load_tokenizer(folder)


@given(st.text())
def test_every_string_round_trips(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text


@pytest.mark.parametrize("text", [f"a {BEGIN_OF_TEXT} b", "<|pad|>", "\r\n\t 　", "🧑‍🌾é", "\x00\ufeff"])
def test_awkward_strings_round_trip_and_special_spellings_stay_text(tokenizer, text):
    ids = tokenizer.encode(text).ids
    assert not {0, 1} & set(ids)
    assert tokenizer.decode(ids, skip_special_tokens=False) == text


def test_digits_are_single_tokens_when_asked(tokenizer):
    assert [tokenizer.id_to_token(i) for i in tokenizer.encode("1234").ids] == ["1", "2", "3", "4"]


def test_han_runs_are_not_glued_to_latin_words(tokenizer):
    pieces = tokenizer.pre_tokenizer.pre_tokenize_str("abc床前def")
    assert len(pieces) == 3


def test_training_twice_gives_the_same_vocabulary():
    one, two = (train_bpe([TEXTS], vocab_size=350, min_frequency=1, split_digits=False).to_str() for _ in range(2))
    assert one == two


def test_transformers_loads_the_files_and_agrees(tokenizer, tmp_path):
    from transformers import AutoTokenizer

    save_tokenizer(tokenizer, tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    for text in TEXTS:
        assert loaded(text)["input_ids"] == tokenizer.encode(text).ids
        assert loaded.decode(loaded(text)["input_ids"]) == text
    ids = special_ids(tmp_path)
    assert (loaded.bos_token_id, loaded.eos_token_id, loaded.pad_token_id) == (ids.begin, ids.begin, ids.padding)
