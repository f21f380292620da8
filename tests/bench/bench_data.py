"""The data stages against datatrove and datasets on the same text in the same run.

    make bench-data ARGS="--folder ~/.cache/gristmill-bench --megabytes 330 --peer-megabytes 12"

Fetches the corpus (tests/bench/corpus.py) and installs datatrove into an environment of its own, both once. Figures are
megabytes of raw text per processor second, over all threads, on one worker; both sides start after their imports,
compilation and dictionaries. Ours are measured on the whole corpus, the peer's on documents drawn evenly from it, since
it takes minutes for what takes us a second. Both have the same thresholds, the same MinHash (14 bands of 8 rows over
5-word shingles) and the same vocabulary.
"""

import argparse
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import venv
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import corpus  # noqa: E402

DATATROVE = ("datatrove[processing]==0.10.1", "spacy==3.8.18", "jieba==0.42.1", "nltk", "orjson")
ENGLISH, CHINESE = "eng", "cmn"
VOCAB_SIZE = 16_384
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
ALONE = {"repair": False, "boilerplate": None, "language": None, "privacy": None}
"""Without the steps of clean that the peer's filters do not have."""
FILTERS = {
    **ALONE,
    "preset": ["gopher", "c4", "fineweb"],
    "repetition": {"count_single_ngrams": True},
    "words": {"min_alpha_words": 0.5},  # as in datatrove_peer.py, which says why
    "c4": {"terminal_punctuation": False, "max_curly_brackets": None},
}
NO_FILTERS = {**ALONE, **dict.fromkeys(("repetition", "repetition_unspaced", "words", "characters", "lines"))}
MINHASH = {"signature": "14x8"}
SECTIONS = {"clean": FILTERS, "dedup": MINHASH, "shard": {"context": 1024}}
FAMILIES = {
    "repetition": {"repetition": FILTERS["repetition"]},
    "quality": {"words": {"min_alpha_words": 0.5}, "lines": {}},
    "c4": {"c4": FILTERS["c4"]},
    "fineweb": {"fineweb": {}},
}
RECALL_DOCS = 2000
"""Most documents of each language that recall is measured on, before variants."""
SIZES_MB = (30, 300, 1000)
PART_MB = 16
TURNS = 3
"""Of one and of two workers."""


@dataclass(frozen=True)
class Bench:
    """A folder to work in, and how much text."""

    folder: Path
    megabytes: float
    peer_megabytes: float

    @cached_property
    def files(self) -> list[Path]:
        return corpus.fetch(self.folder / "corpus", int(self.megabytes * 1e6))

    @cached_property
    def parts(self) -> list[Path]:
        """The same in folders of files that workers can share."""
        return [split(path, self.folder / "parts" / path.stem) for path in self.files]

    @cached_property
    def samples(self) -> dict[str, Path]:
        """A file of documents drawn evenly for the peer, by its name of the language."""
        return {
            language: draw(path, self.folder / f"{path.stem}-{self.peer_megabytes:g}.jsonl", self.peer_megabytes)
            for language, path in zip((ENGLISH, CHINESE), self.files, strict=True)
        }

    @cached_property
    def peer_python(self) -> Path:
        """An interpreter with datatrove."""
        home = self.folder / "datatrove"
        python = home / "bin" / "python"
        if not (home / "done").exists():
            say("installing datatrove")
            shutil.rmtree(home, ignore_errors=True)
            venv.create(home, with_pip=True)
            subprocess.run([python, "-m", "pip", "install", "--quiet", *DATATROVE], check=True)
            (home / "done").touch()
        return python

    @cached_property
    def tokenizer_folder(self) -> Path:
        """A vocabulary of both languages."""
        folder = self.folder / f"tokenizer-{VOCAB_SIZE}"
        if not (folder / "tokenizer_config.json").exists():
            train_tokenizer([text for path in self.samples.values() for text in texts(path)], folder)
        return folder

    @property
    def store(self) -> Path:
        """Where our last run left its results."""
        return self.folder / "store"

    def ours(
        self, files: list[Path], *, workers: int = 1, last: str = "shard", sections: dict[str, Any] = SECTIONS
    ) -> dict[str, Any]:
        """What chain.py measured on these files, up to the stage `last`; a worker has a core."""
        return self._chain(files, self.store, CORES[:workers], last, sections)

    def apart(self, files: list[Path]) -> list[dict[str, Any]]:
        """The same for two processes at once, each with a core of its own and all of the files."""

        def alone(core: int) -> dict[str, Any]:
            store = self.store.with_name(f"{self.store.name}-{core}")
            found = self._chain(files, store, [core], "shard", SECTIONS)
            shutil.rmtree(store)
            return found

        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(alone, CORES[:2]))

    def _chain(
        self, files: list[Path], store: Path, cores: list[int], last: str, sections: dict[str, Any]
    ) -> dict[str, Any]:
        shutil.rmtree(store, ignore_errors=True)
        parameters, where = json.dumps(sections), ",".join(map(str, cores))
        return run([sys.executable, HERE / "chain.py", store, self.tokenizer_folder, where, last, parameters, *files])

    def peer(self, what: str, language: str) -> dict[str, Any]:
        """What datatrove_peer.py measured on the sample of a language, with the sample's size."""
        out = self.folder / f"peer-{what}-{language}"
        shutil.rmtree(out, ignore_errors=True)
        sample, tokenizer = self.samples[language], self.tokenizer_folder / "tokenizer.json"
        found = run([self.peer_python, HERE / "datatrove_peer.py", what, sample, out, language, tokenizer])
        return found | {"mb": text_mb(sample)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("~/.cache/gristmill-bench").expanduser())
    parser.add_argument("--megabytes", type=float, default=330.0, help="of corpus; a fifth of it Chinese (330)")
    parser.add_argument("--peer-megabytes", type=float, default=12.0, help="of each language for datatrove (12)")
    parser.add_argument("--only", nargs="*", choices=list(MEASUREMENTS), default=list(MEASUREMENTS))
    given = parser.parse_args()
    bench = Bench(given.folder.absolute(), given.megabytes, given.peer_megabytes)
    os.environ.setdefault("NUMBA_CACHE_DIR", str(bench.folder / "numba"))
    report("corpus", sum(map(text_mb, bench.files)), "MB")
    for name in given.only:
        MEASUREMENTS[name](bench)


def chain(bench: Bench) -> None:
    """JSON lines to token blocks: read, filter, MinHash, encode, pack."""
    # Ours before, between and after the peer's, and of each the middle one: other users of the machine come and go.
    runs, peers = [bench.ours(bench.parts)], []
    for language in (ENGLISH, CHINESE):
        peers.append(bench.peer("chain", language))
        runs.append(bench.ours(bench.parts))
    mine = sorted(runs, key=lambda run: run["cpu_s"])[1]
    size = sum(map(text_mb, bench.files))
    for stage, seconds in mine["stages"].items():
        report(f"chain.{stage}", seconds["cpu_s"], "cpu-s")
        report(f"chain.{stage}.peak", seconds["peak_mb"], "MB")
    report("chain", size / mine["cpu_s"], "MB/cpu-s")
    report("chain.peak", mine["peak_mb"], "MB")
    # A corpus of a fifth Chinese takes the peer the sum of what its parts take.
    parts = [text_mb(path) * peer["cpu_s"] / peer["mb"] for path, peer in zip(bench.files, peers, strict=True)]
    report("chain.datatrove", size / sum(parts), "MB/cpu-s")
    report("chain_vs_datatrove", sum(parts) / mine["cpu_s"], "x")


def filters(bench: Bench) -> None:
    """Speed of the four families together, and how often they decide as the peer's do, alone and in a row."""
    english, sample = bench.files[:1], bench.samples[ENGLISH]
    first, peer, second = (
        bench.ours(english, last="clean"),
        bench.peer("filters", ENGLISH),
        bench.ours(english, last="clean"),
    )
    seconds = (first["stages"]["clean"]["cpu_s"] + second["stages"]["clean"]["cpu_s"]) / 2
    speed = text_mb(english[0]) / seconds
    report("filters", speed, "MB/cpu-s")
    report("filters.datatrove", peer["mb"] / peer["cpu_s"], "MB/cpu-s")
    report("filters_vs_datatrove", speed * peer["cpu_s"] / peer["mb"], "x")
    with (bench.folder / f"peer-filters-{ENGLISH}" / "verdicts.jsonl").open() as lines:
        verdicts = [json.loads(line) for line in lines]
    for name, sections in {**FAMILIES, "all": FILTERS}.items():
        bench.ours([sample], last="clean", sections={"clean": NO_FILTERS | sections})
        rejected = rejected_lines(bench.store / "clean")
        same = [(verdict[name] is None) == (line not in rejected) for line, verdict in enumerate(verdicts, 1)]
        report("filters_agreement" if name == "all" else f"filters_agreement.{name}", sum(same) / len(same), "share")


def minhash(bench: Bench) -> None:
    """Near duplicates alone: signatures, buckets, clusters, and writing those that stay."""
    english = bench.files[:1]
    sections = {"clean": NO_FILTERS, "dedup": MINHASH}
    mine = bench.ours(english, last="dedup", sections=sections)["stages"]["dedup"]
    peer = bench.peer("minhash", ENGLISH)
    speed = text_mb(english[0]) / mine["cpu_s"]
    report("minhash", speed, "MB/cpu-s")
    report("minhash.datatrove", peer["mb"] / peer["cpu_s"], "MB/cpu-s")
    report("minhash_vs_datatrove", speed * peer["cpu_s"] / peer["mb"], "x")


def recall(bench: Bench) -> None:
    """Near duplicates found and wrongly found, against the exact Jaccard similarity of all pairs."""
    from near_duplicates import build_corpus, exact_jaccard_pairs, precision, removed_by_dedup
    from near_duplicates import recall as recall_of

    halves = [texts(path) for path in bench.samples.values()]
    made = build_corpus([text for half in halves for text in half[:: len(half) // RECALL_DOCS + 1]])
    truth = exact_jaccard_pairs(made.texts)
    removed, _ = removed_by_dedup(made.texts)
    report("minhash_recall_80", recall_of(truth, removed, 0.8), "share")
    report("minhash_recall_70", recall_of(truth, removed, 0.7, 0.8), "share")
    report("minhash_precision_60", precision(truth, removed), "share")


def pack(bench: Bench) -> None:
    """Encoding and packing against datasets.map; the ids must be the same."""
    from packing_peer import ours, peer_datasets

    chosen = [text for path in bench.samples.values() for text in texts(path)]
    size = sum(len(text.encode()) for text in chosen) / 1e6
    blocks, mine_s = ours(chosen, bench.tokenizer_folder)
    expected, peer_s = peer_datasets(chosen, bench.tokenizer_folder)
    assert (blocks[: len(expected)] == expected).all(), "the blocks differ"
    report("pack", size / mine_s, "MB/cpu-s")
    report("pack.datasets", size / peer_s, "MB/cpu-s")
    report("pack_vs_datasets", peer_s / mine_s, "x")


def workers(bench: Bench) -> None:
    """Wall time of the chain with one and with two workers, in turn; of the ratios the middle one.

    two_processes_vs_one is what the machine allows: how much more two processes do, which have nothing in common but
    its memory and its disk.
    """
    turns = [(bench.ours(bench.parts), bench.ours(bench.parts, workers=2)) for _ in range(TURNS)]
    apart = bench.apart(bench.parts)
    one, two = (statistics.median(turn[side]["wall_s"] for turn in turns) for side in (0, 1))
    report("one_worker", one, "s")
    report("two_workers", two, "s")
    report("two_workers_vs_one", statistics.median(a["wall_s"] / b["wall_s"] for a, b in turns), "x")
    report("two_processes_vs_one", len(apart) * one / max(process["wall_s"] for process in apart), "x")
    for name in turns[0][0]["stages"]:
        ratios = (a["stages"][name]["wall_s"] / b["stages"][name]["wall_s"] for a, b in turns)
        report(f"two_workers_vs_one.{name}", statistics.median(ratios), "x")


def growth(bench: Bench) -> None:
    """Speed and peak memory as the corpus grows."""
    for size in SIZES_MB:
        files = corpus.fetch(bench.folder / "corpus", size * 1_000_000)
        mine = bench.ours(files)
        report(f"growth.{size}", sum(map(text_mb, files)) / mine["cpu_s"], "MB/cpu-s")
        report(f"growth.{size}.peak", mine["peak_mb"], "MB")


def rejected_lines(folder: Path) -> set[int]:
    """Lines of the source whose documents a stage rejected."""
    paths = folder.glob("*/rejected/*.arrow")
    return {line for path in paths for line in pa.ipc.open_file(path).read_all().column("position").to_pylist()}


def run(command: list[Any]) -> dict[str, Any]:
    """The JSON object that a program prints last."""
    environment = os.environ | {"PYTHONPATH": str(HERE.parents[1]), "ARROW_DEFAULT_MEMORY_POOL": "system"}
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, text=True, check=True, env=environment)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def split(path: Path, folder: Path) -> Path:
    """A folder of files of PART_MB with the lines of a file."""
    if not folder.exists():
        scratch = folder.with_name(f"{folder.name}.partial")
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        with path.open("rb") as lines:
            for number in itertools.count():
                if not (part := lines.readlines(PART_MB * 1_000_000)):
                    break
                (scratch / f"{number:04d}.jsonl").write_bytes(b"".join(part))
        scratch.rename(folder)
    return folder


def draw(path: Path, out: Path, megabytes: float) -> Path:
    """Every n-th document of a file, about so many megabytes."""
    if not out.exists():
        step = max(1, round(path.stat().st_size / (megabytes * 1e6)))
        with path.open(encoding="utf-8") as lines, out.open("w", encoding="utf-8") as drawn:
            drawn.writelines(line for number, line in enumerate(lines) if number % step == 0)
    return out


def train_tokenizer(chosen: list[str], folder: Path) -> None:
    from tasks.tokenizer.bpe import train_bpe
    from tasks.tokenizer.files import save_tokenizer
    from tasks.tokenizer.special import DEFAULT_TOKENS

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = train_bpe([chosen], vocab_size=VOCAB_SIZE, min_frequency=2)
    save_tokenizer(tokenizer, DEFAULT_TOKENS, folder, chat_template=None)


def texts(path: Path) -> list[str]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines]


def text_mb(path: Path) -> float:
    """Megabytes of text in a file, without what JSON puts around it."""
    with path.open(encoding="utf-8") as lines:
        return sum(len(json.loads(line)["text"].encode()) for line in lines) / 1e6


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def report(name: str, value: float, unit: str) -> None:
    print(f"BENCH {name} {value:.4g} {unit}", flush=True)


MEASUREMENTS = {
    "chain": chain,
    "filters": filters,
    "minhash": minhash,
    "recall": recall,
    "pack": pack,
    "workers": workers,
    "growth": growth,
}

if __name__ == "__main__":
    main()
