"""The checks an exported graph must pass against the trained model, on held-out text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tasks.graph.tokenizer_checks import tokenizer_results
from tasks.serving.generator import OnnxModel, Sampling
from tasks.tokenizer.files import special_ids

Array = npt.NDArray[Any]
NO_END = -1
"""Stands for an end-of-text token that never comes up."""
RAGGED_TOKENS = 64
"""So many are enough to see that rows of a batch do not disturb each other."""


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
    folder: Path,
    reference: Reference,
    blocks: Sequence[list[int]],
    *,
    source: Path,
    greedy_tokens: int,
    max_logit_difference: float,
) -> list[Check]:
    """All checks of a served folder on held-out blocks of token ids (context each); `source` is the model's folder."""
    model = OnnxModel(folder)
    context = model.settings.context_length
    new = min(greedy_tokens, max(1, context - max(1, context // 4)))
    prompts = [block[: context - new] for block in blocks]
    return [
        *_logit_checks(model, reference, blocks, max_logit_difference),
        *_greedy_checks(model, reference, prompts, new, tie=2 * max_logit_difference),
        *_stop_checks(model, prompts[0], new),
        *(Check(name, value, 0.0, detail) for name, value, detail in tokenizer_results(folder, source)),
    ]


def _logit_checks(model: OnnxModel, reference: Reference, blocks: Sequence[list[int]], limit: float) -> Iterator[Check]:
    """Logits of whole blocks, the perplexity that follows from them, and rows of different lengths in one batch."""
    right = [reference.logits(block) for block in blocks]
    made = [model.logits([block])[0] for block in blocks]
    differences = [np.abs(mine - theirs).max() for mine, theirs in zip(made, right, strict=True)]
    yield Check("logits", float(np.max(differences)), limit, f"{len(blocks)} blocks")
    mine, theirs = (perplexity(logits, blocks, model.settings.pad_token_id) for logits in (made, right))
    yield Check("perplexity", abs(mine / theirs - 1), limit, f"{mine:.4f} against {theirs:.4f}, relative")
    yield Check("ragged_batch", _ragged_difference(model, right, blocks), limit, "padded batch")


def perplexity(logits: Sequence[Array], blocks: Sequence[list[int]], padding: int) -> float:
    """Of each token of each block given those before it; padding is no target."""
    losses = []
    for scores, block in zip(logits, blocks, strict=True):
        wide, targets = scores[:-1].astype(np.float64), np.array(block[1:])
        top = wide.max(-1)
        found = top + np.log(np.exp(wide - top[:, None]).sum(-1)) - wide[np.arange(len(targets)), targets]
        losses.append(found[targets != padding])
    return float(np.exp(np.concatenate(losses).mean()))


def _ragged_difference(model: OnnxModel, right: Sequence[Array], blocks: Sequence[list[int]]) -> float:
    """Rows of different lengths in one padded batch against the beginnings of whole rows: no row sees what follows."""
    rows = [block[: max(1, len(block) * (index + 1) // (len(blocks) + 1))] for index, block in enumerate(blocks)]
    rows.append(blocks[0])
    made = model.logits(rows)
    expected = [*(scores[: len(row)] for scores, row in zip(right, rows, strict=False)), right[0]]
    differences = [np.abs(made[i, : len(row)] - expected[i]).max() for i, row in enumerate(rows)]
    return float(np.max(differences))


@dataclass(frozen=True)
class Greedy:
    """What the trained model generates: the tokens, and the logits each of them came from."""

    tokens: list[int]
    scores: list[Array]

    def begin(self, length: int) -> "Greedy":
        """The first tokens."""
        return Greedy(self.tokens[:length], self.scores[:length])

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
    expected = [Greedy(*reference.greedy(prompt, new)) for prompt in prompts]
    few = min(new, RAGGED_TOKENS)
    ragged = [prompt[: max(1, len(prompt) - 3 * index)] for index, prompt in enumerate(prompts)]
    cases = {
        "greedy_cached": (_with_cache(model, prompts, new), expected),
        "greedy_uncached": (_without_cache(model, prompts, [row.tokens for row in expected]), expected),
        "greedy_ragged_batch": (
            _with_cache(model, ragged, few),
            [expected[0].begin(few), *(Greedy(*reference.greedy(prompt, few)) for prompt in ragged[1:])],
        ),
    }
    for name, (made, right) in cases.items():
        verdicts = [row.verdict(tokens, tie) for tokens, row in zip(made, right, strict=True)]
        detail = f"{len(made)} rows of {len(made[0])} tokens, {verdicts.count('tie')} ended by a tie"
        yield Check(name, float(verdicts.count("different")), 0.0, detail)


def _with_cache(model: OnnxModel, prompts: Sequence[Sequence[int]], new: int) -> list[list[int]]:
    return model.generate_tokens(prompts, Sampling(max_new_tokens=new, greedy=True), end_token=NO_END)


def _without_cache(
    model: OnnxModel, prompts: Sequence[Sequence[int]], expected: Sequence[Sequence[int]]
) -> list[list[int]]:
    """Greedy tokens up to the first that is not the expected one, each row in a single pass.

    Where all tokens before one are those expected, the likeliest after them in a pass over the whole row is what a
    pass over them alone would give, for no position sees what follows it (`ragged_batch` proves that of the graph).
    """
    made = []
    for prompt, right in zip(prompts, expected, strict=True):
        scores = model.logits([[*prompt, *right]])[0, len(prompt) - 1 : -1, : model.settings.vocab_size]
        made.append(scores.argmax(-1).tolist())
    return made


def _stop_checks(model: OnnxModel, prompt: list[int], new: int) -> Iterator[Check]:
    """Generation ends at the end of text: the id is the tokenizer's, and a row ends when such a token comes up."""
    eos = special_ids(model.folder).end
    yield Check("end_of_text_id", float(eos != model.settings.eos_token_id), 0.0, f"{eos} in the tokenizer")
    free = _with_cache(model, [prompt], new)[0]
    end = free[len(free) // 2]
    made = model.generate_tokens([prompt], Sampling(max_new_tokens=new, greedy=True), end_token=end)[0]
    yield Check("stops_at_end_of_text", float(made != free[: free.index(end)]), 0.0, f"after {len(made)} tokens")
