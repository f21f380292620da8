"""Starting a local Ray or Dask cluster quietly, and joining a user's own."""

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from params.errors import EngineError, ParameterError
from params.run import RunParams
from tasks.cluster.scratch import cluster_folder

_CONNECT_TIMEOUT_S = 5.0
_OBJECTS_BYTES = 100 << 20
"""Ray's shared memory: what goes through it are paths and counts, data lies in files."""
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "RAY_enable_metrics_collection": "0",
}
_LOUD = ("distributed", "ray", "tornado", "asyncio")


def check_engine(settings: RunParams) -> None:
    """Raise ParameterError or EngineError where the engine cannot work: not installed, or its address is silent."""
    engine, address = settings.engine, settings.engine_address
    if engine == "threads":
        return
    if find_spec(f"prefect_{engine}") is None:
        raise ParameterError(
            f"run.engine is {engine}, which is not installed: pip install 'gristmill[{engine}]', or set it to threads"
        )
    if address is not None and address != "auto":
        _reach(engine, address)


def ray_arguments(address: str | None, num_workers: int, folder: str) -> dict[str, Any]:
    """What ray.init is called with; a local cluster writes into a folder."""
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is not None:
        return {"address": address, **quiet}
    return {
        "address": "local",
        "num_cpus": num_workers,
        "include_dashboard": False,
        "object_store_memory": _OBJECTS_BYTES,
        "_temp_dir": folder,
        **quiet,
    }


def dask_arguments(num_workers: int, folder: str) -> dict[str, Any]:
    """What a local Dask cluster is made with, whose processes write into a folder."""
    return {
        "n_workers": num_workers,
        "threads_per_worker": 1,
        "dashboard_address": "127.0.0.1:0",
        "silence_logs": logging.CRITICAL,
        "local_directory": folder,
    }


@contextmanager
def quiet_cluster() -> Iterator[str]:
    """Settings with which a cluster says nothing on the terminal, and a folder for what it writes, gone afterwards."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    for name in _LOUD:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with cluster_folder() as folder:
        yield folder


@contextmanager
def errors_explained(engine: str) -> Iterator[None]:
    """A cluster that answers but cannot be used is the user's to mend."""
    try:
        yield
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise EngineError(
            f"run.engine {engine} cannot be used: {said[0]}; see that the cluster runs and has the same versions of "
            f"Python, gristmill and {engine}, or set run.engine to threads"
        ) from error


@contextmanager
def signals_kept() -> Iterator[None]:
    """Put our handlers back: Ray takes SIGTERM for itself, and a cancel would pass for an exit."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _reach(engine: str, address: str) -> None:
    """Raise EngineError unless something listens at the address."""
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port:
        example = {"ray": "ray://head:10001, head:6379 or auto", "dask": "tcp://scheduler:8786"}[engine]
        raise ParameterError(f"run.engine_address {address!r} names no host and port; write it as {example}")
    try:
        socket.create_connection((host, port), timeout=_CONNECT_TIMEOUT_S).close()
    except OSError as error:
        raise EngineError(
            f"no {engine} cluster answers at run.engine_address {address} ({error}); start it, correct the address, "
            "or set run.engine_address to null for a cluster on this machine"
        ) from None
