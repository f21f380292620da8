"""Speed of the data kernels on one thread, as ratios to plain Python measured in the same run.

    python tests/bench/bench_data.py [folder] [megabytes]

The folder's .txt, .md, .rst, METADATA and the docstrings of its .py files are read; the site-packages of the running
interpreter without one. Times are of processor, after compilation.
"""

import ast
import re
import sys
import sysconfig
import time
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pyarrow as pa

from params.clean import GOPHER_STOP_WORDS, CleanParams
from params.dedup import DedupParams

TOKEN = re.compile(r"\w+(?:[^\w\s]+\w+)*|[^\w\s]")
INVISIBLE = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff]")
PEER_MB = 1.0
PROSE = {".txt", ".md", ".rst"}


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(sysconfig.get_path("purelib"))
    wanted = float(sys.argv[2]) * 1e6 if len(sys.argv) > 2 else 20e6
    texts = _up_to(documents(folder), wanted)
    few = _up_to(iter(texts), PEER_MB * 1e6)
    report("corpus", megabytes(texts), "MB")
    compile_s = _compile_seconds()
    report("kernels.first_import", compile_s, "s")
    columns = [pa.array(texts[start:stop], pa.large_string()) for start, stop in _batches(len(texts))]
    _compare("clean", texts, few, lambda: [_clean(column) for column in columns], lambda: [plain_clean(t) for t in few])
    _compare(
        "minhash", texts, few, lambda: [_sign(column) for column in columns], lambda: [plain_minhash(t) for t in few]
    )


def documents(folder: Path) -> Iterator[str]:
    """Prose of a folder, in path order."""
    warnings.simplefilter("ignore", SyntaxWarning)
    for path in sorted(folder.rglob("*")):
        try:
            if path.suffix in PROSE or path.name == "METADATA":
                yield path.read_text(encoding="utf-8")
            elif path.suffix == ".py":
                yield docstrings(path.read_text(encoding="utf-8"))
        except (UnicodeDecodeError, SyntaxError, ValueError, OSError):
            continue


def docstrings(source: str) -> str:
    """The prose of a Python file."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = (ast.get_docstring(node) for node in ast.walk(ast.parse(source)) if isinstance(node, kinds))
    return "\n\n".join(text for text in found if text)


def plain_clean(text: str) -> tuple[int, ...]:
    """Normal form and the counts of the word and line rules, as one writes them with the standard library."""
    text = INVISIBLE.sub("", unicodedata.normalize("NFC", text.replace("\r\n", "\n")))
    text = re.sub("\n{4,}", "\n\n\n", "\n".join(line.rstrip() for line in text.split("\n")))
    tokens = TOKEN.findall(text)
    words = [token for token in tokens if token[0].isalnum()]
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    stops = set(GOPHER_STOP_WORDS) & {word.lower() for word in words}
    alphabetic = sum(any(map(str.isalpha, token)) for token in tokens)
    bullets, ellipses = sum(line[0] in "-•" for line in lines), sum(line.endswith(("...", "…")) for line in lines)
    return len(tokens), sum(map(len, words)), alphabetic, len(stops), len(lines) - len(set(lines)), bullets, ellipses


def plain_minhash(text: str) -> list[int]:
    """Signature over 5-word shingles with numpy doing the permutations."""
    import numpy as np

    params = DedupParams()
    words = re.findall(r"\w+", text.lower())
    size = params.shingle_words
    shingles = {hash(tuple(words[at : at + size])) & 0xFFFFFFFF for at in range(max(1, len(words) - size + 1))}
    values = np.fromiter(shingles, np.uint32, len(shingles))
    draw = np.random.default_rng(params.seed)
    factors = draw.integers(1, 2**32, params.bands * params.rows, dtype=np.uint32) | np.uint32(1)
    return [int((values * factor).min()) for factor in factors]


def report(name: str, value: float, unit: str) -> None:
    print(f"BENCH {name} {value:.3g} {unit}", flush=True)


def megabytes(texts: list[str]) -> float:
    return sum(len(text.encode()) for text in texts) / 1e6


def _compare(
    name: str, texts: list[str], few: list[str], ours: Callable[[], object], peer: Callable[[], object]
) -> None:
    ours()
    speed, peer_speed = megabytes(texts) / _cpu_seconds(ours), megabytes(few) / _cpu_seconds(peer)
    report(f"{name}", speed, "MB/s")
    report(f"{name}.plain_python", peer_speed, "MB/s")
    report(f"{name}.ratio", speed / peer_speed, "x")


def _clean(column: pa.LargeStringArray) -> object:
    from tasks.text.normalization import normalize
    from tasks.text.quality import judge_texts

    return judge_texts(normalize(column), CleanParams())


def _sign(column: pa.LargeStringArray) -> object:
    from tasks.duplicates.signatures import sign

    return sign(column, DedupParams())


def _compile_seconds() -> float:
    """Importing the kernels: compilation, or reading them from the cache."""
    start = time.perf_counter()
    _clean(pa.array(["a"], pa.large_string()))
    _sign(pa.array(["a"], pa.large_string()))
    return time.perf_counter() - start


def _cpu_seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _up_to(texts: Iterator[str], size: float) -> list[str]:
    taken: list[str] = []
    for text in texts:
        if size <= 0:
            break
        taken.append(text)
        size -= len(text.encode())
    return taken


def _batches(number: int) -> Iterator[tuple[int, int]]:
    return pairwise([*range(0, number, 1000), number])


if __name__ == "__main__":
    main()
