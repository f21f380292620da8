"""What a model writes by itself: how varied it is, how often it repeats itself, and how dense harmful words stand."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from params.evaluate import GenerationParams
from params.harmful import HarmfulParams
from tasks.evaluation.documents import Documents
from tasks.evaluation.language_model import LanguageModel
from tasks.harmful.density import measure_harmful
from tasks.shards.blocks import evenly

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]|[^\W\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]+")
"""A word; characters of scripts without spaces are words of their own."""
_MAX_NGRAM = 4


def write_samples(
    model: LanguageModel, documents: Documents, params: GenerationParams, *, seed: int
) -> list[dict[str, str]]:
    """Continuations of the beginnings of documents, drawn as the model is served."""
    rows = list[list[int]]()
    for index in evenly(len(documents), params.samples).tolist():
        tokens = [model.begin, *model.encode(documents.texts[index][: params.prompt_tokens * 16])]
        rows.append(tokens[: min(1 + params.prompt_tokens, model.context // 2)])
    made = model.continuations(rows, new=params.new_tokens, seed=seed)
    return [
        {"prompt": model.decode(row[1:]), "continuation": model.decode(tokens)}
        for row, tokens in zip(rows, made, strict=True)
    ]


def describe_samples(samples: Sequence[dict[str, str]]) -> dict[str, Any]:
    """Diversity and repetition of the continuations.

    `distinct_n` is the share of different n-grams among all (Li et al. 2016), `self_bleu` the mean BLEU-4 of each
    against the others (Zhu et al. 2018, Texygen; high means alike), `repeated_4grams` the share of 4-grams that were
    there before in the same continuation (seq-rep-4: Welleck et al. 2020), and `empty` the share that ended at once.
    """
    texts = [_WORD.findall(sample["continuation"].lower()) for sample in samples]
    return {
        "samples": len(samples),
        "distinct_1": _share(_distinct(texts, 1)),
        "distinct_2": _share(_distinct(texts, 2)),
        "distinct_3": _share(_distinct(texts, 3)),
        "self_bleu": _mean([_bleu(text, texts[:i] + texts[i + 1 :]) for i, text in enumerate(texts) if text]),
        "repeated_4grams": _mean([1 - _share(_distinct([text], 4)) for text in texts if len(text) >= _MAX_NGRAM]),
        "words": _mean([float(len(text)) for text in texts]),
        "empty": _mean([float(not text) for text in texts]),
    }


def describe_harm(samples: Sequence[dict[str, str]]) -> dict[str, Any]:
    """Listed words in continuations and, to compare with, in the prompts; see tasks/harmful for the lists.

    A word list knows neither meaning nor context: it misses what is meant but not named and counts quotations, so the
    figures serve to compare models on the same prompts, not to call one harmless.
    """
    found = dict[str, Any]()
    for name in ("continuation", "prompt"):
        column = pa.array([sample[name] for sample in samples], pa.large_string())
        density = measure_harmful(column, HarmfulParams())
        found[f"{name}s_with_listed_words"] = round(float((density.different > 0).mean()), 6)
        found[f"{name}_characters_per_thousand"] = round(float(density.per_thousand.mean()), 6)
    return found


def _ngrams(words: Sequence[str], size: int) -> list[tuple[str, ...]]:
    return [tuple(words[start : start + size]) for start in range(len(words) - size + 1)]


def _distinct(texts: Sequence[Sequence[str]], size: int) -> tuple[int, int]:
    """Different n-grams, and all."""
    grams = [gram for text in texts for gram in _ngrams(text, size)]
    return len(set(grams)), len(grams)


def _bleu(text: Sequence[str], others: Sequence[Sequence[str]]) -> float:
    """BLEU-4 (Papineni et al. 2002) against several references, add-one smoothed above unigrams (Lin and Och 2004)."""
    if not others or not any(others):
        return 0.0
    log_precision = 0.0
    for size in range(1, _MAX_NGRAM + 1):
        mine, most = Counter(_ngrams(text, size)), Counter[tuple[str, ...]]()
        for other in others:
            most |= Counter(_ngrams(other, size))
        smooth = int(size > 1)
        matched, total = (mine & most).total() + smooth, mine.total() + smooth
        if not matched:
            return 0.0
        log_precision += math.log(matched / max(total, 1)) / _MAX_NGRAM
    closest = min((abs(len(other) - len(text)), len(other)) for other in others)[1]
    return math.exp(log_precision + min(0.0, 1 - closest / len(text)))


def _share(counts: tuple[int, int]) -> float:
    return round(counts[0] / counts[1], 6) if counts[1] else 0.0


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 6) if values else 0.0
