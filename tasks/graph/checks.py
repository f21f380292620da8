"""The checks an exported graph must pass against the trained model, on held-out text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tasks.serving.generator import OnnxModel, Sampling
from tasks.tokenizer.files import special_ids
from tasks.tokenizer.round_trip import PROBES

Array = npt.NDArray[Any]
NO_END = -1
"""Stands for an end-of-text token that never comes up."""


class Reference(Protocol):
    """The trained model, as reference.TrainedModel shows it."""

    def logits(self, tokens: Sequence[int]) -> Array:
        """Logits (time, vocabulary) of one sequence."""

    def greedy(self, prompt: Sequence[int], num_tokens: int) -> tuple[list[int], list[Array]]:
        """Greedy tokens with the logits each came from."""


@dataclass(frozen=True)
class Check:
    """One comparison: it passed when `value` is at most `limit`."""

    name: str
    value: float
    limit: float
    detail: str

    @property
    def passed(self) -> bool:
        """Whether the graph agrees; a value that is not a number does not."""
        return bool(self.value <= self.limit)


def check_graph(
    folder: Path, reference: Reference, blocks: Sequence[list[int]], *, greedy_tokens: int, max_logit_difference: float
) -> list[Check]:
    """All checks of a served folder on held-out blocks of token ids (context each)."""
    model = OnnxModel(folder)
    context = model.settings.context_length
    new = min(greedy_tokens, max(1, context - max(1, context // 4)))
    prompts = [block[: context - new] for block in blocks]
    return [
        Check("logits", _logit_difference(model, reference, blocks), max_logit_difference, f"{len(blocks)} blocks"),
        Check("ragged_batch", _ragged_difference(model, reference, blocks), max_logit_difference, "padded batch"),
        *_greedy_checks(model, reference, prompts, new, tie=2 * max_logit_difference),
        *_stop_checks(model, prompts[0], new),
        Check("tokenizer", *_tokenizer_failures(model)),
    ]


def _logit_difference(model: OnnxModel, reference: Reference, blocks: Sequence[list[int]]) -> float:
    differences = [np.abs(model.logits([block])[0] - reference.logits(block)).max() for block in blocks]
    return float(np.max(differences))


def _ragged_difference(model: OnnxModel, reference: Reference, blocks: Sequence[list[int]]) -> float:
    """Rows of different lengths in one padded batch against each row alone."""
    rows = [block[: max(1, len(block) * (index + 1) // (len(blocks) + 1))] for index, block in enumerate(blocks)]
    rows.append(blocks[0])
    made = model.logits(rows)
    differences = [np.abs(made[index, : len(row)] - reference.logits(row)).max() for index, row in enumerate(rows)]
    return float(np.max(differences))


@dataclass(frozen=True)
class Greedy:
    """What the trained model generates: the tokens, and the logits each of them came from."""

    tokens: list[int]
    scores: list[Array]

    def verdict(self, made: Sequence[int], tie: float) -> str:
        """equal, different or tie.

        Rows are followed up to the first difference. Where the trained model itself holds the two tokens within `tie`
        logits of each other, that difference is rounding, not disagreement.
        """
        for token, right, logits in zip(made, self.tokens, self.scores, strict=True):
            if token != right:
                return "tie" if logits[right] - logits[token] <= tie else "different"
        return "equal"


def _greedy_checks(
    model: OnnxModel, reference: Reference, prompts: Sequence[Sequence[int]], new: int, *, tie: float
) -> Iterator[Check]:
    """Greedy tokens with the cache, without it, and as one call with prompts of different lengths."""
    ragged = [prompt[: max(1, len(prompt) - 3 * index)] for index, prompt in enumerate(prompts)]
    expected = [Greedy(*reference.greedy(prompt, new)) for prompt in prompts]
    expected_ragged = [Greedy(*reference.greedy(prompt, new)) for prompt in ragged]
    cases = {
        "greedy_cached": (_with_cache(model, prompts, new), expected),
        "greedy_uncached": (_without_cache(model, prompts, new), expected),
        "greedy_ragged_batch": (_with_cache(model, ragged, new), expected_ragged),
    }
    for name, (made, right) in cases.items():
        verdicts = [row.verdict(tokens, tie) for tokens, row in zip(made, right, strict=True)]
        detail = f"{len(made)} rows of {new} tokens, {verdicts.count('tie')} ended by a tie"
        yield Check(name, float(verdicts.count("different")), 0.0, detail)


def _with_cache(model: OnnxModel, prompts: Sequence[Sequence[int]], new: int) -> list[list[int]]:
    return model.generate_tokens(prompts, Sampling(max_new_tokens=new, greedy=True), end_token=NO_END)


def _without_cache(model: OnnxModel, prompts: Sequence[Sequence[int]], new: int) -> list[list[int]]:
    rows = [list(prompt) for prompt in prompts]
    for _ in range(new):
        for row, logits in zip(rows, model.logits(rows)[:, -1], strict=True):
            row.append(int(logits[: model.settings.vocab_size].argmax()))
    return [row[len(prompt) :] for row, prompt in zip(rows, prompts, strict=True)]


def _stop_checks(model: OnnxModel, prompt: list[int], new: int) -> Iterator[Check]:
    """Generation ends at the end of text: the id is the tokenizer's, and a row ends when such a token comes up."""
    eos = special_ids(model.folder).end
    yield Check("end_of_text_id", float(eos != model.settings.eos_token_id), 0.0, f"{eos} in the tokenizer")
    free = _with_cache(model, [prompt], new)[0]
    end = free[len(free) // 2]
    made = model.generate_tokens([prompt], Sampling(max_new_tokens=new, greedy=True), end_token=end)[0]
    yield Check("stops_at_end_of_text", float(made != free[: free.index(end)]), 0.0, f"after {len(made)} tokens")


def _tokenizer_failures(model: OnnxModel) -> tuple[float, float, str]:
    ids = special_ids(model.folder)
    texts = (*PROBES, *(model.tokenizer.decode([token], skip_special_tokens=False) for token in (ids.end, ids.padding)))
    failed = [text for text in texts if model.decode(model.encode(text)) != text]
    special = {ids.begin, ids.end, ids.padding}
    failed += [text for text in texts if special & set(model.encode(text)[1:]) and text not in failed]
    return float(len(failed)), 0.0, f"failed on {failed}" if failed else f"{len(texts)} texts came back unchanged"
