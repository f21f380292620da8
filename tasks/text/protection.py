"""After the quality rules: harmful text leaves, personal data is hidden."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from params.clean import CleanParams
from params.privacy import KINDS, PrivacyParams
from tasks.harmful.density import measure_harmful
from tasks.privacy.redaction import Redacted, redact
from tasks.text.kernels import Counts
from tasks.text.preparation import sizes_of
from tasks.text.quality import Removal
from tasks.text.rules import Flags, Rule

REDACTION = "redaction"


@dataclass(frozen=True)
class Protected:
    """Texts as they may be learned from."""

    texts: pa.LargeStringArray
    removals: tuple[Removal, ...]
    rules: tuple[Rule, ...]
    found: dict[str, Counts]
    """For each kind of personal data, how often it occurs in each document, (documents,)."""

    def count(self, kept: Flags) -> Counter[str]:
        """Personal data in the documents that are kept, by kind."""
        return Counter({kind: total for kind, counts in self.found.items() if (total := int(counts[kept].sum()))})


def protect(texts: pa.LargeStringArray, is_kept: Flags, params: CleanParams) -> Protected:
    """Judge and redact the texts that were kept so far; the others stay as they are."""
    rules = list(_harmful_rules(texts, is_kept, params))
    if not params.privacy:
        return Protected(texts, (), tuple(rules), {})
    redacted = redact(texts.filter(pa.array(is_kept)), params.privacy)
    found: dict[str, Counts] = {kind: _spread(counts, is_kept) for kind, counts in redacted.counts.items()}
    rules += _privacy_rules(found, is_kept, params.privacy)
    hidden = _put_back(texts, redacted, is_kept)
    removal = Removal(REDACTION, np.zeros(len(texts), np.int64), sizes_of(texts) - sizes_of(hidden))
    return Protected(hidden, (removal,), tuple(rules), found)


def _harmful_rules(texts: pa.LargeStringArray, is_kept: Flags, params: CleanParams) -> Iterator[Rule]:
    """Density counts only where enough different words occur; elsewhere the rule is not asked."""
    if params.harmful:
        density = measure_harmful(texts, params.harmful)
        applies = is_kept & (density.different >= params.harmful.min_different)
        yield Rule("harmful.max_density", density.per_thousand, params.harmful.max_density, False, applies)


def _privacy_rules(found: dict[str, Counts], is_kept: Flags, params: PrivacyParams) -> Iterator[Rule]:
    for kind in KINDS:
        if params.action(kind) == "drop":
            yield Rule(f"privacy.{kind}", found[kind].astype(np.float64), 0.0, False, is_kept)


def _put_back(texts: pa.LargeStringArray, redacted: Redacted, is_kept: Flags) -> pa.LargeStringArray:
    if not any(counts.any() for counts in redacted.counts.values()):
        return texts
    return pc.replace_with_mask(texts, pa.array(is_kept), redacted.column)


def _spread(counts: Counts, rows: Flags) -> Counts:
    spread = np.zeros(len(rows), np.int64)
    spread[rows] = counts
    return spread
