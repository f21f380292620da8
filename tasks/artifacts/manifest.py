"""What a sealed result says of itself."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from params.base import Params
from tasks.artifacts.digest import digest_entries, digest_value

MANIFEST_NAME = "manifest.json"
AWAY_NAME = "away.json"
"""In a result's folder as long as some of its files are not on this machine: where they are."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class FileRecord(_Record):
    """One file of a result."""

    path: str
    """Relative to the result's folder, with forward slashes."""
    size_bytes: int
    sha256: str
    volatile: bool = False
    """Depends on the machine's speed or clock (logs, timings): checked by verify, but no part of the digest."""


class InputRecord(_Record):
    """An input, by what it is made of."""

    stage: str
    fingerprint: str
    digest: str


class Metrics(_Record):
    """What a stage reports of its work; counts and facts must not depend on the machine's speed."""

    counts: dict[str, int] = {}
    """Whole numbers such as docs_in, docs_kept, docs_rejected."""
    values: dict[str, float] = {}
    """Measured figures such as loss; shown, compared in MLflow, never part of a digest."""
    facts: dict[str, str] = {}
    """Short texts such as stop_reason, verdict, device."""
    headline: str = ""
    """What was made, in a few words for people."""
    speed: tuple[float, str] | None = None
    """Amount and unit of the work, such as (21.2, "MB"): shown per second."""


class Timing(_Record):
    """When and how long; never part of a digest."""

    started_at: str = ""
    work_s: float = 0.0
    """Inside the stage's own function."""
    cpu_s: float = 0.0
    """Processor time of this process and of children that have ended, meanwhile."""
    peak_rss_mb: float = 0.0
    """Largest resident memory of this process (or of a training child) during the stage."""


class Away(Protocol):
    """Where the files of a result are that this machine does not have yet."""

    def bring(self, files: Sequence[FileRecord]) -> bool:
        """Have these files here, whole; whether all of the result is here now."""


class Manifest(_Record):
    """A sealed result: the recipe that made it, the bytes it is, and what was measured on the way."""

    format: int = 1
    stage: str
    version: int
    """Raised by hand when a stage's code begins to make other bytes."""
    fingerprint: str
    """Digest of the recipe: stage, version, parameters and the digests of the inputs."""
    digest: str
    """Digest of the bytes made, volatile files left out."""
    params: dict[str, Any]
    inputs: dict[str, InputRecord]
    files: tuple[FileRecord, ...]
    metrics: Metrics = Metrics()
    timing: Timing = Timing()
    made_by: dict[str, str] = {}
    """Versions and platform."""
    _folder: Path | None = PrivateAttr(default=None)
    _away: Away | None = PrivateAttr(default=None)

    @classmethod
    def pending(cls, stage: str) -> Self:
        """Stands for a result that a planning run found not made yet."""
        return cls(stage=stage, version=0, fingerprint="", digest="", params={}, inputs={}, files=())

    @property
    def is_pending(self) -> bool:
        """Whether this only stands for a result not made yet."""
        return not self.fingerprint

    @property
    def folder(self) -> Path:
        """Where all files lie on this machine; what is still away is brought first."""
        return self.folder_with("**")

    @property
    def place(self) -> Path:
        """The same folder, whether or not all files are there."""
        assert self._folder is not None, f"{self.stage} {self.fingerprint} was not read from a store"
        return self._folder

    @property
    def is_away(self) -> bool:
        """Whether some of its files may be in a shared store only."""
        return self._away is not None

    def is_here(self, pattern: str) -> bool:
        """Whether all files that match a glob pattern lie on this machine."""
        wanted = (file.path for file in self.files if _matches(file.path, pattern))
        return not self.is_away or all((self.place / name).exists() for name in wanted)

    def folder_with(self, *patterns: str) -> Path:
        """The folder, in which the files that match one of some glob patterns lie; others may be away still."""
        if self._away is not None:
            wanted = [file for file in self.files if any(_matches(file.path, pattern) for pattern in patterns)]
            if self._away.bring(wanted):
                self._away = None
        return self.place

    def file(self, name: str) -> Path:
        """Where one file lies, whether or not the others are here."""
        return self.folder_with(name) / name

    def located(self, folder: Path, away: Away | None = None) -> Self:
        """The same manifest, knowing its folder, and where the files come from that are not there yet."""
        copy = self.model_copy()
        copy._folder, copy._away = folder, away
        return copy

    def reference(self) -> InputRecord:
        """How a downstream result names this one."""
        return InputRecord(stage=self.stage, fingerprint=self.fingerprint, digest=self.digest)

    def paths(self, pattern: str) -> list[Path]:
        """Files whose whole relative path matches a glob pattern, in name order."""
        folder = self.folder_with(pattern)
        return [folder / name for name in sorted(file.path for file in self.files) if _matches(name, pattern)]


class Recipe(_Record):
    """Everything that decides a result's bytes."""

    stage: str
    version: int
    params: dict[str, Any]
    inputs: dict[str, InputRecord] = Field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """32 hex digits; two recipes with the same fingerprint make the same bytes."""
        digests = {name: reference.digest for name, reference in self.inputs.items()}
        return digest_value([self.stage, self.version, self.params, digests])[:32]


def work_of(stage: str) -> str:
    """The work that a stage does: train of train.instruct, its own name of one that is done once."""
    return stage.partition(".")[0]


def part_of(stage: str) -> str:
    """The part that a stage does it for: instruct of train.instruct, its own name of one that is done once."""
    return stage.partition(".")[2] or stage


def recipe_of(stage: str, version: int, params: Params, inputs: dict[str, Manifest]) -> Recipe:
    """The recipe of a stage for given parameters and input results."""
    references = {name: manifest.reference() for name, manifest in inputs.items()}
    return Recipe(stage=stage, version=version, params=params.model_dump(mode="json"), inputs=references)


def digest_files(files: tuple[FileRecord, ...]) -> str:
    """Digest of a result's bytes from its file records, volatile ones left out; 32 hex digits."""
    return digest_entries((f.path, f.size_bytes, f.sha256) for f in files if not f.volatile)[:32]


def _matches(name: str, pattern: str) -> bool:
    """As glob does; a pattern that ends with /** means all that is in a folder."""
    if pattern.endswith("**"):
        return name.startswith(pattern.removesuffix("**"))
    return PurePosixPath(f"/{name}").match(f"/{pattern}")
