"""Assemble the bundle that is registered: model, graphs, card, lineage, gate."""

import json
import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from params.errors import ReleaseError
from params.release import ReleaseParams
from tasks.artifacts.digest import write_atomic
from tasks.artifacts.manifest import Manifest, Metrics
from tasks.compare import ANSWER_LOSSES, LOSSES
from tasks.compress import PICKED
from tasks.context import Run, num_cores
from tasks.drop_spans import drop_spans
from tasks.evaluate import ANSWERS, ROWS
from tasks.promote import GATE
from tasks.stage import stage

if TYPE_CHECKING:
    from tasks.evaluation.losses import DocumentLosses
    from tasks.evaluation.served_model import ServedModel
    from tasks.kinds.kind import Kind
    from tasks.registry.gate import Evidence

_SEED = 1
_SAMPLE_TOKENS = 64
_BATCH_TOKENS = 4096
_DIGITS = 6
_VALUES = {"test_bits_per_byte": "bits_per_byte", "accuracy": "accuracy"}
"""Metrics of the stage, from the facts of the bundle."""


@stage(version=5, volatile=("logs/*", "bundle/MODEL_CARD*.md", "bundle/SHA256SUMS"))
def release(
    params: ReleaseParams,
    files: Manifest,
    cleaned: Manifest,
    unique: Manifest,
    splits: Manifest,
    shards: Manifest,
    model: Manifest,
    evaluation: Manifest,
    graph: Manifest,
    variants: Manifest,
    examples: Manifest | None = None,
    *,
    out: Path,
    run: Run,
) -> Metrics:
    """bundle/ with everything about the model, and the verdict of the gate on it (gate.json).

    The served file is run on the test documents, and on the held-out conversations of `examples` where training ended
    with such; its losses (test_losses.arrow, answer_losses.arrow) are what promotion compares. A model that is judged
    by rows is run on the held-out rows of `examples` alone (row_costs.arrow). A failed gate is no
    error: the bundle then says so, and registering it promotes nothing. The cards tell how long training took, so they
    and the sums are no part of the digest: the same model is not registered twice.
    """
    from tasks.kinds.kind import kind_of
    from tasks.registry.bundle import write_sums
    from tasks.registry.gate import gate_checks
    from tasks.registry.lineage import ancestors

    if params.serve == "auto":
        params = params.model_copy(update={"serve": _read(variants.file(PICKED))["variant"]})
    bundle = out / "bundle"
    shutil.rmtree(bundle, ignore_errors=True)
    _place(bundle, model, evaluation, graph, variants)
    kind = kind_of(bundle / "transformers")
    judged = _judge(kind, bundle, params, splits, evaluation, examples, run)
    report = _read(evaluation.file("evaluation.json")) | {"served": judged.figures}
    _write(bundle / "evaluation.json", report)
    gate = gate_checks(params, _evidence(params, judged, report, model=model, variants=variants, kind=kind))
    results = ancestors((files, cleaned, unique, splits, shards, model, evaluation, graph, variants), run.store)
    _describe(bundle, params, results, files, gate=gate, run=run)
    passed = all(check.passed for check in gate)
    facts = {**_facts(bundle, params, kind), **judged.facts, "gate_passed": passed}
    _write(bundle / "bundle.json", facts)
    write_sums(bundle)
    return _metrics(bundle, facts, failed=[str(check) for check in gate if not check.passed])


@dataclass(frozen=True)
class _Judged:
    """The served file on held-out text or rows."""

    decisive: str
    """Dotted name of the figure that decides."""
    figures: dict[str, Any]
    """The section `served` of evaluation.json."""
    facts: dict[str, Any]
    """What the registry tells of it."""


def _judge(
    kind: "Kind | None",
    bundle: Path,
    params: ReleaseParams,
    splits: Manifest,
    evaluation: Manifest,
    examples: Manifest | None,
    run: Run,
) -> _Judged:
    if kind is not None and examples is not None:
        return _judge_by_rows(kind, bundle, params, examples, evaluation, run)
    return _judge_by_text(bundle, params, splits, evaluation, examples, run)


def _judge_by_text(
    bundle: Path, params: ReleaseParams, splits: Manifest, evaluation: Manifest, examples: Manifest | None, run: Run
) -> _Judged:
    served = _measure_served(bundle, params, splits, evaluation, run)
    facts = {"bits_per_byte": served["bits_per_byte"], "test_digest": served.pop("test_digest")}
    if examples is None:
        return _Judged("served.bits_per_byte", served, facts)
    answers = _measure_answers(bundle, params, examples, evaluation, run)
    facts |= {"answers_bits_per_byte": answers["bits_per_byte"], "answers_digest": answers.pop("digest")}
    return _Judged("served.answers.bits_per_byte", served | {"answers": answers}, facts)


def _judge_by_rows(
    kind: "Kind", bundle: Path, params: ReleaseParams, examples: Manifest, evaluation: Manifest, run: Run
) -> _Judged:
    """The rows on which the trained model was measured; how far the served file says the same as that."""
    from params.evaluate import EvaluateParams
    from tasks.evaluation.figures import Bootstrap
    from tasks.kinds.kind import COSTS
    from tasks.kinds.rows import held_out_rows, only, read_said, write_costs

    trained = read_said(evaluation.file(ROWS))
    rows = only(held_out_rows(examples.folder, kind.read), trained)
    served = kind.served(bundle / "onnx" / _served(bundle, params), threads=run.settings.threads or num_cores())
    scores = served.score(rows)
    write_costs(bundle / COSTS, kind.costs(scores))
    known = {key: value for key, value in evaluation.params.items() if key in EvaluateParams.model_fields}
    asked = EvaluateParams.model_validate(known)
    figures = kind.figures(scores, Bootstrap(asked.bootstrap_samples, asked.confidence, asked.seed))
    before = _read(evaluation.file("evaluation.json"))[kind.section]
    same = sum(trained[name] == said for name, said in zip(scores.ids, scores.said, strict=True))
    figures |= {
        "loss_increase": round(figures[kind.loss] - before[kind.loss], _DIGITS),
        "agreement": round(same / len(rows), _DIGITS),
    }
    facts = {"figure": kind.decisive, kind.figure: figures[kind.figure], "test_digest": rows.digest}
    if examples.stage == drop_spans.name:
        facts["gaps"] = len(rows)
    return _Judged(kind.decisive, {"variant": _served(bundle, params), kind.section: figures}, facts)


def _facts(bundle: Path, params: ReleaseParams, kind: "Kind | None") -> dict[str, Any]:
    """What the registry tells of any bundle."""
    from tasks.kinds.kind import LANGUAGE_MODEL

    return {
        "name": params.model_name,
        "kind": LANGUAGE_MODEL if kind is None else kind.name,
        "served": _served(bundle, params),
        "variants": ", ".join(_variants(bundle)),
    }


def _measure_served(
    bundle: Path, params: ReleaseParams, splits: Manifest, evaluation: Manifest, run: Run
) -> dict[str, Any]:
    """Figures of the served file on the test documents, next to those of the trained model; its losses are kept."""
    from tasks.evaluation.documents import digest_documents, same_documents
    from tasks.evaluation.losses import document_losses, read_losses, write_losses

    trained = read_losses(evaluation.folder / "documents" / "test.arrow")
    sizes = dict(zip(trained.ids, trained.num_bytes.tolist(), strict=True))
    documents = same_documents(splits.paths("test/*.arrow"), sizes)
    losses = document_losses(_served_model(bundle, params, run), documents, batch_tokens=_BATCH_TOKENS)
    write_losses(bundle / LOSSES, losses)
    return {
        "variant": _served(bundle, params),
        **_beside(losses, trained),
        "test_digest": digest_documents(losses.ids, losses.num_bytes),
    }


def _measure_answers(
    bundle: Path, params: ReleaseParams, examples: Manifest, evaluation: Manifest, run: Run
) -> dict[str, Any]:
    """The same on the held-out conversations that the trained model was measured on."""
    from tasks.evaluation.answers import answer_losses, same_conversations
    from tasks.evaluation.documents import digest_documents
    from tasks.evaluation.losses import read_losses, write_losses

    trained = read_losses(evaluation.folder / ANSWERS)
    conversations = same_conversations(examples.folder, trained.ids)
    served = _served_model(bundle, params, run)
    losses = answer_losses(served, served.model.folder, conversations, batch_tokens=_BATCH_TOKENS)
    write_losses(bundle / ANSWER_LOSSES, losses)
    return {**_beside(losses, trained), "digest": digest_documents(losses.ids, losses.num_bytes)}


def _served_model(bundle: Path, params: ReleaseParams, run: Run) -> "ServedModel":
    from tasks.evaluation.served_model import ServedModel

    folder = bundle / "onnx" / _served(bundle, params)
    return ServedModel(folder, threads=run.settings.threads or num_cores())


def _beside(losses: "DocumentLosses", trained: "DocumentLosses") -> dict[str, float]:
    """Figures of the served file, and how much worse it is than the trained model."""
    targets = int(losses.num_targets.sum())
    loss, loss_of_trained = (float(found.nats.sum()) / targets for found in (losses, trained))
    return {
        "loss": round(loss, _DIGITS),
        "loss_increase": round(loss - loss_of_trained, _DIGITS),
        "bits_per_byte": round(float(losses.nats.sum() / losses.num_bytes.sum() / math.log(2)), _DIGITS),
    }


def _evidence(
    params: ReleaseParams,
    judged: _Judged,
    report: dict[str, Any],
    *,
    model: Manifest,
    variants: Manifest,
    kind: "Kind | None",
) -> "Evidence":
    from tasks.evaluation.naming import numbers_of
    from tasks.registry.gate import Evidence

    figures = numbers_of(report)
    return Evidence(
        verdict=_read(model.file("stop.json"))["verdict"],
        figures=figures,
        decisive=judged.decisive,
        above=() if kind is None else kind.limits(params.gate, figures),
        quality=_read(variants.folder / "quality.json"),
        contaminated=_shares(report),
        decode_tokens_per_s=variants.metrics.values.get(f"{params.serve}_decode_tokens_per_s"),
    )


def _place(bundle: Path, model: Manifest, evaluation: Manifest, graph: Manifest, variants: Manifest) -> None:
    from importlib import import_module

    from tasks.kinds.kind import kind_of
    from tasks.registry.bundle import place_file, place_folder
    from tasks.serving import generator

    place_folder(model.folder_with("model/**") / "model", bundle / "transformers")
    place_folder(graph.folder / "fp32", bundle / "onnx" / "fp32")
    for served in sorted({path.parent for path in variants.folder.glob("*/*.onnx")}):
        place_folder(served, bundle / "onnx" / served.name)
    for path in (path for path in graph.paths("*/model.*") if path.parent.name != "fp32"):
        place_file(path, bundle / path.parent.name / path.name)
    place_file(variants.folder / "quality.json", bundle / "quality.json")
    place_file(graph.folder / "checks.json", bundle / "checks.json")
    place_file(model.file("stop.json"), bundle / "stop.json")
    kind = kind_of(bundle / "transformers")
    if kind is None:
        shutil.copyfile(generator.__file__, bundle / "generate.py")
    else:
        shutil.copyfile(str(import_module(kind.runner[0]).__file__), bundle / kind.runner[1])


def _shares(report: dict[str, Any]) -> dict[str, float] | None:
    found = report.get("contamination")
    return None if found is None else {name: figures["share"] for name, figures in found.items()}


def _describe(
    bundle: Path,
    params: ReleaseParams,
    results: list[Manifest],
    files: Manifest,
    *,
    gate: list[Any],
    run: Run,
) -> None:
    """Write samples, gate, lineage, cards and README."""
    from tasks.registry.card import CARDS, model_card, readme
    from tasks.registry.lineage import lineage
    from tasks.registry.story import tell

    samples = _samples(bundle, params)
    _write(bundle / "samples.json", samples)
    _write(bundle / GATE, _gate(params, gate))
    _write(bundle / "lineage.json", lineage(results, files))
    story = tell(bundle, results, files, params=params, settings=run.settings, gate=gate)
    for name, language in CARDS.items():
        write_atomic(bundle / name, model_card(story, language))
    write_atomic(bundle / "README.md", readme(story))


def _samples(bundle: Path, params: ReleaseParams) -> list[dict[str, str]]:
    """What the served variant (fp32 where that one was not kept) says to params.samples."""
    from tasks.kinds.kind import kind_of
    from tasks.serving.generator import OnnxModel, PromptError

    folder = bundle / "onnx" / _served(bundle, params)
    try:
        if (kind := kind_of(folder)) is not None:
            return kind.samples(folder, params.samples)
        model = OnnxModel(folder)
        made = model.generate(params.samples, seed=_SEED, max_new_tokens=_SAMPLE_TOKENS) if params.samples else []
    except PromptError as error:
        raise ReleaseError(f"release.samples: {error}") from None
    return [{"prompt": p, "continuation": texts[0]} for p, texts in zip(params.samples, made, strict=True)]


def _gate(params: ReleaseParams, gate: list[Any]) -> dict[str, Any]:
    checks = [check.as_dict() for check in gate]
    passed = all(check.passed for check in gate)
    return {"passed": passed, "checks": checks, "params": params.gate.model_dump(mode="json")}


def _served(bundle: Path, params: ReleaseParams) -> str:
    """The variant that is served: fp32 where the wanted one was not kept."""
    return params.serve if params.serve in _variants(bundle) else "fp32"


def _variants(bundle: Path) -> list[str]:
    return sorted({path.parent.name for path in bundle.glob("onnx/*/*.onnx")})


def _metrics(bundle: Path, facts: dict[str, Any], failed: list[str]) -> Metrics:
    paths = [path for path in bundle.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in paths)
    return Metrics(
        headline=f"{len(paths)} files, {size / 1e6:,.1f} MB; gate {'failed' if failed else 'passed'}",
        counts={"bundle_files": len(paths), "bundle_bytes": size},
        values={figure: facts[name] for figure, name in _VALUES.items() if name in facts},
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
