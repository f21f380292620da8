"""Fetch a released model from MLflow's registry."""

import json
import logging
import re
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from params.errors import ReleaseError
from tasks.artifacts.digest import write_atomic
from tasks.notices.redaction import redacted
from tasks.registry.bundle import FACTS, SUMS, keep_sums, read_sums, variant_files, variants_in, verify_files

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

log = logging.getLogger(__name__)
_ADDRESS = re.compile(r"(?:models:/)?(?P<name>[^/@\s]+)(?:@(?P<alias>[^/@\s]+)|/(?P<version>\d+))?")
BUNDLE = "data/bundle"
"""Where the bundle lies in a version's artifacts."""


def pull(model: str, out: Path, *, variant: str | None = None) -> Path:
    """Bring a released bundle to `out`: all of it, or what running one ONNX variant takes, with the sums of just that.

    `model` is models:/NAME@ALIAS, models:/NAME/VERSION, or either without models:/; a bare NAME is its champion. Every
    file is checked against SHA256SUMS before `out` gets its name; a folder that is already right is left as it is.
    Raises ReleaseError with what there is when the name, the alias or the variant is unknown.
    """
    from mlflow import MlflowClient

    _check_replaceable(out)
    client = MlflowClient()
    name, version = resolve(client, model)
    uri = f"models:/{name}/{version}"
    with _beside(out) as scratch:
        fetched = Path(scratch) / BUNDLE
        fetch_part(uri, SUMS, Path(scratch))
        wanted = _wanted(model, read_sums(fetched / SUMS), variant)
        if _is_there(out, wanted):
            return out
        for part in _parts(wanted):
            fetch_part(uri, part, Path(scratch))
        verify_files(fetched, wanted)
        keep_sums(fetched, wanted)
        _replace(fetched, out)
    return out


def _beside(out: Path) -> "tempfile.TemporaryDirectory[str]":
    """A folder to fetch into, on the disk of `out`."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-")
    except OSError as error:
        raise ReleaseError(f"{out}: cannot be written ({error.strerror}); name another folder with --out") from None


def pull_weights(address: str, cache: Path) -> Path:
    """The transformers folder of a registered model, under its version, so that a moved alias swaps nothing."""
    from mlflow import MlflowClient

    name, version = resolve(MlflowClient(), address)
    return pull(f"models:/{name}/{version}", cache / f"{name}-{version}") / "transformers"


class RegistrySource:
    """A registered model to serve: which version its alias stands for, and that version's files in a cache.

    What was fetched once is served on while the registry is down, even by a server that starts then.
    """

    def __init__(self, model: str, cache: Path, variant: str | None) -> None:
        self.model, self.cache, self.variant = model, cache, variant
        self.known = cache / f"{re.sub(r'[^A-Za-z0-9._-]+', '-', model)}.json"
        self.name = ""

    def version(self) -> str:
        """The version that is to be served now. Raises ReleaseError."""
        from mlflow import MlflowClient

        try:
            self.name, version = resolve(MlflowClient(), self.model)
        except RegistryDownError as error:
            if self.name or not self.known.is_file():
                raise
            found = json.loads(self.known.read_text(encoding="utf-8"))
            self.name, version = found["name"], found["version"]
            log.warning("%s; serving version %s, which was fetched before", error, version)
        return version

    def fetch(self, version: str) -> Path:
        """The bundle of a version, with what serving takes. Raises ReleaseError."""
        out = self.cache / f"{self.name}-{version}"
        address = f"models:/{self.name}/{version}"
        try:
            pull(address, out, variant=self.variant or served_variant(address))
        except ReleaseError:
            if not (out / SUMS).is_file():
                raise
        self.cache.mkdir(parents=True, exist_ok=True)
        write_atomic(self.known, json.dumps({"name": self.name, "version": version}))
        return out


def served_variant(address: str) -> str:
    """The variant that a registered bundle names as the one to serve. Raises ReleaseError."""
    with tempfile.TemporaryDirectory() as scratch:
        fetch_part(address, FACTS, Path(scratch))
        return str(json.loads((Path(scratch) / BUNDLE / FACTS).read_text(encoding="utf-8"))["served"])


class RegistryDownError(ReleaseError):
    """A registry that does not answer."""


def resolve(client: "MlflowClient", model: str) -> tuple[str, str]:
    """Name and version that an address stands for."""
    from mlflow.exceptions import MlflowException

    parsed = _ADDRESS.fullmatch(model)
    if parsed is None:
        raise ReleaseError(f"{model}: write it as models:/NAME@ALIAS, models:/NAME/VERSION, NAME@ALIAS or NAME")
    name, alias, version = parsed["name"], parsed["alias"], parsed["version"]
    try:
        registered = client.get_registered_model(name)
        if version is not None:
            return name, str(client.get_model_version(name, version).version)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise RegistryDownError(f"{model}: the registry does not answer: {redacted(error.message)}") from None
        raise ReleaseError(f"{model}: {_what_exists(client, name)}") from None
    aliases = registered.aliases
    if (alias or "champion") not in aliases:
        there = ", ".join(f"@{known} (version {aliases[known]})" for known in sorted(aliases)) or "none"
        raise ReleaseError(f"{model}: {name} has no alias {alias or 'champion'}; its aliases: {there}")
    return name, str(aliases[alias or "champion"])


def known_versions(client: "MlflowClient", name: str) -> "list[ModelVersion]":
    """Every version of a model with its tags and aliases, oldest first. Raises ReleaseError with what there is."""
    numbers = sorted(int(found.version) for found in client.search_model_versions(f"name = '{name}'"))
    if not numbers:
        raise ReleaseError(f"{name}: {_what_exists(client, name)}")
    return [client.get_model_version(name, str(number)) for number in numbers]


def _what_exists(client: "MlflowClient", name: str) -> str:
    names = sorted(model.name for model in client.search_registered_models())
    if name in names:
        versions = sorted(int(found.version) for found in client.search_model_versions(f"name = '{name}'"))
        return f"no such version; {name} has {', '.join(map(str, versions)) or 'none'}"
    return f"no model named {name}; the registry has {', '.join(names) or 'none'}"


def _wanted(model: str, sums: dict[str, str], variant: str | None) -> dict[str, str]:
    """The digests of the files to bring."""
    if variant is None:
        return sums
    there = variants_in(sums)
    if variant not in there:
        raise ReleaseError(f"{model}: no variant {variant}; it has {', '.join(there)}")
    return {file: sums[file] for file in variant_files(sums, variant)}


def _parts(files: Iterable[str]) -> list[str]:
    """Folders and files to fetch, as few as bring exactly these: onnx/int8, transformers, generate.py …"""
    return sorted({"/".join(file.split("/")[:2]) if file.startswith("onnx/") else file.split("/")[0] for file in files})


def fetch_part(uri: str, part: str, into: Path) -> None:
    """Download a file or folder of the bundle to the same place under `into`."""
    import mlflow
    from mlflow.exceptions import MlflowException

    from tasks.tracking import quiet_mlflow

    with quiet_mlflow():
        try:
            mlflow.artifacts.download_artifacts(artifact_uri=f"{uri}/{BUNDLE}/{part}", dst_path=str(into))
        except (MlflowException, OSError) as error:
            reason = str(error).splitlines()[0]
            raise ReleaseError(
                f"{uri}: {part} cannot be fetched ({reason}); was this version registered by gristmill, and are its "
                "artifacts still there?"
            ) from None


def _is_there(out: Path, wanted: dict[str, str]) -> bool:
    if not (out / SUMS).is_file() or not wanted.items() <= read_sums(out / SUMS).items():
        return False
    try:
        verify_files(out, wanted)
    except ReleaseError:
        return False
    return True


def _check_replaceable(out: Path) -> None:
    """Raise ReleaseError where something else lies than a folder that was pulled before."""
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / SUMS).is_file())):
        raise ReleaseError(f"{out} is there and is no pulled model; name another folder with --out")


def _replace(fetched: Path, out: Path) -> None:
    """Give a fetched bundle its name."""
    _check_replaceable(out)
    if out.exists():
        shutil.rmtree(out)
    fetched.replace(out)
