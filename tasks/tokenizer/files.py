"""A tokenizer's files in the layout that transformers loads."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer

from params.errors import ParameterError
from tasks.artifacts.digest import sync, write_atomic
from tasks.tokenizer.special import SpecialTokens

TOKENIZER, CONFIG, TEMPLATE = "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"


@dataclass(frozen=True)
class SpecialIds:
    """Token ids that packing, training and generation need, as a tokenizer's own files name them.

    Folders that train_tokenizer makes have one token for begin and end (see SpecialTokens.end_of_text): the stream of
    documents is begin d1 begin d2 … begin, whose last token of a document, seen from the document, is its end.
    """

    begin: int
    """Leads every document and every prompt (bos_token)."""
    end: int
    """Ends a generated text (eos_token)."""
    padding: int
    """Fills blocks and batches (pad_token); never a target."""
    vocab_size: int
    """One more than the largest id; a loaded vocabulary may have gaps."""


def save_tokenizer(tokenizer: Tokenizer, special: SpecialTokens, folder: Path, *, chat_template: str | None) -> None:
    """Write the files by which transformers (4 and 5) loads the tokenizer, missing special tokens added."""
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special.all])
    write_atomic(folder / TOKENIZER, tokenizer.to_str(pretty=False))
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": special.end_of_text,
        "eos_token": special.end_of_text,
        "pad_token": special.padding,
        "additional_special_tokens": list(special.all[2:]),
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
    }
    if chat_template is not None:
        config["chat_template"] = chat_template  # read by transformers 4; 5 prefers the file
        write_atomic(folder / TEMPLATE, chat_template)
    write_atomic(folder / CONFIG, json.dumps(config, indent=1, ensure_ascii=False))


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a folder; text that spells a special token stays text."""
    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    tokenizer.encode_special_tokens = True
    return tokenizer


def copy_tokenizer(source: Path, target: Path) -> None:
    """Copy a tokenizer's files, durably."""
    for name in (TOKENIZER, CONFIG, TEMPLATE):
        if (source / name).exists():
            shutil.copyfile(source / name, target / name)
            sync(target / name)


def special_ids(folder: Path, tokenizer: Tokenizer | None = None) -> SpecialIds:
    """The special ids of a folder with tokenizer.json, which may be loaded already, and tokenizer_config.json.

    Raises ParameterError where the configuration names no such token or one that the vocabulary lacks.
    """
    tokenizer = tokenizer or load_tokenizer(folder)
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    begin, end, padding = (_id_of(name, config, tokenizer, folder) for name in ("bos_token", "eos_token", "pad_token"))
    return SpecialIds(begin=begin, end=end, padding=padding, vocab_size=vocab_size(tokenizer))


def vocab_size(tokenizer: Tokenizer) -> int:
    """Rows that an embedding needs: one more than the largest id."""
    return max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1


def spelling(token: Any) -> str | None:
    """The text of a token in a configuration, which may be a string, an object with `content`, or null."""
    found = token.get("content") if isinstance(token, dict) else token
    return found if isinstance(found, str) and found else None


def _id_of(name: str, config: dict[str, Any], tokenizer: Tokenizer, folder: Path) -> int:
    token = spelling(config.get(name))
    found = None if token is None else tokenizer.token_to_id(token)
    if found is None:
        raise ParameterError(
            f"{folder / CONFIG}: {name} is {token!r}, which is not in the vocabulary of {TOKENIZER}; "
            "name one of its special tokens there"
        )
    return int(found)
