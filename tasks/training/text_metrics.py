"""How near written texts come to the wanted ones: chrF and exact match, and the texts of packed pairs."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from tasks.shards.blocks import evenly
from tasks.tokenizer.files import load_tokenizer, special_ids
from tasks.training.feeds import Feed

_ORDER, _BETA = 6, 2.0
"""Of chrF: the longest n-grams, and how much recall weighs more than precision (Popović 2016, chrF2)."""
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


def exact_match(written: Sequence[str], wanted: Sequence[str]) -> float:
    """Share of the texts that are right to the letter, blanks at both ends apart."""
    hits = sum(made.strip() == right.strip() for made, right in zip(written, wanted, strict=True))
    return hits / max(len(wanted), 1)


def chrf(written: Sequence[str], wanted: Sequence[str]) -> float:
    """chrF2 of a corpus, 0 to 100: F of character n-grams up to 6, without blanks, precision and recall averaged over
    the lengths (Popović 2015; as sacreBLEU computes it)."""
    shares: list[tuple[float, float]] = []
    for length in range(1, _ORDER + 1):
        matches = made = right = 0
        for ours, theirs in zip(written, wanted, strict=True):
            mine, other = _ngrams(ours, length), _ngrams(theirs, length)
            matches, made, right = matches + (mine & other).total(), made + mine.total(), right + other.total()
        if made and right:
            shares.append((matches / made, matches / right))
    if not shares:
        return 0.0
    precision, recall = (sum(column) / len(shares) for column in zip(*shares, strict=True))
    below = _BETA**2 * precision + recall
    return 100 * (1 + _BETA**2) * precision * recall / below if below else 0.0


def _ngrams(text: str, length: int) -> Counter[str]:
    letters = "".join(text.split())
    return Counter(letters[at : at + length] for at in range(len(letters) - length + 1))


def _some_pairs(feed: Feed) -> list[Text]:
    """Pairs of the validation blocks, spread evenly; the end token of a target left out."""
    rows = feed.read(evenly(len(feed), _PAIRS), 0)
    found: list[Text] = []
    for sources, _, source_segments, _, targets, segments in zip(*rows, strict=True):
        for number in range(1, int(segments.max(initial=0)) + 1):
            source, target = sources[source_segments == number], targets[segments == number]
            found.append((source.tolist(), target[:-1].tolist()))
    return [found[at] for at in evenly(len(found), _PAIRS)] if found else []
