"""Export the trained model as an ONNX graph, and prove that it does the same."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from params.errors import ExportError
from params.export import ExportParams
from tasks.artifacts.digest import write_atomic
from tasks.artifacts.manifest import Manifest, Metrics
from tasks.context import Run
from tasks.stage import stage

if TYPE_CHECKING:
    from tasks.graph.checks import Check
    from tasks.graph.reference import TrainedModel

_DIGITS = 6


@stage(version=2)
def export(
    params: ExportParams,
    model: Manifest,
    shards: Manifest,
    examples: Manifest | None = None,
    *,
    out: Path,
    run: Run,
) -> Metrics:
    """The float32 graph in fp32/, ready to run, checked against the trained model on held-out text.

    That is blocks of the test split, or rows that `examples` hold out where the model is judged by those. Raises
    ExportError naming each check that failed, and by how much.
    """
    from tasks.graph.build import build_graph
    from tasks.graph.formats import check_formats, write_formats
    from tasks.graph.held_out import held_out_blocks
    from tasks.graph.reference import TrainedModel
    from tasks.graph.served import graph_bytes, write_companions
    from tasks.graph.source import check_folder
    from tasks.kinds.kind import kind_of
    from tasks.kinds.rows import held_out_rows

    source, served = model.folder_with("model/**") / "model", out / "fp32"
    check_folder(source)
    reference = TrainedModel(source)
    blocks = [block[:-1] for block in held_out_blocks(shards, params.check_blocks)]
    build_graph(source, served, opset=params.opset, log_path=out / "logs" / "export.log")
    write_companions(source, served, context=len(blocks[0]))
    if (kind := kind_of(source)) is not None and examples is not None:
        checks = kind.check(served, source, held_out_rows(examples.folder, kind.read), params)
    else:
        checks = _check_by_blocks(served, reference, blocks, source, params)
    others = write_formats(params.formats, reference, source=source, out=out, logs=out / "logs")
    checks += check_formats(others, reference, blocks, max_logit_difference=params.max_logit_difference)
    report = {"checks": [_as_dict(check) for check in checks]}
    write_atomic(out / "checks.json", json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    if failed := [check for check in checks if not check.passed]:
        raise ExportError(_explain(failed, out))
    return Metrics(
        headline=f"fp32 graph{''.join(f', {name}' for name in others)}, {graph_bytes(served) / 1e6:,.1f} MB, "
        f"{len(checks)} checks passed",
        counts={"checks": len(checks), "bytes": graph_bytes(served)},
        values={"max_logit_difference": max(check.value for check in checks if check.name == "logits")},
    )


def _check_by_blocks(
    served: Path, reference: "TrainedModel", blocks: list[list[int]], source: Path, params: ExportParams
) -> "list[Check]":
    from tasks.graph.checks import check_graph
    from tasks.graph.seq2seq_checks import check_seq2seq

    limits: dict[str, Any] = params.model_dump(include={"greedy_tokens", "max_logit_difference"})
    if reference.model.config.is_encoder_decoder:
        return check_seq2seq(served, reference.model, blocks, source=source, **limits)
    return check_graph(served, reference, blocks, source=source, **limits)


def _as_dict(check: "Check") -> dict[str, Any]:
    return {
        "name": check.name,
        "value": float(f"{check.value:.{_DIGITS}g}"),
        "limit": check.limit,
        "passed": check.passed,
        "detail": check.detail,
    }


def _explain(failed: "list[Check]", out: Path) -> str:
    lines = [
        f"  {check.name}: {check.value:g}, at most {check.limit:g} is allowed ({check.detail})" for check in failed
    ]
    return "\n".join(
        [
            "the exported graph does not agree with the trained model:",
            *lines,
            f"the draft is in {out}; raise export.max_logit_difference only if the differences are rounding",
        ]
    )
