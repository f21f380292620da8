"""What the stop rules come to in steps and tokens, as far as that is known before."""

from dataclasses import dataclass

from params.train import TrainParams
from tasks.training.stopping.making import step_budget


@dataclass(frozen=True)
class TokenPlan:
    """How long training goes on at most; None while that is open."""

    tokens_per_step: int
    steps: int | None
    rule: str | None
    """The rule that ends it first, of those whose step is known."""
    epochs: float | None
    max_minutes: float | None
    may_end_earlier: tuple[str, ...]
    """Rules whose moment nobody can know."""
    missing: str | None = None
    """Why the number of steps is not known, where a rule in epochs waits for the amount of text."""

    @property
    def tokens(self) -> int | None:
        """Positions trained on."""
        return None if self.steps is None else self.steps * self.tokens_per_step

    def limited(self, *, step_s: float, elsewhere_s: float) -> "TokenPlan":
        """The plan when steps take so long and the rest so much in all: `max_minutes` may end it first."""
        if self.max_minutes is None:
            return self
        steps = max(1, int((60 * self.max_minutes - elsewhere_s) / step_s))
        if self.steps is not None and self.steps <= steps:
            return self
        epochs = None if not (self.steps and self.epochs) else self.epochs * steps / self.steps
        return TokenPlan(self.tokens_per_step, steps, "max_minutes", epochs, self.max_minutes, self.may_end_earlier)


def token_plan(params: TrainParams, *, context: int, num_blocks: int | None) -> TokenPlan:
    """The steps that the stop rules allow; without `num_blocks`, rules in epochs are left open."""
    stop = params.stop
    tokens_per_step = params.batch_blocks * context
    open_rules = tuple(name for name in ("patience", "target_loss") if getattr(stop, name) is not None)
    missing = None
    if num_blocks is None and stop.max_epochs is not None:
        missing = f"max_epochs {stop.max_epochs:g} is a number of steps only once the text is sharded"
        stop = stop.model_copy(update={"max_epochs": None})
    steps_per_epoch = (num_blocks or 0) / params.batch_blocks
    budget = step_budget(stop, tokens_per_step=tokens_per_step, steps_per_epoch=steps_per_epoch)
    steps = budget.limit if budget else None
    return TokenPlan(
        tokens_per_step=tokens_per_step,
        steps=steps,
        rule=budget.name if budget else None,
        epochs=steps / steps_per_epoch if steps and steps_per_epoch else None,
        max_minutes=stop.max_minutes,
        may_end_earlier=open_rules,
        missing=missing if steps is None else None,
    )
