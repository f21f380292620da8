"""How surely near duplicates are found: variants of real documents, and exact Jaccard similarity of all pairs.

    python tests/bench/near_duplicates.py FILE.jsonl [documents]

`build_corpus` makes the documents, `exact_jaccard_pairs` the truth, `recall` and `precision` judge what any tool found.
"""

import json
import random
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pyarrow as pa

Pair = tuple[int, int]
SHARES_CHANGED = (0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12)
"""Of the words of a variant: with 5-word shingles Jaccard similarities from about .3 to 1."""


@dataclass(frozen=True)
class Corpus:
    """Documents, some of them variants of others."""

    texts: list[str]
    originals: list[int]
    """For each document the number of the one it was made from; itself where it is real."""


def build_corpus(texts: Sequence[str], variants: int = 1600, seed: int = 5) -> Corpus:
    """The texts, and so many variants of some: words (characters of unspaced text) replaced or lost, pieces moved."""
    draw = random.Random(seed)
    made, originals = list(texts), list(range(len(texts)))
    for number in range(variants):
        original = draw.randrange(len(texts))
        made.append(_variant(texts[original], SHARES_CHANGED[number % len(SHARES_CHANGED)], draw))
        originals.append(original)
    return Corpus(made, originals)


def exact_jaccard_pairs(texts: Sequence[str], least: float = 0.5) -> dict[Pair, float]:
    """Similarity of all pairs from `least` on, by the shingles that dedup compares.

    Only documents that share one of their rarest shingles are compared (prefix filter, Chaudhuri et al. 2006, section
    3: sets of similarity J share at least J of each one's elements, so not all of these are among the commonest): no
    pair is lost.
    """
    sets = [shingle_set(text) for text in texts]
    frequency = Counter(shingle for shingles in sets for shingle in shingles)
    holders: dict[int, list[int]] = defaultdict(list)
    found: dict[Pair, float] = {}
    for number, shingles in enumerate(sets):
        rarest = sorted(shingles, key=lambda shingle: (frequency[shingle], shingle))
        candidates: set[int] = set()
        for shingle in rarest[: len(rarest) - _least_common(len(rarest), least) + 1]:
            candidates.update(holders[shingle])
            holders[shingle].append(number)
        for other in candidates:
            common = len(shingles & sets[other])
            similarity = common / (len(shingles) + len(sets[other]) - common)
            if similarity >= least:
                found[other, number] = similarity
    return found


def shingle_set(text: str) -> set[int]:
    """Hashes of a text's shingles: runs of 5 words, or of 8 characters where the script is unspaced."""
    from params.dedup import DedupParams

    params, tokens = DedupParams(), _tokens(text)
    size = params.shingle_characters if _is_unspaced(text) else params.shingle_words
    if len(tokens) < size:
        return {hash(tuple(tokens))} if tokens else set()
    return {hash(tuple(tokens[at : at + size])) for at in range(len(tokens) - size + 1)}


def recall(truth: dict[Pair, float], removed: set[int], low: float, high: float = 1.01) -> float:
    """Share of the pairs with low <= similarity < high of which at least one document is gone."""
    pairs = [pair for pair, similarity in truth.items() if low <= similarity < high]
    return sum(not removed.isdisjoint(pair) for pair in pairs) / max(len(pairs), 1)


def precision(truth: dict[Pair, float], removed: set[int], least: float = 0.6) -> float:
    """Share of the documents gone that have a partner of that similarity."""
    partnered = {number for pair, similarity in truth.items() if similarity >= least for number in pair}
    return sum(number in partnered for number in removed) / max(len(removed), 1)


def removed_by_dedup(texts: Sequence[str], **params: object) -> tuple[set[int], dict[str, float]]:
    """Numbers of the documents that dedup removes; seconds of processor time for signing and for clustering."""
    import numpy as np

    from params.dedup import DedupParams
    from tasks.documents.schema import DOCUMENT
    from tasks.documents.shards import shard_name, shard_writer
    from tasks.duplicates.descriptions import Descriptions, describe_shard
    from tasks.duplicates.index import Index
    from tasks.duplicates.ranking import order_of
    from tasks.duplicates.verdicts import find_survivors

    chosen = DedupParams.model_validate(params)
    with tempfile.TemporaryDirectory() as name:
        folder, shards = Path(name), list[Path]()
        for start in range(0, len(texts), 1000):
            shards.append(folder / shard_name(start // 1000))
            with shard_writer(shards[-1], DOCUMENT) as writer:
                writer.write_batch(_batch(texts, start, min(start + 1000, len(texts))))
        started = time.process_time()
        for shard in shards:
            describe_shard(shard, params=chosen, folder=folder)
        signed = time.process_time()
        descriptions = Descriptions(folder, shards)
        order = order_of(shards, descriptions.sizes[:, 0], chosen)
        verdicts = find_survivors(descriptions, order, Index([], chosen.bands * chosen.rows), chosen, scratch=folder)
        seconds = {"sign": signed - started, "cluster": time.process_time() - signed}
        return set(np.flatnonzero(~verdicts.kept).tolist()), seconds


def main() -> None:
    number = int(sys.argv[2]) if len(sys.argv) > 2 else 4000
    with Path(sys.argv[1]).open(encoding="utf-8") as lines:
        corpus = build_corpus([json.loads(line)["text"] for line in islice(lines, number)])
    truth = exact_jaccard_pairs(corpus.texts)
    size = sum(len(text.encode()) for text in corpus.texts) / 1e6
    print(f"BENCH minhash.corpus {len(corpus.texts)} documents {size:.3g} MB, {len(truth)} pairs from .5", flush=True)
    for signature, min_similarity in (("20x5", 0.65), ("14x8", None), ("14x8", 0.65)):
        removed, seconds = removed_by_dedup(corpus.texts, signature=signature, min_similarity=min_similarity)
        name = f"minhash.{signature}{'' if min_similarity else '.unverified'}"
        _report(f"{name}.recall_80", recall(truth, removed, 0.8), "share")
        _report(f"{name}.recall_70", recall(truth, removed, 0.7, 0.8), "share")
        _report(f"{name}.precision_60", precision(truth, removed), "share")
        _report(f"{name}.speed", size / seconds["sign"], "MB/s")


def _report(name: str, value: float, unit: str) -> None:
    print(f"BENCH {name} {value:.4g} {unit}", flush=True)


def _batch(texts: Sequence[str], start: int, stop: int) -> pa.RecordBatch:
    from tasks.documents.schema import DOCUMENT

    rows = [
        {"id": f"{number:032x}", "source": "bench", "path": "all", "position": number + 1, "text": texts[number]}
        for number in range(start, stop)
    ]
    return pa.RecordBatch.from_pylist(rows, schema=DOCUMENT)


def _variant(text: str, share: float, draw: random.Random) -> str:
    """Some pieces replaced, one in four of them lost instead."""
    pieces = list(text) if _is_unspaced(text) else text.split(" ")
    chosen = draw.sample(range(len(pieces)), min(len(pieces), round(share * len(pieces))))
    for at in chosen:
        lost = draw.random() < 0.25
        pieces[at] = "" if lost else draw.choice(pieces) if len(pieces[at]) == 1 else f"new{draw.randrange(10_000)}"
    return ("" if _is_unspaced(text) else " ").join(pieces)


def _tokens(text: str) -> list[str]:
    """As tasks/duplicates/signatures.py splits: words, or single characters of unspaced scripts; in lower case."""
    import numpy as np

    from tasks.text.characters import WORD, character_classes

    codes = np.frombuffer(text.lower().encode("utf-32-le"), np.uint32)
    is_word = character_classes()[codes] & WORD != 0
    if _is_unspaced(text):
        return [chr(code) for code in codes[is_word].tolist()]
    return np.where(is_word, codes, 32).astype(np.uint32).tobytes().decode("utf-32-le").split()


def _is_unspaced(text: str) -> bool:
    import numpy as np

    from tasks.text.characters import LETTER, UNSPACED, character_classes
    from tasks.text.measures import UNSPACED_SHARE

    classes = character_classes()[np.frombuffer(text.encode("utf-32-le"), np.uint32)]
    letters = int((classes & LETTER != 0).sum())
    return letters > 0 and int((classes & UNSPACED != 0).sum()) >= UNSPACED_SHARE * letters


def _least_common(size: int, similarity: float) -> int:
    """Elements that a set of this size shares at least with one so similar."""
    return max(1, -int(-similarity * size // 1))


if __name__ == "__main__":
    main()
