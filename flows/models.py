"""gristmill pull: fetch a released model; and which model is meant when none is named."""

import argparse
from pathlib import Path

from flows.home import Home, open_home
from params.errors import ReleaseError
from tasks.artifacts.record import run_records


def pull(arguments: argparse.Namespace) -> int:
    """Fetch a released model and print where it lies."""
    from tasks.pull import pull as fetch
    from tasks.tracking import answering_registry

    open_home(arguments.home)
    out = arguments.out or Path(pulled_name(arguments.model))
    with answering_registry():
        print(fetch(arguments.model, out, variant=arguments.variant))
    return 0


def newest_model(home: Home) -> str:
    """The champion of the model that was registered last, or that very version where there is no champion."""
    versions = [record.model_version for record in run_records(home.store) if record.model_version]
    if not versions:
        raise ReleaseError(f"no model was released in {home.root} yet; run gristmill run, or name one with --model")
    from mlflow import MlflowClient

    from tasks.tracking import answering_registry

    name = versions[-1].removeprefix("models:/").split("/")[0]
    with answering_registry():
        models = MlflowClient().search_registered_models(f"name = '{name}'")
    aliases = {alias for model in models for alias in model.aliases}
    return f"models:/{name}@champion" if "champion" in aliases else versions[-1]


def pulled_name(model: str) -> str:
    """The name of a folder for a model."""
    return model.removeprefix("models:/").replace("@", "-").replace("/", "-")
