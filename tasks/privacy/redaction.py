"""Texts without personal data: candidates by a kernel, exact checks on each, placeholders in their place."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from params.privacy import KINDS, Kind, PrivacyParams
from tasks.privacy import candidates, credentials, network, numbers, phones
from tasks.privacy.candidates import find_candidates
from tasks.privacy.folding import fold, is_wide
from tasks.privacy.places import Detector
from tasks.text.buffers import Texts, texts_of
from tasks.text.splicing import Replacement, splice

Flags = npt.NDArray[np.bool_]

_BEFORE, _AFTER, _AFTER_DASH = 64, 320, 16_384
"""Bytes that a detector sees; 16 KiB hold an RSA key of 16,384 bits."""
_DASH = 0x2D
_DETECTORS: dict[int, tuple[Detector, ...]] = {
    candidates.AT: (network.find_email,),
    candidates.DOTTED: (network.find_ipv4,),
    candidates.COLONS: (network.find_ipv6,),
    candidates.NUMBER: (
        numbers.find_identity_number,
        numbers.find_payment_card,
        phones.find_chinese_phone,
        phones.find_announced,
    ),
    candidates.PLUS: (phones.find_international,),
    candidates.BRACKET: (phones.find_bracketed,),
    candidates.COUNTRY: (numbers.find_iban,),
    candidates.KEY: (credentials.find_secret,),
}


class Span(NamedTuple):
    """Bytes data[start:stop] of a text that are personal data."""

    text: int
    kind: Kind
    start: int
    stop: int


@dataclass(frozen=True)
class Redacted:
    """What was found and what was made of it; arrays have shape (documents,)."""

    column: pa.LargeStringArray
    """Texts with placeholders; those to be dropped too."""
    counts: dict[Kind, npt.NDArray[np.int64]]
    """How many of each kind were found, whatever became of them."""
    drop: Flags
    """Documents that hold a kind whose action is drop."""


def redact(column: pa.LargeStringArray, params: PrivacyParams) -> Redacted:
    """Find personal data in every text and put placeholders where the action is replace."""
    texts = texts_of(column)
    spans = find_spans(texts)
    counts = {kind: np.zeros(len(column), np.int64) for kind in KINDS}
    drop = np.zeros(len(column), np.bool_)
    for span in spans:
        counts[span.kind][span.text] += 1
        drop[span.text] |= params.action(span.kind) == "drop"
    placeholders = {kind: params.placeholder.replace("{kind}", kind.upper()).encode() for kind in KINDS}
    replaced = [
        Replacement(span.text, span.start, span.stop, placeholders[span.kind])
        for span in spans
        if params.action(span.kind) == "replace"
    ]
    return Redacted(splice(texts, replaced) if replaced else column, counts, drop)


def find_spans(texts: Texts) -> list[Span]:
    """Personal data of all texts in order; none overlaps another."""
    spans = _spans_of(texts)
    wide = np.flatnonzero(is_wide(texts)).tolist()
    if not wide:
        return spans
    folded = set(wide)
    spans = [span for span in spans if span.text not in folded]
    for text in wide:
        spans += _folded_spans(texts, text)
    return sorted(spans, key=lambda span: span.start)


def _folded_spans(texts: Texts, text: int) -> list[Span]:
    start = int(texts.offsets[text])
    narrow, positions = fold(texts.data[start : texts.offsets[text + 1]])
    return [
        Span(text, span.kind, start + int(positions[span.start]), start + int(positions[span.stop]))
        for span in _spans_of(narrow)
    ]


def _spans_of(texts: Texts) -> list[Span]:
    found = find_candidates(texts)
    data = texts.data.data
    starts, stops = texts.offsets[found.texts].tolist(), texts.offsets[found.texts + 1].tolist()
    spans: list[Span] = []
    for text, at, sign, start, stop in zip(
        found.texts.tolist(), found.positions.tolist(), found.signs.tolist(), starts, stops, strict=True
    ):
        if spans and at < spans[-1].stop:
            continue
        reach = _AFTER_DASH if data[at] == _DASH else _AFTER
        before, after = bytes(data[max(start, at - _BEFORE) : at]), bytes(data[at : min(stop, at + reach)])
        hit = next((hit for detector in _DETECTORS[sign] if (hit := detector(before, after))), None)
        if hit is None:
            continue
        while spans and spans[-1].stop > at + hit.start:
            spans.pop()  # digits in the local part of a mail address
        spans.append(Span(text, hit.kind, at + hit.start, at + hit.stop))
    return spans
