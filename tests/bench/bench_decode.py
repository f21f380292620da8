"""Decoding of exported variants against torch and against onnxruntime-genai's own graphs: make bench-decode.

    make bench-decode ARGS="--rounds 4 --folder ~/.cache/gristmill-bench/decode"
    make bench-decode ARGS="--sizes 12m"

Prints `BENCH name value unit` lines; ratios are ours over theirs. Batch 1, greedy, a prompt of 32 tokens and 160 new
ones; every side is a process of its own, the sides of a round run in turn, and a side has its best round at its best
number of threads. The models are trained on the documentation of the installed packages, briefly (the 100 M one very
briefly: --tokens-100m), because the loss of a random model says nothing about quantization.

int8_vs_torch_12m, int8_vs_torch_100m, int4_vs_torch_100m: tokens a second over transformers in float32, eager.
int8_vs_genai_12m: over the int8 graph of onnxruntime-genai's builder, run by its own Generator.
…_loss_change: of the cross-entropy on held-out blocks, in percent of the float32 graph's.
greedy_differences_…: rows of greedy tokens of the float32 graph that differ from torch's.
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import chain  # noqa: E402
import train_text  # noqa: E402

from params.pipeline import PipelineParams  # noqa: E402
from params.run import RunParams  # noqa: E402
from tasks.artifacts.manifest import Manifest  # noqa: E402
from tasks.artifacts.record import RunRecord  # noqa: E402
from tasks.artifacts.store import Store  # noqa: E402
from tasks.context import Run, num_cores  # noqa: E402
from tasks.graph.held_out import held_out_blocks  # noqa: E402

MODELS = {"12m": {"layers": 6, "width": 384, "heads": 6}, "100m": {"layers": 12, "width": 768, "heads": 12}}
PROMPT, NEW, PROMPTS = 32, 160, 4
GENAI = ("int8", "int4")


@dataclass
class Bench:
    """What all measurements share."""

    folder: Path
    text: train_text.Text
    tokens: dict[str, int]
    threads: int
    most_threads: int
    rounds: int


def main() -> None:
    arguments = parse()
    text = train_text.make_text(arguments.text or arguments.folder / "text")
    tokens = {"12m": arguments.tokens_12m, "100m": arguments.tokens_100m}
    cores = num_cores()
    threads, most = arguments.threads or cores, arguments.most_threads or cores
    bench = Bench(arguments.folder, text, tokens, threads, most, arguments.rounds)
    for size in arguments.sizes:
        measure(bench, size)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=sorted(MODELS), default=["12m", "100m"])
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--threads", type=int, help="of training; one per core when left out")
    parser.add_argument("--most-threads", type=int, help="tried of each side; one per core when left out")
    parser.add_argument("--tokens-12m", type=int, default=800_000)
    parser.add_argument("--tokens-100m", type=int, default=100_000)
    parser.add_argument("--text", type=Path, help="folder of bench_train.py with text.json")
    parser.add_argument("--folder", type=Path, default=Path.home() / ".cache" / "gristmill-bench" / "decode")
    return parser.parse_args()


def measure(bench: Bench, size: str) -> None:
    """One model: train, export, compress, build the peer's graphs, decode in turn."""
    made = stages(bench, size)
    sides = {("torch", "fp32"): made["train"].folder / "model", ("ours", "fp32"): made["export"].folder / "fp32"}
    sides |= {("ours", path.parent.name): path.parent for path in made["compress"].paths("*/model.onnx")}
    sides |= {("genai", name): genai_graph(bench, size, made["train"].folder / "model", name) for name in GENAI}
    report_loss(size, made["compress"])
    speeds, texts = decode_in_turn(bench, size, sides, made["shard"])
    for (kind, variant), (speed, threads) in speeds.items():
        say(f"{kind}_{variant}_{size}", speed, f"tokens/s ({threads} threads)")
    different = sum(a != b for a, b in zip(texts["torch", "fp32"], texts["ours", "fp32"], strict=True))
    say(f"greedy_differences_{size}", different, f"of {PROMPTS} rows")
    for variant in GENAI:
        ours = speeds["ours", variant][0]
        say(f"{variant}_vs_torch_{size}", ours / speeds["torch", "fp32"][0], "x")
        say(f"{variant}_vs_genai_{size}", ours / speeds["genai", variant][0], "x")


def stages(bench: Bench, size: str) -> dict[str, Manifest]:
    """The results of training, export and compression, made once a folder; export is timed when it is made."""
    sections: dict[str, Any] = {
        "survey": {"sources": [train_text.DOCUMENTATION]},
        "train": {
            "model": MODELS[size],
            "stop": {"max_tokens": bench.tokens[size]},
            "eval_every_steps": 10**6,
            "eval_blocks": 32,
        },
        "compress": {"variants": [*GENAI, "int4_gptq"], "check_blocks": 48},
    }
    params = PipelineParams.model_validate(sections)
    run = Run(Store(bench.folder / size), RunParams(threads=bench.threads, compile=False), RunRecord.begin("bench", {}))
    made = {"shard": bench.text.shards}
    inputs = {"train": ["tokenizer", "shard"], "export": ["train", "shard"], "compress": ["export", "shard"]}
    made["tokenizer"] = bench.text.tokenizer
    for name, needed in inputs.items():
        made[name] = sealed(name, params, run, [made[stage] for stage in needed], size)
    return made


def sealed(name: str, params: PipelineParams, run: Run, inputs: list[Manifest], size: str) -> Manifest:
    known = run.store.root / f"{name}.json"
    if known.exists() and (found := run.store.find(name, json.loads(known.read_text()))):
        return found
    began = time.perf_counter()
    made = chain.seal_stage(name, params, run, inputs)
    say(f"{name}_seconds_{size}", time.perf_counter() - began, "s")
    print(f"{name}: {made.metrics.headline}", file=sys.stderr)
    known.write_text(json.dumps(made.fingerprint))
    return made


def report_loss(size: str, compressed: Manifest) -> None:
    quality = json.loads((compressed.folder / "quality.json").read_text())
    say(f"fp32_loss_{size}", quality["fp32"]["loss"], "nats/token")
    for variant in (*GENAI, "int4_gptq"):
        say(f"{variant}_loss_change_{size}", 100 * quality[variant]["loss_increase"] / quality["fp32"]["loss"], "%")


def genai_graph(bench: Bench, size: str, model: Path, variant: str) -> Path:
    """The graph that onnxruntime-genai's builder makes of the same model, with the kernels ours uses."""
    out = bench.folder / size / f"genai-{variant}"
    if not (out / "model.onnx").exists():
        command = [sys.executable, "-m", "onnxruntime_genai.models.builder", "-i", str(model), "-o", str(out)]
        command += ["-p", variant, "-e", "cpu", "-c", str(bench.folder / "cache"), "--extra_options"]
        command += ["accuracy_level=4", "hf_token=false"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return out


def decode_in_turn(
    bench: Bench, size: str, sides: dict[tuple[str, str], Path], shards: Manifest
) -> tuple[dict[tuple[str, str], tuple[float, int]], dict[tuple[str, str], list[list[int]]]]:
    """Best tokens a second with the number of threads that gave it, and the tokens, by side."""
    prompts = bench.folder / size / "prompts.json"
    prompts.write_text(json.dumps([block[:PROMPT] for block in held_out_blocks(shards, PROMPTS)]))
    best: dict[tuple[str, str], tuple[float, int]] = {}
    texts: dict[tuple[str, str], list[list[int]]] = {}
    for _ in range(bench.rounds):
        for threads in range(1, bench.most_threads + 1):
            for (kind, variant), folder in sides.items():
                command = [sys.executable, str(HERE / "decode_sides.py"), kind, str(folder), str(threads)]
                done = subprocess.run([*command, str(prompts), str(NEW)], check=True, stdout=subprocess.PIPE, text=True)
                found = json.loads(done.stdout.splitlines()[-1])
                texts.setdefault((kind, variant), found["tokens"])
                best[kind, variant] = max(best.get((kind, variant), (0.0, 0)), (max(found["speeds"]), threads))
    return best, texts


def say(name: str, value: float, unit: str) -> None:
    """One figure."""
    print(f"BENCH {name} {value:.4g} {unit}".rstrip(), flush=True)


if __name__ == "__main__":
    main()
