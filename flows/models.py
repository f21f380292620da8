"""gristmill generate and pull: use a released model."""

import argparse
import sys
from dataclasses import fields
from pathlib import Path

from flows.console import printable
from flows.home import Home, open_home
from params.errors import ParameterError, ReleaseError
from tasks.artifacts.record import run_records


def generate(arguments: argparse.Namespace) -> int:
    """Print continuations of a prompt as they are made."""
    from tasks.pull import pull as fetch
    from tasks.serving.generator import OnnxModel, PromptError, Sampling, served_folder

    home = open_home(arguments.home)
    model = arguments.model or newest_model(home)
    folder = Path(model) if Path(model).exists() else fetch(model, home.cache / "models" / _file_name(model))
    given = {field.name: getattr(arguments, field.name) for field in fields(Sampling)}
    sampling = {name: value for name, value in given.items() if value is not None}
    try:
        loaded = OnnxModel(served_folder(folder, arguments.variant))
        for index in range(arguments.num_continuations):
            print(arguments.prompt, end="", flush=True)
            if index and "seed" in sampling:
                sampling["seed"] += 1
            for piece in loaded.stream(arguments.prompt, **sampling):
                print(printable(piece) if sys.stdout.isatty() else piece, end="", flush=True)
            print()
    except PromptError as error:
        raise ParameterError(str(error)) from None
    return 0


def pull(arguments: argparse.Namespace) -> int:
    """Fetch a released model and print where it lies."""
    from tasks.pull import pull as fetch

    open_home(arguments.home)
    out = arguments.out or Path(_file_name(arguments.model))
    print(fetch(arguments.model, out, variant=arguments.variant))
    return 0


def newest_model(home: Home) -> str:
    """The champion of the model that was registered last, or that very version where there is no champion."""
    versions = [record.model_version for record in run_records(home.store) if record.model_version]
    if not versions:
        raise ReleaseError(f"no model was released in {home.root} yet; run gristmill run, or name one with --model")
    from mlflow import MlflowClient

    name = versions[-1].removeprefix("models:/").split("/")[0]
    aliases = {
        alias for model in MlflowClient().search_registered_models(f"name = '{name}'") for alias in model.aliases
    }
    return f"models:/{name}@champion" if "champion" in aliases else versions[-1]


def _file_name(model: str) -> str:
    return model.removeprefix("models:/").replace("@", "-").replace("/", "-")
