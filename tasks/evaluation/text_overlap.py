"""How near written texts come to the wanted ones: chrF and exact match."""

from collections import Counter
from collections.abc import Sequence

_ORDER, _BETA = 6, 2.0
"""Of chrF: the longest n-grams, and how much recall weighs more than precision (Popović 2016, chrF2)."""


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
