"""Cut the trained model down to what matters, and let it heal by learning from the whole one."""

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from params.prune import PruneParams
from tasks.artifacts.digest import write_atomic
from tasks.artifacts.manifest import Manifest, Metrics
from tasks.context import Run, num_cores
from tasks.stage import stage

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from tasks.training.batch import Batch

log = logging.getLogger(__name__)
_MODEL, _STOP, _REPORT = "model", "stop.json", "prune.json"


@stage(version=1, volatile=("logs/*",))
def prune(params: PruneParams, model: Manifest, shards: Manifest, *, out: Path, run: Run) -> Metrics:
    """The smaller model in model/, in the layout that training leaves, and prune.json about what went and what it cost.

    Interrupted at any instant, the next call goes on from the newest checkpoint of the healing.
    """
    import torch

    from tasks.compression.cutting import check_can_cut
    from tasks.compression.healing import CHECKPOINT
    from tasks.compression.importance import mean_loss
    from tasks.graph.source import load_whole
    from tasks.model.build import num_parameters
    from tasks.model.packing import accept_packed_blocks
    from tasks.tokenizer.files import copy_tokenizer

    threads = torch.get_num_threads()
    torch.set_num_threads(run.settings.threads or num_cores())
    try:
        source = model.folder_with(f"{_MODEL}/**") / _MODEL
        whole = load_whole(source)
        accept_packed_blocks(whole)
        config = whole.config
        narrows = params.ffn_share < 1
        check_can_cut(
            config.model_type, drop_layers=params.drop_layers, layers=config.num_hidden_layers, narrows=narrows
        )
        batches = _batches(source, shards, "validation", params.scan_blocks)
        report: dict[str, Any] = {"parameters_before": num_parameters(whole), "loss_before": mean_loss(whole, batches)}
        cut = _cut(whole, batches, params, report)
        report |= {"parameters": num_parameters(cut), "loss_cut": mean_loss(cut, batches)}
        _heal(cut, whole, params, source, shards, out / "logs")
        report["loss"] = mean_loss(cut, batches)
    finally:
        torch.set_num_threads(threads)
    cut.save_pretrained(out / _MODEL)
    copy_tokenizer(source, out / _MODEL)
    _tell(model.file(_STOP), out, report)
    (out / "logs" / CHECKPOINT).unlink(missing_ok=True)
    return _metrics(report)


def _cut(
    whole: "PreTrainedModel", batches: "list[Batch]", params: PruneParams, report: dict[str, Any]
) -> "PreTrainedModel":
    """Take out layers one at a time, scanning anew after each, then neurons."""
    from tasks.compression.cutting import with_neurons, without_layer
    from tasks.compression.importance import losses_without_a_layer, neuron_scores

    cut, there = whole, list(range(whole.config.num_hidden_layers))
    report |= {"layers_before": len(there), "scans": []}
    for _ in range(params.drop_layers):
        losses = losses_without_a_layer(cut, batches)
        least = losses.index(min(losses))
        scan = {str(name): round(loss, 6) for name, loss in zip(there, losses, strict=True)}
        report["scans"].append({"loss_without": scan, "dropped": there[least]})
        log.info("prune: layer %d goes, the loss without it is %.4f", there[least], losses[least])
        cut, there = without_layer(cut, least), [*there[:least], *there[least + 1 :]]
    if params.ffn_share < 1:
        scores = neuron_scores(cut, batches)
        cut = with_neurons(cut, scores, params.ffn_share)
        report["ffn_width_before"] = len(scores[0])
        report["ffn_width"] = len(neuron_scores(cut, batches[:1])[0])
    return cut


def _heal(
    cut: "PreTrainedModel", whole: "PreTrainedModel", params: PruneParams, source: Path, shards: Manifest, logs: Path
) -> None:
    from tasks.compression.healing import Lesson, heal
    from tasks.shards.blocks import Blocks

    blocks = Blocks(shards.paths("train/*.arrow"))
    steps = params.heal_tokens // (params.batch_blocks * blocks.context)
    if steps:
        heal(cut, whole, Lesson(params, len(blocks), steps, lambda chosen: _batch(source, blocks[chosen])), logs)


def _batches(source: Path, shards: Manifest, split: str, limit: int) -> "list[Batch]":
    from params.errors import ParameterError
    from tasks.shards.blocks import Blocks, evenly

    blocks = Blocks(shards.paths(f"{split}/*.arrow"))
    if not len(blocks):
        raise ParameterError(f"the {split} split has no text to measure importance on; raise split.{split}")
    return [_batch(source, blocks[evenly(len(blocks), limit)])]


def _batch(source: Path, blocks: Any) -> "Batch":
    import torch

    from tasks.tokenizer.files import special_ids
    from tasks.training.batch import make_batch

    ids = special_ids(source)
    return make_batch(blocks, begin=ids.begin, padding=ids.padding, device=torch.device("cpu"))


def _tell(stop: Path, out: Path, report: dict[str, Any]) -> None:
    """The report, and how training ended, with the size that the model has now."""
    write_atomic(out / _REPORT, json.dumps(report, indent=1) + "\n")
    ended = json.loads(stop.read_text(encoding="utf-8")) | {"parameters": report["parameters"]}
    write_atomic(out / _STOP, json.dumps(ended, indent=1) + "\n")


def _metrics(report: dict[str, Any]) -> Metrics:
    before, after = report["parameters_before"], report["parameters"]
    dropped = [scan["dropped"] for scan in report["scans"]]
    counts = {"parameters": after, "parameters_before": before, "layers_dropped": len(dropped)}
    if "ffn_width" in report:
        counts["ffn_width"] = report["ffn_width"]
    return Metrics(
        headline=f"{before / 1e6:,.1f} -> {after / 1e6:,.1f} M parameters, loss {report['loss_before']:.4f} -> "
        f"{report['loss_cut']:.4f} cut -> {report['loss']:.4f} healed",
        counts=counts,
        values={name: report[name] for name in ("loss_before", "loss_cut", "loss")},
        facts={"dropped_layers": ", ".join(map(str, dropped))} if dropped else {},
    )
