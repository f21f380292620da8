"""A tokenizer beside existing weights: whether it matches them, and the rows of tokens that they have not seen."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer

from params.errors import ParameterError
from tasks.model.files import FIELD, TOKENIZER
from tasks.model.shape import padded
from tasks.tokenizer.files import SpecialIds, load_tokenizer

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

_SHOWN = 3
_SPREAD = 1e-9
"""Share of the rows' covariance around their mean at which unknown tokens start (Hewitt 2021; as in transformers)."""
Pieces = Mapping[int, Sequence[int]]
"""By id of a new token, the ids of the old tokens that spell it."""


@dataclass(frozen=True)
class Extension:
    """What a tokenizer adds to the vocabulary of the weights."""

    new: tuple[int, ...]
    """Ids of tokens that the weights have not seen, ascending."""
    pieces: Pieces
    """Old tokens that spell a new one; a token without any is not in here."""


def compare_vocabularies(weights: Path, tokenizer: Path, *, rows: int, ids: SpecialIds, end: Any) -> Extension:
    """What the tokenizer adds to the vocabulary of a folder of weights.

    `rows` and `end` are the embeddings and the eos_token_id of the weights. Raises ParameterError where a token that
    the weights know has another id in the tokenizer: each row would then stand for another text.
    """
    new = load_tokenizer(tokenizer)
    if not (weights / TOKENIZER).exists():
        _check_sizes(weights, new, ids, rows=rows, end=end)
        return Extension(tuple(range(rows, ids.vocab_size)), {})
    old = load_tokenizer(weights)
    old_ids, new_ids = old.get_vocab(with_added_tokens=True), new.get_vocab(with_added_tokens=True)
    if moved := sorted((index, token) for token, index in old_ids.items() if new_ids.get(token) != index):
        shown = ", ".join(
            f"{token!r} is {index} there and {new_ids.get(token)} here" for index, token in moved[:_SHOWN]
        )
        raise ParameterError(
            f"{FIELD}: the tokenizer does not match the weights: {len(moved):,} of the {len(old_ids):,} tokens of "
            f"{weights / TOKENIZER} have another id or none in it ({shown}); set train_tokenizer.from_path to {weights}"
        )
    known = set(old_ids.values())
    fresh = tuple(sorted(index for index in new_ids.values() if index not in known))
    return Extension(fresh, _spellings(fresh, old, new, rows=rows))


def extend_vocabulary(
    model: "PreTrainedModel", extension: Extension, *, vocab_size: int, multiple: int | None, seed: int
) -> None:
    """Give new tokens rows: the mean of the rows of their pieces, at the mean length of these.

    A token without pieces, and a row that only fills up, starts near the mean of all rows. Tied matrices stay tied.
    """
    import torch

    old_rows = num_rows(model)
    rows = padded(max(old_rows, vocab_size), multiple)
    if rows == old_rows and not extension.new:
        return
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if rows > old_rows:
            model.resize_token_embeddings(rows, mean_resizing=False)
        targets = sorted({*extension.new, *range(old_rows, rows)})
        tables = {id(table.weight): table.weight for table in _tables(model)}
        with torch.no_grad():
            for weight in tables.values():
                _fill(weight, targets, extension.pieces, old=weight[:old_rows].clone())


def _fill(weight: "torch.Tensor", targets: Sequence[int], pieces: Pieces, *, old: "torch.Tensor") -> None:
    new = set(targets)
    known = old[[row for row in range(len(old)) if row not in new]]
    mean = known.mean(dim=0)
    for row in targets:
        weight[row] = _mean_of(old[list(pieces[row])]) if row in pieces else _near(mean, known)


def _mean_of(rows: "torch.Tensor") -> "torch.Tensor":
    """The mean of rows, as long as they are on average: the mean of many rows is short, and logits grow with length."""
    import torch

    mean = rows.mean(dim=0)
    length = torch.linalg.vector_norm(rows, dim=1).mean()
    longer: torch.Tensor = length / torch.linalg.vector_norm(mean).clamp_min(1e-12)
    return mean * longer


def _near(mean: "torch.Tensor", known: "torch.Tensor") -> "torch.Tensor":
    """A draw around the mean with a small share of the rows' covariance: a random sum of them has just that."""
    import torch

    draws = torch.randn(len(known), dtype=known.dtype, device=known.device)
    spread: torch.Tensor = draws @ (known - mean)
    return mean + math.sqrt(_SPREAD / len(known)) * spread


def num_rows(model: "PreTrainedModel") -> int:
    """Rows of the input embeddings."""
    return len(_tables(model)[0].weight)


def _tables(model: Any) -> list[Any]:
    """The input embeddings and, where there is one, the head; perhaps one matrix."""
    head = model.get_output_embeddings()
    return [model.get_input_embeddings(), *([head] if head is not None else [])]


def _spellings(fresh: Sequence[int], old: Tokenizer, new: Tokenizer, *, rows: int) -> Pieces:
    """How the old tokenizer cuts the text of each new token."""
    text_of = _text_after(new)
    pieces: dict[int, list[int]] = {}
    for index in fresh:
        text = text_of(index)
        found = [piece for piece in old.encode(text, add_special_tokens=False).ids if piece < rows]
        if found and "\ufffd" not in text:  # part of a character has no text of its own
            pieces[index] = found
    return pieces


def _text_after(tokenizer: Tokenizer) -> Callable[[int], str]:
    """A token's text as it stands inside a text: alone, some decoders strip its leading space."""
    before = tokenizer.encode("a", add_special_tokens=False).ids[:1]
    start = tokenizer.decode(before, skip_special_tokens=False)

    def text(index: int) -> str:
        both = tokenizer.decode([*before, index], skip_special_tokens=False)
        return str(both.removeprefix(start))

    return text


def _check_sizes(weights: Path, tokenizer: Tokenizer, ids: SpecialIds, *, rows: int, end: Any) -> None:
    """Without the weights' own tokenizer: what ends a text for them must at least be no word of ours."""
    ends = [index for index in (end if isinstance(end, list) else [end]) if isinstance(index, int)]
    special = {index for index, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    special |= {ids.begin, ids.end, ids.padding}
    if ends and not special & set(ends):
        token = tokenizer.id_to_token(ends[0])
        raise ParameterError(
            f"{FIELD}: the tokenizer does not match the weights: {weights} ends texts with token {ends[0]} of "
            f"{rows:,}, which is {token!r} in the tokenizer of {ids.vocab_size:,}; load the one of the weights by "
            "train_tokenizer.from_path"
        )
