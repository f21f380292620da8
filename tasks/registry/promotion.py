"""Whether a new model takes the champion's place."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Standing:
    """A registered model by what promotion looks at."""

    version: int
    bits_per_byte: float
    test_digest: str
    """Which held-out documents that was measured on."""


@dataclass(frozen=True)
class Decision:
    """What becomes of a new version, and why."""

    promote: bool
    text: str


def decide(new: Standing, champion: Standing | None, failed: Sequence[str], *, min_improvement: float) -> Decision:
    """Promote a model that passed its gate and has no champion before it, or beats it on the same test documents."""
    mine = f"version {new.version} ({new.bits_per_byte:.4f} bits per byte)"
    if failed:
        return Decision(False, f"{mine} is not promoted, its gate failed: {'; '.join(failed)}")
    if champion is None:
        return Decision(True, f"{mine} becomes champion: there was none")
    theirs = f"champion version {champion.version} ({champion.bits_per_byte:.4f})"
    if champion.test_digest != new.test_digest:
        return Decision(False, f"{mine} stays challenger: {theirs} was measured on other test documents")
    gain = champion.bits_per_byte - new.bits_per_byte
    if gain > 0 and gain >= min_improvement:
        return Decision(True, f"{mine} becomes champion: {gain:.4f} better than {theirs}")
    return Decision(False, f"{mine} stays challenger: {theirs}, release.min_improvement is {min_improvement}")
