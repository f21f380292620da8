"""A tokenizer's files in the layout that transformers loads."""

import json
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from tasks.artifacts.digest import write_atomic
from tasks.tokenizer.special import BEGIN_OF_TEXT, PADDING

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


@dataclass(frozen=True)
class SpecialIds:
    """Token ids that training and generation need."""

    begin: int
    padding: int
    vocab_size: int


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write the two files by which transformers (4 and 5) loads the tokenizer."""
    write_atomic(folder / "tokenizer.json", tokenizer.to_str(pretty=False))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BEGIN_OF_TEXT,
        "eos_token": BEGIN_OF_TEXT,
        "pad_token": PADDING,
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
    }
    write_atomic(folder / "tokenizer_config.json", json.dumps(config, indent=1))


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a folder; text that spells a special token stays text."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.encode_special_tokens = True
    return tokenizer


def special_ids(folder: Path) -> SpecialIds:
    """Ids of the special tokens and the vocabulary's size."""
    tokenizer = load_tokenizer(folder)
    begin, padding = tokenizer.token_to_id(BEGIN_OF_TEXT), tokenizer.token_to_id(PADDING)
    assert begin is not None, f"{folder}: a tokenizer without {BEGIN_OF_TEXT}"
    assert padding is not None, f"{folder}: a tokenizer without {PADDING}"
    return SpecialIds(begin=begin, padding=padding, vocab_size=tokenizer.get_vocab_size())
