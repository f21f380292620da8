"""Which recipes can be retrained."""

from params.errors import ParameterError
from params.pipeline import PipelineParams


def check_renewable(p: PipelineParams) -> None:
    """Refuse a recipe whose model tells nothing of new text and learns from no examples, before anything runs."""
    if p.steps[-1].objective == "span_corruption":
        raise ParameterError(
            "retrain weighs new text by how well the champion predicts it, and training ends with span_corruption; add "
            "a phase of pairs (objective: seq2seq), or start gristmill run: it is compared with the champion all the "
            "same"
        )
