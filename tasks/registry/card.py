"""The model card and the short README, written from what happened."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.artifacts.manifest import Manifest
from tasks.registry.gate import GateCheck

Tree = Mapping[str, Any]
_SELECTING = ("ingest", "clean", "dedup", "decontaminate")


@dataclass(frozen=True)
class Story:
    """Everything that the card tells."""

    name: str
    served: str
    config: Tree
    """transformers' config.json."""
    stop: Tree
    """stop.json of training."""
    evaluation: Tree
    quality: Tree
    """Figures by variant."""
    sources: Sequence[Tree]
    results: Sequence[Manifest]
    gate: Sequence[GateCheck]
    samples: Sequence[Tree]


def model_card(story: Story) -> str:
    """MODEL_CARD.md."""
    sections = {
        "Use": _use(story),
        "Data": _data(story),
        "Training": _training(story),
        "Evaluation": _evaluation(story),
        "Variants": _variants(story),
        "Gate": [f"- {check}" for check in story.gate],
        "Samples": _samples(story),
        "Limits": _limits(story),
    }
    head = ["---", "library_name: transformers", "pipeline_tag: text-generation", "---", "", f"# {story.name}", ""]
    lines = [*head, _summary(story), ""]
    for title, body in sections.items():
        lines += [f"## {title}", "", *body, ""]
    return "\n".join(lines).rstrip() + "\n"


def readme(story: Story) -> str:
    """README.md: how to run what lies here."""
    lines = [f"# {story.name}", "", _summary(story), "", *_use(story), "", "More is in MODEL_CARD.md."]
    return "\n".join(lines) + "\n"


def _summary(story: Story) -> str:
    return (
        f"A {story.config['model_type']} language model of {story.stop['parameters']:,} parameters, trained from "
        f"scratch on {story.stop['tokens']:,} tokens; {story.evaluation['test']['bits_per_byte']:.4f} bits per byte "
        "on held-out text."
    )


def _use(story: Story) -> list[str]:
    return [
        "With numpy, onnxruntime and tokenizers alone, from this folder:",
        "",
        "```",
        'python generate.py "your prompt"',
        "```",
        "",
        "With transformers:",
        "",
        "```python",
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        "",
        'tokenizer = AutoTokenizer.from_pretrained("transformers")',
        'model = AutoModelForCausalLM.from_pretrained("transformers")',
        'prompt = tokenizer(tokenizer.bos_token + "your prompt", return_tensors="pt")',
        "print(tokenizer.decode(model.generate(**prompt, max_new_tokens=64)[0]))",
        "```",
        "",
        "From the registry:",
        "",
        "```",
        f"gristmill pull {story.name}@champion",
        "```",
    ]


def _data(story: Story) -> Iterator[str]:
    yield from ("| source | licence | files | bytes |", "|---|---|---:|---:|")
    for source in story.sources:
        yield f"| {source['name']} | {source['license']} | {source['files']:,} | {source['bytes']:,} |"
    yield ""
    yield from ("| stage | documents in | kept | dropped | why |", "|---|---:|---:|---:|---|")
    for manifest in story.results:
        if manifest.stage in _SELECTING and "docs_in" in manifest.metrics.counts:
            counts = manifest.metrics.counts
            kept, dropped = counts["docs_kept"], counts["docs_rejected"]
            yield f"| {manifest.stage} | {counts['docs_in']:,} | {kept:,} | {dropped:,} | {_reasons(counts)} |"
    shard = next((manifest for manifest in story.results if manifest.stage == "shard"), None)
    if shard is not None:
        counts = shard.metrics.counts
        splits = [f"{counts[f'{split}_docs']:,} for {split}" for split in ("train", "validation", "test")]
        yield ""
        yield f"Documents: {', '.join(splits)}. Training text: {counts['train_tokens']:,} tokens."


def _reasons(counts: Mapping[str, int]) -> str:
    rules = {key.partition(".")[2]: count for key, count in counts.items() if key.startswith("rejected.")}
    rules |= {key.replace("_", " "): counts[key] for key in ("exact_duplicates", "near_duplicates") if key in counts}
    by_count = sorted(rules.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count:,} {rule}" for rule, count in by_count if count) or "-"


def _training(story: Story) -> Iterator[str]:
    config, stop = story.config, story.stop
    yield f"- architecture: {config['architectures'][0]}, {stop['parameters']:,} parameters"
    shapes = {
        "layers": ("num_hidden_layers", "n_layer"),
        "width": ("hidden_size", "n_embd"),
        "heads": ("num_attention_heads", "n_head"),
        "context": ("max_position_embeddings", "n_positions"),
        "vocabulary": ("vocab_size",),
    }
    sizes = {label: next((config[n] for n in names if n in config), None) for label, names in shapes.items()}
    yield "- " + ", ".join(f"{label} {value:,}" for label, value in sizes.items() if value is not None)
    yield f"- {stop['steps']:,} steps, {stop['tokens']:,} tokens"
    yield f"- ended by {stop['rule']}: {stop['reason']} (verdict: {stop['verdict']})"


def _evaluation(story: Story) -> Iterator[str]:
    yield from ("| split | documents | bits per byte | interval | loss | perplexity |", "|---|---:|---:|---|---:|---:|")
    for split in ("validation", "test"):
        found = story.evaluation[split]
        interval = f"{found['bits_per_byte_low']:.4f} to {found['bits_per_byte_high']:.4f}"
        yield (
            f"| {split} | {found['docs']:,} | {found['bits_per_byte']:.4f} | {interval} | {found['loss']:.4f} "
            f"| {found['perplexity']:.2f} |"
        )
    by_source = story.evaluation["test"].get("by_source", {})
    if len(by_source) > 1:
        yield ""
        yield "Test bits per byte by source: " + ", ".join(
            f"{name} {found['bits_per_byte']:.4f}" for name, found in sorted(by_source.items())
        )


def _variants(story: Story) -> Iterator[str]:
    yield f"Served: **{story.served}**. All figures against fp32 on held-out text."
    yield ""
    yield from (
        "| variant | bytes | loss change | KL | same likeliest token | same greedy text |",
        "|---|---:|---:|---:|---:|---:|",
    )
    for name, found in story.quality.items():
        label = f"{name} (not kept)" if "rejected" in found else name
        yield (
            f"| {label} | {found['bytes']:,} | {found['loss_increase']:+.4f} "
            f"| {found['kl']:.2e} | {found['top1_agreement']:.1%} | {found['greedy_agreement']:.1%} |"
        )


def _samples(story: Story) -> Iterator[str]:
    for sample in story.samples:
        yield f"**{sample['prompt']}**"
        yield ""
        yield from (f"    {line}" for line in sample["continuation"].split("\n"))
        yield ""


def _limits(story: Story) -> Iterator[str]:
    names = ", ".join(source["name"] for source in story.sources)
    context = story.config.get("max_position_embeddings", story.config.get("n_positions"))
    yield f"- It continues text of the kind it was trained on ({names}); it is no assistant."
    yield f"- It reads at most {context:,} tokens at once, prompt and continuation together."
    yield "- What it writes may be wrong, and may repeat passages of its training text and the biases in it."
    if any(source["license"] == "unknown" for source in story.sources):
        yield "- The licence of some sources is unknown; settle that before you pass the model on."
