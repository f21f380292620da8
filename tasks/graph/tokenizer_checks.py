"""Checks that the tokenizer of an exported folder is the trained model's, and reads and writes any text."""

import filecmp
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from tasks.model.quiet import quiet_transformers
from tasks.tokenizer.files import TEMPLATE, load_tokenizer, special_ids
from tasks.tokenizer.fuzz import fuzzed_texts
from tasks.tokenizer.round_trip import PROBES

FUZZED = 300
_CONVERSATION = [
    {"role": "system", "content": "Answer in one line."},
    {"role": "user", "content": "床前明月光是谁写的？ <|endoftext|>"},
    {"role": "assistant", "content": "李白。"},
    {"role": "user", "content": "And in English? 👍🏽"},
]
Result = tuple[str, float, str]
"""Name, number of failures, detail."""


def tokenizer_results(folder: Path, source: Path) -> Iterator[Result]:
    """What an exported folder's tokenizer fails at; `source` is the folder of the trained model."""
    tokenizer = load_tokenizer(folder)
    ids, spelled = special_ids(folder), tokenizer.get_added_tokens_decoder()
    special = [token.content for token in spelled.values() if token.special]
    texts = (*PROBES, *special)
    yield "tokenizer", *_lost(tokenizer, texts, {ids.begin, ids.end, ids.padding})
    fuzzed = list(fuzzed_texts(FUZZED, special=special))
    yield "tokenizer_fuzzed", *_lost(tokenizer, fuzzed, set(spelled))
    yield "special_tokens", *_changed_tokens(tokenizer, load_tokenizer(source), ids == special_ids(source))
    yield "chat_template", *_changed_chat(folder, source)


def _lost(tokenizer: Tokenizer, texts: Sequence[str], special: set[int]) -> tuple[float, str]:
    """Texts that come back changed, or in which a special token was read."""
    failed = list[str]()
    for text in texts:
        made = tokenizer.encode(text, add_special_tokens=False).ids
        if tokenizer.decode(made, skip_special_tokens=True) != text or special & set(made):
            failed.append(text)
    return float(len(failed)), f"failed on {failed[:5]}" if failed else f"{len(texts)} texts came back unchanged"


def _changed_tokens(mine: Tokenizer, theirs: Tokenizer, same_ids: bool) -> tuple[float, str]:
    """Added tokens that are no longer what they were."""
    here, there = (
        {index: (token.content, token.special) for index, token in tokenizer.get_added_tokens_decoder().items()}
        for tokenizer in (mine, theirs)
    )
    changed = [token for token in here.items() | there.items() if here.get(token[0]) != there.get(token[0])]
    names = sorted({content for _, (content, _) in changed})
    if not same_ids:
        names.append("begin, end or padding")
    return float(len(names)), f"changed: {', '.join(names)}" if names else f"{len(there)} added tokens as they were"


def _changed_chat(folder: Path, source: Path) -> tuple[float, str]:
    """Whether a conversation gives the same tokens, where the model has a template."""
    if not (source / TEMPLATE).exists():
        return float((folder / TEMPLATE).exists()), "the model has none"
    if not (folder / TEMPLATE).exists() or not filecmp.cmp(folder / TEMPLATE, source / TEMPLATE, shallow=False):
        return 1.0, f"{TEMPLATE} is missing or another"
    mine, theirs = _conversation(folder), _conversation(source)
    return float(mine != theirs), f"a conversation of {len(theirs)} tokens"


def _conversation(folder: Path) -> list[int]:
    from transformers import AutoTokenizer

    kind: Any = AutoTokenizer
    with quiet_transformers():
        tokenizer = kind.from_pretrained(folder, local_files_only=True)
        text = tokenizer.apply_chat_template(_CONVERSATION, tokenize=False, add_generation_prompt=True)
        ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids
