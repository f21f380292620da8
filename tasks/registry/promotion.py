"""Whether a new model takes the champion's place."""

from collections.abc import Sequence
from dataclasses import dataclass

from params.gate import ChampionParams
from tasks.evaluation.comparison import Comparison, asked_gain, is_enough
from tasks.registry.gate import GateCheck


@dataclass(frozen=True)
class Decision:
    """What becomes of a version, and why."""

    promote: bool
    text: str
    comparison: Comparison | None = None
    """None where there is no champion to compare with."""


def decide(
    version: int, champion: int | None, failed: Sequence[str], comparison: Comparison | None, params: ChampionParams
) -> Decision:
    """Promote a model that passed its gate and has no champion before it, or beats it on the same documents."""
    mine = f"version {version}"
    if failed:
        return Decision(False, f"{mine} is not promoted, its gate failed: {'; '.join(failed)}", comparison)
    if champion is None:
        return Decision(True, f"{mine} becomes champion: it passed its gate and there was none")
    assert comparison is not None, "a champion is compared with"
    theirs = f"champion version {champion}"
    figures = _figures(comparison)
    asked = f"{asked_gain(params.mode, params.margin):+.4f}" if params.margin else "0"
    bound = f"{'more than' if params.mode == 'better' else 'at least'} {asked}"
    low = f"with {params.confidence:.0%} confidence the gain is at least {comparison.low:+.4f}, asked for {bound}"
    if is_enough(comparison, params.mode, params.margin):
        return Decision(True, f"{mine} takes the place of {theirs}: {figures}; {low}", comparison)
    return Decision(False, f"{mine} stays challenger of {theirs}: {figures}; {low}", comparison)


def _figures(found: Comparison) -> str:
    """What is compared; its name and why it is chosen are told wherever that is not plain text to plain text."""
    told = f"{found.new:.4f} {found.unit} against {found.champion:.4f}"
    is_plain = (found.figure, found.why) == (Comparison.figure, Comparison.why)
    return told if is_plain else f"{told} ({found.figure}: {found.why})"


def champion_check(champion: int, found: Comparison, params: ChampionParams) -> GateCheck:
    """The comparison as one more condition of the gate: what the gain is with confidence above."""
    name = f"lower end of the gain over champion version {champion}"
    if found.figure != Comparison.figure:
        name += f" in {found.figure}"
    limit = f"{'above' if params.mode == 'better' else 'at least'} {asked_gain(params.mode, params.margin):g}"
    return GateCheck(name, found.low, limit, is_enough(found, params.mode, params.margin))
