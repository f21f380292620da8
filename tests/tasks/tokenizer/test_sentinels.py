"""Sentinels in texts, against transformers, which reads every special token by its spelling."""

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer

from tasks.tokenizer.files import load_tokenizer, save_tokenizer
from tasks.tokenizer.sentinels import Sentinels, has_sentinels, without_sentinels
from tasks.tokenizer.special import SpecialTokens

TEXTS = ["The <extra_id_0> walks<extra_id_1> here.", "今天<extra_id_0>很好<extra_id_1>。", "<extra_id_1>", "no gap", ""]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("sentinels")
    alphabet = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab=alphabet, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = SpecialTokens(extra=("<extra_id_0>", "<extra_id_1>"))
    save_tokenizer(tokenizer, special, made, chat_template=None)
    return made


@pytest.mark.parametrize("text", TEXTS)
def test_gaps_are_read_as_transformers_reads_them_and_come_back(folder, text):
    texts, reference = Sentinels(load_tokenizer(folder)), AutoTokenizer.from_pretrained(folder)
    ids = texts.encode(text)
    assert ids == reference.encode(text, add_special_tokens=False)
    assert texts.decode(ids) == reference.decode(ids) == text


def test_other_special_tokens_and_sentinels_that_are_not_there_stay_text(folder):
    texts = Sentinels(load_tokenizer(folder))
    text = "<|endoftext|><extra_id_7>"
    ids = texts.encode(text)
    assert max(ids) < 256
    assert texts.decode([256, *ids, 257]) == text  # end of text and padding are left out


def test_a_tokenizer_without_sentinels_reads_their_spelling_as_text(folder, tmp_path):
    plain = load_tokenizer(folder)
    tokenizer = Tokenizer(plain.model)
    tokenizer.pre_tokenizer, tokenizer.decoder = plain.pre_tokenizer, plain.decoder
    assert Sentinels(tokenizer).split("a <extra_id_0>") == ["a <extra_id_0>"]


def test_what_spells_a_sentinel_is_found_and_taken_out():
    assert has_sentinels("a <extra_id_12>")
    assert not has_sentinels("a <extra_id_>")
    assert without_sentinels("<extra_id_0> quick<extra_id_1> dog") == " quick dog"
