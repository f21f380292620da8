"""A released bundle on disk: linked files, and SHA256SUMS that prove them."""

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from params.errors import ReleaseError
from tasks.artifacts.digest import digest_file, write_atomic

SUMS = "SHA256SUMS"
"""As sha256sum -c reads it."""
FACTS = "bundle.json"
"""What the bundle is: the name, the served variant, its figures."""
_WEIGHTS_OF_ONNX = ".onnx.data"
COMMON = ("generate.py", "classify.py", "MODEL_CARD.md", "MODEL_CARD.zh-CN.md", "README.md", FACTS, SUMS)
"""Files that go along with any variant."""


def place_folder(source: Path, target: Path, *, skip: Iterable[str] = ()) -> None:
    """Bring a folder's files to another, by hard links where the filesystem allows."""
    for path in sorted(source.rglob("*")):
        name = path.relative_to(source)
        if path.is_file() and name.parts[0] not in set(skip):
            place_file(path, target / name)


def place_file(source: Path, target: Path) -> None:
    """Hard-link a file, or copy it where that cannot be done (other filesystem, no such links).

    Weights of an ONNX graph are copied: onnx reads none from a file that has a second name.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    if source.name.endswith(_WEIGHTS_OF_ONNX):
        shutil.copyfile(source, target)
        return
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def write_sums(bundle: Path) -> None:
    """Write the SHA-256 of every file of the bundle, in name order."""
    names = sorted(path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file())
    keep_sums(bundle, {name: digest_file(bundle / name) for name in names if name != SUMS})


def keep_sums(bundle: Path, sums: Mapping[str, str]) -> None:
    """Write SHA256SUMS with these digests by file."""
    write_atomic(bundle / SUMS, "".join(f"{digest}  {name}\n" for name, digest in sums.items()))


def read_sums(path: Path) -> dict[str, str]:
    """SHA-256 by relative path."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def verify_files(folder: Path, sums: Mapping[str, str]) -> None:
    """Check that each file is there and is what SHA256SUMS says; raises ReleaseError with those that are not."""
    bad = [name for name, digest in sorted(sums.items()) if _digest(folder / name) != digest]
    if bad:
        raise ReleaseError(
            f"{folder}: {len(bad)} of {len(sums)} files are missing or differ from {SUMS}: {', '.join(bad[:5])}; "
            "fetch them again"
        )


def variant_files(names: Iterable[str], variant: str) -> list[str]:
    """The files of a bundle that running one variant takes."""
    return [name for name in names if name in COMMON or name.startswith(f"onnx/{variant}/")]


def variants_in(names: Iterable[str]) -> list[str]:
    """The ONNX variants among a bundle's files."""
    return sorted({name.split("/")[1] for name in names if name.startswith("onnx/") and name.endswith(".onnx")})


def _digest(path: Path) -> str | None:
    return digest_file(path) if path.is_file() else None
