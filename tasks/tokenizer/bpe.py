"""Training a byte-level BPE tokenizer: every string round-trips and there is no unknown token."""

from collections.abc import Iterable

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from tasks.tokenizer.special import BEGIN_OF_TEXT, PADDING


def train_bpe(batches: Iterable[list[str]], *, vocab_size: int, min_frequency: int, split_digits: bool) -> Tokenizer:
    """Learn merges from batches of texts; the same texts in the same order give the same vocabulary."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(word_pattern(split_digits)), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in (BEGIN_OF_TEXT, PADDING)],
    )
    tokenizer.train_from_iterator(batches, trainer=trainer)
    return tokenizer


def word_pattern(split_digits: bool) -> str:
    """Where merges stop: the pattern of cl100k (tiktoken), with Han runs kept apart from other letters."""
    digits = r"\p{N}" if split_digits else r"\p{N}{1,3}"
    return "|".join(
        [
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)",
            r"\p{Han}+",
            r"[^\r\n\p{L}\p{N}]?(?:(?!\p{Han})\p{L})+",
            digits,
            r" ?[^\s\p{L}\p{N}]+[\r\n]*",
            r"\s*[\r\n]+",
            r"\s+(?!\S)",
            r"\s+",
        ]
    )
