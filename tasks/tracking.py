"""The bridge to MLflow: one run of the pipeline is one MLflow run, with the same names every time."""

import json
import logging
import os
import re
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import yaml

from params.errors import ServerError
from params.pipeline import PipelineParams
from tasks.artifacts.digest import digest_value
from tasks.artifacts.explain import flatten
from tasks.artifacts.manifest import Manifest
from tasks.notices.redaction import redacted

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

CURVES = "logs/metrics.jsonl"
"""A stage that leaves this file of {"step": int, "name": value, …} lines has its curves shown in MLflow."""
RUN_TAG = "gristmill.run_id"
"""The tag of an MLflow run that names ours; it is there from the beginning."""
REPORT = "report.json"
"""What a stage has to say beyond its figures."""
NOT_COMPARED = ("run", "notify", "retrain", "survey")
"""Sections that say where a run worked and who is told, not what its model is."""
_MAX_PARAM_CHARACTERS = 6000
_MAX_LIST = 8
_MAX_BATCH = 1000
_NOT_ALLOWED, _LONGEST_NAME = re.compile(r"[^/\w.\- :]"), 250
"""In names of metrics."""
_MAX_PARAMS_BATCH = 100
_KIND = {"mlflow.experimentKind": "custom_model_development"}  # which of its two faces the UI shows first


class Tracker:
    """Logs a pipeline run to MLflow: configuration, stage figures, curves and plots."""

    def __init__(self, client: "MlflowClient", run_id: str) -> None:
        self.client = client
        self.run_id = run_id
        self._streamed: set[str] = set()
        self._reused: list[str] = []

    @property
    def experiment_id(self) -> str:
        """Of the run's experiment."""
        return str(self.client.get_run(self.run_id).info.experiment_id)

    def log_config(self, params: PipelineParams) -> None:
        """The whole configuration as an artifact, and flattened under `cfg.` (sources and machine left out)."""
        from mlflow.entities import Param

        tree = params.model_dump(mode="json")
        self.log_text(yaml.safe_dump(tree, sort_keys=False, allow_unicode=True), "config.yaml")
        flat = flatten(in_short({key: value for key, value in tree.items() if key not in NOT_COMPARED}), "cfg.")
        pairs = [Param(key, str(value)[:_MAX_PARAM_CHARACTERS]) for key, value in flat.items()]
        for start in range(0, len(pairs), _MAX_PARAMS_BATCH):
            self.client.log_batch(self.run_id, params=pairs[start : start + _MAX_PARAMS_BATCH])

    def log_stage(self, manifest: Manifest, *, reused: bool) -> None:
        """A stage's figures under its own prefix; a reused stage logs what its manifest says."""
        from mlflow.entities import Metric, RunTag

        name, now = manifest.stage, _now_ms()
        figures = {**manifest.metrics.counts, **manifest.metrics.values, "seconds": manifest.timing.work_s}
        metrics = [Metric(metric_name(name, key), float(value), now, 0) for key, value in figures.items()]
        tags = [RunTag(f"{name}.{key}", value) for key, value in manifest.metrics.facts.items()]
        if reused:
            self._reused.append(name)
            tags.append(RunTag("gristmill.reused", ", ".join(self._reused)))
        self.client.log_batch(self.run_id, metrics=metrics[:_MAX_BATCH], tags=tags)
        for start in range(_MAX_BATCH, len(metrics), _MAX_BATCH):
            self.client.log_batch(self.run_id, metrics=metrics[start : start + _MAX_BATCH])
        curves = manifest.file(CURVES)
        if name not in self._streamed and curves.exists():
            self.log_curve(name, [json.loads(line) for line in curves.read_text().splitlines()])
        for plot in manifest.paths("logs/*.png"):
            self.client.log_artifact(self.run_id, str(plot), "plots")
        for report in manifest.paths(REPORT):
            self.client.log_artifact(self.run_id, str(report), f"reports/{name}")

    def log_curve(self, stage: str, points: Sequence[Mapping[str, Any]]) -> None:
        """Points of a stage's curves, in batches; each point has a `step` and any finite numbers beside it."""
        from mlflow.entities import Metric

        self._streamed.add(stage)
        now = _now_ms()
        metrics = [
            Metric(metric_name(stage, key), float(value), int(point.get("time_ms", now)), int(point["step"]))
            for point in points
            for key, value in point.items()
            if key not in ("step", "time_ms") and isinstance(value, int | float)
        ]
        for start in range(0, len(metrics), _MAX_BATCH):
            self.client.log_batch(self.run_id, metrics=metrics[start : start + _MAX_BATCH])

    def log_dataset(self, name: str, digest: str, context: str) -> None:
        """Name the data a model saw, by our own digest of all its bytes."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        source = json.dumps({"result": name})
        dataset = Dataset(name=name, digest=digest[:32], source_type="gristmill", source=source)
        tags = [InputTag("mlflow.data.context", context)]
        self.client.log_inputs(self.run_id, datasets=[DatasetInput(dataset, tags)])

    def log_figures(self, figures: Mapping[str, float]) -> None:
        """Figures of the run that belong to no stage."""
        from mlflow.entities import Metric

        now = _now_ms()
        self.client.log_batch(self.run_id, metrics=[Metric(key, value, now, 0) for key, value in figures.items()])

    def log_rows(self, rows: Sequence[Mapping[str, Any]], name: str) -> None:
        """A table as an artifact of the run."""
        self.log_text(json.dumps(list(rows), ensure_ascii=False, indent=1), name)

    def log_text(self, text: str, name: str) -> None:
        """A text as an artifact of the run."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / Path(name).name
            path.write_text(text, encoding="utf-8")
            self.client.log_artifact(self.run_id, str(path), str(Path(name).parent) if "/" in name else None)

    def tag(self, tags: Mapping[str, str]) -> None:
        """Tags of the run."""
        for key, value in tags.items():
            self.client.set_tag(self.run_id, key, value)

    def end(self, status: str) -> None:
        """End the run: FINISHED, FAILED or KILLED."""
        self.client.set_terminated(self.run_id, status)


def metric_name(stage: str, key: str) -> str:
    """train/loss, evaluate.test/bits_per_byte: MLflow's charts have a section for what stands before the slash.

    What MLflow does not allow (a label in a key may hold anything) becomes an underscore.
    """
    group, _, rest = key.partition(".")
    name = f"{stage}.{group}/{rest}" if rest else f"{stage}/{key}"
    return _NOT_ALLOWED.sub("_", name)[:_LONGEST_NAME]


def start_tracker(
    uri: str, *, experiment: str, run_name: str, artifact_root: Path, tags: Mapping[str, str] = MappingProxyType({})
) -> Tracker:
    """Begin an MLflow run at a tracking URI, in an experiment made when it is missing."""
    import mlflow

    mlflow.set_tracking_uri(uri)
    client = mlflow.MlflowClient(uri)
    experiment_id = _experiment_id(
        client, experiment, None if uri.startswith(("http://", "https://")) else artifact_root
    )
    run = client.create_run(experiment_id, run_name=run_name, tags=dict(tags))
    return Tracker(client, run.info.run_id)


def find_run(client: "MlflowClient", run_id: str) -> str | None:
    """The run of MLflow that bears the tag of one of ours; None where there is none."""
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    found = client.search_runs(experiments, f"tags.`{RUN_TAG}` = '{run_id}'", max_results=1)
    return found[0].info.run_id if found else None


def in_short(tree: Any) -> Any:
    """The tree with long lists as their number and digest: seventy lines of patterns hide what two runs differ in."""
    if isinstance(tree, dict):
        return {key: in_short(value) for key, value in tree.items()}
    if isinstance(tree, list) and len(tree) > _MAX_LIST:
        return f"{len(tree)} entries ({digest_value(tree)[:8]})"
    return tree


def _experiment_id(client: "MlflowClient", name: str, artifact_root: Path | None) -> str:
    from mlflow.exceptions import MlflowException

    if found := client.get_experiment_by_name(name):
        return str(found.experiment_id)
    location = (artifact_root / name).as_uri() if artifact_root else None
    try:
        return str(client.create_experiment(name, artifact_location=location, tags=_KIND))
    except MlflowException:  # another run made it meanwhile
        found = client.get_experiment_by_name(name)
        if found is None:
            raise
        return str(found.experiment_id)


def _now_ms() -> int:
    return int(time.time() * 1000)


@contextmanager
def answering_registry() -> Iterator[None]:
    """Say what to do where MLflow stops answering in the middle; its client has tried again for minutes by then."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, ConnectionError) as error:
        where, reason = os.environ.get("MLFLOW_TRACKING_URI", "its default place"), str(error).splitlines()[0]
        raise ServerError(
            f"MLflow at {redacted(where)} failed in the middle ({redacted(reason)}); nothing is half done: the same "
            "command goes on from there once it answers"
        ) from None


@contextmanager
def quiet_mlflow() -> Iterator[None]:
    """No progress bars, hints or warnings about MLflow's own code, and no look at a uv.lock in the current folder."""
    settings = {"MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false", "MLFLOW_UV_AUTO_DETECT": "false"}
    before = {name: os.environ.get(name) for name in settings}
    logger = logging.getLogger("mlflow")
    level = logger.level
    os.environ.update(settings)
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="mlflow")
            warnings.filterwarnings("ignore", message=".*Any type hint is inferred as AnyType")
            yield
    finally:
        logger.setLevel(level)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
