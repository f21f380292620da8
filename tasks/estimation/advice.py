"""How far a plan is from what scaling laws advise, and what to set."""

from dataclasses import dataclass

from tasks.estimation.corpus import Corpus
from tasks.estimation.fitting import model_settings
from tasks.estimation.parameters import count_parameters
from tasks.estimation.plan import TokenPlan
from tasks.estimation.scaling import (
    SENSIBLE_EPOCHS,
    Optimum,
    effective_tokens,
    optimal_parameters,
    optimal_tokens,
    optimum_of_compute,
    shape_of_size,
)
from tasks.estimation.shape import ModelShape

_NEAR = 1.5
"""A plan within this factor of the advice is as good: the optimum is flat (Hoffmann et al. 2022, figure 3)."""


@dataclass(frozen=True)
class Advice:
    """What suits the model and what suits the text."""

    optimal_tokens: int
    """For this model (20 tokens a parameter)."""
    planned_share: float | None
    """Planned tokens, repeats discounted, over the optimal."""
    optimal_parameters: int | None
    """For this text, gone through SENSIBLE_EPOCHS times."""
    model_for_text: tuple[str, ...]
    """Settings of such a model."""
    optimum_of_compute: Optimum | None
    """What the plan's operations could buy at best."""
    sentences: tuple[str, ...]
    """The above for people, with what to set."""


def advise(shape: ModelShape, corpus: Corpus, plan: TokenPlan, *, flops: float | None) -> Advice:
    """Compare a plan with Hoffmann et al. (2022), repeats weighed after Muennighoff et al. (2023)."""
    num = count_parameters(shape).total
    wanted = optimal_tokens(num)
    worth = _worth(corpus, plan)
    share = None if worth is None else worth / wanted
    sentences = [_on_tokens(wanted, share, corpus)]
    size: int | None = None
    settings: tuple[str, ...] = ()
    if corpus.train_tokens:
        size = optimal_parameters(corpus.train_tokens)
        settings = model_settings(shape_of_size(shape, size))
        sentences += _on_text(corpus.train_tokens, plan, num, size, settings)
    best = None if flops is None else optimum_of_compute(flops)
    if best is not None and not 1 / _NEAR <= num / best.parameters <= _NEAR:
        sentences.append(
            f"the same arithmetic is best spent on {short(best.parameters)} parameters and {short(best.tokens)} tokens"
        )
    return Advice(wanted, share, size, settings, best, tuple(sentences))


def _worth(corpus: Corpus, plan: TokenPlan) -> float | None:
    """The planned tokens in new text: all of them where nobody knows how much there is."""
    if plan.tokens is None or not corpus.train_tokens:
        return plan.tokens
    return effective_tokens(corpus.train_tokens, plan.tokens / corpus.train_tokens)


def _on_tokens(wanted: int, share: float | None, corpus: Corpus) -> str:
    told = f"this model is compute-optimal at {short(wanted)} tokens"
    target = wanted
    if corpus.train_tokens and wanted > SENSIBLE_EPOCHS * corpus.train_tokens:
        target = SENSIBLE_EPOCHS * corpus.train_tokens
        told += f" ({wanted / corpus.train_tokens:.0f} passes over this text: bring more, or take a smaller model)"
    setting = f"set train.stop.max_tokens={round_down(target)}"
    if share is None:
        return f"{told}; the plan is open-ended: {setting}"
    if share < 1 / _NEAR:
        return f"{told}; the plan has {share:.2g} of that: {setting}"
    if share > _NEAR:
        return f"{told}; the plan has {share:.2g} times that, well spent on a model that is used much"
    return f"{told}, and the plan comes to {share:.0%} of that"


def _on_text(train_tokens: int, plan: TokenPlan, num: int, size: int, settings: tuple[str, ...]) -> list[str]:
    told = [f"this text ({short(train_tokens)} tokens, up to {SENSIBLE_EPOCHS} passes) suits {short(size)} parameters"]
    if not 1 / _NEAR <= num / size <= _NEAR:
        told[0] += f", this model has {short(num)}: set {' '.join(settings)}"
    if plan.tokens is not None and plan.tokens > SENSIBLE_EPOCHS * train_tokens:
        told.append(
            f"the plan goes through the text {plan.tokens / train_tokens:.1f} times; beyond {SENSIBLE_EPOCHS} it gains "
            f"ever less: bring more text, or set train.stop.max_epochs={SENSIBLE_EPOCHS}"
        )
    return told


def short(number: float) -> str:
    """A count with three digits and its magnitude: 12.3 M."""
    for size, sign in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g} {sign}"
    return f"{number:.3g}"


def round_down(number: int) -> int:
    """To two leading digits, for a value that people type."""
    scale = int(10 ** max(0, len(str(number)) - 2))
    return number // scale * scale
