"""What a model writes for some validation pairs at an evaluation, and how near it comes to what is wanted."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from tasks.evaluation.text_overlap import chrf, exact_match
from tasks.shards.blocks import evenly
from tasks.tokenizer.files import load_tokenizer, special_ids
from tasks.training.feeds import Feed

_PAIRS = 32
"""Most pairs that are written out at an evaluation: each takes a forward pass a token."""
Text = tuple[list[int], list[int]]
"""Tokens of a source and of what is to be written for it."""


def pair_writer(model: Any, feed: Feed, tokenizer: Path) -> Callable[[], Mapping[str, float]]:
    """A function that lets the model write targets for some validation sources and measures them."""
    pairs = _some_pairs(feed)
    ids, decoder = special_ids(tokenizer), load_tokenizer(tokenizer)
    wanted = [decoder.decode(target) for _, target in pairs]
    longest = max((len(target) for _, target in pairs), default=1)

    def write() -> Mapping[str, float]:
        written = []
        for source, _ in pairs:
            made = model.generate(
                input_ids=torch.tensor([source], device=model.device),
                max_new_tokens=longest + 1,
                do_sample=False,
                num_beams=1,
                eos_token_id=ids.end,
                pad_token_id=ids.padding,
            )[0, 1:].tolist()
            written.append(decoder.decode([token for token in made if token not in (ids.end, ids.padding)]))
        return {"exact_match": exact_match(written, wanted), "chrf": chrf(written, wanted)}

    return write


def _some_pairs(feed: Feed) -> list[Text]:
    """Pairs of the validation blocks, spread evenly; the end token of a target left out."""
    rows = feed.read(evenly(len(feed), _PAIRS), 0)
    found: list[Text] = []
    for sources, _, source_segments, _, targets, segments in zip(*rows, strict=True):
        for number in range(1, int(segments.max(initial=0)) + 1):
            source, target = sources[source_segments == number], targets[segments == number]
            found.append((source.tolist(), target[:-1].tolist()))
    return [found[at] for at in evenly(len(found), _PAIRS)] if found else []
