"""The byte-level BPE trainer."""

import pytest

from tasks.tokenizer.bpe import train_bpe
from tasks.tokenizer.special import SpecialTokens

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


def test_merges_are_those_of_counting_by_hand():
    # ab occurs 4 times, bc and " b" 3 times each: of equals the pair of the lower bytes comes first
    tokenizer = train_bpe([["ab abab bc bc bc ab"]], vocab_size=256 + 2 + 3, min_frequency=2)
    learned = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])[258:]
    assert [token for token, _ in learned] == ["ab", "bc", "Ġbc"]


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
