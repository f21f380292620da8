"""What each objective measures besides its loss: at every step, and as val_NAME on the validation examples."""

from params.objective import Objective

METRICS: dict[Objective, frozenset[str]] = {
    "language_model": frozenset(),
    "instruct": frozenset(),
    "preference": frozenset({"reward_margin", "reward_accuracy", "chosen_reward", "rejected_reward"}),
    "classify": frozenset({"accuracy", "macro_f1"}),
    "span_corruption": frozenset({"token_accuracy"}),
    "seq2seq": frozenset({"token_accuracy"}),
}
"""Names, by objective, under which stop rules find them too."""
WRITTEN: dict[Objective, frozenset[str]] = {"seq2seq": frozenset({"exact_match", "chrf"})}
"""What is measured at evaluations only, of what the model writes."""


def logged_metrics(objective: Objective) -> frozenset[str]:
    """The names under which an objective logs what it measures."""
    of_steps = METRICS[objective]
    return of_steps | {f"val_{name}" for name in of_steps | WRITTEN.get(objective, frozenset())}
