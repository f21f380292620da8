"""What people read of a run in MLflow and Prefect: its name, its description and the figures they compare first."""

import textwrap
from collections.abc import Mapping
from typing import Any

from flows.phases import has_trained, trained
from tasks.artifacts.explain import flatten
from tasks.artifacts.manifest import Manifest
from tasks.artifacts.record import RunRecord
from tasks.tracking import NOT_COMPARED, in_short

_FIRST = "all"
"""Before the names of all stages in the alphabet, and so the first section of MLflow's charts."""
_MAX_CHANGES = 60
_OF_EXAMPLES = {
    "answers_bits_per_byte": "answers.bits_per_byte",
    "accuracy": "classification.accuracy",
    "macro_f1": "classification.macro_f1",
    "targets_bits_per_byte": "sequences.bits_per_byte",
    "exact_match": "sequences.exact_match",
}
"""Figures of models that learned from examples last."""


def name_of(record: RunRecord) -> str:
    """What a run has over its preset, then its id: optimizer.name=adamw 20261130-001645-ba73."""
    return f"{changes_of(record.overrides)} {record.run_id}".lstrip()


def changes_of(overrides: Mapping[str, Any]) -> str:
    """Overrides in few words; empty where they concern only the machine, the sources or the model's name."""
    flat = {key: value for key, value in flatten(in_short(dict(overrides))).items() if _is_compared(key)}
    said = ", ".join(f"{'.'.join(key.split('.')[-2:])}={value}" for key, value in flat.items())
    return textwrap.shorten(said, _MAX_CHANGES, placeholder=" …")


def _is_compared(key: str) -> bool:
    return key.partition(".")[0] not in NOT_COMPARED and key != "release.model_name"


def description_of(record: RunRecord, flow_run_url: str | None) -> str:
    """A run in Markdown, for the head of its page in MLflow; the URL only of a server that stays."""
    lines = [f"Preset `{record.preset}`"]
    if changes := changes_of(record.overrides):
        lines[0] += f" with {changes}"
    lines += [part for part in (record.decision, *record.notes, record.error) if part]
    if flow_run_url is not None:
        lines.append(f"[Its flow run in Prefect]({flow_run_url})")
    lines.append(f"`gristmill runs show {record.run_id}`, `gristmill report {record.run_id}`")
    return "\n\n".join(lines)


def key_figures(manifests: Mapping[str, Manifest]) -> dict[str, float]:
    """The few figures by which models are compared; those of stages that the run has not come to are left out."""
    found: dict[str, float | None] = {}
    if has_trained(manifests):
        values = trained(manifests).metrics.counts | trained(manifests).metrics.values
        found |= {name: values.get(name) for name in ("final_val_loss", "tokens", "training_s")}
    if (evaluation := manifests.get("evaluate")) is not None:
        values = evaluation.metrics.values
        found |= {f"test_{name}": values.get(f"test.{name}") for name in ("bits_per_byte", "perplexity")}
        found |= {name: values.get(figure) for name, figure in _OF_EXAMPLES.items()}
    if (variants := manifests.get("compress")) is not None:
        picked, metrics = variants.metrics.facts.get("picked"), variants.metrics
        found["served_tokens_per_s"] = metrics.values.get(f"{picked}_decode_tokens_per_s")
        found["served_mb"] = metrics.counts.get(f"{picked}_bytes", 0) / 1e6 or None
    return {f"{_FIRST}/{name}": value for name, value in found.items() if value is not None}
