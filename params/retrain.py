"""When a model is trained again on what has arrived, how, and what it must not lose."""

from pydantic import Field

from params.base import Params


class RetrainParams(Params):
    """Any one of the first four is evidence enough; without new text and new examples there is none."""

    min_new_tokens: int | None = Field(default=100_000, ge=1)
    """Tokens of unique new text that are worth a training; null to look at the other evidence alone."""
    min_new_examples: int | None = Field(default=100, ge=1)
    """New rows of the files in encode.sources that are worth a training; null to look at text alone."""
    max_drift: float | None = Field(default=0.3, gt=0)
    """Bits per byte by which new text may cost the champion more than its own test documents; null to leave it."""
    max_age_days: float | None = Field(default=30.0, gt=0)
    """Age of the champion from which any new text or example is reason enough; null to leave it."""
    replay: float = Field(default=0.3, ge=0, lt=1)
    """Share of old text in the training blocks of a warm start, so that it is not forgotten."""
    epochs: float = Field(default=1.0, gt=0)
    """Passes over those blocks; the rules of train.stop may end it earlier. Phases that learn from examples run as they
    are set."""
    scratch_share: float | None = Field(default=1.0, gt=0)
    """From scratch where new text is more than this share of the old; null to leave it."""
    scratch_compression: float | None = Field(default=0.8, gt=0, lt=1)
    """From scratch, with a new tokenizer, where the champion's has fewer bytes per token on new text than this share of
    what it has on old text; null to leave it."""
    scratch_on_withdrawal: bool = True
    """From scratch where the champion has learned from text that was withdrawn since: weights cannot unlearn it."""
    retrain_on_withdrawal: bool = False
    """Take withdrawn text for evidence by itself, and not only leave it out the next time."""
    max_forgetting: float = Field(default=0.02, ge=0)
    """Bits per byte by which the new model may be worse than the champion on old held-out text."""
    probe_documents: int = Field(default=256, ge=1)
    """New documents of each source that the champion is measured on, drawn by hash."""
