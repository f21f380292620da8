"""How text is cut into tokens."""

from pydantic import Field

from params.base import Params


class TrainTokenizerParams(Params):
    """Byte-level BPE: no unknown token, every string round-trips."""

    vocab_size: int = Field(default=8192, ge=300, le=1_000_000)
    """Entries of the vocabulary, special tokens and the 256 bytes included."""
    min_frequency: int = Field(default=2, ge=1)
    """Fewest occurrences of a pair to be merged."""
    split_digits: bool = True
    """Cut numbers into single digits."""
    max_sample_mb: float = Field(default=200.0, gt=0)
    """Most megabytes of training text to learn the merges from, taken evenly over the shards."""
