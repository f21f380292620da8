"""Assemble the bundle that is registered: model, graphs, card, lineage, gate."""

import json
import shutil
from pathlib import Path
from typing import Any

from params.errors import ReleaseError
from params.release import ReleaseParams
from tasks.artifacts.digest import digest_value, write_atomic
from tasks.artifacts.manifest import Manifest, Metrics
from tasks.compress import PICKED
from tasks.context import Run
from tasks.stage import stage

_SEED = 1
_SAMPLE_TOKENS = 64


@stage(version=1)
def release(
    params: ReleaseParams,
    files: Manifest,
    cleaned: Manifest,
    unique: Manifest,
    shards: Manifest,
    model: Manifest,
    evaluation: Manifest,
    graph: Manifest,
    variants: Manifest,
    *,
    out: Path,
    run: Run,
) -> Metrics:
    """bundle/ with everything about the model, and the verdict of the gate on it (gate.json).

    A failed gate is no error: the bundle then says so, and registering it promotes nothing.
    """
    from tasks.registry.bundle import write_sums
    from tasks.registry.gate import gate_checks
    from tasks.registry.lineage import ancestors

    if params.serve == "auto":
        params = params.model_copy(update={"serve": _read(variants.folder / PICKED)["variant"]})
    bundle = out / "bundle"
    shutil.rmtree(bundle, ignore_errors=True)
    _place(bundle, model, evaluation, graph, variants)
    report = _read(evaluation.folder / "evaluation.json")
    quality = _read(variants.folder / "quality.json")
    bits_per_byte = float(report["test"]["bits_per_byte"])
    stop = _read(model.folder / "stop.json")
    gate = gate_checks(params, verdict=stop["verdict"], bits_per_byte=bits_per_byte, quality=quality)
    inputs = (files, cleaned, unique, shards, model, evaluation, graph, variants)
    results = ancestors(inputs, run.store)
    _describe(bundle, params, results, files, gate=gate, stop=stop, report=report, quality=quality)
    facts = {
        "name": params.model_name,
        "served": params.serve,
        "variants": ", ".join(_variants(bundle)),
        "bits_per_byte": bits_per_byte,
        "test_digest": test_digest(evaluation),
        "gate_passed": all(check.passed for check in gate),
    }
    _write(bundle / "bundle.json", facts)
    write_sums(bundle)
    return _metrics(bundle, facts, failed=[str(check) for check in gate if not check.passed])


def test_digest(evaluation: Manifest) -> str:
    """Digest of the test documents that were measured: figures on the same ones can be compared."""
    import pyarrow as pa

    with pa.memory_map(str(evaluation.folder / "documents" / "test.arrow")) as source:
        table = pa.ipc.open_file(source).read_all()
    rows = zip(table.column("id").to_pylist(), table.column("num_bytes").to_pylist(), strict=True)
    return digest_value(sorted(rows))[:32]


def _place(bundle: Path, model: Manifest, evaluation: Manifest, graph: Manifest, variants: Manifest) -> None:
    from tasks.registry.bundle import place_file, place_folder
    from tasks.serving import generator

    place_folder(model.folder / "model", bundle / "transformers")
    place_folder(graph.folder / "fp32", bundle / "onnx" / "fp32")
    for served in variants.paths("*/model.onnx"):
        place_folder(served.parent, bundle / "onnx" / served.parent.name)
    place_file(evaluation.folder / "evaluation.json", bundle / "evaluation.json")
    place_file(variants.folder / "quality.json", bundle / "quality.json")
    place_file(graph.folder / "checks.json", bundle / "checks.json")
    place_file(model.folder / "stop.json", bundle / "stop.json")
    shutil.copyfile(generator.__file__, bundle / "generate.py")


def _describe(
    bundle: Path,
    params: ReleaseParams,
    results: list[Manifest],
    files: Manifest,
    *,
    gate: list[Any],
    stop: dict[str, Any],
    report: dict[str, Any],
    quality: dict[str, Any],
) -> None:
    """Write samples, gate, lineage, card and README."""
    from tasks.registry.card import Story, model_card, readme
    from tasks.registry.lineage import lineage, sources

    samples = _samples(bundle, params)
    _write(bundle / "samples.json", samples)
    _write(bundle / "gate.json", [check.as_dict() for check in gate])
    _write(bundle / "lineage.json", lineage(results, files))
    story = Story(
        name=params.model_name,
        served=params.serve,
        config=_read(bundle / "transformers" / "config.json"),
        stop=stop,
        evaluation=report,
        quality=quality,
        sources=sources(files),
        results=results,
        gate=gate,
        samples=samples,
    )
    write_atomic(bundle / "MODEL_CARD.md", model_card(story))
    write_atomic(bundle / "README.md", readme(story))


def _samples(bundle: Path, params: ReleaseParams) -> list[dict[str, str]]:
    """Continuations of params.samples by the served variant (by fp32 where that one was not kept)."""
    from tasks.serving.generator import OnnxModel, PromptError

    variant = params.serve if params.serve in _variants(bundle) else "fp32"
    model = OnnxModel(bundle / "onnx" / variant)
    try:
        made = model.generate(params.samples, seed=_SEED, max_new_tokens=_SAMPLE_TOKENS) if params.samples else []
    except PromptError as error:
        raise ReleaseError(f"release.samples: {error}") from None
    return [{"prompt": p, "continuation": texts[0]} for p, texts in zip(params.samples, made, strict=True)]


def _variants(bundle: Path) -> list[str]:
    return sorted(path.parent.name for path in bundle.glob("onnx/*/model.onnx"))


def _metrics(bundle: Path, facts: dict[str, Any], failed: list[str]) -> Metrics:
    paths = [path for path in bundle.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in paths)
    return Metrics(
        headline=f"{len(paths)} files, {size / 1e6:,.1f} MB; gate {'failed' if failed else 'passed'}",
        counts={"bundle_files": len(paths), "bundle_bytes": size},
        values={"test_bits_per_byte": facts["bits_per_byte"]},
        facts={
            "served": facts["served"],
            "test_digest": facts["test_digest"],
            "gate": f"failed: {'; '.join(failed)}" if failed else "passed",
        },
    )


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _write(path: Path, value: Any) -> None:
    write_atomic(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")
