"""Where existing weights come from: a folder, a GGUF file, the hub or the registry."""

import logging
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from params.errors import ParameterError
from tasks.model.conversion import convert_gguf, convert_pickles
from tasks.model.files import (
    FIELD,
    PICKLE,
    SAFETENSORS,
    check_config,
    check_tensors,
    first_line,
    has_remote_code,
    weight_files,
)

log = logging.getLogger(__name__)
Fetch = Callable[[str, Path], Path]
"""`fetch(address, cache)`: bring models:/… of the registry to the cache; the transformers folder."""
_REGISTRY = "models:/"
_LOCAL = ("file://", "local://")
_HUB = re.compile(r"(?P<name>[\w.-]+/[\w.-]+|[\w-]+)(@(?P<revision>[\w./-]+))?")
_WANTED = ("*.json", "*.jinja", "*.model")
_MAGIC = b"GGUF"


def kind_of(source: str) -> Literal["folder", "gguf", "hub", "registry"]:
    """What a source is: what lies on this machine comes before a hub name of the same spelling."""
    if source.startswith(_REGISTRY):
        return "registry"
    path = _local(source)
    if path.is_dir():
        return "folder"
    if path.is_file():
        return "gguf"
    if not _HUB.fullmatch(source) or source.endswith(".gguf"):
        raise ParameterError(
            f"{FIELD}: {source} does not exist; name a transformers folder, a GGUF file, a hub name (owner/name) or "
            "models:/name@alias"
        )
    return "hub"


def name_of(source: str) -> str:
    """What the source is called wherever it lies: the address, or the last part of a path."""
    return source if kind_of(source) in ("hub", "registry") else _local(source).name


def locate_weights(source: str, *, cache: Path, fetch: Fetch) -> Path:
    """The transformers folder or the GGUF file that a source stands for, downloaded where it lies elsewhere.

    `cache` keeps downloads from the registry; hub models stay in the hub's own cache. Raises ParameterError.
    """
    kind = kind_of(source)
    if kind == "registry":
        return fetch(source, cache / "registry")
    if kind == "hub":
        return _from_hub(source)
    path = _local(source)
    if kind == "gguf":
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise ParameterError(f"{FIELD}: {path} is no GGUF file; name the folder that holds {SAFETENSORS}")
    return path


def prepare_weights(path: Path, *, cache: Path) -> Path:
    """A folder of safetensors, checked, that every rank reads: the located one, or what it was converted to.

    Raises ParameterError for an architecture that cannot be trained, remote code, pickles that are more than tensors,
    damaged files and tensors that are not finite.
    """
    if path.is_file():
        folder = convert_gguf(path, cache=cache)
    else:
        config = check_config(path)
        if has_remote_code(config):
            log.info(
                "%s names code of its own (auto_map); it is not executed: transformers has %s",
                path,
                config["model_type"],
            )
        folder = convert_pickles(path, cache=cache) if weight_files(path).pickled else path
    dtypes = check_tensors(weight_files(folder).paths)
    floating = sorted(dtype for dtype in dtypes if "float" in dtype)
    if floating != ["float32"]:
        parts = ", ".join(f"{dtypes[dtype]:,} values of {dtype}" for dtype in floating)
        log.info("%s: %s; they are learned as float32", path, parts)
    return folder


def resolve_weights(source: str, *, cache: Path, fetch: Fetch) -> Path:
    """The checked folder of safetensors that training starts from."""
    return prepare_weights(locate_weights(source, cache=cache, fetch=fetch), cache=cache)


def _local(source: str) -> Path:
    plain = next((source.removeprefix(prefix) for prefix in _LOCAL if source.startswith(prefix)), source)
    return Path(plain).expanduser().absolute()


def _from_hub(source: str) -> Path:
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    from huggingface_hub.utils.tqdm import disable_progress_bars

    found = _HUB.fullmatch(source)
    assert found is not None, "kind_of has checked it"
    name, revision = found["name"], found["revision"]
    offline = bool(constants.HF_HUB_OFFLINE)
    disable_progress_bars()
    log.info(
        "looks up %s %s", source, "in the hub's cache" if offline else "on the hub, and fetches what is not here yet"
    )
    try:
        for weights in ("*.safetensors", f"{PICKLE.removesuffix('.bin')}*.bin"):  # pickles only where nothing else is
            wanted = [*_WANTED, weights]
            folder = Path(snapshot_download(name, revision=revision, allow_patterns=wanted, local_files_only=offline))
            if any(folder.glob(weights)):
                break
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError, HFValidationError) as error:
        raise ParameterError(_no_hub(source, name, first_line(error), offline=offline)) from None
    return folder


def _no_hub(source: str, name: str, reason: str, *, offline: bool) -> str:
    if not offline:
        return (
            f"{FIELD}: {source} is no folder or file here, and the hub does not give it ({reason}); check the "
            "spelling, the connection and, for a gated model, `hf auth login`"
        )
    cached = os.environ.get("HF_HOME", "~/.cache/huggingface")
    return (
        f"{FIELD}: {source} is no folder or file here, and as a hub name it is not in the cache ({cached}), while "
        f"HF_HUB_OFFLINE forbids a download; unset it, or run `hf download {name} --local-dir FOLDER` on a machine "
        "with a connection, bring the folder here and name it"
    )
