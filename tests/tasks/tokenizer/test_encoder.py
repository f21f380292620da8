"""The fast encoder against the reference."""

import logging
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

from tasks.tokenizer.bpe import train_bpe
from tasks.tokenizer.encoder import _PROBES, Encoder
from tasks.tokenizer.files import save_tokenizer
from tasks.tokenizer.special import SpecialTokens
from tasks.tokenizer.unigram import train_unigram

TEXTS = [
    "It isn't that the 1,234 foxes jumped over\n\n the lazy dog's  back. ",
    "床前明月光，疑是地上霜 abc床前def。",
    "λόγος — naïve",
]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> Encoder:
    folder = tmp_path_factory.mktemp("encoder")
    save_tokenizer(train_bpe([TEXTS * 3], vocab_size=400, min_frequency=1), SpecialTokens(), folder, chat_template=None)
    return Encoder(folder)


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=300)
@given(st.lists(st.text(max_size=80), max_size=4))
def test_the_fast_encoder_gives_the_ids_of_the_reference_on_any_text(encoder, texts):
    assert encoder._fast is not None
    ids, offsets = encoder.encode(texts)
    assert [ids[a:b].tolist() for a, b in pairwise(offsets)] == [encoder.reference.encode(text).ids for text in texts]


@pytest.mark.parametrize("digits", ["single", "triple", "whole"])
def test_the_two_agree_on_every_sign_among_words_of_two_scripts(digits, tmp_path):
    tokenizer = train_bpe([[*_PROBES, *TEXTS]], vocab_size=1500, min_frequency=1, digits=digits)
    save_tokenizer(tokenizer, SpecialTokens(), tmp_path, chat_template=None)
    encoder = Encoder(tmp_path)
    assert encoder._fast is not None
    assert encoder._is_trusted.result()


def test_engines_that_see_scripts_differently_are_found_out_before_anything_is_encoded(tmp_path, caplog):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\p{Han}+|[^\p{Han}]+"), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=400, show_progress=False, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())
    )
    tokenizer.train_from_iterator(["明月。\n明月。\n"] * 9, trainer)
    save_tokenizer(tokenizer, SpecialTokens(), tmp_path, chat_template=None)
    with caplog.at_level(logging.WARNING):
        ids, _ = Encoder(tmp_path).encode(["明月。\n"])
    assert "does not agree with tokenizers on this vocabulary" in caplog.text
    assert ids.tolist() == tokenizer.encode("明月。\n").ids


def test_a_model_that_the_fast_encoder_does_not_know_is_encoded_by_the_reference(tmp_path, caplog):
    save_tokenizer(
        train_unigram([TEXTS], vocab_size=300, min_frequency=2), SpecialTokens(), tmp_path, chat_template=None
    )
    with caplog.at_level(logging.WARNING):
        encoder = Encoder(tmp_path)
    ids, offsets = encoder.encode(TEXTS)
    assert "Unigram" in caplog.text
    assert offsets[-1] == len(ids)
    assert encoder.reference.decode(ids.tolist()) == "".join(TEXTS)


def test_where_the_two_differ_the_reference_is_used_and_the_log_says_so(encoder, tmp_path, caplog):
    other = train_bpe([["completely different words here"]], vocab_size=300, min_frequency=1)
    save_tokenizer(other, SpecialTokens(), tmp_path, chat_template=None)
    mixed = Encoder(tmp_path)
    mixed._fast = encoder._fast
    with caplog.at_level(logging.WARNING):
        ids, _ = mixed.encode(["different words"])
    assert ids.tolist() == other.encode("different words").ids
    assert "does not agree" in caplog.text
    assert np.array_equal(mixed.encode(["words"])[0], other.encode("words").ids)


def test_a_text_that_the_fast_engine_cannot_take_is_encoded_by_the_reference(tmp_path, caplog):
    tokenizer = Tokenizer(models.BPE())
    words = pre_tokenizers.Split(Regex(r"(?:(?!q)\p{L}|\p{M})+"), behavior="isolated")  # takes stack for each letter
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, pre_tokenizers.ByteLevel(False, use_regex=False)])
    trainer = trainers.BpeTrainer(
        vocab_size=300, show_progress=False, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())
    )
    tokenizer.train_from_iterator(["aa aaaa"], trainer)
    save_tokenizer(tokenizer, SpecialTokens(), tmp_path, chat_template=None)
    encoder = Encoder(tmp_path)
    text = "a" * 1_000_000
    with caplog.at_level(logging.WARNING):
        ids, _ = encoder.encode([text, "a"])
    assert "cannot encode some text" in caplog.text
    assert ids.tolist() == encoder.reference.encode(text).ids + encoder.reference.encode("a").ids


def test_a_long_text_has_the_ids_of_the_reference(encoder):
    text = "".join(TEXTS) * 2000
    expected = encoder.reference.encode(text).ids
    assert encoder.encode([text])[0].tolist() == expected
    assert encoder._encode_by_reference([text, "", text])[0].tolist() == expected * 2
