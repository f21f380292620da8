"""The checks that the graphs of an encoder-decoder model must pass against the trained model, on held-out text."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tasks.graph.checks import NO_END, Check, Greedy, perplexity
from tasks.graph.reference import steady
from tasks.graph.seq2seq_runner import Seq2SeqModel
from tasks.graph.tokenizer_checks import tokenizer_results
from tasks.tokenizer.files import special_ids

Array = npt.NDArray[Any]


def check_seq2seq(
    folder: Path,
    model: Any,
    blocks: Sequence[list[int]],
    *,
    source: Path,
    greedy_tokens: int,
    max_logit_difference: float,
) -> list[Check]:
    """All checks of a served folder; the first half of each block is read, the second is what follows from it."""
    pairs = [(block[: len(block) // 2], block[len(block) // 2 :]) for block in blocks]
    return check_pairs(
        folder, model, pairs, source=source, greedy_tokens=greedy_tokens, max_logit_difference=max_logit_difference
    )


def check_pairs(
    folder: Path,
    model: Any,
    pairs: Sequence[tuple[list[int], list[int]]],
    *,
    source: Path,
    greedy_tokens: int,
    max_logit_difference: float,
) -> list[Check]:
    """All checks of a served folder on pairs of what is read and what is written, as far as the shortest goes."""
    runner = Seq2SeqModel(folder)
    texts, start = [text for text, _ in pairs], model.config.decoder_start_token_id
    shortest = min(len(target) for _, target in pairs)
    targets = [[start, *target[:shortest]] for _, target in pairs]
    return [
        *_logit_checks(runner, model, texts, targets, max_logit_difference),
        *_greedy_checks(runner, model, texts, greedy_tokens, tie=2 * max_logit_difference),
        *(Check(name, value, 0.0, detail) for name, value, detail in tokenizer_results(folder, source)),
    ]


def _logit_checks(
    runner: Seq2SeqModel, model: Any, texts: list[list[int]], targets: list[list[int]], limit: float
) -> Iterator[Check]:
    right = [_logits(model, text, target) for text, target in zip(texts, targets, strict=True)]
    made = [runner.logits([text], [target])[0] for text, target in zip(texts, targets, strict=True)]
    differences = [np.abs(mine - theirs).max() for mine, theirs in zip(made, right, strict=True)]
    yield Check("logits", float(np.max(differences)), limit, f"{len(texts)} blocks")
    mine, theirs = (perplexity(logits, targets, runner.settings.pad_token_id) for logits in (made, right))
    yield Check("perplexity", abs(mine / theirs - 1), limit, f"{mine:.4f} against {theirs:.4f}, relative")
    ragged = [text[: max(1, len(text) - 3 * index)] for index, text in enumerate(texts)]
    together = runner.logits(ragged, targets)
    alone = [_logits(model, text, target) for text, target in zip(ragged, targets, strict=True)]
    worst = max(float(np.abs(mine - theirs).max()) for mine, theirs in zip(together, alone, strict=True))
    yield Check("ragged_batch", worst, limit, "padded batch")


def _greedy_checks(
    runner: Seq2SeqModel, model: Any, texts: list[list[int]], new: int, *, tie: float
) -> Iterator[Check]:
    start, end = model.config.decoder_start_token_id, special_ids(runner.folder).end
    expected = [_greedy(model, text, new) for text in texts]
    cached = runner.greedy(texts, new, start=start, end=NO_END)
    whole = [[start, *row.tokens] for row in expected]
    uncached = [
        runner.logits([text], [row])[0, :-1, : runner.settings.vocab_size].argmax(-1).tolist()
        for text, row in zip(texts, whole, strict=True)
    ]
    for name, made in (("greedy_cached", cached), ("greedy_uncached", uncached)):
        verdicts = [row.verdict(tokens, tie) for tokens, row in zip(made, expected, strict=True)]
        detail = f"{len(made)} rows of {new} tokens, {verdicts.count('tie')} ended by a tie"
        yield Check(name, float(verdicts.count("different")), 0.0, detail)
    yield Check("end_of_text_id", float(end != runner.settings.eos_token_id), 0.0, f"{end} in the tokenizer")
    stop = cached[0][len(cached[0]) // 2]
    made = runner.greedy(texts[:1], new, start=start, end=stop)
    yield Check("stops_at_end_of_text", float(made[0] != cached[0][: cached[0].index(stop)]), 0.0, "one row")


def _logits(model: Any, text: Sequence[int], target: Sequence[int]) -> Array:
    with steady():
        made = model(
            input_ids=torch.tensor([list(text)]), decoder_input_ids=torch.tensor([list(target)]), use_cache=False
        )
        return np.asarray(made.logits[0].numpy())


def _greedy(model: Any, text: Sequence[int], new: int) -> Greedy:
    """The likeliest tokens with the model's own cache, and the logits each came from."""
    tokens, cache = torch.tensor([[model.config.decoder_start_token_id]]), None
    chosen, scores = list[int](), list[Array]()
    with steady():
        read = model.get_encoder()(input_ids=torch.tensor([list(text)]))
        for _ in range(new):
            made = model(encoder_outputs=read, decoder_input_ids=tokens, cache=cache, use_cache=True)
            cache = made.cache
            scores.append(np.asarray(made.logits[0, -1].numpy()))
            chosen.append(int(scores[-1].argmax()))
            tokens = torch.tensor([[chosen[-1]]])
    return Greedy(chosen, scores)
