"""Evaluate any model (checkpoint, transformers folder, ONNX variant, registered version) and log it to MLflow."""

import logging
import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from params.errors import EvaluationError, GristmillError, ParameterError
from params.evaluate import EvaluateParams
from params.keys import merge
from params.load import load_params, refusal
from params.objective import IN_CHAT
from tasks.artifacts.manifest import Manifest, work_of
from tasks.artifacts.record import RunRecord, run_records
from tasks.artifacts.store import Store
from tasks.compare import FINGERPRINT, SERVED
from tasks.context import num_cores
from tasks.drop_spans import drop_spans
from tasks.evaluate import check_questions, held_out, held_out_talk
from tasks.kinds.kind import Kind, kind_of
from tasks.pull import pull, resolve
from tasks.tracking import answering_registry, metric_name, quiet_mlflow, start_tracker

if TYPE_CHECKING:
    from tasks.evaluation.answers import Talk
    from tasks.evaluation.documents import Documents
    from tasks.evaluation.locating import Located
    from tasks.kinds.rows import Rows

log = logging.getLogger(__name__)

_EXPERIMENT = "gristmill-evaluations"
_REGISTERED = re.compile(r"models:/.+|[^/@\s]+(@[^/@\s]+|/\d+)")


@dataclass(frozen=True)
class Subject:
    """A model to measure, and where it comes from."""

    name: str
    located: "Located"
    record: RunRecord | None = None
    """The run that made it, where this home has it."""
    model_id: str | None = None
    """MLflow's own name for the version."""


@dataclass(frozen=True)
class Measured:
    """Figures of a model, and the MLflow run that has them."""

    name: str
    report: dict[str, Any]
    mlflow_run_id: str


def measure(
    what: str,
    on: Sequence[str] = (),
    overrides: Mapping[str, Any] = MappingProxyType({}),
    *,
    store: Store,
    variant: str | None = None,
    text_field: str = "text",
) -> Measured:
    """Evaluate what a path, a run's id or an address of the registry stands for, as the stage `evaluate` does.

    `on` names files, folders or runs (their test documents and held-out conversations); nothing means those of the run
    that made the model. `overrides` are laid over the parameters with which that run evaluated, so that figures
    compare. Metrics have the names of the pipeline's own.
    """
    subject = find_subject(what, variant, store)
    params = _params(subject, overrides, store)
    started = time.monotonic()
    if (kind := kind_of(subject.located.folder)) is not None:
        report = _by_rows(kind, subject, _rows(kind, on, subject, params, store), params, store)
    else:
        sets, talk = _sets(on, subject, params, store, text_field), _talk(on, subject, params, store)
        report = _by_text(subject, sets, talk, params, store)
    log.info("%s: measured in %.1f s", subject.name, time.monotonic() - started)
    about = {"name": subject.name, "kind": subject.located.kind, "digest": subject.located.digest}
    whole = {"model": about, **report}
    return Measured(subject.name, whole, _log_to_mlflow(subject, whole, store))


def _by_text(
    subject: Subject, sets: "dict[str, Documents]", talk: "Talk | None", params: EvaluateParams, store: Store
) -> dict[str, Any]:
    from tasks.evaluation.evaluating import evaluate_model
    from tasks.evaluation.trained_model import chosen_device

    model = subject.located.load(threads=num_cores(), device=chosen_device("auto"))
    return evaluate_model(model, params, sets, training=_training(subject, store), talk=talk).report


def _by_rows(kind: Kind, subject: Subject, rows: "Rows", params: EvaluateParams, store: Store) -> dict[str, Any]:
    """A model that is judged by rows: those of a file, or those that its run held out."""
    from tasks.evaluation.trained_model import chosen_device
    from tasks.kinds.evaluating import evaluate_rows

    located, threads = subject.located, num_cores()
    if (located.folder / "config.json").is_file():
        model = kind.trained(located.folder, threads=threads, device=chosen_device("auto"), weights=located.weights)
    else:
        model = kind.served(located.folder, threads=threads)
    return evaluate_rows(kind, model, rows, params, training=_training(subject, store))[1]


def _rows(kind: Kind, on: Sequence[str], subject: Subject, params: EvaluateParams, store: Store) -> "Rows":
    """The rows to measure on."""
    from tasks.kinds.rows import held_out_rows, joined, read_own_rows

    found = list["Rows"]()
    for item in on or ("",):
        record = subject.record if not item else None if Path(item).exists() else _find_run(item, store)
        examples = _examples_of(record, store, (kind.objective,))
        if examples is not None:
            found.append(held_out_rows(examples.folder, kind.read))
        elif item:
            found.append(read_own_rows(Path(item).expanduser(), kind.read))
        else:
            raise EvaluationError(
                f"{subject.name} is a {kind.name}: say with --on what to measure it on: files of rows with "
                f"{' and '.join(kind.fields)} (.jsonl, .json, .parquet), or a run"
            )
    return kind.some(joined(found), params.max_documents)


def _training(subject: Subject, store: Store) -> list[Path]:
    """Shards of the text that it learned from, where they are at hand."""
    splits = _splits_of(subject.record, store)
    return splits.paths("train/*.arrow") if splits is not None else []


def _params(subject: Subject, overrides: Mapping[str, Any], store: Store) -> EvaluateParams:
    done = subject.record.stages.get("evaluate") if subject.record is not None else None
    made = store.find("evaluate", done.fingerprint) if done is not None else None
    known = {key: value for key, value in (made.params if made else {}).items() if key in EvaluateParams.model_fields}
    if subject.record is not None and (known.get("quizzes") or known.get("harness")):
        known |= _questions(subject.record)
    try:
        return EvaluateParams.model_validate(merge(known, overrides))
    except ValidationError as error:
        raise refusal(error, "evaluate") from None


def _questions(record: RunRecord) -> dict[str, Any]:
    """Quizzes and tasks of a run by their paths, which its result knows by digest only; none where they are gone."""
    try:
        params = load_params(record.preset, record.overrides).evaluate
        check_questions(params)
    except GristmillError as error:
        log.warning("%s: its quizzes and tasks are left out: %s", record.run_id, error)
        return {"quizzes": (), "harness": None}
    return params.model_dump(include={"quizzes", "harness"})


def find_subject(what: str, variant: str | None, store: Store) -> Subject:
    """The model that a path, an id of a run or an address stands for. Raises with what there is."""
    from tasks.evaluation.locating import locate_model

    path = Path(what).expanduser()
    if path.exists():
        return Subject(path.name, locate_model(path, variant), _record_of_path(path, store))
    record = _find_run(what, store)
    if record is not None:
        trained = [stage for stage in record.stages if work_of(stage) in ("train", "prune")]
        if not trained:
            raise ParameterError(f"run {record.run_id} has trained no model yet")
        fingerprint = record.stages[trained[-1]].fingerprint
        made = store.find(trained[-1], fingerprint)
        folder = store.folder(trained[-1], fingerprint) if made is None else made.folder_with("model/**")
        return Subject(record.run_id, locate_model(folder), record)
    if _REGISTERED.fullmatch(what):
        return _registered(what, variant, store)
    raise ParameterError(f"{what} is no path, no run of {store.root} and no NAME@ALIAS or NAME/VERSION")


def _registered(what: str, variant: str | None, store: Store) -> Subject:
    from mlflow import MlflowClient

    from tasks.evaluation.locating import TRANSFORMERS, locate_model

    client = MlflowClient()
    with answering_registry(), quiet_mlflow():
        name, number = resolve(client, what)
        version = client.get_model_version(name, number)
        chosen = variant or version.tags[SERVED]
        wanted = None if chosen == TRANSFORMERS else chosen
        folder = store.root.parent / "cache" / "models" / f"{name}-{number}-{chosen}"
        bundle = pull(f"models:/{name}/{number}", folder, variant=wanted)
    record = _made_by(store, {version.tags.get(FINGERPRINT, "-")})
    return Subject(f"{name}/{number}", locate_model(bundle, chosen), record, _model_id(str(version.source)))


def _model_id(source: str) -> str | None:
    """MLflow's logged model behind a version; versions registered by hand from a folder have none."""
    return source.removeprefix("models:/") if re.fullmatch(r"models:/m-[0-9a-f]+", source) else None


def _sets(
    on: Sequence[str], subject: Subject, params: EvaluateParams, store: Store, text_field: str
) -> "dict[str, Documents]":
    """The documents to measure on, by name."""
    from tasks.evaluation.reading import read_documents

    if not on:
        splits = _splits_of(subject.record, store)
        if splits is None:
            raise EvaluationError(f"{subject.name}: say with --on what to measure it on: files, folders or a run")
        return {"test": held_out(params, splits, "test")}
    limits = {"max_documents": params.max_documents, "max_bytes": params.max_document_bytes}
    found = dict[str, "Documents"]()
    for item in on:
        record = None if Path(item).exists() else _find_run(item, store)
        splits = _splits_of(record, store)
        if splits is not None:
            found["test"] = held_out(params, splits, "test")
        else:
            name = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(item).name.split(".")[0]) or "text"
            found[name] = read_documents(Path(item).expanduser(), text_field=text_field, **limits)
    return found


def _talk(on: Sequence[str], subject: Subject, params: EvaluateParams, store: Store) -> "Talk | None":
    """Conversations that a run held out, the model's own unless `on` names one; None for a model that has no use of it.

    A model without a chat template cannot be asked, which is said where a run was named.
    """
    from tasks.examples.template import ChatTemplate

    named = [record for item in on if not Path(item).exists() and (record := _find_run(item, store)) is not None]
    records = named if on else [subject.record]
    examples = next((found for record in records if (found := _examples_of(record, store, IN_CHAT)) is not None), None)
    if examples is None:
        return None
    try:
        ChatTemplate(subject.located.folder)
    except ParameterError as error:
        log.info("%s: not asked the conversations of its run: %s", subject.name, error)
        return None
    return held_out_talk(params, examples, subject.located.folder)


def _examples_of(record: RunRecord | None, store: Store, objectives: Sequence[str]) -> Manifest | None:
    """What the last phase of a run with one of these objectives learned from, or texts with gaps where it made some."""
    stages = record.stages if record is not None else {}
    if (gaps := stages.get(drop_spans.name)) is not None and "seq2seq" in objectives:
        return store.find(drop_spans.name, gaps.fingerprint)
    made = [store.find(stage, done.fingerprint) for stage, done in stages.items() if work_of(stage) == "encode"]
    found = [result for result in made if result is not None and result.params.get("objective") in objectives]
    return found[-1] if found else None


def _find_run(start: str, store: Store) -> RunRecord | None:
    found = [record for record in run_records(store.root) if record.run_id.startswith(start)]
    if len(found) > 1:
        raise ParameterError(f"{len(found)} runs begin with {start!r}; gristmill runs list shows them")
    return found[0] if found else None


def _splits_of(record: RunRecord | None, store: Store) -> Manifest | None:
    done = record.stages.get("decontaminate") if record is not None else None
    return store.find("decontaminate", done.fingerprint) if done is not None else None


def _record_of_path(path: Path, store: Store) -> RunRecord | None:
    """The newest run that made a result in whose folder the path lies."""
    return _made_by(store, set(path.absolute().parts))


def _made_by(store: Store, fingerprints: set[str]) -> RunRecord | None:
    records = run_records(store.root)
    made = [record for record in records if any(done.fingerprint in fingerprints for done in record.stages.values())]
    return made[-1] if made else None


def _log_to_mlflow(subject: Subject, report: dict[str, Any], store: Store) -> str:
    """A run of its own with the metrics of the stage; figures of a registered version also stand at its model."""
    import mlflow

    from tasks.evaluation.naming import numbers_of

    metrics = {metric_name("evaluate", name): value for name, value in numbers_of(report).items()}
    name = f"{subject.name} {subject.located.kind}"
    with answering_registry(), quiet_mlflow():
        tracker = start_tracker(
            os.environ["MLFLOW_TRACKING_URI"],
            experiment=_EXPERIMENT,
            run_name=name,
            artifact_root=store.root.parent / "mlflow-artifacts",
            tags={"gristmill.evaluated": name, "gristmill.digest": report["model"]["digest"]},
        )
        tracker.client.log_dict(tracker.run_id, report, "evaluation.json")
        mlflow.log_metrics(metrics, run_id=tracker.run_id, model_id=subject.model_id)
        tracker.end("FINISHED")
    return tracker.run_id
