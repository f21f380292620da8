"""Encoder-decoders: models that read a text and write another."""

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tasks.evaluation.comparison import Costs
from tasks.examples.labelled import read_pair
from tasks.kinds.kind import SEQ2SEQ, Kind, Measured
from tasks.kinds.rows import Floats, Rows, RowScores
from tasks.tokenizer.sentinels import without_sentinels

if TYPE_CHECKING:
    import torch

    from params.export import ExportParams
    from params.gate import GateParams
    from tasks.evaluation.figures import Bootstrap
    from tasks.graph.checks import Check
    from tasks.kinds.served_pairs import ServedPairs

log = logging.getLogger(__name__)
_CHECKED, _TIMED, _COMPARED = 4, 5, 64
_DIGITS = 6


class _Writes(Protocol):
    """An encoder-decoder, whichever file it comes from."""

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, its end token behind them."""
        ...

    @property
    def longest(self) -> int:
        """Most tokens of a source with its end token."""
        ...

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of token ids, special tokens left out."""
        ...

    def target_nats(self, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]) -> Floats:
        """Cross-entropy in nats of each whole target, given its source."""
        ...

    def write(self, sources: Sequence[Sequence[int]], new: int) -> list[list[int]]:
        """The likeliest tokens of each row, up to the end of text."""
        ...


@dataclass(frozen=True)
class PairModel:
    """An encoder-decoder that can be asked rows."""

    model: _Writes

    def score(self, rows: Rows) -> RowScores:
        """What it writes for each source, greedily, and what it gives to each target with the end of it."""
        sources, targets = self.read(rows.asked), [self.model.encode(text) for text in rows.wanted]
        longest = max(map(len, targets))
        return RowScores(
            ids=rows.ids,
            wanted=rows.wanted,
            said=[self.model.decode(tokens) for tokens in self.model.write(sources, longest)],
            confidence=np.full(len(rows), np.nan),
            nats=self.model.target_nats(sources, targets),
            num_targets=np.array([len(target) for target in targets], np.int64),
            num_bytes=np.array([len(without_sentinels(text).encode()) for text in rows.wanted], np.int64),
        )

    def read(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of sources, as far as the model reads: what another model was asked may be longer."""
        encoded, most = [self.model.encode(text) for text in texts], self.model.longest
        if too_long := sum(len(tokens) > most for tokens in encoded):
            log.warning(
                "%d of %d sources are longer than the %d tokens that the model reads", too_long, len(texts), most
            )
        return [tokens if len(tokens) <= most else [*tokens[: most - 1], tokens[-1]] for tokens in encoded]


class Seq2Seq(Kind):
    """Judged by how well it predicts the texts that are wanted, and told by what it writes."""

    name, section, figure, unit = SEQ2SEQ, "sequences", "bits_per_byte", "bits per byte"
    loss, fields = "loss", ("source", "target")
    objective, max_rows = "seq2seq", 256
    speed_unit, command = "tokens", "generate"
    runner = ("tasks.serving.generator", "generate.py")

    def read(self, row: Any) -> tuple[str, str]:
        """Source and target of a row."""
        found = read_pair(row)
        return found.source, found.target

    def trained(self, folder: Path, *, threads: int, device: "torch.device", weights: Path | None = None) -> PairModel:
        """A transformers folder."""
        from tasks.kinds.trained_pairs import TrainedPairs

        return PairModel(TrainedPairs(folder, threads=threads, device=device, weights=weights))

    def served(self, folder: Path, *, threads: int) -> PairModel:
        """An exported folder."""
        from tasks.kinds.served_pairs import ServedPairs

        return PairModel(ServedPairs(folder, threads=threads))

    def figures(self, scores: RowScores, bootstrap: "Bootstrap") -> dict[str, Any]:
        """Loss, perplexity and bits per byte of the targets; exact match and chrF2 of what is written."""
        from tasks.evaluation.figures import bootstrap_ratio, share_interval
        from tasks.evaluation.text_overlap import chrf

        costs, right, docs = self.costs(scores), int(scores.is_right.sum()), len(scores.ids)
        loss = float(scores.nats.sum() / scores.num_targets.sum())
        return {
            "docs": docs,
            "targets": int(scores.num_targets.sum()),
            "loss": round(loss, _DIGITS),
            "perplexity": round(math.exp(min(loss, 700.0)), 4),
            **_with_ends("bits_per_byte", costs.ratio, bootstrap_ratio(costs.costs, costs.weights, bootstrap)),
            **_with_ends("exact_match", right / docs, share_interval(right, docs, bootstrap)),
            "chrf": round(chrf(scores.said, scores.wanted), _DIGITS),
        }

    def costs(self, scores: RowScores) -> Costs:
        """Bits of each target, by its bytes."""
        return Costs(scores.ids, scores.nats / math.log(2), scores.num_bytes.astype(np.float64))

    def told(self, ratio: float) -> float:
        """Bits per byte."""
        return ratio

    def check(self, served: Path, source: Path, rows: Rows, params: "ExportParams") -> "list[Check]":
        """Logits and greedy tokens of some rows."""
        from tasks.graph.seq2seq_checks import check_pairs
        from tasks.graph.source import load_whole

        checked, model = rows.some(_CHECKED), self._served(served)
        sources = PairModel(model).read(checked.asked)
        return check_pairs(
            served,
            load_whole(source),
            [(read, model.encode(wanted)) for read, wanted in zip(sources, checked.wanted, strict=True)],
            source=source,
            greedy_tokens=params.greedy_tokens,
            max_logit_difference=params.max_logit_difference,
        )

    def measure_variants(self, folders: Mapping[str, Path], rows: Rows) -> dict[str, Measured]:
        """Loss, divergence and agreement on the targets against the first, and greedy tokens per second."""
        compared = rows.some(_COMPARED)
        models = {name: self._served(folder) for name, folder in folders.items()}
        base = next(iter(models.values()))
        sources = PairModel(base).read(compared.asked)
        pairs = [(read, base.encode(wanted)) for read, wanted in zip(sources, compared.wanted, strict=True)]
        return {name: Measured(_quality(base, model, pairs), _speed(model, pairs)) for name, model in models.items()}

    def samples(self, folder: Path, prompts: Sequence[str]) -> list[dict[str, str]]:
        """What is written for each text, greedily."""
        written = self._served(folder).model.generate(prompts, greedy=True) if prompts else []
        return [{"prompt": text, "continuation": made[0]} for text, made in zip(prompts, written, strict=True)]

    def limits(self, gate: "GateParams", figures: Mapping[str, float]) -> Sequence[tuple[str, float, float]]:
        """None beside the common ones."""
        return ()

    def _served(self, folder: Path) -> "ServedPairs":
        from tasks.kinds.served_pairs import ServedPairs

        return ServedPairs(folder, threads=1)


def _with_ends(name: str, value: float, ends: tuple[float, float]) -> dict[str, float]:
    low, high = ends
    return {name: round(value, _DIGITS), f"{name}_low": round(low, _DIGITS), f"{name}_high": round(high, _DIGITS)}


def _quality(base: "ServedPairs", model: "ServedPairs", pairs: Sequence[tuple[list[int], list[int]]]) -> Any:
    """Of the tokens of the targets; of what is written the share up to the first token that differs."""
    from tasks.compression.quality import Quality, agreement, log_softmax

    nats, first, kl, same, tokens = 0.0, 0.0, 0.0, 0, 0
    for source, target in pairs:
        right, mine = (log_softmax(one.logits(source, target)) for one in (base, model))
        places = np.arange(len(target)), np.array(target)
        first, nats = first - float(right[places].sum()), nats - float(mine[places].sum())
        kl += float((np.exp(right) * (right - mine)).sum())
        same += int((right.argmax(-1) == mine.argmax(-1)).sum())
        tokens += len(target)
    longest, sources = max(len(target) for _, target in pairs), [source for source, _ in pairs]
    return Quality(
        loss=nats / tokens,
        loss_increase=(nats - first) / tokens,
        kl=kl / tokens,
        top1_agreement=same / tokens,
        greedy_agreement=agreement(base.write(sources, longest), model.write(sources, longest)),
    )


def _speed(model: "ServedPairs", pairs: Sequence[tuple[list[int], list[int]]]) -> float:
    """Median over some sources, each alone, reading it included."""
    from statistics import median

    speeds = []
    for source, target in pairs[:_TIMED]:
        started = time.perf_counter()
        (made,) = model.write([source], len(target))
        speeds.append(len(made) / (time.perf_counter() - started))
    return median(speeds)
