"""Training a byte-level BPE tokenizer: every string round-trips and there is no unknown token."""

from collections.abc import Iterable

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from params.train_tokenizer import Digits
from tasks.tokenizer.special import DEFAULT_TOKENS, SpecialTokens
from tasks.tokenizer.words import byte_words, cut_text


def train_bpe(
    batches: Iterable[list[str]],
    *,
    vocab_size: int,
    min_frequency: int,
    digits: Digits = "single",
    special: SpecialTokens = DEFAULT_TOKENS,
) -> Tokenizer:
    """Learn merges from batches of texts; the same texts, in any order, give the same vocabulary.

    Special tokens have the first ids, then come the bytes, then the merges.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = byte_words(digits)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in special.all],
    )
    tokenizer.train_from_iterator(([*cut_text(text)] for texts in batches for text in texts), trainer=trainer)
    return tokenizer
