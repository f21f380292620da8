"""Our language models behind the interface of lm-eval, which asks for likelihoods and for written text."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from lm_eval.api.model import TemplateLM
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from tasks.evaluation.language_model import LanguageModel
from tasks.evaluation.losses import Floats, batches_by_length

_MOST_WRITTEN = 256
"""New tokens where a task names no limit: lm-eval's own default."""
_ROUNDING = 1e-4
"""Nats by which float32 may be off."""
_LIMITS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")


class HarnessModel(TemplateLM):  # type: ignore[misc]
    """A language model as lm-eval asks it, with the windows and cuts of its own HFLM.

    Every text follows the begin token, as in training (HFLM: add_bos_token=True).
    """

    def __init__(self, model: LanguageModel, *, batch_tokens: int) -> None:
        super().__init__()
        self.model, self.batch_tokens = model, batch_tokens

    @property
    def eot_token_id(self) -> int:
        """The token that an empty context stands for."""
        return self.model.begin

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        """Token ids, led by the begin token unless special tokens are declined."""
        tokens = self.model.encode(string)
        return tokens if add_special_tokens is False else [self.model.begin, *tokens]

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = True) -> list[tuple[float, bool]]:
        """Log-likelihood in nats of each continuation, and whether it is what the model writes greedily."""
        found: list[tuple[float, bool]] = super().loglikelihood(requests, disable_tqdm=True)
        return found

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = True) -> list[float]:
        """Log-likelihood in nats of whole texts, window by window where they exceed the context."""
        pairs, owners = list[tuple[list[int], list[int]]](), list[int]()
        for owner, request in enumerate(requests):
            tokens = self.model.encode(request.args[0])
            windows = get_rolling_token_windows(tokens, self.model.begin, self.model.context, context_len=1)
            cut = [make_disjoint_window(window) for window in windows]
            pairs += cut
            owners += [owner] * len(cut)
        sums = [0.0] * len(requests)
        for owner, nats in zip(owners, self._end_nats(pairs), strict=True):
            sums[owner] -= float(nats.sum())
        return sums

    def generate_until(self, requests: list[Any], disable_tqdm: bool = True) -> list[str]:
        """Greedy continuations, up to the first stop sequence; tasks that ask for sampling have been refused."""
        return [self._write(*request.args) for request in requests]

    def _encode_pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        """Tokens of a context and of what follows; spaces between them belong to what follows.

        A token that spans both, as is common in Chinese, counts as continuation. lm-eval's own cut, by the number of
        tokens that the context has alone, would leave it out: the same wherever no token spans both.
        """
        before = context.rstrip()
        alone, whole = self.tok_encode(before), self.tok_encode(context + continuation)
        same = next((i for i, (a, b) in enumerate(zip(alone, whole, strict=False)) if a != b), len(alone))
        same = min(same, len(whole) - 1)
        return whole[:same], whole[same:]

    def _loglikelihood_tokens(
        self, requests: list[tuple[tuple[str, str], list[int], list[int]]], **_: Any
    ) -> list[tuple[float, bool]]:
        pairs = [(before, after) for _, before, after in requests]
        found = list[tuple[float, bool]]()
        for pair, losses in zip(pairs, self._end_nats(pairs), strict=True):
            greedy = self._surely_greedy(losses)
            found.append((-float(losses.sum()), self._is_greedy(*pair) if greedy is None else greedy))
        return found

    def _end_nats(self, pairs: Sequence[tuple[list[int], list[int]]]) -> list[Floats]:
        """Cross-entropy of each token of the second parts; of what exceeds the context the beginning is cut."""
        rows = [[*before, *after][-(self.model.context + 1) :] for before, after in pairs]
        nats = [np.empty(0)] * len(rows)
        for batch in batches_by_length(rows, self.batch_tokens):
            for place, losses in zip(batch, self.model.target_nats([rows[place] for place in batch]), strict=True):
                nats[place] = losses[max(0, len(losses) - len(pairs[place][1])) :]
        return nats

    def _surely_greedy(self, losses: Floats) -> bool | None:
        """Whether every token is the likeliest, where its probability alone tells: above 1/2 or below 1/vocabulary."""
        if (losses < np.log(2) - _ROUNDING).all():
            return True
        return False if (losses > np.log(self.model.vocab_size) + _ROUNDING).any() else None

    def _is_greedy(self, before: list[int], after: list[int]) -> bool:
        # The last token is written after one that must still fit, so a full row loses one more at its beginning.
        row = [*before, *after][-self.model.context :]
        start = len(row) - len(after)
        return start > 0 and self.model.continuations([row[:start]], new=len(after), end=False) == [after]

    def _write(self, text: str, settings: dict[str, Any]) -> str:
        new = next((int(settings[name]) for name in _LIMITS if settings.get(name) is not None), _MOST_WRITTEN)
        new = min(new, self.model.context - 1)
        row = self.tok_encode(text)[-(self.model.context - new) :]
        written = self.model.decode(self.model.continuations([row], new=new)[0])
        until = settings.get("until") or []
        for stop in [until] if isinstance(until, str) else until:
            written = written.split(stop)[0] if stop else written
        return written
