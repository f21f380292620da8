"""How much of its training text a model has by heart, and whether planted secrets can be told from others."""

import math
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from params.errors import EvaluationError
from params.evaluate import CanaryParams, MemorisationParams
from tasks.evaluation.documents import choose_documents
from tasks.evaluation.language_model import LanguageModel

_BYTES_PER_TOKEN = 16
_DIGIT = re.compile(r"\d")


def measure_memorisation(model: LanguageModel, training: Sequence[Path], params: MemorisationParams) -> dict[str, Any]:
    """Share of training prefixes that the model continues greedily, word for word.

    As in Carlini et al. 2023 (Quantifying memorization across neural language models), who take 50 tokens each; a
    document that is too short for both is passed over. `matched` is the mean share of the continuation up to the first
    token that differs.
    """
    before = min(params.prefix_tokens, model.context // 2)
    after = min(params.continuation_tokens, model.context - before - 1)
    length = before + after
    documents = choose_documents(training, max_documents=params.prefixes, max_bytes=_BYTES_PER_TOKEN * (length + 1))
    rows = [row for text in documents.texts if len(row := model.encode(text)[:length]) == length]
    made = model.continuations([[model.begin, *row[:before]] for row in rows], new=after, end=False)
    matched = [_agreement(row[before:], tokens) for row, tokens in zip(rows, made, strict=True)]
    return {
        "prefixes": len(rows),
        "prefix_tokens": before,
        "continuation_tokens": after,
        "share": round(sum(share == 1.0 for share in matched) / max(len(rows), 1), 6),
        "matched": round(sum(matched) / max(len(rows), 1), 6),
    }


def measure_canaries(model: LanguageModel, params: CanaryParams, *, seed: int) -> dict[str, Any]:
    """Exposure of each planted text: how far the model prefers it to the same text with other digits.

    log2(alternatives + 1) - log2(rank) (Carlini et al. 2019, The Secret Sharer): about 1 for a text that was never
    seen, the maximum for one that is likelier than every alternative.
    """
    most = math.log2(params.alternatives + 1)
    exposures = [_exposure(model, text, params.alternatives, seed) for text in params.texts]
    return {
        "texts": len(exposures),
        "max_exposure": round(max(exposures), 4),
        "mean_exposure": round(sum(exposures) / len(exposures), 4),
        "possible_exposure": round(most, 4),
        "extracted": sum(exposure == most for exposure in exposures),
    }


def _exposure(model: LanguageModel, text: str, alternatives: int, seed: int) -> float:
    if len(_DIGIT.findall(text)) < 2:
        raise EvaluationError(
            f"evaluate.canaries.texts: {text!r} has fewer than two digits; alternatives are made by drawing others"
        )
    draw = random.Random(seed)
    others = [_DIGIT.sub(lambda _: str(draw.randrange(10)), text) for _ in range(alternatives)]
    rows = [[model.begin, *model.encode(one)][: model.context + 1] for one in (text, *others)]
    nats = [float(found.sum()) for found in model.target_nats(rows)]
    rank = 1 + sum(other <= nats[0] for other, one in zip(nats[1:], others, strict=True) if one != text)
    return math.log2(alternatives + 1) - math.log2(rank)


def _agreement(expected: Sequence[int], made: Sequence[int]) -> float:
    equal = next((i for i, (a, b) in enumerate(zip(expected, made, strict=False)) if a != b), len(made))
    return equal / len(expected)
