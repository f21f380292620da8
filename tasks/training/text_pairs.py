"""Sequence to sequence: an encoder reads a text, a decoder writes another; and how T5 makes such pairs of text."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from numpy.random import PCG64, Generator
from torch.nn import functional

from params.errors import ParameterError
from params.objective import SENTINEL, SpanParams
from tasks.tokenizer.files import SpecialIds, load_tokenizer
from tasks.training.batch import IGNORED, TextPairs, text_pairs
from tasks.training.feeds import ExampleFeed, Rows, TokenFeed

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Ints = npt.NDArray[np.int64]
_RELATIVE = ("t5", "mt5", "umt5")
"""Encoder-decoders whose positions are distances, so that texts may lie anywhere in a block."""


class PairLoss(torch.nn.Module):
    """An encoder-decoder with its loss over packed pairs: summed cross-entropy, and how many targets it ranks first."""

    def __init__(self, model: "PreTrainedModel") -> None:
        super().__init__()
        if model.config.model_type not in _RELATIVE:
            raise ParameterError(
                f"train.model.from_weights: {model.config.model_type} counts positions from the start of a block; "
                f"take one of {', '.join(_RELATIVE)}"
            )
        self.model = model

    def forward(
        self,
        inputs: torch.Tensor,
        targets: torch.Tensor,
        _positions: torch.Tensor,
        mask: torch.Tensor,
        sources: torch.Tensor,
        source_mask: torch.Tensor,
        cross_mask: torch.Tensor,
    ) -> torch.Tensor:
        model: Any = self.model
        read = model.get_encoder()(input_ids=sources, attention_mask=_bias(source_mask))
        logits = model(
            encoder_outputs=(read.last_hidden_state,),
            attention_mask=_bias(cross_mask),
            decoder_input_ids=inputs,
            decoder_attention_mask=_bias(mask),
            use_cache=False,
        ).logits
        flat, wanted = logits.float().flatten(0, 1), targets.flatten()
        loss = functional.cross_entropy(flat, wanted, ignore_index=IGNORED, reduction="sum")
        hits = (flat.detach().argmax(dim=-1) == wanted).sum()
        return torch.stack([loss, hits.to(loss.dtype)])


def token_accuracy(sums: torch.Tensor, targets: int) -> Mapping[str, float]:
    """Share of the targets that are ranked first."""
    return {"token_accuracy": float(sums[1]) / max(targets, 1)}


class PairTextFeed(ExampleFeed):
    """Packed pairs of a source and a target text."""

    sides = 2

    def batch(self, rows: Rows, device: torch.device) -> TextPairs:
        """The tensors of a forward pass."""
        sources, _, source_segments, inputs, targets, segments = rows
        return text_pairs(sources, source_segments, inputs, targets, segments, device=device)


class SpanFeed(TokenFeed):
    """Token blocks with spans dropped; a block is one text to the encoder, as in T5's pretraining."""

    def __init__(
        self, paths: Sequence[Path], ids: SpecialIds, *, tokenizer: Path, params: SpanParams, seed: int
    ) -> None:
        super().__init__(paths, ids)
        self._params = params
        self._seed = seed
        self._sentinels = _sentinels(tokenizer, params.num_spans(self.context))

    def read(self, indices: Ints, draw: int) -> Rows:
        """Sources, decoder inputs and targets; every draw drops other spans of the same block."""
        blocks = self._blocks[indices][:, :-1]
        made = [self._corrupted(row, [self._seed, draw, number]) for row, number in zip(blocks, indices, strict=True)]
        return tuple(np.stack(column) for column in zip(*made, strict=True))

    def empty(self, count: int) -> Rows:
        """Blocks of padding."""
        source, target = self._lengths(self.context)
        inputs = np.full((count, target), self._ids.padding)
        return np.full((count, source), self._ids.padding), inputs, np.full((count, target), IGNORED)

    def count(self, rows: Rows) -> int:
        """Targets."""
        return int(np.count_nonzero(rows[2] != IGNORED))

    def batch(self, rows: Rows, device: torch.device) -> TextPairs:
        """The tensors of a forward pass."""
        sources, inputs, targets = rows
        read, written = sources != self._ids.padding, targets != IGNORED
        return text_pairs(sources, read.astype(np.int64), inputs, targets, written.astype(np.int64), device=device)

    def _lengths(self, length: int) -> tuple[int, int]:
        """Tokens of the source and of the target that a text of this length becomes, the end token counted."""
        noise, spans = self._params.num_dropped(length), self._params.num_spans(length)
        return length - noise + spans + 1, noise + spans + 1

    def _corrupted(self, block: Ints, seed: list[int]) -> Rows:
        text = block[block != self._ids.padding]
        if len(text) < 2:
            return tuple(array[0] for array in self.empty(1))
        source, target = corrupt(text, self._params, self._sentinels, Generator(PCG64(seed)))
        widths = self._lengths(self.context)
        written = np.append(target, self._ids.end)
        inputs = np.append(self._ids.padding, written[:-1])
        return (
            _filled(np.append(source, self._ids.end), widths[0], self._ids.padding),
            _filled(inputs, widths[1], self._ids.padding),
            _filled(written, widths[1], IGNORED),
        )


def corrupt(text: Ints, params: SpanParams, sentinels: Sequence[int], random: Generator) -> tuple[Ints, Ints]:
    """Source and target of a text: spans are dropped from the one and stand, each led by its sentinel, in the other.

    Lengths of the spans, and of what stands between them, are drawn evenly among all that add up (Raffel et al. 2020,
    section 3.1.4; their code starts with a kept span and ends with a dropped one).
    """
    noise, spans = params.num_dropped(len(text)), params.num_spans(len(text))
    dropped, kept = _composition(noise, spans, random), _composition(len(text) - noise, spans, random)
    source: list[Ints] = []
    target: list[Ints] = []
    at = 0
    for number, (keep, drop) in enumerate(zip(kept, dropped, strict=True)):
        sentinel = np.array([sentinels[number]])
        source += [text[at : at + keep], sentinel]
        target += [sentinel, text[at + keep : at + keep + drop]]
        at += keep + drop
    return np.concatenate(source), np.concatenate(target)


def _composition(total: int, parts: int, random: Generator) -> list[int]:
    """`parts` numbers of 1 and more that add up to `total`, each such list as likely as any other."""
    cuts = np.sort(random.choice(total - 1, parts - 1, replace=False)) + 1
    found: list[int] = np.diff(np.concatenate([[0], cuts, [total]])).tolist()
    return found


def _sentinels(tokenizer: Path, wanted: int) -> list[int]:
    loaded = load_tokenizer(tokenizer)
    found = [loaded.token_to_id(SENTINEL.format(number)) for number in range(wanted)]
    if missing := [number for number, token in enumerate(found) if token is None]:
        raise ParameterError(
            f"span_corruption needs {wanted} sentinel tokens for blocks of this length, and the tokenizer lacks "
            f"{SENTINEL.format(missing[0])}; add them to train_tokenizer.special_tokens.extra, shorten shard.context "
            "or raise train.spans.mean_span_length"
        )
    return [int(token) for token in found if token is not None]


def _filled(values: Ints, width: int, filler: int) -> Ints:
    out = np.full(width, filler, np.int64)
    out[: len(values)] = values
    return out


def _bias(mask: torch.Tensor) -> torch.Tensor:
    """What is added to attention scores: nothing where a mask lets through, and the least number elsewhere."""
    return torch.zeros(mask.shape, device=mask.device).masked_fill(~mask, torch.finfo(torch.float32).min)
