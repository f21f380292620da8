"""Register a bundle in MLflow's model registry, and promote it when it beats the champion."""

import json
import logging
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from params.release import ReleaseParams
from tasks.artifacts.manifest import Manifest
from tasks.context import Run
from tasks.tracking import quiet_mlflow

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

    from tasks.registry.promotion import Decision, Standing
    from tasks.tracking import Tracker

log = logging.getLogger(__name__)

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
_DIGEST = "gristmill.digest"
_REQUIREMENTS = ("numpy", "onnxruntime", "tokenizers")
_LOADER = "gristmill_pyfunc"


@dataclass(frozen=True)
class Registered:
    """A model version, its aliases, and why it has them."""

    name: str
    version: int
    aliases: tuple[str, ...]
    decision: str


def register(params: ReleaseParams, released: Manifest, evaluation: Manifest, *, run: Run) -> Registered:
    """The version of this bundle, made unless the registry has it, with the aliases that it deserves.

    Every step looks first at what is there, so a call that was killed anywhere is completed by the next one, and the
    same bundle never becomes two versions.
    """
    from prefect import task
    from prefect.cache_policies import NO_CACHE

    as_task = task(name="register", task_run_name="register", cache_policy=NO_CACHE, persist_result=False)(_register)
    done: Registered = as_task(params, released, evaluation, run=run)
    return done


def _register(params: ReleaseParams, released: Manifest, evaluation: Manifest, *, run: Run) -> Registered:
    assert run.tracker is not None, "registering needs MLflow"
    client = run.tracker.client
    with quiet_mlflow():
        version = _find_version(client, params.model_name, released.digest)
        if version is None:
            version = _make_version(run.tracker, params.model_name, released, evaluation)
        decision = _promote(client, params, version, released)
        current = client.get_model_version(params.model_name, version)
    log.info("register: %s: %s", params.model_name, decision.text)
    return Registered(params.model_name, int(version), tuple(sorted(current.aliases)), decision.text)


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
        "gristmill.bits_per_byte": repr(facts["bits_per_byte"]),
        "gristmill.test_digest": facts["test_digest"],
        "gristmill.served": facts["served"],
        "gristmill.gate": released.metrics.facts["gate"],
    }
    model_id = _find_logged_model(tracker, released.digest) or _log_model(tracker, released, tags)
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    version = client.create_model_version(
        name, source=f"models:/{model_id}", run_id=tracker.run_id, tags=tags, model_id=model_id
    )
    return str(version.version)


def _find_logged_model(tracker: "Tracker", digest: str) -> str | None:
    """A complete logged model of this bundle, left by a call that ended before it made a version."""
    experiment = tracker.client.get_run(tracker.run_id).info.experiment_id
    wanted = f"tags.`{_DIGEST}` = '{digest}'"
    found = tracker.client.search_logged_models([experiment], filter_string=wanted)
    return next((str(model.model_id) for model in found if model.status == "READY"), None)


def _log_model(tracker: "Tracker", released: Manifest, tags: dict[str, str]) -> str:
    import mlflow

    from tasks.serving import gristmill_pyfunc

    mlflow.set_experiment(experiment_id=tracker.client.get_run(tracker.run_id).info.experiment_id)
    info: Any = mlflow.models.Model.log(
        artifact_path=None,
        name="model",
        flavor=mlflow.pyfunc,
        run_id=tracker.run_id,
        loader_module=_LOADER,
        data_path=str(released.folder / "bundle"),
        code_paths=[gristmill_pyfunc.__file__],
        pip_requirements=[f"{package}=={installed_version(package)}" for package in _REQUIREMENTS],
        signature=_signature(),
        tags={_DIGEST: tags[_DIGEST]},
    )
    return str(info.model_id)


def _signature() -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

    from tasks.serving.gristmill_pyfunc import COLUMN, PARAMETERS

    types = {str: DataType.string, bool: DataType.boolean, int: DataType.long, float: DataType.double}
    return ModelSignature(
        inputs=Schema([ColSpec(DataType.string, COLUMN)]),
        outputs=Schema([ColSpec(DataType.string)]),
        params=ParamSchema([ParamSpec(name, types[type(value)], value) for name, value in PARAMETERS.items()]),
    )


def _promote(client: "MlflowClient", params: ReleaseParams, version: str, released: Manifest) -> "Decision":
    """Set the aliases that the decision asks for; each step may find itself done already."""
    from tasks.registry.promotion import Decision, decide

    name = params.model_name
    champion = _alias_holder(client, name, CHAMPION)
    if champion is not None and str(champion.version) == version:
        return Decision(True, f"version {version} is the champion")
    mine = _standing(client.get_model_version(name, version))
    theirs = _standing(champion) if champion is not None else None
    decision = decide(mine, theirs, _failed_checks(released), min_improvement=params.min_improvement)
    if _failed_checks(released):
        return decision
    client.set_registered_model_alias(name, CHALLENGER, version)
    if decision.promote:
        if champion is not None:
            client.set_registered_model_alias(name, PREVIOUS, str(champion.version))
        client.set_registered_model_alias(name, CHAMPION, version)
    return decision


def _alias_holder(client: "MlflowClient", name: str, alias: str) -> "ModelVersion | None":
    aliases = client.get_registered_model(name).aliases
    return client.get_model_version(name, str(aliases[alias])) if alias in aliases else None


def _standing(version: "ModelVersion") -> "Standing":
    from tasks.registry.promotion import Standing

    tags = version.tags
    return Standing(int(version.version), float(tags["gristmill.bits_per_byte"]), tags["gristmill.test_digest"])


def _failed_checks(released: Manifest) -> list[str]:
    path = released.folder / "bundle" / "gate.json"
    return [check["name"] for check in json.loads(path.read_text(encoding="utf-8")) if not check["passed"]]


def _facts(released: Manifest) -> dict[str, Any]:
    path: Path = released.folder / "bundle" / "bundle.json"
    facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return facts
