"""The text of bench_train.py: documentation of the running interpreter's packages, by our own stages to token shards.

    python tests/bench/train_text.py FOLDER

Made once; needs no network. Prints the folders of the tokenizer and of the shards.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import chain

from params.pipeline import PipelineParams
from params.run import RunParams
from tasks.artifacts.manifest import Manifest
from tasks.artifacts.record import RunRecord
from tasks.artifacts.store import Store
from tasks.context import Run, roots_of

CONTEXT, VOCAB_SIZE = 256, 4096
STAGES = ("survey", "ingest", "clean", "dedup", "split", "train_tokenizer", "shard")
DOCUMENTATION = {
    "name": "environment",
    "path": "python-environment",
    "include": ["**/*.{md,rst,txt}", "*.dist-info/METADATA", "**/*.py"],
    "exclude": [
        "gristmill-*.dist-info/**",
        "**/{test,tests,testing,vendor,_vendor}/**",
        "{coolname/data,mlflow/pyspark}/**",
    ],
}
SECTIONS = {
    "survey": {"sources": [DOCUMENTATION]},
    "clean": {"preset": "documentation", "words": {"min_words": 20}},
    "split": {"validation": 0.02, "test": 0.001},
    "train_tokenizer": {"vocab_size": VOCAB_SIZE, "max_sample_mb": 20},
    "shard": {"context": CONTEXT, "shuffle_seed": 1},
}


@dataclass(frozen=True)
class Text:
    """What a training stage reads."""

    tokenizer: Manifest
    shards: Manifest


def main() -> None:
    text = make_text(Path(sys.argv[1]))
    print(text.tokenizer.folder, text.shards.folder, sep="\n")


def make_text(folder: Path) -> Text:
    """Tokenizer and shards in `folder`, made where they are not there yet."""
    store, known = Store(folder / "store"), folder / "text.json"
    if known.exists():
        made = {name: store.find(name, key) for name, key in json.loads(known.read_text()).items()}
    else:
        made = dict(_make(store))
        known.write_text(json.dumps({name: made[name].fingerprint for name in ("train_tokenizer", "shard")}))
    tokenizer, shards = made["train_tokenizer"], made["shard"]
    if tokenizer is None or shards is None:
        sys.exit(f"{folder} is not whole; remove it")
    return Text(tokenizer, shards)


def _make(store: Store) -> dict[str, Manifest]:
    params = PipelineParams.model_validate(SECTIONS)
    run = Run(store, RunParams(), RunRecord.begin("bench", {}), roots=roots_of(params))
    made: dict[str, Manifest] = {}
    for name in STAGES:
        made[name] = chain.seal_stage(name, params, run, inputs_of(name, made))
        print(f"{name}: {made[name].metrics.headline}", file=sys.stderr)
    return made


def inputs_of(name: str, made: dict[str, Manifest]) -> list[Manifest]:
    """What a stage reads: the stage before it, and for the shards the tokenizer with the split."""
    if name == "shard":
        return [made["train_tokenizer"], made["split"]]
    return list(made.values())[-1:]


if __name__ == "__main__":
    main()
