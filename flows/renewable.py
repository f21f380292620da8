"""Which recipes can be retrained."""

from params.errors import ParameterError
from params.objective import BY_ROWS, NOT_RELEASED
from params.pipeline import PipelineParams


def check_renewable(p: PipelineParams) -> None:
    """Refuse a recipe whose model cannot be probed with new text, before anything runs."""
    if (last := p.steps[-1].objective) in (*BY_ROWS, *NOT_RELEASED):
        raise ParameterError(
            f"retrain weighs new text by how well the champion predicts it, and training ends with {last}; bring new "
            "examples to encode.sources and start gristmill run: it is compared with the champion all the same"
        )
