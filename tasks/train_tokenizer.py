"""Train the tokenizer on the training documents, or load one."""

import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from params.errors import ParameterError
from params.train_tokenizer import TrainTokenizerParams
from tasks.artifacts.digest import digest_file, write_atomic
from tasks.artifacts.manifest import Manifest, Metrics
from tasks.context import Run, local_path
from tasks.stage import stage

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from tasks.tokenizer.measuring import Fit, Report
    from tasks.tokenizer.sample import Sample
    from tasks.tokenizer.special import SpecialTokens

log = logging.getLogger(__name__)

CHATML, AUTO = "chatml", "auto"
REPORT = "report.json"
_MEASURED_BYTES = 32_000_000
"""Most text that the report is measured on, held-out and learned each."""
_SHOWN = 3


def identity(params: TrainTokenizerParams, run: Run, *inputs: Manifest) -> TrainTokenizerParams:
    """What decides the result: files by their contents, never by where they lie, and no setting without effect."""
    from tasks.tokenizer.loading import content_digest

    changes: dict[str, object] = {}
    if params.chat_template not in (None, CHATML, AUTO):
        changes["chat_template"] = digest_file(_template_path(str(params.chat_template)))
    if params.from_path is None:
        return params.model_copy(update=changes)
    changes["from_path"] = content_digest(local_path(params.from_path))
    kept = {name: getattr(params, name) for name in ("special_tokens", "chat_template")}
    return TrainTokenizerParams(**kept).model_copy(update=changes)


@stage(version=2, identity=identity)
def train_tokenizer(params: TrainTokenizerParams, splits: Manifest, *, out: Path, run: Run) -> Metrics:
    """Learn a vocabulary from the training split, or load one, and leave it as transformers loads it.

    report.json says how well it fits held-out text. Raises ParameterError for a tokenizer that cannot be used.
    """
    from tasks.report.vocabulary import draw_vocabulary
    from tasks.tokenizer.encoder import Encoder
    from tasks.tokenizer.measuring import count_ids, describe, measure
    from tasks.tokenizer.sample import Sample

    shards = splits.paths("train/*.arrow")
    sample = Sample(shards, max_bytes=int(params.max_sample_mb * 1e6))
    _make(params, sample, out)
    encoder = Encoder(out)
    fit = measure(encoder, Sample(splits.paths("validation/*.arrow"), max_bytes=_MEASURED_BYTES))
    measured = Sample(shards, max_bytes=min(sample.size, _MEASURED_BYTES))
    report = describe(encoder, fit, count_ids(encoder, measured), measured)
    write_atomic(out / REPORT, json.dumps(asdict(report), indent=1, ensure_ascii=False) + "\n")
    (out / "logs").mkdir(exist_ok=True)
    by_language = {name: group.bytes_per_token for name, group in sorted(fit.by_language.items())}
    title = f"{encoder.vocab_size:,} entries: {fit.total.bytes_per_token:.2f} bytes per token on held-out text"
    draw_vocabulary(out / "logs" / "vocabulary.png", by_language, fit.counts, title=title)
    return _metrics(fit, report, sample)


def _make(params: TrainTokenizerParams, sample: "Sample", out: Path) -> None:
    """Write the tokenizer's files."""
    from tasks.tokenizer.files import save_tokenizer
    from tasks.tokenizer.special import END_OF_TEXT, PADDING, SpecialTokens, markers_in

    if params.from_path is not None:
        _load(params, out)
        return
    template = _template(params.chat_template)
    markers = markers_in(template or "")
    wanted = params.special_tokens
    special = SpecialTokens(
        wanted.end_of_text or END_OF_TEXT, wanted.padding or PADDING, extra=(*wanted.extra, *markers)
    )
    save_tokenizer(_train(params, special, sample), special, out, chat_template=template)


def _train(params: TrainTokenizerParams, special: "SpecialTokens", sample: "Sample") -> "Tokenizer":
    from tasks.tokenizer.bpe import train_bpe
    from tasks.tokenizer.unigram import train_unigram
    from tasks.tokenizer.words import split_words

    words = split_words(params.digits)
    if spelled := [token for token in special.all if len(words.pre_tokenize_str(token)) == 1]:
        raise ParameterError(
            f"train_tokenizer.special_tokens: {spelled[0]} is a word, which any text may hold; "
            f"spell it as <|{spelled[0]}|>"
        )
    train = {"bpe": train_bpe, "unigram": train_unigram}[params.model]
    return train(
        sample,
        vocab_size=params.vocab_size,
        min_frequency=params.min_frequency,
        digits=params.digits,
        special=special,
    )


def _load(params: TrainTokenizerParams, out: Path) -> None:
    from tasks.tokenizer.files import load_tokenizer, save_tokenizer
    from tasks.tokenizer.loading import choose_special, load_foreign
    from tasks.tokenizer.round_trip import lost_texts
    from tasks.tokenizer.special import markers_in

    path = local_path(str(params.from_path))
    loaded = load_foreign(path)
    has_its_own = params.chat_template == AUTO and loaded.chat_template is not None
    template = None if has_its_own else _template(params.chat_template)
    special = choose_special(loaded, params.special_tokens, markers_in(template or ""))
    log.info("train_tokenizer: %s separates documents, %s fills blocks", special.end_of_text, special.padding)
    save_tokenizer(loaded.tokenizer, special, out, chat_template=template or loaded.chat_template)
    if lost := next(lost_texts(load_tokenizer(out)), None):
        raise ParameterError(
            f"train_tokenizer.from_path: {path} does not give back every text: {lost[0]!r} becomes {lost[1]!r}; "
            "a language model needs a tokenizer that does, such as byte-level BPE"
        )


def _template(setting: str | None) -> str | None:
    from tasks.tokenizer.special import CHATML as CHATML_TEMPLATE

    if setting is None:
        return None
    return CHATML_TEMPLATE if setting in (CHATML, AUTO) else _template_path(setting).read_text(encoding="utf-8")


def _template_path(setting: str) -> Path:
    path = local_path(setting)
    if not path.is_file():
        raise ParameterError(
            f"train_tokenizer.chat_template: {path} is no file; name chatml, the path of a .jinja file, or null"
        )
    return path


def _metrics(fit: "Fit", report: "Report", sample: "Sample") -> Metrics:
    if fit.changed:
        log.warning(
            "train_tokenizer: %d of %d held-out documents do not come back unchanged; %s names them",
            len(fit.changed),
            fit.total.docs,
            REPORT,
        )
    values = {"bytes_per_token": fit.total.bytes_per_token, "single_byte_share": report.single_byte_share}
    values |= {f"bytes_per_token.{name}": group.bytes_per_token for name, group in sorted(fit.by_language.items())}
    return Metrics(
        counts={
            "vocab_size": report.vocab_size,
            "unused_tokens": report.num_unused,
            "sample_docs": sample.num_docs,
            "sample_bytes": sample.size,
            "held_out_docs": fit.total.docs,
            "changed_by_round_trip": len(fit.changed),
        },
        values=values,
        headline=_headline(fit, report),
        speed=(sample.size / 1e6, "MB"),
    )


def _headline(fit: "Fit", report: "Report") -> str:
    """Bytes per token of the languages with most text."""
    most = sorted(fit.by_language.items(), key=lambda item: -item[1].num_bytes)[:_SHOWN]
    by_language = ", ".join(f"{name} {group.bytes_per_token:.2f}" for name, group in most)
    return (
        f"{report.vocab_size:,} entries, {fit.total.bytes_per_token:.2f} bytes per token"
        + (f" ({by_language})" if len(fit.by_language) > 1 else "")
        + f", {report.num_unused:,} never used"
    )
