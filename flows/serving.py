"""gristmill serve: answer over HTTP with a released model."""

import argparse
import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from flows.console import progress, say
from flows.home import Home, open_home
from flows.manual import SERVE
from flows.models import newest_model
from params.errors import ParameterError
from params.load import parse_assignments
from params.serve import ServeParams
from tasks.artifacts.record import run_records

if TYPE_CHECKING:
    from tasks.serving.service import Source

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
_REGISTRY_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
"""The registry is asked every few seconds anyway; MLflow's own patience is minutes."""

_NEEDED = ("fastapi", "httptools", "prometheus_client", "uvicorn")


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    """The command's arguments."""
    added = commands.add_parser("serve", help="answer over HTTP", description=SERVE)
    added.add_argument(
        "model",
        nargs="?",
        help="models:/NAME@ALIAS, models:/NAME/VERSION, a pulled folder or a run's id (default: the newest champion)",
    )
    added.add_argument("--home", type=Path, metavar="DIR", help="home folder (default: GRISTMILL_HOME or ./.gristmill)")
    added.add_argument("--host", help="address to listen on (127.0.0.1)")
    added.add_argument("--port", type=int, help="port to listen on (8000; 0 lets the system choose)")
    added.add_argument("--variant", help="fp32, int8 … (default: the one that the bundle names)")
    added.add_argument("--threads", type=int, metavar="N", help="threads of one step of the model (1)")
    added.add_argument("--open", action="store_true", default=None, help="let other machines in without API keys")
    added.add_argument("--api-keys", type=Path, metavar="FILE", help="keys that clients need, one a line")
    added.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="any other setting, for example max_queue=64"
    )
    added.set_defaults(command=serve)
    return added


def serve(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM or Ctrl-C."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise ParameterError(f"serving needs {', '.join(missing)}; install them: pip install 'gristmill[serve]'")
    from tasks.serving.api_keys import read_keys
    from tasks.serving.server import serve as run

    home = open_home(arguments.home)
    for name, value in _REGISTRY_PATIENCE.items():
        os.environ.setdefault(name, value)
    params = params_of(arguments)
    keys = read_keys(arguments.api_keys)
    with progress(home.logs):
        run(source_of(arguments.model, home, params.variant), params, keys, say=say)
    return 0


def params_of(arguments: argparse.Namespace) -> ServeParams:
    """The settings that the command line gives. Raises ParameterError."""
    flags = ("host", "port", "variant", "threads", "open")
    given = {name: getattr(arguments, name) for name in flags if getattr(arguments, name) is not None}
    return ServeParams.load(parse_assignments(arguments.set) | given)


def source_of(model: str | None, home: Home, variant: str | None) -> "Source":
    """Where the model comes from."""
    from tasks.pull import RegistrySource
    from tasks.serving.service import FolderSource

    if model is None:
        model = newest_model(home)
    folder = Path(model)
    if folder.is_dir():
        return FolderSource(folder / "bundle" if (folder / "bundle" / "bundle.json").is_file() else folder)
    if (bundle := _bundle_of_run(model, home)) is not None:
        return FolderSource(bundle)
    return RegistrySource(model, home.cache / "served", variant)


def _bundle_of_run(run_id: str, home: Home) -> Path | None:
    """The bundle that a run released, if there is such a run."""
    records = [record for record in run_records(home.store) if record.run_id == run_id]
    released = records[0].stages.get("release") if records else None
    return home.store / "release" / released.fingerprint / "bundle" if released else None
