"""Whether what has arrived is worth a training, and whether that starts from the champion or from scratch."""

from collections.abc import Iterator
from dataclasses import dataclass

from params.retrain import RetrainParams

_Test = tuple[float, float | None, str]
"""A measure, its limit (None: not looked at), and how both are said."""


@dataclass(frozen=True)
class NewText:
    """What new text costs the champion."""

    bits_per_byte: float | None
    """None where the champion goes on with no text: a classifier, an encoder-decoder."""
    bytes_per_token: float
    """Of the champion's tokenizer, on old text where the champion cannot be asked."""


@dataclass(frozen=True)
class Situation:
    """What is known before anything is trained."""

    new_bytes: int
    """Of unique text that the champion has not seen."""
    old_bytes: int
    champion: str | None
    """Its address; None where there is none."""
    age_days: float = 0.0
    champion_bits_per_byte: float = 0.0
    """On its own test documents."""
    old_bytes_per_token: float | None = None
    """Of its tokenizer on what it has learned from; None where that is no longer known."""
    new_text: NewText | None = None
    """None where nothing is new."""
    new_examples: int = 0
    """Rows of examples that the champion has not seen."""
    has_base: bool = True
    """False where training cannot go on from what the champion was before it learned from examples."""
    withdrawn_docs: int = 0
    """Documents that the champion has learned from and that are gone."""

    @property
    def new_tokens(self) -> int:
        """Of the champion's tokenizer, about."""
        return round(self.new_bytes / self.new_text.bytes_per_token) if self.new_text else 0

    @property
    def only_examples(self) -> bool:
        """Whether there are new examples and no new text."""
        return bool(self.new_examples and not self.new_bytes)

    @property
    def drift(self) -> float | None:
        """Bits per byte that new text costs more; None where the champion cannot tell."""
        found = None if self.new_text is None else self.new_text.bits_per_byte
        return None if found is None else found - self.champion_bits_per_byte


@dataclass(frozen=True)
class Judgement:
    """What is done now, and why."""

    retrain: bool
    from_scratch: bool
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        """One line."""
        how = ("from scratch" if self.from_scratch else "from the champion") if self.retrain else "no training"
        return f"{how}: {'; '.join(self.reasons)}"


def judge(params: RetrainParams, found: Situation) -> Judgement:
    """Train on evidence, and only then."""
    if found.champion is None:
        return Judgement(True, True, ("there is no champion yet",))
    evidence, lack = _evidence(params, found)
    if not evidence:
        return Judgement(False, False, tuple(lack))
    scratch = tuple(_scratch(params, found))
    return Judgement(True, bool(scratch), (*evidence, *scratch))


def _evidence(params: RetrainParams, found: Situation) -> tuple[list[str], list[str]]:
    """What speaks for training, and what does not reach so far."""
    evidence, lack = list[str](), list[str]()
    if found.withdrawn_docs:
        what = f"{found.withdrawn_docs:,} documents that {found.champion} has seen were withdrawn"
        (evidence if params.retrain_on_withdrawal else lack).append(what)
    if not found.new_bytes and not found.new_examples:
        return evidence, [f"nothing new since {found.champion}", *lack]
    tests = (
        *(_of_text(params, found) if found.new_bytes else ()),
        *(_of_examples(params, found) if found.new_examples else ()),
        (found.age_days, params.max_age_days, "the champion is {0:.1f} days old, limit {1:g}"),
    )
    for value, limit, words in tests:
        if limit is not None:
            (evidence if value >= limit else lack).append(words.format(value, limit))
    return evidence, lack


def _of_text(params: RetrainParams, found: Situation) -> Iterator[_Test]:
    yield found.new_tokens, params.min_new_tokens, "about {0:,} new tokens, {1:,} asked for"
    if found.drift is not None:
        yield (
            found.drift,
            params.max_drift,
            "new text costs {0:+.3f} bits per byte more than the test text, limit {1:g}",
        )


def _of_examples(params: RetrainParams, found: Situation) -> Iterator[_Test]:
    yield found.new_examples, params.min_new_examples, "{0:,} new examples, {1:,} asked for"


def _scratch(params: RetrainParams, found: Situation) -> Iterator[str]:
    if params.scratch_share is not None and found.new_bytes > params.scratch_share * found.old_bytes:
        yield f"new text is more than {params.scratch_share:g} times the old"
    if params.scratch_compression is not None and found.new_text is not None and found.old_bytes_per_token is not None:
        share = found.new_text.bytes_per_token / found.old_bytes_per_token
        if share < params.scratch_compression:
            yield f"the tokenizer has {share:.2f} times the bytes per token of old text"
    if not found.has_base:
        yield "the store no longer has what the champion was before it learned from examples"
    if params.scratch_on_withdrawal and found.withdrawn_docs:
        yield f"the champion has learned from {found.withdrawn_docs:,} documents that were withdrawn"
