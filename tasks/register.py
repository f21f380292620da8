"""Register a bundle in MLflow's model registry, and promote it when it beats the champion."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from params.release import ReleaseParams
from tasks.artifacts.manifest import Manifest
from tasks.context import Run
from tasks.promote import Request, consider, one_at_a_time
from tasks.stage import upstream
from tasks.tracking import answering_registry, quiet_mlflow

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from tasks.serving.gristmill_pyfunc import Loaded
    from tasks.tracking import Tracker

_DIGEST = "gristmill.digest"
_REQUIREMENTS = ("numpy", "onnxruntime", "tokenizers")
_UNTOLD = ("name", "variants", "gate_passed")
"""Facts of a bundle that are no tags of its version: said elsewhere."""
_ABOUT = """A model with all its exported variants, card, evaluation and lineage in each version.

`gristmill pull {name}@champion` fetches what serves now, `gristmill serve {name}@champion` serves it,
`gristmill registry {name}` tells who decided what and why.
"""


@dataclass(frozen=True)
class Registered:
    """A model version, its aliases, and why it has them."""

    name: str
    version: int
    aliases: tuple[str, ...]
    decision: str
    checks: list[dict[str, Any]] = field(default_factory=list, compare=False)
    """Every check of the gate."""


def register(
    params: ReleaseParams, released: Manifest, evaluation: Manifest, *, run: Run, hold: Sequence[str] = ()
) -> Registered:
    """The version of this bundle, made unless the registry has it, with the aliases that it deserves.

    Every step looks first at what is there, so a call that was killed anywhere is completed by the next one, and the
    same bundle never becomes two versions. `hold` are reasons not to promote it
    whatever the gate says.
    """
    from prefect import task
    from prefect.cache_policies import NO_CACHE

    as_task = task(name="register", task_run_name="register", cache_policy=NO_CACHE, persist_result=False)(_register)
    done: Registered = as_task(
        params, released, evaluation, run=run, hold=hold, wait_for=upstream((released, evaluation), run)
    )
    return done


def _register(
    params: ReleaseParams, released: Manifest, evaluation: Manifest, *, run: Run, hold: Sequence[str] = ()
) -> Registered:
    from prefect.runtime import task_run

    assert run.tracker is not None, "registering needs MLflow"
    client = run.tracker.client
    if task_run.id is not None:
        run.task_runs["register"] = UUID(task_run.id)
    with answering_registry(), quiet_mlflow(), one_at_a_time(run.store):
        version = _find_version(client, params.model_name, released.digest)
        if version is None:
            version = _make_version(run.tracker, params.model_name, released, evaluation)
        found = client.get_model_version(params.model_name, version)
        request = Request(f"run {run.record.run_id}")
        judgement = consider(client, found, request, store=run.store, again=False, hold=hold)
        current = client.get_model_version(params.model_name, version)
    aliases = tuple(sorted(current.aliases))
    return Registered(params.model_name, int(version), aliases, judgement.decision.text, judgement.checks)


def _find_version(client: "MlflowClient", name: str, digest: str) -> str | None:
    """The oldest version that holds this very bundle."""
    found = client.search_model_versions(f"name = '{name}' and tag.`{_DIGEST}` = '{digest}'")
    return min((str(version.version) for version in found), key=int, default=None)


def _make_version(tracker: "Tracker", name: str, released: Manifest, evaluation: Manifest) -> str:
    """Log the bundle as a model of this run (or take the one an interrupted call logged) and make it a version."""
    from mlflow.exceptions import MlflowException

    client = tracker.client
    facts = _facts(released)
    tags = {
        _DIGEST: released.digest,
        "gristmill.fingerprint": released.fingerprint,
        "gristmill.evaluation": evaluation.digest,
        "gristmill.gate": released.metrics.facts["gate"],
    }
    tags |= {f"gristmill.{fact}": str(value) for fact, value in facts.items() if fact not in _UNTOLD}
    model_id = _find_logged_model(tracker, released.digest) or _log_model(tracker, released, tags)
    try:
        client.create_registered_model(name, description=_ABOUT.format(name=name))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    version = client.create_model_version(
        name,
        source=f"models:/{model_id}",
        run_id=tracker.run_id,
        tags=tags,
        model_id=model_id,
        description=f"{_figure(facts)} ({facts['served']}); gate "
        f"{tags['gristmill.gate']}. Run {client.get_run(tracker.run_id).info.run_name}.",
    )
    return str(version.version)


def _figure(facts: dict[str, Any]) -> str:
    """What a version is told by, in words."""
    from tasks.kinds.kind import kind_named

    kind = kind_named(facts.get("kind", ""))
    if kind is None:
        return f"{facts['bits_per_byte']:.4f} bits per byte of its test text"
    return f"{facts[kind.figure]:.4f} {kind.unit} on its held-out rows"


def _find_logged_model(tracker: "Tracker", digest: str) -> str | None:
    """A complete logged model of this bundle, left by a call that ended before it made a version."""
    experiment = tracker.client.get_run(tracker.run_id).info.experiment_id
    wanted = f"tags.`{_DIGEST}` = '{digest}'"
    found = tracker.client.search_logged_models([experiment], filter_string=wanted)
    return next((str(model.model_id) for model in found if model.status == "READY"), None)


def _log_model(tracker: "Tracker", released: Manifest, tags: dict[str, str]) -> str:
    import mlflow

    from tasks.serving import gristmill_pyfunc as loader

    bundle = released.folder / "bundle"
    mlflow.set_experiment(experiment_id=tracker.client.get_run(tracker.run_id).info.experiment_id)
    info: Any = mlflow.models.Model.log(
        artifact_path=None,
        name="model",
        flavor=mlflow.pyfunc,
        run_id=tracker.run_id,
        loader_module=loader.__name__.rpartition(".")[2],
        data_path=str(bundle),
        code_paths=[str(loader.__file__)],
        pip_requirements=[f"{package}=={installed_version(package)}" for package in _REQUIREMENTS],
        signature=_signature(loader.loader_of(bundle)),
        tags={_DIGEST: tags[_DIGEST]},
    )
    return str(info.model_id)


def _signature(loader: "type[Loaded]") -> Any:
    """What the predict of a loaded bundle takes and gives."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

    types = {str: DataType.string, bool: DataType.boolean, int: DataType.long, float: DataType.double}
    named = {name: ColSpec(types[kind], name) for name, kind in loader.outputs.items()}
    parameters = [ParamSpec(name, types[type(value)], value) for name, value in loader.parameters.items()]
    return ModelSignature(
        inputs=Schema([ColSpec(DataType.string, loader.column)]),
        outputs=Schema(list(named.values()) or [ColSpec(DataType.string)]),
        params=ParamSchema(parameters),
    )


def _facts(released: Manifest) -> dict[str, Any]:
    path: Path = released.file("bundle/bundle.json")
    facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return facts
