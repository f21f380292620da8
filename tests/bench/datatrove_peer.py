"""The peer's side of bench_data.py: datatrove on the same text, run by an interpreter that has datatrove, not by ours.

    python datatrove_peer.py filters|minhash|tokens|chain FILE.jsonl OUT LANGUAGE [TOKENIZER.json]

Prints one JSON object with the processor seconds of the work alone (imports and the first call of each tokenizer are
over before the clock starts), and writes what it decided to OUT.
"""

import json
import logging
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from datatrove.data import Document
from datatrove.pipeline.dedup.minhash import (
    MinhashConfig,
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.tokens import DocumentTokenizer
from datatrove.pipeline.writers import JsonlWriter
from datatrove.utils.hashing import HashConfig
from loguru import logger

BUCKETS, HASHES = 14, 8


def main() -> None:
    logger.remove()
    logging.disable(logging.WARNING)
    what, path, out, language = sys.argv[1:5]
    tokenizer = sys.argv[5] if len(sys.argv) > 5 else ""
    warm_up(language)
    found = {
        "filters": lambda: filters(Path(path), Path(out), language),
        "minhash": lambda: minhash(Path(path), Path(out), language),
        "tokens": lambda: tokens(Path(path), Path(out), tokenizer),
        "chain": lambda: chain(Path(path), Path(out), language, tokenizer),
    }[what]()
    print(json.dumps(found))


def families(language: str) -> dict[str, object]:
    """The four filter families in FineWeb's order, without its C4's rule on terminal punctuation.

    Text about programs is full of signs and braces: two thresholds are loosened, here and in bench_data.py alike, lest
    both sides reject nearly everything and agree on that.
    """
    return {
        "repetition": GopherRepetitionFilter(language=language),
        "quality": GopherQualityFilter(language=language, max_non_alpha_words_ratio=0.5),
        "c4": C4QualityFilter(language=language, filter_no_terminal_punct=False, filter_curly_bracket=False),
        "fineweb": FineWebQualityFilter(language=language),
    }


def filters(path: Path, out: Path, language: str) -> dict[str, float]:
    """Verdicts of every family alone, then of all in a row, as C4 changes the text; one line a document."""
    judges = families(language)
    lines, seconds = [], 0.0
    for text in texts(path):
        verdicts = {name: reason(judge.filter(Document(text=text, id=""))) for name, judge in judges.items()}
        document = Document(text=text, id="")
        start = time.process_time()
        verdicts["all"] = next((name for name, judge in judges.items() if reason(judge.filter(document))), None)
        seconds += time.process_time() - start
        lines.append(json.dumps(verdicts))
    out.mkdir(parents=True, exist_ok=True)
    (out / "verdicts.jsonl").write_text("\n".join(lines) + "\n")
    return {"cpu_s": seconds}


def minhash(path: Path, out: Path, language: str) -> dict[str, float]:
    """Numbers of the documents that stay, one a line."""
    start = time.process_time()
    kept = deduplicated(documents(path), out, language)
    numbers = [document.id for document in kept]
    seconds = time.process_time() - start
    (out / "kept.txt").write_text("\n".join(numbers) + "\n")
    return {"cpu_s": seconds, "kept": len(numbers)}


def tokens(path: Path, out: Path, tokenizer: str) -> dict[str, float]:
    """Encode and write one token file."""
    start = time.process_time()
    encode(documents(path), out, tokenizer)
    return {"cpu_s": time.process_time() - start}


def chain(path: Path, out: Path, language: str, tokenizer: str) -> dict[str, float]:
    """JSON lines to tokens: filters, MinHash, tokens, with its own reader and a writer between filters and MinHash."""
    start = time.process_time()
    stream: Iterable[Document] = JsonlReader(str(path.parent), glob_pattern=path.name, doc_progress=False)(None, 0, 1)
    for judge in families(language).values():
        stream = judge(stream, 0, 1)
    writer = JsonlWriter(str(out / "filtered"), compression=None)
    for _ in writer(stream, 0, 1):
        pass
    again = JsonlReader(str(out / "filtered"), doc_progress=False)
    kept = deduplicated(again(None, 0, 1), out, language, second=lambda: again(None, 0, 1))
    encode(kept, out, tokenizer)
    return {"cpu_s": time.process_time() - start}


def deduplicated(stream: Iterable[Document], out: Path, language: str, second=None) -> Iterator[Document]:
    """MinHash 14 x 8 over 5-word shingles in its four steps."""
    config = MinhashConfig(
        n_grams=5, num_buckets=BUCKETS, hashes_per_bucket=HASHES, hash_config=HashConfig(precision=64)
    )
    folders = {name: str(out / name) for name in ("signatures", "buckets", "removed")}
    held = None if second else list(stream)
    MinhashDedupSignature(folders["signatures"], config, language=language).run(held or stream, 0, 1)
    for bucket in range(BUCKETS):
        MinhashDedupBuckets(folders["signatures"], folders["buckets"], config=config).run(None, bucket, BUCKETS)
    MinhashDedupCluster(folders["buckets"], folders["removed"], config=config).run(None, 0, 1)
    return MinhashDedupFilter(folders["removed"])(second() if second else held, 0, 1)


def encode(stream: Iterable[Document], out: Path, tokenizer: str) -> None:
    step = DocumentTokenizer(str(out / "tokens"), tokenizer, eos_token="<|endoftext|>", shuffle_documents=False)
    step.run(stream, 0, 1)


def documents(path: Path) -> list[Document]:
    return [Document(text=text, id=str(number)) for number, text in enumerate(texts(path))]


def texts(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)["text"]


def reason(found: bool | tuple[bool, str]) -> str | None:
    """None for a document that stays."""
    is_kept, why = found if isinstance(found, tuple) else (found, "dropped")
    return None if is_kept else why


def warm_up(language: str) -> None:
    """Load the word tokenizer, and jieba's dictionary behind it."""
    for judge in families(language).values():
        judge.filter(Document(text="One sentence. 床前明月光，疑是地上霜。\n" * 9, id=""))


if __name__ == "__main__":
    main()
