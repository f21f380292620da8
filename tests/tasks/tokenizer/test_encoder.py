"""The fast encoder against the reference."""

import logging
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.tokenizer.bpe import train_bpe
from tasks.tokenizer.encoder import Encoder
from tasks.tokenizer.files import save_tokenizer
from tasks.tokenizer.special import SpecialTokens

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
