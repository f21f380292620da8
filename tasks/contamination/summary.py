"""report.json: for each evaluation set, what was looked for, what was found in training, and examples."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tasks.contamination.evaluation import Items
from tasks.contamination.removal import BINS, CUTS, Removed, Remover
from tasks.contamination.scanning import read_hits
from tasks.contamination.verdicts import Overlaps, Shares, find_overlaps, worst
from tasks.documents.shards import read_batches

_MAX_EXAMPLES = 20


def describe(remover: Remover, overlaps: Sequence[Overlaps]) -> dict[str, Any]:
    """Figures by evaluation set: texts, those that cannot be compared, those found, documents that overlap."""
    items, index = remover.items, remover.index
    num_documents, largest = _found(len(items), overlaps)
    is_common = (index.totals > 0) & ~remover.can_be_found()
    sets = {}
    for number, name in enumerate(items.set_names):
        of_set = slice(int(items.bounds[number]), int(items.bounds[number + 1]))
        documents = [np.unique(part.rows[_within(part, of_set)]) for part in overlaps]
        sets[name] = {
            "texts": of_set.stop - of_set.start,
            "unreadable": int(index.is_unreadable[of_set].sum()),
            "too_short": int((index.is_too_short & ~index.is_unreadable)[of_set].sum()),
            "repeated": int(index.is_repeated[of_set].sum()),
            "found": int((num_documents[of_set] > 0).sum()),
            "training_documents": sum(map(len, documents)),
            "common_phrases": int(is_common[of_set].sum()),
            "common_examples": [_excerpt(items, int(item)) for item in _first(is_common, of_set)],
            "found_examples": [
                {**_excerpt(items, int(item)), "overlap": round(float(largest[item]), 4)}
                for item in _first(num_documents > 0, of_set)
            ],
        }
    return sets


def measured(remover: Remover, removed: Sequence[Removed]) -> list[dict[str, Any]]:
    """The histogram of the largest overlap of each training document, as gristmill inspect draws it."""
    counts = sum((part.histogram for part in removed), np.zeros(BINS, np.int64))
    edges = [number / BINS for number in range(BINS + 1)]
    rule = {"name": "overlap", "threshold": remover.rules.min_overlap, "direction": "at_most"}
    return [{**rule, "edges": edges, "counts": counts.tolist()}]


def by_source(removed: Sequence[Removed]) -> dict[str, dict[str, Any]]:
    """Training documents of each source: how many came, stayed and left by which rule."""
    sources = sum((part.sources for part in removed), Counter[str]())
    rejected = sum((part.rejected for part in removed), Counter[tuple[str, str]]())
    found = {}
    for source in sorted(sources):
        rules = {rule: count for (name, rule), count in sorted(rejected.items()) if name == source}
        kept = sources[source] - sum(rules.values())
        found[source] = {"docs_in": sources[source], "docs_kept": kept, "rejected": rules}
    return found


def affected_lines(items: Items, overlaps: Sequence[Overlaps]) -> Iterator[str]:
    """A JSON line for each evaluation text that was found: set, name, documents, largest overlap."""
    num_documents, largest = _found(len(items), overlaps)
    for item in np.flatnonzero(num_documents).tolist():
        line = {
            "set": items.set_of(item),
            "text": items.get(item, "name"),
            "documents": int(num_documents[item]),
            "overlap": round(float(largest[item]), 4),
        }
        yield json.dumps(line, ensure_ascii=False) + "\n"


def overlapping_tests(remover: Remover, hits: Sequence[Path]) -> dict[str, Any]:
    """Test documents that overlap with validation documents, from the scan of the shards of test."""
    items, tests = remover.items, remover.items.items_of("test")
    rules = remover.rules._replace(items=items.items_of("validation"))
    start, pairs = tests.start, list[tuple[int, int, float]]()
    for path in hits:
        found = read_hits(path)
        rows, others, shares = worst(find_overlaps(found, remover.index, rules).reaching(rules.min_overlap))
        pairs += zip((rows + start).tolist(), others.tolist(), shares.tolist(), strict=True)
        start += len(found.num_ngrams)
    shown = [
        {"test": items.get(test, "name"), "validation": items.get(other, "name"), "overlap": round(share, 4)}
        for test, other, share in pairs[:_MAX_EXAMPLES]
    ]
    return {"documents": len(pairs), "examples": shown}


def examples(out: Path) -> list[dict[str, Any]]:
    """The first documents that were rejected or cut, with the reason."""
    found = list[dict[str, Any]]()
    for path in [*sorted((out / "rejected").glob("*.arrow")), *sorted((out / CUTS).glob("*.arrow"))]:
        for batch in read_batches(path, ["id", "source", "path", "position", "rule", "value", "detail"]):
            found += batch.slice(0, _MAX_EXAMPLES - len(found)).to_pylist()
            if len(found) >= _MAX_EXAMPLES:
                return found
    return found


def _found(num_items: int, overlaps: Sequence[Overlaps]) -> tuple[Any, Shares]:
    """How many documents overlap with each item, and the largest overlap."""
    num_documents, largest = np.zeros(num_items, np.int64), np.zeros(num_items)
    for part in overlaps:
        np.add.at(num_documents, part.items, 1)
        np.maximum.at(largest, part.items, part.shares)
    return num_documents, largest


def _within(overlaps: Overlaps, of_set: slice) -> Any:
    return (overlaps.items >= of_set.start) & (overlaps.items < of_set.stop)


def _first(is_wanted: Any, of_set: slice) -> Any:
    return np.flatnonzero(is_wanted[of_set])[:_MAX_EXAMPLES] + of_set.start


def _excerpt(items: Items, item: int) -> dict[str, str]:
    return {"text": items.get(item, "name"), "begins": items.get(item, "excerpt")}
